"""The doctor: looks for what silently kills sales, at start-up and when asked."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from aiogram import Bot

from aiogram_neonpay.feed import Feed
from aiogram_neonpay.shop import Shop

if TYPE_CHECKING:
    from aiogram_neonpay.diagnosis import Diagnosis

__all__ = ["Doctor"]

logger = logging.getLogger("aiogram_neonpay")

SOON = (2.0, 5.0)
"""Seconds after the start at which it looks by itself."""


class Doctor:
    """Examines the bots of one shop."""

    def __init__(self, shop: Shop, feed: Feed) -> None:
        self._shop = shop
        self._feed = feed
        self._round: asyncio.Task[None] | None = None

    async def examine(self, bot: Bot) -> Diagnosis:
        """Look for everything; what cannot be looked at is a finding itself."""
        from aiogram_neonpay.examination import Examination  # a bot that only sells does not pay for it

        return await Examination(self._shop, self._feed).of(bot)

    def start(self) -> None:
        """Examine every bot soon, and log what is found."""
        if self._shop.timing.passes and (self._round is None or self._round.done()):
            self._round = asyncio.get_running_loop().create_task(self._examine_all())

    async def stop(self) -> None:
        """Look no further."""
        if self._round is not None and self._round.get_loop() is asyncio.get_running_loop():
            self._round.cancel()
            await asyncio.wait([self._round], timeout=1.0)
        self._round = None

    async def _examine_all(self) -> None:
        await asyncio.sleep(random.uniform(*SOON))
        for bot in self._shop.bots:
            for symptom in await self.examine(bot):
                log = logger.warning if symptom.is_severe else logger.info
                log("bot %s: %s", bot.id, symptom)
