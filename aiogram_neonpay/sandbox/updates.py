"""Owns a bot's queue of updates: numbering, filtering, retention, confirmation and repeats."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from aiogram_neonpay.sandbox.clock import Clock
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.rules import OPT_IN_UPDATES, QUEUE_LENGTH
from aiogram_neonpay.sandbox.signals import Signal


@dataclass(frozen=True, slots=True)
class QueuedUpdate:
    """One update waiting for a bot.

    ``lane`` names the queue inside which a webhook keeps the order: one per chat for messages, one per
    user for pre-checkout queries. ``repeated`` marks a second delivery of an update already confirmed.
    """

    id: int
    kind: str
    content: Json
    expires: float
    lane: str
    repeated: bool = False

    def as_json(self) -> Json:
        """Return the Bot API `Update` object."""
        return {"update_id": self.id, self.kind: self.content}


class UpdateQueue:
    """What has happened to one bot and has not been confirmed by it."""

    def __init__(self, clock: Clock, first_id: int, signal: Signal) -> None:
        self._clock = clock
        self._next_id = first_id
        self._waiting: deque[QueuedUpdate] = deque()
        self.allowed: frozenset[str] | None = None
        self.signal = signal

    def __len__(self) -> int:
        self._expire()
        return len(self._waiting)

    def wants(self, kind: str) -> bool:
        """Tell whether the bot's ``allowed_updates`` let this kind in."""
        if self.allowed is None:
            return kind not in OPT_IN_UPDATES
        return kind in self.allowed

    def put(self, kind: str, content: Json, *, lifetime: float, lane: str) -> QueuedUpdate | None:
        """Queue an update for ``lifetime`` seconds; ``None`` when the bot does not want the kind."""
        if not self.wants(kind) or len(self._waiting) >= QUEUE_LENGTH:
            return None
        update = QueuedUpdate(self._next_id, kind, content, self._clock.now() + lifetime, lane)
        self._next_id += 1
        self._waiting.append(update)
        self.signal.notify()
        return update

    def repeat(self, update_id: int, kind: str, content: Json, *, lifetime: float, lane: str) -> QueuedUpdate:
        """Queue an update once more under its old number, as after a lost confirmation."""
        expires = self._clock.now() + lifetime
        # Ahead of the others: a client computes its next offset from the last update of a batch.
        update = QueuedUpdate(update_id, kind, content, expires, lane, repeated=True)
        self._waiting.appendleft(update)
        self.signal.notify()
        return update

    def fetch(self, offset: int, limit: int) -> list[QueuedUpdate]:
        """Confirm what lies below ``offset`` and return the oldest of the rest, as getUpdates does.

        A negative offset keeps that many of the newest and forgets the others.
        """
        self._expire()
        if offset < 0:
            while len(self._waiting) > -offset:
                self._waiting.popleft()
        elif offset > 0:
            self._waiting = deque(item for item in self._waiting if item.repeated or item.id >= offset)
        batch = list(self._waiting)[:limit]
        if any(item.repeated for item in batch):
            # A repeat is handed out once; it is below every offset the client will send from now on.
            self._waiting = deque(item for item in self._waiting if not item.repeated or item not in batch)
        return batch

    def pending(self) -> list[QueuedUpdate]:
        """Return everything that waits, oldest first, confirming nothing."""
        self._expire()
        return list(self._waiting)

    def confirm(self, update: QueuedUpdate) -> None:
        """Forget one update that a webhook has accepted."""
        self._waiting = deque(item for item in self._waiting if item is not update)

    def clear(self) -> None:
        """Forget everything that waits (``drop_pending_updates``)."""
        self._waiting.clear()
        self.signal.notify()

    def allow(self, kinds: Iterable[str]) -> None:
        """Persist a new ``allowed_updates``; an empty list restores the default set.

        What is already queued stays queued.
        """
        wanted = frozenset(kinds)
        self.allowed = wanted or None

    def _expire(self) -> None:
        now = self._clock.now()
        if any(item.expires <= now for item in self._waiting):
            self._waiting = deque(item for item in self._waiting if item.expires > now)
