"""The groups of rows: each runs its contenders and says how they compare."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from benchmarks import imports, peers, redis_server, sellers
from benchmarks.measure import Rig, Timing, compare, sell_block, talk_block
from benchmarks.table import Row

Group = tuple[str, Callable[[int], Coroutine[Any, Any, list[Row]]]]

PEERS: dict[str, Callable[[], Coroutine[Any, Any, Rig]]] = {
    "neonpay": peers.neonpay,
    "aiogram-stars": peers.aiogram_stars,
}
NO_SERVER = Row("left out: there is no redis-server on PATH", "-")
NO_CLIENT = Row("left out: the redis client is not installed", "-")


async def memory_rows(rounds: int) -> list[Row]:
    """A pre-checkout and a payment on MemoryStorage."""
    rigs = {
        "floor": sellers.floor(),
        "usual": sellers.usual(),
        "ours": sellers.ours(),
        "ours_plain": sellers.ours_plain(),
    }
    absent = [name for name in PEERS if peers.missing(name.replace("-", "_"))]
    rigs |= {name: await make() for name, make in PEERS.items() if name not in absent}
    times = await _sell(rigs, rounds)
    floor, usual = times["floor"], times["usual"]
    rows = [
        Row("floor: hand-written, asynchronous Filter, records nothing", "1.00", cost=_cost(floor)),
        _against("usual: hand-written, F.successful_payment, records nothing", usual, floor),
        _against("ours, typed handler, against the floor", times["ours"], floor, ">= 0.80"),
        _against("ours, typed handler, against the usual router", times["ours"], usual, ">= 1.40"),
        _against("ours, plain F.successful_payment handler, against the floor", times["ours_plain"], floor),
        _against("ours, plain F.successful_payment handler, against the usual", times["ours_plain"], usual),
    ]
    for name in PEERS:
        if name in absent:
            rows.append(Row(f"{name}: left out, it is not installed", "-"))
        else:
            label = f"{name} {importlib.metadata.version(name)}, in memory, against the floor"
            rows.append(_against(label, times[name], floor))
    return rows


async def redis_rows(rounds: int) -> list[Row]:
    """The same on RedisStorage, with the number of round trips."""
    if peers.missing("redis"):
        return [NO_CLIENT]
    program = redis_server.find_server()
    if program is None:
        return [NO_SERVER]
    from benchmarks import redis_rigs, round_trips

    with redis_server.running_server(program) as path:
        trips = await round_trips.count(path)
        rigs = {"floor": redis_rigs.floor(path), "ours": redis_rigs.ours(path)}
        try:
            times = await _sell(rigs, rounds)
        finally:
            for rig in rigs.values():
                if rig.close is not None:
                    await rig.close()
    return [
        Row("floor: the hand-written floor and two script calls by hand", "1.00", cost=_cost(times["floor"])),
        _against("ours, typed handler, against that", times["ours"], times["floor"], ">= 0.85"),
        Row(_named("our round trips for a plain pre-checkout", trips.pre_checkout), str(len(trips.pre_checkout)), "0"),
        Row(_named("our round trips for a payment", trips.payment), str(len(trips.payment)), "2"),
    ]


async def message_rows(rounds: int) -> list[Row]:
    """Ordinary messages with and without the plugin."""
    rigs = {name: sellers.talker(with_plugin=name == "with") for name in ("without", "with")}
    times = await compare({name: partial(talk_block, rig) for name, rig in rigs.items()}, rounds)
    return [
        Row("a dispatcher with no payment router", "1.00", cost=_cost(times["without"])),
        _against("with ours", times["with"], times["without"], ">= 0.97"),
    ]


async def import_rows(rounds: int) -> list[Row]:
    """The import, in fresh interpreters."""
    time = imports.measure(max(5, rounds // 4))
    return [
        Row("import aiogram", "100 %", cost=f"{1e6 * time.aiogram:.0f} us"),
        Row("import aiogram_neonpay, on top", f"{100 * time.share:.1f} %", "<= 5 %", f"{1e6 * time.ours:.0f} us"),
    ]


GROUPS: dict[str, Group] = {
    "memory": ("One sale (pre-checkout and payment), MemoryStorage", memory_rows),
    "redis": ("One sale, RedisStorage", redis_rows),
    "messages": ("One ordinary message, MemoryStorage", message_rows),
    "import": ("Import", import_rows),
}


async def _sell(rigs: dict[str, Rig], rounds: int) -> dict[str, Timing]:
    return await compare({name: partial(sell_block, rig) for name, rig in rigs.items()}, rounds)


def _against(what: str, timing: Timing, other: Timing, bar: str = "") -> Row:
    return Row(what, f"{timing.speed_against(other):.2f}", bar, _cost(timing))


def _cost(timing: Timing) -> str:
    return f"{timing.microseconds():.0f} us"


def _named(what: str, commands: list[str]) -> str:
    return f"{what} ({', '.join(commands)})" if commands else what
