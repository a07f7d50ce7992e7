"""Running a shop as its author would: a process of its own that knows an address and a token."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

SHOPS = Path(__file__).with_name("shops")
_STOP_SECONDS = 10.0
_INSTALL_SECONDS = 120.0
#: What npm says when it is the registry that cannot be reached, and not the package that is wrong.
_NO_NETWORK = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ERR_SOCKET_TIMEOUT", "network")


def python_shop(name: str) -> list[str]:
    """Return the command that runs a shop written in Python."""
    return [sys.executable, str(SHOPS / f"{name}.py")]


def grammy_shop(cache: Path) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment of the grammY shop; its packages are installed once, in ``cache``."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs node and npm on PATH")
    source = SHOPS / "grammy"
    lock = (source / "package-lock.json").read_bytes()
    home = cache / hashlib.sha256(lock).hexdigest()[:16]
    if not home.exists():
        _install(npm, source, home)
    return [node, str(source / "shop.js")], {"NODE_PATH": str(home / "node_modules")}


def _install(npm: str, source: Path, home: Path) -> None:
    # Beside its place first: another run may be installing too, and a half of it must not be taken for the whole.
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        folder = Path(scratch) / "packages"
        folder.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, folder)
        try:
            done = subprocess.run(
                [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_INSTALL_SECONDS,
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm could not install grammY within {_INSTALL_SECONDS:.0f} seconds")
        if done.returncode:
            if any(sign in done.stderr for sign in _NO_NETWORK):
                pytest.skip("npm cannot reach its registry")
            pytest.fail(f"npm ci failed:\n{done.stderr}")
        with contextlib.suppress(OSError):  # another run was faster
            folder.rename(home)


def free_port() -> int:
    """Return a port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def running(command: list[str], environment: dict[str, str], log: Path) -> AsyncIterator[None]:
    """Run a shop while the block lasts. What it prints goes to ``log``, and is printed when the block fails."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield
        except BaseException:
            print(f"The shop (exit code {process.returncode}) said:\n{_end_of(log)}")
            raise
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), _STOP_SECONDS)
                except asyncio.TimeoutError:
                    process.kill()
                    await process.wait()


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-4000:]
