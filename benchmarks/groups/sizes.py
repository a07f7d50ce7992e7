"""Sales and look-ups in ledgers that hold nothing, much and very much."""

from __future__ import annotations

import contextlib
import importlib.metadata
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import peers, redis_server, sqlite_rigs, sqlite_stock
from benchmarks.measure import (
    Block,
    Effort,
    Rig,
    Series,
    Spent,
    Timing,
    close_all,
    compare,
    cpu,
    spend,
    wall,
    with_server,
)
from benchmarks.rows import NO_CLIENT, NO_SERVER, against, base, left_out, sell
from benchmarks.sellers import pay_of
from benchmarks.stock import PAGE, Stock
from benchmarks.table import Row, Table

SMALL, LARGE, QUICK_LARGE = 10_000, 1_000_000, 100_000
READS = 100
PEER = "aiogram-stars"
BAR = ">= 0.90"

Take = Callable[[Timing], Series]


@dataclass(frozen=True)
class Ledgers:
    """Bots that sell in ledgers of several sizes; those of the stocks have one sale more.

    :ivar regular: one in whose ledger all payments, and all further ones, are of one buyer.
    """

    floor: Rig
    empty: Rig
    small: tuple[Rig, Stock]
    large: tuple[Rig, Stock]
    regular: tuple[Rig, Stock]

    def selling(self) -> dict[str, Rig]:
        small, large, (regular, _) = self.small[0], self.large[0], self.regular
        return {"floor": self.floor, "empty": self.empty, "small": small, "large": large, "regular": regular}


