"""Handlers that are cut off from outside, or by what is no ``Exception``: the charge never stays in dead hands."""

from __future__ import annotations

from typing import Any

import pytest
from aiogram import Dispatcher

from aiogram_neonpay import NeonPay, PaymentCompleted, PaymentRefunded, PaymentStage, neonpay_router
from tests.flow.clock import Clock
from tests.telegram import ALICE, RecordingBot, charge_of, paid, refunded

pytestmark = pytest.mark.asyncio

STAGES = {"premium": PaymentStage("Premium", "30 days of premium", 25)}
PAUSE = 10.0


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
