"""Giving Stars back: asked for in the ledger first, then at Telegram until it confirms, then announced to the bot."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import Any

from aiogram import Bot
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)

from aiogram_neonpay.errors import PaymentNotFoundError, RefundError
from aiogram_neonpay.events import PaymentStuck
from aiogram_neonpay.failures import name_of
from aiogram_neonpay.feed import Feed
from aiogram_neonpay.ledger.base import RecordKey
from aiogram_neonpay.ledger.charges import (
    ANNOUNCE_REFUND,
    DELIVERED,
    REFUNDED,
    REQUESTED,
    SEND_REFUND,
    STUCK,
    WRAPPED,
    Claim,
    is_reference,
    is_refunded,
)
from aiogram_neonpay.mediasales import MediaSales
from aiogram_neonpay.models import PaymentResult, PaymentStatus
from aiogram_neonpay.news import News
from aiogram_neonpay.records import in_log, payment_of, refunded_message, user_of
from aiogram_neonpay.retries import endless_pause
from aiogram_neonpay.shop import Shop

__all__ = ["CLAIM", "Refunds", "delivering"]

logger = logging.getLogger("aiogram_neonpay")

CLAIM = "neonpay_claim"
"""Key under which a claim travels with the update that is fed for it."""
PATIENCE = 10.0
"""Seconds that a caller waits for a delivery that is running. It may itself wait for the caller's isolation lock."""
TROUBLE = 8
"""Sends of one refund after which a person is told; it is tried on all the same."""

delivering: ContextVar[RecordKey | None] = ContextVar("neonpay_delivering", default=None)
"""The charge whose handlers run in this context: they may refund it and must not wait for themselves."""


