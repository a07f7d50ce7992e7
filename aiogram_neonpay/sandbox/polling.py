"""Owns one bot's getUpdates: long polling, the brake on hasty clients, and conflicts of two pollers.

Source: `process_get_updates_query` and `fail_query_conflict` in tdlib/telegram-bot-api.
"""

from __future__ import annotations

import asyncio

from aiogram_neonpay.sandbox.errors import ApiError, refuse
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.updates import QueuedUpdate, UpdateQueue

BY_OTHER_POLL = "terminated by other getUpdates request; make sure that only one bot instance is running"
BY_WEBHOOK = "terminated by setWebhook request"
WEBHOOK_ACTIVE = "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
_SAME_OFFSET_LIMITED = 0.5
_SAME_OFFSET_SLOWED = 3.0
_CONFLICT_PAUSE = 3.0


class LongPoll:
    """Serves getUpdates from a queue to one client at a time, in real time whatever the sandbox's clock does."""

    def __init__(self, queue: UpdateQueue, *, brake: bool) -> None:
        self._queue = queue
        self._brake = brake
        self._current: object | None = None
        self._reason = BY_OTHER_POLL
        self._last_offset: int | None = None
        self._last_start = 0.0
        self._next_conflict = 0.0
        self._ending = False

    @property
    def active(self) -> bool:
        """Whether a client is waiting for updates."""
        return self._current is not None

    def interrupt(self, reason: str) -> None:
        """End the waiting request, if any, with a conflict."""
        self._current = None
        self._reason = reason
        self._queue.signal.notify()

    def let_go(self) -> None:
        """Answer the waiting request, if any, with what there is: the server is about to stop."""
        self._ending = True
        self._queue.signal.notify()

    async def updates(self, offset: int, limit: int, timeout: float) -> list[Json]:
        """Return the waiting updates, or wait for the first one up to ``timeout`` seconds.

        :raises ApiError: 409 when another request or a webhook has taken over.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._brake and offset == self._last_offset:
            if timeout < _SAME_OFFSET_SLOWED and now < self._last_start + _SAME_OFFSET_SLOWED:
                timeout = _SAME_OFFSET_SLOWED
            if now < self._last_start + _SAME_OFFSET_LIMITED:
                limit = 1
        self._last_offset, self._last_start = offset, now
        self.interrupt(BY_OTHER_POLL)
        request = object()
        self._current = request
        self._ending = False
        self._queue.signal.notify()
        end = now + timeout
        try:
            batch: list[QueuedUpdate] = self._queue.fetch(offset, limit)
            while not batch:
                left = end - loop.time()
                if left <= 0 or self._ending:
                    break
                await self._queue.signal.wait(left)
                if self._current is not request:
                    raise await self.conflict(self._reason)
                batch = self._queue.fetch(offset, limit)
        finally:
            # Also when the client has gone: a poll that nobody waits for is in nobody's way.
            if self._current is request:
                self._current = None
                self._queue.signal.notify()
        return [update.as_json() for update in batch]

    async def conflict(self, reason: str) -> ApiError:
        """Return the 409 to raise, held back for 3 seconds when the last one was less than that ago."""
        loop = asyncio.get_running_loop()
        if self._brake and loop.time() < self._next_conflict:
            await asyncio.sleep(_CONFLICT_PAUSE)
        else:
            self._next_conflict = loop.time() + _CONFLICT_PAUSE
        return refuse(f"Conflict: {reason}", 409)
