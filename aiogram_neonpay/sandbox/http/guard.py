"""Owns keeping other sites away from the sandbox: Host, Origin and content type of requests.

A page of another site can make a browser on this machine send requests here. What it cannot do is leave out or
forge Host and Origin. A name it owns may even lead here (DNS rebinding); then Host shows that name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import SplitResult, urlsplit

from aiohttp import web

_LOOPBACK_NAME = "localhost"
#: Endings of names that nobody can register (RFC 2606, 6761, 6762, 8375, ICANN on .internal).
_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".home.arpa", ".test")
_SAME_SITE = frozenset({"same-origin", "none"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; font-src 'self'; "
    "img-src 'self' data: http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    """Tell whether an address to bind to can be reached from this machine only."""
    if host == _LOOPBACK_NAME:
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def own_requests_only(hosts: frozenset[str], *, public: bool) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Return a middleware that lets no request of another site through.

    Clients of bots send no Origin, and call by whatever name leads here inside a network of containers. The page
    and the control API, which need no token, are opened under the loopback address alone unless the sandbox is public.

    :param hosts: further host names, in lower case.
    :param public: whether the sandbox can be reached by other machines.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        to_bot_api = request.path.startswith(("/bot", "/file/"))
        refuse = _refuse_client if to_bot_api else _refuse
        host = _split(f"//{request.headers.get('Host', '')}")
        name = host.hostname or "" if host is not None else ""
        if name not in hosts and not (_is_private(name) if public or to_bot_api else is_loopback(name)):
            return refuse("this host name is not the sandbox's: name it in hosts= if it is")
        origin = request.headers.get("Origin")
        if origin is not None and not _same(origin, request.headers.get("Host", "")):
            return refuse("requests of other sites are refused")
        is_control = request.path.startswith("/sandbox/api/")
        if (is_control or to_bot_api) and request.headers.get("Sec-Fetch-Site", "none") not in _SAME_SITE:
            return refuse("requests of other sites are refused")
        # A form of another site cannot send JSON without asking first.
        if is_control and request.method == "POST" and request.content_type != "application/json":
            return refuse("send JSON: Content-Type: application/json")
        response = await handler(request)
        if not to_bot_api and not response.prepared:
            response.headers.setdefault("Content-Security-Policy", _POLICY)
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
            response.headers.setdefault("Referrer-Policy", "no-referrer")
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return guard


def _is_private(name: str) -> bool:
    """Tell whether a name cannot be a stranger's: an address, a name without a dot, or one under a reserved ending."""
    return bool(name) and ("." not in name or name.endswith(_PRIVATE_ENDINGS) or _address(name) is not None)


def _same(origin: str, host: str) -> bool:
    parts = _split(origin)
    return parts is not None and parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower() != ""


def _split(written: str) -> SplitResult | None:
    try:
        return urlsplit(written)
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _refuse(reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=403)


def _refuse_client(reason: str) -> web.Response:
    return web.json_response({"ok": False, "error_code": 403, "description": f"Forbidden: {reason}"}, status=403)
