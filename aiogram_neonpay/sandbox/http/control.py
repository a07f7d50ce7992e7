"""Owns the control API: JSON routes with which the page, or any program, plays the people of the sandbox.

All paths begin with ``/sandbox/api``. Requests with a body are POST with ``Content-Type: application/json``;
a refused one answers 400 or 404 with ``{"error": "..."}``. A chat is named by ``chat_id`` (a group's id, or
the user's own) and, for a private chat in a sandbox of several bots, ``bot_id``. ``{id}`` of a bot is its id or
its username.

=======================================  ==================================================================
``GET /state``                           people with balances and the number of their ``subscriptions``, the
                                         time, bots with balances and what keeps them from their updates
``POST /users``                          ``{name, stars?, language_code?, started?}``: a new person
``GET /users/{id}/chats``                the person's chat list
``GET /users/{id}/messages``             one chat (``?chat_id=&bot_id=&limit=``): its newest messages, how many
                                         are ``earlier``, keyboard, commands
``POST /users/{id}/send``                ``{text, chat_id?, bot_id?, reply_to?}``: write a message, in reply to another
``POST /users/{id}/tap``                 ``{message_id, row, column, chat_id?, bot_id?}``: tap an inline
                                         button; answers ``{text, alert, url, answered}``
                                         or ``{button, chat_id?, bot_id?}``: tap an inline or reply button by its
                                         text
``POST /users/{id}/file``                ``{kind?, content?, name?, caption?, chat_id?, bot_id?}``: send a photo
                                         or another file, ``content`` in base64
``POST /users/{id}/contact``             ``{phone_number?, first_name?, chat_id?, bot_id?}``: share a contact
``POST /users/{id}/location``            ``{latitude, longitude, chat_id?, bot_id?}``: share a place
``POST /users/{id}/forward``             ``{message_id, chat_id?, bot_id?, to_chat_id?, to_bot_id?}``
``POST /users/{id}/open``                ``{link}``: open ``https://t.me/<bot>?start=<value>``
``POST /users/{id}/unlock``              ``{message_id, chat_id?, bot_id?}`` or ``{}`` (the newest): buy paid
                                         media; answers the receipt
``GET /files/{id}``                      a file by its `file_unique_id`: pictures to show, others to save
``POST /users/{id}/form``                ``{message_id, chat_id?, bot_id?}`` or ``{link}``: open an invoice
``POST /users/{id}/pay``                 ``{form_id}``: confirm; or open and confirm at once: ``{message_id}``,
                                         ``{link}``, ``{payload}``, ``{}`` (the newest invoice, with ``chat_id``
                                         or ``bot_id`` there); answers the receipt once the bot decided
``POST /users/{id}/stars``               ``{amount}``: buy Stars
``POST /users/{id}/block``               ``{blocked, bot_id?}``: block or unblock the bot
``POST /users/{id}/inline``              ``{query, bot_id?}``: inline query; answers ``{results}``
``POST /users/{id}/inline/send``         ``{result_id, chat_id?, bot_id?}``: send one of its results
``GET /users/{id}/history``              the changes of the person's balance, newest first
``GET /users/{id}/subscriptions``        the person's subscriptions, newest first, those that are over included:
                                         ``charge_id`` of the first payment, ``title``, ``amount``, ``period``,
                                         ``state``, ``until``, ``can_cancel``, ``can_restore``, ``short`` (Stars
                                         that are missing for the next payment) and more
``POST .../subscriptions/cancel``        ``{charge_id}``, ``{payload}`` or ``{}`` (the only one): cancel it
``POST .../subscriptions/restore``       the same: re-enable it before its period ends
``GET /bots/{id}/subscriptions``         everybody's subscriptions to a bot, newest first
``POST /bots``                           ``{username, name?, token?}``: a new bot; answers its ``token`` too
``GET /bots/{id}``                       balance, pending updates, whether it polls, its webhook
``GET /bots/{id}/transactions``          balance and transactions for reading, newest first
                                         (``?offset=&limit=``, 200 of them)
``GET /bots/{id}/ledger``                balance and `StarTransaction` objects, oldest first
                                         (``?offset=&limit=``, 1000 of them, at most 10,000)
``POST /bots/{id}/ledger/sales``         ``{sales: [PastSale, ...], in_order?}``: answers their ``ids``
``POST /bots/{id}/ledger/rows``          ``{kind, amount, ...}`` as ``BotLedger.add_row``
``POST /bots/{id}/ledger/drop``          ``{oldest}``: drop so many of the oldest rows
``POST /bots/{id}/ledger/hide``          ``{charge_id, seconds}``: hide a charge's rows for a while
``POST /bots/{id}/affiliate``            ``{user, per_mille}``: who earns on later sales; ``{user: null}`` ends
``GET /calls``                           recorded Bot API calls, oldest first (``?since=&limit=&method=``);
                                         ``next`` is the ``since`` of the next page
``POST /refund``                         ``{charge_id, notify?}``: refund, as another program would
``POST /chargeback``                     ``{charge_id, row?}``: the buyer's app store takes the Stars back
``POST /repeat``                         ``{charge_id}``: deliver successful_payment again
``GET /faults``                          the fault rules with their counts
``POST /faults``                         ``{method, error | hang | drop | slow, ...}`` as ``Faults.add``, or
                                         ``{update, drop | delay | reorder | repeat, ...}`` as
                                         ``Faults.add_update``; answers the rule with its ``id``
``DELETE /faults``, ``/faults/{id}``     forget all rules, or one
``POST /clock``                          ``{seconds}``: move time forward, fractions are allowed; ``{moment}``: to a
                                         moment, Unix seconds; ``{running}``: let it run by itself or stop it;
                                         answers ``{now, running}``
``GET /log``                             the latest updates and Bot API calls
``GET /events``                          server-sent events: message, deleted, action, users, ledger,
                                         subscriptions, commands, listening, update, call, clock, faults
=======================================  ==================================================================
"""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import suppress
from dataclasses import asdict

