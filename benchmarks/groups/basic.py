"""What every change may touch: a sale in memory and in Redis, an ordinary message, the import."""

from __future__ import annotations

import importlib.metadata
from functools import partial

from benchmarks import imports, peers, redis_server, sellers
from benchmarks.measure import Effort, close_all, compare, cpu, talk_block, with_server
from benchmarks.rows import NO_CLIENT, NO_SERVER, against, base, left_out, sell
from benchmarks.table import Row, Table

PEERS = {"neonpay": peers.neonpay, "aiogram-stars": peers.aiogram_stars}


async def memory_tables(effort: Effort) -> list[Table]:
    """A pre-checkout and a payment on MemoryStorage."""
    rigs = {
        "floor": sellers.floor(),
        "usual": sellers.usual(),
        "ours": sellers.ours(),
        "ours_plain": sellers.ours_plain(),
    }
    absent = [name for name in PEERS if peers.missing(name.replace("-", "_"))]
    rigs |= {name: await make() for name, make in PEERS.items() if name not in absent}
    times = {name: cpu(timing) for name, timing in (await sell(rigs, effort.rounds)).items()}
    floor, usual = times["floor"], times["usual"]
    rows = [
        base("floor: hand-written, asynchronous Filter, records nothing", floor),
        against("usual: hand-written, F.successful_payment, records nothing", usual, floor),
        against("ours, typed handler, against the floor", times["ours"], floor, ">= 0.80"),
        against("ours, typed handler, against the usual router", times["ours"], usual, ">= 1.40"),
        against("ours, plain F.successful_payment handler, against the floor", times["ours_plain"], floor),
        against("ours, plain F.successful_payment handler, against the usual", times["ours_plain"], usual),
    ]
    for name in PEERS:
        if name in absent:
            rows.append(left_out(name))
        else:
            label = f"{name} {importlib.metadata.version(name)}, in memory, against the floor"
            rows.append(against(label, times[name], floor))
    return [Table("One sale (pre-checkout and payment), MemoryStorage", rows)]


async def redis_tables(effort: Effort) -> list[Table]:
    """The same on RedisStorage, with the number of round trips."""
    title, program = "One sale, RedisStorage", redis_server.find_server()
    if peers.missing("redis") or program is None:
        return [Table(title, [NO_SERVER if program is None else NO_CLIENT])]
    from benchmarks import redis_rigs, round_trips

    with redis_server.running_server(program) as path:
        trips = await round_trips.count(path)
        rigs = {"floor": redis_rigs.floor(path), "ours": redis_rigs.ours(path)}
        try:
            times = await sell(rigs, effort.rounds)
        finally:
            await close_all(*rigs.values())
    floor, ours = times["floor"], times["ours"]
    rows = [
        base("floor: the hand-written floor and two script calls by hand", cpu(floor)),
        against("ours, typed handler, against that", cpu(ours), cpu(floor), ">= 0.85"),
        against("the same, with the CPU time of the server", with_server(ours), with_server(floor)),
        Row(_named("our round trips for a plain pre-checkout", trips.pre_checkout), str(len(trips.pre_checkout)), "0"),
        Row(_named("our round trips for a payment", trips.payment), str(len(trips.payment)), "2"),
    ]
    return [Table(title, rows)]


async def message_tables(effort: Effort) -> list[Table]:
    """Ordinary messages with and without the plugin."""
    rigs = {name: sellers.talker(with_plugin=name == "with") for name in ("without", "with")}
    times = await compare({name: partial(talk_block, rig) for name, rig in rigs.items()}, effort.rounds)
    rows = [
        base("a dispatcher with no payment router", cpu(times["without"])),
        against("with ours", cpu(times["with"]), cpu(times["without"]), ">= 0.97"),
    ]
    return [Table("One ordinary message, MemoryStorage", rows)]


async def import_tables(effort: Effort) -> list[Table]:
    """The import, in fresh interpreters."""
    time = imports.measure(max(5, effort.rounds // 4))
    rows = [
        Row("import aiogram", "100 %", cost=f"{1e6 * time.aiogram:.0f} us"),
        Row("import aiogram_neonpay, on top", f"{100 * time.share:.1f} %", "<= 5 %", f"{1e6 * time.ours:.0f} us"),
    ]
    return [Table("Import", rows)]


def _named(what: str, commands: list[str]) -> str:
    return f"{what} ({', '.join(commands)})" if commands else what
