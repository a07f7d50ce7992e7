from __future__ import annotations

import json
from typing import Any

import pytest
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, LabeledPrice

from aiogram_neonpay.sandbox import Rules, Sandbox
from tests.sandbox.conftest import Stand
from tests.sandbox.paying import approved
from tests.sandbox.raw import INVOICE, call

BAD = "Bad Request: "
ITEM = BAD + "can't parse labeled price: "


def prices(*items: Any) -> str:
    return json.dumps(list(items))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"title": ""}, BAD + 'parameter "title" is required'),
    ({"title": "", "description": ""}, BAD + 'parameter "title" is required'),
    ({"description": "", "payload": ""}, BAD + 'parameter "description" is required'),
    ({"payload": "", "currency": ""}, BAD + 'parameter "payload" is required'),
    ({"currency": "", "prices": ""}, BAD + 'parameter "currency" is required'),
    ({"prices": ""}, BAD + 'parameter "prices" is required'),
    ({"prices": "[{"}, BAD + "can't parse prices JSON object"),
    ({"prices": "{}"}, BAD + "expected an Array of labeled prices"),
    ({"prices": prices(5)}, ITEM + "LabeledPrice must be an Object"),
    ({"prices": prices({"amount": 1})}, ITEM + 'Can\'t find field "label"'),
    ({"prices": prices({"label": "", "amount": 1})}, ITEM + "LabeledPrice label must be non-empty"),
    ({"prices": prices({"label": "a"})}, ITEM + 'Can\'t find field "amount"'),
    ({"prices": prices({"label": "a", "amount": "x"})}, ITEM + 'Field "amount" must be a valid Number'),
    ({"prices": prices({"label": "a", "amount": 2.5})}, ITEM + 'Field "amount" must be a valid Number'),
    ({"prices": prices({"label": "a", "amount": 2**63})}, ITEM + 'Field "amount" must be a valid Number'),
    ({"prices": prices({"label": "a", "amount": None})}, ITEM + 'Field "amount" must be a Number'),
    ({"prices": prices({"label": "a", "amount": True})}, ITEM + 'Field "amount" must be a Number'),
    ({"prices": prices({"label": ["a"], "amount": 5})}, ITEM + 'Field "label" must be of type String'),
    ({"prices": "[]"}, BAD + "there must be at least one price"),
    ({"max_tip_amount": "many"}, BAD + 'can\'t parse "max_tip_amount" as Number'),
    ({"suggested_tip_amounts": "["}, BAD + "can't parse suggested_tip_amounts JSON object"),
    ({"chat_id": 999}, BAD + "chat not found"),
    ({"chat_id": 999, "prices": prices({"label": "a", "amount": 0})}, BAD + "chat not found"),
    ({"prices": prices({"label": "a", "amount": 10**12})}, BAD + "too big amount of the currency specified"),
    ({"prices": prices({"label": "a", "amount": 0})}, BAD + "total price must be positive"),
    ({"prices": prices({"label": "a", "amount": -1})}, BAD + "total price must be positive"),
    ({"max_tip_amount": -1}, BAD + "invalid max_tip_amount of the currency specified"),
    ({"max_tip_amount": 5, "suggested_tip_amounts": "[0]"}, BAD + "suggested tip amount must be positive"),
    (
        {"max_tip_amount": 5, "suggested_tip_amounts": "[6]"},
        BAD + "suggested tip amount can't be bigger than max_tip_amount",
    ),
    (
        {"max_tip_amount": 9, "suggested_tip_amounts": "[1,2,3,4,5]"},
        BAD + "there can be at most 4 suggested tip amounts",
    ),
    ({"max_tip_amount": 5, "suggested_tip_amounts": "[1]"}, BAD + "STARS_INVOICE_INVALID"),
    ({"currency": "XTS"}, BAD + "PAYMENT_PROVIDER_INVALID"),
    ({"prices": prices({"label": "a", "amount": 1}, {"label": "b", "amount": 1})}, BAD + "STARS_INVOICE_INVALID"),
    ({"title": "t" * 33}, BAD + "STARS_INVOICE_INVALID"),
    ({"description": "d" * 256}, BAD + "STARS_INVOICE_INVALID"),
    ({"payload": "я" * 65}, BAD + "INVOICE_PAYLOAD_INVALID"),
    ({"prices": prices({"label": "a", "amount": 10_001})}, BAD + "CURRENCY_TOTAL_AMOUNT_INVALID"),
    ({"subscription_period": 2592000}, BAD + "SUBSCRIPTION_EXPORT_MISSING"),
    (
        {"reply_markup": {"inline_keyboard": [[{"text": "a", "callback_data": "a"}], [{"text": "Pay", "pay": True}]]}},
        BAD + "BUTTON_POS_INVALID",
    ),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("changes", "description"), REFUSED)
