from __future__ import annotations

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


@pytest.fixture
def dp(pay: NeonPay) -> Dispatcher:
    """A dispatcher that sells; routers of a test come after the shop's."""
    dispatcher = Dispatcher()
    dispatcher.include_router(pay)
    return dispatcher
