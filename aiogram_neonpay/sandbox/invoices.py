"""Owns checking what a bot wants to be paid for, in Telegram's order and with Telegram's words.

First the checks of the Bot API server (`get_input_message_invoice` in tdlib/telegram-bot-api, then
`InputInvoice` and `LabeledPricePart` in tdlib/td), then those of Telegram's own servers, whose tokens are
guesses where :mod:`aiogram_neonpay.sandbox.rules` says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.models import Invoice, Json
from aiogram_neonpay.sandbox.parameters import Parameters
from aiogram_neonpay.sandbox.rules import (
    DESCRIPTION_CHARACTERS,
    GUESS_DESCRIPTION_TOO_LONG,
    GUESS_PAYLOAD_TOO_LONG,
    GUESS_PRICE_TOO_HIGH,
    GUESS_SEVERAL_PRICES,
    GUESS_SUBSCRIPTION_PERIOD,
    GUESS_SUBSCRIPTION_TOO_HIGH,
    GUESS_TITLE_TOO_LONG,
    LARGEST_AMOUNT,
    PAYLOAD_BYTES,
    STARS,
    SUBSCRIPTION_PRICE,
    SUGGESTED_TIPS,
    TITLE_CHARACTERS,
    Rules,
)

_WHOLE = re.compile(r"-?[0-9]{1,19}")
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class DraftInvoice:
    """The parameters of an invoice, read and of the right types, with nothing else checked yet."""

    title: str
    description: str
    payload: str
    currency: str
    amounts: tuple[int, ...]
    max_tip: int
    tips: tuple[int, ...]
    photo_url: str
    start_parameter: str
    subscription_period: int


def read_invoice(parameters: Parameters) -> DraftInvoice:
    """Read an invoice's parameters: the checks made before the chat is looked at.

    :raises ApiError: 400 for the first thing missing or not parsable.
    """
    title = parameters.required("title")
    description = parameters.required("description")
    payload = parameters.required("payload")
    if any("\ud800" <= character <= "\udfff" for character in payload):
        raise refuse("the payload must be encoded in UTF-8")
    currency = parameters.required("currency")
    parameters.required("prices")
    prices = parameters.json("prices", "can't parse prices JSON object")
    try:
        amounts = _amounts(prices)
        max_tip = _max_tip(parameters.text("max_tip_amount"))
        tips = _tips(parameters.json("suggested_tip_amounts", "can't parse suggested_tip_amounts JSON object"))
    except _Unreadable as error:
        raise refuse(str(error)) from None
    return DraftInvoice(
        title=title,
        description=description,
        payload=payload,
        currency=currency,
        amounts=amounts,
        max_tip=max_tip,
        tips=tips,
        photo_url=parameters.text("photo_url"),
        start_parameter=parameters.text("start_parameter"),
        subscription_period=parameters.integer("subscription_period"),
    )


def read_inline_invoice(content: Json) -> DraftInvoice:
    """Read an `InputInvoiceMessageContent`, which has no start parameter and no subscription.

    :raises ApiError: 400 for the first field missing or not readable.
    """
    try:
        texts = [_string(content, name) for name in ("title", "description", "payload")]
        if any("\ud800" <= character <= "\udfff" for character in texts[2]):
            raise _Unreadable("InputInvoiceMessageContent payload must be encoded in UTF-8")
        currency = _string(content, "currency")
        if "prices" not in content:
            raise _Unreadable('Can\'t find field "prices"')
        if not isinstance(content["prices"], list):
            raise _Unreadable('Field "prices" must be of type Array')
        return DraftInvoice(
            title=texts[0],
            description=texts[1],
            payload=texts[2],
            currency=currency,
            amounts=_amounts(content["prices"]),
            max_tip=_number(content, "max_tip_amount") if "max_tip_amount" in content else 0,
            tips=_tips(content.get("suggested_tip_amounts")),
            photo_url=_string(content, "photo_url") if "photo_url" in content else "",
            start_parameter="",
            subscription_period=0,
        )
    except _Unreadable as error:
        raise refuse(f"Can't parse inline query result: {error}") from None


def check_amounts(draft: DraftInvoice) -> int:
    """Check the sums as the Bot API server does and return the total.

    :raises ApiError: 400 with the server's sentence.
    """
    if any(abs(amount) > LARGEST_AMOUNT for amount in draft.amounts):
        raise refuse("too big amount of the currency specified")
    total = sum(draft.amounts)
    if total <= 0:
        raise refuse("total price must be positive")
    if total > LARGEST_AMOUNT:
        raise refuse("total price is too big")
    if not 0 <= draft.max_tip <= LARGEST_AMOUNT:
        raise refuse("invalid max_tip_amount of the currency specified")
    if any(tip <= 0 for tip in draft.tips):
        raise refuse("suggested tip amount must be positive")
    if any(tip > draft.max_tip for tip in draft.tips):
        raise refuse("suggested tip amount can't be bigger than max_tip_amount")
    if len(draft.tips) > SUGGESTED_TIPS:
        raise refuse(f"there can be at most {SUGGESTED_TIPS} suggested tip amounts")
    return total


def check_with_telegram(draft: DraftInvoice, total: int, rules: Rules, *, as_link: bool) -> None:
    """Check what only Telegram's own servers check; they answer with tokens. The order is a guess.

    :param as_link: whether a link is made, the one form in which a subscription may be sold.
    :raises ApiError: 400 with the token.
    """
    if draft.currency != STARS:
        raise refuse("PAYMENT_PROVIDER_INVALID")  # no payment provider exists in the sandbox
    if draft.max_tip or draft.tips:
        raise refuse("STARS_INVOICE_INVALID")
    if len(draft.amounts) != 1:
        raise refuse(GUESS_SEVERAL_PRICES)
    if len(draft.title) > TITLE_CHARACTERS:
        raise refuse(GUESS_TITLE_TOO_LONG)
    if len(draft.description) > DESCRIPTION_CHARACTERS:
        raise refuse(GUESS_DESCRIPTION_TOO_LONG)
    if len(draft.payload.encode()) > PAYLOAD_BYTES:
        raise refuse(GUESS_PAYLOAD_TOO_LONG)
    if draft.subscription_period:
        if not as_link:
            raise refuse("SUBSCRIPTION_EXPORT_MISSING")
        if draft.subscription_period not in rules.subscription_periods:
            raise refuse(GUESS_SUBSCRIPTION_PERIOD)
        if total > SUBSCRIPTION_PRICE:
            raise refuse(GUESS_SUBSCRIPTION_TOO_HIGH)
    elif rules.price_cap is not None and total > rules.price_cap:
        raise refuse(GUESS_PRICE_TOO_HIGH)


def make_invoice(draft: DraftInvoice, total: int, bot_id: int, slug: str | None = None) -> Invoice:
    """Return the invoice a checked draft describes; ``slug`` names its link."""
    return Invoice(
        bot_id=bot_id,
        title=draft.title,
        description=draft.description,
        payload=draft.payload,
        currency=draft.currency,
        amount=total,
        start_parameter=draft.start_parameter,
        photo_url=draft.photo_url or None,
        subscription_period=draft.subscription_period or None,
        slug=slug,
    )


class _Unreadable(ValueError):
    """What the Bot API server says of a value it cannot read."""


def _amounts(prices: Any) -> tuple[int, ...]:
    if not isinstance(prices, list):
        raise _Unreadable("Expected an Array of labeled prices")
    try:
        amounts = tuple(_amount(price) for price in prices)
    except _Unreadable as error:
        raise _Unreadable(f"Can't parse labeled price: {error}") from None
    if not amounts:
        raise _Unreadable("There must be at least one price")
    return amounts


def _amount(price: Any) -> int:
    if not isinstance(price, dict):
        raise _Unreadable("LabeledPrice must be an Object")
    if not _string(price, "label"):
        raise _Unreadable("LabeledPrice label must be non-empty")
    return _number(price, "amount")


def _max_tip(written: str) -> int:
    number = _whole(written) if written else 0
    if number is None:
        raise _Unreadable('Can\'t parse "max_tip_amount" as Number')
    return number


def _tips(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _Unreadable("Expected an Array of suggested tip amounts")
    tips: list[int] = []
    for tip in value:
        if isinstance(tip, bool) or not isinstance(tip, (int, float, str)):
            raise _Unreadable("Suggested tip amount must be of type Number or String")
        number = _whole(tip)
        if number is None:
            raise _Unreadable("Can't parse suggested tip amount as Number")
        tips.append(number)
    return tuple(tips)


def _string(fields: Json, name: str) -> str:
    """Return a field that must be there, as text; a number is taken for its text."""
    if name not in fields:
        raise _Unreadable(f'Can\'t find field "{name}"')
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _Unreadable(f'Field "{name}" must be of type String')
    return str(value)


def _number(fields: Json, name: str) -> int:
    """Return a field that must be there, as a whole number; digits in a string are a number too."""
    if name not in fields:
        raise _Unreadable(f'Can\'t find field "{name}"')
    value = fields[name]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _Unreadable(f'Field "{name}" must be a Number')
    number = _whole(value)
    if number is None:
        raise _Unreadable(f'Field "{name}" must be a valid Number')
    return number


def _whole(value: str | int | float) -> int | None:
    """Return what `to_integer_safe<int64>` makes of a number as it was written."""
    written = str(value)
    if not _WHOLE.fullmatch(written) or int(written) not in _INT64:
        return None
    return int(written)
