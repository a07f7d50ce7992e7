"""Facts about Telegram that no other file here asks for, one after another as `docs/fidelity.md` lists them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.parameters import Parameters
from tests.sandbox.conftest import Stand
from tests.sandbox.paying import approved, declined
from tests.sandbox.raw import INVOICE, call
from tests.sandbox.test_webhooks import Hook, answer, hook, turn

__all__ = ["hook"]


@pytest.mark.parametrize(
    ("said", "code", "description"),
    [
        ("STARS_INVOICE_INVALID", 400, "Bad Request: STARS_INVOICE_INVALID"),
        ("A_TOKEN", 400, "Bad Request: A_TOKEN"),
        ("Total price must be positive", 400, "Bad Request: total price must be positive"),
        ("bot can't initiate conversation", 403, "Forbidden: bot can't initiate conversation"),
        ("USER_IS_BLOCKED", 400, "Forbidden: bot was blocked by the user"),
        ("Conflict: terminated", 409, "Conflict: terminated"),
    ],
)
def test_refusals_get_their_prefix_and_keep_the_case_of_tokens(said: str, code: int, description: str) -> None:
    assert refuse(said, code).description == description


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("TRUE", True),
        ("Yes", True),
        ("1", True),
        (" 1 ", True),
        ("on", False),
        ("2", False),
        ("", False),
    ],
)
def test_booleans_are_read_leniently(written: str, value: bool) -> None:
    assert Parameters({"ok": written}).boolean("ok") is value


@pytest.mark.asyncio
async def test_flood_control_says_its_seconds_in_the_body_and_in_a_header(stand: Stand) -> None:
    stand.sandbox.faults.add("getMe", error=429, retry_after=9)
    url = f"{stand.server.url}/bot{stand.token}/getMe"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "9")
        assert await response.json() == {
            "ok": False,
            "error_code": 429,
            "description": "Too Many Requests: retry after 9",
            "parameters": {"retry_after": 9},
        }


ORDER: list[tuple[dict[str, Any], str]] = [
    ({}, 'parameter "title" is required'),
    ({"title": "T"}, 'parameter "description" is required'),
    ({"description": "D"}, 'parameter "payload" is required'),
    ({"payload": "\ud800"}, "the payload must be encoded in UTF-8"),
    ({"payload": "p"}, 'parameter "currency" is required'),
    ({"currency": "XTS"}, 'parameter "prices" is required'),
    ({"prices": "["}, "can't parse prices JSON object"),
    ({"prices": "{}"}, "expected an Array of labeled prices"),
    ({"prices": "[5]"}, "can't parse labeled price: LabeledPrice must be an Object"),
    ({"prices": "[]"}, "there must be at least one price"),
    ({"prices": json.dumps([{"label": "x", "amount": 10**12}])}, 'can\'t parse "max_tip_amount" as Number'),
    ({"max_tip_amount": "5"}, "can't parse suggested_tip_amounts JSON object"),
    ({"suggested_tip_amounts": "{}"}, "expected an Array of suggested tip amounts"),
    ({"suggested_tip_amounts": "[1, 9, 2, 3, 4]"}, "can't parse reply keyboard markup JSON object"),
    ({"reply_markup": '{"inline_keyboard": [[{"text": "x", "url": "http://a.b"}]]}'}, "chat not found"),
    ({"chat_id": "{alice}"}, "too big amount of the currency specified"),
    ({"prices": json.dumps([{"label": "x", "amount": 0}])}, "total price must be positive"),
    ({"prices": json.dumps([{"label": "x", "amount": 10**12 - 1}] * 2)}, "total price is too big"),
    (
        {"prices": json.dumps([{"label": "x", "amount": 5}] * 2)},
        "suggested tip amount can't be bigger than max_tip_amount",
    ),
    ({"suggested_tip_amounts": "[1, 2, 3, 4, 5]"}, "there can be at most 4 suggested tip amounts"),
    ({"suggested_tip_amounts": "[1, 2]"}, "PAYMENT_PROVIDER_INVALID"),
    ({"currency": "XTR"}, "STARS_INVOICE_INVALID"),
    ({"max_tip_amount": "", "suggested_tip_amounts": ""}, "STARS_INVOICE_INVALID"),
    (
        {"prices": json.dumps([{"label": "x", "amount": 5}]), "subscription_period": 2592000},
        "SUBSCRIPTION_EXPORT_MISSING",
    ),
    ({"subscription_period": None}, "BUTTON_POS_INVALID"),
]


@pytest.mark.asyncio
async def test_an_invoice_is_checked_in_telegrams_order(stand: Stand) -> None:
    params: dict[str, Any] = {
        "chat_id": "5",
        "max_tip_amount": "x",
        "suggested_tip_amounts": "[",
        "reply_markup": "{",
    }
    for changes, description in ORDER:
        params.update(
            {k: v.replace("{alice}", str(stand.alice.id)) if k == "chat_id" else v for k, v in changes.items()}
        )
        status, answered = await call(stand.server.url, stand.token, "sendInvoice", **params)
        assert (status, answered.get("description")) == (400, f"Bad Request: {description}")
    params["reply_markup"] = '{"inline_keyboard": [[{"text": "Pay", "pay": true}]]}'
    status, _ = await call(stand.server.url, stand.token, "sendInvoice", **params)
    assert status == 200


@pytest.mark.asyncio
async def test_fields_that_stars_do_not_use_are_no_error(stand: Stand) -> None:
    ignored = {
        "provider_token": "",
        "need_name": True,
        "need_phone_number": True,
        "need_email": True,
        "need_shipping_address": True,
        "send_email_to_provider": True,
        "is_flexible": True,
        "photo_url": "https://example.com/a.png",
        "photo_width": 5,
        "allow_paid_broadcast": True,
    }
    _, sent = await call(stand.server.url, stand.token, "sendInvoice", **INVOICE, **ignored, chat_id=stand.alice.id)
    assert sorted(sent["result"]["invoice"]) == ["currency", "description", "start_parameter", "title", "total_amount"]
    assert sent["result"]["invoice"]["start_parameter"] == ""


@pytest.mark.asyncio
async def test_a_business_connection_is_looked_at_before_the_amounts(stand: Stand) -> None:
    free = {**INVOICE, "prices": json.dumps([{"label": "x", "amount": 0}]), "business_connection_id": "b"}
    _, refused = await call(stand.server.url, stand.token, "createInvoiceLink", **free)
    assert refused["description"] == "Bad Request: BUSINESS_CONNECTION_INVALID"


@pytest.mark.asyncio
async def test_an_invoice_in_private_becomes_a_receipt_and_one_in_a_group_stays(stand: Stand) -> None:
    group = stand.sandbox.create_group("Club", [stand.alice, stand.bob])
    await stand.invoice(2)
    assert (await approved(stand, stand.alice.pay())).ok
    assert stand.alice.messages()[0].paid
    await stand.invoice(2, chat_id=group.id)
    assert (await approved(stand, stand.alice.pay(chat=group))).ok
    assert (await approved(stand, stand.bob.pay(chat=group))).ok
    assert not group.messages()[0].paid


@pytest.mark.asyncio
async def test_one_link_is_paid_by_several_at_once(stand: Stand) -> None:
    _, made = await call(
        stand.server.url, stand.token, "createInvoiceLink", **{**INVOICE, "prices": '[{"label":"x","amount":2}]'}
    )
    slug = made["result"].removeprefix("https://t.me/$")
    ways = [made["result"], f"t.me/${slug}", f"https://t.me/invoice/{slug}", slug]
    paying = [asyncio.ensure_future(who.pay(link=way)) for way in ways for who in (stand.alice, stand.bob)]
    asked = 0
    while asked < len(paying):
        queries = [update.pre_checkout_query for update in await stand.updates() if update.pre_checkout_query]
        for query in queries:
            await stand.bot.answer_pre_checkout_query(query.id, ok=True)
        asked += len(queries)
    # Bob has Stars for two, which nobody knows before they are spent.
    receipts = await asyncio.gather(*paying)
    assert len({receipt.transaction_id for receipt in receipts if receipt.ok}) == 6
    assert [receipt.code for receipt in receipts if not receipt.ok] == ["BALANCE_TOO_LOW"] * 2


@pytest.mark.asyncio
async def test_agreeing_with_a_message_is_agreeing(stand: Stand) -> None:
    await stand.invoice()
    paying = asyncio.ensure_future(stand.alice.pay())
    query = (await stand.update("pre_checkout_query")).pre_checkout_query
    assert query is not None and str(int(query.id)) == query.id
    await stand.bot.answer_pre_checkout_query(query.id, ok=True, error_message="dropped")
    assert (await paying).error is None


@pytest.mark.asyncio
async def test_a_query_that_is_dead_is_still_delivered_and_cannot_be_answered(stand: Stand) -> None:
    await stand.invoice()
    paying = asyncio.ensure_future(stand.alice.pay())
    assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 1, 5)
    stand.sandbox.clock.advance(seconds=20)
    assert (await paying).code == "BOT_PRECHECKOUT_TIMEOUT"
    query = (await stand.update("pre_checkout_query")).pre_checkout_query
    assert query is not None
    _, late = await call(
        stand.server.url, stand.token, "answerPreCheckoutQuery", pre_checkout_query_id=query.id, ok=True
    )
    assert late["description"].startswith("Bad Request: query is too old")
    assert stand.alice.balance == 500


@pytest.mark.asyncio
async def test_refunds_look_at_the_person_first_and_know_only_the_bots_own_charges(stand: Stand) -> None:
    await stand.invoice()
    receipt = await approved(stand, stand.alice.pay())
    other = stand.sandbox.create_bot("other_bot")

    async def refusal(token: str = stand.token, **params: Any) -> str:
        _, answered = await call(stand.server.url, token, "refundStarPayment", **params)
        return str(answered["description"])

    charge = receipt.transaction_id
    for user_id in ({}, {"user_id": ""}, {"user_id": 0}, {"user_id": -5}, {"user_id": "abc"}):
        assert await refusal(**user_id) == "Bad Request: invalid user_id specified"
    assert await refusal(user_id=1) == 'Bad Request: parameter "telegram_payment_charge_id" is required'
    assert await refusal(user_id=99, telegram_payment_charge_id="x") == "Bad Request: CHARGE_NOT_FOUND"
    assert await refusal(other, user_id=stand.alice.id, telegram_payment_charge_id=charge) == (
        "Bad Request: CHARGE_NOT_FOUND"
    )
    assert stand.alice.balance == 475


@pytest.mark.asyncio
async def test_an_offset_far_in_the_future_begins_at_the_oldest_again(stand: Stand) -> None:
    await stand.alice.send("one")
    (update,) = await stand.bot.get_updates()
    assert await stand.bot.get_updates(offset=update.update_id + 12) != []
    assert await stand.bot.get_updates(offset=2_147_483_647) != []
    assert stand.sandbox.pending_updates() == 1
    assert await stand.bot.get_updates(offset=update.update_id + 11) == []
    assert stand.sandbox.pending_updates() == 0


@pytest.mark.asyncio
async def test_a_webhooks_retry_after_is_obeyed_up_to_an_hour(stand: Stand, hook: Hook) -> None:
    hook.answers = [answer(503, headers={"Retry-After": "90"}), answer(503, headers={"Retry-After": "99999"})]
    await stand.bot.set_webhook(hook.url)
    await stand.alice.send("hello")
    for pause in (90, 3600):
        await hook.next()
        while not stand.sandbox.clock.waiting:
            await turn()
        stand.sandbox.clock.advance(seconds=pause - 1)
        await call(stand.server.url, stand.token, "getMe")
        assert hook.got.empty()
        stand.sandbox.clock.advance(seconds=1)
    await hook.next()


@pytest.mark.asyncio
async def test_a_webhook_that_is_gone_for_23_hours_is_closed(stand: Stand, hook: Hook) -> None:
    async def gone() -> web.Response:
        return web.Response(status=410)

    hook.answers = [gone] * 100
    await stand.bot.set_webhook(hook.url)
    await stand.alice.send("hello")
    await hook.next()
    await hook.next()
    while not stand.sandbox.clock.waiting:
        await turn()
    stand.sandbox.clock.advance(hours=23, seconds=1)
    await hook.next()
    bot = stand.sandbox.world.bots[stand.bot.id]
    while bot.webhook is not None:
        await turn()
    assert (await stand.bot.get_webhook_info()).url == ""


@pytest.mark.asyncio
async def test_a_decline_leaves_nothing_for_the_bot_to_see(stand: Stand) -> None:
    await stand.invoice()
    assert (await declined(stand, stand.alice.pay(), "Not today")).error == "Not today"
    assert stand.sandbox.pending_updates() == 0 and stand.sandbox.transactions() == []


@pytest.mark.asyncio
async def test_what_was_chosen_in_inline_mode_is_kept_ten_minutes(stand: Stand) -> None:
    article = {"type": "article", "id": "1", "title": "T", "input_message_content": {"message_text": "hi"}}
    asking = asyncio.ensure_future(stand.alice.inline("x"))
    query = (await stand.update("inline_query")).inline_query
    assert query is not None
    await call(stand.server.url, stand.token, "answerInlineQuery", inline_query_id=query.id, results=[article])
    await asking
    for seconds, kept in ((599, 1), (600, 0)):
        await stand.alice.send_inline("1")
        stand.sandbox.clock.advance(seconds=seconds)
        updates = await stand.updates(timeout=0)
        assert len([update for update in updates if update.chosen_inline_result]) == kept
