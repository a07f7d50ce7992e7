"""Owns reading Telegram's two kinds of Markdown, as strictly as Telegram does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from aiogram_neonpay.sandbox.draft import Draft
from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.models import Json

_RESERVED = "_*[]()~`>#+-=|{}.!\n"
#: By the mark that begins it; the longer marks first.
_BEGINS = {"```": "Pre", "__": "Underline", "||": "Spoiler", "![": "CustomEmoji", "`": "Code", "_": "Italic",
           "*": "Bold", "~": "Strikethrough", "[": "TextUrl"}  # fmt: skip
_ENDS = {"Pre": "```", "PreCode": "```", "Underline": "__", "Spoiler": "||", "CustomEmoji": "]", "Code": "`",
         "Italic": "_", "Bold": "*", "Strikethrough": "~", "TextUrl": "]"}  # fmt: skip
_TYPES = {"Pre": "pre", "PreCode": "pre", "Underline": "underline", "Spoiler": "spoiler", "Code": "code",
          "Italic": "italic", "Bold": "bold", "Strikethrough": "strikethrough"}  # fmt: skip
_LITERAL = ("Code", "Pre", "PreCode")
_LANGUAGE = re.compile(r"[^\s`]+(?=\s)")
_NUMBER = re.compile(r"[1-9][0-9]*")
_LEGACY = {"_": "italic", "*": "bold", "`": "code", "[": "text_link"}


@dataclass
class _Open:
    """An entity that has begun: under Telegram's name for it, and where in the text and in the source."""

    name: str
    start: int
    at: int
    language: str = ""


class _MarkdownV2(Draft):
    def __init__(self, source: str) -> None:
        super().__init__(source)
        self._open: list[_Open] = []
        self._quoted = False
        self._line_begins = True

    def read(self) -> None:
        while self.at < len(self.source):
            char, after = self.source[self.at], self.source[self.at + 1 : self.at + 2]
            if char == "\\" and "\0" < after < "\x7f":
                self._plain(after)
                self.at += 2
            elif char not in ("`" if self._name in _LITERAL else _RESERVED):
                self._plain(char)
                self.at += 1
            elif self._ends(char):
                self._end(char)
            else:
                self._begin(char)
        self._finish()

    @property
    def _name(self) -> str:
        return self._open[-1].name if self._open else ""

    def _plain(self, char: str) -> None:
        self.put(char)
        if char != "\r":
            self._line_begins = char == "\n"

    def _ends(self, char: str) -> bool:
        if self._quoted and char == "\n" and not self.ahead("\n>"):
            return True
        if self._name == "Italic" and self.ahead("__"):
            return False
        return self._name in _ENDS and self.ahead(_ENDS[self._name])

    def _begin(self, char: str) -> None:
        if char == "\n" or (char == ">" and self._line_begins):
            if char == "\n":
                self._plain(char)
            elif not self._quoted:
                self._quoted = True
                self._open.append(_Open("BlockQuote", self.length, self.at))
            self.at += 1
            return
        mark = next((mark for mark in _BEGINS if self.ahead(mark)), None)
        if mark is None:
            raise refuse(
                f"can't parse entities: Character '{char}' is reserved and must be escaped with the preceding '\\'"
            )
        begun = _Open(_BEGINS[mark], self.length, self.at)
        self.at += len(mark)
        if mark == "```":
            language = _LANGUAGE.match(self.source, self.at)
            if language:
                begun.name, begun.language = "PreCode", language[0]
                self.at = language.end()
            self.skip_line_end()
        self._open.append(begun)

    def _end(self, char: str) -> None:
        if char == "\n":
            self._end_quote(self.at - 1 if self.source[self.at - 1] == "\r" else self.at, char)
            self._line_begins = True
            self.at += 1
            return
        ended = self._open.pop()
        self.at += len(_ENDS[ended.name])
        if ended.name == "TextUrl":
            self.link(ended.start, self._address() if self.ahead("(") else None)
        elif ended.name == "CustomEmoji":
            if not self.ahead("("):
                raise refuse("can't parse entities: The entity must contain a tg://emoji or tg://time URL")
            self._special(ended.start, self._address())
        else:
            more = {"language": ended.language} if ended.language else {}
            self.mark(_TYPES[ended.name], ended.start, **more)

    def _end_quote(self, end: int, newline: str = "") -> None:
        """End a quotation, before ``end`` in the source; a spoiler that has just begun there makes it expandable."""
        expandable = self._name == "Spoiler" and self._open[-1].at == end - 2
        if expandable:
            self._open.pop()
        if self._name != "BlockQuote":
            self._unended()
        quote = self._open.pop()
        self._quoted = False
        self.put(newline)
        self.mark("expandable_blockquote" if expandable else "blockquote", quote.start)

    def _finish(self) -> None:
        if self._quoted:
            self._end_quote(len(self.source))
        if self._open:
            self._unended()

    def _unended(self) -> None:
        raise self.refusal(f"Can't find end of {self._name} entity", self._open[-1].at)

    def _address(self) -> str:
        begin = self.at = self.at + 1
        url = ""
        while self.at < len(self.source) and self.source[self.at] != ")":
            if self.source[self.at] == "\\" and "\0" < self.source[self.at + 1 : self.at + 2] < "\x7f":
                self.at += 1
            url += self.source[self.at]
            self.at += 1
        if self.at == len(self.source):
            raise self.refusal("Can't find end of a URL", begin)
        self.at += 1
        return url

    def _special(self, start: int, url: str) -> None:
        parts = urlsplit(url)
        values = {name: found[0] for name, found in parse_qs(parts.query).items()}
        kind = parts.netloc.lower() if parts.scheme == "tg" else ""
        if kind == "emoji" and _NUMBER.fullmatch(values.get("id", "")):
            return  # a custom emoji is shown to nobody unless its bot has paid for a username: its text stays
        moment = values.get("unix", "") if kind == "time" else ""
        if not _NUMBER.fullmatch(moment) or not self.time(start, int(moment), values.get("format", "")):
            raise refuse("can't parse entities: Invalid tg://emoji or tg://time URL specified")


