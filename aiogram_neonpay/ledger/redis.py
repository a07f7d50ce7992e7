"""Records in Redis: one atomic script per change, one hash slot per change, nothing scanned.

Keys (``<bot>:<p>`` in braces is the hash tag, so every change stays in one slot of a cluster):

====================================  ======  =======================================================
``np:{<bot>:<p>}:pay:<ref>``          string  a charge; ``p`` is its buyer's partition
``np:{<bot>:<p>}:buy:u<buyer>``       string  what a buyer has: access, subscriptions, limited purchases
``np:{<bot>:<p>}:due``                zset    reference or ``u<buyer>`` -> time of next attention, ms of Redis' clock
``np:{<bot>:<p>}:stuck``              zset    reference -> ms since when it waits for a person
``np:{<bot>:<p>}:hist:<buyer>``       zset    reference -> time of the payment
``np:{<bot>:<p>}:tot:<day>``          hash    counters of one day
``np:{<bot>:inv:<name>}:inv:<name>``  string  an invoice record, with an expiry
``np:{<bot>:stk:<stage>}:stk:...``    string  the stock of a stage
``np:{<bot>:tap:u<buyer>}:tap:...``   string  a buyer's last tap, with an expiry
====================================  ======  =======================================================

Leases are judged by Redis' own ``TIME``, never by a worker's clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

from aiogram.fsm.storage.base import KeyBuilder, StorageKey
from redis.asyncio.client import Redis

from aiogram_neonpay.errors import LedgerError
from aiogram_neonpay.ledger.base import PARTITIONS, PATIENCE, RecordKey, Row, Write, partition_of

__all__ = ["NeonPayKeyBuilder", "RedisEngine"]

# A record begins {"v":<version>,"n":"<nonce>", and scripts read only that header: cjson would turn [] into {} and
# large integers into floats. The reply is {applied, current record or "", its due time or "", now}.
_WRITE = """
local current = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local now = tonumber(ARGV[9]) or time[1] * 1000 + math.floor(time[2] / 1000)
if current then
  local version, nonce = string.match(current, '^{"v":(%d+),"n":"(%x+)"')
  if nonce == ARGV[2] then return {1, '', '', now} end
  if version ~= ARGV[1] then
    local due = ''
    if #KEYS > 1 then due = redis.call('ZSCORE', KEYS[2], ARGV[4]) or '' end
    return {0, current, due, now}
  end
elseif ARGV[1] ~= '0' then
  return {0, '', '', now}
end
if ARGV[5] == '' then redis.call('SET', KEYS[1], ARGV[3])
elseif ARGV[5] == 'keep' then redis.call('SET', KEYS[1], ARGV[3], 'KEEPTTL')
else redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[5]) end
if #KEYS > 1 then
  if ARGV[6] == '' then redis.call('ZREM', KEYS[2], ARGV[4])
  elseif ARGV[6] ~= 'keep' then redis.call('ZADD', KEYS[2], now + ARGV[6], ARGV[4]) end
  if ARGV[7] == '1' then redis.call('ZADD', KEYS[3], 'NX', now, ARGV[4])
  elseif ARGV[1] ~= '0' then redis.call('ZREM', KEYS[3], ARGV[4]) end
  if ARGV[8] ~= '' then redis.call('ZADD', KEYS[4], ARGV[8], ARGV[4]) end
  for i = 10, #ARGV, 2 do redis.call('HINCRBY', KEYS[#KEYS], ARGV[i], ARGV[i + 1]) end
end
return {1, '', '', now}
"""
_PEEK = """
local time = redis.call('TIME')
local now = tonumber(ARGV[2]) or time[1] * 1000 + math.floor(time[2] / 1000)
return {redis.call('GET', KEYS[1]) or '', #KEYS > 1 and redis.call('ZSCORE', KEYS[2], ARGV[1]) or '', now}
"""
# Asked of a key, because a cluster has no one clock; its nodes agree well enough for work that is looked for.
_NOW = """
local time = redis.call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000)
"""


class NeonPayKeyBuilder(KeyBuilder):
    """Builds the Redis keys of ledger records from their FSM keys.

    ``RedisStorage(redis, key_builder=NeonPayKeyBuilder()).get_data(storage_key(...))`` reads a record as FSM data.

    :param prefix: first part of every key.
    """

    def __init__(self, prefix: str = "np") -> None:
        self.prefix = prefix

    def build(self, key: StorageKey, part: Literal["data", "state", "lock"] | None = None) -> str:
        """Return the key of a record's data (``aiogram.fsm.storage.base.KeyBuilder``)."""
        _, _, kind, name = key.destiny.split("-", 3)
        built = self.record(RecordKey(key.bot_id, kind, name))
        return built if part in (None, "data") else f"{built}:{part}"

    def record(self, key: RecordKey) -> str:
        """Return the key of a record."""
        slot = key.partition if key.is_buyers else f"{key.kind}:{key.name}"
        return f"{self.slot(key.bot_id, slot)}:{key.kind}:{key.name}"

    def slot(self, bot_id: int, slot: object) -> str:
        """Return the common beginning of all keys of one hash slot."""
        return f"{self.prefix}:{{{bot_id}:{slot}}}"


