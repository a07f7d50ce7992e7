"""Other packages that sell for Stars, each set up as its own documents say."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from aiogram import Dispatcher

from benchmarks.measure import Rig
from benchmarks.stub import PRICE, make_bot


def missing(module: str) -> bool:
    return importlib.util.find_spec(module) is None


async def neonpay() -> Rig:
    """NEONPAY 2.6.0: approves every pre-checkout and records nothing."""
    from neonpay.core import PaymentStage, PaymentStatus
    from neonpay.factory import create_neonpay

    bot, dispatcher, heard = make_bot(), Dispatcher(), list[str]()
    manager = create_neonpay(bot_instance=bot, dispatcher=dispatcher, enable_logging=False)
    manager.create_payment_stage("premium", PaymentStage("Premium", "30 days", PRICE))

    async def paid(result: Any) -> None:
        assert result.status is PaymentStatus.COMPLETED
        heard.append(result.transaction_id)

    manager.on_payment(paid)
    # Otherwise its handlers are registered at the first invoice it sends.
    await manager.setup()

    async def new_payload(buyer: int) -> str:
        # The same bytes as its send_invoice makes.
        return json.dumps({"user_id": buyer, "amount": PRICE})

    return Rig(bot, dispatcher, heard, new_payload)


async def aiogram_stars() -> Rig:
    """aiogram-stars 0.2.0 over its memory storage."""
    from aiogram_stars import MemoryStorage, StarsPayments

    bot, dispatcher, heard = make_bot(), Dispatcher(), list[str]()

    async def check(checkout: Any) -> None: ...

    async def paid(payment: Any) -> None:
        heard.append(payment.charge_id)

    stars = StarsPayments(MemoryStorage(), secret="x" * 32, check=check, on_paid=paid)
    stars.setup(dispatcher)

    async def new_payload(buyer: int) -> str:
        return str(stars.make_payload(f"order-{buyer}", PRICE))

    return Rig(bot, dispatcher, heard, new_payload)
