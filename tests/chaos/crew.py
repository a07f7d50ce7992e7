"""The bot's processes, as whoever operates them sees them: started, killed, stopped, stalled, and started again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.balancer import knock
from tests.chaos.nursery import Nursery

__all__ = ["Crew", "Life", "Place"]

BORN_WITHIN = 30.0


@dataclass(eq=False)
class Life:
    """One process from its start to its end, in seconds of the machine's monotonic clock.

    :ivar asked: when it was asked to stop.
    :ivar killed: when it was killed.
    :ivar code: its exit code, negative for the signal that ended it.
    """

    name: str
    door: Path
    pid: int = 0
    born: float = 0.0
    asked: float | None = None
    killed: float | None = None
    died: float | None = None
    code: int | None = None
    stalled: bool = False
    birth: asyncio.Event = field(default_factory=asyncio.Event)
    end: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class Place:
    """Something that is to be done by a process all the time; a dead one is replaced."""

    role: str
    spec: dict[str, Any]
    life: Life | None = None
    wanted: bool = True


class Crew:
    """All processes of one run.

    :param spec: what all of them are told.
    :param seed: decides what differs between them.
    :ivar lives: everybody who ever lived.
    """

    def __init__(self, nursery: Nursery, spec: dict[str, Any], directory: Path, seed: int) -> None:
        self._nursery = nursery
        self._spec = spec
        self._directory = directory
        self._dice = random.Random(f"{seed} crew")
        self.places: list[Place] = []
        self.lives: dict[str, Life] = {}
        self.counts: Counter[str] = Counter()
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    # Reports of the nursery

    def listen(self) -> None:
        """Hear of births and deaths from now on."""
        loop = asyncio.get_running_loop()

        def told(report: dict[str, Any]) -> None:
            with suppress(RuntimeError):  # the run is over, and so is its loop
                loop.call_soon_threadsafe(self._told, report)

        self._nursery.listen(str(self._directory), told)

    def _told(self, report: dict[str, Any]) -> None:
        life = self.lives.get(report.get("born") or report["died"])
        if life is None:
            return
        if "born" in report:
            life.pid, life.born = report["pid"], report["at"]
            life.birth.set()
            return
        life.died, life.code = report["at"], report["code"]
        life.end.set()
        if life.killed is None and life.asked is None:
            self.counts["processes that ended by themselves"] += 1

    # Places

    def add(self, role: str, **spec: Any) -> Place:
        """Have a process at work from now on."""
        place = Place(role, spec)
        self.places.append(place)
        self._spawn(self._keep(place))
        return place

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, place: Place) -> None:
        while place.wanted and not self._closing:
            life = await self._start(place)
            place.life = life
            await life.end.wait()
            await asyncio.sleep(self._dice.uniform(0.02, 0.3))

    async def _start(self, place: Place) -> Life:
        number = len(self.lives) + 1
        name = f"{number:03}-{place.role}"
        life = Life(name, self._directory / f"{number}.sock")
        self.lives[name] = life
        self._nursery.start(
            {
                **self._spec,
                **place.spec,
                "role": place.role,
                "name": name,
                "door": str(life.door),
                "in_background": self._dice.random() < 0.4,
                "middlewares": self._dice.random() < 0.5,
            }
        )
        self.counts["processes started"] += 1
        await asyncio.wait_for(life.birth.wait(), BORN_WITHIN)
        return life

    def living(self, role: str | None = None) -> list[Life]:
        """Return the processes that are alive, as far as is known."""
        lives = [place.life for place in self.places if place.life is not None and role in (None, place.role)]
        return [life for life in lives if life.died is None]

    # What happens to them

    def kill(self, life: Life) -> None:
        """End it as a power cut would."""
        life.killed = time.monotonic()
        self._signal(life, signal.SIGKILL)
        self.counts["processes killed"] += 1

    def ask(self, life: Life) -> None:
        """Ask it to end, as a deployment does."""
        if life.asked is None:
            life.asked = time.monotonic()
            self._signal(life, signal.SIGTERM)
            self.counts["processes stopped gracefully"] += 1

    def stall(self, life: Life) -> None:
        """Let it do nothing, as a machine that swaps does."""
        life.stalled = True
        self._signal(life, signal.SIGSTOP)
        self.counts["processes stalled"] += 1

    def resume(self, life: Life) -> None:
        """Let it go on."""
        life.stalled = False
        self._signal(life, signal.SIGCONT)

    @staticmethod
    def _signal(life: Life, number: int) -> None:
        if life.died is None and life.pid:
            with suppress(ProcessLookupError):
                os.kill(life.pid, number)

    async def ready(self, count: int, seconds: float = BORN_WITHIN) -> None:
        """Wait until so many answer at their doors.

        :raises TimeoutError: when they do not in time.
        """
        end = time.monotonic() + seconds
        while await self.held() is None or len(self.living()) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"only {len(self.living())} of {count} processes came to life")
            await asyncio.sleep(0.05)

    async def held(self, *lives: Life) -> int | None:
        """Return how many charges these hold, or all the living, or ``None`` if one of them does not answer."""
        answers = await asyncio.gather(*(knock(life.door, "GET", "/held", 2.0) for life in lives or self.living()))
        if any(answer is None for answer in answers):
            return None
        return sum(int(str(answer["held"])) for answer in answers if answer is not None)

    async def close(self, seconds: float) -> None:
        """Stop everybody gracefully, and kill who does not go in time."""
        self._closing = True
        for place in self.places:
            place.wanted = False
        everybody = [life for life in self.lives.values() if life.died is None and life.pid]
        for life in everybody:
            self.resume(life)
            self.ask(life)
        if everybody:
            ends = [asyncio.ensure_future(life.end.wait()) for life in everybody]
            _, late = await asyncio.wait(ends, timeout=seconds)
            for life in everybody:
                if life.died is None:
                    life.killed = time.monotonic()
                    self._signal(life, signal.SIGKILL)
            if late:
                await asyncio.wait(late, timeout=10)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
