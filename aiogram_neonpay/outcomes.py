"""How an attempt to deliver a charge ends, and what is written and said then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiogram import Bot

from aiogram_neonpay.attempts import Attempt
from aiogram_neonpay.events import PaymentStuck, PaymentUnmatched
from aiogram_neonpay.failures import is_cancelled, is_refused_by, name_of
from aiogram_neonpay.ledger.charges import ANNOUNCED, REJECTED, REQUESTED, STUCK, UNMATCHED, Claim, next_step
from aiogram_neonpay.news import News
from aiogram_neonpay.outages import Outages
from aiogram_neonpay.records import in_log, payment_of, user_of
from aiogram_neonpay.retries import Retries
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage
from aiogram_neonpay.worker import Worker

__all__ = ["Outcomes"]

logger = logging.getLogger("aiogram_neonpay")

UNCOUNTED = 5
"""Cancelled attempts of one charge that do not count. Before Python 3.11 a handler whose awaited task was cancelled
looks cancelled itself; it must not be called for ever."""


class Outcomes:
    """Ends attempts to deliver the charges of one shop."""

    def __init__(self, shop: Shop, news: News, worker: Worker, outages: Outages, retries: Retries) -> None:
        self._shop = shop
        self._news = news
        self._worker = worker
        self._outages = outages
        self._retries = retries

    async def settle(
        self,
        bot: Bot,
        claim: Claim,
        *,
        delay: float = 0.0,
        then: Callable[[], None] | None = None,
        **changes: Any,
    ) -> None:
        """End an attempt, and go on with whatever is next.

        :param delay: seconds until the same is tried again, if it is.
        :param then: what follows once that is written, unless there is something else to do.
        :raises Exception: whatever the storage raises; it is written later, as long as the charge is in our hands.
        """

        def written() -> None:
            step = next_step(claim.body)
            if step is not None:
                self._worker.wake(bot, claim.key.name, delay if step == claim.step else 0.0)
            if then is not None and (step is None or step == claim.step):
                then()

        try:
            is_written = await self._shop.charges.give_back(claim, delay=delay, **changes)
        except Exception as error:
            self._outages.end_later(claim, changes, delay, error, written)
            raise
        if is_written:
            written()

    async def give_back(self, claim: Claim, **changes: Any) -> None:
        """Give a charge back to whoever goes on with it, this worker or another."""
        try:
            await self._shop.charges.give_back(claim, **changes)
        except Exception as error:
            self._outages.end_later(claim, changes, 0.0, error, lambda: None)
            raise

    async def refund_instead(self, bot: Bot, claim: Claim, reason: str) -> None:
        """End a delivery and ask for the refund in one step, then send it."""
        logger.info("%s is not delivered but refunded (%s)", claim.in_log, reason)
        await self.settle(bot, claim, state=REJECTED, refund=REQUESTED, refund_reason=reason)

    async def set_aside(self, bot: Bot, claim: Claim, stage: PaymentStage | None, reason: str) -> None:
        """Keep a charge that nothing can deliver where a person finds it, and say so."""
        reference = claim.key.name

        def tell() -> None:
            logger.error(
                "%s is unmatched (%s). redeliver(%r), once what hears it is there, or refund(%r) ends it",
                *(in_log(bot, reference, claim.body), reason, reference, reference),
            )
            event = payment_of(claim.body, reference, stage, PaymentUnmatched, bot=bot, message=None, reason=reason)
            self._news.tell(bot, event, user_of(claim.body))

        await self.settle(bot, claim, then=tell, state=UNMATCHED, reason=reason)

    async def give_up(self, bot: Bot, claim: Claim, reason: str, error: str) -> None:
        """Keep a charge whose delivery cannot go on where a person finds it, and say so."""

        def tell() -> None:
            logger.error(
                "%s is stuck after attempt %s (%s): %s. redeliver(%r) or refund(%r) ends it",
                in_log(bot, claim.key.name, claim.body),
                claim.body["attempts"],
                reason,
                error,
                claim.key.name,
                claim.key.name,
            )
            self.tell_stuck(bot, claim, reason)

        await self.settle(bot, claim, then=tell, state=STUCK, reason=reason, error=error)

    def tell_stuck(self, bot: Bot, claim: Claim, reason: str) -> None:
        """Tell the bot that a charge waits for a person."""
        body = claim.body
        stage = self._shop.catalog.known(body.get("stage"))
        event = payment_of(
            body, claim.key.name, stage, PaymentStuck, bot=bot, message=None, reason=reason, error=body.get("error")
        )
        self._news.tell(bot, event, user_of(body))

    async def failed(self, bot: Bot, claim: Claim, error: BaseException, attempt: Attempt | None) -> None:
        """Write down a failed attempt and set the time of the next one, if there is one.

        It raises nothing when the storage fails: the attempt's own error is the news.
        """
        try:
            await self._end_failed(bot, claim, error, attempt)
        except Exception:
            logger.debug("%s: a failed attempt is written down later", claim.in_log, exc_info=True)

    async def _end_failed(self, bot: Bot, claim: Claim, error: BaseException, attempt: Attempt | None) -> None:
        body = claim.body
        attempts, cancels = body["attempts"], body.get("cancels", 0)
        if isinstance(error, asyncio.CancelledError) and is_cancelled() and cancels < UNCOUNTED:
            # Whoever cancelled the handler did not judge it: the attempt does not count.
            logger.warning("%s: attempt %s was cancelled; it does not count", claim.in_log, attempts)
            await self.give_back(claim, attempts=attempts - 1, cancels=cancels + 1)
            return
        claim.notes["done"] = sorted({*body.get("done", ()), *(attempt.succeeded if attempt is not None else ())})
        if is_refused_by(body.get("recipient", body["user"]), error):
            # The buyer blocked the bot: another attempt would repeat what ran before the refused message.
            await self.give_up(bot, claim, "buyer_unreachable", name_of(error))
            return
        delay = self._retries.pause(attempts - body.get("tried", 0))
        if delay is None:
            await self.give_up(bot, claim, "attempts", name_of(error))
            return
        logger.warning(
            "%s: attempt %s failed (%s); the next one is in %.0f s",
            *(claim.in_log, attempts, name_of(error), delay),
        )
        await self.settle(bot, claim, delay=delay, error=name_of(error))

    async def unheard(self, bot: Bot, claim: Claim, error: BaseException, told: list[str]) -> None:
        """Write down that the news of a refund were not taken, and tell them again later, if that may help."""
        try:
            await self._end_unheard(bot, claim, error, told)
        except Exception:
            logger.debug("%s: news that were not taken are written down later", claim.in_log, exc_info=True)

    async def _end_unheard(self, bot: Bot, claim: Claim, error: BaseException, told: list[str]) -> None:
        tells = claim.body.get("tells", 1)
        if isinstance(error, asyncio.CancelledError) and is_cancelled():
            await self.give_back(claim, tells=tells - 1, told=told)
            return
        delay = None if is_refused_by(claim.body["user"], error) else self._retries.pause(tells)
        if delay is not None:
            await self.settle(bot, claim, delay=delay, told=told, error=name_of(error))
            return

        def tell() -> None:
            logger.error("%s is stuck: its refund is done, but no handler took the news", claim.in_log)
            self.tell_stuck(bot, claim, "refund_unheard")

        await self.settle(bot, claim, then=tell, refund=ANNOUNCED, trouble="refund_unheard", error=name_of(error))
