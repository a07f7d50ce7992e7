"""What the ledger's tables promise: lists by index, one cost whatever the ledger's size, nothing half done."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aiogram_neonpay import SQLiteStorage
from aiogram_neonpay.errors import LedgerError
from aiogram_neonpay.ledger.base import CHARGE, INVOICE, RecordKey, Row, Tally, Write
from aiogram_neonpay.ledger.sqlite import PURGED, SQLiteEngine
from tests.ledger.engines import BUYER, PAID_AT, paid, version

pytestmark = pytest.mark.asyncio

BOT = 42
DAY = Tally("2026-01-01", {"count": 1, "stars": 25})


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = float(PAID_AT)

    def __call__(self) -> float:
        return self.now


class Bench:
    """An engine, its file and its clock.

    :ivar steps: how many instructions SQLite's machine has carried out, once it counts.
    """

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.storage = SQLiteStorage(path)
        self.engine = SQLiteEngine(self.storage, self.clock)
        self.steps = 0
        self._numbers = itertools.count()

    async def ask(self, question: str, *values: object) -> list[Any]:
        """Ask the tables themselves."""
        return await self.storage.database.read(lambda connection: connection.execute(question, values).fetchall())

    async def fill(self, count: int, **columns: object) -> None:
        """Insert records in bulk."""
        body = json.dumps(version(2, "0" * 16, **paid()))
        made = {"kind": CHARGE, "owner": None, "recorded_at": float(PAID_AT), "due": None, "waiting": None, **columns}

        def insert(connection: sqlite3.Connection) -> None:
            numbers = itertools.islice(self._numbers, count)
            connection.executemany(
                "INSERT INTO neonpay_records "
                "(bot_id, kind, name, version, nonce, body, owner, recorded_at, due, waiting, expires) "
                "VALUES (?, :kind, :name, 2, '0', :body, :owner, :recorded_at, :due, :waiting, :expires)".replace(
                    "?", str(BOT), 1
                ),
                (
                    {
                        **made,
                        # Spread like hashes, so that they are neighbours nowhere.
                        "name": f"{number * 0x9E3779B97F4A7C15 % 2**68:017x}",
                        "owner": made["owner"] or number,
                        "body": body,
                        "expires": made.get("expires"),
                    }
                    for number in numbers
                ),
            )

        await self.storage.database.change(insert)

    async def cost(self, act: Callable[[], Awaitable[object]]) -> int:
        """Return how many instructions an operation takes: the same in every run, unlike its time."""

        def count() -> None:
            self.steps += 1

        await self.storage.database.read(lambda connection: connection.set_progress_handler(count, 1))
        before = self.steps
        await act()
        return self.steps - before


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "bot.db")
    yield bench
    await bench.storage.close()


def charge(number: int) -> RecordKey:
    return RecordKey(BOT, CHARGE, f"9{number:016x}")


async def create(bench: Bench, key: RecordKey, **options: Any) -> None:
    assert await bench.engine.write(Write(key, version(1), 0, **options)) is None


# Lists


async def test_what_is_due_is_listed_the_longest_overdue_first_until_it_is_not(bench: Bench) -> None:
    due = bench.engine.due
    for number, seconds in enumerate((30.0, 10.0, 20.0, 60.0)):
        await create(bench, charge(number), due_in=seconds)
    await create(bench, RecordKey(BOT, INVOICE, "a"), due_in=1.0)
    await create(bench, charge(9))

    assert await due(BOT, limit=10) == []
    bench.clock.now += 30
    assert await due(BOT, limit=10) == [charge(number).name for number in (1, 2, 0)]
    assert await due(BOT, limit=2) == [charge(1).name, charge(2).name]
    assert await due(BOT, limit=0) == await due(BOT, limit=-1) == await due(BOT + 1, limit=10) == []

    await bench.engine.write(Write(charge(1), version(2), 1))
    await bench.engine.write(Write(charge(2), version(2), 1, keep_due=True))
    await bench.engine.write(Write(charge(0), version(2), 1, due_in=5.0))
    assert await due(BOT, limit=10) == [charge(2).name]


async def test_the_time_of_attention_is_told_by_a_look(bench: Bench) -> None:
    await create(bench, charge(1), due_in=60.0)
    bench.clock.now += 25

    row = await bench.engine.peek(charge(1))

    assert row is not None and row.due_in == 35.0
    assert await bench.engine.peek(charge(2)) is None
    refused = await bench.engine.write(Write(charge(1), version(2), 7))
    assert refused is not None and refused.due_in == 35.0


async def test_counters_are_added_up_once_per_change(bench: Bench) -> None:
    write = Write(charge(1), version(1), 0, tally=DAY)
    for _ in range(3):
        assert await bench.engine.write(write) is None
    assert isinstance(await bench.engine.write(Write(charge(1), version(1), 0, tally=DAY)), Row)
    await create(bench, charge(2), tally=Tally("2026-01-01", {"stars": 10, "refunds": -1}))
    await create(bench, charge(3), tally=Tally("2026-01-02", {}))
    await create(bench, RecordKey(BOT + 1, CHARGE, charge(1).name), tally=DAY)

    assert await bench.engine.tallies(BOT, ["2026-01-02", "2026-01-01", "2026-01-03"]) == [
        {},
        {"count": 1, "stars": 35, "refunds": -1},
        {},
    ]
    assert await bench.engine.tallies(BOT, []) == []


async def test_payments_of_one_second_are_listed_in_the_order_of_their_recording(bench: Bench) -> None:
    names = [charge(number).name for number in (5, 2, 8, 1)]
    for name in names:
        await create(bench, RecordKey(BOT, CHARGE, name), owner=BUYER, recorded_at=float(PAID_AT))

    assert await bench.engine.history(BOT, BUYER, limit=10, offset=0) == names[::-1]


async def test_a_charge_can_be_listed_later(bench: Bench) -> None:
    await create(bench, charge(1))
    await bench.engine.write(Write(charge(1), version(2), 1, owner=BUYER, recorded_at=1.0))
    await bench.engine.write(Write(charge(1), version(3), 2))

    assert await bench.engine.history(BOT, BUYER, limit=10, offset=0) == [charge(1).name]


# Forgetting


async def test_what_is_forgotten_is_removed_a_little_at_a_time(bench: Bench) -> None:
    await bench.fill(100, kind=INVOICE, expires=PAID_AT + 60.0)
    await create(bench, RecordKey(BOT, INVOICE, "kept"))
    await create(bench, RecordKey(BOT, INVOICE, "not yet"), ttl=1000.0)
    bench.clock.now += 60

    await create(bench, charge(1), due_in=60.0)
    assert await bench.ask("SELECT COUNT(*) FROM neonpay_records") == [(103,)], "a payment does not pay for it"
    left = [102]
    for number in itertools.count():
        if left[-1] == left[-2:][0] and len(left) > 1:
            break
        await create(bench, RecordKey(BOT, INVOICE, f"new{number}"), ttl=3000.0)
        left += (await bench.ask("SELECT COUNT(*) FROM neonpay_records WHERE name NOT LIKE 'new%'"))[0]

    assert left == [102, *range(103 - PURGED, 3, -PURGED), 3, 3]
    assert await bench.engine.peek(RecordKey(BOT, INVOICE, "not yet")) is not None


async def test_a_forgotten_record_is_not_found_before_it_is_removed(bench: Bench) -> None:
    key = RecordKey(BOT, INVOICE, "a")
    await create(bench, key, ttl=60.0)
    bench.clock.now += 59.9
    assert await bench.engine.peek(key) is not None
    bench.clock.now += 0.1

    assert await bench.engine.peek(key) is None
    assert await bench.engine.read([key]) == [None]
    assert await bench.engine.write(Write(key, version(2), 1)) == Row({})
    await create(bench, key)


# What was changed by something else


@pytest.mark.parametrize(
    "body", ["[1]", "{", '{"v":7,"n":"0"}', ""], ids=["no object", "no JSON", "another version", "nothing"]
)
async def test_a_record_changed_by_something_else_fails_loudly(bench: Bench, body: str) -> None:
    await create(bench, charge(1))
    await bench.storage.database.change(
        lambda connection: connection.execute("UPDATE neonpay_records SET body = ?", (body,))
    )

    with pytest.raises(LedgerError, match=f"the record pay {charge(1).name} was changed by something else"):
        await bench.engine.write(Write(charge(1), version(2), 7))


async def test_a_record_is_readable_json(bench: Bench) -> None:
    metadata = {"empty": [], "object": {}, "large": 2**63 + 1, "small": 0.1, "text": "\udcff ⭐"}
    body = version(1, **paid(metadata=metadata))
    await bench.engine.write(Write(charge(1), body, 0))

    ((text, large),) = await bench.ask(
        "SELECT body, json_extract(body, '$.charge') FROM neonpay_records WHERE name = ?", charge(1).name
    )

    assert json.loads(text) == body and '"empty":[],"object":{},"large":9223372036854775809' in text
    assert large == "stxCharge"


# Cost

QUESTIONS: dict[str, Callable[[Bench], Awaitable[object]]] = {
    "claim": lambda bench: create(bench, charge(0), due_in=60.0, owner=BUYER, recorded_at=1.0, tally=DAY),
    "settle": lambda bench: bench.engine.write(Write(charge(0), version(2), 1, tally=DAY)),
    "mark as waiting": lambda bench: bench.engine.write(Write(charge(0), version(3), 2, waiting=True)),
    "invoice": lambda bench: create(bench, RecordKey(BOT, INVOICE, "a"), ttl=60.0),
    "read": lambda bench: bench.engine.read([charge(0), charge(1)]),
    "due": lambda bench: bench.engine.due(BOT, limit=10),
    "waiting": lambda bench: bench.engine.waiting(BOT, limit=10),
    "history": lambda bench: bench.engine.history(BOT, 7, limit=10, offset=20),
    "tallies": lambda bench: bench.engine.tallies(BOT, ["2026-01-01", "2026-01-02"]),
}


async def test_every_operation_costs_the_same_in_a_ledger_of_a_hundred_thousand(bench: Bench) -> None:
    async def costs() -> dict[str, int]:
        found = {name: await bench.cost(lambda ask=ask: ask(bench)) for name, ask in QUESTIONS.items()}  # type: ignore[misc]
        await bench.storage.database.change(
            lambda connection: connection.execute(
                "DELETE FROM neonpay_records WHERE name IN (?, 'a')", (charge(0).name,)
            )
        )
        return found

    for count in (25, 100_000 - 25):
        await bench.fill(count)
        await bench.fill(max(50, count // 10), owner=7)
        await bench.fill(max(10, count // 100), due=PAID_AT - 60.0, owner=7)
        await bench.fill(max(10, count // 100), waiting=PAID_AT - 60.0, owner=7)
        await bench.fill(max(40, count // 100), kind=INVOICE, expires=PAID_AT - 60.0)
        if count == 25:
            await costs()  # the first counters of a day are made, later ones added to
            few = await costs()
    many = await costs()

    # Some jumps depend on where a key falls in a page.
    assert {name: (few[name], cost) for name, cost in many.items() if cost > few[name] * 1.05 + 5} == {}


async def test_ten_thousand_payments_of_one_buyer_are_paged_through(bench: Bench) -> None:
    await bench.fill(10_000, owner=BUYER)

    pages = [await bench.engine.history(BOT, BUYER, limit=100, offset=offset) for offset in range(0, 10_100, 100)]
    first = await bench.cost(lambda: bench.engine.history(BOT, BUYER, limit=100, offset=0))
    last = await bench.cost(lambda: bench.engine.history(BOT, BUYER, limit=100, offset=9900))

    assert len(set(itertools.chain(*pages))) == 10_000 and pages[-1] == []
    assert last - first < 9900 * 5, "an offset walks over the index and reads no records"


async def test_no_question_scans_or_sorts(bench: Bench) -> None:
    asked: list[str] = []
    await bench.storage.database.read(lambda connection: connection.set_trace_callback(asked.append))
    for ask in QUESTIONS.values():
        await ask(bench)
    await bench.storage.database.read(lambda connection: connection.set_trace_callback(None))

    statements = [text for text in asked if text.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "INSERT"))]
    plans = [(text, row[-1]) for text in statements for row in await bench.ask(f"EXPLAIN QUERY PLAN {text}")]
    assert len(statements) > len(QUESTIONS)
    assert [item for item in plans if "SCAN" in item[1] or "TEMP B-TREE" in item[1]] == []


async def test_many_payments_at_once_are_each_right(bench: Bench) -> None:
    async def pay(number: int) -> None:
        await create(bench, charge(number), due_in=60.0, owner=BUYER, recorded_at=float(number), tally=DAY)
        assert isinstance(await bench.engine.write(Write(charge(number), version(1), 0, tally=DAY)), Row)
        assert await bench.engine.write(Write(charge(number), version(2), 1, waiting=number % 2 == 0)) is None

    await asyncio.gather(*map(pay, range(300)))

    assert await bench.engine.tallies(BOT, ["2026-01-01"]) == [{"count": 300, "stars": 7500}]
    assert len(await bench.engine.history(BOT, BUYER, limit=500, offset=0)) == 300
    assert len(await bench.engine.waiting(BOT, limit=500)) == 150
    bench.clock.now += 100
    assert await bench.engine.due(BOT, limit=500) == []
