"""What people read: every sentence in every language, each replaceable."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
from aiogram.utils.i18n import I18n
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from aiogram_neonpay.catalogs import TRANSLATIONS, built_in
from aiogram_neonpay.errors import ConfigurationError
from aiogram_neonpay.events import CheckoutDeclined
from aiogram_neonpay.phrases import PHRASES
from aiogram_neonpay.texts import Texts

COUNTED = [key for key, phrase in PHRASES.items() if phrase.plural is not None]
NUMBERS = [0, 1, 2, 4, 5, 11, 12, 14, 21, 22, 25, 100, 101, 102, 111, 112, 1000, 1001]
TRANSLATED = [(language, key) for language in TRANSLATIONS for key in PHRASES]


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def forms_of(key: str, language: str) -> list[str]:
    phrase = PHRASES[key]
    if language == "en":
        return [phrase.english] if phrase.plural is None else [phrase.english, phrase.plural]
    catalog = built_in(language)
    assert catalog is not None
    return catalog.texts_of(phrase)


def say(key: str, language: str | None, texts: Texts | None = None) -> str:
    values = dict.fromkeys(PHRASES[key].fields, 5)
    return (texts or Texts()).get(key, language, **values)


@pytest.mark.parametrize(("language", "key"), [("en", key) for key in PHRASES] + TRANSLATED)
def test_a_sentence_says_something_and_fills_in_the_same_values(language: str, key: str) -> None:
    forms = forms_of(key, language)

    assert forms
    for text in forms:
        assert text == text.strip() != ""
        assert fields_of(text) == PHRASES[key].fields


@pytest.mark.parametrize(("language", "key"), TRANSLATED)
def test_a_translation_is_no_copy(language: str, key: str) -> None:
    if not re.search("[a-z]", re.sub(r"\{\w+\}", "", PHRASES[key].english)):
        return  # all it says is its values and signs
    assert not set(forms_of(key, language)) & set(forms_of(key, "en"))


@pytest.mark.parametrize("key", COUNTED)
def test_a_phrase_about_a_number_names_it(key: str) -> None:
    assert "n" in PHRASES[key].fields


def test_stars_are_counted_as_people_count_them() -> None:
    said = {
        language: [Texts().get("stars", language, n=number) for number in NUMBERS] for language in ("en", "ru", "az")
    }

    assert said["en"] == ["1 Star" if number == 1 else f"{number} Stars" for number in NUMBERS]
    assert said["az"] == [f"{number} ulduz" for number in NUMBERS]
    assert said["ru"] == [
        "0 звёзд",
        "1 звезда",
        "2 звезды",
        "4 звезды",
        "5 звёзд",
        "11 звёзд",
        "12 звёзд",
        "14 звёзд",
        "21 звезда",
        "22 звезды",
        "25 звёзд",
        "100 звёзд",
        "101 звезда",
        "102 звезды",
        "111 звёзд",
        "112 звёзд",
        "1000 звёзд",
        "1001 звезда",
    ]


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en", "en"),
        ("ru", "ru"),
        ("RU", "ru"),
        ("ru-RU", "ru"),
        ("ru_RU", "ru"),
        ("az-Latn-AZ", "az"),
        ("pt-br", "en"),
        ("rub", "en"),
        ("", "en"),
        (None, "en"),
        ("-", "en"),
        ("../../ru", "en"),
        ("xx" * 50, "en"),
        ("-" * 50, "en"),
    ],
)
def test_the_buyers_language_is_used_or_else_english(tag: str | None, language: str) -> None:
    assert [Texts().get("expired", tag)] == forms_of("expired", language)


def test_values_are_filled_in() -> None:
    assert [Texts().get("pay_button", language, amount=25) for language in ("en", "ru", "az")] == [
        "Pay 25 ⭐",
        "Заплатить 25 ⭐",
        "25 ⭐ ödə",
    ]


def test_a_phrase_about_a_number_needs_it() -> None:
    with pytest.raises(KeyError, match="n"):
        Texts().get("stars", "en")


class TestReplacing:
    def test_a_sentence_may_be_replaced_in_one_language_alone(self) -> None:
        texts = Texts({"en": {"expired": "Too late {sorry}."}})

        assert texts.get("expired", "en") == "Too late {sorry}."
        assert texts.get("expired", "ru") == say("expired", "ru") != say("expired", "en")
        assert Texts().get("expired", "en") == PHRASES["expired"].english, "other routers keep theirs"

    def test_a_language_of_ones_own_says_the_rest_in_english(self) -> None:
        texts = Texts({"de": {"expired": "Zu spät."}, "pt-br": {"expired": "Tarde demais."}})

        assert texts.get("expired", "de-AT") == "Zu spät."
        assert texts.get("expired", "pt-BR") == "Tarde demais."
        assert texts.get("expired", "pt") == PHRASES["expired"].english
        assert texts.get("rejected", "de") == PHRASES["rejected"].english

    def test_one_language_in_two_spellings_is_one(self) -> None:
        texts = Texts({"pt-BR": {"expired": "Tarde demais."}, "pt_br": {"rejected": "Não."}})

        assert [texts.get(key, "pt-br") for key in ("expired", "rejected")] == ["Tarde demais.", "Não."]

    @pytest.mark.parametrize(
        ("language", "forms", "said"),
        [
            ("en", ["{n} coin", "{n} coins"], ["1 coin", "2 coins", "5 coins", "21 coins"]),
            ("de", ["{n} Stern", "{n} Sterne"], ["1 Stern", "2 Sterne", "5 Sterne", "21 Sterne"]),
            (
                "ru",
                ("{n} монета", "{n} монеты", "{n} монет"),
                ["1 монета", "2 монеты", "5 монет", "21 монета"],
            ),
            ("ru-by", ["{n} a", "{n} b", "{n} c"], ["1 a", "2 b", "5 c", "21 a"]),
            ("ru", "{n} ⭐", ["1 ⭐", "2 ⭐", "5 ⭐", "21 ⭐"]),
            ("ru", ["{n} ⭐"], ["1 ⭐", "2 ⭐", "5 ⭐", "21 ⭐"]),
            ("en", "Stars", ["Stars"] * 4),
        ],
    )
    def test_plural_forms_may_be_replaced(self, language: str, forms: Any, said: list[str]) -> None:
        texts = Texts({language: {"stars": forms}})

        assert [texts.get("stars", language, n=number) for number in (1, 2, 5, 21)] == said

    @pytest.mark.parametrize(
        ("language", "forms", "wanted"),
        [
            ("en", ["{n} a", "{n} b", "{n} c"], "2 plural forms, not 3"),
            ("ru", ["{n} a", "{n} b"], "3 plural forms, not 2"),
            ("pl", ["{n} a", "{n} b", "{n} c"], "2 plural forms, not 3; a language that counts otherwise needs a cat"),
        ],
    )
    def test_there_are_as_many_plural_forms_as_the_language_has(
        self, language: str, forms: list[str], wanted: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=rf"texts\['{language}'\]\['stars'\] must be one .* {wanted}"):
            Texts({language: {"stars": forms}})

    @pytest.mark.parametrize("forms", [["a", "b"], ["a", "b", "c"]])
    def test_a_phrase_that_counts_nothing_has_one_form(self, forms: list[str]) -> None:
        with pytest.raises(ConfigurationError, match=r"texts\['en'\]\['expired'\] must be one sentence: it is not"):
            Texts({"en": {"expired": forms}})

    @pytest.mark.parametrize("key", [key for key, phrase in PHRASES.items() if phrase.fields])
    @pytest.mark.parametrize("text", ["{nobody}", "{", "{}", "{0}", "{amount!x}", "{n.nobody}"])
    def test_a_placeholder_nobody_fills_is_refused(self, key: str, text: str) -> None:
        named = " ".join(f"{{{name}}}" for name in sorted(PHRASES[key].fields))

        with pytest.raises(ConfigurationError) as caught:
            Texts({"de": {key: text}})

        assert str(caught.value) == f"texts['de'][{key!r}] may hold {named} and no other placeholder: {text!r}"

    @pytest.mark.parametrize("language", ["", " ", 5, None])
    def test_sentences_are_given_by_language(self, language: Any) -> None:
        with pytest.raises(ConfigurationError, match="texts must be by language code, such as 'ru', not"):
            Texts({language: {"expired": "x"}})

    @pytest.mark.parametrize("text", ["", " ", 5, None, b"x", [], [""], ["x", 5]])
    def test_a_sentence_is_text(self, text: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"texts\['en'\]\['stars'\] must be a sentence, not"):
            Texts({"en": {"stars": text}})

    @pytest.mark.parametrize("language", ["en", "de"])
    def test_a_sentence_nobody_says_is_refused_by_name(self, language: str) -> None:
        with pytest.raises(ConfigurationError, match=rf"texts\['{language}'\] has unknown keys \['expird'\]"):
            Texts({language: {"expird": "x", "expired": "y"}})

    @pytest.mark.parametrize("texts", [5, [], [("en", {})]])
    def test_only_dicts_and_folders_are_taken(self, texts: Any) -> None:
        with pytest.raises(ConfigurationError, match="texts must be a dict by language code or the folder of catalogs"):
            Texts(texts)

    def test_a_language_is_a_dict(self) -> None:
        with pytest.raises(ConfigurationError, match=r"texts\['en'\] must be a dict of sentences by key"):
            Texts({"en": ["expired"]})  # type: ignore[dict-item]


class TestCatalogsOfAnAuthor:
    @staticmethod
    def write(folder: Path, language: str, sentences: dict[str, Any]) -> None:
        catalog = Catalog(language)
        for key, text in sentences.items():
            phrase = PHRASES[key]
            text_id = phrase.english if phrase.plural is None else (phrase.english, phrase.plural)
            catalog.add(text_id, text, context=key)
        path = folder / language / "LC_MESSAGES" / "aiogram_neonpay.mo"
        path.parent.mkdir(parents=True)
        buffer = io.BytesIO()
        write_mo(buffer, catalog)
        path.write_bytes(buffer.getvalue())

    def test_they_add_languages_with_plural_forms_of_their_own(self, tmp_path: Path) -> None:
        self.write(tmp_path, "pl", {"stars": ("{n} gwiazdka", "{n} gwiazdki", "{n} gwiazdek"), "owned": "Już masz."})

        for folder in (tmp_path, str(tmp_path)):
            texts = Texts(folder)
            assert [texts.get("stars", "pl", n=number) for number in (1, 2, 5, 21, 22)] == [
                "1 gwiazdka",
                "2 gwiazdki",
                "5 gwiazdek",
                "21 gwiazdek",
                "22 gwiazdki",
            ]
            assert texts.get("owned", "pl-PL") == "Już masz."
            assert texts.get("expired", "pl") == PHRASES["expired"].english

    def test_they_replace_built_in_sentences(self, tmp_path: Path) -> None:
        self.write(tmp_path, "ru", {"owned": "Уже есть."})
        self.write(tmp_path, "en", {"owned": "You own it.", "stars": ("one star", "{n} stars")})
        self.write(tmp_path, "pt_BR", {"owned": "Já tem."})

        texts = Texts(tmp_path)

        assert [texts.get("owned", tag) for tag in ("ru", "en", "fr", "pt-br", "pt", "az")] == [
            "Уже есть.",
            "You own it.",
            "You own it.",
            "Já tem.",
            "You own it.",
            say("owned", "az"),
        ]
        assert [texts.get("stars", None, n=number) for number in (1, 2)] == ["one star", "2 stars"]
        assert texts.get("expired", "ru") == say("expired", "ru")

    def test_a_folder_without_any_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "ru" / "LC_MESSAGES").mkdir(parents=True)
        (tmp_path / "ru" / "LC_MESSAGES" / "messages.mo").write_bytes(b"")

        for folder in (tmp_path, tmp_path / "nowhere"):
            with pytest.raises(ConfigurationError, match=r"has no compiled catalog \*/LC_MESSAGES/aiogram_neonpay\.mo"):
                Texts(folder)

    def test_a_broken_one_is_refused(self, tmp_path: Path) -> None:
        self.write(tmp_path, "ru", {})
        path = tmp_path / "ru" / "LC_MESSAGES" / "aiogram_neonpay.mo"
        for content in (b"", b"no catalog", path.read_bytes()[:40]):
            path.write_bytes(content)
            with pytest.raises(ConfigurationError, match=rf"the catalog {re.escape(str(path))} cannot be read"):
                Texts(tmp_path)

    def test_placeholders_are_checked(self, tmp_path: Path) -> None:
        self.write(tmp_path, "ru", {"stars": ("{n} a", "{n} b", "{m} c")})

        with pytest.raises(ConfigurationError, match=r"'stars' may hold \{n\} and no other placeholder: '\{m\} c'"):
            Texts(tmp_path)


class TestTheBotsOwnLanguage:
    @pytest.fixture
    def i18n(self, tmp_path: Path) -> Iterator[I18n]:
        i18n = I18n(path=tmp_path)
        with i18n.context():
            yield i18n

    @pytest.mark.parametrize(
        ("locale", "language", "said"), [("az", "ru", "az"), ("en", "ru", "en"), ("ru_RU", "en", "ru")]
    )
    def test_it_comes_before_the_users(self, i18n: I18n, locale: str, language: str, said: str) -> None:
        with i18n.use_locale(locale):
            assert Texts().get("expired", language) == forms_of("expired", said)[0]

    def test_one_that_has_no_sentences_leaves_it_to_the_users(self, i18n: I18n) -> None:
        with i18n.use_locale("uz"):
            assert Texts().get("expired", "ru") == forms_of("expired", "ru")[0]
            assert Texts().get("expired", None) == PHRASES["expired"].english

    def test_it_is_not_that_of_others(self, i18n: I18n) -> None:
        with i18n.use_locale("az"):
            assert Texts().get_for("expired", "ru") == forms_of("expired", "ru")[0]

    def test_outside_an_update_the_users_is_used(self, tmp_path: Path) -> None:
        i18n = I18n(path=tmp_path, default_locale="az")
        with i18n.context():
            pass

        assert Texts().get("expired", "ru") == forms_of("expired", "ru")[0]


def test_an_unknown_sentence_is_an_error_of_ours() -> None:
    with pytest.raises(KeyError):
        Texts().get("no such key", "en")


def test_no_two_phrases_share_a_key() -> None:
    from aiogram_neonpay import phrases

    assert len(PHRASES) == sum(map(len, phrases._PARTS))


def test_declines_have_a_sentence_for_every_reason() -> None:
    documented = re.findall(r"``(\w+)``", (CheckoutDeclined.__doc__ or "").partition(":ivar reason:")[2])

    assert len(documented) > 10
    assert set(documented) <= set(PHRASES)
