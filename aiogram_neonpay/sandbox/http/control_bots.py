"""Owns the control API's bots and money: accounts, calls, ledgers, refunds made elsewhere, repeated updates."""

from __future__ import annotations

import inspect
import itertools
from dataclasses import fields
from typing import Any

from aiohttp import web

from aiogram_neonpay.sandbox import ledger
from aiogram_neonpay.sandbox.bookkeeping import BotLedger, PastSale
from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.http import views
from aiogram_neonpay.sandbox.http.fields import Route, asked, body_of, number, only, text, truth, whole
from aiogram_neonpay.sandbox.methods import shown_call
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.presence import find_bot
from aiogram_neonpay.sandbox.rules import CALLS_KEPT
from aiogram_neonpay.sandbox.world import BotAccount

_PAGE = 1000
_MOST_ROWS = 10_000
_MOST = 1_000_000_000
_SALE_FIELDS = frozenset(field.name for field in fields(PastSale))
_ROW_FIELDS = frozenset(inspect.signature(BotLedger.add_row).parameters) - {"self"}


def bot_routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes about bots and their money."""
    routes = _Bots(sandbox)
    return [
        ("POST", "/bots", routes.add),
        ("GET", "/bots/{id}", routes.show),
        ("GET", "/bots/{id}/transactions", routes.transactions),
        ("GET", "/bots/{id}/ledger", routes.ledger),
        ("POST", "/bots/{id}/ledger/sales", routes.add_sales),
        ("POST", "/bots/{id}/ledger/rows", routes.add_row),
        ("POST", "/bots/{id}/ledger/drop", routes.drop),
        ("POST", "/bots/{id}/ledger/hide", routes.hide),
        ("POST", "/bots/{id}/affiliate", routes.affiliate),
        ("GET", "/calls", routes.calls),
        ("POST", "/refund", routes.refund),
        ("POST", "/chargeback", routes.charge_back),
        ("POST", "/repeat", routes.repeat),
    ]


class _Bots:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._world = sandbox.world

    async def add(self, request: web.Request) -> web.Response:
        body = only(await body_of(request), frozenset({"username", "name", "token"}))
        username = text(body, "username").lstrip("@")
        if not username:
            raise SandboxError("a bot needs a username")
        given = {name: text(body, name) for name in ("name", "token") if name in body}
        token = self._sandbox.create_bot(username, **given)
        return web.json_response({**views.bot_view(find_bot(self._world, token)), "token": token})

    async def show(self, request: web.Request) -> web.Response:
        return web.json_response(views.bot_view(self._bot(request)))

    async def transactions(self, request: web.Request) -> web.Response:
        offset, limit = (
            asked(request, "offset", 0, _MOST),
            asked(request, "limit", views.TRANSACTIONS_SHOWN, _MOST_ROWS),
        )
        return web.json_response(views.ledger(self._world, self._bot(request), offset, limit))

    async def ledger(self, request: web.Request) -> web.Response:
        bot = self._bot(request)
        offset, limit = asked(request, "offset", 0, _MOST), asked(request, "limit", _PAGE, _MOST_ROWS)
        rows = [ledger.transaction_json(self._world, row) for row in bot.ledger[offset : offset + limit]]
        return web.json_response({"balance": ledger.balance_json(bot), "total": len(bot.ledger), "transactions": rows})

    async def add_sales(self, request: web.Request) -> web.Response:
        body = only(await body_of(request), frozenset({"sales", "in_order"}))
        sales = body.get("sales")
        if not isinstance(sales, list):
            raise SandboxError("the field 'sales' must be a list")
        past = [_sale(sale) for sale in sales]
        return web.json_response({"ids": self._book(request).add_sales(past, in_order=truth(body, "in_order", True))})

    async def add_row(self, request: web.Request) -> web.Response:
        body = only(await body_of(request), _ROW_FIELDS)
        details: dict[str, Any] = {name: value for name, value in body.items() if name not in ("kind", "amount")}
        if "outgoing" in details:
            truth(details, "outgoing", False)
        if "in_order" in details:
            truth(details, "in_order", True)
        kind: Any = text(body, "kind")
        row = self._book(request).add_row(kind, whole(body, "amount", 0), **details)
        return web.json_response(ledger.transaction_json(self._world, row))

    async def drop(self, request: web.Request) -> web.Response:
        count = whole(only(await body_of(request), frozenset({"oldest"})), "oldest", 0)
        return web.json_response({"dropped": self._book(request).drop_oldest(count)})

    async def hide(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        self._book(request).hide(text(body, "charge_id"), seconds=number(body, "seconds", 0))
        return web.json_response({"hidden": True})

    async def affiliate(self, request: web.Request) -> web.Response:
        body = only(await body_of(request), frozenset({"user", "per_mille"}))
        self._book(request).set_affiliate(body.get("user"), whole(body, "per_mille", 0))
        return web.json_response({"affiliate": body.get("user")})

    async def calls(self, request: web.Request) -> web.Response:
        made, kept = self._world.calls.made, len(self._world.calls)
        since, limit = asked(request, "since", 0, _MOST), asked(request, "limit", _PAGE, CALLS_KEPT)
        method = request.query.get("method", "").lower()
        first = max(since, made - kept)
        page = itertools.islice(self._world.calls, first - (made - kept), first - (made - kept) + limit)
        numbered = list(enumerate(page, first))
        shown = [{"number": at, **shown_call(call)} for at, call in numbered if method in ("", call.method.lower())]
        return web.json_response({"calls": shown, "next": first + len(numbered), "made": made})

    async def refund(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        self._sandbox.refund(text(body, "charge_id"), notify=truth(body, "notify", True))
        return web.json_response({"refunded": True})

    async def charge_back(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        self._sandbox.charge_back(text(body, "charge_id"), row=truth(body, "row", True))
        return web.json_response({"charged_back": True})

    async def repeat(self, request: web.Request) -> web.Response:
        self._sandbox.repeat_update(text(await body_of(request), "charge_id"))
        return web.json_response({"repeated": True})

    def _bot(self, request: web.Request) -> BotAccount:
        return find_bot(self._world, request.match_info["id"])

    def _book(self, request: web.Request) -> BotLedger:
        return BotLedger(self._world, self._bot(request))


def _sale(sale: Any) -> PastSale:
    if not isinstance(sale, dict):
        raise SandboxError(f"a sale must be a JSON object, not {sale!r}")
    values: Json = only(sale, _SALE_FIELDS)
    for name in ("user", "amount", "payload", "date"):
        if name not in values:
            raise SandboxError(f"a sale needs the field {name!r}")
    for name in ("title", "transaction_id"):
        if name in values:
            text(values, name)
    truth(values, "subscription", False)
    return PastSale(**values)
