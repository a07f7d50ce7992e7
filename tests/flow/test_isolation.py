"""A lock of the bot's isolation that cannot be released takes nothing back of what was delivered under it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiogram import Dispatcher
from aiogram.fsm.storage.base import BaseEventIsolation, StorageKey
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.fsm.storage.redis import RedisStorage
from aiogram.types import Message

from aiogram_neonpay import NeonPay, PaymentCompleted, PaymentRefunded, PaymentResult, PaymentStage, neonpay_router
from tests.flow.clock import Clock
from tests.flow.conftest import pass_on
from tests.telegram import ALICE, RecordingBot, charge_of, paid, refunded, text

pytestmark = pytest.mark.asyncio

STAGES = {"premium": PaymentStage("Premium", "30 days of premium", 25)}


class Leaking(BaseEventIsolation):
    """Locks that cannot be released, or not even taken."""

    def __init__(self, *, locks: bool = True) -> None:
        self.locks = locks
        self.releases = 0

    @asynccontextmanager
    async def lock(self, key: StorageKey) -> AsyncIterator[None]:
        if not self.locks:
            raise ConnectionError("the lock cannot be taken")
        try:
            yield
        finally:
            self.releases += 1
            raise ConnectionError("the lock is owned no longer")

    async def close(self) -> None: ...


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pay(bot: RecordingBot, clock: Clock) -> NeonPay:
    return neonpay_router(STAGES, bot=bot, clock=clock, retries=(10.0, 10.0))


@pytest.fixture
def isolation() -> Leaking:
    return Leaking()


@pytest.fixture(params=["a clear way", "middlewares on the way"])
def dp(pay: NeonPay, isolation: Leaking, request: pytest.FixtureRequest) -> Dispatcher:
    dispatcher = Dispatcher(events_isolation=isolation)
    dispatcher.include_router(pay)
    if request.param != "a clear way":
        dispatcher.message.outer_middleware(pass_on)
        dispatcher.update.outer_middleware(pass_on)
    return dispatcher


async def sell(bot: RecordingBot, pay: NeonPay) -> dict[str, Any]:
    await pay.send_payment(ALICE, "premium")
    return paid(bot.payload())


async def test_a_delivery_counts_though_its_lock_cannot_be_released(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, isolation: Leaking, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.attempt)

    update = await sell(bot, pay)
    await dp.feed_raw_update(bot, update)
    payment = await pay.get_payment(charge_of(update))

    assert payment is not None and payment.delivered
    assert heard == [1] and isolation.releases == 1
    assert f"bot {bot.id}: the isolation lock of user {ALICE} could not be released" in caplog.text


async def test_the_news_of_a_refund_count_though_the_lock_cannot_be_released(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    told: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None: ...

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        told.append(event.reference or "")

    update = await sell(bot, pay)
    await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, refunded(update))
    clock.now += 3600

    assert await pay.run_due() == 0
    assert len(told) == 1


async def test_a_failed_attempt_fails_with_its_own_error_and_repeats_only_what_failed(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    calls: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        calls.append("granted")

    @pay.on_payment
    async def log(result: PaymentResult) -> None:
        calls.append("heard")
        if calls.count("heard") == 1:
            raise LookupError("no such log")

    with pytest.raises(LookupError):
        await dp.feed_raw_update(bot, await sell(bot, pay))
    clock.now += 10
    await pay.run_due()

    assert calls == ["granted", "heard", "heard"]


async def test_a_cancelled_handler_stays_cancelled(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    started = asyncio.Event()

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(dp.feed_raw_update(bot, await sell(bot, pay)))
    await started.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    assert task.cancelled()


async def test_a_lock_that_cannot_be_taken_is_a_failed_attempt(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, isolation: Leaking, clock: Clock
) -> None:
    heard: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.attempt)

    isolation.locks = False
    with pytest.raises(ConnectionError, match="taken"):
        await dp.feed_raw_update(bot, await sell(bot, pay))
    isolation.locks = True
    clock.now += 10
    await pay.run_due()

    assert heard == [2]


async def test_what_is_not_about_money_fails_as_ever(bot: RecordingBot, dp: Dispatcher) -> None:
    @dp.message()
    async def hello(message: Message) -> None: ...

    with pytest.raises(ConnectionError, match="owned"):
        await dp.feed_raw_update(bot, text("hello"))


@pytest.mark.redis
async def test_a_handler_slower_than_the_lock_in_redis_delivers_once(
    redis_url: str, bot: RecordingBot, clock: Clock
) -> None:
    storage = RedisStorage.from_url(redis_url)
    lock = storage.key_builder.build(StorageKey(bot_id=bot.id, chat_id=ALICE, user_id=ALICE), "lock")
    pay = neonpay_router(STAGES, bot=bot, clock=clock, retries=(10.0, 10.0), storage=MemoryStorage())
    dp = Dispatcher(storage=storage, events_isolation=storage.create_isolation())
    dp.include_router(pay)
    heard: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.attempt)
        assert await storage.redis.delete(lock), "as if it had ended by itself"

    await dp.feed_raw_update(bot, await sell(bot, pay))
    clock.now += 10
    await pay.run_due()
    [payment] = await pay.history(ALICE)
    await storage.close()

    assert payment.delivered
    assert heard == [1]