from aiohttp import web

from aiogram_neonpay.sandbox import people
from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.http import views
from aiogram_neonpay.sandbox.http.connections import in_time
from aiogram_neonpay.sandbox.http.control_bots import bot_routes
from aiogram_neonpay.sandbox.http.control_clock import clock_routes
from aiogram_neonpay.sandbox.http.control_faults import fault_routes
from aiogram_neonpay.sandbox.http.control_sharing import sharing_routes
from aiogram_neonpay.sandbox.http.control_subscriptions import subscription_routes
from aiogram_neonpay.sandbox.http.fields import (
    Handler,
    Route,
    asked,
    body_of,
    counted,
    only,
    optional_id,
    text,
    truth,
    whole,
)
from aiogram_neonpay.sandbox.http.listening import Listening
from aiogram_neonpay.sandbox.methods import shown_call
from aiogram_neonpay.sandbox.models import Chat, Invoice, Json, Message, Receipt
from aiogram_neonpay.sandbox.presence import find_bot
from aiogram_neonpay.sandbox.rules import MESSAGES_KEPT
from aiogram_neonpay.sandbox.transcript import inline_rows
from aiogram_neonpay.sandbox.users import SandboxUser

#: How long a tap waits for its callback answer, in real seconds.
TAP_SECONDS = 10.0
#: Silence after which a stream sends a comment, so that both sides notice a dead connection.
_HEARTBEAT_SECONDS = 15.0
_LOG_LENGTH = 150
#: How many streams of events there may be at once; a page has one.
STREAMS = 100


def add_control_api(app: web.Application, sandbox: Sandbox, listening: Listening) -> None:
    """Serve the routes of this module's table."""
    control = _Control(sandbox, listening)
    people_routes: list[Route] = [
        ("GET", "/state", control.state),
        ("POST", "/users", control.add_user),
        ("GET", "/users/{id}/chats", control.chats),
        ("GET", "/users/{id}/messages", control.messages),
        ("POST", "/users/{id}/send", control.send),
        ("POST", "/users/{id}/tap", control.tap),
        ("POST", "/users/{id}/form", control.form),
        ("POST", "/users/{id}/pay", control.pay),
        ("POST", "/users/{id}/stars", control.stars),
        ("POST", "/users/{id}/block", control.block),
        ("POST", "/users/{id}/inline", control.inline),
        ("POST", "/users/{id}/inline/send", control.send_inline),
        ("GET", "/users/{id}/history", control.history),
        ("GET", "/log", control.log),
        ("GET", "/events", control.events),
    ]
    elsewhere = [*sharing_routes(sandbox), *bot_routes(sandbox), *subscription_routes(sandbox)]
    elsewhere += [*fault_routes(sandbox), *clock_routes(sandbox)]
    for method, path, handler in [*people_routes, *elsewhere]:
        app.router.add_route(method, f"/sandbox/api{path}", _explained(handler))


