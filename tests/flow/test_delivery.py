"""Who hears a payment, in which order, inside which middlewares; and what counts as a delivery."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiogram import Bot, Dispatcher, F, Router
from aiogram.dispatcher.event.bases import CancelHandler, SkipHandler
from aiogram.exceptions import TelegramForbiddenError
from aiogram.filters import Command, Filter, StateFilter
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.base import StorageKey
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import RefundStarPayment, SendMessage
from aiogram.types import ContentType, ErrorEvent, Message

from aiogram_neonpay import (
    DeliveryError,
    NeonPay,
    PaidStage,
    PaymentCompleted,
    PaymentResult,
    PaymentRouter,
    PaymentStage,
    PaymentStatus,
    PaymentUnmatched,
    RejectPayment,
    ValidationError,
    neonpay_router,
)
from tests.flow.clock import settled
from tests.telegram import ALICE, BOB, RecordingBot, charge_of, paid, pre_checkout, text

pytestmark = pytest.mark.asyncio


ON_THE_ROOT = ("update", "message outer", "message inner", "filter")


class Shop(StatesGroup):
    naming = State()


async def buy(bot: RecordingBot, dp: Dispatcher, pay: NeonPay, stage_id: str = "premium", **options: Any) -> Any:
    """Sell a stage to Alice and feed her payment; return the update."""
    await pay.send_payment(ALICE, stage_id, bot=bot, **options)
    amount = options.get("amount") or (25 if stage_id == "premium" else 5)
    update = paid(bot.payload(), amount=amount)
    await dp.feed_raw_update(bot, update)
    return update


async def state_of(pay: NeonPay, update: Any) -> PaymentStatus | None:
    payment = await pay.get_payment(charge_of(update))
    return None if payment is None else payment.status


async def test_the_two_programs_of_the_front_page(bot: RecordingBot, pay: NeonPay) -> None:
    heard: list[Any] = []

    @pay.completed("premium")
    async def grant(event: PaymentCompleted, bot: Bot) -> None:
        await event.answer("Premium is on")
        heard.append(("typed", event.stage_id, bot.id))

    @pay.on_payment
    async def log(result: PaymentResult) -> None:
        heard.append(("listener", result.stage_id))

    router = Router()

    @router.message(Command("buy"))
    async def sell(message: Message, neonpay: NeonPay) -> None:
        await neonpay.answer_payment(message, "premium")

    @router.message(F.successful_payment)
    async def thanks(message: Message, payment: PaymentResult, stage: PaymentStage | None) -> None:
        heard.append(("plain", payment.stage_id, stage.title if stage else None))

    dp = Dispatcher()
    dp.include_routers(router, pay)
    await dp.feed_raw_update(bot, text("/buy"))
    await dp.feed_raw_update(bot, paid(bot.payload()))
    assert heard == [("typed", "premium", 42), ("listener", "premium")]
    assert [call.text for call in bot.sent(SendMessage)] == ["Premium is on"]
    heard.clear()
    await buy(bot, dp, pay, "sticker")
    assert heard == [("listener", "sticker"), ("plain", "sticker", "Sticker")]


async def test_a_payment_knows_what_was_sold_to_whom(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    seen: list[PaymentResult] = []
    pay.on_payment(seen.append)  # a plain function listens as well
    update = await buy(bot, dp, pay, metadata={"order": [1, {"x": None}], "big": 2**70})
    [result] = seen
    assert result.transaction_id == result.telegram_payment_charge_id == charge_of(update)
    assert result.metadata == {"days": 30, "order": [1, {"x": None}], "big": 2**70}
    assert (result.user_id, result.recipient_id, result.chat_id) == (ALICE, ALICE, ALICE)
    assert (result.amount, result.currency, result.status) == (25, "XTR", PaymentStatus.COMPLETED)
    assert (result.stage_id, result.stage) == ("premium", pay.get_payment_stage("premium"))
    assert (result.is_ours, result.attempt, result.recovered) == (True, 1, False)
    assert result.timestamp is not None
    assert result.timestamp.timestamp() == update["message"]["date"]
    assert result.reference is not None
    assert len(result.reference) == 17
    assert await pay.get_payment(result.reference) == result == await pay.get_payment(charge_of(update))


async def test_long_metadata_comes_back_from_the_storage(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    metadata = {"text": "я" * 500, "empty": [], "list": [[]]}
    seen: list[PaymentResult] = []
    pay.on_payment(seen.append)
    update = await buy(bot, dp, pay, metadata=metadata)
    assert seen[0].metadata == {"days": 30, **metadata}
    again = await pay.get_payment(charge_of(update))
    assert again is not None
    assert again.metadata == {"days": 30, **metadata}


async def test_a_handler_cannot_change_what_others_see(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    @pay.completed
    async def greedy(event: PaymentCompleted) -> None:
        event.metadata["list"].append("mine")

    update = await buy(bot, dp, pay, metadata={"list": []})
    payment = await pay.get_payment(charge_of(update))
    assert payment is not None
    assert payment.metadata["list"] == []


async def test_typed_handlers_are_matched_in_the_order_of_the_tree_and_the_first_takes_it(
    bot: RecordingBot, pay: NeonPay
) -> None:
    heard = []
    early, late = PaymentRouter(), PaymentRouter()
    parent = Router()
    parent.include_router(early)

    @early.completed("sticker")
    async def other(event: PaymentCompleted) -> None:
        heard.append("sticker")

    @early.completed("premium", F.amount > 1000)
    async def rich(event: PaymentCompleted) -> None:
        heard.append("rich")

    @early.completed(F.stage_id == "premium")
    async def skipping(event: PaymentCompleted) -> None:
        heard.append("skipping")
        raise SkipHandler

    @pay.completed
    async def taker(event: PaymentCompleted) -> None:
        heard.append("taker")

    @late.completed()
    async def never(event: PaymentCompleted) -> None:
        heard.append("late")

    dp = Dispatcher()
    dp.include_routers(parent, pay, late)
    await buy(bot, dp, pay)
    assert heard == ["skipping", "taker"]


async def test_handlers_run_inside_the_middlewares_of_messages_at_their_place(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    module = PaymentRouter()
    dp.include_router(module)
    ran: list[str] = []

    def middleware(name: str) -> Any:
        async def run(handler: Any, event: Any, data: dict[str, Any]) -> Any:
            assert isinstance(event, Message)
            ran.append(name)
            data[name] = name
            try:
                return await handler(event, data)
            finally:
                ran.append(f"/{name}")

        return run

    dp.message.outer_middleware(middleware("root_outer"))
    dp.message.middleware(middleware("root_inner"))
    module.message.outer_middleware(middleware("module_outer"))
    module.message.middleware(middleware("module_inner"))

    class Priced(Filter):
        async def __call__(self, event: PaymentCompleted, root_outer: str) -> dict[str, Any]:
            return {"price": event.amount, "filtered": root_outer}

    @module.completed("premium", Priced())
    async def grant(
        event: PaymentCompleted,
        root_outer: str,
        root_inner: str,
        module_outer: str,
        module_inner: str,
        price: int,
        filtered: str,
        payment: PaymentResult,
        neonpay: NeonPay,
        state: FSMContext,
        event_from_user: Any,
        event_chat: Any,
    ) -> None:
        ran.append("handler")
        assert (price, filtered) == (25, "root_outer")
        assert payment.transaction_id == event.transaction_id
        assert (state.key.user_id, event_from_user.id, event_chat.id) == (ALICE, ALICE, ALICE)

    await buy(bot, dp, pay)
    assert ran == [
        *("root_outer", "root_inner", "module_outer", "module_inner", "handler"),
        *("/module_inner", "/module_outer", "/root_inner", "/root_outer"),
    ]


async def test_every_listener_hears_every_payment_though_one_raises(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    heard = []

    @pay.on_payment
    async def first(result: PaymentResult) -> None:
        heard.append("first")

    @pay.on_payment
    async def broken(result: PaymentResult) -> None:
        heard.append(f"broken {result.attempt}")
        if result.attempt == 1:
            raise ZeroDivisionError

    @pay.on_payment("premium", F.amount >= 25)
    async def picky(result: PaymentResult) -> None:
        heard.append("picky")

    @pay.on_payment("sticker")
    async def other(result: PaymentResult) -> None:
        heard.append("other")

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append("grant")

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    with pytest.raises(ZeroDivisionError):
        await dp.feed_raw_update(bot, update)
    assert heard == ["grant", "first", "broken 1", "picky"]
    heard.clear()
    await dp.feed_raw_update(bot, update)
    assert heard == ["broken 2"]  # what succeeded is not called again
    heard.clear()
    await dp.feed_raw_update(bot, update)
    assert heard == []


async def test_a_listeners_failure_does_not_undo_what_the_handler_wrote(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    committed = []

    @dp.message.middleware
    async def session(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        writes: list[str] = []
        result = await handler(event, {**data, "session": writes})
        committed.extend(writes)
        return result

    @pay.completed
    async def grant(event: PaymentCompleted, session: list[str]) -> None:
        session.append("granted")

    @pay.on_payment
    async def broken(result: PaymentResult) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await buy(bot, dp, pay)
    assert committed == ["granted"]


async def test_listeners_are_the_delivery_where_there_are_no_other_ears(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    seen = []

    @dp.message.middleware
    async def session(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        data["session"] = "begun"
        return await handler(event, data)

    @pay.on_payment
    async def deliver(result: PaymentResult, session: str) -> None:
        seen.append(session)

    update = await buy(bot, dp, pay)
    await dp.feed_raw_update(bot, update)
    assert seen == ["begun"]
    assert await pay.stuck_payments() == []


async def test_listeners_hear_refunds_only_when_they_ask_for_them(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    heard: asyncio.Queue[PaymentStatus] = asyncio.Queue()

    @pay.on_payment
    async def plain(result: PaymentResult) -> None:
        assert result.status is PaymentStatus.COMPLETED

    @pay.on_payment(refunds=True)
    async def both(result: PaymentResult) -> None:
        heard.put_nowait(result.status)

    update = await buy(bot, dp, pay)
    await pay.refund(charge_of(update))
    assert [await asyncio.wait_for(heard.get(), 20) for _ in range(2)] == [
        PaymentStatus.COMPLETED,
        PaymentStatus.REFUNDED,
    ]


@pytest.mark.parametrize("first", [True, False], ids=["included first", "included last"])
async def test_handlers_that_match_any_message_neither_swallow_nor_see_a_payment(
    bot: RecordingBot, pay: NeonPay, first: bool
) -> None:
    heard: list[str] = []
    greedy, meant = Router(), Router()

    @greedy.message()
    async def catch_all(message: Message) -> None:
        heard.append("catch-all")

    @greedy.message(~F.text)
    async def no_text(message: Message) -> None:
        heard.append("no text")

    @greedy.message(StateFilter(Shop.naming))
    async def name(message: Message) -> None:
        heard.append("state")

    @meant.message(F.successful_payment)
    async def thanks(message: Message) -> None:
        heard.append("thanks")

    dp = Dispatcher()

    @dp.message(lambda message: True)
    async def on_root(message: Message) -> None:
        heard.append("root")

    dp.include_routers(*((greedy, meant, pay) if first else (pay, meant, greedy)))
    context = dp.fsm.get_context(bot, ALICE, ALICE)
    await context.set_state(Shop.naming)
    await buy(bot, dp, pay)
    assert heard == ["thanks"]
    await dp.feed_raw_update(bot, text("hello"))
    assert heard == ["thanks", "root"]


@pytest.mark.parametrize(
    "filters",
    [
        (F.successful_payment,),
        (F.successful_payment.invoice_payload.startswith("n1"),),
        (F.content_type == ContentType.SUCCESSFUL_PAYMENT,),
        (lambda message: message.successful_payment is not None,),
        (StateFilter("*"), F.successful_payment),
        (PaidStage("premium"),),
        (PaidStage(),),
    ],
)
async def test_handlers_whose_filters_want_the_payment_are_meant_for_it(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, filters: tuple[Any, ...]
) -> None:
    heard = []

    @dp.message(*filters)
    async def thanks(message: Message) -> None:
        heard.append(message.successful_payment)

    await buy(bot, dp, pay)
    assert len(heard) == 1


async def test_a_handler_that_asks_for_the_payment_is_meant_for_it(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    heard: list[Any] = []

    @dp.message(StateFilter(None))
    async def thanks(message: Message, payment: PaymentResult | None = None) -> None:
        heard.append(payment)

    await buy(bot, dp, pay)
    assert heard[0].stage_id == "premium"
    assert type(heard[0]) is PaymentResult


async def test_a_handler_in_a_router_filtered_for_payments_is_meant_for_them(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    payments = Router()
    payments.message.filter(F.successful_payment)
    dp.include_router(payments)
    heard = []

    @payments.message()
    async def thanks(message: Message) -> None:
        heard.append("thanks")

    await buy(bot, dp, pay)
    assert heard == ["thanks"]


async def test_always_propagating_gives_plain_handlers_what_a_typed_one_took(bot: RecordingBot) -> None:
    pay = neonpay_router({"premium": PaymentStage("Premium", "d", 25)}, bot=bot, propagate="always")
    dp = Dispatcher()
    dp.include_router(pay)
    heard = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append("typed")

    @pay.on_payment
    async def log(result: PaymentResult) -> None:
        heard.append("listener")

    await buy(bot, dp, pay)
    assert heard == ["typed", "listener"]
    heard.clear()

    @dp.message(F.successful_payment)
    async def thanks(message: Message) -> None:
        heard.append("plain")

    await buy(bot, dp, pay)
    assert heard == ["typed", "listener", "plain"]


async def test_invoices_that_are_not_ours_are_left_to_the_bot(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    heard: list[Any] = []

    @pay.on_payment
    async def log(result: PaymentResult) -> None:
        heard.append("listener")

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append("typed")

    @dp.message(F.successful_payment)
    async def mine(message: Message, payment: PaymentResult, stage: PaymentStage | None) -> None:
        heard.append((payment.is_ours, payment.stage_id, payment.amount, payment.currency, stage))

    update = paid("order-17", amount=999, currency="USD")
    await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    assert heard == [(False, None, 999, "USD", None)] * 2
    assert await pay.get_payment(charge_of(update)) is None


async def test_a_payment_that_nobody_hears_is_unmatched_and_listed(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    told: asyncio.Queue[PaymentUnmatched] = asyncio.Queue()

    @dp.message()
    async def catch_all(message: Message) -> None:
        raise AssertionError

    @pay.completed("sticker")
    async def other(event: PaymentCompleted) -> None:
        raise AssertionError

    @pay.unmatched
    async def alert(event: PaymentUnmatched) -> None:
        told.put_nowait(event)

    update = await buy(bot, dp, pay)
    event = await asyncio.wait_for(told.get(), 20)
    assert (event.reason, event.stage_id, event.transaction_id) == ("no_handler", "premium", charge_of(update))
    [waiting] = await pay.stuck_payments()
    assert (waiting.transaction_id, waiting.status) == (charge_of(update), PaymentStatus.FAILED)
    await pay.refund(charge_of(update))
    assert await pay.stuck_payments() == []


async def test_payments_that_wait_for_a_person_come_by_pages(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    charges = {charge_of(await buy(bot, dp, pay)) for _ in range(3)}

    async def page(limit: int, offset: int) -> list[str | None]:
        return [payment.transaction_id for payment in await pay.stuck_payments(limit=limit, offset=offset)]

    listed = await page(100, 0)
    assert len(listed) == 3 and set(listed) == charges
    assert [await page(2, 0), await page(2, 2), await page(2, 3)] == [listed[:2], listed[2:], []]
    with pytest.raises(ValidationError, match="offset"):
        await pay.stuck_payments(offset=-1)


async def test_a_payment_with_a_bad_token_is_kept_and_raised_but_delivered_to_nobody(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    heard: list[Any] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append("typed")

    @pay.on_payment
    async def log(result: PaymentResult) -> None:
        heard.append("listener")

    @dp.message(F.successful_payment)
    async def plain(message: Message) -> None:
        heard.append("plain")

    @pay.unmatched
    async def alert(event: PaymentUnmatched, event_from_user: Any) -> None:
        heard.append((event.reason, event.amount, event.stage_id, event_from_user.id))

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload()[:-1] + "x")
    await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    await settled(lambda: heard == [("bad_token", 25, None, ALICE)])
    assert [payment.transaction_id for payment in await pay.stuck_payments()] == [charge_of(update)]


async def test_a_payment_for_a_removed_stage_is_delivered(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    seen: list[Any] = []

    @pay.completed("premium")
    async def grant(event: PaymentCompleted, stage: PaymentStage | None) -> None:
        seen.append((event.stage_id, event.stage, stage))

    await pay.send_payment(ALICE, "premium")
    pay.remove_payment_stage("premium")
    await dp.feed_raw_update(bot, paid(bot.payload()))
    assert seen == [("premium", None, None)]


# Failed attempts


async def test_a_raising_handler_is_a_failed_attempt_that_the_next_update_repeats(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    attempts = []
    errors = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        attempts.append(event.attempt)
        if event.attempt < 3:
            raise ZeroDivisionError

    @dp.errors()
    async def on_error(event: ErrorEvent) -> None:
        errors.append(type(event.exception))

    update = await buy(bot, dp, pay)
    for _ in range(4):
        await dp.feed_raw_update(bot, update)
    assert attempts == [1, 2, 3]
    assert errors == [ZeroDivisionError, ZeroDivisionError]


@pytest.mark.parametrize("kind", ["typed", "plain"])
async def test_a_middleware_that_logs_and_goes_on_does_not_make_a_failure_a_delivery(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, kind: str
) -> None:
    attempts = []

    async def grant(event: Any, payment: PaymentResult) -> None:
        attempts.append(payment.attempt)
        if payment.attempt == 1:
            raise ZeroDivisionError

    async def log_and_go_on(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        try:
            return await handler(event, data)
        except ZeroDivisionError:
            return None

    if kind == "typed":
        pay.completed("premium")(grant)
    else:
        dp.message(F.successful_payment)(grant)
    dp.message.middleware(log_and_go_on)
    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    with pytest.raises(ZeroDivisionError):
        await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    assert attempts == [1, 2]


@pytest.mark.parametrize("how", ["drop", "cancel"])
@pytest.mark.parametrize(
    ("where", "ear"),
    [
        *((where, "plain") for where in (*ON_THE_ROOT, "router outer", "router inner")),
        *((where, ear) for where in ON_THE_ROOT for ear in ("typed", "listener")),
    ],
)
async def test_a_payment_stopped_on_its_way_is_recorded_and_not_delivered(
    bot: RecordingBot, pay: NeonPay, where: str, how: str, ear: str
) -> None:
    """A throttle, wherever it stands, costs an attempt, never the payment."""
    blocked = [True]

    async def throttle(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        if blocked[0]:
            if how == "cancel":
                raise CancelHandler
            return None
        return await handler(event, data)

    async def refuse(message: Message) -> bool:
        if blocked[0] and how == "cancel":
            raise CancelHandler
        return not blocked[0]

    router = Router()
    dp = Dispatcher()
    dp.include_routers(pay, router)
    match where:
        case "update":
            dp.update.outer_middleware(throttle)
        case "message outer":
            dp.message.outer_middleware(throttle)
        case "message inner":
            dp.message.middleware(throttle)
        case "router outer":
            router.message.outer_middleware(throttle)
        case "router inner":
            router.message.middleware(throttle)
        case "filter":
            dp.message.filter(refuse)
    heard = []

    async def hear(event: Any, payment: PaymentResult) -> None:
        heard.append(payment.attempt)

    match ear:
        case "typed":
            pay.completed(hear)
        case "plain":
            router.message(F.successful_payment)(hear)
        case "listener":
            pay.on_payment(hear)
    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    with pytest.raises((DeliveryError, CancelHandler)):
        await dp.feed_raw_update(bot, update)
    assert heard == []
    assert await state_of(pay, update) is PaymentStatus.COMPLETED  # recorded: the money is in
    assert await pay.stuck_payments() == []
    blocked[0] = False
    await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    assert heard == [2]


async def test_an_inner_throttle_gives_its_one_pass_to_the_plain_handler(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    """Nothing of ours may enter the bot's inner middlewares for nothing."""
    passed: set[int] = set()

    @dp.message.middleware
    async def once(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        if event.from_user.id in passed:
            return None
        passed.add(event.from_user.id)
        return await handler(event, data)

    heard = []

    @pay.on_payment
    async def log(result: PaymentResult) -> None:
        heard.append("listener")

    @dp.message(F.successful_payment)
    async def thanks(message: Message) -> None:
        heard.append("plain")

    await buy(bot, dp, pay)
    assert heard == ["listener", "plain"]


async def test_a_session_that_fails_to_commit_makes_the_attempt_fail(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    granted = []

    @dp.message.middleware
    async def session(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        await handler(event, data)
        if data["payment"].attempt == 1:
            raise ConnectionError("commit failed")

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        granted.append(event.attempt)

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    with pytest.raises(ConnectionError):
        await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    assert granted == [1, 2]


async def test_a_cancelled_handler_gives_its_attempt_back_uncounted(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    attempts = []
    started = asyncio.Event()

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        attempts.append(event.attempt)
        started.set()
        if len(attempts) == 1:
            await asyncio.Event().wait()

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    task = asyncio.create_task(dp.feed_raw_update(bot, update))
    await started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await dp.feed_raw_update(bot, update)
    assert attempts == [1, 1]


async def test_a_handler_stopped_because_the_buyer_blocked_the_bot_is_stuck_at_once(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    def blocked(method: SendMessage) -> Any:
        raise TelegramForbiddenError(method=method, message="Forbidden: bot was blocked by the user")

    bot.answer(SendMessage, blocked)
    credited = []

    @pay.completed
    async def grant(event: PaymentCompleted, bot: Bot) -> None:
        credited.append(event.amount)
        await bot.send_message(event.user_id, "thanks")

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    with pytest.raises(TelegramForbiddenError):
        await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    assert credited == [25]
    [waiting] = await pay.stuck_payments()
    assert waiting.transaction_id == charge_of(update)


async def test_an_answer_to_a_buyer_who_cannot_be_reached_fails_nothing(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    def blocked(method: SendMessage) -> Any:
        raise TelegramForbiddenError(method=method, message="Forbidden: bot was blocked by the user")

    bot.answer(SendMessage, blocked)
    answered = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        answered.append(await event.answer("thanks"))

    await buy(bot, dp, pay)
    assert answered == [None]
    assert await pay.stuck_payments() == []


async def test_rejecting_a_payment_ends_it_and_refunds_it(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    attempts = []
    gone: asyncio.Queue[str | None] = asyncio.Queue()

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        attempts.append(event.attempt)
        raise RejectPayment("sold out")

    @pay.refunded
    async def refunded(event: Any) -> None:
        gone.put_nowait(event.transaction_id)

    update = await buy(bot, dp, pay)
    await dp.feed_raw_update(bot, update)
    assert await asyncio.wait_for(gone.get(), 20) == charge_of(update)
    assert attempts == [1]
    [call] = bot.sent(RefundStarPayment)
    assert (call.user_id, call.telegram_payment_charge_id) == (ALICE, charge_of(update))
    assert await state_of(pay, update) is PaymentStatus.REFUNDED


async def test_no_handler_runs_when_the_payment_cannot_be_recorded(bot: RecordingBot, pay: NeonPay) -> None:
    class Broken(MemoryStorage):
        down = True

        async def set_data(self, key: StorageKey, data: Any) -> None:
            if self.down:
                raise ConnectionError("storage is down")
            await super().set_data(key, data)

    storage = Broken()
    dp = Dispatcher(storage=storage)
    dp.include_router(pay)
    heard = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.attempt)

    @dp.message()
    async def catch_all(message: Message) -> None:
        heard.append(0)

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    with pytest.raises(ConnectionError):
        await dp.feed_raw_update(bot, update)
    assert heard == []
    storage.down = False
    await dp.feed_raw_update(bot, update)
    assert heard == [1]


# Duplicates


async def test_five_copies_at_once_are_one_delivery(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    heard = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.transaction_id)
        await asyncio.sleep(0.01)

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    await asyncio.gather(*(dp.feed_raw_update(bot, update) for _ in range(5)))
    await dp.feed_raw_update(bot, update)
    assert heard == [charge_of(update)]


async def test_one_invoice_paid_twice_is_two_deliveries(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    heard = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.user_id)

    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, paid(bot.payload()))
    await dp.feed_raw_update(bot, paid(bot.payload()))
    await dp.feed_raw_update(bot, paid(bot.payload(), user_id=BOB))
    assert heard == [ALICE, ALICE, BOB]


async def test_a_single_use_invoice_paid_twice_refunds_the_second(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    heard = []
    gone: asyncio.Queue[str] = asyncio.Queue()

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.transaction_id)

    @pay.refunded
    async def refunded(event: Any) -> None:
        gone.put_nowait(event.transaction_id)

    await pay.send_payment(ALICE, "premium", single_use=True)
    first, second = paid(bot.payload()), paid(bot.payload())
    await dp.feed_raw_update(bot, first)
    await dp.feed_raw_update(bot, second)
    assert await asyncio.wait_for(gone.get(), 20) == charge_of(second)
    assert heard == [charge_of(first)]


async def test_ordinary_messages_go_their_way_while_a_payment_is_handled(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    started, release = asyncio.Event(), asyncio.Event()
    heard = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        started.set()
        await release.wait()

    @dp.message(F.text)
    async def echo(message: Message) -> None:
        heard.append(message.text)

    before = (dp.message.middleware[:], dp.message.outer_middleware[:])
    await pay.send_payment(ALICE, "premium")
    task = asyncio.create_task(dp.feed_raw_update(bot, paid(bot.payload())))
    await started.wait()
    await dp.feed_raw_update(bot, text("hello", user_id=BOB))
    release.set()
    await task
    assert heard == ["hello"]
    assert (dp.message.middleware[:], dp.message.outer_middleware[:]) == before


async def test_what_listeners_heard_before_does_not_settle_a_payment_whose_handler_was_stopped(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    heard = []
    blocked = [False]

    @pay.on_payment
    async def log(result: PaymentResult) -> None:
        heard.append(f"listener {result.attempt}")

    @dp.message(F.successful_payment)
    async def thanks(message: Message, payment: PaymentResult) -> None:
        heard.append(f"plain {payment.attempt}")
        if payment.attempt == 1:
            raise ZeroDivisionError

    @dp.message.outer_middleware
    async def throttle(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        return None if blocked[0] else await handler(event, data)

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    with pytest.raises(ZeroDivisionError):
        await dp.feed_raw_update(bot, update)
    blocked[0] = True
    with pytest.raises(DeliveryError):
        await dp.feed_raw_update(bot, update)
    blocked[0] = False
    await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    assert heard == ["listener 1", "plain 1", "plain 3"]


async def test_a_plain_handler_may_pass_a_payment_on(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    heard = []

    @pay.on_payment
    async def log(result: PaymentResult) -> None:
        heard.append("listener")

    @dp.message(F.successful_payment)
    async def skipping(message: Message) -> None:
        heard.append("skipping")
        raise SkipHandler

    update = await buy(bot, dp, pay)
    await dp.feed_raw_update(bot, update)
    assert heard == ["listener", "skipping"]


@pytest.mark.parametrize("name", ["payment", "stage", "event", "bot"])
async def test_the_event_may_be_called_what_the_author_likes(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, name: str
) -> None:
    heard: list[Any] = []
    namespace: dict[str, Any] = {"heard": heard}
    exec(f"async def handler({name}): heard.append({name}.stage_id)", namespace)
    pay.completed(namespace["handler"])
    pay.on_payment(namespace["handler"])
    pay.check(namespace["handler"])
    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    await dp.feed_raw_update(bot, paid(bot.payload()))
    assert heard == ["premium"] * 3
