"""One clock for all processes of a run: it runs as clocks do, and the harness moves it forward."""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

__all__ = ["SharedClock"]


class SharedClock:
    """Unix seconds, for ``neonpay_router(clock=...)`` in every process.

    :param path: a file that all processes map; it holds how far the time shown is from the machine's monotonic clock.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(struct.pack("d", time.time() - time.monotonic()))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 8)

    def __call__(self) -> float:
        distance: float = struct.unpack_from("d", self._shared)[0]
        return time.monotonic() + distance

    def show(self, now: float) -> None:
        """Let every process see this moment as the present."""
        struct.pack_into("d", self._shared, 0, now - time.monotonic())
