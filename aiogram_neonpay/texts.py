"""The sentences that people read, each in the language of whoever reads it; every one can be replaced.

The English stands in :mod:`aiogram_neonpay.phrases`, the other languages in gettext's catalogs (``catalogs.py``). Both
are loaded when a sentence is first said.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from aiogram_neonpay.catalogs import Catalog, built_in, catalogs_in, check_fields, tag_of
from aiogram_neonpay.errors import ConfigurationError

if TYPE_CHECKING:
    from aiogram_neonpay.phrases import Phrase

__all__ = ["Replaced", "Texts"]

Replaced: TypeAlias = Mapping[str, Mapping[str, str | Sequence[str]]] | str | Path
"""What ``texts=`` takes: sentences by language and key, or a folder of gettext's catalogs."""


class Texts:
    """Says phrases, with the author's sentences in place of the built-in ones.

    :param replaced: by language code, then by key, what to say instead: ``{"en": {"expired": "Too late."}}``; for a
        phrase about a number all its plural forms in gettext's order, or one sentence for all numbers. Or the folder of
        an author's own catalogs. A language of its own may be added; what it lacks is said in English.
    :raises ConfigurationError: for a key or a placeholder that does not exist, and for wrong plural forms.
    """

    def __init__(self, replaced: Replaced | None = None) -> None:
        self._sentences: dict[str, dict[str, tuple[str, ...]]] = {}
        self._catalogs: dict[str, Catalog] = {}
        if isinstance(replaced, (str, Path)):
            self._catalogs = catalogs_in(Path(replaced))
        elif isinstance(replaced, Mapping):
            for language, sentences in replaced.items():
                if not isinstance(language, str) or not language.strip():
                    raise ConfigurationError(f"texts must be by language code, such as 'ru', not {language!r}")
                self._sentences.setdefault(tag_of(language), {}).update(_checked(language, sentences))
        elif replaced is not None:
            raise ConfigurationError(
                f"texts must be a dict by language code or the folder of catalogs, not {type(replaced).__name__}"
            )

    def get(self, key: str, language: str | None, /, **values: Any) -> str:
        """Return the sentence ``key`` for the person whose update is handled at the moment.

        If the bot has aiogram's ``I18n``, its current locale comes first, then ``language``, then English.

        :param language: the person's IETF language tag, such as ``"ru"`` or ``"pt-br"`` (``User.language_code``).
        :param values: what is filled in; a phrase about a number needs it as ``n``, a whole number.
        :raises KeyError: for a key that does not exist, or a value that is missing.
        """
        return self._say(key, (_locale_of_the_bot(), language), values)

    def get_for(self, key: str, language: str | None, /, **values: Any) -> str:
        """Return the sentence ``key`` for anybody else, such as an admin who is told of a payment.

        As :meth:`get`, without asking aiogram's ``I18n``: its locale is that of the person whose update is handled.
        """
        return self._say(key, (language,), values)

    def _say(self, key: str, languages: Iterable[str | None], values: Mapping[str, Any]) -> str:
        from aiogram_neonpay.phrases import PHRASES

        phrase = PHRASES[key]
        number: int = 1 if phrase.plural is None else values["n"]
        found = (self._find(phrase, tag, number) for tag in _tags(languages))
        text = next(filter(None, found), None) or phrase.in_english(number)
        return text.format_map(values) if phrase.fields else text

    def _find(self, phrase: Phrase, tag: str, number: int) -> str | None:
        """Return a phrase in one language: the author's, or the package's."""
        forms = self._sentences.get(tag, {}).get(phrase.key)
        if forms is not None:
            return forms[0] if len(forms) == 1 else forms[_form(tag, number)]
        for catalog in (self._catalogs.get(tag), built_in(tag)):
            text = None if catalog is None else catalog.find(phrase, number)
            if text is not None:
                return text
        return phrase.in_english(number) if tag == "en" else None


def _tags(languages: Iterable[str | None]) -> Iterator[str]:
    """Yield the languages to look in: each, then what it is a kind of (``pt-br``, ``pt``), and English at last."""
    for language in languages:
        tag = tag_of(language or "")
        while tag:
            yield tag
            tag = tag.rpartition("-")[0]
    yield "en"


def _locale_of_the_bot() -> str | None:
    """Return the locale that the bot's ``I18n`` has chosen for the update in hand, if the bot has one."""
    # Only a bot that uses it has imported it, and it needs Babel.
    module = sys.modules.get("aiogram.utils.i18n.core")
    i18n = None if module is None else module.I18n.get_current(no_error=True)
    return None if i18n is None else str(i18n.current_locale)


def _rule(tag: str) -> Catalog | None:
    """Return the catalog whose plural forms a language has; a language that is not known counts as English does."""
    return built_in(tag.partition("-")[0])


def _form(tag: str, number: int) -> int:
    rule = _rule(tag)
    return int(number != 1) if rule is None else rule.form(number)


def _checked(language: str, sentences: object) -> dict[str, tuple[str, ...]]:
    """Return an author's sentences of a language, each as the forms it has."""
    from aiogram_neonpay.phrases import PHRASES

    if not isinstance(sentences, Mapping):
        raise ConfigurationError(f"texts[{language!r}] must be a dict of sentences by key")
    unknown = sorted(map(str, set(sentences) - set(PHRASES)))
    if unknown:
        raise ConfigurationError(f"texts[{language!r}] has unknown keys {unknown}: see docs/texts.md")
    checked: dict[str, tuple[str, ...]] = {}
    for key, given in sentences.items():
        where, phrase = f"texts[{language!r}][{key!r}]", PHRASES[key]
        forms = (given,) if isinstance(given, str) or not isinstance(given, Sequence) else tuple(given)
        if not forms or not all(isinstance(text, str) and text.strip() for text in forms):
            raise ConfigurationError(f"{where} must be a sentence, not {given!r}")
        if len(forms) > 1:
            _check_forms(where, language, phrase, len(forms))
        for text in forms:
            check_fields(where, phrase, text)
        checked[key] = forms
    return checked


def _check_forms(where: str, language: str, phrase: Phrase, given: int) -> None:
    if phrase.plural is None:
        raise ConfigurationError(f"{where} must be one sentence: it is not about a number")
    rule = _rule(tag_of(language))
    wanted = 2 if rule is None else rule.forms
    if given == wanted:
        return
    hint = "" if rule is not None else "; a language that counts otherwise needs a catalog, see docs/texts.md"
    raise ConfigurationError(f"{where} must be one sentence or {wanted} plural forms, not {given}{hint}")
