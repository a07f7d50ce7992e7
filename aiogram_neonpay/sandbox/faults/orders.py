"""Owns `Faults`, with which tests and the control API order faults: what may be asked for, and its limits."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

from aiogram_neonpay.sandbox import arguments
from aiogram_neonpay.sandbox.arguments import HasId
from aiogram_neonpay.sandbox.errors import ArgumentError
from aiogram_neonpay.sandbox.faults.book import Rule
from aiogram_neonpay.sandbox.faults.rules import ANY, MESSAGE_PARTS, CallFault, Fault, UpdateFault
from aiogram_neonpay.sandbox.presence import find_bot
from aiogram_neonpay.sandbox.schema import UPDATE_KINDS, published_name
from aiogram_neonpay.sandbox.world import World

ERRORS = (400, 401, 403, 404, 409, 429, 500, 502, 503, 504)
#: The longest wait a rule may ask for, in seconds.
LONGEST = 86_400
MOST = 1_000_000
_WORDLESS = (400, 403, 404, 409)
_REPEATS = 100


class Faults:
    """Faults on order: rules by which calls fail and updates go astray.

    Iterating gives the rules in their order. A rule stays, with its counts, until it is removed, also after its
    last strike. Arguments that both methods share:

    ``chat``
        a group or an id: only calls to and updates from this chat.
    ``user``
        a person or an id: only what is about them; private messages, payments, refunds, answers to their queries.
    ``bot``
        a username, an id or a token, in a sandbox of several bots.
    ``probability``
        0 to 1, thrown with dice of the rule's own; they fall the same way in every run of one ``seed=``.
    ``times``
        how often it strikes at most, 1 to 1,000,000; without end by default.
    ``skip``
        how many fitting calls or updates pass before it begins to strike, 0 to 1,000,000.

    Wrong arguments raise `ArgumentError`, a `SandboxError` and `ValueError` that names argument, limit and value.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._book = world.faults
        self._book.on_strike = partial(world.feed.publish, "faults")

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._book.rules)

    def __len__(self) -> int:
        return len(self._book.rules)

    def add(
        self,
        method: str = ANY,
        *,
        error: int | None = None,
        text: str | None = None,
        retry_after: int | None = None,
        hang: float | None = None,
        drop: bool = False,
        slow: float | None = None,
        when: Literal["before", "after"] = "before",
        chat: HasId | int | None = None,
        user: HasId | int | None = None,
        bot: str | int | None = None,
        probability: float = 1.0,
        times: int | None = None,
        skip: int = 0,
    ) -> CallFault:
        """Order a fault of Bot API calls: exactly one of ``error``, ``hang``, ``drop`` and ``slow``.

        Several slow rules add up; of the others, the first that strikes decides. Waits are in real seconds,
        whatever the sandbox's clock does, and end when the rule is removed.

        :param method: a method's name in any case, or ``*``: every method but getUpdates, which polls without
            end and has to be named.
        :param error: 400, 401, 403, 404, 409, 429, 500, 502, 503 or 504 instead of an answer.
        :param text: Telegram's token or sentence behind the error's prefix; needed for 400, 403, 404 and 409,
            optional for 401 and 5xx (``error=500, text="restart"``), not taken for 429.
        :param retry_after: of a 429: the seconds to wait, 1 (the default) to 86,400.
        :param hang: no answer for so many seconds, then the connection is closed; up to 86,400.
        :param drop: the connection is closed at once, without an answer.
        :param slow: the answer comes so many seconds later, up to 86,400.
        :param when: ``"before"`` (the call has no effect; a slow one has it late) or ``"after"``: it has its
            effect, and the answer is lost, replaced by the error, or late. A 429 is always before.
        :raises ArgumentError: for anything else.
        """
        wanted = {"error": error, "hang": hang, "drop": drop or None, "slow": slow}
        _exactly_one(wanted)
        arguments.flag("drop", drop)
        if hang is not None:
            hang = arguments.duration("hang", hang, LONGEST)
        if slow is not None:
            slow = arguments.duration("slow", slow, LONGEST)
        _check_error(error, text, retry_after)
        arguments.one_of("when", when, ("before", "after"))
        if error == 429 and when == "after":
            raise ArgumentError("when must be 'before' for error 429: flood control answers before anything is done")
        name = self._method(method)
        common = self._common(chat, user, bot, probability, times, skip)
        return self._added(
            lambda number, dice: CallFault(
                id=number,
                dice=dice,
                method=name,
                when=when,
                error=error,
                text=text,
                retry_after=(retry_after or 1) if error == 429 else None,
                hang=hang,
                drop=drop,
                slow=slow,
                **common,
            )
        )

    def add_update(
        self,
        update: str = ANY,
        *,
        drop: bool = False,
        delay: float | None = None,
        reorder: bool = False,
        repeat: int = 0,
        chat: HasId | int | None = None,
        user: HasId | int | None = None,
        bot: str | int | None = None,
        probability: float = 1.0,
        times: int | None = None,
        skip: int = 0,
    ) -> UpdateFault:
        """Order a fault of updates: exactly one of ``drop``, ``delay``, ``reorder`` and ``repeat``.

        Waits are in seconds of the sandbox's clock. An update is kept until 24 hours after its event, however
        late it arrives. Only updates that the bot has asked for are looked at.

        :param update: the kind (``message``, ``pre_checkout_query``, ...), ``successful_payment`` or
            ``refunded_payment`` for messages with these, or ``*``.
        :param drop: the update is lost for ever, by polling and webhook alike; its number goes to the next one.
        :param delay: it arrives so many seconds later, behind what came meanwhile; up to 86,400.
        :param reorder: it arrives behind the bot's next update, or 5 seconds later if there is none.
        :param repeat: once the bot has confirmed it, it comes again 1 to 100 times under its old number, in a
            batch with the next updates; with ``delay``, so many seconds after the confirmation.
        :raises ArgumentError: for anything else.
        """
        wanted = {"drop": drop or None, "delay": None if repeat else delay, "reorder": reorder or None}
        _exactly_one({**wanted, "repeat": repeat or None})
        arguments.flag("drop", drop)
        arguments.flag("reorder", reorder)
        if repeat:
            repeat = 1 if repeat is True else arguments.whole("repeat", repeat, 1, _REPEATS)
        if delay is not None:
            delay = arguments.duration("delay", delay, LONGEST)
        kind = arguments.one_of("update", update, (ANY, *sorted(UPDATE_KINDS), *MESSAGE_PARTS))
        common = self._common(chat, user, bot, probability, times, skip)
        return self._added(
            lambda number, dice: UpdateFault(
                id=number,
                dice=dice,
                update=kind,
                drop=drop,
                delay=delay,
                reorder=reorder,
                repeat=repeat,
                **common,
            )
        )

    def remove(self, rule: Fault | int) -> None:
        """Forget a rule; calls that it holds go on at once.

        :raises ArgumentError: when there is no such rule.
        """
        number = arguments.id_of("rule", rule)
        if not self._book.remove(number):
            raise ArgumentError(f"rule must be one of the {len(self)} there are, not {number}")
        self._world.feed.publish("faults")

    def clear(self) -> None:
        """Forget every rule; calls that hang go on at once, updates on their way still arrive."""
        self._book.clear()
        self._world.feed.publish("faults")

    def _added(self, make: Callable[[int, random.Random], Rule]) -> Rule:
        rule = self._book.add(make)
        self._world.feed.publish("faults")
        return rule

    def _method(self, method: str) -> str:
        name = method if method == ANY else published_name(str(method))
        if name is None:
            raise ArgumentError(f"method must be a Bot API method or '*', not {method!r}")
        return name

    def _common(
        self,
        chat: HasId | int | None,
        user: HasId | int | None,
        bot: str | int | None,
        probability: float,
        times: int | None,
        skip: int,
    ) -> dict[str, Any]:
        chat_id = None if chat is None else arguments.id_of("chat", chat)
        if chat_id is not None and chat_id not in self._world.groups and chat_id not in self._world.people:
            raise ArgumentError(f"chat must be a group or a person of the sandbox, not {chat_id}")
        user_id = None if user is None else arguments.id_of("user", user)
        if user_id is not None and user_id not in self._world.people:
            raise ArgumentError(f"user must be a person of the sandbox, not {user_id}")
        return {
            "bot_id": None if bot is None else find_bot(self._world, bot).id,
            "chat_id": chat_id,
            "user_id": user_id,
            "probability": arguments.share("probability", probability),
            "times": None if times is None else arguments.whole("times", times, 1, MOST),
            "skip": arguments.whole("skip", skip, 0, MOST),
        }


def _exactly_one(wanted: dict[str, Any]) -> None:
    given = [name for name, value in wanted.items() if value is not None]
    if len(given) != 1:
        raise ArgumentError(f"exactly one of {', '.join(wanted)} says what happens, not {', '.join(given) or 'none'}")


def _check_error(error: int | None, text: str | None, retry_after: int | None) -> None:
    if error is not None:
        arguments.one_of("error", error, ERRORS)
    if text is not None and (not isinstance(text, str) or not text):
        raise ArgumentError(f"text must be a token or a sentence, not {text!r}")
    if error in _WORDLESS and text is None:
        raise ArgumentError(f"text must be given with error {error}: Telegram has many, such as 'CHARGE_NOT_FOUND'")
    if text is not None and (error is None or error == 429):
        raise ArgumentError("text goes with an error other than 429, whose text is always the same")
    if retry_after is not None:
        if error != 429:
            raise ArgumentError(f"retry_after goes with error 429, not with {error}")
        arguments.whole("retry_after", retry_after, 1, LONGEST)
