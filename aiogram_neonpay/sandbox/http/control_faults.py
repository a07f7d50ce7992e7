"""Owns the control API's faults: ordering, listing and removing them."""

from __future__ import annotations

import inspect

from aiohttp import web

from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.faults.orders import Faults
from aiogram_neonpay.sandbox.http.fields import Route, body_of, counted, only

_CALL_FIELDS = frozenset(inspect.signature(Faults.add).parameters) - {"self"}
_UPDATE_FIELDS = frozenset(inspect.signature(Faults.add_update).parameters) - {"self"}


def fault_routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes about faults."""
    faults = sandbox.faults

    async def listed(request: web.Request) -> web.Response:
        return web.json_response({"faults": [rule.as_json() for rule in faults]})

    async def add(request: web.Request) -> web.Response:
        body = await body_of(request)
        if "update" in body:
            rule = faults.add_update(**only(body, _UPDATE_FIELDS)).as_json()
        else:
            rule = faults.add(**only(body, _CALL_FIELDS)).as_json()
        return web.json_response(rule)

    async def remove(request: web.Request) -> web.Response:
        rule = counted(request.match_info["id"])
        if rule is None:
            raise SandboxError(f"a rule's id is a whole number, not {request.match_info['id'][:40]!r}")
        faults.remove(rule)
        return web.json_response({"removed": 1})

    async def clear(request: web.Request) -> web.Response:
        removed = len(faults)
        faults.clear()
        return web.json_response({"removed": removed})

    return [
        ("GET", "/faults", listed),
        ("POST", "/faults", add),
        ("DELETE", "/faults", clear),
        ("DELETE", "/faults/{id}", remove),
    ]
