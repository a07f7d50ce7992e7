"""Owns the control API: JSON routes with which the page, or any program, plays the people of the sandbox.

All paths begin with ``/sandbox/api``. Requests with a body are POST with ``Content-Type: application/json``;
a refused one answers 400 or 404 with ``{"error": "..."}``. A chat is named by ``chat_id`` (a group's id, or
the user's own) and, for a private chat in a sandbox of several bots, ``bot_id``.

=======================================  ==================================================================
``GET /state``                           people with balances, bots with balances, the time
``POST /users``                          ``{name, stars?, language_code?}``: a new person
``GET /users/{id}/chats``                the person's chat list
``GET /users/{id}/messages``             one chat (``?chat_id=&bot_id=``): messages, keyboard, commands
``POST /users/{id}/send``                ``{text, chat_id?, bot_id?}``: write a message
``POST /users/{id}/tap``                 ``{message_id, row, column, chat_id?, bot_id?}``: tap an inline
                                         button; answers ``{text, alert, url, answered}``
``POST /users/{id}/form``                ``{message_id, chat_id?, bot_id?}`` or ``{link}``: open an invoice
``POST /users/{id}/pay``                 ``{form_id}``: confirm; answers the receipt once the bot decided
``POST /users/{id}/stars``               ``{amount}``: buy Stars
``POST /users/{id}/block``               ``{blocked, bot_id?}``: block or unblock the bot
``POST /users/{id}/inline``              ``{query, bot_id?}``: inline query; answers ``{results}``
``POST /users/{id}/inline/send``         ``{result_id, chat_id?, bot_id?}``: send one of its results
``GET /users/{id}/history``              the changes of the person's balance, newest first
``GET /bots/{id}/transactions``          the bot's balance and transactions, newest first
``POST /refund``                         ``{charge_id}``: refund, as another program would
``POST /repeat``                         ``{charge_id}``: deliver successful_payment again
``POST /clock``                          ``{seconds}``: move time forward
``GET /log``                             the latest updates and Bot API calls
``GET /events``                          server-sent events: message, deleted, action, users, ledger,
                                         commands, update, call, clock
=======================================  ==================================================================
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from aiohttp import web

from aiogram_neonpay.sandbox import people
from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.http import views
from aiogram_neonpay.sandbox.methods import shown_call
from aiogram_neonpay.sandbox.models import Chat, Json, Message
from aiogram_neonpay.sandbox.transcript import inline_rows
from aiogram_neonpay.sandbox.users import SandboxUser, find_bot

#: How long a tap waits for its callback answer, in real seconds.
TAP_SECONDS = 10.0
#: Silence after which a stream sends a comment, so that both sides notice a dead connection.
_HEARTBEAT_SECONDS = 15.0
_LOG_LENGTH = 150

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_control_api(app: web.Application, sandbox: Sandbox) -> None:
    """Serve the routes of this module's table."""
    control = _Control(sandbox)
    routes: dict[str, tuple[str, _Handler]] = {
        "/state": ("GET", control.state),
        "/users": ("POST", control.add_user),
        "/users/{id}/chats": ("GET", control.chats),
        "/users/{id}/messages": ("GET", control.messages),
        "/users/{id}/send": ("POST", control.send),
        "/users/{id}/tap": ("POST", control.tap),
        "/users/{id}/form": ("POST", control.form),
        "/users/{id}/pay": ("POST", control.pay),
        "/users/{id}/stars": ("POST", control.stars),
        "/users/{id}/block": ("POST", control.block),
        "/users/{id}/inline": ("POST", control.inline),
        "/users/{id}/inline/send": ("POST", control.send_inline),
        "/users/{id}/history": ("GET", control.history),
        "/bots/{id}/transactions": ("GET", control.transactions),
        "/refund": ("POST", control.refund),
        "/repeat": ("POST", control.repeat),
        "/clock": ("POST", control.clock),
        "/log": ("GET", control.log),
        "/events": ("GET", control.events),
    }
    for path, (method, handler) in routes.items():
        app.router.add_route(method, f"/sandbox/api{path}", _explained(handler))


