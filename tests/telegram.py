"""A bot whose calls are recorded instead of sent, and the updates that Telegram would send it."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timezone
from typing import Any, TypeVar

from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.methods import CreateInvoiceLink, SendInvoice, SendMessage, TelegramMethod
from aiogram.types import Chat, Message

M = TypeVar("M", bound=TelegramMethod[Any])

_numbers = itertools.count(1)
ALICE, BOB = 7, 8
GROUP = -100500


class RecordingSession(BaseSession):
    """Answers every call at once, or as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[TelegramMethod[Any]] = []
        self.answers: dict[type[TelegramMethod[Any]], Callable[[TelegramMethod[Any]], Any]] = {}

    async def close(self) -> None: ...

    async def stream_content(self, *args: Any, **kwargs: Any) -> AsyncGenerator[bytes, None]:
        yield b""

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        self.calls.append(method)
        answer = self.answers.get(type(method))
        if answer is not None:
            result = answer(method)
            return await result if hasattr(result, "__await__") else result
        if isinstance(method, (SendInvoice, SendMessage)):
            chat = method.chat_id
            kind = "private" if isinstance(chat, int) and chat > 0 else "supergroup"
            number = next(_numbers)
            return Message(
                message_id=number,
                date=datetime.now(timezone.utc),
                chat=Chat(id=chat if isinstance(chat, int) else GROUP, type=kind),
            ).as_(bot)
        if isinstance(method, CreateInvoiceLink):
            return f"https://t.me/$link{next(_numbers)}"
        return True


class RecordingBot(Bot):
    """A bot on a :class:`RecordingSession`."""

    def __init__(self, token: str = "42:TEST-TOKEN") -> None:
        self.recorded = RecordingSession()
        super().__init__(token, session=self.recorded)

    @property
    def calls(self) -> list[TelegramMethod[Any]]:
        return self.recorded.calls

    def sent(self, kind: type[M]) -> list[M]:
        """Return the recorded calls of one method."""
        return [call for call in self.calls if isinstance(call, kind)]

    def answer(self, kind: type[TelegramMethod[Any]], answer: Callable[[Any], Any]) -> None:
        """Answer a method by calling ``answer`` with it; it may raise."""
        self.recorded.answers[kind] = answer

    def payload(self) -> str:
        """Return the payload of the newest invoice."""
        invoice = next(call for call in reversed(self.calls) if isinstance(call, (SendInvoice, CreateInvoiceLink)))
        return invoice.payload


def person(user_id: int = ALICE, **fields: Any) -> dict[str, Any]:
    return {"id": user_id, "is_bot": False, "first_name": f"User {user_id}", **fields}


def private_chat(user_id: int) -> dict[str, Any]:
    return {"id": user_id, "type": "private", "first_name": f"User {user_id}"}


def update(**fields: Any) -> dict[str, Any]:
    return {"update_id": next(_numbers), **fields}


def text(words: str, user_id: int = ALICE, **fields: Any) -> dict[str, Any]:
    """An ordinary message."""
    message = {
        "message_id": next(_numbers),
        "date": int(time.time()),
        "chat": private_chat(user_id),
        "from": person(user_id),
        "text": words,
    }
    return update(message={**message, **fields})


def tap(data: str, user_id: int = ALICE, chat: dict[str, Any] | None = None) -> dict[str, Any]:
    """A tap on an inline button."""
    chat = chat or private_chat(user_id)
    message = {"message_id": next(_numbers), "date": int(time.time()), "chat": chat, "text": "menu"}
    query = {"id": str(next(_numbers)), "from": person(user_id), "chat_instance": "1", "data": data, "message": message}
    return update(callback_query=query)


def pre_checkout(
    payload: str, amount: int = 25, user_id: int = ALICE, currency: str = "XTR", **from_fields: Any
) -> dict[str, Any]:
    """A buyer's wish to pay."""
    query = {
        "id": str(next(_numbers)),
        "from": person(user_id, **from_fields),
        "currency": currency,
        "total_amount": amount,
        "invoice_payload": payload,
    }
    return update(pre_checkout_query=query)


def paid(
    payload: str, amount: int = 25, user_id: int = ALICE, charge: str | None = None, **fields: Any
) -> dict[str, Any]:
    """The service message of a payment."""
    payment = {
        "currency": "XTR",
        "total_amount": amount,
        "invoice_payload": payload,
        "telegram_payment_charge_id": charge or f"stx{next(_numbers):0140d}",
        "provider_payment_charge_id": "",
        **fields,
    }
    message = {
        "message_id": next(_numbers),
        "date": int(time.time()),
        "chat": private_chat(user_id),
        "from": person(user_id),
        "successful_payment": payment,
    }
    return update(message=message)


def charge_of(paid_update: dict[str, Any]) -> str:
    charge = paid_update["message"]["successful_payment"]["telegram_payment_charge_id"]
    assert isinstance(charge, str)
    return charge


def refunded(paid_update: dict[str, Any]) -> dict[str, Any]:
    """The service message of a refund of that payment: it comes from the bot, in the buyer's chat."""
    payment = paid_update["message"]["successful_payment"]
    message = {
        "message_id": next(_numbers),
        "date": int(time.time()),
        "chat": paid_update["message"]["chat"],
        "from": {"id": 42, "is_bot": True, "first_name": "Bot"},
        "refunded_payment": {key: payment[key] for key in payment if key != "provider_payment_charge_id"},
    }
    return update(message=message)
