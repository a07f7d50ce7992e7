"""The storage of a run: a Redis that can be killed, or a file that several processes share."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Protocol

from tests.redis_server import RedisServer

__all__ = ["FileStore", "RedisStore", "Store"]


class Store(Protocol):
    """Where the bot keeps everything, and what can be done to it."""

    counts: Counter[str]

    @property
    def address(self) -> str: ...
    async def kill(self, seconds: float) -> None: ...
    async def stall(self, seconds: float) -> None: ...
    def close(self) -> None: ...


class RedisStore:
    """A redis-server of its own, with an append-only file.

    ``appendfsync always``: with ``everysec`` a server may keep back what it has acknowledged while the disk is slow, up
    to two seconds, and loses it when it is killed then (``flushAppendOnlyFile`` in Redis' ``aof.c``).
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._server = RedisServer(settings={"appendonly": "yes", "appendfsync": "always"})
        self._server.start()
        self._busy = asyncio.Lock()

    @property
    def address(self) -> str:
        return self._server.url

    async def kill(self, seconds: float) -> None:
        """Kill it, leave it dead for a while, and start it with the file it wrote."""
        async with self._busy:
            self.counts["storage killed"] += 1
            await asyncio.to_thread(self._server.kill)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self._server.start)

    async def stall(self, seconds: float) -> None:
        """Let it answer nobody for a while."""
        async with self._busy:
            self.counts["storage stalled"] += 1
            process = self._server._process
            assert process is not None
            os.kill(process.pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(seconds)
            finally:
                os.kill(process.pid, signal.SIGCONT)

    def close(self) -> None:
        self._server.close()


class FileStore:
    """An SQLite file."""

    def __init__(self, directory: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._path = directory / "bot.db"

    @property
    def address(self) -> str:
        return str(self._path)

    async def kill(self, seconds: float) -> None:
        """Do nothing: a file has no process to kill."""

    async def stall(self, seconds: float) -> None:
        """Let nobody write for a while."""
        self.counts["storage stalled"] += 1
        await asyncio.to_thread(self._hold, seconds)

    def _hold(self, seconds: float) -> None:
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
        finally:
            connection.close()

    def close(self) -> None:
        """Nothing is left to end."""
