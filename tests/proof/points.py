"""The points at which something may die: every wait for the storage or Telegram, and every step of a handler."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeVar

__all__ = ["EXITED", "Blow", "Points"]

T = TypeVar("T")

EXITED = 77
"""Exit status of a process that died at its point."""


class Blow(str, Enum):
    """What happens at a point."""

    CANCEL_BEFORE = "the task is cancelled before the effect"
    CANCEL_AFTER = "the task is cancelled after the effect"
    FAIL_BEFORE = "it raises before the effect"
    FAIL_AFTER = "it raises after the effect"
    EXIT = "the process ends"

    @property
    def is_after(self) -> bool:
        return self in (Blow.CANCEL_AFTER, Blow.FAIL_AFTER)


class Points:
    """Counts the points that are passed and strikes at one of them.

    :param at: the number of that point, from 1; ``None`` never strikes.
    :ivar struck: the point at which it struck.
    """

    def __init__(self, blow: Blow = Blow.FAIL_BEFORE, at: int | None = None) -> None:
        self.blow = blow
        self.at = at
        self.count = 0
        self.struck: str | None = None

    async def reach(self, point: str, act: Callable[[], Awaitable[T]], failure: Callable[[], Exception]) -> T:
        """Pass a point: do what is done there, unless the blow falls."""
        self.count += 1
        is_mine = self.count == self.at
        if is_mine and not self.blow.is_after:
            await self._strike(point, failure)
        result = await act()
        if is_mine and self.blow.is_after:
            await self._strike(point, failure)
        return result

    async def _strike(self, point: str, failure: Callable[[], Exception]) -> None:
        self.struck = point
        if self.blow is Blow.EXIT:
            os._exit(EXITED)
        if self.blow in (Blow.CANCEL_BEFORE, Blow.CANCEL_AFTER):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        raise failure()
