"""gettext's catalogs: those of the package, in ``locales/``, and those of an author."""

from __future__ import annotations

import gettext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aiogram_neonpay.errors import ConfigurationError

if TYPE_CHECKING:
    from aiogram_neonpay.phrases import Phrase

__all__ = ["TRANSLATIONS", "Catalog", "built_in", "catalogs_in", "check_fields", "tag_of"]

TRANSLATIONS = ("ru", "az")
"""The languages of the package beside English."""
DOMAIN = "aiogram_neonpay"
"""The name of every catalog: ``<language>/LC_MESSAGES/aiogram_neonpay.mo``."""

_LOCALES = Path(__file__).parent / "locales"
_NUMBERS = range(200)
"""They meet every plural form of every language there are rules for."""


class Catalog:
    """The phrases of one language.

    :param path: a compiled catalog, ``.mo``.
    :raises OSError: when it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._messages = gettext.GNUTranslations(file)
        self._messages.add_fallback(_Nothing())

    def find(self, phrase: Phrase, number: int) -> str | None:
        """Return what the phrase is in this language, ``None`` if it is not translated."""
        if phrase.plural is None:
            return self._messages.pgettext(phrase.key, phrase.english) or None
        return self._messages.npgettext(phrase.key, phrase.english, phrase.plural, number) or None

    def form(self, number: int) -> int:
        """Return which of the plural forms a number takes."""
        return int(self._messages.plural(number))  # type: ignore[attr-defined]

    @property
    def forms(self) -> int:
        """How many plural forms there are."""
        return 1 + max(map(self.form, _NUMBERS))

    def texts_of(self, phrase: Phrase) -> list[str]:
        """Return every translation of a phrase."""
        found = (self.find(phrase, number) for number in (_NUMBERS if phrase.plural is not None else [1]))
        return sorted({text for text in found if text is not None})


class _Nothing(gettext.NullTranslations):
    """What a catalog falls back to: without it gettext answers in English, as if that were a translation."""

    def pgettext(self, context: str, message: str) -> str:
        return ""

    def npgettext(self, context: str, msgid1: str, msgid2: str, n: int) -> str:
        return ""


@cache
def built_in(tag: str) -> Catalog | None:
    """Return the package's catalog of a language."""
    return Catalog(_LOCALES / tag / "LC_MESSAGES" / f"{DOMAIN}.mo") if tag in TRANSLATIONS else None


def catalogs_in(folder: Path) -> dict[str, Catalog]:
    """Return an author's catalogs by language.

    :raises ConfigurationError: when there are none, or when one cannot be used.
    """
    from aiogram_neonpay.phrases import PHRASES

    wanted = f"*/LC_MESSAGES/{DOMAIN}.mo"
    found: dict[str, Catalog] = {}
    for path in sorted(folder.glob(wanted)):
        language = path.parts[-3]
        try:
            catalog = found[tag_of(language)] = Catalog(path)
        except Exception as error:  # gettext reads what it is given and says anything
            raise ConfigurationError(f"the catalog {path} cannot be read ({error}): compile it again") from error
        for phrase in PHRASES.values():
            for text in catalog.texts_of(phrase):
                check_fields(f"the catalog {path}, {phrase.key!r}", phrase, text)
    if not found:
        raise ConfigurationError(
            f"texts={str(folder)!r} has no compiled catalog {wanted}: see docs/texts.md on how to make one"
        )
    return found


def check_fields(where: str, phrase: Phrase, text: str) -> None:
    """Refuse a sentence that cannot be filled in.

    :raises ConfigurationError: when it has placeholders that the phrase has not.
    """
    if not phrase.fields:
        return
    allowed = " ".join(f"{{{name}}}" for name in sorted(phrase.fields))
    try:
        text.format_map(dict.fromkeys(phrase.fields, 1))
    except (LookupError, ValueError, AttributeError, TypeError) as error:
        raise ConfigurationError(f"{where} may hold {allowed} and no other placeholder: {text!r}") from error


def tag_of(language: str) -> str:
    """Return a language tag in the spelling of this module: ``"pt-br"`` for ``"pt_BR"``."""
    return language.lower().replace("_", "-")
