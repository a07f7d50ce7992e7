"""From timings to rows."""

from __future__ import annotations

from functools import partial

from benchmarks.measure import Rig, Series, Timing, compare, sell_block
from benchmarks.table import Row

NO_SERVER = Row("left out: there is no redis-server on PATH", "-")
NO_CLIENT = Row("left out: the redis client is not installed", "-")


async def sell(rigs: dict[str, Rig], rounds: int, *, at_once: bool = False) -> dict[str, Timing]:
    """Let all rigs sell in turns."""
    return await compare({name: partial(sell_block, rig, at_once=at_once) for name, rig in rigs.items()}, rounds)


def base(what: str, series: Series, unit: str = "us") -> Row:
    """Return the row of what others are compared with."""
    return Row(what, "1.00", cost=cost(series, unit))


def against(what: str, series: Series, other: Series, bar: str = "", unit: str = "us") -> Row:
    return Row(what, f"{series.speed_against(other):.2f}", bar, cost(series, unit))


def cost(series: Series, unit: str = "us") -> str:
    return f"{series.microseconds():.0f} {unit}"


def left_out(what: str) -> Row:
    return Row(f"{what}: left out, it is not installed", "-")
