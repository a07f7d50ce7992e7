"""Calling Telegram for an invoice: its refusals become errors that say what to do, and a keyed message is sent once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pydantic
from aiogram import Bot
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
)
from aiogram.types import Message

from aiogram_neonpay.errors import BuyerUnreachableError, InvoiceError, ValidationError
from aiogram_neonpay.ledger.base import new_nonce
from aiogram_neonpay.ledger.invoices import StoredInvoices

__all__ = ["calling_telegram", "send_once"]

SENDING_FOR = 30.0
"""Seconds after which an unfinished sending counts as dead and may be taken over."""

_ADVICE = {
    "STARS_INVOICE_INVALID": "Stars invoices take one price and no tips: drop max_tip_amount and suggested_tip_amounts",
    "CURRENCY_TOTAL_AMOUNT_INVALID": "the amount is outside what Telegram allows for Stars: lower the price",
    "INVOICE_PAYLOAD_INVALID": "Telegram refused the payload: report this as a bug of aiogram_neonpay",
    "BUTTON_POS_INVALID": "the Pay button must be the first button",
    "BOT_PAYMENTS_DISABLED": "this bot may not take payments",
    "SUBSCRIPTION_EXPORT_MISSING": "subscriptions are sold through links only: use create_link",
    "WEBDOCUMENT_URL_EMPTY": "photo_url is not an address Telegram can read",
    "WEBDOCUMENT_MIME_INVALID": "photo_url does not lead to a picture",
    "EXTENDED_MEDIA_AMOUNT_INVALID": "paid media cost 1-25000 Stars",
    "MEDIA_INVALID": "photo_url does not lead to a picture",
    "chat not found": "the chat id is wrong, or the user never started the bot",
    "not enough rights": "the bot may not write in that chat",
}


@contextmanager
def calling_telegram(what: str) -> Iterator[None]:
    """Turn Telegram's refusals into :class:`InvoiceError` with the next step in the message; the cause is kept."""
    try:
        yield
    except pydantic.ValidationError as error:  # of aiogram's method, before anything was sent
        wrong = error.errors()[0]
        raise ValidationError(str(wrong["loc"][0]), f"is refused: {wrong['msg']}", wrong["input"]) from error
    except TelegramRetryAfter as error:
        raise InvoiceError(
            f"{what} was not made: Telegram asks to wait {error.retry_after} s", retry_after=error.retry_after
        ) from error
    except TelegramForbiddenError as error:
        raise BuyerUnreachableError(
            f"{what} was not sent: {error.message}. The user must start the bot, or unblock it, first"
        ) from error
    except (TelegramNetworkError, ClientDecodeError) as error:
        raise InvoiceError(f"{what} may not have been made: Telegram was not reached, try again") from error
    except TelegramAPIError as error:
        advice = next((text for token, text in _ADVICE.items() if token in error.message), None)
        raise InvoiceError(f"{what} was refused: {error.message}" + (f" ({advice})" if advice else "")) from error


async def send_once(
    invoices: StoredInvoices, bot: Bot, invoice_id: str, deliver: Callable[[], Awaitable[Message]]
) -> Message:
    """Send the message of a keyed invoice, or return the message that an earlier or concurrent call sent.

    The right to send is recorded first. If the sender dies after Telegram took the message, a later call sends it
    again: two messages of one invoice, never two invoices.

    :raises InvoiceError: when another call holds the right for longer than it can take.
    """
    me = new_nonce()

    def take(known: dict[str, Any]) -> dict[str, Any] | None:
        if "message" in known or time.time() < known.get("sending_until", 0.0):
            return None
        return {"sender": me, "sending_until": time.time() + SENDING_FOR}

    give_up = time.monotonic() + 2 * SENDING_FOR
    while True:
        record = await invoices.change(bot.id, invoice_id, take)
        if record is None or record.get("sender") == me:
            break
        if "message" in record:
            return Message.model_validate(record["message"], context={"bot": bot})
        if time.monotonic() > give_up:
            raise InvoiceError(f"invoice {invoice_id} is being sent by another call that does not end: try again")
        await asyncio.sleep(0.1)
    try:
        message = await deliver()
    except BaseException:
        await invoices.change(bot.id, invoice_id, lambda known: {"sending_until": 0.0, "sender": None})
        raise
    sent = message.model_dump(mode="json", by_alias=True, exclude_none=True)
    await invoices.change(bot.id, invoice_id, lambda known: {"message": sent, "sending_until": 0.0})
    return message
