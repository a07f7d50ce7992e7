"""Owns running an aiogram dispatcher on a sandbox: what the examples and `make demo` call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from aiogram import Bot, Dispatcher
from aiogram.client.default import DefaultBotProperties

from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import ArgumentError
from aiogram_neonpay.sandbox.http.server import SandboxServer
from aiogram_neonpay.sandbox.presence import SandboxGroup
from aiogram_neonpay.sandbox.session import LocalSession, borrowing
from aiogram_neonpay.sandbox.users import SandboxUser

#: How long the dispatcher may take to ask for its first updates, in seconds.
_START_SECONDS = 60.0
DEFAULT_PORT = 8181


@dataclass(frozen=True, slots=True)
class DemoUser:
    """Somebody to create: a name, a number of Stars, a language."""

    name: str
    stars: int
    language_code: str = "en"


DEMO_USERS = (DemoUser("Alice", 500, "en"), DemoUser("Bob", 100, "ru"), DemoUser("Dana", 5, "az"))


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A dispatcher at work: the world, its server, the bot, and the polling task."""

    sandbox: Sandbox
    server: SandboxServer
    bot: Bot
    token: str
    polling: asyncio.Task[None]
    users: dict[str, SandboxUser] = field(default_factory=dict)
    group: SandboxGroup | None = None


@contextlib.asynccontextmanager
async def serve_dispatcher(
    dispatcher: Dispatcher,
    *,
    username: str = "neon_demo_bot",
    name: str | None = None,
    users: Sequence[DemoUser] = DEMO_USERS,
    group: str | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    allow_public: bool = False,
    sandbox: Sandbox | None = None,
    bot: Bot | None = None,
    bot_defaults: DefaultBotProperties | None = None,
    handle_signals: bool = False,
) -> AsyncIterator[RunningSandbox]:
    """Run a dispatcher on a sandbox for as long as the block lasts; it polls when the block is entered.

    :param group: the title of a group with everybody in it; none by default.
    :param port: 0 takes a free one; a taken one is replaced by a free one.
    :param sandbox: the world to use; a new one by default. The bot and the users are added to it.
    :param bot: the program's own, for programs whose handlers call it by name: it keeps its token and its defaults, and
        calls the sandbox until the block is left. By default one is made.
    :param bot_defaults: aiogram's ``default=`` for the bot that is made.
    :param handle_signals: let SIGINT and SIGTERM end the polling.
    """
    if bot is not None and bot_defaults is not None:
        raise ArgumentError("bot_defaults must be left out beside bot, which has its own")
    world = sandbox or Sandbox()
    token = world.create_bot(username, name=name, token=bot.token if bot else None)
    created = {
        user.name: world.create_user(user.name, stars=user.stars, language_code=user.language_code) for user in users
    }
    club = world.create_group(group, created.values()) if group else None
    server = await _bind(world, host, port, allow_public)
    session = LocalSession(api=server.api)
    bot = bot or Bot(token, session=session, default=bot_defaults)
    with borrowing(bot, session):
        polling = asyncio.create_task(
            dispatcher.start_polling(bot, handle_signals=handle_signals, close_bot_session=False)
        )
        try:
            await _until_polling(world, token, polling)
            yield RunningSandbox(world, server, bot, token, polling, created, club)
        finally:
            if not polling.done():
                with contextlib.suppress(RuntimeError):  # it has not begun to poll, or has just stopped
                    await dispatcher.stop_polling()
                if not polling.done():
                    polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)
            await session.close()
            await server.stop()


def run_sandbox(
    dispatcher: Dispatcher,
    *,
    username: str = "neon_demo_bot",
    name: str | None = None,
    users: Sequence[DemoUser] = DEMO_USERS,
    group: str | None = None,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    allow_public: bool = False,
    sandbox: Sandbox | None = None,
    bot: Bot | None = None,
    bot_defaults: DefaultBotProperties | None = None,
) -> None:
    """Run a dispatcher on a sandbox of its own until Ctrl-C or SIGTERM, and print the page's address.

    Parameters are those of :func:`serve_dispatcher`.
    """

    async def main() -> None:
        async with serve_dispatcher(
            dispatcher,
            username=username,
            name=name,
            users=users,
            group=group,
            host=host,
            port=port,
            allow_public=allow_public,
            sandbox=sandbox,
            bot=bot,
            bot_defaults=bot_defaults,
            handle_signals=True,
        ) as running:
            print(f"\n  The sandbox is open: {running.server.url}/", flush=True)
            print(f"  Chat there with @{username} and pay with play Stars. Ctrl-C stops it.\n", flush=True)
            await running.polling

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())


async def _bind(sandbox: Sandbox, host: str, port: int, allow_public: bool) -> SandboxServer:
    server = SandboxServer(sandbox, host=host, port=port, allow_public=allow_public)
    try:
        await server.start()
    except OSError:
        if port == 0:
            raise
        server = SandboxServer(sandbox, host=host, port=0, allow_public=allow_public)
        await server.start()
    return server


async def _until_polling(sandbox: Sandbox, token: str, polling: asyncio.Task[None]) -> None:
    account = sandbox.world.bot_by_token(token)
    assert account is not None
    arrivals = sandbox.world.arrivals
    polling.add_done_callback(lambda _: arrivals.notify())
    await arrivals.until(lambda: account.poll.active or polling.done(), _START_SECONDS)
    if polling.done():
        polling.result()
