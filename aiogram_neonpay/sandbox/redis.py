"""Owns a redis-server for a bot in the sandbox: it begins empty, and ends without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from tempfile import TemporaryDirectory
from types import TracebackType

from aiogram_neonpay.sandbox.errors import SandboxError

_HOST = "127.0.0.1"
_START_SECONDS = 10.0
_STOP_SECONDS = 5.0
_LOOK_EVERY = 0.02


class ThrowawayRedis:
    """Runs the redis-server that is on PATH while used as an asynchronous context manager.

    :raises SandboxError: when there is none, or it does not start.
    """

    def __init__(self) -> None:
        self._directory: TemporaryDirectory[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://{_HOST}:{self._port}/0"

    async def __aenter__(self) -> ThrowawayRedis:
        program = shutil.which("redis-server")
        if program is None:
            raise SandboxError(
                "there is no redis-server on PATH: install it (apt-get install redis-server, brew install redis), or "
                "leave out --redis"
            )
        self._directory = TemporaryDirectory(prefix="sandbox-redis-", ignore_cleanup_errors=True)
        self._port = _free_port()
        settings = ["--bind", _HOST, "--port", str(self._port), "--dir", self._directory.name]
        self._process = await asyncio.create_subprocess_exec(
            program,
            *settings,
            *("--save", "", "--appendonly", "no"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the sandbox, which then stops it
        )
        try:
            await self._until_it_answers()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stop()

    async def _until_it_answers(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + _START_SECONDS
        assert self._process is not None
        while self._process.returncode is None and loop.time() < end:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection(_HOST, self._port)
                try:
                    writer.write(b"PING\r\n")
                    if await asyncio.wait_for(reader.readline(), 1.0) == b"+PONG\r\n":
                        return
                finally:
                    writer.close()
            await asyncio.sleep(_LOOK_EVERY)
        raise SandboxError(f"redis-server did not answer on port {self._port} within {_START_SECONDS:.0f} s")

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except asyncio.TimeoutError:
                process.kill()
                await process.wait()
        if self._directory is not None:
            self._directory.cleanup()


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind((_HOST, 0))
        port: int = asked.getsockname()[1]
        return port
