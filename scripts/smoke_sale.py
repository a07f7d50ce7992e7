"""Sells one stage through an installed ``aiogram_neonpay``; run by ``smoke_wheel.py`` in a clean environment.

It needs nothing but the package and what the package requires: the session is a stub and the updates are raw.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import pkgutil
import time
import warnings
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.client.session.base import BaseSession
from aiogram.methods import AnswerPreCheckoutQuery, CreateInvoiceLink, TelegramMethod

import aiogram_neonpay
from aiogram_neonpay import PaymentCompleted, PaymentStage, neonpay_router

BUYER = {"id": 7, "is_bot": False, "first_name": "Buyer"}
# Modules over an optional package; they may fail to import only for the lack of it.
OPTIONAL = {"aiogram_dialog", "babel", "playwright", "pytest", "redis"}


class RecordingSession(BaseSession):
    """Answers every request at once and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[TelegramMethod[Any]] = []

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        self.calls.append(method)
        return "https://t.me/$invoice" if isinstance(method, CreateInvoiceLink) else True

    async def stream_content(self, *args: Any, **kwargs: Any) -> AsyncGenerator[bytes, None]:
        yield b""

    async def close(self) -> None: ...


def import_everything() -> int:
    """Import every module of the installed package and return how many there are."""
    count = 0
    for found in pkgutil.walk_packages(aiogram_neonpay.__path__, "aiogram_neonpay."):
        if found.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(found.name)
        except ImportError as error:
            if (error.name or "").partition(".")[0] not in OPTIONAL:
                raise
        count += 1
    return count


async def sell() -> None:
    session = RecordingSession()
    bot = Bot("42:TEST", session=session)
    pay = neonpay_router({"premium": PaymentStage(title="Premium", description="30 days", price=25)}, bot=bot)
    delivered: list[str] = []

    @pay.completed("premium")
    async def grant(event: PaymentCompleted) -> None:
        delivered.append(event.transaction_id or "")

    dispatcher = Dispatcher()
    dispatcher.include_router(pay)
    await pay.create_link("premium")
    (payload,) = (call.payload for call in session.calls if isinstance(call, CreateInvoiceLink))
    sale = {"currency": "XTR", "total_amount": 25, "invoice_payload": payload}
    await dispatcher.feed_raw_update(bot, {"update_id": 1, "pre_checkout_query": {"id": "1", "from": BUYER, **sale}})
    (answer,) = (call for call in session.calls if isinstance(call, AnswerPreCheckoutQuery))
    assert answer.ok, f"the checkout was declined: {answer.error_message}"
    receipt = {**sale, "telegram_payment_charge_id": "charge-1", "provider_payment_charge_id": ""}
    message = {"message_id": 1, "date": int(time.time()), "chat": {"id": 7, "type": "private", "first_name": "Buyer"}}
    update = {"update_id": 2, "message": {**message, "from": BUYER, "successful_payment": receipt}}
    for _ in range(2):  # Telegram may repeat an update
        await dispatcher.feed_raw_update(bot, update)
    assert delivered == ["charge-1"], f"delivered: {delivered}"


def main() -> None:
    home = Path(aiogram_neonpay.__file__).parent
    assert "site-packages" in home.parts, f"this tests the installed package, not {home}"
    assert (home / "py.typed").exists()
    assert list((home / "sandbox" / "page").glob("*.html")), "the sandbox's page is not installed"
    for name in aiogram_neonpay.__all__:
        getattr(aiogram_neonpay, name)
    import_everything()
    with warnings.catch_warnings():
        # MemoryStorage is warned about, rightly; here it is what is wanted.
        warnings.simplefilter("ignore", UserWarning)
        asyncio.run(sell())


if __name__ == "__main__":
    main()
