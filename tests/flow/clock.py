"""A clock that tests move by hand, and waiting for what goes on in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

__all__ = ["Clock", "settled"]


class Clock:
    """Unix seconds, for ``neonpay_router(clock=...)``."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def settled(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something has come to be."""
    for _ in range(int(seconds / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not come to that")
