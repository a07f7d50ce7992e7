from __future__ import annotations

from typing import Any

import pytest
from aiogram import Dispatcher

from aiogram_neonpay import NeonPay, PaymentStage, neonpay_router
from tests.telegram import RecordingBot


@pytest.fixture
def bot() -> RecordingBot:
    return RecordingBot()


@pytest.fixture
def pay(bot: RecordingBot) -> NeonPay:
    """A shop with a premium of 25 Stars, a sticker of 5, and donations."""
    return neonpay_router(
        {
            "premium": PaymentStage("Premium", "30 days of premium", 25, payload={"days": 30}),
            "sticker": PaymentStage("Sticker", "One custom sticker", 5),
            "donate": PaymentStage("Donate", "Thank you", None, max_price=1000),
        },
        bot=bot,
    )


async def pass_on(handler: Any, event: Any, data: dict[str, Any]) -> Any:
    """Do nothing: a middleware that stands on the way all the same."""
    return await handler(event, data)


@pytest.fixture(params=["a clear way", "middlewares on the way"])
def dp(pay: NeonPay, request: pytest.FixtureRequest) -> Dispatcher:
    """A dispatcher that sells; routers of a test come after the shop's."""
    dispatcher = Dispatcher()
    dispatcher.include_router(pay)
    if request.param != "a clear way":
        for observer in (dispatcher.message, dispatcher.pre_checkout_query):
            observer.outer_middleware(pass_on)
            observer.middleware(pass_on)
    return dispatcher