class _Markdown(Draft):
    """The legacy kind: nothing nests, nothing but four characters is reserved, and escapes end at an entity."""

    def read(self) -> None:
        while self.at < len(self.source):
            char, after = self.source[self.at], self.source[self.at + 1 : self.at + 2]
            if char == "\\" and after in _LEGACY:
                self.put(after)
                self.at += 2
            elif char in _LEGACY:
                self._entity(char)
            else:
                self.put(char)
                self.at += 1

    def _entity(self, char: str) -> None:
        begin, start = self.at, self.length
        mark = "```" if self.ahead("```") else char
        self.at += len(mark)
        more: dict[str, str] = {}
        if mark == "```":
            language = _LANGUAGE.match(self.source, self.at)
            if language:
                more["language"] = language[0]
                self.at = language.end()
            self.skip_line_end()
        end = self.source.find("]" if char == "[" else mark, self.at)
        if end < 0:
            raise self.refusal("Can't find end of the entity starting", begin)
        self.put(self.source[self.at : end])
        self.at = end + len(mark)
        if char == "[":
            url = None
            if self.ahead("("):
                close = self.source.find(")", self.at)
                close = len(self.source) if close < 0 else close
                url, self.at = self.source[self.at + 1 : close], close + 1
            self.link(start, url)
        else:
            self.mark("pre" if mark == "```" else _LEGACY[char], start, **more)


def markdown_v2(source: str) -> tuple[str, list[Json]]:
    """Return the plain text and the entities of a text in MarkdownV2.

    :raises ApiError: 400 ``can't parse entities: ...``.
    """
    draft = _MarkdownV2(source)
    draft.read()
    return draft.text, draft.entities


def legacy_markdown(source: str) -> tuple[str, list[Json]]:
    """Return the plain text and the entities of a text in Markdown, Telegram's first kind.

    :raises ApiError: 400 ``can't parse entities: ...``.
    """
    draft = _Markdown(source)
    draft.read()
    return draft.text, draft.entities
