"""Owns handing out the page: a few static files from the package, and nothing else."""

from __future__ import annotations

from importlib.resources import files

from aiohttp import web

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def add_page(app: web.Application) -> None:
    """Serve the page at ``/`` and its files below ``/page/``."""
    folder = files("aiogram_neonpay.sandbox").joinpath("page")
    contents = {
        item.name: item.read_bytes()
        for item in folder.iterdir()
        if item.is_file() and item.name[item.name.rfind(".") :] in _TYPES
    }

    async def show(request: web.Request) -> web.Response:
        name = request.match_info.get("name", "index.html")
        if name not in contents:
            raise web.HTTPNotFound
        kind = _TYPES[name[name.rfind(".") :]]
        return web.Response(body=contents[name], content_type=kind, charset="utf-8")

    app.router.add_get("/", show)
    app.router.add_get("/page/{name}", show)
