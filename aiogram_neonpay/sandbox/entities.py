"""Owns turning formatted text into plain text with Bot API entities (offsets in UTF-16 units)."""

from __future__ import annotations

import html
import re
from typing import Any

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.models import Json

_HTML_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)([^<>]*)>")
_HTML_KINDS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "code": "code",
    "pre": "pre",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "a": "text_link",
    "blockquote": "blockquote",
    "tg-emoji": "",
}
_ATTRIBUTE = re.compile(r"([a-zA-Z-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|(\S+))")
_MARKDOWN_MARKS = ("||", "__", "*", "_", "~", "```", "`")
_MARKDOWN_KINDS = {
    "||": "spoiler",
    "__": "underline",
    "*": "bold",
    "_": "italic",
    "~": "strikethrough",
    "```": "pre",
    "`": "code",
}
_LEGACY_MARKS = ("```", "*", "_", "`")
_LINK = re.compile(r"\[((?:\\.|[^\]\\])*)\]\(((?:\\.|[^)\\])*)\)")
_FOUND = re.compile(
    r"(?P<url>https?://[^\s<>\"]+)|(?<![\w/])(?P<bot_command>/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]+)?)"
    r"|(?<![\w@])(?P<mention>@[A-Za-z][A-Za-z0-9_]{3,31})"
)


def utf16_length(text: str) -> int:
    """Return how many UTF-16 units a text takes, which is how Telegram counts entity offsets."""
    return len(text.encode("utf-16-le")) // 2


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
        plain, marked = _parse_html(text)
    elif mode == "markdownv2":
        plain, marked = _parse_markdown(text, _MARKDOWN_MARKS)
    elif mode == "markdown":
        plain, marked = _parse_markdown(text, _LEGACY_MARKS)
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
    return stripped, sorted(marked + found_entities(stripped, marked), key=lambda item: item["offset"])


def found_entities(text: str, taken: list[Json] | None = None) -> list[Json]:
    """Return the links, commands and mentions Telegram would find in a plain text."""
    spans = [(item["offset"], item["offset"] + item["length"]) for item in taken or []]
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


def _parse_html(source: str) -> tuple[str, list[Json]]:
    parts: list[str] = []
    entities: list[Json] = []
    opened: list[tuple[str, int, Json]] = []
    position = length = 0
    for match in _HTML_TAG.finditer(source):
        piece = html.unescape(source[position : match.start()])
        _no_bare_bracket(piece, source, position, match.start())
        parts.append(piece)
        length += utf16_length(piece)
        position = match.end()
        closing, name, rest = match.group(1), match.group(2).lower(), match.group(3)
        place = len(source[: match.start()].encode())
        if name not in _HTML_KINDS:
            raise refuse(f'can\'t parse entities: Unsupported start tag "{name}" at byte offset {place}')
        if not closing:
            opened.append((name, length, _attributes(name, rest)))
            continue
        if not opened or opened[-1][0] != name:
            expected = f'expected "</{opened[-1][0]}>", found "</{name}>"' if opened else ""
            raise refuse(
                f"can't parse entities: Unmatched end tag at byte offset {place}"
                + (f", {expected}" if expected else "")
            )
        _, start, extra = opened.pop()
        kind = _HTML_KINDS[name]
        if kind and length > start and not (kind == "text_link" and "url" not in extra):
            entities.append({"type": kind, "offset": start, "length": length - start, **extra})
    if opened:
        raise refuse(f"can't parse entities: Can't find end tag corresponding to start tag \"{opened[-1][0]}\"")
    tail = html.unescape(source[position:])
    _no_bare_bracket(tail, source, position, len(source))
    return "".join(parts) + tail, entities


def _no_bare_bracket(piece: str, source: str, start: int, end: int) -> None:
    raw = source[start:end]
    at = raw.find("<")
    if at >= 0:
        place = len(source[: start + at].encode())
        raise refuse(f'can\'t parse entities: Unsupported start tag "" at byte offset {place}')


def _attributes(name: str, rest: str) -> Json:
    values = {
        m.group(1).lower(): html.unescape(m.group(2) or m.group(3) or m.group(4) or "")
        for m in _ATTRIBUTE.finditer(rest)
    }
    if name == "a" and values.get("href"):
        return {"url": values["href"]}
    return {}


def _parse_markdown(source: str, marks: tuple[str, ...]) -> tuple[str, list[Json]]:
    parts: list[str] = []
    entities: list[Json] = []
    opened: list[tuple[str, int]] = []
    position = length = 0

    def add(piece: str) -> None:
        nonlocal length
        parts.append(piece)
        length += utf16_length(piece)

    while position < len(source):
        if source[position] == "\\" and position + 1 < len(source):
            add(source[position + 1])
            position += 2
            continue
        inside_code = bool(opened) and opened[-1][0] in ("`", "```")
        link = None if inside_code else _LINK.match(source, position)
        if link:
            label, inner = _parse_markdown(link.group(1), marks)
            entities += [{**item, "offset": item["offset"] + length} for item in inner]
            url = re.sub(r"\\(.)", r"\1", link.group(2))
            entities.append({"type": "text_link", "offset": length, "length": utf16_length(label), "url": url})
            add(label)
            position = link.end()
            continue
        mark = next((item for item in marks if source.startswith(item, position)), None)
        if mark is None or (inside_code and mark != opened[-1][0]):
            add(source[position])
            position += 1
            continue
        position += len(mark)
        if opened and opened[-1][0] == mark:
            _, start = opened.pop()
            kind = _MARKDOWN_KINDS[mark]
            if length > start:
                entities.append({"type": kind, "offset": start, "length": length - start})
        else:
            opened.append((mark, length))
    if opened:
        kind = _MARKDOWN_KINDS[opened[-1][0]].capitalize()
        place = len(source.encode())
        raise refuse(f"can't parse entities: Can't find end of {kind} entity at byte offset {place}")
    return "".join(parts), entities
