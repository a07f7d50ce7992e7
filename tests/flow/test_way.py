"""The straight way of payments and checkouts, left for aiogram's own when the bot put something on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiogram import Dispatcher, F
from aiogram.dispatcher.event.bases import SkipHandler
from aiogram.filters import Filter
from aiogram.fsm.context import FSMContext
from aiogram.fsm.storage.memory import SimpleEventIsolation
from aiogram.methods import AnswerPreCheckoutQuery
from aiogram.types import ErrorEvent, Message, TelegramObject, Update

from aiogram_neonpay import NeonPay, PaymentCompleted, PaymentResult
from aiogram_neonpay.checkout import CHECKOUT
from tests.telegram import ALICE, RecordingBot, paid, pre_checkout

pytestmark = pytest.mark.asyncio

PLACES = ("update outer", "update inner", "outer", "inner", "filter")


@pytest.fixture
def plain_dp(pay: NeonPay) -> Dispatcher:
    dispatcher = Dispatcher()
    dispatcher.include_router(pay)
    return dispatcher


def stand(dispatcher: Dispatcher, place: str, name: str) -> list[TelegramObject]:
    """Put something of the bot's at a place on the way, and return what it sees."""
    seen: list[TelegramObject] = []

    async def see(handler: Callable[..., Any], event: TelegramObject, data: dict[str, Any]) -> Any:
        seen.append(event)
        return await handler(event, data)

    class Seeing(Filter):
        async def __call__(self, event: TelegramObject) -> bool:
            seen.append(event)
            return True

    observer = dispatcher.observers["update" if place.startswith("update") else name]
    if place == "filter":
        observer.filter(Seeing())
    elif place.endswith("outer"):
        observer.outer_middleware(see)
    else:
        observer.middleware(see)
    return seen


@pytest.mark.parametrize("place", PLACES)
async def test_what_the_bot_puts_on_the_way_of_a_payment_sees_it(
    bot: RecordingBot, pay: NeonPay, plain_dp: Dispatcher, place: str
) -> None:
    delivered: list[PaymentCompleted] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        delivered.append(event)

    await pay.send_payment(ALICE, "premium")
    await plain_dp.feed_raw_update(bot, paid(bot.payload()))
    seen = stand(plain_dp, place, "message")
    await plain_dp.feed_raw_update(bot, paid(bot.payload()))

    assert len(delivered) == 2
    assert [type(event) for event in seen] == [Update if place.startswith("update") else Message]


@pytest.mark.parametrize("place", PLACES)
async def test_what_the_bot_puts_on_the_way_of_a_checkout_sees_it(
    bot: RecordingBot, pay: NeonPay, plain_dp: Dispatcher, place: str
) -> None:
    await pay.send_payment(ALICE, "premium")
    await plain_dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    seen = stand(plain_dp, place, "pre_checkout_query")
    await plain_dp.feed_raw_update(bot, pre_checkout(bot.payload()))

    assert [call.ok for call in bot.sent(AnswerPreCheckoutQuery)] == [True, True]
    assert len(seen) == 1


async def test_a_typed_handler_gets_what_aiogram_gives_on_its_own_way(
    bot: RecordingBot, pay: NeonPay, plain_dp: Dispatcher
) -> None:
    got: list[dict[str, Any]] = []

    @pay.completed
    async def grant(event: PaymentCompleted, **data: Any) -> None:
        await data["state"].update_data(paid=event.amount)
        got.append(data)

    await pay.send_payment(ALICE, "premium")
    await plain_dp.feed_raw_update(bot, paid(bot.payload()))
    stand(plain_dp, "outer", "message")
    await plain_dp.feed_raw_update(bot, paid(bot.payload()))

    assert set(got[0]) == set(got[1])
    assert got[0]["event_router"] is got[1]["event_router"] is pay
    assert isinstance(got[0]["event_update"], Update)
    state: FSMContext = got[1]["state"]
    assert await state.get_data() == {"paid": 25}


async def test_a_typed_handler_that_passes_a_payment_on_is_asked_once(
    bot: RecordingBot, pay: NeonPay, plain_dp: Dispatcher
) -> None:
    order: list[str] = []

    @pay.completed
    async def not_mine(event: PaymentCompleted) -> None:
        order.append("typed")
        raise SkipHandler

    @pay.on_payment
    async def listen(payment: PaymentResult) -> None:
        order.append("listener")

    @plain_dp.message(F.successful_payment)
    async def plain(message: Message, payment: PaymentResult) -> None:
        order.append("plain")

    await pay.send_payment(ALICE, "premium")
    await plain_dp.feed_raw_update(bot, paid(bot.payload()))

    assert order == ["typed", "listener", "plain"]


async def test_payments_of_one_buyer_wait_for_the_isolation_lock(bot: RecordingBot, pay: NeonPay) -> None:
    dp = Dispatcher(events_isolation=SimpleEventIsolation())
    dp.include_router(pay)
    running, most = 0, 0

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    await pay.send_payment(ALICE, "premium")
    await asyncio.gather(*(dp.feed_raw_update(bot, paid(bot.payload())) for _ in range(3)))

    assert most == 1


async def test_what_a_typed_handler_raises_reaches_the_error_handlers(
    bot: RecordingBot, pay: NeonPay, plain_dp: Dispatcher
) -> None:
    told: list[str] = []

    @pay.completed
    async def fail(event: PaymentCompleted) -> None:
        raise LookupError("no licence left")

    @plain_dp.errors()
    async def tell(error: ErrorEvent) -> None:
        told.append(str(error.exception))

    await pay.send_payment(ALICE, "premium")
    await plain_dp.feed_raw_update(bot, paid(bot.payload()))

    assert told == ["no licence left"]


async def test_a_checkout_decided_at_once_is_declined_when_deciding_fails(
    bot: RecordingBot, pay: NeonPay, plain_dp: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a catalog that fails")

    await pay.send_payment(ALICE, "premium")
    monkeypatch.setattr("aiogram_neonpay.stages.Catalog.known", broken)
    with pytest.raises(RuntimeError):
        await plain_dp.feed_raw_update(bot, pre_checkout(bot.payload()))

    assert [call.ok for call in bot.sent(AnswerPreCheckoutQuery)] == [False]


async def test_a_subclass_of_the_dispatcher_is_taken_its_own_way(bot: RecordingBot, pay: NeonPay) -> None:
    propagated: list[str] = []

    class Watching(Dispatcher):
        async def propagate_event(self, update_type: str, event: TelegramObject, **kwargs: Any) -> Any:
            propagated.append(update_type)
            assert update_type != "pre_checkout_query" or CHECKOUT in kwargs
            return await super().propagate_event(update_type, event, **kwargs)

    dp = Watching()
    dp.include_router(pay)

    @pay.completed
    async def grant(event: PaymentCompleted) -> None: ...

    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    await dp.feed_raw_update(bot, paid(bot.payload()))

    assert propagated == ["pre_checkout_query", "message"]
