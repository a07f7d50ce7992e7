"""Owns `Sandbox`, the door to one simulated world: bots, people, money and time, without any socket."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from aiogram_neonpay.sandbox import ledger
from aiogram_neonpay.sandbox.bookkeeping import BotLedger
from aiogram_neonpay.sandbox.clock import Clock
from aiogram_neonpay.sandbox.errors import ApiError, SandboxError
from aiogram_neonpay.sandbox.faults.book import FaultBook
from aiogram_neonpay.sandbox.faults.orders import Faults
from aiogram_neonpay.sandbox.ids import IdSource
from aiogram_neonpay.sandbox.methods import BotApi, Reply
from aiogram_neonpay.sandbox.models import Call, Charge, LedgerRow, Receipt, Subscription
from aiogram_neonpay.sandbox.payments import Payments
from aiogram_neonpay.sandbox.presence import PATIENCE, SandboxGroup, find_bot
from aiogram_neonpay.sandbox.rules import Rules
from aiogram_neonpay.sandbox.users import SandboxUser
from aiogram_neonpay.sandbox.world import World


class Sandbox:
    """A world of its own: bots, people with Stars, chats, a ledger and a clock.

    :param seed: makes charge ids, query ids and update ids the same in every run; ``None`` makes them fresh.
        Bots, tokens and people are numbered the same way in every run, seed or not.
    :param clock: the time to live by; by default the present, running.
    :param rules: switches for what is a guess or a nuisance.

    ``faults`` orders failures of calls and updates. ``world`` and ``payments`` are the parts it is made of:
    the server uses them, and so may tests that look closer than a person could.
    """

    def __init__(self, seed: int | None = None, *, clock: Clock | None = None, rules: Rules | None = None) -> None:
        self.clock = clock or Clock()
        self.world = World(self.clock, IdSource(seed), rules or Rules(), FaultBook(seed))
        self.payments = Payments(self.world)
        self.faults = Faults(self.world)
        self._api = BotApi(self.world, self.payments)
        self._users: dict[int, SandboxUser] = {}

    # --- who there is ---

    def create_bot(self, username: str, *, name: str | None = None, token: str | None = None) -> str:
        """Register a bot and return its token, which opens nothing but this sandbox.

        :param token: the one that a program has already; by default one that is the same for the name in every run.
        :raises SandboxError: when the username or the token's id is taken, or the token is of another form.
        """
        bot = self.world.add_bot(username, name or username.replace("_", " ").title(), token)
        self.world.feed.publish("users")
        return bot.token

    def create_user(
        self,
        name: str,
        *,
        stars: int = 0,
        language_code: str | None = "en",
        username: str | None = None,
        started: bool = False,
        user_id: int | None = None,
    ) -> SandboxUser:
        """Register a person who owns ``stars`` Stars.

        :param name: first name, or first and last.
        :param started: whether every bot that exists may write first, as if Start had been pressed.
        :param user_id: their id, such as the one a bot takes for its admin's; the next free one by default.
        :raises SandboxError: when that id is taken or not positive.
        """
        person = self.world.add_person(name, username, language_code, stars, user_id)
        user = SandboxUser(self.world, self.payments, person.id)
        self._users[person.id] = user
        if started:
            for bot_id in self.world.bots:
                self.world.private_chat(bot_id, person.id).started = True
        return user

    def create_group(self, title: str, members: Iterable[SandboxUser] = ()) -> SandboxGroup:
        """Register a group with these people and every bot of the sandbox in it."""
        return SandboxGroup(self.world.add_group(title, [member.id for member in members]))

    def user(self, user_id: int) -> SandboxUser:
        """Return the handle of a person.

        :raises SandboxError: when there is no such person.
        """
        if user_id not in self._users:
            raise SandboxError(f"there is no user {user_id} in the sandbox")
        return self._users[user_id]

    @property
    def users(self) -> list[SandboxUser]:
        """Everybody, in the order of creation."""
        return list(self._users.values())

    # --- what happened ---

    @property
    def calls(self) -> list[Call]:
        """The Bot API calls made so far, oldest first; getUpdates only where it failed."""
        return list(self.world.calls)

    def bot_balance(self, bot: str | int | None = None) -> int:
        """Return a bot's Stars; ``bot`` is a token, a username or an id."""
        return find_bot(self.world, bot).balance

    def transactions(self, bot: str | int | None = None) -> list[LedgerRow]:
        """Return a bot's Star transactions, oldest first."""
        return list(find_bot(self.world, bot).ledger)

    def ledger(self, bot: str | int | None = None) -> BotLedger:
        """Return the handle with which a bot's Star transactions are given a past, or gaps."""
        return BotLedger(self.world, find_bot(self.world, bot))

    def subscriptions(self, bot: str | int | None = None) -> list[Subscription]:
        """Return everybody's subscriptions, to all bots or to one, in the order in which they began.

        Those that are over stay in the list.
        """
        bot_id = None if bot is None else find_bot(self.world, bot).id
        return self.payments.subscriptions.of(bot_id=bot_id)

    def pending_updates(self, bot: str | int | None = None) -> int:
        """Return how many updates wait for a bot, unconfirmed."""
        return len(find_bot(self.world, bot).queue)

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> bool:
        """Wait until a condition holds, looking at each change; at most ``timeout`` real seconds."""
        return await self.world.changed.until(condition, timeout)

    # --- what can be done from outside ---

    def repeat_update(self, receipt: Receipt | str) -> None:
        """Deliver the `successful_payment` update of a charge again: same content, same update id.

        :raises SandboxError: for an attempt that was not charged, or an update that was never queued.
        """
        self.payments.repeat(self._charge(receipt))

    def refund(self, receipt: Receipt | str, *, notify: bool = True) -> None:
        """Refund a charge as another program with the bot's token would: no call of the bot is recorded.

        :param notify: whether the bot gets the `refunded_payment` update; ``False`` loses it.
        :raises SandboxError: when it has been refunded already, or was never charged.
        """
        charge = self._charge(receipt)
        with _explained():
            self.payments.refund(self.world.bots[charge.bot_id], charge.user_id, charge.id, notify=notify)

    def charge_back(self, receipt: Receipt | str, *, row: bool = True) -> None:
        """Take a charge's Stars from the bot because the buyer got their money back from the app store.

        No update comes, the balance may fall below zero, the buyer's Stars stay. All of it is a guess.

        :param row: whether the bot's transactions show it, as they show a refund.
        :raises SandboxError: when it has been refunded already, or was never charged.
        """
        with _explained():
            ledger.charge_back(self.world, self._charge(receipt), shown=row)

    async def call(self, token: str, method: str, params: Mapping[str, Any] | None = None) -> Reply:
        """Make a Bot API call without a socket.

        :param params: strings or decoded JSON; files as `Upload`.
        :raises ConnectionError: when a fault takes the answer.
        """
        return await self._api.call(token, method, params or {})

    def download(self, path: str) -> bytes:
        """Return what ``/file/bot<token>/<path>`` serves: a file by its `file_path`.

        :raises SandboxError: for a file that cannot be downloaded.
        """
        file = self.world.files.at(path)
        if file is None or file.content is None or not file.downloadable:
            raise SandboxError(f"there is no file {path!r} to download")
        return file.content

    def _charge(self, receipt: Receipt | str) -> Charge:
        charge_id = receipt if isinstance(receipt, str) else receipt.transaction_id
        charge = self.world.charges.get(charge_id or "")
        if charge is None:
            failed = isinstance(receipt, Receipt) and receipt.error
            why = f"the payment failed ({failed})" if failed else "nobody has paid with this id"
            raise SandboxError(f"there is no such charge: {why}")
        return charge


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        raise SandboxError(error.description) from error
