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
        self._loop: asyncio.AbstractEventLoop | None = None

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
                    logger.critical(
                        "%s was not recorded before the end: reconcile() finds it", in_log(bot, reference, facts)
                    )
                    raise
            else:
                logger.warning("%s is recorded after all", in_log(bot, reference, facts))
                self._worker.wake(bot, reference)
                return

    def end_later(
        self, claim: Claim, changes: dict[str, Any], delay: float, error: Exception, written: Callable[[], None]
    ) -> None:
        """Write the end of an attempt as soon as the storage answers, while the charge is still in our hands.

        :param delay: seconds until the next attempt, if one follows.
        :param written: what follows then.
        """
        logger.error(
            "%s: the end of an attempt cannot be written (%s: %s); if it cannot be within %.0f s, another follows",
            *(claim.in_log, type(error).__name__, error, self._shop.charges.leases.seconds),
        )
        self._feed.spawn(self._end(claim, changes, delay, written), f"ending an attempt of payment {claim.key.name}")

    async def _end(self, claim: Claim, changes: dict[str, Any], delay: float, written: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._shop.charges.leases.seconds, 0.25
        while True:
            closing = await self._pause(pause)
            pause = min(2 * pause, 5.0)
            try:
                is_written = await self._shop.charges.give_back(claim, delay=delay, **changes)
            except Exception:
                if closing or loop.time() >= until:
                    logger.critical("%s: the end of an attempt was not written; another one follows", claim.in_log)
                    raise
            else:
                if is_written:
                    logger.warning("%s: the end of an attempt is written after all", claim.in_log)
                    written()
                return

    async def _pause(self, seconds: float) -> bool:
        """Wait for a while, or for the end of the process; return whether that has come."""
        loop = asyncio.get_running_loop()
        if self._closing is None or self._loop is not loop:  # a dispatcher may outlive an event loop
            self._closing, self._loop = asyncio.Event(), loop
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True
