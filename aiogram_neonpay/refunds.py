"""Giving Stars back: asked for in the ledger first, then at Telegram, then announced to the bot's handlers."""

from __future__ import annotations

import logging
from typing import Any

from aiogram import Bot
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)

from aiogram_neonpay.errors import PaymentNotFoundError, RefundError
from aiogram_neonpay.feed import Feed
from aiogram_neonpay.ledger.base import RecordKey
from aiogram_neonpay.ledger.charges import ANNOUNCED, REFUNDED, REQUESTED, is_reference
from aiogram_neonpay.models import PaymentResult, PaymentStatus
from aiogram_neonpay.records import user_of
from aiogram_neonpay.shop import Shop

__all__ = ["CLAIM", "Refunds"]

logger = logging.getLogger("aiogram_neonpay")

CLAIM = "neonpay_claim"
"""Key under which the claim of a refund travels with the update that announces it."""


class Refunds:
    """Refunds charges of one shop. One charge has one refund, however often it is asked for."""

    def __init__(self, shop: Shop, feed: Feed) -> None:
        self._shop = shop
        self._feed = feed

    async def refund(self, bot: Bot, payment_id: str, reason: str | None, user_id: int | None) -> PaymentResult:
        """Refund a charge in full (Bot API ``refundStarPayment`` knows no partial refunds).

        :return: the payment, REFUNDED, also when it was refunded before.
        :raises PaymentNotFoundError: when the ledger does not know it and no ``user_id`` is given.
        :raises RefundError: when Telegram refuses or cannot be reached; asking again is safe.
        """
        found = await self._shop.charges.find(bot.id, payment_id, user_id)
        if found is None:
            if user_id is None or is_reference(payment_id):
                raise PaymentNotFoundError(payment_id)
            await self._ask_telegram(bot, user_id, payment_id)
            return PaymentResult(user_id, 0, status=PaymentStatus.REFUNDED, transaction_id=payment_id, is_ours=False)
        key, record = found
        if record.get("refund") not in (REFUNDED, ANNOUNCED):
            record = await self._carry_out(bot, key, reason)
        return await self._shop.payment(record, key.name)

    def start(self, bot: Bot, reference: str) -> None:
        """Refund a charge in the background; its request stands in the ledger already."""
        self._feed.spawn(self.refund(bot, reference, None, None), f"the refund of payment {reference}")

    async def _carry_out(self, bot: Bot, key: RecordKey, reason: str | None) -> dict[str, Any]:
        charges = self._shop.charges

        def request(known: dict[str, Any]) -> dict[str, Any] | None:
            if known.get("refund"):
                return None
            return {"refund": REQUESTED, "reason": reason} if reason else {"refund": REQUESTED}

        def withdraw(known: dict[str, Any]) -> dict[str, Any] | None:
            return {"refund": None} if known.get("refund") == REQUESTED else None

        def confirm(known: dict[str, Any]) -> dict[str, Any] | None:
            return {"refund": REFUNDED} if known.get("refund") in (None, REQUESTED) else None

        record = await charges.change(key, request)
        if record is None:
            raise PaymentNotFoundError(key.name)
        try:
            await self._ask_telegram(bot, record["user"], record["charge"])
        except RefundError as error:
            if error.is_final:
                await charges.change(key, withdraw)
            raise
        record = await charges.change(key, confirm) or record
        logger.info("payment %s of %s Stars was refunded", key.name, record["amount"])
        if self._shop.dispatcher is not None:
            self._feed.spawn(self._announce(bot, record), f"the news of the refund of payment {key.name}")
        return record

    async def _ask_telegram(self, bot: Bot, user_id: int, charge: str) -> None:
        try:
            await bot.refund_star_payment(user_id=user_id, telegram_payment_charge_id=charge)
        except TelegramRetryAfter as error:
            raise RefundError(
                f"the refund waits: Telegram asks to try again in {error.retry_after} s", retry_after=error.retry_after
            ) from error
        except (TelegramNetworkError, TelegramServerError, ClientDecodeError) as error:
            raise RefundError("the refund may not have reached Telegram: ask again, it is done once at most") from error
        except TelegramAPIError as error:
            # The money is back, whoever sent it: that is what was asked for.
            if "CHARGE_ALREADY_REFUNDED" not in error.message:
                raise RefundError(f"Telegram refused the refund: {error.message}", is_final=True) from error

    async def _announce(self, bot: Bot, record: dict[str, Any]) -> None:
        """Let the bot hear of a refund; Telegram's own message may tell it first, or again."""
        dispatcher = self._shop.dispatcher
        claim = await self._shop.charges.claim_refund(bot.id, record)
        if claim is None or dispatcher is None:
            return
        refunded = {
            "currency": record["currency"],
            "total_amount": record["amount"],
            "invoice_payload": "",
            "telegram_payment_charge_id": record["charge"],
        }
        await self._feed.event(
            dispatcher, bot, user_of(record), int(self._shop.clock()), {CLAIM: claim}, refunded_payment=refunded
        )
