"""Handlers that are cut off from outside, or by what is no ``Exception``: the charge never stays in dead hands."""

from __future__ import annotations

import asyncio
import builtins
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from aiogram import Dispatcher
from aiogram.exceptions import TelegramForbiddenError
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import RefundStarPayment, SendMessage

from aiogram_neonpay import (
    NeonPay,
    PaymentCompleted,
    PaymentRefunded,
    PaymentResult,
    PaymentStage,
    PaymentUnmatched,
    RejectPayment,
    neonpay_router,
)
from tests.flow.clock import Clock, settled
from tests.telegram import ALICE, RecordingBot, charge_of, paid, refunded

pytestmark = pytest.mark.asyncio

STAGES = {"premium": PaymentStage("Premium", "30 days of premium", 25)}
PAUSE = 10.0
NEWER: Any = SimpleNamespace(**{**vars(asyncio), **vars(builtins)})
"""Where Python 3.11 has what earlier ones have not."""


class Panic(BaseException):
    """What a binding to another language raises when that panics."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pay(bot: RecordingBot, clock: Clock) -> NeonPay:
    return neonpay_router(STAGES, bot=bot, clock=clock, retries=(PAUSE, PAUSE))


@pytest.fixture
def dp(pay: NeonPay) -> Dispatcher:
    dispatcher = Dispatcher()
    dispatcher.include_router(pay)
    return dispatcher


async def sell(bot: RecordingBot, pay: NeonPay) -> dict[str, Any]:
    await pay.send_payment(ALICE, "premium")
    return paid(bot.payload())


async def is_delivered(pay: NeonPay, update: dict[str, Any]) -> bool:
    payment = await pay.get_payment(charge_of(update))
    return payment is not None and payment.delivered


async def test_a_handler_that_panics_has_failed_and_is_called_again_on_schedule(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.attempt)
        if len(heard) < 3:
            raise Panic("in another language")

    update = await sell(bot, pay)
    with pytest.raises(Panic):
        await dp.feed_raw_update(bot, update)
    assert await pay.run_due() == 0, "not before its time"
    for _ in range(2):
        clock.now += PAUSE
        await pay.run_due()

    assert heard == [1, 2, 3]
    assert await is_delivered(pay, update)
    assert "attempt 2 failed (Panic: in another language)" in caplog.text


async def test_a_panic_in_the_last_attempt_leaves_the_charge_to_a_person(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        raise Panic

    update = await sell(bot, pay)
    with pytest.raises(Panic):
        await dp.feed_raw_update(bot, update)
    for _ in range(2):
        clock.now += PAUSE
        await pay.run_due()

    assert [payment.transaction_id for payment in await pay.stuck_payments()] == [charge_of(update)]


async def test_news_of_a_refund_that_panic_are_told_again(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    told: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None: ...

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        told.append(event.reference or "")
        if len(told) == 1:
            raise Panic

    update = await sell(bot, pay)
    await dp.feed_raw_update(bot, update)
    with pytest.raises(Panic):
        await dp.feed_raw_update(bot, refunded(update))
    clock.now += PAUSE
    await pay.run_due()

    assert len(told) == 2


async def test_an_exit_from_a_handler_leaves_the_charge_to_whoever_lives_when_its_lease_ends(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    heard: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.attempt)
        if len(heard) == 1:
            raise GeneratorExit  # as SystemExit, but the loop of the test survives it

    update = await sell(bot, pay)
    with pytest.raises(GeneratorExit):
        await dp.feed_raw_update(bot, update)
    assert await pay.run_due() == 0
    clock.now += 61
    await pay.run_due()

    assert heard == [1, 2]
    assert await is_delivered(pay, update)


@pytest.mark.parametrize("ears", ["a typed handler and listeners", "listeners alone"])
async def test_a_delivery_cut_off_while_a_listener_hears_it_is_not_done(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock, ears: str
) -> None:
    calls: list[str] = []
    cut = asyncio.Event()

    @dp.message.outer_middleware
    async def limit(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        task = asyncio.ensure_future(handler(event, data))
        waiting = asyncio.ensure_future(cut.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            return task.result()
        task.cancel()
        return None

    if ears != "listeners alone":

        @pay.completed
        async def grant(event: PaymentCompleted) -> None:
            calls.append("granted")

    @pay.on_payment
    async def quick(result: PaymentResult) -> None:
        calls.append("quick")

    @pay.on_payment
    async def slow(result: PaymentResult) -> None:
        if result.attempt == 1:
            cut.set()
            await asyncio.Event().wait()
        calls.append("slow")

    update = await sell(bot, pay)
    with pytest.raises(Exception, match="a middleware stopped it before"):
        await dp.feed_raw_update(bot, update)
    assert not await is_delivered(pay, update)
    cut.clear()
    clock.now += PAUSE
    await pay.run_due()

    assert await is_delivered(pay, update)
    assert calls[-1] == "slow" and calls.count("granted") <= 1


async def test_a_handler_that_is_always_cancelled_is_not_called_for_ever(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    attempts: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        attempts.append(event.attempt)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    update = await sell(bot, pay)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.ensure_future(dp.feed_raw_update(bot, update))
    for _ in range(12):
        clock.now += PAUSE
        await pay.run_due()

    assert attempts == [1, 1, 1, 1, 1, 1, 2, 3]
    assert [payment.transaction_id for payment in await pay.stuck_payments()] == [charge_of(update)]
    assert "attempt 1 was cancelled; it does not count" in caplog.text


async def test_a_failed_attempt_that_cannot_be_written_down_is_written_later_with_what_succeeded(
    bot: RecordingBot, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    class Shaky(MemoryStorage):
        down = False

        async def set_data(self, key: Any, data: Any) -> None:
            if self.down and "neonpay" in key.destiny:
                raise ConnectionError("the storage is down")
            await super().set_data(key, data)

    storage = Shaky()
    pay = neonpay_router(STAGES, bot=bot, clock=clock, retries=(PAUSE, PAUSE))
    dp = Dispatcher(storage=storage)
    dp.include_router(pay)
    calls: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        calls.append("granted")

    @pay.on_payment
    async def log(result: PaymentResult) -> None:
        calls.append("heard")
        if calls.count("heard") == 1:
            storage.down = True
            raise LookupError("no such log")

    update = await sell(bot, pay)
    with pytest.raises(LookupError):
        await dp.feed_raw_update(bot, update)
    storage.down = False
    await dp.emit_shutdown(bot=bot, dispatcher=dp)  # the last try of what waits to be written
    clock.now += PAUSE
    await pay.run_due()

    assert calls == ["granted", "heard", "heard"]
    assert await is_delivered(pay, update)
    [payment] = await pay.history(ALICE)
    named = f"bot {bot.id}: payment {payment.reference} of 25 Stars by user {ALICE}"
    assert f"{named}: the end of an attempt cannot be written (ConnectionError" in caplog.text
    assert f"{named}: the end of an attempt is written after all" in caplog.text


async def test_what_cannot_be_delivered_is_listed_though_the_handler_of_the_news_fails(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    told: list[str] = []

    @pay.unmatched
    async def alert(event: PaymentUnmatched) -> None:
        told.append(event.reason)
        raise LookupError("no such chat")

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload(), amount=1)
    await dp.feed_raw_update(bot, update)

    assert [payment.transaction_id for payment in await pay.stuck_payments()] == [charge_of(update)]
    await settled(lambda: told == ["wrong_amount"])
    assert await pay.run_due() == 0


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no task groups")
async def test_a_payment_may_be_rejected_in_a_task_group(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    async def draw() -> None:
        raise RejectPayment("cannot be drawn")

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        async with NEWER.TaskGroup() as group:
            group.create_task(draw())

    await dp.feed_raw_update(bot, await sell(bot, pay))
    await settled(lambda: len(bot.sent(RefundStarPayment)) == 1)

    assert await pay.stuck_payments() == []


@pytest.mark.parametrize(
    "how",
    [
        "an id as text",
        "a cause",
        pytest.param(
            "a group", marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no groups of errors")
        ),
    ],
)
async def test_a_buyer_who_blocked_the_bot_is_recognised_in_what_a_handler_makes_of_it(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, how: str
) -> None:
    refused = TelegramForbiddenError(SendMessage(chat_id=str(ALICE), text="here it is"), "Forbidden: blocked")

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        if how == "a cause":
            raise LookupError("not sent") from refused
        if how == "a group":
            raise NEWER.ExceptionGroup("several", [LookupError("not sent"), refused])
        raise refused

    update = await sell(bot, pay)
    with pytest.raises(Exception):  # noqa: B017 - whatever it was made of
        await dp.feed_raw_update(bot, update)

    assert [payment.transaction_id for payment in await pay.stuck_payments()] == [charge_of(update)]


async def test_what_waits_for_the_storage_may_wait_in_a_second_event_loop(bot: RecordingBot) -> None:
    pay = neonpay_router(STAGES, bot=bot)
    pause = pay._installation.outages._pause

    async def abandon() -> None:
        waiting = asyncio.ensure_future(pause(30.0))
        await asyncio.sleep(0)
        waiting.cancel()

    async def wait() -> bool:
        waiting = asyncio.ensure_future(pause(30.0))
        await asyncio.sleep(0)
        pay._installation.outages.close()
        return await waiting

    await asyncio.to_thread(asyncio.run, abandon())
    assert await asyncio.to_thread(asyncio.run, wait())
