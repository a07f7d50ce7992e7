"""Brings the gettext catalogs of aiogram_neonpay/locales up to date with aiogram_neonpay/phrases (``make texts``).

Usage: python scripts/update_texts.py [LANGUAGE...]

Sentences are extracted into ``aiogram_neonpay.pot``, each language's ``.po`` gets the new ones and loses those that are
gone, and the ``.mo`` files that programs read are compiled. A language named that has no catalog yet gets one. What is
still to be translated is printed; a sentence whose English changed is marked ``fuzzy`` until somebody looks at it.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
PHRASES = ROOT / "aiogram_neonpay" / "phrases"
LOCALES = ROOT / "aiogram_neonpay" / "locales"
DOMAIN = "aiogram_neonpay"
KEYWORDS = {"sentence": ((1, "c"), 2), "counted": ((1, "c"), 2, 3)}
NOTE = "Translators:"
HEADERS = ("Language", "Plural-Forms", "MIME-Version", "Content-Type", "Content-Transfer-Encoding")


class Phrases(Catalog):
    """A catalog whose head has no dates, names and versions: they would make a difference where there is none."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [header for header in super().mime_headers if header[0] in HEADERS]


def template() -> Phrases:
    """Return every phrase of the source with the note before it."""
    catalog = Phrases(charset="utf-8", header_comment=f"# {DOMAIN}", fuzzy=False)
    for path in sorted(PHRASES.glob("*.py")):
        with path.open("rb") as source:
            found = extract("python", source, keywords=KEYWORDS, comment_tags=(NOTE,), strip_comment_tags=True)
            for line, text, notes, context in found:
                place = (path.relative_to(ROOT).as_posix(), line)
                catalog.add(text, locations=[place], auto_comments=[" ".join(notes)], context=context)
    return catalog


def languages() -> list[str]:
    """Return the languages that have a catalog."""
    return sorted(path.parts[-3] for path in LOCALES.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))


def path_of(language: str, suffix: str) -> Path:
    return LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}{suffix}"


def read(language: str) -> Phrases:
    """Return a language's catalog; an empty one for a new language."""
    catalog = Phrases(language, charset="utf-8", header_comment=f"# {DOMAIN}: {language}", fuzzy=False)
    path = path_of(language, ".po")
    if path.exists():
        with path.open("rb") as file:
            for message in read_po(file, locale=language):
                if message.id:
                    catalog[message.id] = message
    return catalog


def updated(language: str) -> Phrases:
    """Return a language's catalog with the phrases of now."""
    catalog = read(language)
    catalog.update(template(), update_header_comment=False)
    catalog.obsolete.clear()
    return catalog


def as_text(catalog: Phrases) -> bytes:
    """Return a catalog as the text that translators edit."""
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=120, sort_by_file=True, include_lineno=False)
    return buffer.getvalue()


def as_binary(catalog: Phrases) -> bytes:
    """Return a catalog as programs read it, without what is not translated."""
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def untranslated(catalog: Catalog) -> list[Message]:
    """Return the phrases that are not translated, or were before their English changed."""
    return [message for message in catalog if message.id and (message.fuzzy or not all(_forms(message)))]


def _forms(message: Message) -> tuple[str, ...]:
    return tuple(message.string) if isinstance(message.string, (list, tuple)) else (message.string or "",)


def main() -> None:
    LOCALES.mkdir(exist_ok=True)
    (LOCALES / f"{DOMAIN}.pot").write_bytes(as_text(template()))
    for language in sorted({*languages(), *sys.argv[1:]}):
        catalog = updated(language)
        path_of(language, ".po").parent.mkdir(parents=True, exist_ok=True)
        path_of(language, ".po").write_bytes(as_text(catalog))
        path_of(language, ".mo").write_bytes(as_binary(catalog))
        for message in untranslated(catalog):
            print(f"{language}: to be translated: {message.context}")


if __name__ == "__main__":
    main()
