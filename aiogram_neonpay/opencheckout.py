"""The answer to one pre-checkout query: given once, and insisted on while Telegram waits."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

from aiogram import Bot
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramBadRequest,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.types import PreCheckoutQuery

from aiogram_neonpay.feed import Feed
from aiogram_neonpay.payload import InvoiceToken
from aiogram_neonpay.stages import PaymentStage
from aiogram_neonpay.timing import Timing

__all__ = ["TELEGRAM_WAITS", "OpenCheckout"]

logger = logging.getLogger("aiogram_neonpay")

TELEGRAM_WAITS = 10.0
SILENCE = 3
"""Seconds that one answer may take before it is sent again: aiogram's own minute is longer than Telegram waits."""
QUERY_IS_OVER = re.compile(r"query is too old|QUERY_ID_INVALID")
"""What Telegram says of a query that was answered or is too old."""


class OpenCheckout:
    """One query that wants an answer. The first to claim the answer gives it; nobody answers twice.

    :ivar is_doubtful: whether Telegram may have taken an answer though it did not say so.
    """

    def __init__(
        self, bot: Bot, query: PreCheckoutQuery, token: InvoiceToken | None, feed: Feed, timing: Timing
    ) -> None:
        self.bot = bot
        self._feed = feed
        self.query = query
        self.token = token
        self.stage: PaymentStage | None = None
        self.metadata: dict[str, Any] = {}
        self.answered = False
        self.holds = False
        self.is_doubtful = False
        self._timing = timing
        self._arrived = timing.time()

    def remaining(self, seconds: float) -> float:
        """Return the seconds left of a limit that counts from the arrival of the query."""
        return self._arrived + seconds - self._timing.time()

    async def approve(self) -> None:
        """Say yes, unless it was answered."""
        if not self.answered:
            self.answered = True
            await self._insist(True, None)

    async def decline(self, text: str, usual: str) -> None:
        """Say no, unless it was answered.

        :param text: the sentence for the buyer.
        :param usual: a sentence of ours, in case Telegram refuses that one.
        """
        if self.answered:
            return
        self.answered = True
        try:
            await self._insist(False, text)
        except TelegramBadRequest:
            if text == usual:
                raise
            await self._insist(False, usual)

    async def _insist(self, ok: bool, text: str | None) -> None:
        try:
            await self._send(ok, text)
        except asyncio.CancelledError:
            # Whoever cancelled the update did not mean the answer; a second one is harmless, none is not.
            self._feed.spawn(self._send(ok, text), "the answer to a cancelled checkout")
            raise

    async def _send(self, ok: bool, text: str | None) -> None:
        """Send the answer; passing failures are tried again while Telegram waits, silence included."""
        pause = 0.2
        while True:
            try:
                await self.bot.answer_pre_checkout_query(
                    self.query.id, ok=ok, error_message=text, request_timeout=SILENCE
                )
                return
            except TelegramBadRequest as error:
                if not self.is_doubtful or not QUERY_IS_OVER.search(error.message):
                    raise
                logger.info("a checkout was answered, or was too late, when its answer was sent again")
                return
            except (TelegramNetworkError, TelegramServerError, TelegramRetryAfter, ClientDecodeError) as error:
                # Flood control answers before anything is done; all others may come after Telegram took the answer.
                self.is_doubtful = self.is_doubtful or not isinstance(error, TelegramRetryAfter)
                wait = float(error.retry_after) if isinstance(error, TelegramRetryAfter) else pause
                if self.remaining(TELEGRAM_WAITS) <= wait:
                    raise
                await asyncio.sleep(wait)
                pause = min(2 * pause, 1.0)
