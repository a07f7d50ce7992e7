"""What a phrase is: a key, its English, and the values it is filled with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from string import Formatter

__all__ = ["Phrase", "counted", "sentence"]


@dataclass(frozen=True)
class Phrase:
    """A sentence in English.

    :ivar key: its name in ``texts=``, and its context (``msgctxt``) in the catalogs.
    :ivar english: the sentence, with places for values in the manner of ``str.format``.
    :ivar plural: the sentence for other numbers than one, if it is about a number, ``{n}``.
    """

    key: str
    english: str
    plural: str | None = None

    @cached_property
    def fields(self) -> frozenset[str]:
        """The names of the values it is filled with."""
        text = self.english + (self.plural or "")
        return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)

    def in_english(self, number: int) -> str:
        """Return the sentence for a number."""
        return self.english if self.plural is None or number == 1 else self.plural


def sentence(key: str, english: str) -> Phrase:
    """Return a phrase that is always said alike."""
    return Phrase(key, english)


def counted(key: str, one: str, many: str) -> Phrase:
    """Return a phrase about ``{n}`` things, in the singular and the plural."""
    return Phrase(key, one, many)
