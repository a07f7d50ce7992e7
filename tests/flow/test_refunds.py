"""Giving Stars back, and hearing of it once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiogram import Dispatcher, F
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError, TelegramRetryAfter
from aiogram.fsm.context import FSMContext
from aiogram.methods import RefundStarPayment
from aiogram.types import Message

from aiogram_neonpay import (
    NeonPay,
    PaymentNotFoundError,
    PaymentRefunded,
    PaymentResult,
    PaymentStatus,
    RefundError,
    ValidationError,
)
from tests.telegram import ALICE, RecordingBot, charge_of, paid, refunded

pytestmark = pytest.mark.asyncio


@pytest.fixture
def heard(pay: NeonPay) -> asyncio.Queue[Any]:
    """Every refund that the bot hears of."""
    queue: asyncio.Queue[Any] = asyncio.Queue()

    @pay.completed
    async def grant(event: Any) -> None: ...

    @pay.refunded
    async def take_back(event: PaymentRefunded, state: FSMContext, event_from_user: Any) -> None:
        queue.put_nowait((event.transaction_id, event.status, event.stage_id, state.key.user_id, event_from_user.id))

    return queue


async def sell(bot: RecordingBot, dp: Dispatcher, pay: NeonPay) -> dict[str, Any]:
    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    await dp.feed_raw_update(bot, update)
    return update


def news(update: dict[str, Any]) -> tuple[Any, ...]:
    return (charge_of(update), PaymentStatus.REFUNDED, "premium", ALICE, ALICE)


@pytest.mark.parametrize("by", ["transaction_id", "reference"])
async def test_our_refund_and_telegrams_message_are_one_event(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, heard: asyncio.Queue[Any], by: str
) -> None:
    update = await sell(bot, dp, pay)
    [payment] = await pay.history(ALICE)
    result = await pay.refund(getattr(payment, by), reason="asked for it")
    assert (result.status, result.amount) == (PaymentStatus.REFUNDED, 25)
    [call] = bot.sent(RefundStarPayment)
    assert (call.user_id, call.telegram_payment_charge_id) == (ALICE, charge_of(update))
    assert await asyncio.wait_for(heard.get(), 20) == news(update)
    await dp.feed_raw_update(bot, refunded(update))
    assert heard.empty()
    again = await pay.refund(charge_of(update))
    assert again.status is PaymentStatus.REFUNDED
    assert len(bot.sent(RefundStarPayment)) == 1


async def test_a_refund_made_elsewhere_is_heard_with_the_buyer_in_hand(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, heard: asyncio.Queue[Any]
) -> None:
    update = await sell(bot, dp, pay)
    for _ in range(3):
        await dp.feed_raw_update(bot, refunded(update))
    assert heard.get_nowait() == news(update)
    assert heard.empty()
    payment = await pay.get_payment(charge_of(update))
    assert payment is not None
    assert payment.status is PaymentStatus.REFUNDED


async def test_telegrams_message_during_our_own_call_is_one_event(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, heard: asyncio.Queue[Any]
) -> None:
    update = await sell(bot, dp, pay)

    async def refund(method: RefundStarPayment) -> bool:
        await dp.feed_raw_update(bot, refunded(update))
        return True

    bot.answer(RefundStarPayment, refund)
    await pay.refund(charge_of(update))
    await dp.emit_shutdown(bot=bot)  # waits for what is on its way
    assert heard.qsize() == 1


async def test_a_refund_known_before_the_payment_settles_it_without_a_delivery(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, heard: asyncio.Queue[Any]
) -> None:
    delivered: list[PaymentResult] = []
    pay.on_payment(delivered.append)
    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    await dp.feed_raw_update(bot, refunded(update))
    await dp.feed_raw_update(bot, update)
    assert heard.get_nowait() == news(update)
    assert delivered == []


async def test_plain_handlers_hear_of_refunds_no_typed_one_took(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    seen: list[Any] = []

    @pay.completed
    async def grant(event: Any) -> None: ...

    @dp.message()
    async def catch_all(message: Message) -> None:
        raise AssertionError

    @dp.message(F.refunded_payment)
    async def gone(message: Message, payment: PaymentResult) -> None:
        seen.append((payment.status, payment.user_id))

    update = await sell(bot, dp, pay)
    await dp.feed_raw_update(bot, refunded(update))
    assert seen == [(PaymentStatus.REFUNDED, ALICE)]


async def test_a_failing_refund_handler_hears_it_again(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    tries = []

    @pay.completed
    async def grant(event: Any) -> None: ...

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ZeroDivisionError

    update = await sell(bot, dp, pay)
    with pytest.raises(ZeroDivisionError):
        await dp.feed_raw_update(bot, refunded(update))
    await dp.feed_raw_update(bot, refunded(update))
    await dp.feed_raw_update(bot, refunded(update))
    assert len(tries) == 2


async def test_already_refunded_is_success(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, heard: asyncio.Queue[Any]
) -> None:
    update = await sell(bot, dp, pay)

    def already(method: RefundStarPayment) -> Any:
        raise TelegramBadRequest(method, "Bad Request: CHARGE_ALREADY_REFUNDED")

    bot.answer(RefundStarPayment, already)
    assert (await pay.refund(charge_of(update))).status is PaymentStatus.REFUNDED
    assert await asyncio.wait_for(heard.get(), 20) == news(update)


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (lambda m: TelegramNetworkError(m, "timeout"), None),
        (lambda m: TelegramRetryAfter(m, "Too Many Requests", 9), 9),
        (lambda m: TelegramBadRequest(m, "Bad Request: CHARGE_NOT_FOUND"), None),
    ],
)
async def test_a_refund_that_did_not_happen_raises_and_can_be_asked_again(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, heard: asyncio.Queue[Any], error: Any, retry_after: int | None
) -> None:
    update = await sell(bot, dp, pay)

    def fail(method: RefundStarPayment) -> Any:
        raise error(method)

    bot.answer(RefundStarPayment, fail)
    with pytest.raises(RefundError) as caught:
        await pay.refund(charge_of(update))
    assert caught.value.retry_after == retry_after
    payment = await pay.get_payment(charge_of(update))
    assert payment is not None
    assert payment.status is PaymentStatus.COMPLETED
    assert heard.empty()
    del bot.recorded.answers[RefundStarPayment]
    assert (await pay.refund(charge_of(update))).status is PaymentStatus.REFUNDED


async def test_an_unknown_charge_needs_its_buyer(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    with pytest.raises(PaymentNotFoundError, match="user_id="):
        await pay.refund("stx-unknown")
    with pytest.raises(ValidationError, match="payment_id"):
        await pay.refund("")
    assert bot.sent(RefundStarPayment) == []
    result = await pay.refund("stx-older-than-the-plugin", user_id=ALICE)
    assert (result.status, result.amount, result.is_ours) == (PaymentStatus.REFUNDED, 0, False)
    assert len(bot.sent(RefundStarPayment)) == 1


async def test_a_foreign_refund_is_left_to_the_bot(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    seen: list[Any] = []

    @dp.message(F.refunded_payment)
    async def gone(message: Message, payment: PaymentResult) -> None:
        seen.append((payment.is_ours, payment.status, payment.user_id))

    await dp.feed_raw_update(bot, refunded(paid("order-17")))
    assert seen == [(False, PaymentStatus.REFUNDED, ALICE)]


async def test_history_has_pages_newest_first(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    @pay.on_payment
    async def log(result: PaymentResult) -> None: ...

    updates = [await sell(bot, dp, pay) for _ in range(5)]
    newest_first = [charge_of(update) for update in reversed(updates)]
    pages = [*await pay.history(ALICE, limit=2), *await pay.history(ALICE, limit=10, offset=2)]
    assert [payment.transaction_id for payment in pages] == newest_first
    for arguments in ({"limit": 0}, {"limit": 101}, {"offset": -1}):
        with pytest.raises(ValidationError):
            await pay.history(ALICE, **arguments)  # type: ignore[arg-type]
