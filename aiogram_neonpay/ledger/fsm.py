"""Records in any aiogram FSM storage, through ``get_data`` and ``set_data`` alone.

The promise is narrower than Redis': changes are atomic among the tasks of one process, because a ``BaseStorage`` has
no conditional write. Several processes on one such storage need an engine of their own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from aiogram.fsm.storage.base import BaseStorage, StorageKey
from aiogram.fsm.storage.memory import MemoryStorage

from aiogram_neonpay.errors import ConfigurationError, LedgerError
from aiogram_neonpay.ledger.base import BUYER, CHARGE, PATIENCE, RecordKey, Row, Tally, Write, storage_key

__all__ = ["CHUNK", "FSMEngine", "changed", "chunk_key", "index_key"]

CHUNK = 100
"""Names in one record of a history: a single growing list would cost more with every payment."""

_Locks = WeakValueDictionary[StorageKey, asyncio.Lock]

_locks_of: WeakKeyDictionary[BaseStorage, _Locks] = WeakKeyDictionary()
"""Locks belong to the storage, not to the engine: two dispatchers may share one storage object."""


class FSMEngine:
    """The generic engine. See :class:`~aiogram_neonpay.ledger.base.LedgerEngine`."""

    patience: float | None = PATIENCE

    def __init__(self, storage: BaseStorage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock
        self.durable = not isinstance(storage, MemoryStorage)
        self._locks = _locks_of.setdefault(storage, _Locks())

    async def probe(self) -> None:
        """Write, read and erase a record.

        :raises ConfigurationError: when the storage loses it, naming the line to change.
        """
        key = StorageKey(bot_id=0, chat_id=0, user_id=0, destiny="neonpay-probe")
        name = type(self._storage).__name__
        if getattr(self._storage, "data_ttl", None) is not None:
            raise ConfigurationError(
                f"{name}(data_ttl=...) forgets payments: drop data_ttl, or give payments a storage of their own "
                "with neonpay_router(..., storage=...)"
            )
        try:
            await self._storage.set_data(key, {"probe": 1})
            kept = await self._storage.get_data(key)
            await self._storage.set_data(key, {})
        except ValueError as error:
            raise ConfigurationError(
                f"{name} cannot keep payments: its key builder refuses a destiny. Make it with "
                f"{name}(..., key_builder=DefaultKeyBuilder(with_bot_id=True, with_destiny=True)), "
                "from aiogram.fsm.storage.base"
            ) from error
        if kept != {"probe": 1}:
            raise ConfigurationError(
                f"{name} cannot keep payments: what was written did not come back. Give payments a storage that keeps "
                "data with neonpay_router(..., storage=...)"
            )

    def _lock(self, key: StorageKey) -> asyncio.Lock:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    async def _load(self, key: StorageKey) -> dict[str, Any]:
        try:
            return await self._storage.get_data(key)
        except ValueError as error:
            raise LedgerError(
                f"{type(self._storage).__name__} refused the key of a payment record ({error}); see the start-up check"
            ) from error

    async def write(self, change: Write) -> Row | None:
        """See :meth:`LedgerEngine.write`."""
        key = storage_key(change.key)
        async with self._lock(key):
            current = await self._load(key)
            body = changed(current, change, self._clock())
            if body is None or isinstance(body, Row):
                return body
            # Indexes first: a name that leads nowhere is skipped by readers, a record that is not listed is lost.
            if change.owner is not None:
                await self._append(index_key(change.key.bot_id, change.owner, "hist"), change.key.name)
            if change.waiting:
                await self._set_waiting(change.key, True)
            if "due" in body and change.key.is_buyers:
                await self._set_due(change.key, body["due"])
            if owed := current.get("owed"):
                await self._count(change.key.bot_id, Tally(*owed[:2]), owed[2])
            if change.tally is not None:  # noted, so that it is counted once, whenever that succeeds
                body["owed"] = [*change.tally, body["n"]]
            await self._storage.set_data(key, body)
            if current.get("waits") and not change.waiting:
                await self._set_waiting(change.key, False)
            if "due" in current and "due" not in body and change.key.is_buyers:
                await self._set_due(change.key, None)
            if change.tally is not None:
                await self._count(change.key.bot_id, change.tally, body["n"])
                await self._storage.set_data(key, {name: value for name, value in body.items() if name != "owed"})
        return None

    async def read(self, keys: Sequence[RecordKey]) -> list[Row | None]:
        """See :meth:`LedgerEngine.read`."""
        return [await self.peek(key) for key in keys]

    async def peek(self, key: RecordKey) -> Row | None:
        """See :meth:`LedgerEngine.peek`."""
        body, now = await self._load(storage_key(key)), self._clock()
        expires = body.get("ttl")
        return None if not body or (expires is not None and expires <= now) else _row(body, now)

    async def due(self, bot_id: int, *, limit: int) -> list[str]:
        """See :meth:`LedgerEngine.due`."""
        times: dict[str, float] = (await self._load(index_key(bot_id, 0, "due"))).get("times", {})
        now = self._clock()
        come = sorted((moment, name) for name, moment in times.items() if moment <= now)
        return await self._still(bot_id, [name for _, name in come], "due", limit)

    async def tallies(self, bot_id: int, buckets: Sequence[str]) -> list[dict[str, int]]:
        """See :meth:`LedgerEngine.tallies`."""
        found = [await self._load(index_key(bot_id, 0, f"tot-{bucket}")) for bucket in buckets]
        return [dict(counters.get("counts", {})) for counters in found]

    async def history(self, bot_id: int, owner: int, *, limit: int, offset: int) -> list[str]:
        """See :meth:`LedgerEngine.history`."""
        index = index_key(bot_id, owner, "hist")
        head = await self._load(index)
        names: list[str] = head.get("names", [])[::-1]
        number = head.get("full", 0)
        while number and len(names) < offset + limit:
            number -= 1
            names += (await self._load(chunk_key(index, number))).get("names", [])[::-1]
        return names[offset : offset + limit]

    async def waiting(self, bot_id: int, *, limit: int) -> list[str]:
        """See :meth:`LedgerEngine.waiting`."""
        names: list[str] = (await self._load(index_key(bot_id, 0, "stuck"))).get("names", [])
        return await self._still(bot_id, names, "waits", limit)

    async def _still(self, bot_id: int, names: list[str], mark: str, limit: int) -> list[str]:
        """Return the first names whose records agree: a list may be behind when the storage failed after a change."""
        found: list[str] = []
        for name in names:
            if len(found) == limit:
                break
            kind = BUYER if name.startswith("u") else CHARGE
            if mark in await self._load(storage_key(RecordKey(bot_id, kind, name))):
                found.append(name)
        return found

    async def _append(self, index: StorageKey, name: str) -> None:
        """Add a name to a history: the newest names in its head, the others in full chunks that never change."""
        async with self._lock(index):
            head = await self._load(index)
            names: list[str] = head.get("names", [])
            full = head.get("full", 0)
            if name in names:
                return
            if len(names) >= CHUNK:
                await self._storage.set_data(chunk_key(index, full), {"names": names})
                names, full = [], full + 1
            await self._storage.set_data(index, {"names": [*names, name], "full": full})

    async def _set_waiting(self, key: RecordKey, waits: bool) -> None:
        index = index_key(key.bot_id, 0, "stuck")
        async with self._lock(index):
            names: list[str] = (await self._load(index)).get("names", [])
            if (key.name in names) is waits:
                return
            names = [*names, key.name] if waits else [name for name in names if name != key.name]
            await self._storage.set_data(index, {"names": names} if names else {})

    async def _set_due(self, key: RecordKey, moment: float | None) -> None:
        index = index_key(key.bot_id, 0, "due")
        async with self._lock(index):
            times: dict[str, float] = (await self._load(index)).get("times", {})
            if times.get(key.name) == moment:
                return
            times = {name: known for name, known in times.items() if name != key.name}
            if moment is not None:
                times[key.name] = moment
            await self._storage.set_data(index, {"times": times} if times else {})

    async def _count(self, bot_id: int, tally: Tally, nonce: str) -> None:
        """Add to counters, once for each change of a record."""
        index = index_key(bot_id, 0, f"tot-{tally.bucket}")
        async with self._lock(index):
            kept = await self._load(index)
            seen: list[str] = kept.get("seen", [])
            if nonce in seen:
                return
            counts: dict[str, int] = kept.get("counts", {})
            added = {name: counts.get(name, 0) + number for name, number in tally.counts.items()}
            seen = [*seen[1 - CHUNK :], nonce]
            await self._storage.set_data(index, {"counts": {**counts, **added}, "seen": seen})


def changed(current: dict[str, Any], change: Write, now: float) -> dict[str, Any] | Row | None:
    """Return the record after a change, or what stands in its way, or ``None`` if it was made before."""
    expires = current.get("ttl")
    if expires is not None and expires <= now:
        current = {}
    if current:
        if current["n"] == change.body["n"]:
            return None
        if current["v"] != change.expected:
            return _row(current, now)
    elif change.expected:
        return Row({})
    body = dict(change.body)
    if change.keep_due:
        if "due" in current:
            body["due"] = current["due"]
    elif change.due_in is not None:
        body["due"] = now + change.due_in
    if change.keep_ttl:
        if expires is not None:
            body["ttl"] = expires
    elif change.ttl is not None:
        body["ttl"] = now + change.ttl
    if change.waiting:
        body["waits"] = True
    return body


def _row(body: dict[str, Any], now: float) -> Row:
    clean = {name: value for name, value in body.items() if name not in ("due", "ttl", "waits", "owed")}
    due = body.get("due")
    return Row(clean, None if due is None else due - now)


def index_key(bot_id: int, owner: int, name: str) -> StorageKey:
    """Return the FSM key of an index: a buyer's history, or what waits for a person."""
    return StorageKey(bot_id=bot_id, chat_id=owner, user_id=owner, destiny=f"neonpay-{bot_id}-{name}")


def chunk_key(index: StorageKey, number: int) -> StorageKey:
    """Return the FSM key of a full chunk of a history."""
    return StorageKey(
        bot_id=index.bot_id, chat_id=index.chat_id, user_id=index.user_id, destiny=f"{index.destiny}-{number}"
    )