class RedisEngine:
    """The production engine. See :class:`~aiogram_neonpay.ledger.base.LedgerEngine`.

    :param redis: the client of the dispatcher's ``RedisStorage``; its connections are shared, never closed here.
    """

    durable = True
    patience: float | None = PATIENCE
    client: Redis
    """What the doctor asks about persistence."""

    def __init__(self, redis: Redis, prefix: str = "np", clock: Callable[[], float] | None = None) -> None:
        self.client = self._redis = redis
        self._keys = NeonPayKeyBuilder(prefix)
        self._clock = clock
        self._write = redis.register_script(_WRITE)
        self._peek = redis.register_script(_PEEK)
        self._time = redis.register_script(_NOW)

    async def probe(self) -> None:
        """Return at once: what Redis is given it keeps, and a bot may start before its Redis does."""

    def _now(self) -> str:
        """Return the time for a script to go by, in milliseconds; nothing: Redis' own."""
        return "" if self._clock is None else str(int(self._clock() * 1000))

    async def write(self, change: Write) -> Row | None:
        """See :meth:`LedgerEngine.write`."""
        key, body = change.key, change.body
        keys = [self._keys.record(key)]
        if key.is_buyers:
            slot = self._keys.slot(key.bot_id, key.partition)
            keys += [f"{slot}:due", f"{slot}:stuck"]
            if change.owner is not None:
                keys.append(f"{slot}:hist:{change.owner}")
            if change.tally is not None:
                keys.append(f"{slot}:tot:{change.tally.bucket}")
        header = {"v": body["v"], "n": body["n"]}
        applied, current, due, now = await self._write(
            keys=keys,
            args=[
                change.expected,
                body["n"],
                _dump({**header, **body}),
                key.name,
                "keep" if change.keep_ttl else "" if change.ttl is None else max(1, int(change.ttl * 1000)),
                "keep" if change.keep_due else "" if change.due_in is None else int(change.due_in * 1000),
                "1" if change.waiting else "",
                "" if change.owner is None else repr(change.recorded_at),
                self._now(),
                *(word for counter in (change.tally.counts.items() if change.tally else ()) for word in counter),
            ],
        )
        if applied:
            return None
        if not current:
            return Row({})
        known = _load(current)
        if known.get("v") == change.expected:
            # The script could not read the header, so it would refuse every change, for ever.
            raise LedgerError(f"the record {keys[0]} was changed by something else: write it as it was")
        return Row(known, (float(due) - now) / 1000 if due else None)

    async def read(self, keys: Sequence[RecordKey]) -> list[Row | None]:
        """See :meth:`LedgerEngine.read`."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.get(self._keys.record(key))
            values = await pipe.execute()
        return [None if value is None else Row(_load(value)) for value in values]

    async def peek(self, key: RecordKey) -> Row | None:
        """See :meth:`LedgerEngine.peek`."""
        keys = [self._keys.record(key)]
        if key.is_buyers:
            keys.append(f"{self._keys.slot(key.bot_id, key.partition)}:due")
        current, due, now = await self._peek(keys=keys, args=[key.name, self._now()])
        return Row(_load(current), (float(due) - now) / 1000 if due else None) if current else None

    async def due(self, bot_id: int, *, limit: int) -> list[str]:
        """See :meth:`LedgerEngine.due`."""
        now = self._now() or await self._time(keys=[f"{self._keys.slot(bot_id, 0)}:due"])
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in range(PARTITIONS):
                key = f"{self._keys.slot(bot_id, partition)}:due"
                pipe.zrangebyscore(key, "-inf", now, start=0, num=limit, withscores=True)
            rows = [row for part in await pipe.execute() for row in part]
        return [_text(name) for name, _ in sorted(rows, key=lambda row: float(row[1]))[:limit]]

    async def tallies(self, bot_id: int, buckets: Sequence[str]) -> list[dict[str, int]]:
        """See :meth:`LedgerEngine.tallies`."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for bucket in buckets:
                for partition in range(PARTITIONS):
                    pipe.hgetall(f"{self._keys.slot(bot_id, partition)}:tot:{bucket}")
            parts = await pipe.execute()
        totals: list[dict[str, int]] = [{} for _ in buckets]
        for number, part in enumerate(parts):
            counts = totals[number // PARTITIONS]
            for name, value in part.items():
                counts[_text(name)] = counts.get(_text(name), 0) + int(value)
        return totals

    async def history(self, bot_id: int, owner: int, *, limit: int, offset: int) -> list[str]:
        """See :meth:`LedgerEngine.history`."""
        if limit < 1:
            return []
        key = f"{self._keys.slot(bot_id, partition_of(owner))}:hist:{owner}"
        return [_text(name) for name in await self._redis.zrevrange(key, offset, offset + limit - 1)]

    async def waiting(self, bot_id: int, *, limit: int) -> list[str]:
        """See :meth:`LedgerEngine.waiting`."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for partition in range(PARTITIONS):
                pipe.zrange(f"{self._keys.slot(bot_id, partition)}:stuck", 0, limit - 1, withscores=True)
            rows = [row for part in await pipe.execute() for row in part]
        return [_text(name) for name, _ in sorted(rows, key=lambda row: float(row[1]))[:limit]]


def _dump(body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, in a name perhaps: only an escape can carry it
        return json.dumps(body, separators=(",", ":")).encode()


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _load(value: bytes | str) -> dict[str, Any]:
    body = json.loads(value)
    if not isinstance(body, dict):
        raise LedgerError("a payment record in Redis is not a JSON object: was the key written by something else?")
    return body
