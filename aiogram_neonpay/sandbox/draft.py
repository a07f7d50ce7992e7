"""Owns plain text that grows beside its entities, and what of a formatted link Telegram keeps."""

from __future__ import annotations

import re

from aiogram_neonpay.sandbox.errors import ApiError, refuse
from aiogram_neonpay.sandbox.models import Json

_SCHEME = re.compile(r"(?:(?:https?|ftp|ton|tonsite)://|tg:)\S+", re.IGNORECASE)
_HOST = re.compile(r"(?:[\w-]+\.)+[^\W\d_]{2,}(?::\d+)?(?:[/?#]\S*)?")
_TIME_FORMAT = re.compile(r"[rR]|[tTdDwW]*")
_BARE = re.compile(r"((?:https?|ftp)://[^/?#\s]+)([?#].*)?", re.IGNORECASE)


def utf16_length(text: str) -> int:
    """Return how many UTF-16 units a text takes, which is how Telegram counts entity offsets."""
    return len(text.encode("utf-16-le")) // 2


class Draft:
    """A text on its way from its source, which is read from left to right.

    :ivar at: the next character of the source.
    :ivar length: of the text so far, in UTF-16 units.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.length = 0
        self.entities: list[Json] = []
        self._parts: list[str] = []

    @property
    def text(self) -> str:
        """The plain text so far."""
        return "".join(self._parts)

    def put(self, piece: str) -> None:
        """Add plain text."""
        self._parts.append(piece)
        self.length += utf16_length(piece)

    def mark(self, kind: str, start: int, **more: str | int) -> None:
        """Add an entity from ``start`` to here, unless it would be empty."""
        if self.length > start:
            self.entities.append({"type": kind, "offset": start, "length": self.length - start, **more})

    def link(self, start: int, url: str | None) -> None:
        """Add a link from ``start`` to here; the text under it stands for an address that is left out."""
        found = checked_link(self.since(start) if url is None else url)
        if found:
            self.mark("text_link", start, url=found)

    def time(self, start: int, moment: int, shown_as: str) -> bool:
        """Add a time that clients show in their own zone; tell whether Telegram knows how to show it so."""
        if not _TIME_FORMAT.fullmatch(shown_as):
            return False
        self.mark("date_time", start, unix_time=moment, **({"date_time_format": shown_as} if shown_as else {}))
        return True

    def since(self, start: int) -> str:
        """Return the plain text from ``start``, in UTF-16 units."""
        return self.text.encode("utf-16-le")[2 * start :].decode("utf-16-le")

    def ahead(self, piece: str) -> bool:
        """Tell whether the source goes on with this."""
        return self.source.startswith(piece, self.at)

    def skip_line_end(self) -> None:
        """Pass over one line end, as after the first line of a code block."""
        pair = self.source[self.at : self.at + 2]
        if pair[:1] in ("\n", "\r"):
            self.at += 2 if pair in ("\r\n", "\n\r") else 1

    def refusal(self, text: str, at: int, rest: str = "") -> ApiError:
        """Return Telegram's refusal of what stands at a character of the source; it counts bytes."""
        return refuse(f"can't parse entities: {text} at byte offset {len(self.source[:at].encode())}{rest}")


def checked_link(url: str) -> str:
    """Return a link as Telegram keeps it: with a scheme, and a path if it is the web's; empty for no link at all."""
    if not _SCHEME.fullmatch(url):
        if not _HOST.fullmatch(url):
            return ""
        url = f"http://{url}"
    bare = _BARE.fullmatch(url)
    return f"{bare[1]}/{bare[2] or ''}" if bare else url
