"""Reconciliation: what Telegram's own ledger says and ours does not is repaired, by the way of every payment.

An update can be lost: the bot was down for more than a day, ``drop_pending_updates`` threw it away, the storage was
down when it came. The row in Telegram's ledger stays. A charge found there is recorded as due, and a worker delivers
it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import datetime, timezone
from math import inf
from typing import TYPE_CHECKING, Any

from aiogram import Bot
from aiogram.exceptions import TelegramNetworkError, TelegramRetryAfter, TelegramServerError

from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.worker import Worker

if TYPE_CHECKING:
    from aiogram_neonpay.findings import ReconcileReport
    from aiogram_neonpay.reading import Reading

__all__ = ["RECONCILE_EVERY", "Reconciler"]

logger = logging.getLogger("aiogram_neonpay")

RECONCILE_EVERY = 900.0
"""Seconds between two readings."""
READING = 120.0
"""Seconds for which a worker that begins a reading keeps the others' timers from it."""


class Reconciler:
    """Reconciles the ledgers of one shop's bots.

    :param every: seconds between two readings of the timer, or ``None``.
    :ivar on_report: is called with the report of every reading that was no dry run.
    """

    def __init__(self, shop: Shop, worker: Worker, every: float | None) -> None:
        if every is not None and (
            isinstance(every, bool) or not isinstance(every, (int, float)) or not 60 <= every < inf
        ):
            raise ValidationError("reconcile_every", "must be seconds, 60 or more, or None", every)
        self._shop = shop
        self._worker = worker
        self._every = every
        self._timer: asyncio.Task[None] | None = None
        self._asked: dict[int, asyncio.Task[bool]] = {}
        self.on_report: Callable[[Bot, ReconcileReport], None] | None = None

    async def open(self) -> None:
        """Set the baseline of every bot that has none: what was paid before the first start is none of ours."""
        for bot in self._shop.bots:
            try:
                await self._state(bot)
            except Exception as error:
                # The timer does it as soon as the storage answers; a bot may start before its storage.
                logger.error("the storage does not answer (%s: %s)", type(error).__name__, error)

    def start(self) -> None:
        """Begin to reconcile by the timer; may be repeated."""
        loop = asyncio.get_running_loop()
        if self._every is None or not self._shop.timing.passes:
            return
        if self._timer is None or self._timer.done() or self._timer.get_loop() is not loop:
            self._timer = loop.create_task(self._run_by_timer(self._every))

    async def stop(self) -> None:
        """Stop the timer; a reading that is cut off is begun anew by the next start."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.get_loop() is asyncio.get_running_loop():
            timer.cancel()
            await asyncio.wait([timer], timeout=1.0)

    async def _run_by_timer(self, every: float) -> None:
        loop = asyncio.get_running_loop()
        following: dict[int, float] = {}
        while True:
            await asyncio.sleep(random.uniform(1.0, 3.0) if not following else min(every, 15.0))
            for bot in self._shop.bots:
                if following.get(bot.id, 0.0) <= loop.time():
                    following[bot.id] = loop.time() + every * random.uniform(0.9, 1.0)
                    await self._run_one(bot, every)

    async def run_due(self) -> None:
        """Do what the timer would do by now, where time does not pass by itself."""
        if self._every is None:
            return
        for bot in self._shop.bots:
            state = await self._state(bot)
            if self._shop.clock() - state.get("read_at", state["baseline"]) >= self._every:
                await self._run_one(bot, self._every)

    async def _run_one(self, bot: Bot, every: float) -> None:
        try:
            if not await self._is_first(bot, every):
                return
            report = await self.run(bot, None, dry_run=False)
        except Exception as error:
            logger.warning(
                "bot %s was not reconciled (%s: %s); the timer tries again", bot.id, type(error).__name__, error
            )
            return
        log = logger.info if report.is_clean else logger.warning
        log("%s", report)

    async def is_read(self, bot: Bot, moment: float) -> bool:
        """Whether everything that Telegram charged until a moment is known; what can be read now is read.

        Where the ledger is not to be read, or is none that can be, what is known is all there is.
        """
        if self._every is None:
            return True
        if await self._knows(bot, moment):
            return True
        reading = self._asked.get(bot.id)
        if reading is None or reading.done() or reading.get_loop() is not asyncio.get_running_loop():
            # Those who ask meanwhile wait for the same reading.
            reading = self._asked[bot.id] = asyncio.ensure_future(self._read_for(bot))
        return await asyncio.shield(reading) or await self._knows(bot, moment)

    async def _knows(self, bot: Bot, moment: float) -> bool:
        state = await self._shop.readings.open(bot.id, self._shop.clock())
        return bool(state.get("judged", 0.0) >= moment)

    async def _read_for(self, bot: Bot) -> bool:
        """Read the ledger for who asks; tell whether it is none that can be read."""
        try:
            if await self._is_first(bot, 0.0):
                await self.run(bot, None, dry_run=False)
        except (TelegramNetworkError, TelegramServerError, TelegramRetryAfter) as error:
            logger.warning("bot %s: Telegram's ledger cannot be read now (%s)", bot.id, error)
        except Exception:
            logger.exception("bot %s: Telegram's ledger cannot be read", bot.id)
            return True
        return False

    async def _is_first(self, bot: Bot, every: float) -> bool:
        """Whether no other worker reads this bot's ledger now, or has just read it."""
        now = self._shop.clock()
        mine = False

        def take(known: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal mine
            # A time that lies ahead was set by a clock that was wrong.
            is_read = 0 <= known.get("reading_until", 0.0) - now <= READING
            was_read = 0 <= now - known.get("read_at", 0.0) < every / 2
            mine = not is_read and not was_read
            return {"reading_until": now + READING} if mine else None

        await self._state(bot)
        await self._shop.readings.change(bot.id, take)
        return mine

    async def _state(self, bot: Bot, *, keep: bool = True) -> dict[str, Any]:
        shop = self._shop
        return await shop.readings.open(bot.id, shop.clock(), adopts=shop.legacy is not None, keep=keep)

    async def run(self, bot: Bot, since: float | None, *, dry_run: bool) -> ReconcileReport:
        """Read and repair once."""
        from aiogram_neonpay.reading import Reading  # the first reading pays for it, not every start

        state = await self._state(bot, keep=not dry_run)
        reading = Reading(self._shop, bot, state, since, dry_run)
        try:
            report = await reading.run()
        except Exception as error:
            if reading.cut_at is not None:
                moment = datetime.fromtimestamp(reading.cut_at, timezone.utc)
                logger.warning(
                    "bot %s: the reading of Telegram's ledger was cut off (%s); what is older than %s is recorded, "
                    "and the next reading goes on from there",
                    *(bot.id, type(error).__name__, f"{moment:%Y-%m-%d %H:%M} UTC"),
                )
                await self._keep(bot, reading)
            raise
        if not dry_run:
            await self._keep(bot, reading)
            if self.on_report is not None:
                self.on_report(bot, report)
        return report

    async def _keep(self, bot: Bot, reading: Reading) -> None:
        """Remember how far a reading came, and have delivered what it found."""
        await self._shop.readings.change(bot.id, reading.progress)
        if self._worker.is_running:
            for name in reading.due:
                self._worker.wake(bot, name)
