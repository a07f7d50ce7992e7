"""Limited stages: no more is sold than there is, to one buyer and in all, however many try at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiogram import Dispatcher
from aiogram.exceptions import TelegramBadRequest
from aiogram.methods import AnswerPreCheckoutQuery, RefundStarPayment

from aiogram_neonpay import (
    CheckoutDeclined,
    NeonPay,
    PaymentStatus,
    RejectPayment,
    neonpay_router,
)
from tests.flow.clock import Clock, settled
from tests.flow.stall import QUARTER, STAGES, Stall
from tests.flow.test_access import shared  # noqa: F401
from tests.telegram import ALICE, BOB, RecordingBot, charge_of, pre_checkout, refunded

pytestmark = pytest.mark.asyncio


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stall(bot: RecordingBot, clock: Clock) -> Stall:
    return Stall(bot, clock)


async def test_a_checkout_of_what_is_sold_out_is_declined_in_the_buyers_language(stall: Stall) -> None:
    reasons: list[str] = []

    @stall.pay.declined
    async def heard(event: CheckoutDeclined) -> None:
        reasons.append(event.reason)

    for user in (ALICE, BOB, ALICE):
        await stall.buy("print", user)
    payload = await stall.invoice("print", BOB)

    assert await stall.check_out("print", payload, BOB) == "This is sold out. No Stars were charged."
    assert "распродано" in (await stall.check_out("print", payload, BOB, language_code="ru") or "")
    await settled(lambda: reasons == ["sold_out", "sold_out"])
    assert len(stall.delivered) == 3


async def test_what_somebody_owns_is_not_sold_to_them_again(stall: Stall) -> None:
    await stall.buy("ticket")
    payload = await stall.invoice("ticket")

    assert await stall.check_out("ticket", payload) == "You have this already. No Stars were charged."
    await stall.buy("ticket", BOB)
    for _ in range(2):
        await stall.buy("pair")
    third = await stall.invoice("pair")
    assert "as many of these" in (await stall.check_out("pair", third) or "")


async def test_an_approved_checkout_keeps_its_share_for_a_quarter_of_an_hour(stall: Stall) -> None:
    payloads = [await stall.invoice("print", user) for user in (1, 2, 3, 4)]
    for user, payload in enumerate(payloads[:3], 1):
        assert await stall.check_out("print", payload, user) is None
    assert await stall.check_out("print", payloads[3], 4) is not None
    stall.clock.now += QUARTER

    assert await stall.check_out("print", payloads[3], 4) is None
    for user, payload in enumerate(payloads[:2], 1):  # late, and there is a free one for each
        await stall.pay_for("print", payload, user)
    await stall.pay_for("print", payloads[3], 4)
    assert len(stall.delivered) == 3


async def test_a_payment_for_which_nothing_is_left_is_refunded(stall: Stall) -> None:
    late = await stall.invoice("print", 9)
    assert await stall.check_out("print", late, 9) is None
    stall.clock.now += QUARTER
    for user in (1, 2, 3):
        await stall.buy("print", user)
    bought = await stall.pay_for("print", late, 9)
    await stall.pay.run_due()

    assert charge_of(bought) not in stall.delivered
    assert [call.telegram_payment_charge_id for call in stall.bot.sent(RefundStarPayment)] == [charge_of(bought)]
    payment = await stall.pay.get_payment(charge_of(bought))
    assert payment is not None and payment.status is PaymentStatus.REFUNDED


async def test_a_stage_may_deliver_more_than_there_is(stall: Stall) -> None:
    late = await stall.invoice("more", 9)
    assert await stall.check_out("more", late, 9) is None
    stall.clock.now += QUARTER
    await stall.buy("more", 1)
    await stall.pay_for("more", late, 9)

    assert len(stall.delivered) == 2
    assert await stall.check_out("more", await stall.invoice("more", 5), 5) is not None


async def test_a_refund_returns_the_share_once(stall: Stall) -> None:
    bought = [await stall.buy("pair", user) for user in (1, 1, 2)]
    for _ in range(2):
        await stall.dp.feed_raw_update(stall.bot, refunded(bought[0]))
    await stall.buy("pair", 1)

    third = await stall.invoice("pair", 1)
    assert await stall.check_out("pair", third, 1) is not None
    for user in range(10, 17):
        await stall.buy("pair", user)
    assert await stall.check_out("pair", await stall.invoice("pair", 99), 99) is not None


async def test_a_repeated_delivery_takes_one_share(stall: Stall) -> None:
    fails = 2

    @stall.pay.completed.outer_middleware
    async def unlucky(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        nonlocal fails
        if fails:
            fails -= 1
            raise RuntimeError
        return await handler(event, data)

    payload = await stall.invoice("print")
    assert await stall.check_out("print", payload) is None
    with pytest.raises(RuntimeError):
        await stall.pay_for("print", payload)
    for _ in range(2):
        stall.clock.now += 60
        await stall.pay.run_due()
    await stall.buy("print", 1)
    await stall.buy("print", 2)

    assert len(stall.delivered) == 3
    assert await stall.check_out("print", await stall.invoice("print", 3), 3) is not None


async def test_a_rejected_payment_returns_its_share(stall: Stall) -> None:
    rejecting = True

    @stall.pay.completed.outer_middleware
    async def reject(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        if rejecting:
            raise RejectPayment("no")
        return await handler(event, data)

    await stall.buy("ticket")
    await stall.pay.run_due()
    rejecting = False

    await stall.buy("ticket")
    assert len(stall.delivered) == 1


async def test_what_a_refused_answer_had_kept_is_free_at_once(stall: Stall) -> None:
    def refuse(method: AnswerPreCheckoutQuery) -> Any:
        raise TelegramBadRequest(method=method, message="Bad Request: query is too old")

    stall.bot.answer(AnswerPreCheckoutQuery, refuse)
    payload = await stall.invoice("ticket")
    for _ in range(2):
        with pytest.raises(TelegramBadRequest):
            await stall.check_out("ticket", payload)
    stall.bot.recorded.answers.clear()

    assert await stall.check_out("ticket", payload) is None


async def test_a_validator_that_declines_keeps_nothing(stall: Stall) -> None:
    asked = 0

    @stall.pay.check("ticket")
    async def first_no(checkout: Any) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise RejectPayment("not yet")

    payload = await stall.invoice("ticket")
    assert await stall.check_out("ticket", payload) == "not yet"
    assert await stall.check_out("ticket", payload) is None


async def test_of_many_checkouts_at_once_as_many_are_approved_as_there_are(
    bot: RecordingBot,
    shared: Any,  # noqa: F811
) -> None:
    workers: list[tuple[NeonPay, Dispatcher]] = []
    for _ in range(2):
        pay = neonpay_router(STAGES, bot=bot)
        dispatcher = Dispatcher(storage=shared)
        dispatcher.include_router(pay)
        workers.append((pay, dispatcher))
    queries = []
    for number in range(24):
        pay, dispatcher = workers[number % 2]
        await pay.send_payment(100 + number, "pair")
        queries.append((dispatcher, pre_checkout(bot.payload(), 5, 100 + number)))
    await asyncio.gather(*(dispatcher.feed_raw_update(bot, query) for dispatcher, query in queries))

    assert sum(answer.ok for answer in bot.sent(AnswerPreCheckoutQuery)) == 10