def _explained(handler: Handler) -> Handler:
    async def run(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except SandboxError as error:
            return web.json_response({"error": str(error)}, status=400)
        except web.HTTPRequestEntityTooLarge:
            return web.json_response({"error": f"a body holds at most {request.client_max_size} bytes"}, status=413)

    return run


class _Control:
    """The handlers of the control API."""

    def __init__(self, sandbox: Sandbox, listening: Listening) -> None:
        self._sandbox = sandbox
        self._world = sandbox.world
        self._paying: set[asyncio.Task[Receipt]] = set()
        self._listening = listening

    async def state(self, request: web.Request) -> web.Response:
        running = self._sandbox.payments.subscriptions.running()
        return web.json_response(views.overview(self._world, self._listening.trouble, running))

    async def add_user(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        name = text(body, "name").strip()
        if not name:
            raise SandboxError("a person needs a name")
        language = body.get("language_code")
        user = self._sandbox.create_user(
            name[:64],
            stars=whole(body, "stars", 0),
            language_code=language if isinstance(language, str) else "en",
            started=truth(body, "started", False),
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
        limit = asked(request, "limit", MESSAGES_KEPT, MESSAGES_KEPT)
        return web.json_response(views.conversation(self._world, chat, person, limit))

    async def send(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        person = self._world.people[user.id]
        replied = self._message(user, {**body, "message_id": body["reply_to"]}) if body.get("reply_to") else None
        message = people.write(self._world, person, self._chat(user, body), text(body, "text"), replied)
        return web.json_response(views.message_view(self._world, message, user.id))

    async def tap(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        if "button" in body:
            only(body, frozenset({"button", "chat_id", "bot_id"}))
            chat_id, bot_id = optional_id(body, "chat_id"), optional_id(body, "bot_id")
            return web.json_response({"text": await user.tap(text(body, "button"), chat=chat_id, bot=bot_id)})
        message = self._message(user, body)
        rows = inline_rows(message)
        try:
            button = rows[whole(body, "row", -1)][whole(body, "column", -1)]
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
        user, body = self._user(request), await body_of(request)
        if "link" in body:
            opened: tuple[Invoice, Message | None] = people.linked_invoice(self._world, text(body, "link")), None
        else:
            opened = self._invoice(user, body)
        form = self._sandbox.payments.open_form(self._world.people[user.id], *opened)
        return web.json_response(views.form_view(form, self._world))

    async def pay(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        if "form_id" in body:
            paying = self._sandbox.payments.submit(user.id, text(body, "form_id"))
        elif "message_id" in body:
            form = self._sandbox.payments.open_form(self._world.people[user.id], *self._invoice(user, body))
            paying = self._sandbox.payments.submit(user.id, form.id)
        else:
            only(body, frozenset({"link", "payload", "chat_id", "bot_id"}))
            link, payload = (text(body, name) if name in body else None for name in ("link", "payload"))
            chat_id, bot_id = optional_id(body, "chat_id"), optional_id(body, "bot_id")
            paying = user.pay(link=link, payload=payload, chat=chat_id, bot=bot_id)
        # A payment that has been confirmed goes on, whether or not anybody waits for its receipt.
        task = asyncio.ensure_future(paying)
        self._paying.add(task)
        task.add_done_callback(self._paying.discard)
        return web.json_response(asdict(await asyncio.shield(task)))

    async def stars(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        user.top_up(whole(body, "amount", 0))
        return web.json_response({"stars": user.balance})

    async def block(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        bot_id = optional_id(body, "bot_id")
        if body.get("blocked"):
            user.block(bot=bot_id)
        else:
            user.unblock(bot=bot_id)
        return web.json_response({"blocked": bool(body.get("blocked"))})

    async def inline(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        results = await user.inline(text(body, "query"), bot=optional_id(body, "bot_id"))
        return web.json_response({"results": results})

    async def send_inline(self, request: web.Request) -> web.Response:
        user, body = self._user(request), await body_of(request)
        chat_id, bot_id = optional_id(body, "chat_id"), optional_id(body, "bot_id")
        message = await user.send_inline(text(body, "result_id"), chat=chat_id, bot=bot_id)
        return web.json_response({"message_id": message.id})

    async def history(self, request: web.Request) -> web.Response:
        user = self._user(request)
        return web.json_response({"history": views.history(self._world.people[user.id])})

    async def log(self, request: web.Request) -> web.Response:
        calls = list(itertools.islice(reversed(self._world.calls), _LOG_LENGTH))
        updates = list(itertools.islice(reversed(self._world.updates_shown), _LOG_LENGTH))
        return web.json_response({"calls": [shown_call(call) for call in calls], "updates": updates})

    async def events(self, request: web.Request) -> web.StreamResponse:
        if self._world.feed.listeners >= STREAMS:
            return web.json_response({"error": f"there are {STREAMS} streams of events already"}, status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        # A page that is closed, reloaded or on a lost connection ends its stream at whatever moment it likes.
        with suppress(ConnectionResetError), self._world.feed.subscribe() as queue:
            line = b"retry: 1000\n\n"
            while True:
                with in_time(request):
                    await response.write(line)
                try:
                    event = await asyncio.wait_for(queue.get(), _HEARTBEAT_SECONDS)
                except asyncio.TimeoutError:
                    line = b": still here\n\n"
                    continue
                if event is None:
                    break
                line = f"data: {json.dumps(event)}\n\n".encode()
        return response

    # --- reading requests ---

    def _user(self, request: web.Request) -> SandboxUser:
        return self._sandbox.user(counted(request.match_info["id"]) or 0)

    def _chat(self, user: SandboxUser, values: Json) -> Chat:
        chat_id = optional_id(values, "chat_id")
        if chat_id in (None, user.id):
            bot = find_bot(self._world, optional_id(values, "bot_id"))
            return self._world.private_chat(bot.id, user.id)
        for chat in self._world.chats_of(user.id):
            if chat.id == chat_id:
                return chat
        raise SandboxError(f"{user.name} is in no chat {chat_id}")

    def _invoice(self, user: SandboxUser, body: Json) -> tuple[Invoice, Message]:
        message = self._message(user, body)
        if message.invoice is None:
            raise SandboxError("this message is no invoice")
        return message.invoice, message

    def _message(self, user: SandboxUser, body: Json) -> Message:
        message = self._chat(user, body).messages.get(whole(body, "message_id", 0))
        if message is None:
            raise SandboxError("this message is no longer there")
        return message
