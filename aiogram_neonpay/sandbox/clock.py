"""Owns time in the sandbox: one clock that runs by itself and can be moved forward."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, order=True)
class Timer:
    """A callback waiting for its moment; :meth:`cancel` makes it never run."""

    when: float
    order: int
    callback: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Make the timer harmless. Cancelling twice, or after it ran, does nothing."""
        self.cancelled = True


class Clock:
    """The sandbox's time, in Unix seconds.

    :param start: the first moment shown, Unix seconds; the present by default.
    :param running: ``True`` lets time pass by itself, ``False`` stops it so that only
        :meth:`advance` moves it.
    """

    def __init__(self, start: float | None = None, *, running: bool = True) -> None:
        self._base = time.time() if start is None else start
        self._running = running
        self._origin = time.monotonic()
        self._timers: list[Timer] = []
        self._order = itertools.count()
        self._wakeup: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Return the present moment in Unix seconds."""
        passed = time.monotonic() - self._origin if self._running else 0.0
        return self._base + passed

    def date(self) -> int:
        """Return the present moment as the whole Unix seconds that Telegram writes into objects."""
        return int(self.now())

    @property
    def running(self) -> bool:
        """Whether time passes by itself."""
        return self._running

    def pause(self) -> None:
        """Stop the time; :meth:`advance` still moves it. Deadlines stop too, real ones of clients do not."""
        self._base = self.now()
        self._running = False
        self._arm()

    def resume(self) -> None:
        """Let time pass by itself again, from where it stands."""
        self._base = self.now()
        self._origin = time.monotonic()
        self._running = True
        self._arm()

    @property
    def waiting(self) -> int:
        """How many timers have yet to fire."""
        return sum(1 for timer in self._timers if not timer.cancelled)

    @property
    def next_timer(self) -> float | None:
        """When the next timer fires, in Unix seconds; ``None`` when none waits."""
        return min((timer.when for timer in self._timers if not timer.cancelled), default=None)

    def advance(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        """Move time forward, firing every timer on the way, each at its own moment.

        :raises ValueError: when the sum is negative; the clock never goes back.
        """
        step = seconds + 60 * minutes + 3600 * hours + 86400 * days
        if step < 0:
            raise ValueError(f"the clock cannot go back: asked to advance by {step} seconds")
        target = self.now() + step
        while self._timers and self._timers[0].when <= target:
            moment = self._timers[0].when
            self._base += max(0.0, moment - self.now())
            self._fire()
        self._base += max(0.0, target - self.now())
        self._arm()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Run ``callback`` once the clock shows ``when`` (Unix seconds)."""
        timer = Timer(when, next(self._order), callback)
        heapq.heappush(self._timers, timer)
        self._arm()
        return timer

    async def sleep(self, seconds: float) -> None:
        """Wait until ``seconds`` of sandbox time have passed."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = self.call_at(self.now() + seconds, wake)
        try:
            await woken
        finally:
            timer.cancel()

    def _fire(self) -> None:
        while self._timers and self._timers[0].when <= self.now():
            timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                timer.callback()

    def _arm(self) -> None:
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        while self._timers and self._timers[0].cancelled:
            heapq.heappop(self._timers)
        if not self._timers or not self._running:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # no loop, nobody can be waiting: advance() still fires the timer
        self._wakeup = loop.call_later(max(0.0, self._timers[0].when - self.now()), self._on_time)

    def _on_time(self) -> None:
        self._wakeup = None
        self._fire()
        self._arm()