def _explained(handler: _Handler) -> _Handler:
    async def run(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except SandboxError as error:
            return web.json_response({"error": str(error)}, status=400)

    return run


class _Control:
    """The handlers of the control API."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._world = sandbox.world

    async def state(self, request: web.Request) -> web.Response:
        return web.json_response(views.overview(self._world))

    async def add_user(self, request: web.Request) -> web.Response:
        body = await _body(request)
        name = _text(body, "name").strip()
        if not name:
            raise SandboxError("a person needs a name")
        language = body.get("language_code")
        user = self._sandbox.create_user(
            name[:64],
            stars=_whole(body, "stars", 0),
            language_code=language if isinstance(language, str) else "en",
        )
        return web.json_response(views.user_view(self._world.people[user.id]))

    async def chats(self, request: web.Request) -> web.Response:
        user = self._user(request)
        chats = [views.chat_view(self._world, chat) for chat in self._world.chats_of(user.id)]
        return web.json_response({"chats": chats})

    async def messages(self, request: web.Request) -> web.Response:
        user = self._user(request)
        chat = self._chat(user, dict(request.query))
        person = self._world.people[user.id]
        return web.json_response(views.conversation(self._world, chat, person))

    async def send(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await _body(request)
        person = self._world.people[user.id]
        message = people.write(self._world, person, self._chat(user, body), _text(body, "text"))
        return web.json_response(views.message_view(self._world, message))

    async def tap(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await _body(request)
        message = self._message(user, body)
        rows = inline_rows(message)
        try:
            button = rows[_whole(body, "row", -1)][_whole(body, "column", -1)]
        except IndexError:
            raise SandboxError("this button is no longer there") from None
        followed = people.deep_link(self._world, button.get("url", ""))
        if followed is not None:
            bot, command = followed
            chat = self._world.private_chat(bot.id, user.id)
            people.write(self._world, self._world.people[user.id], chat, command)
            return web.json_response({"answered": True, "chat_id": user.id, "bot_id": bot.id})
        if not button.get("callback_data"):
            raise SandboxError("this button sends nothing to the bot")
        query = people.tap(self._world, self._world.people[user.id], message, button["callback_data"])
        await self._world.changed.until(lambda: query.answered, TAP_SECONDS)
        answer = {"answered": query.answered, "text": query.text, "alert": query.alert, "url": query.url}
        return web.json_response(answer)

    async def form(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await _body(request)
        person = self._world.people[user.id]
        message = None
        if "link" in body:
            invoice = people.linked_invoice(self._world, _text(body, "link"))
        else:
            message = self._message(user, body)
            if message.invoice is None:
                raise SandboxError("this message is no invoice")
            invoice = message.invoice
        form = self._sandbox.payments.open_form(person, invoice, message)
        return web.json_response(views.form_view(form, self._world))

    async def pay(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await _body(request)
        receipt = await self._sandbox.payments.submit(user.id, _text(body, "form_id"))
        return web.json_response(asdict(receipt))

    async def stars(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await _body(request)
        user.top_up(_whole(body, "amount", 0))
        return web.json_response({"stars": user.balance})

    async def block(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await _body(request)
        bot_id = _optional_id(body, "bot_id")
        if body.get("blocked"):
            user.block(bot=bot_id)
        else:
            user.unblock(bot=bot_id)
        return web.json_response({"blocked": bool(body.get("blocked"))})

    async def inline(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await _body(request)
        results = await user.inline(_text(body, "query"), bot=_optional_id(body, "bot_id"))
        return web.json_response({"results": results})

    async def send_inline(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await _body(request)
        chat_id, bot_id = _optional_id(body, "chat_id"), _optional_id(body, "bot_id")
        message = await user.send_inline(_text(body, "result_id"), chat=chat_id, bot=bot_id)
        return web.json_response({"message_id": message.id})

    async def history(self, request: web.Request) -> web.Response:
        user = self._user(request)
        return web.json_response({"history": views.history(self._world.people[user.id])})

    async def transactions(self, request: web.Request) -> web.Response:
        bot = find_bot(self._world, request.match_info["id"])
        return web.json_response(views.ledger(self._world, bot))

    async def refund(self, request: web.Request) -> web.Response:
        self._sandbox.refund(_text(await _body(request), "charge_id"))
        return web.json_response({"refunded": True})

    async def repeat(self, request: web.Request) -> web.Response:
        self._sandbox.repeat_update(_text(await _body(request), "charge_id"))
        return web.json_response({"repeated": True})

    async def clock(self, request: web.Request) -> web.Response:
        seconds = _whole(await _body(request), "seconds", 0)
        if seconds < 0:
            raise SandboxError("the clock cannot go back")
        self._sandbox.clock.advance(seconds=seconds)
        self._world.feed.publish("clock", now=self._world.clock.now())
        return web.json_response({"now": self._world.clock.now()})

    async def log(self, request: web.Request) -> web.Response:
        calls = list(itertools.islice(reversed(self._world.calls), _LOG_LENGTH))
        updates = list(itertools.islice(reversed(self._world.updates_shown), _LOG_LENGTH))
        return web.json_response({"calls": [shown_call(call) for call in calls], "updates": updates})

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        # A page that is closed, reloaded or on a lost connection ends its stream at whatever moment it likes.
        with suppress(ConnectionResetError), self._world.feed.subscribe() as queue:
            await response.write(b"retry: 1000\n\n")
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), _HEARTBEAT_SECONDS)
                except asyncio.TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if event is None:
                    break
                await response.write(f"data: {json.dumps(event)}\n\n".encode())
        return response

    # --- reading requests ---

    def _user(self, request: web.Request) -> SandboxUser:
        written = request.match_info["id"]
        return self._sandbox.user(int(written) if written.isdigit() else 0)

    def _chat(self, user: SandboxUser, values: Json) -> Chat:
        chat_id = _optional_id(values, "chat_id")
        if chat_id in (None, user.id):
            bot = find_bot(self._world, _optional_id(values, "bot_id"))
            return self._world.private_chat(bot.id, user.id)
        for chat in self._world.chats_of(user.id):
            if chat.id == chat_id:
                return chat
        raise SandboxError(f"{user.name} is in no chat {chat_id}")

    def _message(self, user: SandboxUser, body: Json) -> Message:
        message = self._chat(user, body).messages.get(_whole(body, "message_id", 0))
        if message is None:
            raise SandboxError("this message is no longer there")
        return message


async def _body(request: web.Request) -> Json:
    try:
        body: Any = await request.json()
    except ValueError:
        raise SandboxError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise SandboxError("the body must be a JSON object")
    return body


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise SandboxError(f"the field {name!r} must be a string")
    return value


def _whole(body: Json, name: str, default: int) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SandboxError(f"the field {name!r} must be a whole number")
    return value


def _optional_id(body: Json, name: str) -> int | None:
    value = body.get(name)
    if value in (None, "", "null"):
        return None
    try:
        return int(str(value))
    except ValueError:
        raise SandboxError(f"the field {name!r} must be an id") from None
