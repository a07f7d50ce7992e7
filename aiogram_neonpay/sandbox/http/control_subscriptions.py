"""Owns the control API's subscriptions: what people pay for again and again, cancelling and re-enabling it."""

from __future__ import annotations

from aiohttp import web

from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.http import views
from aiogram_neonpay.sandbox.http.fields import Route, body_of, counted, only, text
from aiogram_neonpay.sandbox.models import Json, Subscription
from aiogram_neonpay.sandbox.presence import find_bot
from aiogram_neonpay.sandbox.users import SandboxUser

_NAMES = frozenset({"charge_id", "payload"})


def subscription_routes(sandbox: Sandbox) -> list[Route]:
    """Return the routes about subscriptions."""
    routes = _Subscriptions(sandbox)
    return [
        ("GET", "/users/{id}/subscriptions", routes.of_user),
        ("POST", "/users/{id}/subscriptions/cancel", routes.cancel),
        ("POST", "/users/{id}/subscriptions/restore", routes.restore),
        ("GET", "/bots/{id}/subscriptions", routes.of_bot),
    ]


class _Subscriptions:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._world = sandbox.world

    async def of_user(self, request: web.Request) -> web.Response:
        return self._listed(self._user(request).subscriptions())

    async def of_bot(self, request: web.Request) -> web.Response:
        bot = find_bot(self._world, request.match_info["id"])
        return self._listed(self._sandbox.subscriptions(bot.id))

    async def cancel(self, request: web.Request) -> web.Response:
        charge_id, payload = await _named(request)
        found = self._user(request).cancel_subscription(charge_id, payload=payload)
        return web.json_response(views.subscription_view(self._world, found))

    async def restore(self, request: web.Request) -> web.Response:
        charge_id, payload = await _named(request)
        found = self._user(request).restore_subscription(charge_id, payload=payload)
        return web.json_response(views.subscription_view(self._world, found))

    def _listed(self, subscriptions: list[Subscription]) -> web.Response:
        shown = [views.subscription_view(self._world, item) for item in reversed(subscriptions)]
        return web.json_response({"subscriptions": shown})

    def _user(self, request: web.Request) -> SandboxUser:
        return self._sandbox.user(counted(request.match_info["id"]) or 0)


async def _named(request: web.Request) -> tuple[str | None, str | None]:
    body: Json = only(await body_of(request), _NAMES)
    given = {name: text(body, name) for name in body}
    return given.get("charge_id"), given.get("payload")
