"""A tap in a dialog becomes an invoice that carries the way back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from aiogram import Bot
from aiogram.types import CallbackQuery, Message
from aiogram_dialog import DialogManager
from aiogram_dialog.api.internal import ReplyCallbackQuery

from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.dialogs.wayback import KEY, WayBack
from aiogram_neonpay.errors import ConfigurationError, PaymentError, ValidationError

__all__ = ["language_of", "neonpay_of", "say", "sell", "sold", "whole"]

logger = logging.getLogger("aiogram_neonpay")

LAST_SALE = "_neonpay_sale"
"""Where a dialog's data hold what was offered last."""
DOUBLE_TAP = 2.0
"""Seconds within which the same button is taken to have been tapped twice."""
PATIENCE = 2.0
"""Seconds to wait for the storage to say whether another worker answers the same tap."""


def neonpay_of(data: Mapping[str, Any]) -> NeonPay:
    """Return the service behind a dialog.

    :param data: aiogram's handler data (``DialogManager.middleware_data``).
    :raises ConfigurationError: when the dispatcher has none.
    """
    neonpay = data.get("neonpay")
    if not isinstance(neonpay, NeonPay):
        raise ConfigurationError("dialogs that sell need the NeonPay of the dispatcher: call dp.include_router(pay)")
    return neonpay


def whole(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a window's data, given those of a line of a list in it, which aiogram-dialog wraps them into."""
    while "middleware_data" not in data and isinstance(data.get("data"), Mapping):
        data = data["data"]
    return data


def language_of(data: Mapping[str, Any]) -> str | None:
    """Return the language of whoever looks at a dialog."""
    user = data.get("event_from_user")
    return None if user is None else user.language_code


async def sell(
    event: CallbackQuery | Message,
    manager: DialogManager,
    widget_id: str,
    stage_id: str,
    amount: int | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> bool:
    """Answer a tap, or a number written, with an invoice; one for a double tap.

    :return: whether there is an invoice; if not, the buyer was told.
    """
    data = manager.middleware_data
    neonpay = neonpay_of(data)
    dialog_data = manager.current_context().dialog_data
    now, offer = time.time(), [widget_id, stage_id, amount, dict(metadata or {})]
    last = dialog_data.get(LAST_SALE)
    there = neonpay.texts.get("invoice_there", language_of(data))
    if isinstance(last, list) and last[:-1] == offer and 0 <= now - last[-1] < DOUBLE_TAP:
        await say(event, there, alert=False)
        return True
    way = WayBack.from_manager(manager, widget_id)
    buyer = data["event_from_user"].id
    paid = dialog_data.get("payment")
    seen = [manager.current_context().id, offer, last, paid.get("transaction_id") if isinstance(paid, dict) else None]
    is_first, tap = (True, None) if isinstance(event, Message) else await _take(neonpay, data["bot"], buyer, seen)
    if not is_first:
        await say(event, there, alert=False)
        return True
    try:
        await neonpay.answer_payment(
            event, stage_id, amount=amount, metadata={**(metadata or {}), KEY: way.pack(buyer)}, bot=data["bot"]
        )
    except (PaymentError, ValidationError) as error:
        logger.warning("a tap on %r could not be answered with an invoice of %r: %s", widget_id, stage_id, error)
        await _let_again(neonpay, data["bot"], buyer, tap)
        await say(event, neonpay.texts.get("unavailable", language_of(data)))
        return False
    except BaseException:
        await _let_again(neonpay, data["bot"], buyer, tap)
        raise
    dialog_data[LAST_SALE] = [*offer, now]
    return True


async def _take(neonpay: NeonPay, bot: Bot, buyer: int, seen: list[Any]) -> tuple[bool, dict[str, Any] | None]:
    """Whether no other worker answers the same tap: two that came at once saw the same dialog.

    A storage that does not answer keeps nobody from buying.
    """
    try:
        return await asyncio.wait_for(neonpay._shop.taps.take(bot.id, buyer, f"dialog:{seen!r}"), PATIENCE)
    except Exception:
        logger.exception("whether a button was tapped twice could not be found out; the tap is answered")
        return True, None


async def _let_again(neonpay: NeonPay, bot: Bot, buyer: int, tap: dict[str, Any] | None) -> None:
    """Let a tap that brought no invoice be made again."""
    if tap is None:
        return
    try:
        await neonpay._shop.taps.give_back(bot.id, buyer, tap)
    except Exception:
        logger.exception("a tap that failed is not taken again for a while")


def sold(dialog_data: dict[str, Any]) -> None:
    """Note that what was offered last was paid: whoever taps again wants another."""
    dialog_data.pop(LAST_SALE, None)


async def say(event: CallbackQuery | Message, text: str, *, alert: bool = True) -> None:
    """Tell the buyer something in passing: over the chat after a tap, in it otherwise.

    :param alert: whether a buyer who tapped has to close it.
    """
    if isinstance(event, ReplyCallbackQuery):  # a button of a reply keyboard, which is a message in truth
        await event.original_message.answer(text)
    elif isinstance(event, CallbackQuery):
        await event.answer(text, show_alert=alert)
    else:
        await event.answer(text)
