"""A Redis server of the benchmark's own: on a socket in a temporary folder, gone afterwards."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

START_TIMEOUT = 10.0


def find_server() -> str | None:
    return shutil.which("redis-server")


@contextlib.contextmanager
def running_server(program: str) -> Iterator[str]:
    """Run a server with an append-only file, as a shop would, and yield its socket's path."""
    with tempfile.TemporaryDirectory(prefix="neonpay-bench-") as folder:
        path = str(Path(folder) / "redis.sock")
        options = ["--port", "0", "--unixsocket", path, "--dir", folder, "--save", "", "--appendonly", "yes"]
        server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(Path(path), server)
            yield path
        finally:
            server.terminate()
            server.wait()


def _wait_for(path: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not path.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"redis-server did not start (exit status {server.poll()})")
        time.sleep(0.02)
