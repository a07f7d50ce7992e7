"""The pre-checkout decision."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiogram import Bot, Dispatcher, F, Router
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError
from aiogram.fsm.storage.base import BaseEventIsolation, StorageKey
from aiogram.fsm.storage.memory import MemoryStorage, SimpleEventIsolation
from aiogram.methods import AnswerPreCheckoutQuery, TelegramMethod
from aiogram.types import Message, PreCheckoutQuery
from aiogram.utils.i18n import I18n
from aiogram.utils.i18n.middleware import ConstI18nMiddleware

from aiogram_neonpay import (
    Checkout,
    CheckoutDeclined,
    NeonPay,
    PaymentRouter,
    PaymentStage,
    RejectPayment,
    checkout,
    neonpay_router,
)
from aiogram_neonpay.opencheckout import TELEGRAM_WAITS
from tests.telegram import ALICE, BOB, GROUP, RecordingBot, pre_checkout, text

pytestmark = pytest.mark.asyncio


def answers(bot: RecordingBot) -> list[tuple[bool, str | None]]:
    return [(call.ok, call.error_message) for call in bot.sent(AnswerPreCheckoutQuery)]


def verdicts(bot: RecordingBot) -> list[bool]:
    return [ok for ok, _ in answers(bot)]


@pytest.fixture
def quick_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "DEADLINE", 0.05)


async def test_what_was_offered_is_approved(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert answers(bot) == [(True, None)]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"amount": 24}, "amount"),
        ({"amount": 26}, "amount"),
        ({"currency": "USD"}, "Telegram Stars only"),
    ],
)
async def test_anything_but_what_was_offered_is_declined(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, fields: dict[str, Any], says: str
) -> None:
    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), **fields))
    [(ok, message)] = answers(bot)
    assert not ok
    assert message is not None
    assert says in message


async def test_a_forged_token_is_declined_even_beside_a_handler_that_approves_everything(
    bot: RecordingBot, pay: NeonPay
) -> None:
    greedy = Router()

    @greedy.pre_checkout_query()
    async def approve(query: PreCheckoutQuery) -> None:
        await query.answer(ok=True)

    dp = Dispatcher()
    dp.include_routers(greedy, pay)
    await pay.send_payment(ALICE, "premium")
    payload = bot.payload()
    for forged in (payload[:-1] + "x", payload.replace("n1", "n1A", 1), "n1", "n1premium", payload + "{}"):
        await dp.feed_raw_update(bot, pre_checkout(forged))
    await dp.feed_raw_update(bot, pre_checkout(payload, amount=1))
    assert verdicts(bot) == [False] * 6


async def test_another_bots_invoice_is_declined(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    other = RecordingBot("43:OTHER-TOKEN")
    await pay.send_payment(ALICE, "premium", bot=other)
    await dp.feed_raw_update(bot, pre_checkout(other.payload()))
    assert verdicts(bot) == [False]


async def test_invoices_that_are_not_ours_are_left_to_the_bot(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    seen: list[str] = []

    @dp.pre_checkout_query()
    async def mine(query: PreCheckoutQuery) -> None:
        seen.append(query.invoice_payload)

    await dp.feed_raw_update(bot, pre_checkout("order-17"))
    assert seen == ["order-17"]
    assert answers(bot) == []


async def test_an_invoice_shown_in_a_group_can_be_paid_by_its_buyer_only(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    await pay.send_payment(ALICE, "premium", chat_id=GROUP)
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), user_id=BOB))
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), user_id=ALICE))
    assert verdicts(bot) == [False, True]


async def test_an_invoice_sold_to_whoever_pays_can_be_paid_by_anybody(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    await pay.send_payment(None, "premium", chat_id=GROUP)
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), user_id=BOB))
    assert verdicts(bot) == [True]


async def test_an_expired_invoice_is_declined(bot: RecordingBot) -> None:
    now = [1_700_000_000.0]
    pay = neonpay_router({"premium": PaymentStage("Premium", "d", 25)}, bot=bot, clock=lambda: now[0])
    dp = Dispatcher()
    dp.include_router(pay)
    await pay.send_payment(ALICE, "premium", expires_in=60)
    now[0] += 59
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    now[0] += 1
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert verdicts(bot) == [True, False]


async def test_a_stage_that_was_removed_or_taken_off_sale_is_declined(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    await pay.send_payment(ALICE, "premium")
    pay.create_payment_stage("premium", PaymentStage("Premium", "d", 25, on_sale=False), replace=True)
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    pay.remove_payment_stage("premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert verdicts(bot) == [False, False]


async def test_a_new_price_leaves_issued_invoices_at_their_amount(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    await pay.send_payment(ALICE, "premium")
    pay.create_payment_stage("premium", PaymentStage("Premium", "d", 99), replace=True)
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), amount=25))
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), amount=99))
    assert verdicts(bot) == [True, False]


@pytest.mark.parametrize(
    ("language", "says"), [("ru", "счёт"), ("az", "hesab"), ("pt-br", "invoice"), (None, "invoice")]
)
async def test_the_buyer_reads_why_in_their_language(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, language: str | None, says: str
) -> None:
    await pay.send_payment(ALICE, "premium")
    fields: dict[str, Any] = {} if language is None else {"language_code": language}
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), amount=1, **fields))
    assert says in str(answers(bot)[0][1])


@pytest.mark.parametrize(("locale", "says"), [("az", "hesab"), ("en", "invoice"), ("uz", "счёт")])
async def test_the_buyer_reads_why_in_the_language_of_the_bot(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, tmp_path: Path, locale: str, says: str
) -> None:
    ConstI18nMiddleware(locale, I18n(path=tmp_path)).setup(dp)
    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), amount=1, language_code="ru"))
    assert says in str(answers(bot)[0][1])


async def test_a_plain_checkout_touches_no_storage_of_ours(bot: RecordingBot, pay: NeonPay) -> None:
    class Counting(MemoryStorage):
        touched = 0

        async def get_data(self, key: StorageKey) -> dict[str, Any]:
            Counting.touched += 1
            return await super().get_data(key)

        async def set_data(self, key: StorageKey, data: Any) -> None:
            Counting.touched += 1
            await super().set_data(key, data)

    dp = Dispatcher(storage=Counting())
    dp.include_router(pay)
    await pay.send_payment(ALICE, "premium", metadata={"a": 1})
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert verdicts(bot) == [True]
    assert Counting.touched == 0


async def test_validators_get_the_checkout_and_what_the_bots_middlewares_inject(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    asked: list[tuple[Any, ...]] = []

    @dp.pre_checkout_query.outer_middleware
    async def outer(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        data["database"] = "open"
        return await handler(event, data)

    @dp.pre_checkout_query.middleware
    async def inner(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        data["session"] = "begun"
        return await handler(event, data)

    @pay.check("premium")
    async def look(order: Checkout, database: str, session: str, neonpay: NeonPay, stage: PaymentStage) -> None:
        asked.append((order.user.id, order.stage_id, order.amount, order.metadata, database, session, neonpay is pay))
        assert stage is order.stage

    await pay.send_payment(ALICE, "premium", metadata={"color": "red"})
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert asked == [(ALICE, "premium", 25, {"days": 30, "color": "red"}, "open", "begun", True)]
    assert verdicts(bot) == [True]


async def test_a_validator_declines_with_its_own_words(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    @pay.check
    async def never(order: Checkout) -> None:
        raise RejectPayment("Only on Fridays")

    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert answers(bot) == [(False, "Only on Fridays")]


async def test_a_validator_that_fails_or_says_false_declines_with_our_words(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    @pay.check("premium")
    async def broken(order: Checkout) -> None:
        raise ZeroDivisionError

    @pay.check("sticker")
    async def refusing(order: Checkout) -> bool:
        return False

    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    await pay.send_payment(ALICE, "sticker")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), amount=5))
    assert verdicts(bot) == [False, False]
    assert all("No Stars were charged" in str(message) for _, message in answers(bot))


async def test_every_validator_must_agree_wherever_it_is_registered(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    module = PaymentRouter()
    dp.include_router(module)
    asked = []

    @pay.check(F.amount > 1)
    async def first(order: Checkout) -> None:
        asked.append("first")

    @module.check("premium", F.user.id == ALICE)
    async def second(order: Checkout) -> None:
        asked.append("second")
        raise RejectPayment("no")

    @module.check("sticker")
    async def other(order: Checkout) -> None:
        asked.append("other")

    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert asked == ["first", "second"]
    assert answers(bot) == [(False, "no")]


@pytest.mark.usefixtures("quick_deadline")
@pytest.mark.parametrize("stubborn", [False, True], ids=["hangs", "ignores cancellation"])
async def test_a_validator_that_hangs_does_not_cost_the_answer(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, stubborn: bool
) -> None:
    release = asyncio.Event()

    @pay.check
    async def hang(order: Checkout) -> None:
        while True:
            try:
                await release.wait()
                return
            except asyncio.CancelledError:
                if not stubborn:
                    raise

    await pay.send_payment(ALICE, "premium")
    await asyncio.wait_for(dp.feed_raw_update(bot, pre_checkout(bot.payload())), 20)
    release.set()
    assert verdicts(bot) == [False]
    assert "in time" in str(answers(bot)[0][1])


class HungStorage(MemoryStorage):
    async def get_state(self, key: StorageKey) -> str | None:
        await asyncio.Event().wait()
        return None


async def test_a_storage_that_hangs_does_not_keep_a_plain_checkout_waiting(bot: RecordingBot, pay: NeonPay) -> None:
    dp = Dispatcher(storage=HungStorage())
    dp.include_router(pay)
    await pay.send_payment(ALICE, "premium")
    await asyncio.wait_for(dp.feed_raw_update(bot, pre_checkout(bot.payload())), 20)
    assert verdicts(bot) == [True]


@pytest.mark.usefixtures("quick_deadline")
async def test_a_storage_that_hangs_before_a_validator_does_not_cost_the_answer(
    bot: RecordingBot, pay: NeonPay
) -> None:
    dp = Dispatcher(storage=HungStorage())
    dp.include_router(pay)

    @pay.check
    async def agree(checkout: Checkout) -> None: ...

    await pay.send_payment(ALICE, "premium")
    stuck = asyncio.create_task(dp.feed_raw_update(bot, pre_checkout(bot.payload())))
    await _until(lambda: bool(answers(bot)))
    assert verdicts(bot) == [False]
    assert not stuck.done()
    stuck.cancel()


@pytest.mark.usefixtures("quick_deadline")
async def test_a_query_is_answered_once_though_the_decision_comes_after_the_deadline(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    late = asyncio.Event()

    @dp.update.outer_middleware
    async def slow(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        await late.wait()
        return await handler(event, data)

    await pay.send_payment(ALICE, "premium")
    task = asyncio.create_task(dp.feed_raw_update(bot, pre_checkout(bot.payload())))
    await _until(lambda: bool(answers(bot)))
    late.set()
    await task
    assert verdicts(bot) == [False]


async def test_a_query_that_a_middleware_drops_or_breaks_is_declined(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    @dp.pre_checkout_query.outer_middleware
    async def drop(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        return None

    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))

    @dp.update.outer_middleware
    async def explode(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert verdicts(bot) == [False, False]


async def test_an_answer_that_telegram_did_not_get_is_sent_again(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    failures = [TelegramNetworkError(method=None, message="reset")]  # type: ignore[arg-type]

    def flaky(method: AnswerPreCheckoutQuery) -> bool:
        if failures:
            raise failures.pop()
        return True

    bot.answer(AnswerPreCheckoutQuery, flaky)
    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert verdicts(bot) == [True, True]


TOO_OLD = "Bad Request: query is too old and response timeout expired or query ID is invalid"


async def test_an_answer_that_telegram_took_without_saying_so_is_not_an_error(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    failures = [TelegramBadRequest(None, TOO_OLD), TelegramNetworkError(None, "reset")]  # type: ignore[arg-type]

    def flaky(method: AnswerPreCheckoutQuery) -> bool:
        raise failures.pop()

    bot.answer(AnswerPreCheckoutQuery, flaky)
    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert verdicts(bot) == [True, True]


async def test_an_answer_that_telegram_refuses_at_once_is_an_error(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    def refuse(method: AnswerPreCheckoutQuery) -> bool:
        raise TelegramBadRequest(method, TOO_OLD)

    bot.answer(AnswerPreCheckoutQuery, refuse)
    await pay.send_payment(ALICE, "premium")
    with pytest.raises(TelegramBadRequest):
        await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    assert verdicts(bot) == [True]


async def test_silence_of_telegram_leaves_time_for_another_answer(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience: list[int | None] = []
    make_request = bot.recorded.make_request

    async def measured(bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        if isinstance(method, AnswerPreCheckoutQuery):
            patience.append(timeout)
        return await make_request(bot, method, timeout)

    monkeypatch.setattr(bot.recorded, "make_request", measured)
    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    [seconds] = patience
    assert seconds is not None and 2 * seconds < TELEGRAM_WAITS


@pytest.mark.parametrize("isolation", [SimpleEventIsolation], ids=["simple"])
async def test_a_checkout_does_not_wait_for_the_same_users_other_handler(
    bot: RecordingBot, pay: NeonPay, isolation: type[BaseEventIsolation]
) -> None:
    dp = Dispatcher(events_isolation=isolation())
    dp.include_router(pay)
    started, release = asyncio.Event(), asyncio.Event()

    @dp.message(F.text)
    async def busy(message: Message) -> None:
        started.set()
        await release.wait()

    seen = []

    @dp.update.outer_middleware
    async def mine(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        seen.append("state" in data)
        return await handler(event, data)

    await pay.send_payment(ALICE, "premium")
    task = asyncio.create_task(dp.feed_raw_update(bot, text("work")))
    await started.wait()
    await asyncio.wait_for(dp.feed_raw_update(bot, pre_checkout(bot.payload())), 20)
    assert verdicts(bot) == [True]
    assert seen == [True, True]  # only the lock is stepped around: FSM and middlewares are not

    blocked = asyncio.create_task(dp.feed_raw_update(bot, text("more")))
    await asyncio.sleep(0)
    assert not blocked.done()  # ordinary updates are isolated as before
    release.set()
    await asyncio.gather(task, blocked)


async def test_a_declined_checkout_is_heard_by_its_handlers(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    heard: asyncio.Queue[tuple[CheckoutDeclined, Any]] = asyncio.Queue()

    @pay.declined("premium", F.reason == "wrong_amount")
    async def sorry(event: CheckoutDeclined, event_from_user: Any, state: Any) -> None:
        await state.update_data(declined=True)
        heard.put_nowait((event, event_from_user.id))

    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), amount=1))
    event, user = await asyncio.wait_for(heard.get(), 20)
    assert (event.user_id, event.stage_id, event.reason, user) == (ALICE, "premium", "wrong_amount", ALICE)
    assert event.text == answers(bot)[0][1]


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError
