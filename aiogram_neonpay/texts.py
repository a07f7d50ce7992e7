"""The sentences that buyers read, in English, Russian and Azerbaijani; every one can be replaced."""

from __future__ import annotations

from collections.abc import Mapping

from aiogram_neonpay.errors import ConfigurationError

__all__ = ["BUILT_IN", "Texts"]

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "en": {
        "bad_token": "This invoice is not valid any more. Please ask the bot for a new one.",
        "wrong_currency": "This invoice can be paid in Telegram Stars only. Please ask the bot for a new one.",
        "wrong_amount": "The amount does not match this invoice. Please ask the bot for a new one.",
        "wrong_buyer": "This invoice was made for somebody else. Please ask the bot for one of your own.",
        "expired": "This invoice has expired. Please ask the bot for a new one.",
        "stage_not_found": "This product is not sold any more.",
        "not_on_sale": "This product is not on sale at the moment.",
        "cancelled": "This invoice was cancelled. Please ask the bot for a new one.",
        "already_paid": "This invoice has been paid already.",
        "rejected": "The bot cannot accept this payment now. No Stars were charged.",
        "check_failed": "The bot could not check this order. No Stars were charged, please try again.",
        "interrupted": "The bot cannot take payments right now. No Stars were charged, please try again later.",
        "too_slow": "The bot did not answer in time. No Stars were charged, please try again.",
        "sold_out": "This is sold out. No Stars were charged.",
        "owned": "You have this already. No Stars were charged.",
        "limit_reached": "You have as many of these as one person may have. No Stars were charged.",
        "pay_button": "Pay {amount} ⭐",
        "subscribe_button": "Subscribe: {amount} ⭐ a month",
        "unavailable": "This is not available at the moment.",
    },
    "ru": {
        "bad_token": "Этот счёт больше не действует. Попросите у бота новый.",
        "wrong_currency": "Этот счёт можно оплатить только звёздами Telegram. Попросите у бота новый.",
        "wrong_amount": "Сумма не совпадает со счётом. Попросите у бота новый счёт.",
        "wrong_buyer": "Этот счёт выставлен другому человеку. Попросите у бота свой.",
        "expired": "Срок действия счёта истёк. Попросите у бота новый.",
        "stage_not_found": "Этот товар больше не продаётся.",
        "not_on_sale": "Этот товар сейчас не продаётся.",
        "cancelled": "Этот счёт отменён. Попросите у бота новый.",
        "already_paid": "Этот счёт уже оплачен.",
        "rejected": "Бот не может сейчас принять этот платёж. Звёзды не списаны.",
        "check_failed": "Бот не смог проверить заказ. Звёзды не списаны, попробуйте ещё раз.",
        "interrupted": "Бот сейчас не принимает платежи. Звёзды не списаны, попробуйте позже.",
        "too_slow": "Бот не успел ответить. Звёзды не списаны, попробуйте ещё раз.",
        "sold_out": "Всё распродано. Звёзды не списаны.",
        "owned": "У вас это уже есть. Звёзды не списаны.",
        "limit_reached": "У вас этого уже столько, сколько можно одному человеку. Звёзды не списаны.",
        "pay_button": "Заплатить {amount} ⭐",
        "subscribe_button": "Подписаться: {amount} ⭐ в месяц",
        "unavailable": "Сейчас это недоступно.",
    },
    "az": {
        "bad_token": "Bu hesab artıq etibarlı deyil. Botdan yenisini istəyin.",
        "wrong_currency": "Bu hesab yalnız Telegram ulduzları ilə ödənilir. Botdan yenisini istəyin.",
        "wrong_amount": "Məbləğ hesabla uyğun gəlmir. Botdan yeni hesab istəyin.",
        "wrong_buyer": "Bu hesab başqası üçün yaradılıb. Botdan özünüz üçün hesab istəyin.",
        "expired": "Hesabın vaxtı bitib. Botdan yenisini istəyin.",
        "stage_not_found": "Bu məhsul artıq satılmır.",
        "not_on_sale": "Bu məhsul hazırda satışda deyil.",
        "cancelled": "Bu hesab ləğv edilib. Botdan yenisini istəyin.",
        "already_paid": "Bu hesab artıq ödənilib.",
        "rejected": "Bot bu ödənişi hazırda qəbul edə bilmir. Ulduz silinmədi.",
        "check_failed": "Bot sifarişi yoxlaya bilmədi. Ulduz silinmədi, yenidən cəhd edin.",
        "interrupted": "Bot hazırda ödəniş qəbul etmir. Ulduz silinmədi, sonra yenidən cəhd edin.",
        "too_slow": "Bot vaxtında cavab vermədi. Ulduz silinmədi, yenidən cəhd edin.",
        "sold_out": "Hamısı satılıb. Ulduz silinmədi.",
        "owned": "Bu artıq sizdə var. Ulduz silinmədi.",
        "limit_reached": "Bir nəfərə düşən qədər almısınız. Ulduz silinmədi.",
        "pay_button": "{amount} ⭐ ödə",
        "subscribe_button": "Abunə ol: ayda {amount} ⭐",
        "unavailable": "Bu hazırda mümkün deyil.",
    },
}


class Texts:
    """Picks a sentence by the user's language.

    :param replaced: by language code, then by key, what to say instead; ``{"en": {"expired": "Too late."}}``.
        A language of its own may be added; what it lacks is said in English.
    :raises ConfigurationError: for a key that does not exist.
    """

    def __init__(self, replaced: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._texts = {language: dict(texts) for language, texts in BUILT_IN.items()}
        if replaced is not None and not isinstance(replaced, Mapping):
            raise ConfigurationError(f"texts must be a dict by language code, not {type(replaced).__name__}")
        for language, texts in (replaced or {}).items():
            if not isinstance(texts, Mapping):
                raise ConfigurationError(f"texts[{language!r}] must be a dict of sentences by key")
            unknown = sorted(set(texts) - set(BUILT_IN["en"]))
            if unknown:
                raise ConfigurationError(f"texts[{language!r}] has unknown keys {unknown}: see aiogram_neonpay.texts")
            for key, text in texts.items():
                _check_replaced(language, key, text)
            self._texts.setdefault(language.lower(), {}).update(texts)

    def get(self, key: str, language: str | None, **values: object) -> str:
        """Return the sentence ``key`` for an IETF language tag such as ``"ru"`` or ``"pt-br"``."""
        tag = (language or "en").lower()
        for candidate in (tag, tag.partition("-")[0], "en"):
            text = self._texts.get(candidate, {}).get(key)
            if text is not None:
                return text.format(**values) if values else text
        raise KeyError(key)


def _check_replaced(language: str, key: str, text: object) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError(f"texts[{language!r}][{key!r}] must be a sentence, not {text!r}")
    if key in ("pay_button", "subscribe_button"):
        try:
            text.format(amount=1)
        except (LookupError, ValueError) as error:
            raise ConfigurationError(
                f"texts[{language!r}][{key!r}] may hold {{amount}} and no other placeholder: {text!r}"
            ) from error
