"""Answers taps on keyboards of ours, before any callback handler of the bot could swallow them."""

from __future__ import annotations

import logging
from typing import Any

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError
from aiogram.types import CallbackQuery

from aiogram_neonpay.errors import NeonPayError
from aiogram_neonpay.hooks import Gate
from aiogram_neonpay.invoices import Offer, Seller
from aiogram_neonpay.keyboards import TAP_PREFIX, StageTap
from aiogram_neonpay.places import place_of
from aiogram_neonpay.shop import Shop

__all__ = ["TapGate"]

logger = logging.getLogger("aiogram_neonpay")


class TapGate(Gate):
    """Handler 0 of the root's ``callback_query`` observer."""

    def __init__(self, shop: Shop, seller: Seller) -> None:
        super().__init__(self._take, "")
        self._shop = shop
        self._seller = seller

    async def check(self, *args: Any, **kwargs: Any) -> tuple[bool, dict[str, Any]]:
        """Tell whether a button of ours was tapped."""
        data = args[0].data
        return data is not None and data.startswith(TAP_PREFIX + ":") and _tap(data) is not None, kwargs

    async def _take(self, query: CallbackQuery, data: dict[str, Any]) -> None:
        bot: Bot = data["bot"]
        language = query.from_user.language_code
        try:
            tap = _tap(query.data or "")
            assert tap is not None
            stage_id = self._shop.catalog.by_code(tap.stage[1:]) if tap.stage.startswith("~") else tap.stage
            if stage_id is None:
                raise ValueError("no stage has this code")
            place = place_of(query)
            offer = Offer(stage_id, place.buyer, bound=not place.private, amount=tap.amount)
            await self._seller.send(bot, place.chat_id, offer, place.options(), language)
        except (NeonPayError, ValueError) as error:
            logger.warning("a tap on %r could not be answered with an invoice: %s", query.data, error)
            await _say(query, self._shop.texts.get("unavailable", language))
        else:
            await _say(query, None)


def _tap(data: str) -> StageTap | None:
    """Return what a button of ours carries; the bot may have buttons that begin alike."""
    try:
        return StageTap.unpack(data)
    except (TypeError, ValueError):
        return None


async def _say(query: CallbackQuery, text: str | None) -> None:
    try:
        await query.answer(text, show_alert=text is not None)
    except TelegramAPIError as error:
        logger.info("a tap was answered too late (%s)", error.message)
