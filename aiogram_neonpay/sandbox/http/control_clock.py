"""Owns the control API's clock: moving it, setting it to a moment, stopping it and letting it run."""

from __future__ import annotations

from aiohttp import web

from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.http.fields import Route, body_of, number, only, truth

#: How far one request may move the clock, in seconds.
_FURTHEST = 100 * 366 * 86_400
_FIELDS = frozenset({"seconds", "moment", "running"})


def clock_routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes about time."""
    clock = sandbox.clock

    async def change(request: web.Request) -> web.Response:
        body = only(await body_of(request), _FIELDS)
        if len(body) != 1:
            raise SandboxError(f"give one of {', '.join(sorted(_FIELDS))}, not {len(body)} of them")
        if "running" in body:
            if truth(body, "running", True):
                clock.resume()
            else:
                clock.pause()
        else:
            step = number(body, "seconds", 0) if "seconds" in body else number(body, "moment", 0) - clock.now()
            if not 0 <= step <= _FURTHEST:
                raise SandboxError(
                    f"the clock cannot go back, nor further than {_FURTHEST} seconds at once, but {step:g}"
                )
            clock.advance(seconds=step)
        sandbox.world.feed.publish("clock", now=clock.now(), running=clock.running)
        return web.json_response({"now": clock.now(), "running": clock.running})

    return [("POST", "/clock", change)]
