"""Refunds are recorded first, then sent until Telegram confirms; one at a time, and one for each charge."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiogram import Dispatcher
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError, TelegramRetryAfter, TelegramServerError
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import RefundStarPayment

from aiogram_neonpay import (
    NeonPay,
    PaymentCompleted,
    PaymentError,
    PaymentRefunded,
    PaymentStage,
    PaymentStatus,
    PaymentStuck,
    RefundError,
    RejectPayment,
    neonpay_router,
)
from tests.flow.clock import Clock, settled
from tests.telegram import ALICE, RecordingBot, charge_of, paid, refunded

pytestmark = pytest.mark.asyncio

STAGES = {"premium": PaymentStage("Premium", "30 days of premium", 25)}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pay(bot: RecordingBot, clock: Clock) -> NeonPay:
    return neonpay_router(STAGES, bot=bot, clock=clock, retries=(10.0,))


@pytest.fixture
def dp(pay: NeonPay) -> Dispatcher:
    dispatcher = Dispatcher()
    dispatcher.include_router(pay)
    return dispatcher


@pytest.fixture
def news(pay: NeonPay) -> list[str]:
    """What the bot hears, in order."""
    heard: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append("granted")

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        heard.append("taken back")

    return heard


async def sell(bot: RecordingBot, dp: Dispatcher, pay: NeonPay) -> str:
    await pay.send_payment(ALICE, "premium", bot=bot)
    update = paid(bot.payload())
    await dp.feed_raw_update(bot, update)
    return charge_of(update)


async def status_of(pay: NeonPay, charge: str) -> PaymentStatus:
    payment = await pay.get_payment(charge)
    assert payment is not None
    return payment.status


def failing(bot: RecordingBot, *errors: Any) -> None:
    """Let so many refunds fail, each in its way, and the next succeed."""
    waiting = list(errors)

    def answer(method: RefundStarPayment) -> bool:
        if waiting:
            raise waiting.pop(0)(method)
        return True

    bot.answer(RefundStarPayment, answer)


async def test_a_refund_that_telegram_did_not_confirm_is_sent_again_by_the_worker(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock, news: list[str]
) -> None:
    failing(
        bot,
        lambda m: TelegramNetworkError(m, "timeout"),
        lambda m: TelegramServerError(m, "Bad Gateway"),
        lambda m: TelegramBadRequest(m, "Bad Request: CHARGE_ALREADY_REFUNDED"),
    )
    charge = await sell(bot, dp, pay)
    with pytest.raises(RefundError, match="sent again until it does") as caught:
        await pay.refund(charge)
    assert not caught.value.is_final
    assert await pay.run_due() == 0
    for _ in range(2):
        clock.now += 60
        await pay.run_due()

    assert len(bot.sent(RefundStarPayment)) == 3
    assert await status_of(pay, charge) is PaymentStatus.REFUNDED
    assert news == ["granted", "taken back"]


async def test_flood_control_is_waited_for(bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock) -> None:
    failing(bot, lambda m: TelegramRetryAfter(m, "Too Many Requests", 120))
    pay.on_payment(lambda payment: None)
    charge = await sell(bot, dp, pay)
    await pay.refund(charge, wait=False)
    await settled(lambda: len(bot.sent(RefundStarPayment)) == 1)
    clock.now += 119
    await pay.run_due()
    assert len(bot.sent(RefundStarPayment)) == 1
    clock.now += 2
    await pay.run_due()

    assert await status_of(pay, charge) is PaymentStatus.REFUNDED


async def test_a_refund_need_not_be_waited_for(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, news: list[str]
) -> None:
    charge = await sell(bot, dp, pay)
    result = await pay.refund(charge, wait=False)

    assert result.status is PaymentStatus.COMPLETED
    await settled(lambda: news == ["granted", "taken back"])
    assert await status_of(pay, charge) is PaymentStatus.REFUNDED


async def test_many_who_ask_at_once_make_one_request(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, news: list[str]
) -> None:
    async def slowly(method: RefundStarPayment) -> bool:
        await asyncio.sleep(0.05)
        return True

    bot.answer(RefundStarPayment, slowly)
    charge = await sell(bot, dp, pay)
    results = await asyncio.gather(*(pay.refund(charge) for _ in range(10)))

    assert {result.status for result in results} == {PaymentStatus.REFUNDED}
    assert len(bot.sent(RefundStarPayment)) == 1
    await settled(lambda: news == ["granted", "taken back"])


async def test_a_refund_during_a_delivery_waits_for_it_and_is_announced_after_it(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    order: list[str] = []
    go = asyncio.Event()

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        await go.wait()
        order.append("granted")

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        order.append("taken back")

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    delivery = asyncio.create_task(dp.feed_raw_update(bot, update))
    await asyncio.sleep(0.01)
    refund = asyncio.create_task(pay.refund(charge_of(update)))
    await asyncio.sleep(0.05)
    assert bot.sent(RefundStarPayment) == []
    go.set()

    assert (await refund).status is PaymentStatus.REFUNDED
    await delivery
    await settled(lambda: order == ["granted", "taken back"])
    assert len(bot.sent(RefundStarPayment)) == 1


async def test_telegrams_own_refund_during_a_delivery_is_announced_after_it(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    order: list[str] = []
    go = asyncio.Event()

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        await go.wait()
        order.append("granted")

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        order.append("taken back")

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    delivery = asyncio.create_task(dp.feed_raw_update(bot, update))
    await asyncio.sleep(0.01)
    await dp.feed_raw_update(bot, refunded(update))
    assert order == []
    go.set()
    await delivery

    await settled(lambda: order == ["granted", "taken back"])


async def test_a_handler_may_refund_what_it_is_delivering(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    order: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted, neonpay: NeonPay) -> None:
        result = await asyncio.wait_for(neonpay.refund(str(event.transaction_id), "out of stock"), 20)
        order.append(f"granted, {result.status}")

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        order.append("taken back")

    await sell(bot, dp, pay)

    await settled(lambda: order == ["granted, refunded", "taken back"])
    assert len(bot.sent(RefundStarPayment)) == 1


async def test_a_requested_refund_ends_the_retries(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    attempts: list[int] = []
    gone: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        attempts.append(event.attempt)
        raise LookupError

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        gone.append(str(event.transaction_id))

    with pytest.raises(LookupError):
        await sell(bot, dp, pay)
    [payment] = await pay.history(ALICE)
    await pay.refund(str(payment.reference))
    await settled(lambda: gone == [payment.transaction_id])
    clock.now += 3600
    assert await pay.run_due() == 0
    assert attempts == [1]


async def test_a_rejection_is_refunded_though_telegram_is_away_for_an_hour(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    failing(bot, *[lambda m: TelegramNetworkError(m, "away")] * 5)

    @pay.completed
    async def refuse(event: PaymentCompleted) -> None:
        raise RejectPayment("sold out")

    charge = await sell(bot, dp, pay)
    for _ in range(8):
        clock.now += 1800
        await pay.run_due()
        await asyncio.sleep(0)

    await settled(lambda: len(bot.sent(RefundStarPayment)) == 6)
    await asyncio.sleep(0.01)
    assert await status_of(pay, charge) is PaymentStatus.REFUNDED
    assert await pay.stuck_payments() == []


async def test_a_refund_that_is_refused_in_the_background_is_a_persons_business(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    bot.answer(RefundStarPayment, lambda m: _raise(TelegramBadRequest(m, "Bad Request: BALANCE_TOO_LOW")))
    told: list[PaymentStuck] = []

    @pay.completed
    async def refuse(event: PaymentCompleted) -> None:
        raise RejectPayment("sold out")

    @pay.stuck
    async def alert(event: PaymentStuck) -> None:
        told.append(event)

    charge = await sell(bot, dp, pay)
    await settled(lambda: len(told) == 1)
    assert told[0].reason == "refund_refused" and "BALANCE_TOO_LOW" in str(told[0].error)
    assert [payment.transaction_id for payment in await pay.stuck_payments()] == [charge]
    del bot.recorded.answers[RefundStarPayment]

    assert (await pay.refund(charge)).status is PaymentStatus.REFUNDED
    assert await pay.stuck_payments() == []


async def test_a_delivered_payment_whose_refund_is_refused_in_the_background_is_listed_until_somebody_acts(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, news: list[str]
) -> None:
    def refuse(method: RefundStarPayment) -> bool:
        raise TelegramBadRequest(method, "Bad Request: BALANCE_TOO_LOW")

    charge = await sell(bot, dp, pay)
    for end in (pay.dismiss, pay.refund):
        bot.answer(RefundStarPayment, refuse)
        await pay.refund(charge, wait=False)
        await pay.run_due()
        [listed] = await pay.stuck_payments()
        assert (listed.transaction_id, listed.reason, listed.delivered) == (charge, "refund_refused", True)
        assert "BALANCE_TOO_LOW" in str(listed.error)
        bot.answer(RefundStarPayment, lambda method: True)
        await end(charge)
        assert await pay.stuck_payments() == []

    assert await status_of(pay, charge) is PaymentStatus.REFUNDED
    with pytest.raises(PaymentError, match="nothing to dismiss"):
        await pay.dismiss(charge)


async def test_who_waits_for_a_refund_that_is_refused_hears_it_and_nothing_is_listed(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, news: list[str]
) -> None:
    charge = await sell(bot, dp, pay)
    failing(bot, lambda m: TelegramBadRequest(m, "Bad Request: BALANCE_TOO_LOW"))
    with pytest.raises(RefundError, match="BALANCE_TOO_LOW"):
        await pay.refund(charge)

    assert await pay.stuck_payments() == []


@pytest.mark.parametrize("kind", [TelegramNetworkError, RuntimeError], ids=["Telegram's", "of the bot's session"])
async def test_a_refund_that_is_not_confirmed_for_long_is_listed_and_told_once_while_it_is_sent_on(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock, news: list[str], kind: Any
) -> None:
    def fail(method: RefundStarPayment) -> bool:
        raise kind(method, "away") if kind is TelegramNetworkError else kind("away")

    told: list[PaymentStuck] = []

    @pay.stuck
    async def alert(event: PaymentStuck) -> None:
        told.append(event)

    charge = await sell(bot, dp, pay)
    bot.answer(RefundStarPayment, fail)
    with pytest.raises(RefundError, match="has not confirmed"):
        await pay.refund(charge)
    assert await pay.run_due() == 0, "not before its time"
    assert await pay.stuck_payments() == []
    for _ in range(10):
        clock.now += 3600
        await pay.run_due()

    [listed] = await pay.stuck_payments()
    assert (listed.transaction_id, listed.reason) == (charge, "refund_delayed")
    assert [event.reason for event in told] == ["refund_delayed"]
    assert len(bot.sent(RefundStarPayment)) == 11
    bot.answer(RefundStarPayment, lambda method: True)
    clock.now += 3600
    await pay.run_due()
    assert await pay.stuck_payments() == []
    payment = await pay.get_payment(charge)
    assert payment is not None and (payment.reason, payment.error) == (None, None)


async def test_news_of_a_refund_that_no_handler_takes_are_a_persons_business_in_the_end(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    tries: list[int] = []
    told: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None: ...

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        tries.append(1)
        raise LookupError("no such subscription")

    @pay.stuck
    async def alert(event: PaymentStuck) -> None:
        told.append(event.reason)

    charge = await sell(bot, dp, pay)
    await pay.refund(charge)
    await settled(lambda: len(tries) == 1)
    for _ in range(3):
        clock.now += 3600
        await pay.run_due()

    assert len(tries) == 2
    await settled(lambda: told == ["refund_unheard"])
    assert [payment.transaction_id for payment in await pay.stuck_payments()] == [charge]


async def test_a_process_without_a_dispatcher_asks_and_the_bots_worker_announces(
    bot: RecordingBot, clock: Clock
) -> None:
    storage = MemoryStorage()
    pay = neonpay_router(STAGES, bot=bot, clock=clock)
    dp = Dispatcher(storage=storage)
    dp.include_router(pay)
    heard: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append("granted")

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        heard.append("taken back")

    charge = await sell(bot, dp, pay)
    back_office = neonpay_router(STAGES, bot=bot, storage=storage, clock=clock)
    assert (await back_office.refund(charge)).status is PaymentStatus.REFUNDED
    await asyncio.sleep(0.02)
    assert heard == ["granted"]
    await pay.run_due()

    assert heard == ["granted", "taken back"]


async def test_sales_and_refunds_are_reported_by_day_and_stage(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    clock.now = time.time()
    pay.on_payment(lambda payment: None)
    charges = [await sell(bot, dp, pay) for _ in range(3)]
    await pay.refund(charges[0])

    report = await pay.report(days=2)

    assert (report.payments, report.stars, report.refunds, report.returned) == (3, 75, 1, 25)
    assert {row.stage_id for row in report.rows} == {"premium"}
    assert "premium" in str(report) and "75" in str(report)


def _raise(error: Exception) -> Any:
    raise error