class Refunds:
    """Refunds charges of one shop. One charge has one refund, however often it is asked for."""

    def __init__(self, shop: Shop, feed: Feed, news: News) -> None:
        self._shop = shop
        self._feed = feed
        self._news = news
        self._media = MediaSales(shop)

    async def refund(
        self, bot: Bot, payment_id: str, reason: str | None, user_id: int | None, wait: bool
    ) -> PaymentResult:
        """Refund a charge in full (Bot API ``refundStarPayment`` knows no partial refunds).

        :param wait: for Telegram's word; else the request is recorded, and sent in the background.
        :return: the payment, REFUNDED, also when it was refunded before; COMPLETED when not waited for.
        :raises PaymentNotFoundError: when the ledger does not know it and no ``user_id`` is given.
        :raises RefundError: when Telegram refuses or cannot be reached yet.
        """
        found = await self._shop.charges.find(bot.id, payment_id, user_id)
        if found is None:
            if user_id is None or is_reference(payment_id):
                raise PaymentNotFoundError(payment_id)
            try:
                await self._ask_telegram(bot, user_id, payment_id)
            except RefundError as error:
                if error.is_final:
                    raise
                told = "Telegram has not confirmed the refund, and the ledger does not know the charge: ask again"
                raise RefundError(told, retry_after=error.retry_after) from error
            return PaymentResult(user_id, 0, status=PaymentStatus.REFUNDED, transaction_id=payment_id, is_ours=False)
        key, record = found
        if not is_refunded(record):
            record = await self._request(key, reason)
            if not wait:
                self._feed.spawn(self._send_if_free(bot, key), f"the refund of payment {key.name}")
            elif delivering.get() == key:
                record = await self._send_from_inside(bot, key, record)
            else:
                record = await self._send_and_wait(bot, key)
        return await self._shop.payment(record, key.name)

    async def _request(self, key: RecordKey, reason: str | None) -> dict[str, Any]:
        def request(known: dict[str, Any]) -> dict[str, Any] | None:
            if known.get("refund"):
                return None
            trouble = {"trouble": None} if known.get("trouble") else {}
            return {"refund": REQUESTED, **({"refund_reason": reason} if reason else {}), **trouble}

        record = await self._shop.charges.change(key, request)
        if record is None:
            raise PaymentNotFoundError(key.name)
        return record

    async def _send_and_wait(self, bot: Bot, key: RecordKey) -> dict[str, Any]:
        """Send a requested refund, or wait for who holds the charge: an attempt to deliver it, or another sender."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + PATIENCE, 0.02
        while True:
            claim = await self._shop.charges.claim(bot.id, key.name, hurry=True)
            if claim is not None and claim.step == SEND_REFUND:
                await self.send(bot, claim, awaited=True)
                self._feed.spawn(self.announce(bot, claim), f"the news of the refund of payment {key.name}")
                return claim.body
            if claim is not None and claim.step == ANNOUNCE_REFUND:
                self._feed.spawn(self.announce(bot, claim), f"the news of the refund of payment {key.name}")
                return claim.body
            if claim is not None:  # it was refused to another sender, and the delivery may go on
                await self._shop.charges.give_back(claim, attempts=claim.body["attempts"] - 1)
            record = (await self._shop.charges.read(bot.id, [key.name]))[0]
            if record is None:
                raise PaymentNotFoundError(key.name)
            if is_refunded(record):
                return record
            if record.get("refund") != REQUESTED:
                raise RefundError(f"Telegram refused the refund: {record.get('error')}", is_final=True)
            if loop.time() >= until:
                raise RefundError("the refund is recorded and will be sent: a delivery of the payment is still running")
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    async def _send_if_free(self, bot: Bot, key: RecordKey) -> None:
        """Send a requested refund, unless somebody holds the charge: they go on with it."""
        claim = await self._shop.charges.claim(bot.id, key.name)
        if claim is not None:
            await self.go_on(bot, claim)

    async def go_on(self, bot: Bot, claim: Claim) -> None:
        """Do what is next for a refund: send it, announce it, or both."""
        if claim.step == SEND_REFUND:
            try:
                await self.send(bot, claim)
            except RefundError as error:
                if error.is_final:
                    self._tell_refused(bot, claim)
                else:
                    logger.warning("%s: %s", claim.in_log, error)
                return
        await self.announce(bot, claim)

    async def send(self, bot: Bot, claim: Claim, *, awaited: bool = False) -> None:
        """Send a refund that is held, and keep the charge for the news; on failure give it back.

        :param awaited: whether whoever asked for it hears what becomes of it.
        :raises RefundError: when Telegram refused, or did not confirm; then it will be sent again.
        """
        charges, body = self._shop.charges, claim.body
        try:
            await self._ask_telegram(bot, body["user"], await self._media.charge_of(bot, body))
        except RefundError as error:
            if error.is_final:
                await charges.settle(claim, **_refused(body, error, awaited=awaited))
            else:
                pause = error.retry_after or endless_pause(body["sends"])
                is_trouble = body["sends"] >= TROUBLE and not body.get("trouble")
                trouble = {"trouble": "refund_delayed"} if is_trouble else {}
                await charges.give_back(claim, delay=pause, error=str(error)[:200], **trouble)
                if is_trouble:
                    logger.error(
                        "%s: its refund is still not confirmed after %s requests (%s); it is sent again",
                        *(claim.in_log, body["sends"], error),
                    )
                    self._tell_stuck(bot, claim, "refund_delayed")
            raise
        except BaseException:
            # Cancelled, most likely. Telegram may have done it: the next try is told so and counts it as done.
            await charges.give_back(claim)
            raise
        try:
            await charges.advance(claim, refund=REFUNDED, trouble=None, tells=body.get("tells", 0) + 1)
        except BaseException:
            # Telegram has done it, and says so when it is sent again by whoever takes the charge over.
            charges.leases.let_go(claim)
            raise
        logger.info("%s was refunded", claim.in_log)

    async def _send_from_inside(self, bot: Bot, key: RecordKey, record: dict[str, Any]) -> dict[str, Any]:
        """Send the refund of a charge from its own handler, which holds it; the news follow when that returned."""
        try:
            await self._ask_telegram(bot, record["user"], await self._media.charge_of(bot, record))
        except RefundError as error:
            if error.is_final:
                changes: dict[str, Any] = {"refund": None}
            else:
                changes = {"refund_after": self._shop.clock() + (error.retry_after or endless_pause(1))}
            await self._shop.charges.change(key, lambda known: changes if known.get("refund") == REQUESTED else None)
            raise
        logger.info("%s was refunded", in_log(bot, key.name, record))
        return await self._shop.charges.mark_refunded(key) or record

    async def announce(self, bot: Bot, claim: Claim) -> None:
        """Let the bot hear of a refund; a process without a dispatcher leaves that to one that has."""
        dispatcher, charges, body = self._shop.dispatcher, self._shop.charges, claim.body
        if claim.lost:
            return  # whoever took it over announces it
        if dispatcher is None:
            await charges.give_back(claim, tells=body.get("tells", 1) - 1)
            return
        at = int(self._shop.clock())
        try:
            await self._feed.event(dispatcher, bot, user_of(body), at, {CLAIM: claim}, **refunded_message(body))
        finally:
            charges.leases.let_go(claim)

    def _tell_refused(self, bot: Bot, claim: Claim) -> None:
        logger.error("%s is stuck: Telegram refuses its refund (%s)", claim.in_log, claim.body.get("error"))
        self._tell_stuck(bot, claim, "refund_refused")

    def _tell_stuck(self, bot: Bot, claim: Claim, reason: str) -> None:
        body = claim.body
        stage = self._shop.catalog.known(body.get("stage"))
        event = payment_of(
            body, claim.key.name, stage, PaymentStuck, bot=bot, message=None, reason=reason, error=body["error"]
        )
        self._news.tell(bot, event, user_of(body))

    async def _ask_telegram(self, bot: Bot, user_id: int, charge: str) -> None:
        try:
            await bot.refund_star_payment(user_id=user_id, telegram_payment_charge_id=charge)
        except TelegramRetryAfter as error:
            raise RefundError(
                f"the refund waits: Telegram asks to try again in {error.retry_after} s", retry_after=error.retry_after
            ) from error
        except (TelegramNetworkError, TelegramServerError, ClientDecodeError) as error:
            raise RefundError(
                "Telegram has not confirmed the refund: it is recorded and sent again until it does"
            ) from error
        except TelegramAPIError as error:
            # The money is back, whoever sent it: that is what was asked for.
            if "CHARGE_ALREADY_REFUNDED" in error.message:
                return
            # Only a request that is wrong by itself stays wrong; a revoked token (401) may be replaced.
            is_final = isinstance(error, (TelegramBadRequest, TelegramForbiddenError))
            raise RefundError(f"Telegram refused the refund: {error.message}", is_final=is_final) from error
        except Exception as error:
            # Of the bot's own session, or of a middleware of it: nobody knows how far the request came.
            raise RefundError(
                f"Telegram has not confirmed the refund ({name_of(error)}): it is recorded and sent again until it does"
            ) from error


def _refused(body: dict[str, Any], error: RefundError, *, awaited: bool) -> dict[str, Any]:
    """Return what becomes of a charge whose refund Telegram refuses."""
    if body["state"] in (DELIVERED, WRAPPED):
        # Nothing is owed to the buyer, and a gift may be opened; but if nobody waited for the answer, a person has to
        # hear it.
        return {"refund": None, "trouble": None if awaited else "refund_refused", "error": str(error)[:200]}
    return {"refund": None, "trouble": None, "state": STUCK, "reason": "refund_refused", "error": str(error)[:200]}
