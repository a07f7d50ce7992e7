"""Owns the Bot API over HTTP: paths, body forms, sizes, and the shape of answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.http.connections import in_time
from aiogram_neonpay.sandbox.http.listening import Listening
from aiogram_neonpay.sandbox.http.multipart import TooLarge, read_parts
from aiogram_neonpay.sandbox.line import Line
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.parameters import decode

#: The largest request body in bytes, beside the files of a multipart form.
BODY_BYTES = 2 * 1024 * 1024
_FORM = "application/x-www-form-urlencoded"


def add_bot_api(app: web.Application, sandbox: Sandbox, listening: Listening) -> None:
    """Serve ``/bot<token>/<method>``, ``/file/bot<token>/<path>``, and both with the test environment's ``/test``."""
    line = Line(sandbox)

    async def handle(request: web.Request) -> web.Response:
        try:
            with in_time(request):
                values = await _values(request)
        except _UnreadableBody:
            return _refusal(400, "Bad Request: can't parse request body")
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, "Request Entity Too Large")
        token, method = request.match_info["token"], request.match_info["method"]
        with listening.heard(token, method):
            reply = await line.call(token, method, values)
        if reply is None:
            if request.transport is not None:
                request.transport.close()
            return web.Response()  # goes nowhere
        return web.json_response(reply.body, status=reply.status, headers=_retry(reply.body))

    async def download(request: web.Request) -> web.Response:
        if sandbox.world.bot_by_token(request.match_info["token"]) is None:
            return _refusal(401, "Unauthorized")
        file = sandbox.world.files.at(request.match_info["path"])
        if file is None or file.content is None or not file.downloadable:
            return _refusal(404, "Not Found")
        # Never a type that a browser would run: the content is whatever somebody has sent.
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=file.content, content_type="application/octet-stream", headers=headers)

    async def lost(request: web.Request) -> web.Response:
        return _refusal(404, "Not Found")

    for path in ("/bot{token:[^/]+}/test/{method:[^/]+}", "/bot{token:[^/]+}/{method:[^/]+}"):
        app.router.add_route("GET", path, handle)
        app.router.add_route("POST", path, handle)
    for path in ("/file/bot{token:[^/]+}/test/{path:.+}", "/file/bot{token:[^/]+}/{path:.+}"):
        app.router.add_get(path, download)
    app.router.add_route("*", "/bot{rest:.*}", lost)
    app.router.add_route("*", "/file/{rest:.*}", lost)


class _UnreadableBody(Exception):
    """The body is not what its content type says."""


async def _values(request: web.Request) -> Json:
    # Telegram reads the query string and the body alike, that of a GET too; the body wins.
    values: Json = dict(request.query)
    if not request.body_exists:
        return values
    kind = request.content_type.lower()
    try:
        if kind == "application/json":
            body = decode(await request.read() or b"{}")
            if not isinstance(body, dict):
                raise _UnreadableBody
            values.update(body)
        elif kind == _FORM:
            values.update(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        elif kind == "multipart/form-data":
            values.update(await _multipart(request))
    except (ValueError, AssertionError, web.RequestPayloadError, HttpProcessingError):
        raise _UnreadableBody from None
    return values


async def _multipart(request: web.Request) -> Json:
    try:
        return await read_parts(await request.multipart(), request.content, BODY_BYTES)
    except TooLarge:
        raise web.HTTPRequestEntityTooLarge(max_size=BODY_BYTES, actual_size=BODY_BYTES + 1) from None


def _retry(body: Json) -> dict[str, str]:
    parameters: dict[str, Any] = body.get("parameters", {})
    return {"Retry-After": str(parameters["retry_after"])} if "retry_after" in parameters else {}


def _refusal(status: int, description: str) -> web.Response:
    return web.json_response({"ok": False, "error_code": status, "description": description}, status=status)
