"""Owns the way of an update to a bot's queue, on which faults lose it, delay it, reorder it and repeat it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from aiogram_neonpay.sandbox.clock import Clock, Timer
from aiogram_neonpay.sandbox.faults.book import FaultBook
from aiogram_neonpay.sandbox.faults.rules import update_subject
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.updates import QueuedUpdate, UpdateQueue

#: How long an update that is to be overtaken waits for one that does it, in seconds of the sandbox's clock.
OVERTAKEN_WITHIN = 5.0

Arrival = Callable[[QueuedUpdate], None]


@dataclass(slots=True, eq=False)
class Parcel:
    """An update that has happened and is not queued yet.

    ``expires`` counts from the event, however long the way takes. ``arrived`` is told when it is queued.
    """

    bot_id: int
    queue: UpdateQueue
    kind: str
    content: Json
    lane: str
    expires: float
    arrived: Arrival
    timer: Timer | None = None


class Transit:
    """The ways of all bots of one world.

    :param again: told of every repeat that is queued.
    """

    def __init__(self, clock: Clock, faults: FaultBook, again: Callable[[int, QueuedUpdate], None]) -> None:
        self._clock = clock
        self._faults = faults
        self._again = again
        self._overtaken: dict[int, Parcel] = {}

    def watch(self, bot_id: int, queue: UpdateQueue) -> None:
        """Repeat what a bot confirms, as the rules say."""
        queue.confirmed = partial(self._confirmed, bot_id, queue)

    def send(self, parcel: Parcel) -> None:
        """Send an update on its way, if its bot wants the kind."""
        if not parcel.queue.wants(parcel.kind):
            return
        # What overtakes another update is not held up itself: pairs change places, and a rule that strikes
        # always would otherwise stop everything.
        fault = self._faults.for_update(
            update_subject(parcel.bot_id, parcel.kind, parcel.content),
            reorder=parcel.bot_id not in self._overtaken,
        )
        now = self._clock.now()
        if fault is None:
            self._arrive(parcel)
        elif fault.delay is not None:
            self._clock.call_at(now + fault.delay, partial(self._arrive, parcel))
        elif fault.reorder:
            parcel.timer = self._clock.call_at(now + OVERTAKEN_WITHIN, partial(self._stop_waiting, parcel.bot_id))
            self._overtaken[parcel.bot_id] = parcel

    def _arrive(self, parcel: Parcel) -> None:
        self._queue(parcel)
        self._stop_waiting(parcel.bot_id)

    def _stop_waiting(self, bot_id: int) -> None:
        late = self._overtaken.pop(bot_id, None)
        if late is not None:
            if late.timer is not None:
                late.timer.cancel()
            self._queue(late)

    @staticmethod
    def _queue(parcel: Parcel) -> None:
        update = parcel.queue.put(parcel.kind, parcel.content, expires=parcel.expires, lane=parcel.lane)
        if update is not None:
            parcel.arrived(update)

    def _confirmed(self, bot_id: int, queue: UpdateQueue, update: QueuedUpdate) -> None:
        for fault in self._faults.for_delivered(update_subject(bot_id, update.kind, update.content)):
            for number in range(fault.repeat):
                repeat = partial(self._repeat, bot_id, queue, update, f"repeat:{update.id}:{fault.id}:{number}")
                if fault.delay is None:
                    repeat()
                else:
                    self._clock.call_at(self._clock.now() + fault.delay, repeat)

    def _repeat(self, bot_id: int, queue: UpdateQueue, update: QueuedUpdate, lane: str) -> None:
        left = update.expires - self._clock.now()
        if left > 0:
            # A lane of its own: through a webhook it comes beside the chat's later messages, not after them.
            self._again(bot_id, queue.repeat(update.id, update.kind, update.content, lifetime=left, lane=lane))
