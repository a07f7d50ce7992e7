"""The club's bot: what it sells, its workers, and a journal of what their handlers did."""

from __future__ import annotations

import asyncio
import random
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

from aiogram import Bot, Dispatcher
from aiogram.fsm.storage.base import BaseStorage

from aiogram_neonpay import NeonPay, PaymentStage, neonpay_router
from aiogram_neonpay.events import PaymentEvent
from aiogram_neonpay.sandbox import Sandbox, SandboxSession
from aiogram_neonpay.testing.rehearsal import installations, rehearsing

__all__ = ["DAY", "MONTH", "STAGES", "Entry", "Journal", "Worker"]

DAY = 86_400
MONTH = 30 * DAY
STAGES = {
    "club": PaymentStage("Club", "The members' club", 100, subscription=True, access="club"),
    "gold": PaymentStage("Gold", "The same with a badge", 250, subscription=True, access="club"),
    "pass": PaymentStage("Pass", "Ten days of the club", 40, access="club", access_for=10 * DAY),
    "pack": PaymentStage("Pack", "Five pictures within two months", 15, access="pictures", uses=5, access_for=60 * DAY),
}
HEARD = (
    "subscription_started",
    "subscription_renewed",
    "subscription_canceled",
    "subscription_restored",
    "subscription_failed",
    "subscription_expired",
    "completed",
    "refunded",
)


class Entry(NamedTuple):
    """One event that a handler was done with.

    :ivar key: the charge, or else the subscription.
    """

    kind: str
    user_id: int
    subscription: str | None
    key: str
    at: float


class Journal:
    """What the handlers of all workers were done with, in that order.

    Whether a handler fails depends on the event, its attempt and the seed alone, not on who comes first.
    """

    def __init__(self, sandbox: Sandbox, seed: int, share: float) -> None:
        self._sandbox = sandbox
        self._seed = seed
        self.share = share
        self.entries: list[Entry] = []

    async def hear(self, event: Any) -> None:
        kind = type(event).__name__
        subscription = getattr(event, "subscription", None)
        name = None if subscription is None else subscription.transaction_id
        key = str(event.transaction_id if isinstance(event, PaymentEvent) else name)
        dice = random.Random(f"{self._seed} {kind} {key} {event.attempt} {int(self._sandbox.clock.now())}")
        if dice.random() < self.share:
            raise RuntimeError("the database of the club is away")
        self.entries.append(Entry(kind, event.user_id, name, key, self._sandbox.clock.now()))


class Worker:
    """One process of the bot."""

    def __init__(self, sandbox: Sandbox, token: str, storage: BaseStorage, journal: Journal) -> None:
        self.bot = Bot(token, session=SandboxSession(sandbox))
        self.pay: NeonPay = neonpay_router(STAGES, bot=self.bot, grace=DAY)
        self.dispatcher = Dispatcher()
        self.dispatcher.include_router(self.pay)
        for name in HEARD:
            getattr(self.pay, name).register(journal.hear)
        self._loan = ExitStack()
        self._loan.enter_context(rehearsing(self.dispatcher, sandbox.clock, storage))

    async def start(self) -> None:
        await self.dispatcher.emit_startup(bot=self.bot, bots=(self.bot,))

    async def stop(self) -> None:
        await self.dispatcher.emit_shutdown(bot=self.bot)
        await self.bot.session.close()
        self._loan.close()

    async def feed(self, update: dict[str, Any]) -> None:
        with suppress(RuntimeError):  # a handler failed; the ledger knows
            await self.dispatcher.feed_raw_update(self.bot, update)

    async def read_ledger(self) -> None:
        """Do what the timer would: read Telegram's own ledger, if it is time."""
        for installation in installations(self.dispatcher):
            await installation.reconciler.run_due()

    async def go_on(self) -> int:
        """Do what is due, and wait for what goes on in the background."""
        [installation] = installations(self.dispatcher)
        done = await installation.worker.run_due()
        while tasks := installation.feed.tasks:
            # Such as the news of a refund: the clock is not to move on while somebody holds a charge.
            done += len(tasks)
            await asyncio.wait(tasks)
        return done
