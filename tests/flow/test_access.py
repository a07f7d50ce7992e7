"""Access: what payments and people give, add up, take back, and use up; exact under concurrency."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiogram import Bot, Dispatcher, F
from aiogram.fsm.storage.base import BaseStorage
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.fsm.storage.redis import RedisStorage
from aiogram.types import CallbackQuery, InlineQuery, Message

from aiogram_neonpay import (
    Access,
    HasAccess,
    NeonPay,
    NoAccessError,
    PaymentCompleted,
    PaymentStage,
    SQLiteStorage,
    ValidationError,
    neonpay_router,
)
from tests.flow.clock import Clock
from tests.telegram import ALICE, BOB, RecordingBot, paid, person, refunded, tap, text, update

pytestmark = pytest.mark.asyncio

DAY = 86_400
STAGES = {
    "month": PaymentStage("Month", "A month of pro", 25, access="pro", access_for=timedelta(days=30)),
    "week": PaymentStage("Week", "A week of pro", 10, access="pro", access_for=7 * DAY),
    "ever": PaymentStage("Ever", "Pro for ever", 500, access="pro"),
    "pack": PaymentStage("Pack", "Twenty pictures", 15, access="pictures", uses=20),
    "short": PaymentStage("Short", "Five pictures today", 4, access="pictures", uses=5, access_for=DAY),
    "plain": PaymentStage("Plain", "Nothing but a thing", 5),
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pay(bot: RecordingBot, clock: Clock) -> NeonPay:
    return neonpay_router(STAGES, bot=bot, clock=clock)


@pytest.fixture
def dp(pay: NeonPay) -> Dispatcher:
    dispatcher = Dispatcher()
    dispatcher.include_router(pay)
    return dispatcher


async def buy(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Any, stage_id: str, user_id: int = ALICE
) -> dict[str, Any]:
    await pay.send_payment(user_id, stage_id)
    price = STAGES[stage_id].price
    assert price is not None
    bought = paid(bot.payload(), price, user_id)
    bought["message"]["date"] = int(clock())
    await dp.feed_raw_update(bot, bought)
    return bought


async def end_of(pay: NeonPay, clock: Clock, name: str = "pro") -> float | None:
    """Days until the access ends; nothing when there is none."""
    access = await pay.access(ALICE, name)
    return None if access is None or access.expires_at is None else (access.expires_at.timestamp() - clock.now) / DAY


async def test_a_payment_gives_access_before_its_handler_runs(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Clock
) -> None:
    seen: list[Access | None] = []

    @pay.completed
    async def deliver(event: PaymentCompleted) -> None:
        seen.append(await pay.access(event.user_id, "pro"))

    await buy(bot, dp, pay, clock, "month")

    [access] = seen
    assert access is not None and (access.name, access.left, access.source) == ("pro", None, "purchase")
    assert access.expires_at is not None and access.expires_at.timestamp() == clock.now + 30 * DAY


async def test_access_that_was_bought_again_is_extended_and_ends_when_it_is_over(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Clock
) -> None:
    pay.completed(_deliver)
    await buy(bot, dp, pay, clock, "month")
    clock.now += 10 * DAY
    await buy(bot, dp, pay, clock, "week")
    assert await end_of(pay, clock) == 27
    clock.now += 27 * DAY
    assert await pay.access(ALICE, "pro") is None
    await buy(bot, dp, pay, clock, "week")
    assert await end_of(pay, clock) == 7


async def test_a_refund_takes_back_what_was_bought_and_no_more(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Clock
) -> None:
    pay.completed(_deliver)
    month = await buy(bot, dp, pay, clock, "month")
    week = await buy(bot, dp, pay, clock, "week")
    await pay.grant_access(ALICE, "pro", access_for=timedelta(days=1), reason="a present")
    assert await end_of(pay, clock) == 38
    await dp.feed_raw_update(bot, refunded(month))
    await dp.feed_raw_update(bot, refunded(month))
    assert await end_of(pay, clock) == 8
    await dp.feed_raw_update(bot, refunded(week))
    assert await end_of(pay, clock) == 1


async def test_access_for_ever_has_no_end_and_survives_the_refund_of_a_month(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Clock
) -> None:
    pay.completed(_deliver)
    month = await buy(bot, dp, pay, clock, "month")
    await buy(bot, dp, pay, clock, "ever")
    await dp.feed_raw_update(bot, refunded(month))
    clock.now += 1000 * DAY

    access = await pay.access(ALICE, "pro")
    assert access is not None and access.expires_at is None


async def test_a_repeated_delivery_gives_once(bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Clock) -> None:
    fails = 2

    @pay.completed
    async def deliver(event: PaymentCompleted) -> None:
        nonlocal fails
        if fails:
            fails -= 1
            raise RuntimeError

    await pay.send_payment(ALICE, "month")
    bought = paid(bot.payload(), 25)
    bought["message"]["date"] = int(clock())
    with pytest.raises(RuntimeError):
        await dp.feed_raw_update(bot, bought)
    for _ in range(3):
        clock.now += 60
        await pay.run_due()
    await dp.feed_raw_update(bot, bought)

    assert fails == 0
    assert await end_of(pay, clock) == 30 - 180 / DAY


async def test_packs_add_up_and_the_oldest_is_used_first(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Clock
) -> None:
    pay.completed(_deliver)
    await buy(bot, dp, pay, clock, "short")
    await buy(bot, dp, pay, clock, "pack")
    access = await pay.access(ALICE, "pictures")
    assert access is not None and access.left == 25
    async with access.use(3):
        pass
    clock.now += DAY

    access = await pay.access(ALICE, "pictures")
    assert access is not None and (access.left, access.expires_at) == (20, None)


async def test_a_use_is_given_back_when_the_body_raises(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Clock
) -> None:
    await pay.grant_access(ALICE, "pictures", uses=2)
    access = await pay.access(ALICE, "pictures")
    assert access is not None
    with pytest.raises(ZeroDivisionError):
        async with access.use():
            raise ZeroDivisionError
    assert access.left == 2
    for left in (1, None):
        async with access.use():
            pass
        now = await pay.access(ALICE, "pictures")
        assert (None if now is None else now.left) == left
    with pytest.raises(NoAccessError, match="'pictures'"):
        async with access.use():
            raise AssertionError
    with pytest.raises(ValidationError, match="times"):
        async with access.use(0):
            raise AssertionError


async def test_a_refund_takes_what_is_left_of_a_pack(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Clock
) -> None:
    pay.completed(_deliver)
    first = await buy(bot, dp, pay, clock, "pack")
    await buy(bot, dp, pay, clock, "pack")
    access = await pay.access(ALICE, "pictures")
    assert access is not None
    async with access.use(5):
        pass
    await dp.feed_raw_update(bot, refunded(first))

    access = await pay.access(ALICE, "pictures")
    assert access is not None and access.left == 20


async def test_grants_by_hand_are_idempotent_with_a_key_and_can_be_revoked(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Clock
) -> None:
    for _ in range(2):
        granted = await pay.grant_access(ALICE, "pro", access_for=DAY, key="present-1", reason="birthday")
        assert granted.source == "granted"
    assert await end_of(pay, clock) == 1
    assert await pay.revoke_access(ALICE, "pro", reason="abuse")
    assert not await pay.revoke_access(ALICE, "pro")
    assert await pay.access(ALICE, "pro") is None
    with pytest.raises(NoAccessError):
        await pay.grant_access(ALICE, "pro", access_for=DAY, key="present-1")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"access_for": 0}, "access_for"),
        ({"access_for": timedelta(days=-1)}, "access_for"),
        ({"uses": 0}, "uses"),
        ({"uses": True}, "uses"),
        ({"key": ""}, "key"),
        ({"reason": 7}, "reason"),
        ({"user_id": -1}, "user_id"),
    ],
)
async def test_bad_grants_are_refused_by_name(dp: Dispatcher, pay: NeonPay, options: Any, field: str) -> None:
    with pytest.raises(ValidationError) as raised:
        await pay.grant_access(**{"user_id": ALICE, "name": "pro", **options})
    assert raised.value.field == field


async def test_the_filter_lets_in_who_has_access_on_any_event_and_injects_it(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay
) -> None:
    seen: list[tuple[str, int | None]] = []

    @dp.message(F.text == "draw", HasAccess("pictures"))
    async def draw(message: Message, access: Access) -> None:
        async with access.use():
            seen.append(("message", access.left))

    @dp.callback_query(HasAccess("pictures"))
    async def tapped(query: CallbackQuery, access: Access) -> None:
        seen.append(("tap", access.left))

    @dp.inline_query(HasAccess("pictures"))
    async def asked(query: InlineQuery, access: Access) -> None:
        seen.append(("inline", access.left))

    @dp.message()
    async def others(message: Message) -> None:
        seen.append(("nothing", None))

    await pay.grant_access(ALICE, "pictures", uses=2)
    for user in (ALICE, BOB):
        await dp.feed_raw_update(bot, text("draw", user))
        await dp.feed_raw_update(bot, tap("anything", user))
        query = {"id": "1", "from": person(user), "query": "q", "offset": ""}
        await dp.feed_raw_update(bot, update(inline_query=query))

    assert seen == [("message", 2), ("tap", 1), ("inline", 1), ("nothing", None)]


async def test_everything_that_somebody_has_is_listed(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Clock
) -> None:
    pay.completed(_deliver)
    for stage_id in ("week", "pack", "plain"):
        await buy(bot, dp, pay, clock, stage_id)

    assert [(access.name, access.left) for access in await pay.list_access(ALICE)] == [("pictures", 20), ("pro", None)]
    assert await pay.list_access(BOB) == []


async def test_a_stage_that_gives_access_needs_no_handler(
    bot: RecordingBot, dp: Dispatcher, pay: NeonPay, clock: Clock
) -> None:
    await buy(bot, dp, pay, clock, "week")

    [payment] = await pay.history(ALICE)
    assert payment.delivered and await pay.stuck_payments() == []
    assert await end_of(pay, clock) == 7


@pytest_asyncio.fixture(params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.redis)])
async def shared(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[BaseStorage]:
    storage: BaseStorage
    if request.param == "memory":
        storage = MemoryStorage()
    elif request.param == "sqlite":
        storage = SQLiteStorage(tmp_path / "bot.db")
    else:
        storage = RedisStorage.from_url(request.getfixturevalue("redis_url"))
    yield storage
    await storage.close()


async def test_no_more_is_used_than_there_is_however_many_ask_at_once(bot: RecordingBot, shared: BaseStorage) -> None:
    workers = [neonpay_router(STAGES, bot=bot, storage=shared) for _ in range(2)]
    await workers[0].grant_access(ALICE, "pictures", uses=20)
    used = 0

    async def use(worker: NeonPay, bot: Bot) -> None:
        nonlocal used
        access = await worker.access(ALICE, "pictures")
        if access is None:
            return
        try:
            async with access.use():
                await asyncio.sleep(0)
                if used % 7 == 3:
                    used += 1
                    raise ZeroDivisionError
                used += 1
        except NoAccessError:
            return
        except ZeroDivisionError:
            used -= 1

    for _ in range(3):
        await asyncio.gather(*(use(worker, bot) for worker in workers for _ in range(10)))

    left = await workers[1].access(ALICE, "pictures")
    assert used + (0 if left is None else left.left or 0) == 20


async def _deliver(event: PaymentCompleted) -> None:
    """Deliver what was bought: the access is all there is to it."""
