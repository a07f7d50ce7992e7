"""What ``HasAccess`` costs when every message is asked about."""

from __future__ import annotations

from functools import partial

from aiogram.fsm.storage.redis import RedisStorage

from benchmarks import peers, redis_server, sellers
from benchmarks.measure import FIRST_TALKER, Effort, Rig, close_all, compare, cpu, talk_block, with_server
from benchmarks.rows import NO_CLIENT, NO_SERVER, against, base
from benchmarks.stub import message
from benchmarks.table import Row, Table

WITHOUT, WITH = "a handler without HasAccess", "with HasAccess, against that"
MESSAGES = 20


async def access_tables(effort: Effort) -> list[Table]:
    """One ordinary message by a member, in memory and on Redis."""
    return [await _memory_table(effort), await _redis_table(effort)]


async def _memory_table(effort: Effort) -> Table:
    rigs = {"without": await sellers.members(asks=False), "with": await sellers.members(asks=True)}
    times = await compare({name: partial(talk_block, rig) for name, rig in rigs.items()}, effort.rounds)
    rows = [base(WITHOUT, cpu(times["without"])), against(WITH, cpu(times["with"]), cpu(times["without"]))]
    return Table("A message by a member, MemoryStorage", rows)


async def _redis_table(effort: Effort) -> Table:
    title, program = "A message by a member, RedisStorage", redis_server.find_server()
    if peers.missing("redis") or program is None:
        return Table(title, [NO_SERVER if program is None else NO_CLIENT])
    from benchmarks import redis_rigs

    with redis_server.running_server(program) as path:
        rigs: dict[str, Rig] = {}
        trips: dict[str, int] = {}
        for name, asks in (("without", False), ("with", True)):
            sent: list[str] = []
            storage = RedisStorage(redis_rigs.counting_client(path, sent))
            counted = redis_rigs.closing(await sellers.members(storage, asks=asks), storage)
            trips[name] = await _trips(counted, sent)
            await close_all(counted)
            storage = redis_rigs.storage_at(path)
            rigs[name] = redis_rigs.closing(await sellers.members(storage, asks=asks), storage)
        try:
            times = await compare({name: partial(talk_block, rig) for name, rig in rigs.items()}, effort.rounds)
        finally:
            await close_all(*rigs.values())
    without, asking = times["without"], times["with"]
    return Table(
        title,
        [
            base(WITHOUT, cpu(without)),
            against(WITH, cpu(asking), cpu(without)),
            against("the same, with the CPU time of the server", with_server(asking), with_server(without)),
            Row("round trips of HasAccess, beside aiogram's own", str(trips["with"] - trips["without"]), "1"),
        ],
    )


async def _trips(rig: Rig, sent: list[str]) -> int:
    """Return how often Redis is asked for one message."""
    for number in range(MESSAGES):
        sent.clear()
        await rig.dispatcher.feed_raw_update(rig.bot, message(FIRST_TALKER + number, text="hello"))
    return len(sent)
