"""Owns the connections of the server: how many there are at once, and how long one may keep the server waiting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

#: The most connections at once, where the system allows the process twice as many files.
CONNECTIONS = 1000
#: How long a body may take to arrive, or an event to be taken, in seconds.
PATIENCE = 60.0
_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.contextmanager
def in_time(request: web.Request) -> Iterator[None]:
    """Close the connection of a request if the block takes longer than :data:`PATIENCE`."""
    timer = asyncio.get_running_loop().call_later(PATIENCE, _cut, request.protocol)
    try:
        yield
    finally:
        timer.cancel()


class Connections:
    """Makes the protocols of new connections; a middleware tells it which of them are asking for something."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit or _affordable()
        self._busy: set[asyncio.BaseProtocol] = set()
        self._have_asked: set[asyncio.BaseProtocol] = set()

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note that a connection is in use while its request is answered."""
        connection = request.protocol
        self._busy.add(connection)
        self._have_asked.add(connection)
        try:
            return await handler(request)
        finally:
            self._busy.discard(connection)

    def accept(self, server: web.Server) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection.

        When there are too many, the oldest that never asked for anything is closed, else the oldest that is idle;
        when all are busy, the new one is sent away.
        """
        held = server.connections
        if len(self._have_asked) > 2 * self._limit:
            self._have_asked.intersection_update(held)
        if len(held) < self._limit:
            return server()
        idle = [connection for connection in held if connection not in self._busy]
        if not idle:
            return _SentAway()
        _cut(min(idle, key=lambda connection: connection in self._have_asked))
        return server()


class _SentAway(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(_REFUSAL)
        transport.close()


def _cut(connection: web.RequestHandler) -> None:
    if connection.transport is not None:
        connection.transport.abort()  # close() would wait until the other side has read what was sent


def _affordable() -> int:
    with contextlib.suppress(ImportError):  # no such module on Windows
        import resource

        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files != resource.RLIM_INFINITY:
            return max(1, min(CONNECTIONS, files // 2))
    return CONNECTIONS
