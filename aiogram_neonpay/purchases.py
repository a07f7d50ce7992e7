"""The update that tells of sold paid media (Bot API ``PaidMediaPurchased``): recorded, then carried as a payment is.

No message comes with it. So that handlers run inside the middlewares that they always run in, with the buyer's chat and
state, it is carried by a message of our own; plain handlers of ``purchased_paid_media`` get the update itself.
"""

from __future__ import annotations

import logging
from typing import Any

from aiogram import Bot
from aiogram.dispatcher.middlewares.user_context import (
    EVENT_CHAT_KEY,
    EVENT_CONTEXT_KEY,
    EVENT_FROM_USER_KEY,
    EventContext,
)
from aiogram.types import Update

from aiogram_neonpay.delivery import Delivery
from aiogram_neonpay.feed import Feed
from aiogram_neonpay.hooks import Next
from aiogram_neonpay.ledger.leases import Claim
from aiogram_neonpay.mediasales import facts_of_purchase
from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.payload import looks_ours
from aiogram_neonpay.records import user_of
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.way import PURCHASE

__all__ = ["Purchases"]

logger = logging.getLogger("aiogram_neonpay")


class Purchases:
    """Takes in the sales of paid media of one shop."""

    def __init__(self, shop: Shop, feed: Feed, delivery: Delivery) -> None:
        self._shop = shop
        self._feed = feed
        self._delivery = delivery

    async def on_purchased(self, handler: Next, update: Update, data: dict[str, Any]) -> Any:
        """Record a sale and take the right to deliver it, then deliver it; leave media of others to the bot."""
        bot: Bot = data["bot"]
        sold = update.purchased_paid_media
        assert sold is not None
        user, payload = sold.from_user, sold.paid_media_payload
        if not looks_ours(payload):
            # Telegram tells neither what it cost nor the charge.
            data["payment"] = PaymentResult(user.id, 0, chat_id=user.id, is_ours=False, is_media=True)
            data["stage"] = None
            return await handler(update, data)
        token = self._shop.signer(bot).verify(payload)
        facts = facts_of_purchase(user, payload, token, int(self._shop.clock()))
        carrier = self._feed.carrier(bot, user, facts["at"])
        message = carrier.message
        assert message is not None
        data[EVENT_FROM_USER_KEY], data[EVENT_CHAT_KEY] = user, message.chat
        data[EVENT_CONTEXT_KEY] = EventContext(chat=message.chat, user=user)
        data[PURCHASE] = update
        return await self._delivery.begin(facts, handler, carrier, message, data)

    def restore(self, bot: Bot, claim: Claim, data: dict[str, Any]) -> None:
        """Put the update of a recorded sale beside the message that carries another attempt."""
        if not claim.body.get("media"):
            return
        carrier = claim.body.get("carrier") or {}
        sold = {
            "from": user_of(claim.body).model_dump(mode="json", exclude_none=True),
            "paid_media_payload": carrier.get("payload", ""),
        }
        data[PURCHASE] = self._feed.update(bot, "purchased_paid_media", sold)
