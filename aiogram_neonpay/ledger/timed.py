"""A time limit for calls of a storage: one that never answers must neither keep a payment waiting nor stay unnoticed.

A connection can die without a word, and clients wait for it for ever unless told otherwise. What is given up may have
been carried out, or may be later. The rules of charges stand that: a repeated write finds its own traces.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from aiogram_neonpay.errors import LedgerError
from aiogram_neonpay.ledger.base import LedgerEngine, RecordKey, Row, Write

__all__ = ["TimedEngine", "in_time"]

T = TypeVar("T")


def in_time(engine: LedgerEngine) -> LedgerEngine:
    """Return an engine whose calls end; itself if it never waits."""
    return engine if engine.patience is None else TimedEngine(engine, engine.patience)


class TimedEngine:
    """An engine that gives up on calls after a while. See :class:`~aiogram_neonpay.ledger.base.LedgerEngine`.

    Lists and counters are for people, who may wait as long as they like: those calls have no limit.

    :param seconds: after which a call raises :class:`~aiogram_neonpay.LedgerError`.
    """

    def __init__(self, engine: LedgerEngine, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds
        self.durable = engine.durable
        self.patience = engine.patience
        self.tallies = engine.tallies
        self.history = engine.history
        self.waiting = engine.waiting

    def __getattr__(self, name: str) -> Any:
        """Return what an engine has beside the contract, such as its client."""
        if name == "_engine":  # asked for before __init__, as copy and pickle do
            raise AttributeError(name)
        return getattr(self._engine, name)

    def probe(self) -> Coroutine[Any, Any, None]:
        """See :meth:`LedgerEngine.probe`."""
        return self._limited(self._engine.probe())

    def write(self, change: Write) -> Coroutine[Any, Any, Row | None]:
        """See :meth:`LedgerEngine.write`."""
        return self._limited(self._engine.write(change))

    def read(self, keys: Sequence[RecordKey]) -> Coroutine[Any, Any, list[Row | None]]:
        """See :meth:`LedgerEngine.read`."""
        return self._limited(self._engine.read(keys))

    def peek(self, key: RecordKey) -> Coroutine[Any, Any, Row | None]:
        """See :meth:`LedgerEngine.peek`."""
        return self._limited(self._engine.peek(key))

    def due(self, bot_id: int, *, limit: int) -> Coroutine[Any, Any, list[str]]:
        """See :meth:`LedgerEngine.due`."""
        return self._limited(self._engine.due(bot_id, limit=limit))

    async def _limited(self, call: Coroutine[Any, Any, T]) -> T:
        if sys.version_info < (3, 11):
            try:
                return await asyncio.wait_for(call, self._seconds)
            except asyncio.TimeoutError as error:
                raise self._too_late() from error
        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                return await call
        except TimeoutError as error:
            if limit.expired():
                raise self._too_late() from error
            raise

    def _too_late(self) -> LedgerError:
        return LedgerError(f"the storage has not answered within {self._seconds:g} s")