async def test_a_wrong_invoice_is_refused_in_telegrams_words(
    stand: Stand, changes: dict[str, Any], description: str
) -> None:
    params = {**INVOICE, "chat_id": stand.alice.id, **changes}
    status, answer = await call(stand.server.url, stand.token, "sendInvoice", **params)
    assert (status, answer) == (400, {"ok": False, "error_code": 400, "description": description})
    assert stand.alice.messages() == []


@pytest.mark.asyncio
async def test_an_invoice_message_has_no_payload_and_no_photo(stand: Stand) -> None:
    message = await stand.bot.send_invoice(
        stand.alice.id,
        title="t" * 32,
        description="d" * 255,
        payload="я" * 64,
        currency="XTR",
        prices=[LabeledPrice(label="Premium", amount=10_000)],
        photo_url="https://example.com/a.png",
        need_email=True,
        provider_token="",
    )
    assert message.invoice is not None
    assert message.invoice.model_dump() == {
        "title": "t" * 32,
        "description": "d" * 255,
        "start_parameter": "",
        "currency": "XTR",
        "total_amount": 10_000,
    }


@pytest.mark.asyncio
async def test_numeric_strings_forms_and_json_in_strings_are_read(stand: Stand) -> None:
    amount = json.dumps([{"label": "x", "amount": "25"}])
    status, answer = await call(
        stand.server.url, stand.token, "sendInvoice", **{**INVOICE, "chat_id": str(stand.alice.id), "prices": amount}
    )
    assert status == 200
    assert answer["result"]["invoice"]["total_amount"] == 25


@pytest.mark.asyncio
async def test_a_pay_button_first_is_kept_with_the_others_after_it(stand: Stand) -> None:
    markup = InlineKeyboardMarkup(
        inline_keyboard=[
            [InlineKeyboardButton(text="Pay ⭐ 25", pay=True)],
            [InlineKeyboardButton(text="Cancel", callback_data="cancel")],
        ]
    )
    message = await stand.bot.send_invoice(
        stand.alice.id, "Premium", "30 days", "p", "XTR", [LabeledPrice(label="x", amount=25)], reply_markup=markup
    )
    assert message.reply_markup is not None
    assert message.reply_markup.model_dump() == markup.model_dump()


@pytest.mark.asyncio
async def test_the_guessed_price_cap_can_be_switched_off() -> None:
    sandbox = Sandbox(rules=Rules(price_cap=None))
    token = sandbox.create_bot("dear_bot")
    params = {**INVOICE, "prices": prices({"label": "x", "amount": 1_000_000})}
    assert (await sandbox.call(token, "createInvoiceLink", params)).status == 200


@pytest.mark.asyncio
async def test_a_link_is_a_string_that_anybody_can_pay(stand: Stand) -> None:
    link = await stand.bot.create_invoice_link("Premium", "30 days", "p", "XTR", [LabeledPrice(label="x", amount=5)])
    assert link.startswith("https://t.me/$")
    for payer in (stand.alice, stand.bob):
        receipt = await approved(stand, payer.pay(link=link))
        assert receipt.ok


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("period", "amount", "token"),
    [(3600, 10, "SUBSCRIPTION_PERIOD_INVALID"), (2592000, 10_001, "CURRENCY_TOTAL_AMOUNT_INVALID")],
)
async def test_a_subscription_link_has_one_period_and_a_largest_price(
    stand: Stand, period: int, amount: int, token: str
) -> None:
    with pytest.raises(TelegramBadRequest, match=token):
        await stand.bot.create_invoice_link(
            "Club", "Monthly", "p", "XTR", [LabeledPrice(label="x", amount=amount)], subscription_period=period
        )


@pytest.mark.asyncio
async def test_the_first_payment_of_a_subscription_carries_both_flags_and_its_end(stand: Stand) -> None:
    link = await stand.bot.create_invoice_link(
        "Club", "Monthly", "p", "XTR", [LabeledPrice(label="x", amount=10)], subscription_period=2592000
    )
    receipt = await approved(stand, stand.alice.pay(link=link))
    message = (await stand.update("message")).message
    assert message is not None and message.successful_payment is not None
    paid = message.successful_payment
    assert (paid.is_recurring, paid.is_first_recurring) == (True, True)
    assert paid.subscription_expiration_date == receipt.subscription_expiration_date
    row = (await stand.bot.get_star_transactions()).transactions[0]
    assert getattr(row.source, "subscription_period", None) == 2592000
