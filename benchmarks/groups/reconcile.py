"""Reading Telegram's own ledger: what that costs beside the reading itself, and whether it stays small."""

from __future__ import annotations

import contextlib
import gc
import tempfile
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from benchmarks import peers, redis_server, sellers, sqlite_rigs, sqlite_stock
from benchmarks.measure import Block, Effort, Rig, Spent, close_all, compare, cpu, spend
from benchmarks.rows import NO_CLIENT, NO_SERVER, against, base
from benchmarks.sellers import pay_of
from benchmarks.star_ledger import LedgerSession, read_bare, row
from benchmarks.stock import PAGE, Stock
from benchmarks.table import Row, Table

SMALL, LARGE = 10_000, 100_000
ROUNDS, QUICK_ROUNDS = 6, 3
FRESH = 50
"""Rows that are new when the ledger was read before."""

BARE, DRY = "aiogram alone, rows are parsed and dropped", "ours, dry run, no row recorded"
SQLITE, REDIS = "ours on SQLite, all rows recorded", "ours on Redis, all rows recorded"

Read = Callable[[], Awaitable[int]]


async def reconcile_tables(effort: Effort) -> list[Table]:
    """All rows recorded, in Redis and in SQLite; none recorded, as a dry run; and aiogram alone."""
    stock = Stock(LARGE, LARGE // PAGE)
    rigs = {BARE: sellers.floor(), DRY: sellers.ours()}
    rows = [row(stock, number, await rigs[DRY].new_payload(0)) for number in range(LARGE)]
    absent: list[Table] = []
    with contextlib.ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neonpay-bench-"))) / "bot.db"
        rigs[SQLITE] = sqlite_rigs.ours(file)
        await sqlite_stock.fill_ours(file, rigs[SQLITE], stock)
        program = redis_server.find_server()
        if peers.missing("redis") or program is None:
            absent.append(Table("In Redis", [NO_SERVER if program is None else NO_CLIENT]))
        else:
            from benchmarks import redis_rigs, redis_stock

            path = stack.enter_context(redis_server.running_server(program))
            rig = rigs[REDIS] = redis_rigs.ours(path)
            await redis_stock.fill(redis_rigs.storage_at(path).redis, rig, stock)
        try:
            found = await _measure(rigs, rows, stock, effort)
        finally:
            await close_all(*rigs.values())
    return [*found, *absent]


async def _measure(rigs: dict[str, Rig], rows: list[str], stock: Stock, effort: Effort) -> list[Table]:
    sessions = {name: LedgerSession(rows) for name in rigs}
    reads: dict[str, Read] = {}
    for name, rig in rigs.items():
        rig.bot.session = sessions[name]
        reads[name] = partial(_read, name, rig, stock.at(0) - 1)
    some = rows[:SMALL] if effort.quick else rows
    blocks = {name: _block(rig, reads[name], sessions[name], some) for name, rig in rigs.items()}
    times = await compare(blocks, QUICK_ROUNDS if effort.quick else ROUNDS, warm_up=1)
    ours = [name for name in rigs if name != BARE]
    costs = [base(BARE, cpu(times[BARE]))]
    costs += [against(f"{name}, against that", cpu(times[name]), cpu(times[BARE])) for name in ours]
    peaks = [await _peak(name, reads[name], sessions[name], rows[:size]) for name in rigs for size in (SMALL, LARGE)]
    finds = []
    for name in ours:
        sessions[name].rows, sessions[name].requests = rows, 0
        number = await _read(name, rigs[name], stock.at(LARGE - FRESH))
        finds.append(Row(f"{name}; {number} rows are read", f"{sessions[name].requests} requests"))
    return [
        Table(f"A page of 100 rows, of {len(some):,}, CPU of the worker", costs),
        Table("All rows, requests and peak memory", peaks),
        Table(f"Only the last rows of {LARGE:,}, found by their date", finds),
    ]


async def _read(name: str, rig: Rig, since: float) -> int:
    """Read from a moment on, and return how many rows there were."""
    if name == BARE:
        return await read_bare(rig.bot)
    report = await pay_of(rig).reconcile(since, dry_run=name == DRY)
    assert report.recovered_count == (report.rows if name == DRY else 0)
    assert not (report.foreign or report.refunded_count or report.differing_count or report.waiting)
    return report.rows


def _block(rig: Rig, read: Read, session: LedgerSession, rows: list[str]) -> Block:
    async def block() -> Spent:
        session.rows = rows
        spent = await spend(rig, partial(_read_all, read, rows), len(rows) // 100)
        session.calls.clear()
        return spent

    return block


async def _read_all(read: Read, rows: list[str]) -> None:
    number = await read()
    assert number == len(rows), f"{number} of {len(rows)} rows were read"


async def _peak(name: str, read: Read, session: LedgerSession, rows: list[str]) -> Row:
    """Return the row of the most memory that was in use at once beyond what was in use before."""
    session.rows, session.requests = rows, 0
    gc.collect()
    tracemalloc.start()
    try:
        await _read_all(read, rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return Row(f"{len(rows):,} rows: {name}", f"{session.requests} requests, {peak / 1e6:.2f} MB")
