"""Owns one fault rule: what it fits, when it strikes, what it does, and how it is shown."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

from aiogram_neonpay.sandbox.errors import ApiError, flood, outage, refuse
from aiogram_neonpay.sandbox.models import Json

#: Fits every update; for calls, every method but getUpdates.
ANY = "*"
#: Service messages that an update rule may name, although Telegram's kind of them is ``message``.
MESSAGE_PARTS = ("successful_payment", "refunded_payment")


@dataclass(frozen=True, slots=True)
class Subject:
    """A call or an update, as far as rules look at it.

    ``names`` are the method, or the update's kind and the kind of service message in it. ``user_ids`` are
    the people it is about: whom a call is for, who caused an update.
    """

    names: tuple[str, ...]
    bot_id: int
    chat_id: int | None
    user_ids: frozenset[int]


@dataclass(slots=True, kw_only=True, eq=False)
class Fault:
    """One fault on order.

    ``id`` names the rule in its sandbox. It looks at calls or updates of ``bot_id`` in ``chat_id`` or about
    ``user_id`` (``None``: any), lets the first ``skip`` pass, and then strikes with ``probability``, at most
    ``times`` times (``None``: without end). ``met`` counts what it has looked at, ``struck`` its strikes.
    """

    id: int
    bot_id: int | None = None
    chat_id: int | None = None
    user_id: int | None = None
    probability: float = 1.0
    times: int | None = None
    skip: int = 0
    met: int = 0
    struck: int = 0
    dice: random.Random = field(default_factory=random.Random, repr=False)

    @property
    def left(self) -> int | None:
        """How many strikes are left; ``None`` without end."""
        return None if self.times is None else self.times - self.struck

    def fits(self, subject: Subject) -> bool:
        """Tell whether the rule looks at this call or update."""
        return (
            self._names(subject)
            and self.bot_id in (None, subject.bot_id)
            and self.chat_id in (None, subject.chat_id)
            and (self.user_id is None or self.user_id in subject.user_ids)
        )

    def strike(self) -> bool:
        """Decide about one call or update that fits, and count it."""
        self.met += 1
        if self.met <= self.skip or self.left == 0:
            return False
        if self.probability < 1 and self.dice.random() >= self.probability:
            return False
        self.struck += 1
        return True

    def as_json(self) -> Json:
        """Return the rule as the control API shows it: its arguments, then ``met``, ``struck`` and ``left``."""
        common: Json = {
            "bot": self.bot_id,
            "chat": self.chat_id,
            "user": self.user_id,
            "times": self.times,
            "skip": self.skip or None,
        }
        shown = {"id": self.id, **self._arguments(), "probability": self.probability, **common}
        counts = {"met": self.met, "struck": self.struck, "left": self.left}
        return {name: value for name, value in shown.items() if value is not None} | counts

    def _names(self, subject: Subject) -> bool:
        raise NotImplementedError

    def _arguments(self) -> Json:
        raise NotImplementedError


@dataclass(slots=True, kw_only=True, eq=False)
class CallFault(Fault):
    """A fault of Bot API calls to ``method``: one of ``error``, ``hang``, ``drop`` and ``slow`` is set.

    ``when`` is ``"before"`` the call has its effect (it never has, but for a slow one) or ``"after"``.
    """

    method: str
    when: Literal["before", "after"] = "before"
    error: int | None = None
    text: str | None = None
    retry_after: int | None = None
    hang: float | None = None
    drop: bool = False
    slow: float | None = None

    def refusal(self) -> ApiError:
        """Return the error of an ``error`` rule, in Telegram's words."""
        assert self.error is not None
        if self.error == 429:
            return flood(self.retry_after or 1)
        if self.error >= 500:
            return outage(self.error, self.text)
        return refuse(self.text or "Unauthorized", self.error)

    def _names(self, subject: Subject) -> bool:
        if self.method == ANY:
            # A poller asks without end: it would use up every count that is meant for something else.
            return "getUpdates" not in subject.names
        return self.method in subject.names

    def _arguments(self) -> Json:
        return {
            "method": self.method,
            "when": self.when,
            "error": self.error,
            "text": self.text,
            "retry_after": self.retry_after,
            "hang": self.hang,
            "drop": self.drop or None,
            "slow": self.slow,
        }


@dataclass(slots=True, kw_only=True, eq=False)
class UpdateFault(Fault):
    """A fault of updates of the kind ``update``: one of ``drop``, ``delay``, ``reorder`` and ``repeat`` is set.

    With ``repeat``, ``delay`` says how long after the confirmation the update comes again.
    """

    update: str
    drop: bool = False
    delay: float | None = None
    reorder: bool = False
    repeat: int = 0

    def _names(self, subject: Subject) -> bool:
        return self.update == ANY or self.update in subject.names

    def _arguments(self) -> Json:
        return {
            "update": self.update,
            "drop": self.drop or None,
            "delay": self.delay,
            "reorder": self.reorder or None,
            "repeat": self.repeat or None,
        }


def update_subject(bot_id: int, kind: str, content: Json) -> Subject:
    """Describe an update. Of a message the chat's owner counts too: a refund's message comes from the bot."""
    message = content if "chat" in content else content.get("message") or {}
    chat_id = message.get("chat", {}).get("id")
    people = {(content.get("from") or content.get("user") or {}).get("id"), chat_id}
    parts = tuple(part for part in MESSAGE_PARTS if part in content)
    return Subject((kind, *parts), bot_id, chat_id, frozenset(person for person in people if person is not None))
