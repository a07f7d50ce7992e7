"""A delivery is what the handler itself did, whatever the middlewares around it swallow, forget or undo."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiogram import Dispatcher, F, Router
from aiogram.dispatcher.event.bases import CancelHandler, SkipHandler
from aiogram.exceptions import ClientDecodeError, TelegramBadRequest, TelegramForbiddenError, TelegramNetworkError
from aiogram.filters import Filter
from aiogram.methods import AnswerPreCheckoutQuery, RefundStarPayment, SendMessage
from aiogram.types import Message

from aiogram_neonpay import (
    Checkout,
    ConfigurationError,
    DeliveryError,
    NeonPay,
    PaymentCompleted,
    PaymentRefunded,
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
from tests.telegram import ALICE, RecordingBot, charge_of, paid, pre_checkout, refunded

pytestmark = pytest.mark.asyncio


async def swallow(handler: Any, event: Any, data: dict[str, Any]) -> Any:
    """Log and go on, as many bots do."""
    try:
        return await handler(event, data)
    except Exception:
        return None


async def forget(handler: Any, event: Any, data: dict[str, Any]) -> None:
    """Call on, but do not return what came back."""
    await handler(event, data)


async def drop(handler: Any, event: Any, data: dict[str, Any]) -> None:
    """Throttle."""


async def sale(bot: RecordingBot, pay: NeonPay, **options: Any) -> dict[str, Any]:
    await pay.send_payment(ALICE, "premium", **options)
    return paid(bot.payload())


async def state_of(pay: NeonPay, update: dict[str, Any]) -> Any:
    """Return the state of a charge as the ledger has it."""
    found = await pay._shop.charges.find(42, charge_of(update))
    return None if found is None else found[1]["state"]


PLACES = ["message outer", "message inner", "own outer", "own inner"]


def put(router: PaymentRouter, ear: str, place: str, middleware: Any) -> None:
    own = getattr(router, ear)
    {
        "message outer": router.message.outer_middleware,
        "message inner": router.message.middleware,
        "own outer": own.outer_middleware,
        "own inner": own.middleware,
    }[place](middleware)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("ear", ["completed", "on_payment"])
async def test_a_failure_swallowed_in_the_routers_own_middlewares_is_a_failed_attempt(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, ear: str, place: str
) -> None:
    module = PaymentRouter()
    attempts: list[int] = []
    dp.include_router(module)
    put(module, ear, place, swallow)

    async def hear(event: PaymentResult) -> None:
        attempts.append(event.attempt)
        if event.attempt == 1:
            raise ZeroDivisionError

    getattr(module, ear)(hear)
    update = await sale(bot, pay)
    with pytest.raises(ZeroDivisionError):
        await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    assert attempts == [1, 2]
    assert await state_of(pay, update) == "delivered"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("ear", ["completed", "on_payment"])
async def test_an_event_stopped_in_the_routers_own_middlewares_is_a_failed_attempt(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, ear: str, place: str
) -> None:
    module = PaymentRouter()
    dp.include_router(module)
    put(module, ear, place, drop)

    @getattr(module, ear)
    async def hear(event: PaymentResult) -> None:
        raise AssertionError

    update = await sale(bot, pay)
    with pytest.raises(DeliveryError):
        await dp.feed_raw_update(bot, update)
    assert await state_of(pay, update) == "paid"


async def test_a_refused_candidate_behind_a_forgetful_middleware_leaves_the_payment_to_the_next(
    bot: RecordingBot, pay: NeonPay
) -> None:
    first, second, heard = PaymentRouter(), PaymentRouter(), []
    first.message.outer_middleware(forget)

    async def refuse(event: PaymentCompleted) -> bool:
        return False

    @first.completed(refuse)
    async def never(event: PaymentCompleted) -> None:
        heard.append("first")

    @second.completed
    async def taker(event: PaymentCompleted) -> None:
        heard.append("second")

    dp = Dispatcher()
    dp.include_routers(pay, first, second)
    await dp.feed_raw_update(bot, await sale(bot, pay))
    assert heard == ["second"]


@pytest.mark.parametrize("ear", ["typed", "plain", "listener"])
@pytest.mark.parametrize("commit_on", ["root", "router"])
async def test_a_failed_commit_that_is_swallowed_is_a_failed_attempt(
    bot: RecordingBot, pay: NeonPay, ear: str, commit_on: str
) -> None:
    dp, module = Dispatcher(), PaymentRouter()
    attempts: list[int] = []
    dp.include_routers(pay, module)

    async def commit(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        result = await handler(event, data)
        if len(attempts) == 1:
            raise ConnectionError("commit failed")
        return result

    dp.message.outer_middleware(swallow)
    (dp if commit_on == "root" else module).message.middleware(commit)

    async def hear(event: Any, payment: PaymentResult) -> None:
        attempts.append(payment.attempt)

    match ear:
        case "typed":
            module.completed(hear)
        case "plain":
            module.message(F.successful_payment)(hear)
        case "listener":
            module.on_payment(hear)
    update = await sale(bot, pay)
    with pytest.raises(ConnectionError):
        await dp.feed_raw_update(bot, update)
    assert await state_of(pay, update) == "paid"
    await dp.feed_raw_update(bot, update)
    assert attempts == [1, 2]
    assert await state_of(pay, update) == "delivered"


@pytest.mark.parametrize("place", ["update outer", "update inner", "message outer", "message inner"])
async def test_middlewares_that_forget_to_return_do_not_keep_listeners_from_delivering(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, place: str
) -> None:
    kind, side = place.split()
    observer = dp.update if kind == "update" else dp.message
    (observer.outer_middleware if side == "outer" else observer.middleware)(forget)
    heard = []

    @pay.on_payment
    async def log(result: PaymentResult) -> None:
        heard.append(result.attempt)

    update = await sale(bot, pay)
    await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    assert heard == [1]
    assert await state_of(pay, update) == "delivered"


async def test_listeners_of_one_name_are_told_apart(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    heard: list[Any] = []

    def module(name: str) -> PaymentRouter:
        router = PaymentRouter()

        @router.on_payment
        async def _(result: PaymentResult) -> None:
            heard.append((name, result.attempt))
            if name == "b" and result.attempt == 1:
                raise ZeroDivisionError

        return router

    dp.include_routers(module("a"), module("b"))
    update = await sale(bot, pay)
    with pytest.raises(ZeroDivisionError):
        await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    assert heard == [("a", 1), ("b", 1), ("b", 2)]


@pytest.mark.parametrize("ear", ["typed", "plain", "listener"])
async def test_a_callable_object_is_awaited(bot: RecordingBot, pay: NeonPay, dp: Dispatcher, ear: str) -> None:
    heard = []

    class Grant:
        async def __call__(self, event: Any) -> None:
            heard.append("object")

    async def grant(event: Any) -> None:
        heard.append("lambda")

    for handler in (Grant(), lambda event: grant(event)):
        match ear:
            case "typed":
                pay.completed("premium")(handler)
            case "plain":
                dp.message(F.successful_payment)(handler)
            case "listener":
                pay.on_payment("premium")(handler)
    await dp.feed_raw_update(bot, await sale(bot, pay))
    assert heard == (["object", "lambda"] if ear == "listener" else ["object"])


async def test_a_method_returned_by_a_typed_handler_is_for_aiogram_to_send(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    @pay.completed
    async def grant(event: PaymentCompleted) -> SendMessage:
        return SendMessage(chat_id=event.user_id, text="thanks")

    response = await dp.feed_raw_update(bot, await sale(bot, pay))
    assert isinstance(response, SendMessage)


async def test_an_expression_that_cannot_be_evaluated_does_not_stop_other_handlers(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    class IsBook(Filter):
        async def __call__(self, event: PaymentCompleted) -> bool:
            return False

    module, heard = PaymentRouter(), []
    dp.include_router(module)

    @module.completed(IsBook(), F.metadata["days"] > "3")
    async def book(event: PaymentCompleted) -> None:
        heard.append("book")

    @module.completed
    async def other(event: PaymentCompleted) -> None:
        heard.append("other")

    await dp.feed_raw_update(bot, await sale(bot, pay))
    assert heard == ["other"]


async def test_typed_handlers_that_refuse_leave_an_inner_throttles_pass_to_the_plain_one(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    passes = [1]

    @dp.message.middleware
    async def once(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        return await handler(event, data) if passes and passes.pop() else None

    async def refuse(event: PaymentCompleted) -> bool:
        return False

    @pay.completed(refuse)
    async def never(event: PaymentCompleted) -> None:
        raise AssertionError

    heard = []

    @dp.message(F.successful_payment)
    async def thanks(message: Message) -> None:
        heard.append("plain")

    await dp.feed_raw_update(bot, await sale(bot, pay))
    assert heard == ["plain"]


@pytest.mark.parametrize(("error", "attempts"), [(SkipHandler, [1]), (CancelHandler, [1, 2])])
async def test_a_listener_may_pass_but_not_cancel(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, error: type[Exception], attempts: list[int]
) -> None:
    heard = []

    @pay.on_payment
    async def odd(result: PaymentResult) -> None:
        heard.append(result.attempt)
        if result.attempt == 1:
            raise error

    @pay.completed
    async def grant(event: PaymentCompleted) -> None: ...

    update = await sale(bot, pay)
    await asyncio.gather(dp.feed_raw_update(bot, update), return_exceptions=True)
    await dp.feed_raw_update(bot, update)
    assert heard == attempts
    assert await state_of(pay, update) == "delivered"


async def test_a_listener_that_is_the_whole_delivery_may_reject(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    @pay.on_payment
    async def deliver(result: PaymentResult) -> None:
        raise RejectPayment("sold out")

    update = await sale(bot, pay)
    await dp.feed_raw_update(bot, update)
    await dp.emit_shutdown(bot=bot)
    assert len(bot.sent(RefundStarPayment)) == 1
    assert await state_of(pay, update) == "rejected"


@pytest.mark.parametrize("amount", [1, 24, 26])
async def test_a_payment_of_another_amount_than_was_offered_is_unmatched(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, amount: int
) -> None:
    told = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        raise AssertionError

    @pay.unmatched
    async def alert(event: PaymentUnmatched) -> None:
        told.append((event.reason, event.amount, event.stage_id))

    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, paid(bot.payload(), amount=amount))
    await settled(lambda: told == [("wrong_amount", amount, "premium")])
    assert len(await pay.stuck_payments()) == 1


# Refunds


@pytest.mark.parametrize("kind", [TelegramBadRequest, TelegramForbiddenError])
async def test_a_payment_whose_refund_telegram_refuses_waits_for_a_person(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, kind: Any
) -> None:
    def refuse(method: RefundStarPayment) -> Any:
        raise kind(method, "Bad Request: BALANCE_TOO_LOW")

    bot.answer(RefundStarPayment, refuse)

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        raise RejectPayment("sold out")

    update = await sale(bot, pay)
    await dp.feed_raw_update(bot, update)
    await dp.emit_shutdown(bot=bot)
    assert [payment.transaction_id for payment in await pay.stuck_payments()] == [charge_of(update)]
    del bot.recorded.answers[RefundStarPayment]
    await pay.refund(charge_of(update))
    assert await pay.stuck_payments() == []


async def test_a_refund_inside_the_delivery_keeps_the_invoices_metadata(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    @pay.completed
    async def grant(event: PaymentCompleted, neonpay: NeonPay) -> None:
        await neonpay.refund(str(event.transaction_id))

    @pay.refunded
    async def gone(event: PaymentRefunded) -> None:
        told.put_nowait(event.metadata)

    update = await sale(bot, pay, key="order-1", metadata={"order": 7})
    await dp.feed_raw_update(bot, update)
    assert await asyncio.wait_for(told.get(), 20) == {"days": 30, "order": 7}
    payment = await pay.get_payment(charge_of(update))
    assert payment is not None
    assert payment.metadata == {"days": 30, "order": 7}
    await dp.feed_raw_update(bot, refunded(update))
    assert told.empty()


async def test_payments_are_shown_while_the_catalog_is_down(bot: RecordingBot) -> None:
    down = [False]

    async def load(stage_id: str) -> PaymentStage | None:
        if down[0]:
            raise ConnectionError
        return PaymentStage("Premium", "d", 25)

    pay, dp = neonpay_router(load, bot=bot), Dispatcher()
    dp.include_router(pay)
    pay.on_payment(print)
    update = await sale(bot, pay)
    await dp.feed_raw_update(bot, update)
    down[0] = True
    assert (await pay.refund(charge_of(update))).status is PaymentStatus.REFUNDED
    [payment] = await pay.history(ALICE)
    assert (payment.stage_id, payment.stage) == ("premium", None)


# Answers


def answers(bot: RecordingBot) -> list[tuple[bool, str | None]]:
    return [(call.ok, call.error_message) for call in bot.sent(AnswerPreCheckoutQuery)]


async def test_a_sentence_that_telegram_refuses_is_replaced_by_ours(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    class Lazy:
        def __str__(self) -> str:
            return "Только по пятницам"

    reasons: list[Any] = [Lazy(), "   ", "refused"]

    def answer(method: AnswerPreCheckoutQuery) -> bool:
        if method.error_message == "refused":
            raise TelegramBadRequest(method, "Bad Request: ERROR_TEXT_EMPTY")
        return True

    bot.answer(AnswerPreCheckoutQuery, answer)

    @pay.check
    async def never(order: Checkout) -> None:
        raise RejectPayment(reasons[0])

    await pay.send_payment(ALICE, "premium")
    while reasons:
        await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
        reasons.pop(0)
    ours = "The bot cannot accept this payment now. No Stars were charged."
    assert answers(bot) == [(False, "Только по пятницам"), (False, ours), (False, "refused"), (False, ours)]


async def test_a_cancelled_update_does_not_cost_the_answer(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    started = asyncio.Event()
    answered: asyncio.Queue[bool] = asyncio.Queue()

    async def answer(method: AnswerPreCheckoutQuery) -> bool:
        if not started.is_set():
            started.set()
            await asyncio.Event().wait()
        answered.put_nowait(method.ok)
        return True

    bot.answer(AnswerPreCheckoutQuery, answer)
    await pay.send_payment(ALICE, "premium")
    task = asyncio.create_task(dp.feed_raw_update(bot, pre_checkout(bot.payload())))
    await started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await asyncio.wait_for(answered.get(), 20) is True


@pytest.mark.parametrize(
    "error",
    [
        lambda method: TelegramNetworkError(method, "reset"),
        lambda method: ClientDecodeError("no JSON", ValueError(), "<html>"),
    ],
)
async def test_an_answer_lost_on_the_way_is_sent_again(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, error: Any
) -> None:
    failures = [1]

    def flaky(method: Any) -> bool:
        if failures and failures.pop():
            raise error(method)
        return True

    bot.answer(AnswerPreCheckoutQuery, flaky)
    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert [ok for ok, _ in answers(bot)] == [True, True]


async def test_a_validator_cannot_change_the_stage(bot: RecordingBot) -> None:
    stage = PaymentStage("Premium", "d", 25, payload={"items": []})
    pay, dp = neonpay_router({"premium": stage}, bot=bot), Dispatcher()
    dp.include_router(pay)

    @pay.check
    async def greedy(order: Checkout) -> None:
        order.metadata["items"].append("mine")

    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert stage.payload == {"items": []}


# Shops beside each other, and bad input


async def test_a_handler_of_one_shop_sells_through_another(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    other_bot = RecordingBot("43:OTHER-TOKEN")
    other = neonpay_router({"book": PaymentStage("Book", "d", 3)}, bot=other_bot)
    Dispatcher().include_router(other)

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        await other.send_payment(ALICE, "book")

    await dp.feed_raw_update(bot, await sale(bot, pay))
    assert len(other_bot.calls) == 1


async def test_a_router_that_could_not_be_attached_is_left_as_it_was(bot: RecordingBot, pay: NeonPay) -> None:
    dp, first, second = Dispatcher(), Router(), Router()
    dp.include_router(pay)
    first.include_router(neonpay_router(bot=bot))
    with pytest.raises(ConfigurationError):
        dp.include_router(first)
    assert type(first) is Router
    moved = neonpay_router(bot=bot)
    second.include_router(moved)
    other = Dispatcher()
    other.include_router(moved)
    dp.include_router(second)
    assert type(second) is Router


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda pay: pay.get_payment(123), ValidationError),
        (lambda pay: pay.get_payment(None), ValidationError),
        (lambda pay: pay.get_payment("x", user_id="a"), ValidationError),
        (lambda pay: pay.history(None), ValidationError),
        (lambda pay: pay.cancel_invoice(key=5), ValidationError),
        (lambda pay: pay.invoice_status(5), ValidationError),
        (lambda pay: pay.invoice_status("half \ud800"), ValidationError),
        (lambda pay: pay.cancel_invoice("half \ud800"), ValidationError),
        (lambda pay: pay.cancel_invoice(key="half \ud800"), ValidationError),
        (lambda pay: pay.answer_payment(None, "premium"), ValidationError),
        (lambda pay: pay.send_payment(ALICE, "premium", bot="x"), ConfigurationError),
        (lambda pay: pay.send_payment(ALICE, "premium", buyer_only="yes"), ValidationError),
        (lambda pay: pay.send_payment(ALICE, "premium", key="\ud800"), ValidationError),
        (lambda pay: pay.send_payment(ALICE, "premium", metadata={"a": {1: 2}}), ValidationError),
        (lambda pay: pay.create_inline_result("premium", payload="x"), ValidationError),
        (lambda pay: pay.create_inline_result("premium", nonsense=1), ValidationError),
        (lambda pay: pay.create_inline_result("premium", id="x" * 65), ValidationError),
    ],
)
async def test_bad_input_is_named(pay: NeonPay, dp: Dispatcher, call: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await call(pay)


async def test_metadata_nested_without_end_is_refused_before_it_is_sold(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    nested: dict[str, Any] = {}
    for _ in range(600):
        nested = {"x": nested}
    with pytest.raises(ValidationError, match="nested deeper"):
        await pay.send_payment(ALICE, "premium", metadata=nested)


@pytest.mark.parametrize(
    "options",
    [
        {"texts": {"en": {"wrong_amount": 5}}},
        {"texts": {"en": {"expired": " "}}},
        {"texts": {"en": {"pay_button": "Pay {price}"}}},
        {"texts": {"en": {"nonsense": "x"}}},
        {"texts": 5},
        {"clock": 5},
        {"bot": "token"},
        {"stages": 5},
        {"storage": 5},
    ],
)
async def test_a_wrong_set_up_is_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        neonpay_router(**options)


@pytest.mark.parametrize("secret", ["short", 5, "\ud800" * 20])
async def test_a_bad_secret_is_refused_without_being_shown(secret: Any) -> None:
    for options in ({"secret": secret}, {"previous_secrets": [secret]}):
        with pytest.raises(ValidationError) as caught:
            neonpay_router(**options)
        assert str(secret) not in str(caught.value)
