"""Owns `SandboxServer`: a sandbox on an address, with the Bot API, the control API and the page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from types import TracebackType

from aiogram.client.telegram import TelegramAPIServer
from aiohttp import web

from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.http.botapi import BODY_BYTES, add_bot_api
from aiogram_neonpay.sandbox.http.connections import Connections
from aiogram_neonpay.sandbox.http.control import add_control_api
from aiogram_neonpay.sandbox.http.guard import is_loopback, own_requests_only
from aiogram_neonpay.sandbox.http.listening import Listening
from aiogram_neonpay.sandbox.http.logs import SERVER_LOG
from aiogram_neonpay.sandbox.http.page import add_page
from aiogram_neonpay.sandbox.http.webhooks import WebhookPusher

#: How long open streams may take to end when the server stops, in seconds.
_SHUTDOWN_SECONDS = 1.0
#: The longest request line or header, in bytes. Telegram takes 256 KiB of them, and some clients put a whole
#: message into the query string (HttpReader.h, MAX_TOTAL_HEADERS_LENGTH).
_HEADER_BYTES = 256 * 1024
#: How long a connection may be silent between requests, in seconds (HttpServer.h, the idle timeout).
_IDLE_SECONDS = 500.0


class SandboxServer:
    """Serves a sandbox over HTTP while used as an asynchronous context manager.

    :param host: the address to bind to.
    :param port: the port; 0 takes a free one.
    :param allow_public: needed for an address that other machines can reach. Whoever reaches the page can
        act as any user of the sandbox.
    :param hosts: names other than its address under which the sandbox may be called. Without them no name passes
        that a stranger could own: addresses do, names without a dot, and those under ``.local``, ``.internal``,
        ``.test``, ``.localhost`` and ``.home.arpa``; for the page of a sandbox that is not public, ``localhost`` alone.
    :raises ValueError: for such an address without ``allow_public``.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_public: bool = False,
        hosts: Iterable[str] = (),
    ) -> None:
        if not allow_public and not is_loopback(host):
            raise ValueError(
                f"{host} can be reached by other machines, and the sandbox has no passwords: "
                "bind to 127.0.0.1, or pass allow_public=True if that is what you want"
            )
        self.sandbox = sandbox
        self._host = host
        self._port = port
        self._public = not is_loopback(host)
        self._hosts = frozenset(name.lower() for name in (host, *hosts))
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._pusher = WebhookPusher(sandbox)
        self._listening = Listening(sandbox.world, self._pusher.refusals)
        self._watch: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port in use."""
        if self._listener is None or not self._listener.sockets:
            raise RuntimeError("the sandbox server is not running: use it in an `async with` block")
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """The page's address, without a slash at the end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    @property
    def api(self) -> TelegramAPIServer:
        """The server for aiogram: ``Bot(token, session=AiohttpSession(api=server.api))``."""
        return TelegramAPIServer.from_base(self.url)

    async def start(self) -> None:
        """Bind and begin to serve.

        :raises OSError: when the port is taken.
        """
        connections = Connections()
        guard = own_requests_only(self._hosts, public=self._public)
        app = web.Application(middlewares=[connections.watch, guard], client_max_size=BODY_BYTES)
        add_bot_api(app, self.sandbox, self._listening)
        add_control_api(app, self.sandbox, self._listening)
        add_page(app)
        # No access log: paths hold tokens.
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=SERVER_LOG,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            handler_cancellation=True,
            keepalive_timeout=_IDLE_SECONDS,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )
        await runner.setup()
        assert runner.server is not None
        accept = partial(connections.accept, runner.server)
        try:
            self._listener = await asyncio.get_running_loop().create_server(accept, self._host, self._port)
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        await self._pusher.start()
        self._watch = asyncio.create_task(self._listening.watch())

    async def stop(self) -> None:
        """End open streams and stop serving. Stopping twice does nothing."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._pusher.stop()
        for bot in self.sandbox.world.bots.values():
            bot.poll.let_go()
        self.sandbox.world.faults.let_go()
        self.sandbox.world.feed.close()
        await runner.cleanup()

    async def __aenter__(self) -> SandboxServer:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()
