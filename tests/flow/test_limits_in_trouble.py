"""Limits when something goes wrong: a slow storage, an answer that is not taken, a worker that dies."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from aiogram.exceptions import TelegramForbiddenError, TelegramNetworkError, TelegramRetryAfter
from aiogram.methods import AnswerPreCheckoutQuery

from aiogram_neonpay import NeonPayError, PaymentStatus, StageNotFoundError, checkout
from aiogram_neonpay.entitlements import Entitlements
from aiogram_neonpay.ledger import stock
from aiogram_neonpay.ledger.base import STOCK
from aiogram_neonpay.ledger.memory import MemoryEngine
from aiogram_neonpay.ledger.stock import Stocks
from aiogram_neonpay.limits import Limits
from tests.flow.clock import Clock, settled
from tests.flow.stall import Stall
from tests.telegram import ALICE, BOB, RecordingBot

pytestmark = pytest.mark.asyncio


@pytest.fixture
def stall(bot: RecordingBot) -> Stall:
    return Stall(bot, Clock())


async def left(stall: Stall, stage_id: str = "print") -> int | None:
    return await stall.pay.stock_left(stage_id)


async def test_what_is_left_can_be_asked(stall: Stall) -> None:
    assert await left(stall) == 3
    payload = await stall.invoice("print")
    await stall.check_out("print", payload)
    assert await left(stall) == 2
    await stall.pay_for("print", payload)
    assert await left(stall) == 2
    assert await left(stall, "ticket") is None
    with pytest.raises(StageNotFoundError):
        await left(stall, "nothing")


@pytest.mark.parametrize("stage_id", ["print", "pair"])
async def test_a_checkout_that_is_too_slow_keeps_nothing_though_the_storage_did_it(
    stall: Stall, stage_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "DEADLINE", 0.03)
    before, arrived, goes_on = await left(stall, stage_id), asyncio.Event(), asyncio.Event()
    write = MemoryEngine.write

    async def slow(engine: MemoryEngine, change: Any) -> Any:
        if change.key.kind == STOCK:
            arrived.set()
            await goes_on.wait()
        return await write(engine, change)

    monkeypatch.setattr(MemoryEngine, "write", slow)
    payload = await stall.invoice(stage_id)
    assert await stall.check_out(stage_id, payload) is not None
    await arrived.wait()
    goes_on.set()
    for _ in range(20):
        await asyncio.sleep(0)

    assert await left(stall, stage_id) == before
    for _ in range(2):  # and nothing is kept of what a buyer may have
        assert await stall.check_out(stage_id, payload) is None


async def test_a_storage_that_fails_between_the_two_limits_keeps_nothing(
    stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = await stall.invoice("pair")
    with monkeypatch.context() as patch:

        async def fail(*_: Any, **__: Any) -> bool:
            raise OSError("the storage is away")

        patch.setattr(Stocks, "hold", fail)
        for _ in range(3):
            assert await stall.check_out("pair", payload) is not None

    for _ in range(2):
        assert await stall.check_out("pair", payload) is None


@pytest.mark.parametrize("error", ["refused", "flood", "doubt"])
async def test_a_share_is_free_at_once_when_telegram_has_surely_not_taken_the_answer(stall: Stall, error: str) -> None:
    def refuse(method: AnswerPreCheckoutQuery) -> Any:
        if error == "refused":
            raise TelegramForbiddenError(method=method, message="Forbidden: bot was blocked")
        if error == "flood":
            raise TelegramRetryAfter(method=method, message="Too Many Requests", retry_after=60)
        stall.clock.now += 1
        raise TelegramNetworkError(method=method, message="connection reset")

    checkout_waits = pytest.MonkeyPatch()
    checkout_waits.setattr(checkout, "TELEGRAM_WAITS", 0.01)
    try:
        stall.bot.answer(AnswerPreCheckoutQuery, refuse)
        with pytest.raises((TelegramForbiddenError, TelegramRetryAfter, TelegramNetworkError)):
            await stall.check_out("print", await stall.invoice("print"))
    finally:
        checkout_waits.undo()

    assert await left(stall) == (2 if error == "doubt" else 3)
    stall.clock.now += stock.HOLD + 1
    assert await left(stall) == 3


async def test_a_share_that_was_taken_by_a_worker_that_died_comes_back_with_the_refund(
    stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = await stall.invoice("print")
    await stall.check_out("print", payload)
    take = Stocks.take

    async def die(stocks: Stocks, *args: Any, **kwargs: Any) -> Any:
        await take(stocks, *args, **kwargs)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Stocks, "take", die)
        with pytest.raises(SystemExit):
            await stall.pay_for("print", payload)
    assert await left(stall) == 2
    stall.clock.now += 61  # its lease is over
    [payment] = await stall.pay.history(ALICE)
    await stall.pay.refund(str(payment.transaction_id))
    await stall.pay.run_due()
    await settled(lambda: not stall.pay._installation.feed.tasks)

    assert await left(stall) == 3 and stall.delivered == []


async def test_a_worker_that_wakes_up_after_the_refund_takes_nothing(
    stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = await stall.invoice("print")
    take = Stocks.take

    async def late(stocks: Stocks, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(Stocks, "take", take)
        await stocks.give_back(stall.bot.id, "print", args[4], took=False)  # what another worker does meanwhile
        return await take(stocks, *args, **kwargs)

    await stall.buy("print", BOB)
    monkeypatch.setattr(Stocks, "take", late)
    await stall.pay_for("print", payload)

    assert await left(stall) == 2


async def test_the_record_of_a_stock_does_not_grow_with_what_is_sold(
    stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock, "CROWD", 5)
    names = 0
    for number in range(40):
        await stall.buy("many", 100 + number)
        stall.clock.now += 100
        [body] = [
            record.data
            for key, record in stall.pay._shop.engine._records.items()  # type: ignore[attr-defined]
            if "many" in str(key) and "sold" in record.data
        ]
        names = max(names, len(body["noted"]))

    assert names <= 10 and await left(stall, "many") == 60
    with pytest.raises(NeonPayError):
        await left(stall, "")


@pytest.mark.parametrize("stage_id", ["ticket", "pass"])
async def test_a_worker_that_stood_still_until_after_the_refund_gives_nothing(
    stall: Stall, monkeypatch: pytest.MonkeyPatch, stage_id: str
) -> None:
    other = Stall(stall.bot, stall.clock, storage=stall.storage)
    payload = await stall.invoice(stage_id)
    stands_still = asyncio.Event()
    goes_on = asyncio.Event()
    name = "take" if stage_id == "ticket" else "give"
    kind: Any = Limits if stage_id == "ticket" else Entitlements
    deed = getattr(kind, name)

    async def late(*args: Any) -> Any:
        stands_still.set()
        await goes_on.wait()
        return await deed(*args)

    with monkeypatch.context() as patch:
        patch.setattr(kind, name, late)
        sleeping = asyncio.ensure_future(stall.pay_for(stage_id, payload))
        await stands_still.wait()
    stall.pay._installation.shop.charges.leases.close()
    stall.clock.now += 61
    [payment] = await other.pay.history(ALICE)
    await other.pay.refund(str(payment.transaction_id))
    await settled(lambda: not other.pay._installation.feed.tasks)
    goes_on.set()
    with contextlib.suppress(NeonPayError):
        await sleeping

    assert await other.pay.access(ALICE, "pass") is None
    assert await other.check_out("ticket", await other.invoice("ticket")) is None
    assert (await other.pay.history(ALICE))[0].status == PaymentStatus.REFUNDED
