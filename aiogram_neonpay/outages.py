"""What is written later when the storage does not answer: a payment that came, the end of a delivery."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiogram import Bot

from aiogram_neonpay.feed import Feed
from aiogram_neonpay.ledger.charges import Claim, reference_of
from aiogram_neonpay.records import in_log
from aiogram_neonpay.retries import endless_pause
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.worker import Worker

__all__ = ["Outages"]

logger = logging.getLogger("aiogram_neonpay")


class Outages:
    """Keeps trying to write, for as long as it helps and the process lives."""

    def __init__(self, shop: Shop, feed: Feed, worker: Worker) -> None:
        self._shop = shop
        self._feed = feed
        self._worker = worker
        self._closing: asyncio.Event | None = None

    def close(self) -> None:
        """Let everything that waits make its last try."""
        if self._closing is not None:
            self._closing.set()
            self._closing = None

    def record_later(self, bot: Bot, facts: dict[str, Any], error: Exception) -> None:
        """Record a payment as soon as the storage answers, for a worker to deliver; reconciliation is the last net."""
        reference = reference_of(facts["charge"], facts["user"])
        logger.error(
            "%s cannot be recorded (%s: %s): no handler runs, recording is tried again",
            in_log(bot, reference, facts),
            type(error).__name__,
            error,
        )
        self._feed.spawn(self._record(bot, facts, reference), f"recording payment {reference}")

    async def _record(self, bot: Bot, facts: dict[str, Any], reference: str) -> None:
        tries, closing = 0, False
        while True:
            tries += 1
            closing = await self._pause(endless_pause(tries))
            try:
                await self._shop.charges.note(bot.id, facts)
            except Exception:
                if closing:
                    logger.critical("payment %s was not recorded before the end: reconcile() finds it", reference)
                    raise
            else:
                logger.warning("payment %s is recorded after all", reference)
                self._worker.wake(bot, reference)
                return

    def settle_later(
        self, claim: Claim, changes: dict[str, Any], error: Exception, written: Callable[[], None]
    ) -> None:
        """Write the end of a delivery as soon as the storage answers, while the charge is still in our hands.

        :param written: what follows then.
        """
        logger.error(
            "payment %s: the end of its delivery cannot be written (%s: %s); if it cannot be within %.0f s, another "
            "attempt follows",
            claim.key.name,
            type(error).__name__,
            error,
            self._shop.charges.leases.seconds,
        )
        self._feed.spawn(self._settle(claim, changes, written), f"settling payment {claim.key.name}")

    async def _settle(self, claim: Claim, changes: dict[str, Any], written: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._shop.charges.leases.seconds, 0.25
        while True:
            closing = await self._pause(pause)
            pause = min(2 * pause, 5.0)
            try:
                settled = await self._shop.charges.settle(claim, **changes)
            except Exception:
                if closing or loop.time() >= until:
                    raise
            else:
                if settled:
                    logger.warning("payment %s: the end of its delivery is written after all", claim.key.name)
                    written()
                return

    async def _pause(self, seconds: float) -> bool:
        """Wait for a while, or for the end of the process; return whether that has come."""
        if self._closing is None:
            self._closing = asyncio.Event()
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True
