"""Owns turning formatted text into plain text with Bot API entities (offsets in UTF-16 units)."""

from __future__ import annotations

import re
from typing import Any

from aiogram_neonpay.sandbox.draft import utf16_length
from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.hypertext import hypertext
from aiogram_neonpay.sandbox.markdown import legacy_markdown, markdown_v2
from aiogram_neonpay.sandbox.models import Json

_FOUND = re.compile(
    r"(?P<url>https?://[^\s<>\"]+)|(?<![\w/<>])(?P<bot_command>/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]+)?)(?![\w/<>])"
    r"|(?<![\w@])(?P<mention>@[A-Za-z][A-Za-z0-9_]{3,31})"
)
#: Entities that take their text for themselves; in all others Telegram finds links, commands and mentions.
_WHOLE = {"code", "pre", "text_link", "text_mention", "custom_emoji", "date_time", "url", "mention", "bot_command"}


def parse_text(text: str, parse_mode: str, entities: Any) -> tuple[str, list[Json]]:
    """Return the plain text and its entities, those that Telegram finds by itself included.

    :param parse_mode: ``HTML``, ``MarkdownV2`` or ``Markdown`` in any case, or empty.
    :param entities: a decoded ``entities`` parameter; used only when there is no parse mode.
    :raises ApiError: 400 ``unsupported parse_mode`` or ``can't parse entities: ...``.
    """
    mode = parse_mode.lower()
    if mode in ("", "none"):
        plain, marked = text, _given(entities)
    elif mode == "html":
        plain, marked = hypertext(text)
    elif mode == "markdownv2":
        plain, marked = markdown_v2(text)
    elif mode == "markdown":
        plain, marked = legacy_markdown(text)
    else:
        raise refuse("Unsupported parse_mode")
    stripped = plain.rstrip()
    lead = len(stripped) - len(stripped.lstrip())
    if lead:
        shift = utf16_length(stripped[:lead])
        marked = [{**item, "offset": max(0, item["offset"] - shift)} for item in marked]
        stripped = stripped[lead:]
    limit = utf16_length(stripped)
    marked = [
        {**item, "length": min(item["length"], limit - item["offset"])}
        for item in marked
        if item["offset"] < limit and item["length"] > 0
    ]
    found = found_entities(stripped, marked)
    return stripped, sorted(marked + found, key=lambda item: (item["offset"], -item["length"]))


def found_entities(text: str, taken: list[Json] | None = None) -> list[Json]:
    """Return the links, commands and mentions Telegram would find in a plain text."""
    spans = [(item["offset"], item["offset"] + item["length"]) for item in taken or [] if item["type"] in _WHOLE]
    found: list[Json] = []
    for match in _FOUND.finditer(text):
        start = utf16_length(text[: match.start()])
        end = start + utf16_length(match.group())
        if not any(start < other_end and other_start < end for other_start, other_end in spans):
            found.append({"type": str(match.lastgroup), "offset": start, "length": end - start})
    return found


def _given(entities: Any) -> list[Json]:
    if entities is None:
        return []
    if not isinstance(entities, list):
        raise refuse("can't parse entities: expected an Array")
    for item in entities:
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            raise refuse("can't parse MessageEntity: expected an Object with a type")
        if not all(type(item.get(name)) is int for name in ("offset", "length")):
            raise refuse("can't parse MessageEntity: offset and length must be Numbers")
    return [{name: value for name, value in item.items() if value is not None} for item in entities]
