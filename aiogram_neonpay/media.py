"""Sending paid media: photos and videos that are shown to whoever pays for them, with a payload for each message."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Sequence
from typing import Any

from aiogram import Bot
from aiogram.types import InputFile, InputPaidMedia, Message
from pydantic import BaseModel

from aiogram_neonpay.checks import check_amount
from aiogram_neonpay.errors import InvoiceError, ValidationError
from aiogram_neonpay.invoices import Offer, Seller
from aiogram_neonpay.sending import calling_telegram, send_once
from aiogram_neonpay.shop import Shop

__all__ = ["MAX_MEDIA_PRICE", "MediaSeller"]

logger = logging.getLogger("aiogram_neonpay")

MAX_MEDIA_PRICE = 25_000
"""Stars. Bot API ``sendPaidMedia``, parameter ``star_count``."""
MAX_MEDIA = 10
"""Photos and videos of one message. Bot API ``sendPaidMedia``, parameter ``media``."""

_OURS = ("payload", "star_count", "media", "chat_id")
_OPTIONS = frozenset(inspect.signature(Bot.send_paid_media).parameters) - {"self", *_OURS}


class MediaSeller:
    """Sends the paid media of one shop."""

    def __init__(self, shop: Shop, seller: Seller) -> None:
        self._shop = shop
        self._seller = seller

    async def send(
        self, bot: Bot, chat_id: int | str, offer: Offer, media: Sequence[InputPaidMedia], options: dict[str, Any]
    ) -> Message:
        """Send paid media (Bot API ``sendPaidMedia``)."""
        _check_options(options)
        items = _checked(media)
        stage = await self._shop.catalog.get(offer.stage_id)
        if stage is not None:
            if stage.subscription:
                raise InvoiceError(
                    f"stage {offer.stage_id!r} is a subscription, and Telegram sells those through links alone"
                )
            check_amount("price", stage.amount_for(offer.amount), at_most=MAX_MEDIA_PRICE)
            if stage.is_limited:
                logger.warning(
                    "stage %r is limited, but Telegram asks nobody before it sells paid media: its limits do not apply",
                    offer.stage_id,
                )
        asked = {"chat": chat_id, "kind": "media", "media": [_described(item) for item in items], **options}
        invoice = await self._seller.make(bot, offer, asked)

        async def deliver() -> Message:
            with calling_telegram(f"the paid media of stage {offer.stage_id!r}"):
                return await bot.send_paid_media(
                    chat_id, star_count=invoice.token.amount, media=items, payload=invoice.payload, **options
                )

        if offer.key is None:
            message = await deliver()
        else:
            message = await send_once(self._shop.invoices, bot, invoice.token.invoice_id, deliver)
        if message.chat.type == "channel":
            logger.warning(
                "paid media of stage %r were sent to a channel: Telegram pays that channel for them and does not tell "
                "the bot of sales",
                offer.stage_id,
            )
        return message


def _check_options(options: dict[str, Any]) -> None:
    for name in options:
        if name in _OURS:
            raise ValidationError(name, "is set by send_paid_media itself and cannot be passed", "...")
        if name not in _OPTIONS:
            raise ValidationError(name, "is no option of send_paid_media or of the Bot API method behind it", "...")


def _checked(media: object) -> list[Any]:
    """Return the media as a list, if Telegram takes so many of that kind in one message."""
    if isinstance(media, (str, bytes, BaseModel)) or not isinstance(media, Sequence):
        raise ValidationError("media", "must be a list of InputPaidMediaPhoto or InputPaidMediaVideo", media)
    if not 1 <= len(media) <= MAX_MEDIA:
        raise ValidationError("media", f"must be 1-{MAX_MEDIA} photos and videos, has {len(media)}", "...")
    for item in media:
        if not isinstance(item, InputPaidMedia):
            raise ValidationError("media", "must hold InputPaidMediaPhoto or InputPaidMediaVideo only", item)
    return list(media)


def _described(item: BaseModel) -> dict[str, Any]:
    """Return what tells one photo or video from another, the same at every call with the same ``key``."""
    return {name: _named(value) for name, value in vars(item).items()}


def _named(value: Any) -> Any:
    if not isinstance(value, InputFile):
        return value
    data = getattr(value, "data", None)
    content = hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else None
    place = getattr(value, "path", None) or getattr(value, "url", None)
    return [type(value).__name__, value.filename, content, None if place is None else str(place)]
