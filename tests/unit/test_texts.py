"""What buyers read: every sentence in every language, each replaceable."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from aiogram_neonpay.errors import ConfigurationError
from aiogram_neonpay.events import CheckoutDeclined
from aiogram_neonpay.texts import BUILT_IN, Texts

ENGLISH = BUILT_IN["en"]
ALL = [(language, key) for language, texts in BUILT_IN.items() for key in texts]


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_there_are_english_russian_and_azerbaijani() -> None:
    assert set(BUILT_IN) == {"en", "ru", "az"}


@pytest.mark.parametrize("language", BUILT_IN)
def test_every_language_has_the_same_sentences(language: str) -> None:
    assert set(BUILT_IN[language]) == set(ENGLISH)


@pytest.mark.parametrize(("language", "key"), ALL)
def test_a_sentence_says_something_and_fills_in_the_same_values(language: str, key: str) -> None:
    text = BUILT_IN[language][key]

    assert text == text.strip() != ""
    assert fields_of(text) == fields_of(ENGLISH[key])
    assert text[-1] in ".!?" or fields_of(text), "a sentence ends as one"


@pytest.mark.parametrize(("language", "key"), [(language, key) for language, key in ALL if language != "en"])
def test_a_translation_is_no_copy(language: str, key: str) -> None:
    assert BUILT_IN[language][key] != ENGLISH[key]


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en", "en"),
        ("ru", "ru"),
        ("RU", "ru"),
        ("ru-RU", "ru"),
        ("az-Latn-AZ", "az"),
        ("pt-br", "en"),
        ("rub", "en"),
        ("", "en"),
        (None, "en"),
        ("-", "en"),
        ("xx" * 50, "en"),
    ],
)
def test_the_buyers_language_is_used_or_else_english(tag: str | None, language: str) -> None:
    assert Texts().get("expired", tag) == BUILT_IN[language]["expired"]


def test_values_are_filled_in() -> None:
    assert [Texts().get("pay_button", language, amount=25) for language in ("en", "ru", "az")] == [
        "Pay 25 ⭐",
        "Заплатить 25 ⭐",
        "25 ⭐ ödə",
    ]


def test_a_sentence_may_be_replaced_in_one_language_alone() -> None:
    texts = Texts({"en": {"expired": "Too late {sorry}."}})

    assert texts.get("expired", "en") == "Too late {sorry}."
    assert texts.get("expired", "ru") == BUILT_IN["ru"]["expired"]
    assert Texts().get("expired", "en") == ENGLISH["expired"], "other routers keep theirs"


def test_a_language_of_ones_own_says_the_rest_in_english() -> None:
    texts = Texts({"de": {"expired": "Zu spät."}, "pt-br": {"expired": "Tarde demais."}})

    assert texts.get("expired", "de-AT") == "Zu spät."
    assert texts.get("expired", "pt-BR") == "Tarde demais."
    assert texts.get("expired", "pt") == ENGLISH["expired"]
    assert texts.get("rejected", "de") == ENGLISH["rejected"]


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_sentence_nobody_says_is_refused_by_name(language: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"texts\['{language}'\] has unknown keys \['expird'\]"):
        Texts({language: {"expird": "x", "expired": "y"}})


def test_an_unknown_sentence_is_an_error_of_ours() -> None:
    with pytest.raises(KeyError):
        Texts().get("no such key", "en")


def test_declines_have_a_sentence_for_every_reason() -> None:
    documented = re.findall(r"``(\w+)``", (CheckoutDeclined.__doc__ or "").partition(":ivar reason:")[2])

    assert len(documented) > 10
    assert set(documented) <= set(ENGLISH)
