"""A storage that takes a command and never answers: what was to be written is written when it answers again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiogram import Dispatcher
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.fsm.storage.redis import RedisStorage
from redis.asyncio import Redis

from aiogram_neonpay import LedgerError, NeonPay, PaymentCompleted, PaymentStage, neonpay_router
from aiogram_neonpay.ledger.fsm import FSMEngine
from aiogram_neonpay.ledger.redis import RedisEngine
from tests.flow.clock import settled
from tests.telegram import ALICE, RecordingBot, charge_of, paid

pytestmark = pytest.mark.asyncio

STAGES = {"premium": PaymentStage("Premium", "30 days of premium", 25)}


class Hanging(MemoryStorage):
    """Takes what it is told to write of payments, and never answers."""

    hangs = False

    async def set_data(self, key: Any, data: Any) -> None:
        if self.hangs and "neonpay" in key.destiny:
            await asyncio.Event().wait()
        await super().set_data(key, data)


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Hanging:
    monkeypatch.setattr(FSMEngine, "patience", 0.05)
    monkeypatch.setattr("aiogram_neonpay.outages.endless_pause", lambda tries: 0.02)
    return Hanging()


@pytest.fixture
def pay(bot: RecordingBot) -> NeonPay:
    return neonpay_router(STAGES, bot=bot)


@pytest.fixture
def dp(pay: NeonPay, storage: Hanging) -> Dispatcher:
    dispatcher = Dispatcher(storage=storage)
    dispatcher.include_router(pay)
    return dispatcher


async def sold(bot: RecordingBot, pay: NeonPay) -> dict[str, Any]:
    await pay.send_payment(ALICE, "premium")
    return paid(bot.payload())


async def test_a_payment_that_cannot_be_recorded_in_time_is_recorded_later(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, storage: Hanging, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.attempt)

    update = await sold(bot, pay)
    storage.hangs = True
    with pytest.raises(LedgerError, match=r"has not answered within 0\.05 s"):
        await dp.feed_raw_update(bot, update)
    assert heard == []
    assert "cannot be recorded (LedgerError: the storage has not answered within 0.05 s)" in caplog.text
    storage.hangs = False

    await settled(lambda: heard == [1])


async def test_a_delivery_whose_end_cannot_be_written_in_time_is_settled_later(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, storage: Hanging
) -> None:
    heard: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.attempt)
        storage.hangs = True

    update = await sold(bot, pay)
    with pytest.raises(LedgerError, match="has not answered"):
        await dp.feed_raw_update(bot, update)
    storage.hangs = False
    await dp.emit_shutdown(bot=bot, dispatcher=dp)  # waits for what is still to be written
    payment = await pay.get_payment(charge_of(update))

    assert payment is not None and payment.delivered
    assert heard == [1]


@pytest.mark.redis
async def test_a_redis_that_is_frozen_while_a_handler_runs_settles_it_when_it_is_back(
    redis_url: str, bot: RecordingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RedisEngine, "patience", 0.05)
    pay = neonpay_router(STAGES, bot=bot)
    storage = RedisStorage.from_url(redis_url)
    dp = Dispatcher(storage=storage)
    dp.include_router(pay)
    heard: list[int] = []

    async with Redis.from_url(redis_url) as other:
        await other.flushall()

        @pay.completed
        async def grant(event: PaymentCompleted) -> None:
            heard.append(event.attempt)
            await other.client_pause(300)

        update = await sold(bot, pay)
        with pytest.raises(LedgerError, match="has not answered"):
            await dp.feed_raw_update(bot, update)
        await other.get("any")
    await dp.feed_raw_update(bot, update)
    await pay._installation.feed.drain()
    payment = await pay.get_payment(charge_of(update))
    await storage.close()

    assert payment is not None and payment.delivered
    assert heard == [1]
