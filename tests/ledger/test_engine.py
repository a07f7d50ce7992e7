"""What every engine promises to the rules above it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from aiogram_neonpay.ledger.base import CHARGE, RecordKey, Row, Write, new_nonce
from tests.ledger.engines import BUYER, PAID_AT, Ledger, eventually, version

pytestmark = pytest.mark.asyncio

CONTENT: dict[str, Any] = {
    "empty list": [],
    "empty object": {},
    "nested": {"list": [[], {}, [None, True, False]], "": "empty key"},
    "past 53 bits": 2**53 + 1,
    "past 64 bits": -(2**70),
    "fraction": 0.1,
    "text": 'quote " backslash \\ newline \n null \x00 ⭐ \N{MONEY BAG} заказ',
    "like a header": '{"v":9,"n":"abc"}',
    "nothing": None,
}


async def create(ledger: Ledger, key: RecordKey, **options: Any) -> dict[str, Any]:
    body = version(1)
    assert await ledger.engine.write(Write(key, body, 0, **options)) is None
    return body


async def rewrite(ledger: Ledger, key: RecordKey, **options: Any) -> None:
    """Replace the record by its next version."""
    known = await ledger.body(key)
    assert known is not None
    assert await ledger.engine.write(Write(key, version(known["v"] + 1), known["v"], **options)) is None


async def next_millisecond() -> None:
    """Let the clock go on: places among the waiting are told apart by milliseconds."""
    now = time.time_ns() // 1_000_000

    async def later() -> bool:
        return time.time_ns() // 1_000_000 > now

    await eventually(later)


async def add_charges(ledger: Ledger, count: int, owner: int = BUYER, start: int = 0) -> list[str]:
    """Create charges of one buyer and return their names, newest first."""
    names = [f"{owner % 16:x}{number:016x}" for number in range(start, start + count)]
    for number, name in enumerate(names, start):
        await create(ledger, ledger.charge(name), owner=owner, recorded_at=float(PAID_AT + number))
    return names[::-1]


# Reading and writing


async def test_what_was_written_is_read_unchanged(ledger: Ledger) -> None:
    for key in (ledger.charge(), ledger.invoice()):
        body = version(1, **CONTENT)
        assert await ledger.engine.write(Write(key, body, 0)) is None
        assert await ledger.body(key) == body


async def test_the_row_in_the_way_of_a_write_is_unchanged_too(ledger: Ledger) -> None:
    body = version(1, **CONTENT)
    await ledger.engine.write(Write(ledger.charge(), body, 0))

    assert await ledger.engine.write(Write(ledger.charge(), version(1), 0)) == Row(body)


async def test_records_are_read_in_the_order_of_their_keys(ledger: Ledger) -> None:
    first, second = ledger.charge("1" + "0" * 16), ledger.invoice()
    missing = ledger.charge("2" + "0" * 16)
    bodies = [await create(ledger, first), await create(ledger, second)]

    rows = await ledger.engine.read([second, missing, first, missing])

    assert [None if row is None else row.body for row in rows] == [bodies[1], None, bodies[0], None]


async def test_reading_no_keys_reads_nothing(ledger: Ledger) -> None:
    assert await ledger.engine.read([]) == []


async def test_another_engine_on_the_storage_sees_the_record(ledger: Ledger) -> None:
    body = await create(ledger, ledger.charge())

    row = (await ledger.connect().read([ledger.charge()]))[0]

    assert row is not None and row.body == body


async def test_bots_and_kinds_do_not_share_records(ledger: Ledger) -> None:
    name = "0" * 17
    await create(ledger, ledger.charge(name))
    others = [ledger.invoice(name), RecordKey(ledger.bot_id + 1, CHARGE, name), ledger.charge("1" + name[1:])]

    assert await ledger.engine.read(others) == [None, None, None]


async def test_what_the_caller_does_to_a_body_afterwards_changes_no_record(ledger: Ledger) -> None:
    key = ledger.charge()
    body = await create(ledger, key)
    kept = dict(body)
    body["later"] = 1
    read = await ledger.body(key)
    assert read is not None
    read["later"] = 2

    assert await ledger.body(key) == kept


# Conflicts


async def test_a_record_is_created_once(ledger: Ledger) -> None:
    body = await create(ledger, ledger.charge())

    row = await ledger.engine.write(Write(ledger.charge(), version(1), 0))

    assert row is not None and row.body == body
    assert await ledger.body(ledger.charge()) == body


async def test_a_change_of_an_older_version_is_refused_with_the_newer_one(ledger: Ledger) -> None:
    key = ledger.charge()
    await create(ledger, key)
    newer = version(2, by="first")
    assert await ledger.engine.write(Write(key, newer, 1)) is None

    row = await ledger.engine.write(Write(key, version(2, by="second"), 1))

    assert row is not None and row.body == newer
    assert await ledger.body(key) == newer


async def test_a_refused_charge_leaves_no_trace_in_indexes(ledger: Ledger) -> None:
    key = ledger.charge()
    await create(ledger, key, due_in=60.0)

    await ledger.engine.write(
        Write(key, version(1), 0, due_in=5.0, waiting=True, owner=BUYER, recorded_at=float(PAID_AT))
    )

    assert await ledger.engine.history(ledger.bot_id, BUYER, limit=10, offset=0) == []
    assert await ledger.engine.waiting(ledger.bot_id, limit=10) == []
    due_in = await ledger.due_in(key)
    assert due_in is not None and due_in > 30


@pytest.mark.parametrize("kind", ["charge", "invoice"])
async def test_a_missing_record_that_should_exist_stands_in_the_way_empty(ledger: Ledger, kind: str) -> None:
    key = ledger.charge() if kind == "charge" else ledger.invoice()

    assert await ledger.engine.write(Write(key, version(4), 3)) == Row({})
    assert await ledger.body(key) is None


async def test_of_many_concurrent_creations_one_succeeds(ledger: Ledger) -> None:
    bodies = [version(1, by=number) for number in range(25)]
    engines = [ledger.connect(), ledger.connect()]

    rows = await asyncio.gather(
        *(engines[body["by"] % 2].write(Write(ledger.charge(), body, 0, owner=BUYER)) for body in bodies)
    )

    winners = [body for body, row in zip(bodies, rows, strict=True) if row is None]
    assert len(winners) == 1
    assert await ledger.body(ledger.charge()) == winners[0]
    assert all(row is None or row.body == winners[0] for row in rows)
    assert await ledger.engine.history(ledger.bot_id, BUYER, limit=10, offset=0) == [ledger.charge().name]


async def test_no_concurrent_change_is_lost(ledger: Ledger) -> None:
    key = ledger.invoice()
    await ledger.engine.write(Write(key, version(1, count=0), 0))

    async def count_one() -> None:
        engine = ledger.connect()
        known = await ledger.body(key)
        assert known is not None
        while row := await engine.write(Write(key, version(known["v"] + 1, count=known["count"] + 1), known["v"])):
            known = row.body

    await asyncio.gather(*(count_one() for _ in range(12)))

    body = await ledger.body(key)
    assert body is not None and (body["count"], body["v"]) == (12, 13)


# Repeated commands


async def test_a_repeated_creation_is_told_that_it_succeeded(ledger: Ledger) -> None:
    write = Write(ledger.charge(), version(1), 0, due_in=60.0, waiting=True, owner=BUYER, recorded_at=float(PAID_AT))

    assert [await ledger.engine.write(write) for _ in range(3)] == [None, None, None]

    assert await ledger.body(ledger.charge()) == write.body
    assert await ledger.engine.history(ledger.bot_id, BUYER, limit=10, offset=0) == [ledger.charge().name]
    assert await ledger.engine.waiting(ledger.bot_id, limit=10) == [ledger.charge().name]


async def test_a_repeated_change_is_told_that_it_succeeded(ledger: Ledger) -> None:
    key = ledger.charge()
    await create(ledger, key)
    write = Write(key, version(2), 1)

    assert [await ledger.engine.write(write), await ledger.engine.write(write)] == [None, None]
    assert await ledger.body(key) == write.body


async def test_a_repeated_change_does_not_undo_a_later_one(ledger: Ledger) -> None:
    key = ledger.charge()
    await create(ledger, key)
    early = Write(key, version(2), 1)
    await ledger.engine.write(early)
    late = version(3)
    await ledger.engine.write(Write(key, late, 2))

    row = await ledger.engine.write(early)

    assert row is not None and row.body == late
    assert await ledger.body(key) == late


async def test_a_nonce_counts_only_for_its_own_record(ledger: Ledger) -> None:
    nonce = new_nonce()
    await ledger.engine.write(Write(ledger.charge(), version(1, nonce), 0))
    other = ledger.charge("1" + "0" * 16)

    assert await ledger.engine.write(Write(other, version(1, nonce), 0)) is None
    assert await ledger.body(other) is not None


# Attention


async def test_a_lease_is_told_with_the_row_and_runs_down(ledger: Ledger) -> None:
    key = ledger.charge()
    await create(ledger, key, due_in=60.0)

    first = await ledger.due_in(key)
    assert first is not None and 50 < first <= 60

    async def less() -> bool:
        left = await ledger.due_in(key)
        return left is not None and left < first

    await eventually(less)


async def test_a_lease_of_no_length_is_over_at_once(ledger: Ledger) -> None:
    await create(ledger, ledger.charge(), due_in=0.0)

    due_in = await ledger.due_in(ledger.charge())

    assert due_in is not None and due_in <= 0


async def test_a_write_without_a_lease_ends_attention(ledger: Ledger) -> None:
    key = ledger.charge()
    await create(ledger, key, due_in=60.0)
    await rewrite(ledger, key)

    assert await ledger.due_in(key) is None


async def test_a_write_moves_attention(ledger: Ledger) -> None:
    key = ledger.charge()
    await create(ledger, key, due_in=1.0)
    await rewrite(ledger, key, due_in=600.0)

    due_in = await ledger.due_in(key)

    assert due_in is not None and due_in > 500


async def test_keep_due_leaves_a_lease_as_it_is(ledger: Ledger) -> None:
    key = ledger.charge()
    await create(ledger, key, due_in=60.0)
    await rewrite(ledger, key, keep_due=True, due_in=600.0)

    due_in = await ledger.due_in(key)

    assert due_in is not None and 50 < due_in <= 60


async def test_keep_due_makes_no_lease_where_there_is_none(ledger: Ledger) -> None:
    key = ledger.charge()
    await create(ledger, key)
    await rewrite(ledger, key, keep_due=True, due_in=600.0)

    assert await ledger.due_in(key) is None


# Forgetting


async def test_a_record_is_forgotten_when_its_time_is_over(ledger: Ledger) -> None:
    key = ledger.invoice()
    await create(ledger, key, ttl=0.05)

    async def forgotten() -> bool:
        return await ledger.body(key) is None

    await eventually(forgotten)

    assert await ledger.engine.write(Write(key, version(2), 1)) == Row({})
    await create(ledger, key)


async def test_keep_ttl_leaves_that_moment_as_it_is(ledger: Ledger) -> None:
    short, long = ledger.invoice("short"), ledger.invoice("long")
    await create(ledger, short, ttl=0.3)
    await create(ledger, long, ttl=600.0)
    await rewrite(ledger, short, keep_ttl=True, ttl=600.0)
    await rewrite(ledger, long, keep_ttl=True, ttl=0.001)

    async def forgotten() -> bool:
        return await ledger.body(short) is None

    await eventually(forgotten)
    assert await ledger.body(long) is not None


async def test_keep_ttl_makes_nothing_forgotten_that_is_kept_for_ever(ledger: Ledger) -> None:
    key, clock = ledger.invoice("kept"), ledger.invoice("clock")
    await create(ledger, key)
    await rewrite(ledger, key, keep_ttl=True, ttl=0.001)
    await create(ledger, clock, ttl=0.02)

    async def later() -> bool:
        return await ledger.body(clock) is None

    await eventually(later)
    assert await ledger.body(key) is not None


async def test_a_write_without_ttl_keeps_the_record_for_ever(ledger: Ledger) -> None:
    key, clock = ledger.invoice("kept"), ledger.invoice("clock")
    await create(ledger, key, ttl=0.3)
    await rewrite(ledger, key)
    await create(ledger, clock, ttl=0.3)

    async def later() -> bool:
        return await ledger.body(clock) is None

    await eventually(later)
    assert await ledger.body(key) is not None


async def test_a_write_moves_the_moment_of_forgetting(ledger: Ledger) -> None:
    key = ledger.invoice()
    await create(ledger, key, ttl=600.0)
    await rewrite(ledger, key, ttl=0.02)

    async def forgotten() -> bool:
        return await ledger.body(key) is None

    await eventually(forgotten)


# Lists


async def test_a_history_pages_newest_first_over_several_chunks(ledger: Ledger) -> None:
    names = await add_charges(ledger, 215)

    async def page(offset: int, limit: int) -> list[str]:
        return await ledger.engine.history(ledger.bot_id, BUYER, limit=limit, offset=offset)

    assert await page(0, 500) == names
    assert [name for offset in range(0, 240, 30) for name in await page(offset, 30)] == names
    assert await page(14, 1) == names[14:15]
    assert await page(15, 100) == names[15:115]
    assert await page(214, 10) == names[214:]
    assert await page(215, 10) == []


async def test_a_page_of_nothing_is_empty(ledger: Ledger) -> None:
    await add_charges(ledger, 2)

    assert await ledger.engine.history(ledger.bot_id, BUYER, limit=0, offset=0) == []
    assert await ledger.engine.history(ledger.bot_id, BUYER, limit=0, offset=1) == []


async def test_a_charge_that_is_recorded_again_after_its_record_was_lost_is_listed_once(ledger: Ledger) -> None:
    key = ledger.charge()
    await create(ledger, key, ttl=0.02, owner=BUYER, recorded_at=float(PAID_AT))

    async def lost() -> bool:
        return await ledger.body(key) is None

    await eventually(lost)
    await create(ledger, key, owner=BUYER, recorded_at=float(PAID_AT))

    assert await ledger.engine.history(ledger.bot_id, BUYER, limit=10, offset=0) == [key.name]


async def test_a_history_is_the_owners_alone(ledger: Ledger) -> None:
    mine = await add_charges(ledger, 3)
    theirs = await add_charges(ledger, 2, owner=BUYER + 16, start=50)
    history = ledger.engine.history

    assert await history(ledger.bot_id, BUYER, limit=10, offset=0) == mine
    assert await history(ledger.bot_id, BUYER + 16, limit=10, offset=0) == theirs
    assert await history(ledger.bot_id, BUYER + 1, limit=10, offset=0) == []
    assert await history(ledger.bot_id + 1, BUYER, limit=10, offset=0) == []


async def test_later_changes_do_not_move_a_charge_in_the_history(ledger: Ledger) -> None:
    names = await add_charges(ledger, 3)
    await rewrite(ledger, ledger.charge(names[-1]), due_in=5.0)

    assert await ledger.engine.history(ledger.bot_id, BUYER, limit=10, offset=0) == names


async def test_concurrent_charges_of_one_buyer_are_all_in_the_history(ledger: Ledger) -> None:
    names = [f"9{number:016x}" for number in range(130)]
    engines = [ledger.connect(), ledger.connect()]
    await asyncio.gather(
        *(
            engines[number % 2].write(
                Write(ledger.charge(name), version(1), 0, owner=BUYER, recorded_at=float(PAID_AT + number))
            )
            for number, name in enumerate(names)
        )
    )

    assert sorted(await ledger.engine.history(ledger.bot_id, BUYER, limit=500, offset=0)) == names


async def test_those_that_wait_are_listed_oldest_first_until_they_wait_no_more(ledger: Ledger) -> None:
    waiting = ledger.engine.waiting
    first, second, third = (ledger.charge(digit + "0" * 16) for digit in "f08")
    for key in (first, second, third):
        await create(ledger, key)
        await rewrite(ledger, key, waiting=True)
        await next_millisecond()
    names = [first.name, second.name, third.name]

    assert await waiting(ledger.bot_id, limit=10) == names
    assert await waiting(ledger.bot_id, limit=2) == names[:2]
    assert await waiting(ledger.bot_id, limit=0) == []
    assert await waiting(ledger.bot_id + 1, limit=10) == []

    await rewrite(ledger, first, waiting=True)
    assert await waiting(ledger.bot_id, limit=10) == names, "one that still waits keeps its place"

    for key in (second, first, third):
        await rewrite(ledger, key)
    assert await waiting(ledger.bot_id, limit=10) == []


async def test_a_new_record_may_wait_at_once(ledger: Ledger) -> None:
    await create(ledger, ledger.charge(), waiting=True)

    assert await ledger.engine.waiting(ledger.bot_id, limit=10) == [ledger.charge().name]
