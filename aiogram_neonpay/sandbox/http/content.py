"""Owns how the page is shown what is no text: files, paid media, contacts, places, forwarded and pinned messages."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiogram_neonpay.sandbox.media import FILE_FIELDS
from aiogram_neonpay.sandbox.models import Json, Message
from aiogram_neonpay.sandbox.transcript import seen_by
from aiogram_neonpay.sandbox.world import World

#: The types of picture that are shown in place; everything else is only saved.
SHOWN_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"})


def content_view(world: World, message: Message, viewer: int) -> Json:
    """Return what a message holds beside its text, as one person sees it.

    ``files``: ``kind``, ``name``, ``url``, ``picture`` (whether the URL shows one), ``width``, ``height``.
    ``paid_media``: ``stars``, ``bot_name``, ``bought``, ``media``: like ``files``, without URL until they
    are bought.
    ``note``: what else it is, in words; ``service`` with it for what only reports. ``album``: what the messages of one
    album share. ``forwarded_from``: a name. ``reactions``: emoji.
    """
    body = seen_by(message, viewer)
    view: Json = {}
    files = [_file(world, kind, body[kind]) for kind in FILE_FIELDS if kind in body]
    if "animation" in body:  # it is in the field document as well
        files = files[:1]
    if files:
        view["files"] = files
    if message.paid_media is not None:
        view["paid_media"] = {
            "stars": message.paid_media.stars,
            "bot_name": world.bots[message.paid_media.bot_id].name,
            "bought": viewer in message.paid_media.buyers,
            "media": [_paid(world, item) for item in body["paid_media"]["paid_media"]],
        }
    elif not files and (note := described(body)):
        view["note"] = note
    if "pinned_message" in body:
        view["service"] = True
    if "media_group_id" in body:
        view["album"] = body["media_group_id"]
    if "forward_from" in body:
        view["forwarded_from"] = body["forward_from"]["first_name"]
    if message.reactions:
        view["reactions"] = [kind["emoji"] for kinds in message.reactions.values() for kind in kinds]
    return view


def described(body: Json) -> str:
    """Return in words what a message without text holds; nothing for text, invoices and payments."""
    if "contact" in body:
        return f"Contact: {body['contact']['first_name']}, {body['contact']['phone_number']}"
    if "venue" in body:
        return f"Place: {body['venue']['title']}, {body['venue']['address']}"
    if "location" in body:
        return f"Location: {body['location']['latitude']}, {body['location']['longitude']}"
    if "dice" in body:
        return f"{body['dice']['emoji']} {body['dice']['value']}"
    if "pinned_message" in body:
        return "A message was pinned"
    if "paid_media" in body:
        stars = body["paid_media"]["star_count"]
        return f"Paid media for {stars:,} {'Star' if stars == 1 else 'Stars'}"
    if "invoice" in body:
        return f"{body['invoice']['title']}: {body['invoice']['description']}"
    kind = next((kind for kind in FILE_FIELDS if kind in body), "")
    return kind.replace("_", " ").capitalize()


def _paid(world: World, item: Json) -> Json:
    if item["type"] == "preview":
        return {"kind": "preview", "width": item.get("width", 0), "height": item.get("height", 0)}
    return _file(world, item["type"], item[item["type"]])


def _file(world: World, kind: str, value: Json | list[Json]) -> Json:
    shown: Json = value[-1] if isinstance(value, list) else value
    file = world.files.find(shown["file_id"])
    view: Json = {"kind": kind, "name": shown.get("file_name", "")}
    view |= {"width": shown.get("width", 0), "height": shown.get("height", 0), "url": None, "picture": False}
    if file is None:
        return view
    if file.url is not None:
        if urlsplit(file.url).scheme in ("http", "https"):
            view |= {"url": file.url, "picture": kind == "photo"}
    elif file.content is not None:
        view |= {"url": f"/sandbox/api/files/{file.unique_id}", "picture": file.mime in SHOWN_TYPES}
    return view
