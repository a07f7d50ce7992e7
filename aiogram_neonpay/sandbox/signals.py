"""Owns waking up those who wait for the world to change: `Signal` and the page's event feed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

#: Events one slow page may lag behind before its stream is closed (it then reconnects and reloads).
FEED_BACKLOG = 2000


class Signal:
    """A bell: whoever waits is woken by the next :meth:`notify`."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Wake everyone who waits now."""
        for waiter in list(self._waiters):
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, seconds: float) -> bool:
        """Wait for one ring, at most ``seconds`` of real time; tell whether it came."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            done, _ = await asyncio.wait({waiter}, timeout=max(0.0, seconds))
            return bool(done)
        finally:
            self._waiters.discard(waiter)
            waiter.cancel()

    async def until(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Wait until ``ready()`` holds, looking again at every ring; at most ``seconds`` of real time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not ready():
            left = end - loop.time()
            if left <= 0:
                return False
            await self.wait(left)
        return True


class Feed:
    """What happens in the sandbox, as small events for any number of open pages."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[dict[str, Any] | None]] = set()

    @property
    def listeners(self) -> int:
        """How many pages are open."""
        return len(self._queues)

    def publish(self, kind: str, **data: Any) -> None:
        """Tell every open page that something of this kind happened."""
        event = {"type": kind, **data}
        for queue in list(self._queues):
            if queue.qsize() >= FEED_BACKLOG:
                self._queues.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    def close(self) -> None:
        """End every open stream."""
        for queue in list(self._queues):
            queue.put_nowait(None)
        self._queues.clear()

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[dict[str, Any] | None]]:
        """Give a queue of events; ``None`` in it means that the stream has ended."""
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)