def stocks(effort: Effort) -> dict[str, Stock]:
    large = QUICK_LARGE if effort.quick else LARGE
    return {
        "small": Stock(SMALL, SMALL // PAGE),
        "large": Stock(large, large // PAGE),
        "regular": Stock(SMALL, 1),
    }


async def size_tables(effort: Effort) -> list[Table]:
    """Everything in Redis, then everything in SQLite."""
    return [*await _redis_tables(effort), *await _sqlite_tables(effort)]


async def _redis_tables(effort: Effort) -> list[Table]:
    program = redis_server.find_server()
    if peers.missing("redis") or program is None:
        return [Table("One sale, RedisStorage", [NO_SERVER if program is None else NO_CLIENT])]
    from benchmarks import redis_rigs, redis_stock

    with contextlib.ExitStack() as servers:
        path = servers.enter_context(redis_server.running_server(program))
        empty, floor = redis_rigs.ours(path), redis_rigs.floor(path, db=1)
        stocked: dict[str, tuple[Rig, Stock]] = {}
        for name, stock in stocks(effort).items():
            path = servers.enter_context(redis_server.running_server(program))
            rig = redis_rigs.ours(path)
            await redis_stock.fill(redis_rigs.storage_at(path).redis, rig, stock)
            stocked[name] = rig, stock
        ledgers = Ledgers(floor, empty, **stocked)
        try:
            times = await _sell(ledgers, effort)
            reads = await _read(ledgers, max(5, effort.rounds // 3))
        finally:
            await close_all(*ledgers.selling().values())
    worker, both = "CPU of the worker", "CPU of the worker and of the server"
    return [
        Table(f"One sale, RedisStorage, {worker}", _sale_rows(ledgers, times, cpu)),
        Table(f"One sale, RedisStorage, {both}", _sale_rows(ledgers, times, with_server)),
        Table(f"One look-up, RedisStorage, {both}", _read_rows(ledgers, reads, with_server)),
    ]


async def _sqlite_tables(effort: Effort) -> list[Table]:
    with tempfile.TemporaryDirectory(prefix="neonpay-bench-") as name:
        folder = Path(name)
        floor, empty = sqlite_rigs.floor(folder), sqlite_rigs.ours(folder / "empty.db")
        stocked: dict[str, tuple[Rig, Stock]] = {}
        for name, stock in stocks(effort).items():
            rig = sqlite_rigs.ours(folder / f"{name}.db")
            await sqlite_stock.fill_ours(folder / f"{name}.db", rig, stock)
            stocked[name] = rig, stock
        ledgers = Ledgers(floor, empty, **stocked)
        stars = {} if peers.no_stars_on_sqlite() else await _stars(folder, ledgers.small[1])
        try:
            times = await _sell(ledgers, effort)
            # Not in the same rounds: a disk that is still busy with their files is slow for the next.
            peer_times = await sell({"empty": empty, **stars}, effort.rounds) if stars else {}
            reads = await _read(ledgers, max(5, effort.rounds // 3))
        finally:
            await close_all(*ledgers.selling().values(), *stars.values())
    return [
        Table("One sale, SQLiteStorage, CPU", [*_sale_rows(ledgers, times, cpu), *_peer_rows(peer_times, cpu)]),
        Table(
            "One sale, SQLiteStorage, wall",
            [*_sale_rows(ledgers, times, wall, "us wall"), *_peer_rows(peer_times, wall, "us wall")],
        ),
        Table("One look-up, SQLiteStorage, CPU", _read_rows(ledgers, reads, cpu)),
    ]


async def _stars(folder: Path, stock: Stock) -> dict[str, Rig]:
    empty = await peers.aiogram_stars_sqlite(folder / "stars_empty.db")
    small = await peers.aiogram_stars_sqlite(folder / "stars_small.db")
    await sqlite_stock.fill_stars(folder / "stars_small.db", small, stock)
    return {"stars_empty": empty, "stars_small": small}


async def _sell(ledgers: Ledgers, effort: Effort) -> dict[str, Timing]:
    for rig, stock in (ledgers.small, ledgers.large, ledgers.regular):
        await stock.check(pay_of(rig), others=1)
    ledgers.regular[0].buyer = ledgers.regular[1].buyer(0)
    return await sell(ledgers.selling(), effort.rounds)


def _sale_rows(ledgers: Ledgers, times: dict[str, Timing], take: Take, unit: str = "us") -> list[Row]:
    taken = {name: take(timing) for name, timing in times.items()}
    empty = taken["empty"]
    rows = [
        base("ours, in a ledger that is empty at first", empty, unit),
        against("the floor and two steps by hand, empty at first, against that", taken["floor"], empty, unit=unit),
    ]
    for name, (_, stock) in (("small", ledgers.small), ("large", ledgers.large)):
        rows.append(against(f"ours, {stock.count:,} stored, against the empty one", taken[name], empty, BAR, unit))
    regular = f"ours, to a buyer who has {SMALL:,}, against the empty one"
    return [*rows, against(regular, taken["regular"], empty, BAR, unit)]


def _peer_rows(times: dict[str, Timing], take: Take, unit: str = "us") -> list[Row]:
    if not times:
        return [left_out(f"{PEER} on SQLite")]
    empty, small = take(times["stars_empty"]), take(times["stars_small"])
    return [
        against(
            f"{PEER} {importlib.metadata.version(PEER)}, empty at first, against ours, empty at first",
            empty,
            take(times["empty"]),
            unit=unit,
        ),
        against(f"{PEER}, {SMALL:,} stored, against its own empty one", small, empty, unit=unit),
    ]


# Look-ups


async def _read(ledgers: Ledgers, rounds: int) -> dict[str, Timing]:
    blocks: dict[str, Block] = {}
    for name, (rig, stock) in (("small", ledgers.small), ("large", ledgers.large)):
        pay = pay_of(rig)
        blocks[f"get_{name}"] = _block(rig, partial(pay.get_payment, stock.charge(stock.count // 2)))
        blocks[f"report_{name}"] = _block(rig, pay.report)
        blocks[f"due_{name}"] = _block(rig, pay.run_due)
        # Not of those who have bought meanwhile.
        blocks[f"page_{name}"] = _block(rig, partial(pay.history, stock.buyer(0), limit=PAGE))
    rig, stock = ledgers.regular
    buyer, pay = stock.buyer(0), pay_of(rig)
    blocks["page_regular"] = _block(rig, partial(pay.history, buyer, limit=PAGE))
    blocks["last_page_regular"] = _block(rig, partial(pay.history, buyer, limit=PAGE, offset=SMALL - PAGE))
    return await compare(blocks, rounds)


def _block(rig: Rig, read: Callable[[], Awaitable[object]]) -> Block:
    async def work() -> None:
        for _ in range(READS):
            await read()

    async def block() -> Spent:
        return await spend(rig, work, READS)

    return block


def _read_rows(ledgers: Ledgers, times: dict[str, Timing], take: Take) -> list[Row]:
    grown = f"{ledgers.large[1].count:,} stored, against {SMALL:,}"
    taken = {name: take(timing) for name, timing in times.items()}
    page, newest, last = taken["page_small"], taken["page_regular"], taken["last_page_regular"]
    return [
        against(f"get_payment by charge id, {grown}", taken["get_large"], taken["get_small"]),
        against(f"report of 30 days, {grown}", taken["report_large"], taken["report_small"]),
        against(f"a look at what is due, {grown}", taken["due_large"], taken["due_small"]),
        against(f"history of a buyer with {PAGE}, {grown}", taken["page_large"], page),
        against(f"history, the newest {PAGE} of a buyer with {SMALL:,}, against {PAGE} of {PAGE}", newest, page),
        against(f"history, {PAGE} after the newest {SMALL - PAGE:,} of that buyer, against that", last, newest),
    ]
