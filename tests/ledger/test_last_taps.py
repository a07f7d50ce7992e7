"""Of two taps on one button one is answered, whichever worker gets them, on every engine."""

from __future__ import annotations

import asyncio

import pytest

from aiogram_neonpay.ledger.taps import WINDOW, LastTaps
from tests.ledger.engines import BUYER, Ledger

pytestmark = pytest.mark.asyncio


class Watch:
    """A clock moved by hand."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_of_many_at_once_by_several_workers_one_is_answered(ledger: Ledger) -> None:
    workers = [LastTaps(ledger.connect()) for _ in range(3)]
    answers = await asyncio.gather(
        *(worker.take(ledger.bot_id, BUYER, "buy", invoice_id=f"{number}") for number, worker in enumerate(workers * 4))
    )

    (mine,) = [record for is_mine, record in answers if is_mine]
    assert {record["invoice"] for is_mine, record in answers if not is_mine} == {mine["invoice"]}


async def test_other_buttons_and_people_are_other_taps(ledger: Ledger) -> None:
    taps = LastTaps(ledger.engine)
    assert (await taps.take(ledger.bot_id, BUYER, "buy"))[0]
    assert (await taps.take(ledger.bot_id, BUYER + 1, "buy"))[0]
    assert (await taps.take(ledger.bot_id, BUYER, "donate"))[0]
    assert (await taps.take(ledger.bot_id, BUYER, "buy"))[0]


async def test_after_the_window_it_is_another_tap(ledger: Ledger) -> None:
    watch = Watch()
    taps = LastTaps(ledger.engine, watch)
    assert (await taps.take(ledger.bot_id, BUYER, "buy"))[0]
    watch.now += WINDOW - 0.1
    assert not (await taps.take(ledger.bot_id, BUYER, "buy"))[0]
    watch.now += 0.2
    assert (await taps.take(ledger.bot_id, BUYER, "buy"))[0]


async def test_one_that_was_given_back_or_does_not_count_is_free_once(ledger: Ledger) -> None:
    taps, other = LastTaps(ledger.engine), LastTaps(ledger.connect())
    _, mine = await taps.take(ledger.bot_id, BUYER, "buy")
    await taps.give_back(ledger.bot_id, BUYER, mine)
    is_mine, mine = await other.take(ledger.bot_id, BUYER, "buy")
    assert is_mine

    answers = await asyncio.gather(*(each.take(ledger.bot_id, BUYER, "buy", over=mine) for each in (taps, other) * 3))
    assert [is_mine for is_mine, _ in answers].count(True) == 1


async def test_giving_back_too_late_takes_nothing_from_others(ledger: Ledger) -> None:
    taps = LastTaps(ledger.engine)
    _, mine = await taps.take(ledger.bot_id, BUYER, "buy")
    await taps.take(ledger.bot_id, BUYER, "donate")
    await taps.give_back(ledger.bot_id, BUYER, mine)
    assert not (await taps.take(ledger.bot_id, BUYER, "donate"))[0]
