"""Records in aiogram's ``MemoryStorage``: the same records as any storage's, reached without waiting.

Nothing lets go of the event loop here, so every change is atomic by itself. A restart forgets everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from aiogram.fsm.storage.base import StorageKey
from aiogram.fsm.storage.memory import MemoryStorage

from aiogram_neonpay.ledger.base import Row, Write, storage_key
from aiogram_neonpay.ledger.fsm import CHUNK, FSMEngine, changed, chunk_key, index_key

__all__ = ["MemoryEngine"]


_due_of: WeakKeyDictionary[MemoryStorage, dict[tuple[int, str], float]] = WeakKeyDictionary()
"""When charges want attention. It belongs to the storage: two dispatchers may share one."""


class MemoryEngine(FSMEngine):
    """The engine for one process that may forget. See :class:`~aiogram_neonpay.ledger.base.LedgerEngine`."""

    patience: float | None = None

    def __init__(self, storage: MemoryStorage, clock: Callable[[], float] = time.time) -> None:
        super().__init__(storage, clock)
        self._records = storage.storage
        self._due = _due_of.setdefault(storage, {})

    async def probe(self) -> None:
        """Return at once: this storage is known to keep what it is given."""

    async def _load(self, key: StorageKey) -> dict[str, Any]:
        # MemoryStorage.get_data makes an entry for every unknown key it is asked for, and copies known ones.
        kept = self._records.get(key)
        return {} if kept is None else kept.data

    async def write(self, change: Write) -> Row | None:
        """See :meth:`LedgerEngine.write`."""
        key = storage_key(change.key)
        kept = self._records.get(key)
        current = {} if kept is None else kept.data
        body = changed(current, change, self._clock())
        if body is None or isinstance(body, Row):
            return body
        if change.owner is not None:
            self._list(index_key(change.key.bot_id, change.owner, "hist"), change.key.name)
        self._records[key].data = body
        if "due" in body:
            self._due[change.key.bot_id, change.key.name] = body["due"]
        elif "due" in current:
            self._due.pop((change.key.bot_id, change.key.name), None)
        if change.tally is not None:
            counts = self._records[index_key(change.key.bot_id, 0, f"tot-{change.tally.bucket}")].data
            counts = counts.setdefault("counts", {})
            for name, number in change.tally.counts.items():
                counts[name] = counts.get(name, 0) + number
        if change.waiting or "waits" in current:
            await self._set_waiting(change.key, change.waiting)
        return None

    async def due(self, bot_id: int, *, limit: int) -> list[str]:
        """See :meth:`LedgerEngine.due`."""
        now = self._clock()
        come = sorted((at, name) for (bot, name), at in self._due.items() if bot == bot_id and at <= now)
        return [name for _, name in come[:limit]]

    def next_due(self) -> float | None:
        """Return when something will want attention that does not yet, as Unix seconds: for who moves the clock."""
        now = self._clock()
        return min((at for at in self._due.values() if at > now), default=None)

    def _list(self, index: StorageKey, name: str) -> None:
        head = self._records[index].data
        names = head.setdefault("names", [])
        if name in names:
            return
        if len(names) >= CHUNK:
            full = head.setdefault("full", 0)
            self._records[chunk_key(index, full)].data = {"names": names}
            names = head["names"] = []
            head["full"] = full + 1
        names.append(name)
