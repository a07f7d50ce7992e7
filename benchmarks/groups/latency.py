"""How long buyers wait for the answer to their checkout while many others pay."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from pathlib import Path

from benchmarks import peers, redis_server, sellers, sqlite_rigs
from benchmarks.measure import Effort, Rig, close_all
from benchmarks.open_loop import Latency, Load, measure
from benchmarks.rows import NO_CLIENT, NO_SERVER
from benchmarks.table import Row, Table

CHECKOUTS = 200.0
PAYMENTS = 20.0
SECONDS = 5.0
REPEATS, QUICK_REPEATS = 6, 2
BAR = "p99 <= 50 ms"

Contender = tuple[str, Rig, Load, str]


async def latency_tables(effort: Effort) -> list[Table]:
    """Checkouts alone, and beside payments that are delivered, on each storage."""
    alone, beside = Load(CHECKOUTS), Load(CHECKOUTS, PAYMENTS)
    paid = f", {PAYMENTS:.0f} payments/s beside"
    floor = sellers.floor()
    contenders: list[Contender] = [("MemoryStorage: the floor, approves everything", floor, alone, "")]
    absent: list[Row] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neonpay-bench-")))
        ours = {"MemoryStorage": sellers.ours(), "SQLiteStorage": sqlite_rigs.ours(folder / "bot.db")}
        program = redis_server.find_server()
        if peers.missing("redis") or program is None:
            absent.append(NO_SERVER if program is None else NO_CLIENT)
        else:
            from benchmarks import redis_rigs

            ours["RedisStorage"] = redis_rigs.ours(stack.enter_context(redis_server.running_server(program)))
        for name, rig in ours.items():
            contenders += [(f"{name}: ours", rig, alone, BAR), (f"{name}: ours{paid}", rig, beside, BAR)]
        try:
            found = await _measure(contenders, QUICK_REPEATS if effort.quick else REPEATS)
        finally:
            await close_all(floor, *ours.values())
    rows = [_row(what, bar, found[what]) for what, _, _, bar in contenders]
    return [Table(f"A checkout, from its arrival to the answer, {CHECKOUTS:.0f}/s on one worker", [*rows, *absent])]


async def _measure(contenders: list[Contender], repeats: int) -> dict[str, list[Latency]]:
    found: dict[str, list[Latency]] = {what: [] for what, *_ in contenders}
    for number in range(1 + repeats):
        for what, rig, load, _ in contenders if number % 2 else contenders[::-1]:
            # The first time connects, loads scripts and is short.
            latency = await measure(rig, load, SECONDS if number else 1.0, seed=number)
            if number:
                found[what].append(latency)
    return found


def _row(what: str, bar: str, found: list[Latency]) -> Row:
    p50, p99 = (1000 * statistics.median(one.percentile(percent) for one in found) for percent in (50, 99))
    worst = 1000 * max(max(one.seconds) for one in found)
    return Row(what, f"p50 {p50:.2f} ms, p99 {p99:.2f} ms", bar, f"worst {worst:.1f} ms")
