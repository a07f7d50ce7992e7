"""A sale on SQLite, where most of the time is spent waiting for the disk."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import peers, sqlite_rigs
from benchmarks.measure import BLOCK, Effort, Timing, close_all, cpu, wall
from benchmarks.rows import against, base, left_out, sell
from benchmarks.table import Table

OURS, PEER = "ours", "aiogram-stars"


async def sqlite_tables(effort: Effort) -> list[Table]:
    """A pre-checkout and a payment on SQLiteStorage: CPU and wall, one at a time and many at once."""
    with tempfile.TemporaryDirectory(prefix="neonpay-bench-") as name:
        folder = Path(name)
        floor, ours = sqlite_rigs.floor(folder), sqlite_rigs.ours(folder / "bot.db")
        # Never in one round: a disk that is still busy with one contender's files is slow for the next.
        pairs = {OURS: {"floor": floor, OURS: ours}}
        if not peers.no_stars_on_sqlite():
            pairs[PEER] = {"floor": floor, PEER: await peers.aiogram_stars_sqlite(folder / "stars.db")}
        try:
            tables = [
                table
                for what, at_once in (("One sale at a time", False), (f"One of {BLOCK} sales at once", True))
                for table in _tables(
                    what, {name: await sell(pair, effort.rounds, at_once=at_once) for name, pair in pairs.items()}
                )
            ]
        finally:
            await close_all(floor, *(pair[name] for name, pair in pairs.items()))
    return tables


def _tables(what: str, times: dict[str, dict[str, Timing]]) -> Iterator[Table]:
    for how, take, unit in (("CPU", cpu, "us"), ("wall", wall, "us wall")):
        taken = {name: (take(pair[name]), take(pair["floor"])) for name, pair in times.items()}
        rows = [base("floor: the hand-written floor and two transactions by hand", taken[OURS][1], unit)]
        rows.append(against("ours, typed handler, against that", *taken[OURS], unit=unit))
        if PEER in taken:
            label = f"{PEER} {importlib.metadata.version(PEER)} with its SqlAlchemyStorage, against the floor"
            rows.append(against(label, *taken[PEER], unit=unit))
        else:
            rows.append(left_out(f"{PEER} on SQLite"))
        yield Table(f"{what}, SQLiteStorage, {how}", rows)
