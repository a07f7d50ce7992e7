"""What importing the package costs over importing aiogram, in fresh interpreters."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass

CODE = """
import time
started = time.process_time()
import aiogram
between = time.process_time()
from aiogram_neonpay import NeonPay
print(between - started, time.process_time() - between)
"""


@dataclass(frozen=True)
class ImportTime:
    """CPU seconds of one import on top of the other."""

    aiogram: float
    ours: float

    @property
    def share(self) -> float:
        return self.ours / self.aiogram


def measure(runs: int) -> ImportTime:
    # Both are read as bytecode, wherever they are installed and whatever this process was told about writing it.
    with tempfile.TemporaryDirectory() as cache:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = cache
        pairs = [_run(environment) for _ in range(runs + 1)][1:]  # the first run writes the bytecode
    by_share = statistics.median_low(pair.share for pair in pairs)
    return next(pair for pair in pairs if pair.share == by_share)


def _run(environment: dict[str, str]) -> ImportTime:
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment)
    aiogram, ours = map(float, done.stdout.split())
    return ImportTime(aiogram, ours)
