"""Owns reading the requests of the control API: JSON bodies, their fields, and numbers in the query string."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.http.connections import in_time
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.parameters import decode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
#: What a module of the control API serves: method, path below ``/sandbox/api``, handler.
Route = tuple[str, str, Handler]
_DIGITS = re.compile("[0-9]{1,18}")


async def body_of(request: web.Request) -> Json:
    """Return the JSON object a request carries."""
    try:
        with in_time(request):
            body: Any = decode(await request.read())
    except (ValueError, web.RequestPayloadError):
        raise SandboxError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise SandboxError("the body must be a JSON object")
    return body


def text(body: Json, name: str) -> str:
    """Return a field that must be a string."""
    value = body.get(name)
    if not isinstance(value, str):
        raise SandboxError(f"the field {name!r} must be a string")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise SandboxError(f"the field {name!r} holds half a character")
    return value


def whole(body: Json, name: str, default: int) -> int:
    """Return a field that must be a whole number, if it is there."""
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SandboxError(f"the field {name!r} must be a whole number")
    return value


def number(body: Json, name: str, default: float) -> float:
    """Return a field that must be a number, if it is there."""
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SandboxError(f"the field {name!r} must be a number")
    try:
        return float(value)
    except OverflowError:
        raise SandboxError(f"the field {name!r} is too large a number") from None


def truth(body: Json, name: str, default: bool) -> bool:
    """Return a field that must be true or false, if it is there."""
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise SandboxError(f"the field {name!r} must be true or false")
    return value


def optional_id(body: Json, name: str) -> int | None:
    """Return a field that names a chat or a bot, or ``None``."""
    value = body.get(name)
    if value in (None, "", "null"):
        return None
    try:
        return int(str(value))
    except ValueError:
        raise SandboxError(f"the field {name!r} must be an id") from None


def only(body: Json, allowed: frozenset[str]) -> Json:
    """Return the body if it has no other fields: a misspelt one must not be passed over."""
    if unknown := sorted(set(body) - allowed):
        raise SandboxError(f"there is no field {unknown[0]!r}; there are {', '.join(sorted(allowed))}")
    return body


def asked(request: web.Request, name: str, default: int, high: int) -> int:
    """Return a whole number from the query string, 0 to ``high``."""
    written = request.query.get(name, str(default))
    value = counted(written)
    if value is None or value > high:
        raise SandboxError(f"{name} must be a whole number from 0 to {high}, not {written[:40]!r}")
    return value


def counted(written: str) -> int | None:
    """Return the number that a few digits write, or ``None`` for everything else."""
    return int(written) if _DIGITS.fullmatch(written) else None
