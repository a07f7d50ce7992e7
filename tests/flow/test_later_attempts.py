"""What a later attempt, or a step of the worker's, must have and do as the first one had and did."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from typing import Any

import pytest
from aiogram import Dispatcher, F
from aiogram.exceptions import TelegramForbiddenError, TelegramRetryAfter
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import RefundStarPayment, SendMessage
from aiogram.types import Message

from aiogram_neonpay import (
    DeliveryError,
    NeonPay,
    PaymentCompleted,
    PaymentError,
    PaymentRefunded,
    PaymentResult,
    PaymentStage,
    PaymentStatus,
    PaymentStuck,
    PaymentUnmatched,
    RefundError,
    RejectPayment,
    ValidationError,
    neonpay_router,
)
from tests.flow.clock import Clock, settled
from tests.telegram import ALICE, GROUP, RecordingBot, charge_of, paid

pytestmark = pytest.mark.asyncio

STAGES = {"premium": PaymentStage("Premium", "30 days of premium", 25, payload={"days": 30})}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pay(bot: RecordingBot, clock: Clock) -> NeonPay:
    return neonpay_router(STAGES, bot=bot, clock=clock, retries=(10.0,))


class Shaky(MemoryStorage):
    """A storage whose ledger fails while it is down."""

    down = False

    async def set_data(self, key: Any, data: Any) -> None:
        if self.down and "neonpay" in key.destiny:
            raise ConnectionError("the storage is down")
        await super().set_data(key, data)


@pytest.fixture
def storage() -> Shaky:
    return Shaky()


@pytest.fixture
def dp(pay: NeonPay, storage: Shaky) -> Dispatcher:
    dispatcher = Dispatcher(storage=storage)
    dispatcher.include_router(pay)
    return dispatcher


async def sell(bot: RecordingBot, dp: Dispatcher, pay: NeonPay, **data: Any) -> dict[str, Any]:
    await pay.send_payment(ALICE, "premium", bot=bot)
    update = paid(bot.payload())
    with suppress(LookupError):
        await dp.feed_raw_update(bot, update, **data)
    return update


async def payment_of(pay: NeonPay, update: dict[str, Any]) -> PaymentResult:
    payment = await pay.get_payment(charge_of(update))
    assert payment is not None
    return payment


@pytest.mark.parametrize("through", ["start-up", "updates"])
async def test_what_polling_was_given_reaches_later_attempts_and_told_events(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock, through: str
) -> None:
    got: list[Any] = []

    @pay.completed
    async def grant(event: PaymentCompleted, db: str) -> None:
        got.append((event.attempt, db))
        raise LookupError

    @pay.stuck
    async def alert(event: PaymentStuck, db: str) -> None:
        got.append(("stuck", db))

    given = {"db": "the pool"}
    if through == "start-up":
        await dp.emit_startup(bot=bot, dispatcher=dp, **given)
        await dp.emit_shutdown(bot=bot, dispatcher=dp, **given)
    await sell(bot, dp, pay, **given)
    clock.now += 10
    await pay.run_due()

    await settled(lambda: len(got) == 3)
    assert got == [(1, "the pool"), (2, "the pool"), ("stuck", "the pool")]


async def test_a_method_that_a_handler_returns_is_called_in_later_attempts(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    @pay.completed
    async def grant(event: PaymentCompleted) -> SendMessage:
        if event.attempt == 1:
            raise LookupError
        return SendMessage(chat_id=event.user_id, text="here it is")

    await sell(bot, dp, pay)
    clock.now += 10
    await pay.run_due()

    assert [call.text for call in bot.sent(SendMessage)] == ["here it is"]


async def test_a_refund_whose_confirmation_could_not_be_written_is_taken_up_again(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, storage: Shaky, clock: Clock
) -> None:
    told: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None: ...

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        told.append("back")

    update = await sell(bot, dp, pay)

    def refund(method: RefundStarPayment) -> bool:
        storage.down = True
        return True

    bot.answer(RefundStarPayment, refund)
    with pytest.raises(ConnectionError):
        await pay.refund(charge_of(update))
    storage.down = False
    del bot.recorded.answers[RefundStarPayment]
    clock.now += 61
    await pay.run_due()

    assert (await payment_of(pay, update)).status is PaymentStatus.REFUNDED
    assert told == ["back"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task cannot tell who cancelled it")
async def test_a_cancellation_that_is_not_the_tasks_own_counts_as_a_failure(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    attempts: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        attempts.append(event.attempt)
        task = asyncio.create_task(asyncio.sleep(9))
        task.cancel()
        await task

    await pay.send_payment(ALICE, "premium")
    with pytest.raises(DeliveryError, match="was cancelled"):
        await dp.feed_raw_update(bot, paid(bot.payload()))
    for _ in range(3):
        clock.now += 10
        await pay.run_due()

    assert attempts == [1, 2]
    assert len(await pay.stuck_payments()) == 1


class Unspeakable(LookupError):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize("error", [Unspeakable(), LookupError("\ud800.txt")], ids=["no text", "no Unicode"])
async def test_an_error_that_cannot_be_written_down_is_a_failure_like_any_other(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock, error: LookupError
) -> None:
    attempts: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        attempts.append(event.attempt)
        raise error

    logging.getLogger("aiogram.event").disabled = True  # aiogram itself fails to write it
    try:
        await sell(bot, dp, pay)
        clock.now += 10
        await pay.run_due()
    finally:
        logging.getLogger("aiogram.event").disabled = False

    assert attempts == [1, 2]
    assert len(await pay.stuck_payments()) == 1


async def test_a_refund_handler_that_writes_to_who_blocked_the_bot_runs_once_and_can_be_told_again(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    runs: list[int] = []
    stuck: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None: ...

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        runs.append(1)
        await event.bot.send_message(event.user_id, "your Stars are back")

    @pay.stuck
    async def alert(event: PaymentStuck) -> None:
        stuck.append(event.reason)

    def blocked(method: SendMessage) -> Any:
        raise TelegramForbiddenError(method, "Forbidden: bot was blocked by the user")

    bot.answer(SendMessage, blocked)
    update = await sell(bot, dp, pay)
    await pay.refund(charge_of(update))
    await settled(lambda: stuck == ["refund_unheard"])
    clock.now += 86400
    await pay.run_due()
    assert len(runs) == 1
    assert len(await pay.stuck_payments()) == 1

    del bot.recorded.answers[SendMessage]
    await pay.redeliver(charge_of(update))
    await pay.run_due()
    assert len(runs) == 2
    assert await pay.stuck_payments() == []


async def test_what_is_stuck_is_told_also_when_that_could_only_be_written_later(
    bot: RecordingBot, storage: Shaky, clock: Clock
) -> None:
    pay = neonpay_router(STAGES, bot=bot, clock=clock, retries=())
    dp = Dispatcher(storage=storage)
    dp.include_router(pay)
    told: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        storage.down = True
        raise LookupError

    @pay.stuck
    async def alert(event: PaymentStuck) -> None:
        told.append(event.reason)

    await pay.send_payment(ALICE, "premium")
    with pytest.raises(LookupError):
        await dp.feed_raw_update(bot, paid(bot.payload()))
    storage.down = False

    await settled(lambda: told == ["attempts"])


async def test_flood_control_met_inside_a_handler_is_waited_for(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    def flood(method: RefundStarPayment) -> Any:
        raise TelegramRetryAfter(method, "Too Many Requests", 600)

    bot.answer(RefundStarPayment, flood)

    @pay.completed
    async def grant(event: PaymentCompleted, neonpay: NeonPay) -> None:
        with suppress(RefundError):
            await neonpay.refund(str(event.transaction_id))

    await sell(bot, dp, pay)
    clock.now += 590
    await pay.run_due()
    assert len(bot.sent(RefundStarPayment)) == 1
    clock.now += 20
    await pay.run_due()
    assert len(bot.sent(RefundStarPayment)) == 2


async def test_a_rejection_may_be_given_the_exception_itself(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    @pay.completed
    async def refuse(event: PaymentCompleted) -> None:
        raise RejectPayment(LookupError("sold out \ud800"))  # type: ignore[arg-type]

    update = await sell(bot, dp, pay)
    await settled(lambda: len(bot.sent(RefundStarPayment)) == 1)
    await pay.run_due()
    assert (await payment_of(pay, update)).status is PaymentStatus.REFUNDED


async def test_a_charge_that_is_being_delivered_cannot_be_redelivered(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    go = asyncio.Event()

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        await go.wait()

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    task = asyncio.create_task(dp.feed_raw_update(bot, update))
    await asyncio.sleep(0.01)
    with pytest.raises(PaymentError, match="being delivered"):
        await pay.redeliver(charge_of(update))
    go.set()
    await task


@pytest.mark.parametrize("place", ["a business account", "a group"])
async def test_a_later_attempt_comes_by_the_same_kind_of_message_to_the_same_chat(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock, place: str
) -> None:
    seen: list[tuple[int, int]] = []
    observer = dp.business_message if place == "a business account" else dp.message

    @observer(F.successful_payment)
    async def deliver(message: Message, payment: PaymentResult) -> None:
        seen.append((message.chat.id, message.message_id))
        if len(seen) == 1:
            raise LookupError

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    if place == "a business account":
        update["business_message"] = {**update.pop("message"), "business_connection_id": "b1"}
    else:
        update["message"]["chat"] = {"id": GROUP, "type": "supergroup", "title": "Club"}
    with suppress(LookupError):
        await dp.feed_raw_update(bot, update)
    clock.now += 10
    await pay.run_due()

    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert await pay.stuck_payments() == []


async def test_what_one_ear_does_with_the_metadata_no_other_sees(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    heard: list[dict[str, Any]] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        event.metadata["days"] = 0

    @pay.on_payment
    async def listen(payment: PaymentResult) -> None:
        heard.append(payment.metadata)

    await sell(bot, dp, pay)
    assert heard == [{"days": 30}]


async def test_ids_of_our_own_updates_do_not_begin_anew_in_another_process(bot: RecordingBot, clock: Clock) -> None:
    ids: list[int] = []
    for _ in range(2):
        pay = neonpay_router(STAGES, bot=bot, clock=clock)
        dp = Dispatcher()
        dp.include_router(pay)

        @dp.update.outer_middleware
        async def note(handler: Any, event: Any, data: dict[str, Any]) -> Any:
            ids.append(event.update_id)
            return await handler(event, data)

        @pay.unmatched
        async def alert(event: PaymentUnmatched) -> None: ...

        await sell(bot, dp, pay)
        await asyncio.sleep(0.01)

    own = [update_id for update_id in ids if update_id < 0]
    assert len(own) == len(set(own)) == 2


async def test_bad_input_is_named(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    with pytest.raises(ValidationError, match="reason"):
        await pay.refund("stx", LookupError())  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="user_id"):
        await pay.redeliver("stx", user_id="7")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="since"):
        await pay.reconcile(since=float("nan"))
    with pytest.raises(ValidationError, match="dry_run"):
        await pay.reconcile(dry_run="False")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="reconcile_every"):
        neonpay_router(STAGES, reconcile_every=float("nan"))
    with pytest.raises(ValidationError, match="retries"):
        neonpay_router(STAGES, retries=[10**400])
    with pytest.raises(ValidationError, match="offset"):
        await pay.history(ALICE, offset=10**30)
    with pytest.raises(ValidationError, match="days"):
        await pay.report(days=0)
