"""Raw HTTP, for what no client library would send."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiogram_neonpay.sandbox import SandboxServer


async def exchange(server: SandboxServer, request: bytes, *, seconds: float = 10.0) -> bytes:
    """Send these bytes, and return what comes back until the server closes, or has answered once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    answer = b""
    writer.write(request)  # is sent while the answer is read: it may come before the request has ended
    try:
        with contextlib.suppress(ConnectionError):
            async with _deadline(seconds):
                while chunk := await reader.read(65536):
                    answer += chunk
                    if _is_whole(answer):
                        break
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return answer


async def status(server: SandboxServer, request: bytes) -> int | None:
    """Send these bytes, and return the HTTP status; ``None`` when the connection is closed without an answer."""
    answer = await exchange(server, request)
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None


def head(method: str, target: str, **headers: str) -> bytes:
    """Return a request without a body. ``Host`` is the loopback address unless given; ``_`` in names is ``-``."""
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in {"Host": "127.0.0.1", **headers}.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _is_whole(answer: bytes) -> bool:
    headers, found, body = answer.partition(b"\r\n\r\n")
    for line in headers.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return bool(found) and len(body) >= int(line.partition(b":")[2])
    return False


@contextlib.asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    # asyncio.timeout is new in Python 3.11.
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(seconds, task.cancel)
    try:
        yield
    except asyncio.CancelledError:
        raise AssertionError(f"no answer within {seconds} seconds") from None
    finally:
        timer.cancel()
