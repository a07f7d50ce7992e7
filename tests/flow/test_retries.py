"""Attempts after the first: on a schedule, by whichever worker is there, until the charge is delivered or stuck."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiogram import Dispatcher, F
from aiogram.exceptions import TelegramNetworkError
from aiogram.fsm.context import FSMContext
from aiogram.fsm.storage.memory import MemoryStorage, SimpleEventIsolation
from aiogram.methods import RefundStarPayment
from aiogram.types import Message, Update

from aiogram_neonpay import (
    NeonPay,
    PaymentCompleted,
    PaymentError,
    PaymentNotFoundError,
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
from aiogram_neonpay.retries import RETRIES, Retries, endless_pause
from tests.flow.clock import Clock, settled
from tests.telegram import ALICE, RecordingBot, charge_of, paid, text

pytestmark = pytest.mark.asyncio

STAGES = {"premium": PaymentStage("Premium", "30 days of premium", 25, payload={"days": 30})}
PAUSES = (10.0, 100.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def pay(bot: RecordingBot, clock: Clock) -> NeonPay:
    return neonpay_router(STAGES, bot=bot, clock=clock, retries=PAUSES)


@pytest.fixture
def dp(pay: NeonPay, storage: MemoryStorage) -> Dispatcher:
    dispatcher = Dispatcher(storage=storage)
    dispatcher.include_router(pay)
    return dispatcher


async def sell(bot: RecordingBot, dp: Dispatcher, pay: NeonPay) -> dict[str, Any]:
    """Sell a premium whose delivery may fail, and return the update."""
    await pay.send_payment(ALICE, "premium", bot=bot, metadata={"order": 7})
    update = paid(bot.payload())
    update["message"]["from"] |= {"username": "alice", "language_code": "az"}
    with suppress(LookupError):
        await dp.feed_raw_update(bot, update)
    return update


def failing(pay: NeonPay, times: int) -> list[PaymentCompleted]:
    """Register a handler that fails so many times, and return what it hears."""
    heard: list[PaymentCompleted] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event)
        if len(heard) <= times:
            raise LookupError("no licence left")

    return heard


async def payment_of(pay: NeonPay, update: dict[str, Any]) -> PaymentResult:
    payment = await pay.get_payment(charge_of(update))
    assert payment is not None
    return payment


async def test_a_failed_attempt_is_followed_by_the_next_one_when_its_time_has_come(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    heard = failing(pay, times=1)
    update = await sell(bot, dp, pay)
    assert await pay.run_due() == 0
    assert not (await payment_of(pay, update)).delivered

    clock.now += PAUSES[0]
    assert await pay.run_due() == 1

    assert [event.attempt for event in heard] == [1, 2]
    assert (await payment_of(pay, update)).delivered
    clock.now += 10 * PAUSES[1]
    assert await pay.run_due() == 0


async def test_another_attempt_has_all_that_the_first_had(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    got: list[tuple[PaymentCompleted, dict[str, Any]]] = []
    updates: list[Update] = []

    @dp.message.outer_middleware
    async def session(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        updates.append(data["event_update"])
        return await handler(event, {**data, "session": "open"})

    @pay.completed
    async def grant(event: PaymentCompleted, state: FSMContext, **data: Any) -> None:
        got.append((event, {**data, "state": state}))
        if len(got) == 1:
            raise LookupError

    update = await sell(bot, dp, pay)
    clock.now += PAUSES[0]
    await pay.run_due()

    (first, before), (second, after) = got
    assert second == type(first)(**{**vars(first), "attempt": 2})
    assert set(before) == set(after)
    assert after["session"] == "open"
    assert after["state"].key == before["state"].key
    assert after["event_from_user"] == before["event_from_user"]
    assert after["event_from_user"].language_code == "az"
    assert second.message is not None and first.message is not None
    assert second.message.message_id == update["message"]["message_id"]
    assert second.message.successful_payment == first.message.successful_payment
    assert [one.update_id > 0 for one in updates] == [True, False], "a bot that drops repeated ids must not drop it"


async def test_only_what_has_not_returned_is_called_again(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    calls: list[str] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        calls.append("grant")

    @pay.on_payment
    async def steady(payment: PaymentResult) -> None:
        calls.append("steady")

    @pay.on_payment
    async def shaky(payment: PaymentResult) -> None:
        calls.append("shaky")
        if calls.count("shaky") < 3:
            raise LookupError

    await sell(bot, dp, pay)
    for pause in PAUSES:
        clock.now += pause
        await pay.run_due()

    assert calls == ["grant", "steady", "shaky", "shaky", "shaky"]
    assert await pay.stuck_payments() == []


async def test_a_plain_handler_is_tried_again_as_well(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    seen: list[int] = []

    @dp.message(F.successful_payment)
    async def deliver(message: Message, payment: PaymentResult) -> None:
        assert message.successful_payment is not None
        seen.append(payment.attempt)
        if len(seen) == 1:
            raise LookupError

    update = await sell(bot, dp, pay)
    clock.now += PAUSES[0]
    await pay.run_due()

    assert seen == [1, 2]
    assert (await payment_of(pay, update)).delivered


async def test_after_the_last_attempt_a_charge_is_stuck_listed_and_told(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    heard = failing(pay, times=99)
    told: list[PaymentStuck] = []

    @pay.stuck
    async def alert(event: PaymentStuck) -> None:
        told.append(event)

    update = await sell(bot, dp, pay)
    for pause in (*PAUSES, 3600.0, 86400.0):
        clock.now += pause
        with caplog.at_level(logging.ERROR, "aiogram_neonpay"):
            await pay.run_due()
        await asyncio.sleep(0)

    assert [event.attempt for event in heard] == [1, 2, 3]
    await settled(lambda: bool(told))
    [event] = told
    assert (event.reason, event.error) == ("attempts", "LookupError: no licence left")
    assert (event.status, event.user_id, event.metadata) == (PaymentStatus.FAILED, ALICE, {"days": 30, "order": 7})
    assert [payment.transaction_id for payment in await pay.stuck_payments()] == [charge_of(update)]
    line = next(record.getMessage() for record in caplog.records if "is stuck" in record.getMessage())
    assert str(event.reference) in line and "no licence left" in line and "redeliver" in line
    assert charge_of(update) not in line, "a log names charges by their reference"


async def test_a_stuck_charge_is_delivered_by_a_worker_when_asked_to(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    heard = failing(pay, times=4)
    update = await sell(bot, dp, pay)
    for pause in PAUSES:
        clock.now += pause
        await pay.run_due()
    [stuck] = await pay.stuck_payments()
    assert stuck.reference is not None

    result = await pay.redeliver(stuck.reference)
    assert (result.status, len(heard)) == (PaymentStatus.COMPLETED, 3)
    assert await pay.run_due() == 1
    clock.now += PAUSES[0]
    assert await pay.run_due() == 1, "the schedule begins anew"

    assert [event.attempt for event in heard] == [1, 2, 3, 4, 5]
    assert (await payment_of(pay, update)).delivered
    assert await pay.stuck_payments() == []
    with pytest.raises(PaymentError, match="delivered already"):
        await pay.redeliver(charge_of(update))
    with pytest.raises(PaymentNotFoundError):
        await pay.redeliver("stxUnknown")


async def test_a_charge_that_nothing_heard_is_delivered_once_there_is_a_handler(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    told: list[str] = []

    @pay.unmatched
    async def alert(event: PaymentUnmatched) -> None:
        told.append(event.reason)

    update = await sell(bot, dp, pay)
    await settled(lambda: told == ["no_handler"])
    heard = failing(pay, times=0)

    await pay.redeliver(charge_of(update))
    await pay.run_due()

    assert len(heard) == 1 and (await payment_of(pay, update)).delivered


async def test_a_payment_signed_with_a_forgotten_secret_is_delivered_once_it_is_known_again(
    bot: RecordingBot, storage: MemoryStorage, clock: Clock
) -> None:
    old = neonpay_router(STAGES, bot=bot, secret="the first secret of this shop", clock=clock)
    Dispatcher(storage=storage).include_router(old)
    await old.send_payment(ALICE, "premium")
    update = paid(bot.payload())

    forgetful = neonpay_router(STAGES, bot=bot, secret="the second secret of it", clock=clock)
    dp = Dispatcher(storage=storage)
    dp.include_router(forgetful)
    await dp.feed_raw_update(bot, update)
    [waiting] = await forgetful.stuck_payments()
    assert (waiting.stage_id, waiting.status) == (None, PaymentStatus.FAILED)

    mindful = neonpay_router(
        STAGES,
        bot=bot,
        secret="the second secret of it",
        previous_secrets=["the first secret of this shop"],
        clock=clock,
    )
    heard = failing(mindful, times=0)
    Dispatcher(storage=storage).include_router(mindful)
    await mindful.redeliver(charge_of(update))
    await mindful.run_due()

    assert [event.stage_id for event in heard] == ["premium"]
    assert await mindful.stuck_payments() == []


async def test_the_charge_of_a_process_that_died_is_taken_over_when_its_lease_ends(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, storage: MemoryStorage, clock: Clock
) -> None:
    died = neonpay_router(STAGES, bot=bot, clock=clock)
    dead = Dispatcher(storage=storage)
    dead.include_router(died)

    @died.completed
    async def hang(event: PaymentCompleted) -> None:
        await asyncio.Event().wait()

    heard = failing(pay, times=0)
    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    running = asyncio.create_task(dead.feed_raw_update(bot, update))
    await asyncio.sleep(0.01)

    assert await pay.run_due() == 0
    await dp.feed_raw_update(bot, update)
    assert heard == [], "it is still in the other's hands"
    clock.now += 61
    assert await pay.run_due() == 1

    assert [event.attempt for event in heard] == [2]
    assert (await payment_of(pay, update)).delivered
    running.cancel()


async def test_a_payment_that_kills_every_worker_is_stuck_in_the_end(
    bot: RecordingBot, storage: MemoryStorage, clock: Clock
) -> None:
    starts = 0
    hanging: list[asyncio.Task[Any]] = []
    told: list[str | None] = []
    for _ in range(8):
        pay = neonpay_router(STAGES, bot=bot, clock=clock, retries=PAUSES)
        dp = Dispatcher(storage=storage)
        dp.include_router(pay)

        @pay.completed
        async def kill(event: PaymentCompleted) -> None:
            nonlocal starts
            starts += 1
            await asyncio.Event().wait()

        @pay.stuck
        async def alert(event: PaymentStuck) -> None:
            told.append(event.error)

        if not hanging:
            await pay.send_payment(ALICE, "premium")
            hanging.append(asyncio.create_task(dp.feed_raw_update(bot, paid(bot.payload()))))
        else:
            hanging.append(asyncio.create_task(pay.run_due()))
        await asyncio.sleep(0.01)
        clock.now += 61

    assert starts == 5, "the schedule, and two more: an attempt may have died before its handler"
    await settled(lambda: bool(told))
    assert told == ["the process ended in the last attempt"]
    assert len(await pay.stuck_payments()) == 1
    for task in hanging:
        task.cancel()


async def test_a_charge_that_this_worker_holds_is_not_begun_again_though_the_clock_leaps(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    go = asyncio.Event()
    running = 0

    @pay.completed
    async def slow(event: PaymentCompleted) -> None:
        nonlocal running
        running += 1
        await go.wait()

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    first = asyncio.create_task(dp.feed_raw_update(bot, update))
    await asyncio.sleep(0.01)
    clock.now += 30 * 86400
    await pay.run_due()
    go.set()
    await first

    assert running == 1
    assert (await payment_of(pay, update)).delivered


async def test_a_cancelled_handler_gives_the_charge_back_and_is_not_counted(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    attempts: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        attempts.append(event.attempt)
        if len(attempts) == 1:
            await asyncio.Event().wait()

    await pay.send_payment(ALICE, "premium")
    task = asyncio.create_task(dp.feed_raw_update(bot, paid(bot.payload())))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await pay.run_due()

    assert attempts == [1, 1]


async def test_a_rejection_in_a_later_attempt_refunds(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        raise RejectPayment("sold out") if event.attempt == 2 else LookupError()

    update = await sell(bot, dp, pay)
    clock.now += PAUSES[0]
    await pay.run_due()

    assert len(bot.sent(RefundStarPayment)) == 1
    assert (await payment_of(pay, update)).status is PaymentStatus.REFUNDED
    assert await pay.run_due() == 0, "the refund was announced in the same round"


async def test_a_redelivery_from_the_buyers_own_handler_does_not_wait_for_its_lock(
    bot: RecordingBot, clock: Clock
) -> None:
    pay = neonpay_router(STAGES, bot=bot, clock=clock, retries=())
    dp = Dispatcher(events_isolation=SimpleEventIsolation())
    dp.include_router(pay)
    heard = failing(pay, times=1)

    @dp.message(F.text == "again")
    async def again(message: Message, neonpay: NeonPay) -> None:
        [stuck] = await neonpay.stuck_payments()
        await neonpay.redeliver(str(stuck.reference))

    await sell(bot, dp, pay)
    async with running(dp, bot):
        await asyncio.wait_for(dp.feed_raw_update(bot, text("again")), 20)
        await settled(lambda: len(heard) == 2)


@asynccontextmanager
async def running(dp: Dispatcher, bot: RecordingBot) -> AsyncIterator[None]:
    await dp.emit_startup(bot=bot, dispatcher=dp)
    yield
    await dp.emit_shutdown(bot=bot, dispatcher=dp)


async def test_a_running_worker_makes_the_next_attempt_by_itself_and_on_time(bot: RecordingBot) -> None:
    pay = neonpay_router(STAGES, bot=bot, retries=(0.05, 0.05), reconcile_every=None)
    dp = Dispatcher()
    dp.include_router(pay)
    heard = failing(pay, times=2)
    async with running(dp, bot):
        await sell(bot, dp, pay)
        await settled(lambda: len(heard) == 3)

    assert [event.attempt for event in heard] == [1, 2, 3]


async def test_a_repeated_update_leaves_the_next_attempt_to_the_running_worker(bot: RecordingBot) -> None:
    pay = neonpay_router(STAGES, bot=bot, retries=(60.0,), reconcile_every=None)
    dp = Dispatcher()
    dp.include_router(pay)
    heard = failing(pay, times=1)
    async with running(dp, bot):
        update = await sell(bot, dp, pay)
        for _ in range(3):
            await dp.feed_raw_update(bot, update)

    assert len(heard) == 1


async def test_a_shutdown_waits_for_the_delivery_on_its_way_and_settles_it_before_the_storage_closes(
    bot: RecordingBot,
) -> None:
    order: list[str] = []
    end = asyncio.Event()

    class Closing(MemoryStorage):
        async def close(self) -> None:
            order.append("storage closed")
            await super().close()

    pay = neonpay_router(STAGES, bot=bot, reconcile_every=None)
    dp = Dispatcher(storage=Closing())
    dp.include_router(pay)

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        order.append("begun")
        await end.wait()
        order.append("delivered")

    await dp.emit_startup(bot=bot, dispatcher=dp)
    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    task = asyncio.create_task(dp.feed_raw_update(bot, update))
    await settled(lambda: order == ["begun"])
    closing = asyncio.create_task(dp.emit_shutdown(bot=bot, dispatcher=dp))
    for _ in range(100):
        await asyncio.sleep(0)
    assert order == ["begun"]
    end.set()
    await asyncio.gather(closing, task)

    assert order == ["begun", "delivered", "storage closed"]


async def test_a_shutdown_takes_a_charge_from_a_handler_that_does_not_end(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiogram_neonpay.installation.DRAIN", 0.05)
    attempts: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        attempts.append(event.attempt)
        if len(attempts) == 1:
            await asyncio.Event().wait()

    await dp.emit_startup(bot=bot, dispatcher=dp)
    await pay.send_payment(ALICE, "premium")
    task = asyncio.create_task(dp.feed_raw_update(bot, paid(bot.payload())))
    await settled(lambda: attempts == [1])
    await dp.emit_shutdown(bot=bot, dispatcher=dp)
    assert task.cancelled()
    await pay.run_due()

    assert attempts == [1, 1], "given back, uncounted"


async def test_a_payment_that_cannot_be_recorded_is_recorded_as_soon_as_the_storage_answers(
    bot: RecordingBot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("aiogram_neonpay.outages.endless_pause", lambda tries: 0.02)
    down = True
    refused: list[str] = []

    class Shaky(MemoryStorage):
        async def get_data(self, key: Any) -> dict[str, Any]:
            if down and "neonpay" in key.destiny:
                refused.append(key.destiny)
                raise ConnectionError("the storage is down")
            return await super().get_data(key)

    pay = neonpay_router(STAGES, bot=bot)
    dp = Dispatcher(storage=Shaky())
    dp.include_router(pay)
    heard = failing(pay, times=0)
    await pay.send_payment(ALICE, "premium")
    with pytest.raises(ConnectionError):
        await dp.feed_raw_update(bot, paid(bot.payload()))
    await settled(lambda: len(refused) > 3)
    assert heard == []
    down = False

    await settled(lambda: len(heard) == 1)
    assert "cannot be recorded" in caplog.text


@pytest.mark.parametrize("pauses", [(-1.0,), (float("nan"),), (float("inf"),), ("1",), "12", 5, (True,), (1.0,) * 51])
async def test_a_schedule_of_anything_but_pauses_is_refused(pauses: Any) -> None:
    with pytest.raises(ValidationError, match="retries"):
        neonpay_router(STAGES, retries=pauses)


async def test_pauses_grow_from_seconds_to_hours_and_never_come_late() -> None:
    schedule = Retries()
    for tries, longest in enumerate(RETRIES, 1):
        pauses = [schedule.pause(tries) for _ in range(200)]
        assert all(pause is not None and 0.75 * longest <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 100, "what failed together is not to come back together"
    assert schedule.pause(len(RETRIES) + 1) is None
    assert Retries(()).pause(1) is None
    assert max(endless_pause(tries) for tries in range(1, 99)) <= 3600


async def test_everything_due_is_done_however_much_it_is_and_a_hanging_handler_keeps_only_its_own_place(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, clock: Clock
) -> None:
    failing_now, done = True, set()
    hang = asyncio.Event()

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        if failing_now:
            raise LookupError
        if event.user_id == ALICE:
            await hang.wait()
        await asyncio.sleep(0)
        done.add(event.user_id)

    await pay.send_payment(ALICE, "premium")
    for number in range(150):
        with suppress(LookupError):
            await dp.feed_raw_update(bot, paid(bot.payload(), user_id=ALICE + number))
    failing_now = False
    clock.now += PAUSES[0]
    running_out = asyncio.create_task(pay.run_due())
    await settled(lambda: len(done) == 149)
    assert not running_out.done()
    hang.set()

    assert await running_out == 150
    assert len(done) == 150


async def test_deliveries_of_one_stage_that_hang_keep_nothing_else_of_the_shop_waiting(
    bot: RecordingBot, clock: Clock, storage: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    stages = {**STAGES, "sticker": PaymentStage("Sticker", "One", 5), "pin": PaymentStage("Pin", "One", 1)}
    pay = neonpay_router(stages, bot=bot, clock=clock, retries=PAUSES, reconcile_every=None)
    dp = Dispatcher(storage=storage)
    dp.include_router(pay)
    failing_now, delivered, hang = True, list[str](), asyncio.Event()

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        if failing_now and event.stage_id != "pin":
            raise LookupError
        if event.stage_id == "premium":
            await hang.wait()
        delivered.append(str(event.stage_id))

    async def feed(stage_id: str, user_id: int) -> dict[str, Any]:
        await pay.send_payment(user_id, stage_id)
        update = paid(bot.payload(), amount=stages[stage_id].price or 0, user_id=user_id)
        with suppress(LookupError):
            await dp.feed_raw_update(bot, update)
        return update

    for number in range(60):
        await feed("premium", ALICE + number)
    pin = await feed("pin", ALICE)
    await feed("sticker", ALICE)
    failing_now = False
    clock.now += PAUSES[0]
    bot.answer(RefundStarPayment, lambda method: _raise(TelegramNetworkError(method, "away")))
    with pytest.raises(RefundError):
        await pay.refund(charge_of(pin))
    bot.answer(RefundStarPayment, lambda method: True)
    clock.now += 60
    running_out = asyncio.create_task(pay.run_due())
    await settled(lambda: delivered == ["pin", "sticker"] and len(bot.sent(RefundStarPayment)) == 2)

    assert "32 deliveries of premium are under way; others wait" in caplog.text
    hang.set()
    await running_out
    assert delivered.count("premium") == 60


def _raise(error: Exception) -> None:
    raise error


async def test_the_end_of_a_delivery_is_written_as_soon_as_the_storage_answers_again(bot: RecordingBot) -> None:
    class Failing(MemoryStorage):
        down = False

        async def set_data(self, key: Any, data: Any) -> None:
            if self.down and "neonpay" in key.destiny:
                raise ConnectionError("the storage is down")
            await super().set_data(key, data)

    storage = Failing()
    pay = neonpay_router(STAGES, bot=bot)
    dp = Dispatcher(storage=storage)
    dp.include_router(pay)
    heard: list[int] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.attempt)
        storage.down = True

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    with pytest.raises(ConnectionError):
        await dp.feed_raw_update(bot, update)
    storage.down = False
    for _ in range(200):
        if (await payment_of(pay, update)).delivered:
            break
        await asyncio.sleep(0.01)

    assert (await payment_of(pay, update)).delivered
    assert heard == [1]
