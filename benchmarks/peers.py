"""Other packages that sell for Stars, each set up as its own documents say."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

from aiogram import Dispatcher

from benchmarks.measure import Rig
from benchmarks.stub import PRICE, make_bot


def missing(*modules: str) -> bool:
    return any(importlib.util.find_spec(module) is None for module in modules)


def no_stars_on_sqlite() -> bool:
    return missing("aiogram_stars", "sqlalchemy", "aiosqlite")


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
    from aiogram_stars import MemoryStorage

    return _stars(MemoryStorage())


async def aiogram_stars_sqlite(file: Path) -> Rig:
    """aiogram-stars 0.2.0 over SQLAlchemy and aiosqlite, the engine made as its documents make it."""
    from aiogram_stars.sqlalchemy import SqlAlchemyStorage

    engine = importlib.import_module("sqlalchemy.ext.asyncio").create_async_engine(f"sqlite+aiosqlite:///{file}")
    storage = SqlAlchemyStorage(engine)
    await storage.create_tables()
    rig = _stars(storage)
    rig.close = engine.dispose
    return rig


def _stars(storage: Any) -> Rig:
    from aiogram_stars import StarsPayments

    bot, dispatcher, heard = make_bot(), Dispatcher(), list[str]()

    async def check(checkout: Any) -> None: ...

    async def paid(payment: Any) -> None:
        heard.append(payment.charge_id)

    stars = StarsPayments(storage, secret="x" * 32, check=check, on_paid=paid)
    stars.setup(dispatcher)

    async def new_payload(buyer: int) -> str:
        return str(stars.make_payload(f"order-{buyer}", PRICE))

    return Rig(bot, dispatcher, heard, new_payload)
