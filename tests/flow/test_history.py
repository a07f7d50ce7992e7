"""A buyer's payments: pages, filters, and what they cost."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from aiogram import Dispatcher

from aiogram_neonpay import NeonPay, PaymentStatus, ValidationError
from tests.telegram import ALICE, BOB, RecordingBot, charge_of, paid

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def bought(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> list[str]:
    """Six sales in turn: premium, sticker, premium... to Alice, and one to Bob."""

    @pay.completed
    async def grant(event: Any) -> None: ...

    charges = []
    for number in range(6):
        stage_id, amount = ("sticker", 5) if number % 2 else ("premium", 25)
        await pay.send_payment(ALICE, stage_id)
        sold = paid(bot.payload(), amount)
        await dp.feed_raw_update(bot, sold)
        charges.append(charge_of(sold))
    await pay.send_payment(BOB, "premium")
    await dp.feed_raw_update(bot, paid(bot.payload(), user_id=BOB))
    return charges


async def ids(pay: NeonPay, **options: Any) -> list[str | None]:
    return [payment.transaction_id for payment in await pay.history(ALICE, **options)]


async def test_the_newest_come_first_page_by_page(pay: NeonPay, bought: list[str]) -> None:
    assert await ids(pay) == bought[::-1]
    assert await ids(pay, limit=2, offset=2) == bought[::-1][2:4]


async def test_one_stage_only(pay: NeonPay, bought: list[str]) -> None:
    assert await ids(pay, stage_id="premium") == bought[4::-2]
    assert await ids(pay, stage_id="premium", limit=1, offset=1) == [bought[2]]
    assert await ids(pay, stage_id="premium", offset=3) == []
    assert await ids(pay, stage_id="never-sold") == []


async def test_one_status_only(pay: NeonPay, bought: list[str]) -> None:
    await pay.refund(bought[0])

    assert await ids(pay, status=PaymentStatus.REFUNDED) == [bought[0]]
    assert await ids(pay, status=PaymentStatus.COMPLETED) == bought[:0:-1]
    assert await ids(pay, status=PaymentStatus.COMPLETED, stage_id="premium") == [bought[4], bought[2]]
    assert await ids(pay, status=PaymentStatus.FAILED) == []
    assert await ids(pay, status="refunded") == [bought[0]]


async def test_a_page_without_a_filter_reads_its_own_records_and_one_with_a_filter_a_hundred_at_a_time(
    pay: NeonPay, bought: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    history = pay._shop.engine.history

    async def watched(bot_id: int, owner: int, *, limit: int, offset: int) -> list[str]:
        asked.append((limit, offset))
        return await history(bot_id, owner, limit=limit, offset=offset)

    monkeypatch.setattr(pay._shop.engine, "history", watched)
    monkeypatch.setattr("aiogram_neonpay.backoffice.PAGE", 2)
    await ids(pay, limit=3, offset=1)
    assert asked == [(3, 1)]
    asked.clear()
    assert await ids(pay, stage_id="sticker", limit=2) == [bought[5], bought[3]]
    assert asked == [(2, 0), (2, 2)]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"stage_id": "no such id!"}, "stage_id"),
        ({"status": PaymentStatus.PENDING}, "status"),
        ({"status": "paid"}, "status"),
        ({"limit": 101}, "limit"),
        ({"offset": -1}, "offset"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(pay: NeonPay, options: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        await pay.history(ALICE, **options)
