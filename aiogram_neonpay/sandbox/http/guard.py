"""Owns keeping other sites away from the page and the control API: Host, Origin and content type."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_SAME_SITE = frozenset({"same-origin", "none"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; font-src 'self'; "
    "img-src 'self' data: http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    """Tell whether an address to bind to can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def own_requests_only(hosts: frozenset[str], *, any_host: bool) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Return a middleware that lets only the page's own requests reach the page and the control API.

    The Bot API paths are left alone: there the token is the key, and clients call by any host name.

    :param hosts: host names the page may be opened under, beside those of the loopback address.
    :param any_host: skip the check of names (the operator made the sandbox public on purpose).
    """
    allowed = hosts | _LOOPBACK_NAMES

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(("/bot", "/file/")):
            return await handler(request)
        host = urlsplit(f"//{request.headers.get('Host', '')}")
        if not any_host and (host.hostname or "") not in allowed:
            return _forbidden("this host name is not the sandbox's")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("Host"):
            return _forbidden("requests of other sites are refused")
        if request.path.startswith("/sandbox/api/"):
            if request.headers.get("Sec-Fetch-Site", "none") not in _SAME_SITE:
                return _forbidden("requests of other sites are refused")
            # A form of another site cannot send JSON without asking first.
            if request.method == "POST" and request.content_type != "application/json":
                return _forbidden("send JSON: Content-Type: application/json")
        response = await handler(request)
        if not response.prepared:
            response.headers.setdefault("Content-Security-Policy", _POLICY)
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
            response.headers.setdefault("Referrer-Policy", "no-referrer")
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return guard


def _forbidden(reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=403)
