"""How an attempt to deliver a charge ends, and what is written and said then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiogram import Bot

from aiogram_neonpay.attempts import Attempt
from aiogram_neonpay.events import PaymentCompleted, PaymentStuck, PaymentUnmatched
from aiogram_neonpay.failures import is_cancelled, is_refused_by, name_of
from aiogram_neonpay.ledger.charges import DELIVER, REJECTED, REQUESTED, STUCK, UNMATCHED, Claim, next_step
from aiogram_neonpay.news import News
from aiogram_neonpay.outages import Outages
from aiogram_neonpay.records import in_log, payment_of, user_of
from aiogram_neonpay.retries import Retries
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.worker import Worker

__all__ = ["Outcomes"]

logger = logging.getLogger("aiogram_neonpay")


class Outcomes:
    """Ends attempts to deliver the charges of one shop."""

    def __init__(self, shop: Shop, news: News, worker: Worker, outages: Outages, retries: Retries) -> None:
        self._shop = shop
        self._news = news
        self._worker = worker
        self._outages = outages
        self._retries = retries

    async def settle(self, bot: Bot, claim: Claim, *, then: Callable[[], None] | None = None, **changes: Any) -> None:
        """End an attempt; a refund that was asked for meanwhile is next.

        :param then: what follows once that is written, unless a refund does.
        """

        def written() -> None:
            if next_step(claim.body) is not None:
                self._worker.wake(bot, claim.key.name)
            elif then is not None:
                then()

        try:
            settled = await self._shop.charges.settle(claim, **changes)
        except Exception as error:
            self._outages.settle_later(claim, changes, error, written)
            raise
        if settled:
            written()

    async def refund_instead(self, bot: Bot, claim: Claim, reason: str) -> None:
        """End a delivery and ask for the refund in one step, then send it."""
        logger.info("payment %s is not delivered but refunded (%s)", claim.key.name, reason)
        await self.settle(bot, claim, state=REJECTED, refund=REQUESTED, refund_reason=reason)

    async def set_aside(self, bot: Bot, claim: Claim, attempt: Attempt, reason: str) -> None:
        """Keep a charge that nothing could deliver where a person finds it, and say so."""
        reference = claim.key.name

        def tell() -> None:
            logger.error(
                "%s is unmatched (%s). redeliver(%r), once what hears it is there, or refund(%r) ends it",
                in_log(bot, reference, claim.body),
                reason,
                reference,
                reference,
            )
            event = attempt.event
            if isinstance(event, PaymentCompleted):
                fields = {**vars(event), "message": None}
                fields.pop("subscription", None)
                self._news.tell(bot, PaymentUnmatched(**fields, reason=reason), user_of(claim.body))

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
        body = claim.body
        stage = self._shop.catalog.known(body.get("stage"))
        event = payment_of(
            body, claim.key.name, stage, PaymentStuck, bot=bot, message=None, reason=reason, error=body.get("error")
        )
        self._news.tell(bot, event, user_of(body))

    async def failed(self, bot: Bot, claim: Claim, error: BaseException, attempt: Attempt | None) -> None:
        """Write down a failed attempt and set the time of the next one, if there is one."""
        charges, reference, body = self._shop.charges, claim.key.name, claim.body
        attempts = body["attempts"]
        if isinstance(error, asyncio.CancelledError) and is_cancelled():
            # Whoever cancelled the handler did not judge it: the attempt does not count.
            await charges.give_back(claim, attempts=attempts - 1)
            return
        done = sorted({*body.get("done", ()), *(attempt.succeeded if attempt is not None else ())})
        claim.notes["done"] = done
        if is_refused_by(body["user"], error):
            # The buyer blocked the bot: another attempt would repeat what ran before the refused message.
            await self.give_up(bot, claim, "buyer_unreachable", name_of(error))
            return
        delay = self._retries.pause(attempts - body.get("tried", 0))
        if delay is None:
            await self.give_up(bot, claim, "attempts", name_of(error))
            return
        await charges.give_back(claim, delay=delay, error=name_of(error))
        if next_step(claim.body) != DELIVER:
            delay = 0.0
        logger.warning(
            "%s: attempt %s failed (%s); the next one is in %.0f s",
            in_log(bot, reference, body),
            attempts,
            name_of(error),
            delay,
        )
        self._worker.wake(bot, reference, delay)
