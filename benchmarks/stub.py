"""A Telegram that answers at once, and raw updates as it would send them."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections.abc import AsyncGenerator
from typing import Any

from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.methods import (
    AnswerPreCheckoutQuery,
    CreateInvoiceLink,
    SendInvoice,
    SendMessage,
    TelegramMethod,
)
from aiogram.types import Chat, Message

TOKEN = "42:TEST"
PRICE = 25

Update = dict[str, Any]
_numbers = itertools.count(1)


class StubSession(BaseSession):
    """Records calls and answers each with the least that aiogram accepts."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[TelegramMethod[Any]] = []

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        self.calls.append(method)
        if isinstance(method, (SendInvoice, SendMessage)):
            chat = Chat(id=int(method.chat_id), type="private")
            return Message(message_id=1, date=dt.datetime.now(dt.timezone.utc), chat=chat)
        return "https://t.me/$invoice" if isinstance(method, CreateInvoiceLink) else True

    async def stream_content(self, *args: Any, **kwargs: Any) -> AsyncGenerator[bytes, None]:
        yield b""

    async def close(self) -> None: ...


def make_bot() -> Bot:
    return Bot(TOKEN, session=StubSession())


def calls_of(bot: Bot) -> list[TelegramMethod[Any]]:
    """Return the list in which the bot's stub keeps its calls."""
    session = bot.session
    assert isinstance(session, StubSession)
    return session.calls


def approved(bot: Bot) -> int:
    """Return how many pre-checkout queries were answered with yes."""
    return sum(isinstance(call, AnswerPreCheckoutQuery) and call.ok for call in calls_of(bot))


def user(user_id: int) -> dict[str, Any]:
    return {"id": user_id, "is_bot": False, "first_name": "U", "language_code": "en"}


def pre_checkout(user_id: int, payload: str) -> Update:
    number = next(_numbers)
    query = {"id": str(number), "from": user(user_id), "invoice_payload": payload}
    return {"update_id": number, "pre_checkout_query": {**query, "currency": "XTR", "total_amount": PRICE}}


def message(user_id: int, **content: Any) -> Update:
    number = next(_numbers)
    chat = {"id": user_id, "type": "private", "first_name": "U"}
    envelope = {"message_id": number, "date": int(time.time()), "chat": chat, "from": user(user_id)}
    return {"update_id": number, "message": {**envelope, **content}}


def payment(user_id: int, payload: str) -> Update:
    # Real charge ids are about this long.
    charge = f"stx{next(_numbers):0>120}"
    receipt = {
        "currency": "XTR",
        "total_amount": PRICE,
        "invoice_payload": payload,
        "telegram_payment_charge_id": charge,
        "provider_payment_charge_id": "",
    }
    return message(user_id, successful_payment=receipt)
