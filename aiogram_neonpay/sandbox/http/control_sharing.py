"""Owns the control API's routes for what people share: files, contacts, places, forwards, links, paid media."""

from __future__ import annotations

import base64
import binascii
from dataclasses import asdict
from typing import Any

from aiohttp import web

from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.http.content import SHOWN_TYPES
from aiogram_neonpay.sandbox.http.fields import Route, body_of, counted, number, only, optional_id, text, whole
from aiogram_neonpay.sandbox.models import ChatMessage, Json
from aiogram_neonpay.sandbox.users import SandboxUser

_PLACE = frozenset({"chat_id", "bot_id"})


def sharing_routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes about content."""
    routes = _Sharing(sandbox)
    return [
        ("POST", "/users/{id}/file", routes.file),
        ("POST", "/users/{id}/contact", routes.contact),
        ("POST", "/users/{id}/location", routes.location),
        ("POST", "/users/{id}/forward", routes.forward),
        ("POST", "/users/{id}/open", routes.open_link),
        ("POST", "/users/{id}/unlock", routes.unlock),
        ("GET", "/files/{id}", routes.content),
    ]


class _Sharing:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def file(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        only(body, _PLACE | {"kind", "content", "name", "caption"})
        kind: Any = text(body, "kind") if "kind" in body else "photo"
        name = text(body, "name") if "name" in body else None
        caption = text(body, "caption") if "caption" in body else ""
        content = None
        if "content" in body:
            try:
                content = base64.b64decode(text(body, "content"), validate=True)
            except (binascii.Error, ValueError):
                raise SandboxError("the field 'content' must be base64") from None
        return _sent(await user.send_file(content, kind=kind, name=name, caption=caption, **_place(body)))

    async def contact(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        only(body, _PLACE | {"phone_number", "first_name"})
        phone = text(body, "phone_number") if "phone_number" in body else None
        name = text(body, "first_name") if "first_name" in body else None
        return _sent(await user.send_contact(phone, name, **_place(body)))

    async def location(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        only(body, _PLACE | {"latitude", "longitude"})
        latitude, longitude = number(body, "latitude", 0), number(body, "longitude", 0)
        return _sent(await user.send_location(latitude, longitude, **_place(body)))

    async def forward(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        only(body, _PLACE | {"message_id", "to_chat_id", "to_bot_id"})
        message = _message(user, body)
        chat, bot = optional_id(body, "to_chat_id"), optional_id(body, "to_bot_id")
        return _sent(await user.forward(message, chat=chat, bot=bot))

    async def open_link(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        return _sent(await user.open_link(text(only(body, frozenset({"link"})), "link")))

    async def unlock(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        only(body, _PLACE | {"message_id"})
        if "message_id" in body:
            receipt = await user.unlock(_message(user, body))
        else:
            receipt = await user.unlock(chat=optional_id(body, "chat_id"), bot=optional_id(body, "bot_id"))
        return web.json_response(asdict(receipt))

    async def content(self, request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        file = self._sandbox.world.files.shown_as(wanted)
        if file is None or file.content is None:
            return web.json_response({"error": "there is no such file"}, status=404)
        # Whatever somebody has sent: only pictures are shown, by the type that their own header says.
        if file.mime in SHOWN_TYPES:
            return web.Response(body=file.content, content_type=file.mime)
        headers = {"Content-Disposition": "attachment"}
        return web.Response(body=file.content, content_type="application/octet-stream", headers=headers)

    def _user(self, request: web.Request) -> SandboxUser:
        return self._sandbox.user(counted(request.match_info["id"]) or 0)


def _place(body: Json) -> Json:
    return {"chat": optional_id(body, "chat_id"), "bot": optional_id(body, "bot_id")}


def _message(user: SandboxUser, body: Json) -> ChatMessage:
    wanted = whole(body, "message_id", 0)
    for message in user.messages(**_place(body)):
        if message.id == wanted:
            return message
    raise SandboxError("this message is no longer there")


def _sent(message: ChatMessage) -> web.Response:
    return web.json_response({"message_id": message.id, "message": message.raw})
