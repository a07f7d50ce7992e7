"""One URL in front of several workers, as a reverse proxy is: to Telegram they are one bot."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import aiohttp
from aiohttp import web

__all__ = ["Balancer", "knock"]

PATIENCE = 2.5
"""Seconds that a worker may take to answer."""


class Balancer:
    """Passes every update on to a worker by chance, whether it lives or not.

    :param seed: makes the choices the same in every run.
    :ivar doors: the unix sockets of the workers.
    :ivar counts: what became of updates: ``passed``, ``refused``, ``timed out``, ``answer lost``.
    """

    def __init__(self, seed: int) -> None:
        self.doors: list[Path] = []
        self.counts: Counter[str] = Counter()
        self.loses = 0.0
        self._dice = random.Random(f"{seed} balancer")
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self.doors:
            self.counts["refused"] += 1
            return web.Response(status=503)
        door = self._dice.choice(self.doors)
        try:
            async with _session(door, PATIENCE) as session:
                headers = {"Content-Type": request.content_type}
                async with session.post("http://worker/hook", data=body, headers=headers) as answer:
                    content = await answer.read()
        except asyncio.TimeoutError:
            self.counts["timed out"] += 1
            return web.Response(status=504)
        except (aiohttp.ClientError, OSError):
            self.counts["refused"] += 1
            return web.Response(status=502)
        if self._dice.random() < self.loses:
            self.counts["answer lost"] += 1
            return web.Response(status=502)
        self.counts["passed" if answer.status < 400 else f"answered {answer.status}"] += 1
        kept = {"Content-Type": answer.headers.get("Content-Type", "text/plain")}
        return web.Response(status=answer.status, body=content, headers=kept)


def _session(door: Path, seconds: float) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=seconds)
    return aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(door)), timeout=timeout)


async def knock(door: Path, method: str, path: str, seconds: float = 15.0) -> dict[str, object] | None:
    """Ask a worker through its door; ``None`` when it does not answer, or not with success."""
    try:
        async with _session(door, seconds) as session, session.request(method, f"http://worker{path}") as answer:
            found: dict[str, object] | None = await answer.json() if answer.status == 200 else None
            return found
    except (aiohttp.ClientError, OSError, asyncio.TimeoutError):
        return None
