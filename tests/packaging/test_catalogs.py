"""The catalogs in the package are those of its phrases: nothing is behind, missing or without a note."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiogram_neonpay.catalogs import TRANSLATIONS
from aiogram_neonpay.phrases import PHRASES
from scripts import update_texts

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "run `make texts`, translate what it names, and run it again"


def test_every_phrase_is_extracted_with_a_note_for_translators() -> None:
    messages = {message.context: message for message in update_texts.template() if message.id}

    assert set(messages) == set(PHRASES)
    assert [key for key, message in messages.items() if not all(message.auto_comments)] == []


def test_the_template_is_up_to_date() -> None:
    path = update_texts.LOCALES / f"{update_texts.DOMAIN}.pot"

    assert path.read_bytes() == update_texts.as_text(update_texts.template()), AGAIN


def test_every_language_has_its_catalog() -> None:
    assert update_texts.languages() == sorted(TRANSLATIONS)


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_a_catalog_is_up_to_date_and_compiled(language: str) -> None:
    catalog = update_texts.updated(language)

    assert update_texts.path_of(language, ".po").read_bytes() == update_texts.as_text(catalog), AGAIN
    assert update_texts.path_of(language, ".mo").read_bytes() == update_texts.as_binary(catalog), AGAIN


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_everything_is_translated(language: str) -> None:
    missing = update_texts.untranslated(update_texts.read(language))

    assert [message.context for message in missing] == [], AGAIN


def test_the_page_about_texts_names_every_module_with_phrases() -> None:
    modules = {path.stem for path in (ROOT / "aiogram_neonpay" / "phrases").glob("*.py")} - {"__init__", "phrase"}
    page = (ROOT / "docs" / "texts.md").read_text(encoding="utf-8")

    assert [name for name in sorted(modules) if f"phrases/{name}.py" not in page] == []
