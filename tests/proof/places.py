"""Storages whose every call is a point, and how else to look at what they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from aiogram.fsm.storage.base import BaseStorage
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.fsm.storage.redis import RedisStorage
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as LostConnection

from aiogram_neonpay.ledger import LedgerEngine, open_engine
from aiogram_neonpay.sqlite import Database, SQLiteStorage
from tests.proof.points import Points
from tests.proof.wire import SteppingStorage

__all__ = ["InFile", "InMemory", "InRedis", "Place", "Steps"]

T = TypeVar("T")
Clock = Callable[[], float]


class Place:
    """Where a ledger is, for processes one after the other.

    :ivar counts_exactly: whether a change and its counters are one.
    """

    counts_exactly = True

    async def open(self, points: Points) -> BaseStorage:
        """Return the storage as a process sees it."""
        raise NotImplementedError

    def engine(self, clock: Clock) -> LedgerEngine:
        """Return an engine for who looks on: it passes no point."""
        raise NotImplementedError

    async def forget(self) -> None:
        """Begin anew, if that costs nothing; a bot of its own does for the others."""

    async def close(self) -> None:
        """Close what is open."""


class InMemory(Place):
    """Nothing waits here, so nothing dies here."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()

    async def open(self, points: Points) -> BaseStorage:
        return self._storage

    def engine(self, clock: Clock) -> LedgerEngine:
        return open_engine(self._storage, clock)

    async def forget(self) -> None:
        self._storage = MemoryStorage()


class _PointStorage(SteppingStorage):
    def __init__(self, points: Points) -> None:
        super().__init__()
        self.points = points

    async def _perform(self, effect: Callable[[], T]) -> T:
        act = super()._perform
        return await self.points.reach("the storage", lambda: act(effect), lambda: ConnectionError("no storage"))


class Steps(Place):
    """Any storage: a change of the ledger is many calls, and something may die between any two."""

    counts_exactly = False

    def __init__(self) -> None:
        self._storage = _PointStorage(Points())

    async def open(self, points: Points) -> BaseStorage:
        self._storage.points = points
        return self._storage

    def engine(self, clock: Clock) -> LedgerEngine:
        quiet = SteppingStorage()
        quiet.texts = self._storage.texts
        return open_engine(quiet, clock)

    async def forget(self) -> None:
        self._storage = _PointStorage(Points())


class _PointDatabase:
    """A database that passes a point with every operation."""

    def __init__(self, database: Database, points: Points) -> None:
        self._database = database
        self._points = points
        self.timeout = database.timeout

    async def read(self, work: Any) -> Any:
        return await self._points.reach("a read", lambda: self._database.read(work), lambda: OSError("no disk"))

    async def change(self, work: Any) -> Any:
        return await self._points.reach("a change", lambda: self._database.change(work), lambda: OSError("no disk"))


class InFile(Place):
    def __init__(self, path: Path) -> None:
        self._storage = SQLiteStorage(path)

    async def open(self, points: Points) -> BaseStorage:
        storage = SQLiteStorage(self._storage.database.path)
        storage.database = _PointDatabase(self._storage.database, points)  # type: ignore[assignment]
        return storage

    def engine(self, clock: Clock) -> LedgerEngine:
        return open_engine(self._storage, clock)

    async def close(self) -> None:
        await self._storage.close()


class _PointRedis(Redis):
    """A client that passes a point with every command, and with every pipeline."""

    points = Points()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        act = super().execute_command
        return await self.points.reach(str(args[0]), lambda: act(*args, **options), _lost)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        pipe = super().pipeline(transaction, shard_hint)
        act = pipe.execute
        pipe.execute = lambda **options: self.points.reach("a pipeline", lambda: act(**options), _lost)  # type: ignore[method-assign]
        return pipe


class InRedis(Place):
    def __init__(self, url: str) -> None:
        self._client: Any = _PointRedis.from_url(url)
        self._quiet = Redis.from_url(url)

    async def open(self, points: Points) -> BaseStorage:
        self._client.points = points
        return RedisStorage(self._client)

    def engine(self, clock: Clock) -> LedgerEngine:
        return open_engine(RedisStorage(self._quiet), clock)

    async def close(self) -> None:
        await self._client.aclose()
        await self._quiet.aclose()


def _lost() -> Exception:
    return LostConnection("the connection was lost")
