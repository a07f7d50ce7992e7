"""Owns reading Telegram's HTML, as strictly as Telegram does."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiogram_neonpay.sandbox.draft import Draft
from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.models import Json

_TYPES = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
}
_OTHERS = {"a", "code", "pre", "blockquote", "tg-emoji", "tg-time"}
_CHARACTER = re.compile(r"&(?:#x([0-9a-fA-F]*)|#([0-9]*)|([A-Za-z]+));?")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_SPACES = re.compile(r"[ \t\r\n\v]*")
_TAG = re.compile(r"[^ \t\r\n\v>]*")
_ATTRIBUTE = re.compile(r"[^ \t\r\n\v=>/\"']*")
_TOKEN = re.compile(r"[A-Za-z0-9.-]*")


@dataclass(frozen=True)
class _Open:
    name: str
    attributes: dict[str, str]
    start: int


class _Hypertext(Draft):
    def __init__(self, source: str) -> None:
        super().__init__(source)
        self._open: list[_Open] = []

    def read(self) -> None:
        while self.at < len(self.source):
            if self.ahead("</"):
                self._end()
            elif self.ahead("<"):
                self._begin()
            else:
                self.put(self._character())
        if self._open:
            name = self._open[-1].name
            raise refuse(f"can't parse entities: Can't find end tag corresponding to start tag \"{name}\"")

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.source, self.at)
        assert found is not None  # each of them matches nothing as well
        self.at = found.end()
        return found[0]

    def _character(self) -> str:
        found = _CHARACTER.match(self.source, self.at)
        char = _decoded(found) if found else ""
        if found is None or not char:
            char = self.source[self.at]
            self.at += 1
            return char
        self.at = found.end()
        return char

    def _begin(self) -> None:
        begin = self.at
        self.at += 1
        name = self._take(_TAG).lower()
        if self.at == len(self.source):
            raise self.refusal("Unclosed start tag", begin)
        if name not in _TYPES and name not in _OTHERS:
            raise self.refusal(f'Unsupported start tag "{name}"', begin)
        attributes = self._attributes(name, begin)
        if name == "span" and attributes.get("class") != "tg-spoiler":
            raise self.refusal('Tag "span" must have class "tg-spoiler"', begin)
        self._open.append(_Open(name, attributes, self.length))

    def _attributes(self, name: str, begin: int) -> dict[str, str]:
        values: dict[str, str] = {}
        while True:
            self._take(_SPACES)
            if self.ahead(">"):
                self.at += 1
                return values
            attribute = self._take(_ATTRIBUTE)
            if not attribute:
                raise self.refusal(f'Empty attribute name in the tag "{name}"', begin)
            self._take(_SPACES)
            has_value = self.ahead("=")
            if has_value:
                self.at += 1
                self._take(_SPACES)
            if self.at == len(self.source):
                raise self.refusal(f'Unclosed start tag "{name}"', begin)
            values[attribute] = self._value(begin) if has_value else ""

    def _value(self, begin: int) -> str:
        quote = self.source[self.at]
        if quote not in ("'", '"'):
            token = self.at
            value = self._take(_TOKEN).lower()
            if self.source[self.at : self.at + 1] not in ("", ">", " ", "\t", "\r", "\n", "\v"):
                raise self.refusal("Unexpected end of name token", token)
        else:
            self.at += 1
            value = ""
            while self.at < len(self.source) and not self.ahead(quote):
                value += self._character()
            self.at = min(self.at + 1, len(self.source))
        if self.at == len(self.source):
            raise self.refusal("Unclosed start tag", begin)
        return value

    def _end(self) -> None:
        begin = self.at
        if not self._open:
            raise self.refusal("Unexpected end tag", begin)
        self.at += 2
        name = self._take(_TAG).lower()
        self._take(_SPACES)
        if not self.ahead(">"):
            raise self.refusal("Unclosed end tag", begin)
        self.at += 1
        ended = self._open.pop()
        if name and name != ended.name:
            raise self.refusal("Unmatched end tag", begin, f', expected "</{ended.name}>", found "</{name}>"')
        if self.length > ended.start:
            self._entity(ended)

    def _entity(self, ended: _Open) -> None:
        attributes = ended.attributes
        if ended.name in _TYPES:
            self.mark(_TYPES[ended.name], ended.start)
        elif ended.name == "a":
            self.link(ended.start, attributes.get("href") or None)
        elif ended.name in ("pre", "code"):
            self._code(ended)
        elif ended.name == "blockquote":
            self.mark("expandable_blockquote" if "expandable" in attributes else "blockquote", ended.start)
        elif ended.name == "tg-time":
            moment = attributes.get("unix", "")
            if (
                moment.isdecimal()
                and int(moment)
                and not self.time(ended.start, int(moment), attributes.get("format", ""))
            ):
                raise refuse("can't parse entities: Invalid date format used")
        elif not attributes.get("emoji-id", "").isdecimal():
            # One that is valid is shown to nobody unless its bot has paid for a username: its text stays.
            raise refuse("can't parse entities: Invalid custom emoji identifier specified")

    def _code(self, ended: _Open) -> None:
        """Code that fills a block of code, or is filled by one, gives the block its language."""
        language = ended.attributes.get("class", "") if ended.name == "code" else ""
        language = language.removeprefix("language-") if language.startswith("language-") else ""
        last = self.entities[-1] if self.entities else {}
        same = (last.get("offset"), last.get("length")) == (ended.start, self.length - ended.start)
        if ended.name == "pre" and same and last["type"] == "code" and last.get("language"):
            last["type"] = "pre"
        elif ended.name == "code" and same and last["type"] == "pre" and language:
            last["language"] = language
        else:
            self.mark(ended.name, ended.start, **({"language": language} if language else {}))


def _decoded(found: re.Match[str]) -> str:
    """Return the character that a reference stands for; empty where Telegram leaves it as it is written."""
    hexadecimal, decimal, name = found.groups()
    if name is not None:
        return _NAMED.get(name, "")
    digits = hexadecimal if hexadecimal is not None else decimal
    code = int(digits or "0", 16 if hexadecimal is not None else 10)
    long = len(found[0].rstrip(";")) >= 10
    return "" if long or not 0 < code < 0x10FFFF or 0xD800 <= code <= 0xDFFF else chr(code)


def hypertext(source: str) -> tuple[str, list[Json]]:
    """Return the plain text and the entities of a text in HTML.

    :raises ApiError: 400 ``can't parse entities: ...``.
    """
    draft = _Hypertext(source)
    draft.read()
    # A language belongs to blocks of code only.
    kept = [
        {name: value for name, value in item.items() if name != "language" or item["type"] == "pre"}
        for item in draft.entities
    ]
    return draft.text, kept
