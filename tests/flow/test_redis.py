"""Several workers on one Redis, as an existing bot has it: aiogram's storage with its default keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiogram import Dispatcher, F
from aiogram.fsm.storage.base import StorageKey
from aiogram.fsm.storage.redis import RedisStorage
from aiogram.methods import AnswerPreCheckoutQuery
from aiogram.types import Message

from aiogram_neonpay import NeonPay, PaymentCompleted, PaymentStage, neonpay_router
from tests.redis_server import RedisServer
from tests.telegram import ALICE, RecordingBot, charge_of, paid, pre_checkout, text

pytestmark = pytest.mark.asyncio


class Worker:
    """One process of a bot, as far as the others can tell."""

    def __init__(self, url: str, bot: RecordingBot, log: list[Any], **options: Any) -> None:
        self.bot = bot
        self.log = log
        self.storage = RedisStorage.from_url(url, **options)
        self.pay: NeonPay = neonpay_router({"premium": PaymentStage("Premium", "d", 25)}, bot=bot)
        self.dp = Dispatcher(storage=self.storage, events_isolation=self.storage.create_isolation())
        self.dp.include_router(self.pay)

        @self.pay.completed
        async def grant(event: PaymentCompleted) -> None:
            log.append(event.transaction_id)

    async def feed(self, update: Any) -> Any:
        return await self.dp.feed_raw_update(self.bot, update)


@pytest_asyncio.fixture
async def workers(redis_server: RedisServer, bot: RecordingBot) -> AsyncIterator[list[Worker]]:
    log: list[Any] = []
    made = [Worker(redis_server.url, bot, log), Worker(redis_server.url, bot, log, data_ttl=1)]
    await made[0].storage.redis.flushall()
    yield made
    for worker in made:
        await worker.storage.close()


async def test_one_charge_is_delivered_once_by_two_workers(workers: list[Worker]) -> None:
    first, second = workers
    await first.pay.create_link("premium", metadata={"empty": [], "big": 2**60})
    update = paid(first.bot.payload())
    await asyncio.gather(*(worker.feed(update) for worker in [first, second] * 5))
    assert first.log == [charge_of(update)]
    [payment] = await second.pay.history(ALICE)
    assert payment.metadata == {"empty": [], "big": 2**60}
    assert payment == await first.pay.get_payment(charge_of(update))


async def test_a_worker_reads_what_another_stored(workers: list[Worker]) -> None:
    first, second = workers
    link = await first.pay.create_link("premium", key="order-1", metadata={"note": "я" * 400})
    assert await second.pay.create_link("premium", key="order-1", metadata={"note": "я" * 400}) == link
    await second.feed(pre_checkout(first.bot.payload()))
    assert first.bot.sent(AnswerPreCheckoutQuery)[-1].ok
    await second.feed(paid(first.bot.payload()))
    status = await first.pay.invoice_status(key="order-1")
    assert status.delivered
    assert status.payment is not None
    assert status.payment.metadata == {"note": "я" * 400}


async def test_a_checkout_passes_the_lock_of_a_dead_process(workers: list[Worker]) -> None:
    worker = workers[0]
    key = StorageKey(bot_id=worker.bot.id, chat_id=ALICE, user_id=ALICE)
    await worker.storage.redis.set(worker.storage.key_builder.build(key, "lock"), "dead", px=60_000)
    await worker.pay.create_link("premium")
    await asyncio.wait_for(worker.feed(pre_checkout(worker.bot.payload())), 20)
    assert worker.bot.sent(AnswerPreCheckoutQuery)[-1].ok


async def test_a_checkout_passes_the_lock_of_the_users_running_handler(workers: list[Worker]) -> None:
    worker = workers[0]
    started, release = asyncio.Event(), asyncio.Event()

    @worker.dp.message(F.text)
    async def busy(message: Message) -> None:
        started.set()
        await release.wait()

    task = asyncio.create_task(worker.feed(text("work")))
    await started.wait()
    await worker.pay.create_link("premium")
    await asyncio.wait_for(worker.feed(pre_checkout(worker.bot.payload())), 20)
    assert worker.bot.sent(AnswerPreCheckoutQuery)[-1].ok
    release.set()
    await task


async def test_a_payment_survives_a_restart_of_redis_with_its_scripts(bot: RecordingBot) -> None:
    with RedisServer() as server:
        log: list[Any] = []
        worker = Worker(server.url, bot, log)
        await worker.pay.create_link("premium")
        first, second = paid(bot.payload()), paid(bot.payload())
        await worker.feed(first)
        server.kill()
        with pytest.raises(Exception, match="onnect"):
            await worker.feed(second)
        assert log == [charge_of(first)]
        server.start()
        for update in (first, second, second):
            await worker.feed(update)
        assert log == [charge_of(first), charge_of(second)]
        await worker.storage.close()
