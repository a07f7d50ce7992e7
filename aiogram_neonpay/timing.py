"""How the plugin waits: by the event loop, or by a clock that somebody else moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Alarm", "LoopTiming", "Timing"]


class Alarm(Protocol):
    """A callback that waits for its moment."""

    def cancel(self) -> None:
        """Make it never run."""


class Timing(Protocol):
    """What the plugin asks of time beside the present.

    :ivar passes: whether time passes by itself, so that due work is looked for at intervals; else whoever moves the
        clock asks for it (``run_due``).
    """

    passes: bool

    def time(self) -> float:
        """Return seconds from any beginning; only differences mean something."""

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Alarm:
        """Call back in that many seconds."""

    async def wait(self, task: asyncio.Task[Any], seconds: float) -> None:
        """Wait until a task has ended, for at most that long; it goes on."""


class LoopTiming:
    """The time of the running event loop."""

    passes = True

    def time(self) -> float:
        """See :meth:`Timing.time`."""
        return asyncio.get_running_loop().time()

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Alarm:
        """See :meth:`Timing.call_later`."""
        return asyncio.get_running_loop().call_later(seconds, callback, *args)

    async def wait(self, task: asyncio.Task[Any], seconds: float) -> None:
        """See :meth:`Timing.wait`."""
        await asyncio.wait({task}, timeout=seconds)
