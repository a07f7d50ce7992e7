"""What is said of payments: a message made of lines, days and reasons, words that came from elsewhere made harmless."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from aiogram.types import LinkPreviewOptions, MessageEntity

from aiogram_neonpay.redaction import redacted

__all__ = ["REASONS", "Code", "Lines", "day_text", "plain", "reason_text"]

LONGEST = 4096
"""UTF-16 units of a message. Bot API ``sendMessage`` says characters; a unit too few is safe."""
REASONS = frozenset(
    {
        "attempts",
        "bad_token",
        "buyer_unreachable",
        "no_handler",
        "refund_delayed",
        "refund_refused",
        "refund_unheard",
        "wrong_amount",
    }
)
"""Why a payment waits: each has its phrase."""

# Line breaks and control characters, and those that turn the direction of what follows.
_HARMFUL = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ud800-\udfff]+"
)


def plain(text: object, limit: int) -> str:
    """Return words of somebody else as one short line without tokens, that cannot look like a line of ours."""
    line = _HARMFUL.sub(" ", redacted(str(text))).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def reason_text(say: Callable[..., str], reason: str) -> str:
    """Return why a payment waits, in words.

    :param say: returns the phrase of a key, such as ``Texts.get`` for one language.
    """
    return say(f"reason_{reason}") if reason in REASONS else plain(reason, 64)


def day_text(say: Callable[..., str], moment: datetime | None) -> str:
    """Return a day (UTC) as people write it; nothing for none.

    :param say: returns the phrase of a key, such as ``Texts.get`` for one language.
    """
    return "" if moment is None else say("date", year=moment.year, month=moment.month, day=moment.day)


class Code(str):
    """A piece of a line that is copied with a tap."""

    __slots__ = ()


class Lines:
    """A message of several lines, with entities instead of markup: nothing in it is ever parsed.

    What does not fit into one message is left out, as whole lines, and ``…`` stands in its place.
    """

    def __init__(self) -> None:
        self._text = ""
        self._entities: list[MessageEntity] = []
        self._is_full = False

    def add(self, *parts: str, bold: bool = False) -> Lines:
        """Add a line, made of its parts."""
        line = "".join(parts)
        if self._is_full or _units(self._text) + _units(line) + 3 > LONGEST:
            if not self._is_full:
                self._is_full, self._text = True, self._text + "\n…"
            return self
        if self._text:
            self._text += "\n"
        start = _units(self._text)
        self._text += line
        if bold and line:
            self._entities.append(MessageEntity(type="bold", offset=start, length=_units(line)))
        for part in parts:
            length = _units(part)
            if isinstance(part, Code) and length:
                self._entities.append(MessageEntity(type="code", offset=start, length=length))
            start += length
        return self

    def content(self) -> dict[str, Any]:
        """Return the parameters of ``sendMessage`` and ``editMessageText`` that carry it."""
        preview = LinkPreviewOptions(is_disabled=True)  # of an address that somebody else wrote
        return {"text": self._text, "entities": self._entities, "parse_mode": None, "link_preview_options": preview}


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2
