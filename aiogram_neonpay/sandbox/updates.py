"""Owns a bot's queue of updates: numbering, filtering, retention, confirmation and repeats.

Every operation costs what it hands out, not what waits: a queue may hold 100,000 updates.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import islice

from aiogram_neonpay.sandbox.clock import Clock
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.rules import OPT_IN_UPDATES, QUEUE_LENGTH
from aiogram_neonpay.sandbox.signals import Signal

#: Dates of expiry of confirmed updates that may pile up before they are cleared away.
_STALE_DATES = 1000
#: How far an offset may lie beyond the newest update.
_LARGEST_LEAP = 10


@dataclass(frozen=True, slots=True, eq=False)
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
        self._waiting: OrderedDict[int, QueuedUpdate] = OrderedDict()
        self._repeats: list[QueuedUpdate] = []
        self._lanes: dict[str, deque[QueuedUpdate]] = {}
        self._expiries: list[tuple[float, int]] = []
        self.allowed: frozenset[str] | None = None
        self.signal = signal
        #: Called with every update that the bot has confirmed.
        self.confirmed: Callable[[QueuedUpdate], None] = lambda update: None

    def __len__(self) -> int:
        self._expire()
        return len(self._waiting) + len(self._repeats)

    def wants(self, kind: str) -> bool:
        """Tell whether the bot's ``allowed_updates`` let this kind in."""
        if self.allowed is None:
            return kind not in OPT_IN_UPDATES
        return kind in self.allowed

    def put(self, kind: str, content: Json, *, expires: float, lane: str) -> QueuedUpdate | None:
        """Queue an update until the Unix time ``expires``.

        ``None`` when the bot does not want the kind, the queue is full, or the update has expired already.
        """
        self._expire()
        if not self.wants(kind) or len(self._waiting) >= QUEUE_LENGTH or expires <= self._clock.now():
            return None
        update = QueuedUpdate(self._next_id, kind, content, expires, lane)
        self._next_id += 1
        self._waiting[update.id] = update
        self._lanes.setdefault(lane, deque()).append(update)
        if len(self._expiries) > 2 * len(self._waiting) + _STALE_DATES:
            self._expiries = [item for item in self._expiries if item[1] in self._waiting]
            heapq.heapify(self._expiries)
        heapq.heappush(self._expiries, (expires, update.id))
        self.signal.notify()
        return update

    def repeat(self, update_id: int, kind: str, content: Json, *, lifetime: float, lane: str) -> QueuedUpdate:
        """Queue an update once more under its old number, as after a lost confirmation."""
        expires = self._clock.now() + lifetime
        update = QueuedUpdate(update_id, kind, content, expires, lane, repeated=True)
        if len(self._repeats) >= QUEUE_LENGTH:
            del self._repeats[0]
        self._repeats.append(update)
        self.signal.notify()
        return update

    def fetch(self, offset: int, limit: int) -> list[QueuedUpdate]:
        """Confirm what lies below ``offset`` and return the oldest of the rest, as getUpdates does.

        A negative offset keeps that many of the newest and forgets the others. One far in the future is an error
        that Telegram answers by beginning at the oldest again (TQueue.cpp).
        """
        self._expire()
        if offset > self._next_id + _LARGEST_LEAP:
            offset = 0
        if offset < 0:
            for forgotten in list(islice(self._waiting.values(), max(0, len(self._waiting) + offset))):
                self._remove(forgotten)
        while (oldest := next(iter(self._waiting.values()), None)) is not None and oldest.id < offset:
            self._remove(oldest)
            self.confirmed(oldest)
        # Repeats first: a client computes its next offset from the last update of a batch. Each is handed out
        # once; it is below every offset the client will send from now on.
        repeats, self._repeats = self._repeats[:limit], self._repeats[limit:]
        return repeats + list(islice(self._waiting.values(), limit - len(repeats)))

    def heads(self, busy: Collection[str], limit: int) -> list[QueuedUpdate]:
        """Return the first waiting update of up to ``limit`` lanes that are not ``busy``, confirming nothing."""
        self._expire()
        found: dict[str, QueuedUpdate] = {}
        for update in self._repeats:
            if len(found) < limit and update.lane not in busy:
                found.setdefault(update.lane, update)
        for name, lane in self._lanes.items():
            if len(found) >= limit:
                break
            if name not in busy:
                found.setdefault(name, lane[0])
        return list(found.values())

    def holds(self, update: QueuedUpdate) -> bool:
        """Tell whether an update still waits."""
        self._expire()
        return self._waiting.get(update.id) is update or any(item is update for item in self._repeats)

    def confirm(self, update: QueuedUpdate) -> None:
        """Forget one update that a webhook has accepted."""
        waited = self.holds(update)
        self.forget(update)
        if waited and not update.repeated:
            self.confirmed(update)

    def forget(self, update: QueuedUpdate) -> None:
        """Forget one update that nobody has accepted."""
        if self._waiting.get(update.id) is update:
            self._remove(update)
        else:
            self._repeats = [item for item in self._repeats if item is not update]

    def clear(self) -> None:
        """Forget everything that waits (``drop_pending_updates``)."""
        self._waiting.clear()
        self._repeats.clear()
        self._lanes.clear()
        self._expiries.clear()
        self.signal.notify()

    def allow(self, kinds: Iterable[str]) -> None:
        """Persist a new ``allowed_updates``; an empty list restores the default set.

        What is already queued stays queued.
        """
        wanted = frozenset(kinds)
        self.allowed = wanted or None

    def _expire(self) -> None:
        now = self._clock.now()
        while self._expiries and self._expiries[0][0] <= now:
            expired = self._waiting.get(heapq.heappop(self._expiries)[1])
            if expired is not None:
                self._remove(expired)
        if self._repeats and any(item.expires <= now for item in self._repeats):
            self._repeats = [item for item in self._repeats if item.expires > now]

    def _remove(self, update: QueuedUpdate) -> None:
        del self._waiting[update.id]
        lane = self._lanes[update.lane]
        while lane and lane[0].id not in self._waiting:
            lane.popleft()
        if not lane:
            del self._lanes[update.lane]
