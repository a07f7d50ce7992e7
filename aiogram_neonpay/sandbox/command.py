"""Owns running a sandbox by itself, from the command line: what is printed, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from aiogram_neonpay.sandbox.clock import Clock
from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.http.server import SandboxServer
from aiogram_neonpay.sandbox.redis import ThrowawayRedis


@dataclass(frozen=True, slots=True)
class SandboxCommand:
    """What the command line asked for: ``users`` as name, Stars and language, ``start`` in Unix seconds."""

    host: str
    port: int
    allow_public: bool
    bots: Sequence[str]
    users: Sequence[tuple[str, int, str]]
    group: str | None
    seed: int | None
    start: float | None
    stopped: bool
    redis: bool


def run_command(command: SandboxCommand, *, out: TextIO, err: TextIO) -> int:
    """Run until SIGINT or SIGTERM; return the exit status, 1 when it cannot run."""
    try:
        asyncio.run(_run(command, out))
    except KeyboardInterrupt:
        return 0
    except (SandboxError, ValueError) as error:
        print(f"aiogram_neonpay sandbox: {error}", file=err)
        return 1
    return 0


async def _run(command: SandboxCommand, out: TextIO) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt
            loop.add_signal_handler(name, stopped.set)
    sandbox = Sandbox(command.seed, clock=Clock(command.start, running=not command.stopped))
    tokens = {username: sandbox.create_bot(username) for username in command.bots}
    people = [sandbox.create_user(name, stars=stars, language_code=code) for name, stars, code in command.users]
    if command.group:
        sandbox.create_group(command.group, people)
    async with contextlib.AsyncExitStack() as stack:
        server = await _serve(stack, sandbox, command)
        redis = await stack.enter_async_context(ThrowawayRedis()) if command.redis else None
        print(_greeting(server.url, tokens, redis), file=out, flush=True)
        await stopped.wait()


async def _serve(stack: contextlib.AsyncExitStack, sandbox: Sandbox, command: SandboxCommand) -> SandboxServer:
    try:
        server = SandboxServer(sandbox, host=command.host, port=command.port, allow_public=command.allow_public)
    except ValueError:
        raise SandboxError(
            f"{command.host} can be reached by other machines, and the sandbox has no passwords: leave out --host, or "
            "add --allow-public if that is what you want"
        ) from None
    try:
        return await stack.enter_async_context(server)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SandboxError(
                f"port {command.port} of {command.host} is in use: choose another with --port (0 takes a free one)"
            ) from None
        raise SandboxError(f"cannot listen on {command.host} port {command.port}: {error.strerror or error}") from None


def _greeting(url: str, tokens: dict[str, str], redis: ThrowawayRedis | None) -> str:
    lines = ["", f"The sandbox is open: {url}/", ""]
    for username, token in tokens.items():
        lines += [f"@{username}", f"  token       {token}", f"  Bot API     {url}/bot{token}/", ""]
    lines += [
        f"Clients that ask for the server's root take {url}",
        "These tokens open nothing but this sandbox, and are the same in every run.",
    ]
    if redis is not None:
        lines += ["", f"Redis: {redis.url}  (it ends with the sandbox and keeps nothing)"]
    return "\n".join([*lines, "", "Ctrl-C stops it.", ""])
