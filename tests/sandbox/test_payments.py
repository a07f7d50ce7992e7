from __future__ import annotations

import asyncio

import pytest
from aiogram.exceptions import TelegramBadRequest

from aiogram_neonpay.sandbox import SandboxError
from tests.sandbox.conftest import Stand
from tests.sandbox.paying import approved, declined
from tests.sandbox.raw import call

TOO_OLD = "query is too old and response timeout expired or query ID is invalid"


@pytest.mark.asyncio
async def test_a_payment_moves_stars_and_comes_as_a_service_message_from_the_payer(stand: Stand) -> None:
    await stand.invoice(25, "order-7")
    receipt = await approved(stand, stand.alice.pay())
    message = (await stand.update("message")).message
    assert message is not None and message.from_user is not None and message.successful_payment is not None
    assert (message.from_user.id, message.chat.id) == (stand.alice.id, stand.alice.id)
    paid = message.successful_payment
    assert (paid.currency, paid.total_amount, paid.invoice_payload) == ("XTR", 25, "order-7")
    assert paid.telegram_payment_charge_id == receipt.transaction_id
    assert paid.is_recurring is None and paid.subscription_expiration_date is None
    assert (receipt.ok, receipt.amount, receipt.error) == (True, 25, None)
    assert (stand.alice.balance, stand.sandbox.bot_balance()) == (475, 25)
    assert stand.alice.messages()[0].paid


@pytest.mark.asyncio
async def test_charge_ids_are_long_opaque_and_new_for_each_charge_of_one_invoice(stand: Stand) -> None:
    await stand.invoice(5)
    first = await approved(stand, stand.alice.pay())
    second = await approved(stand, stand.alice.pay())
    assert first.transaction_id and second.transaction_id
    assert first.transaction_id != second.transaction_id
    assert first.transaction_id.startswith("stx") and len(first.transaction_id) > 128


@pytest.mark.asyncio
async def test_the_pre_checkout_query_has_what_telegram_sends_and_nothing_else(stand: Stand) -> None:
    await stand.invoice(25, "order-7")
    paying = asyncio.ensure_future(stand.alice.pay())
    _, answer = await call(stand.server.url, stand.token, "getUpdates", timeout=5)
    query = answer["result"][0]["pre_checkout_query"]
    assert set(query) == {"id", "from", "currency", "total_amount", "invoice_payload"}
    assert query["id"].isdigit()
    await stand.bot.answer_pre_checkout_query(query["id"], ok=True)
    assert (await paying).ok


@pytest.mark.asyncio
async def test_a_short_payer_is_told_at_once_and_the_bot_hears_nothing(stand: Stand) -> None:
    await stand.invoice(25, chat_id=stand.bob.id)
    receipt = await stand.bob.pay()
    assert (receipt.ok, receipt.error, receipt.transaction_id) == (False, "BALANCE_TOO_LOW", None)
    assert stand.sandbox.pending_updates() == 0
    stand.bob.top_up(20)
    assert (await approved(stand, stand.bob.pay())).ok
    assert stand.bob.balance == 0


@pytest.mark.asyncio
async def test_a_decline_reaches_the_payer_and_nothing_is_charged(stand: Stand) -> None:
    await stand.invoice()
    receipt = await declined(stand, stand.alice.pay(), "Sold out until Friday")
    assert (receipt.ok, receipt.error, receipt.code) == (False, "Sold out until Friday", "BOT_PRECHECKOUT_FAILED")
    assert stand.alice.balance == 500
    assert stand.sandbox.pending_updates() == 0
    assert not stand.alice.messages()[0].paid


@pytest.mark.asyncio
async def test_a_silent_bot_loses_the_payment_after_ten_seconds(stand: Stand) -> None:
    await stand.invoice()
    paying = asyncio.ensure_future(stand.alice.pay())
    query = (await stand.update("pre_checkout_query")).pre_checkout_query
    assert query is not None
    stand.sandbox.clock.advance(seconds=9.9)
    await asyncio.sleep(0)
    assert not paying.done()
    stand.sandbox.clock.advance(seconds=0.1)
    receipt = await paying
    assert (receipt.ok, receipt.error) == (False, "BOT_PRECHECKOUT_TIMEOUT")
    with pytest.raises(TelegramBadRequest, match=TOO_OLD):
        await stand.bot.answer_pre_checkout_query(query.id, ok=True)
    assert stand.alice.balance == 500


@pytest.mark.asyncio
async def test_unknown_and_repeated_answers_are_refused(stand: Stand) -> None:
    with pytest.raises(TelegramBadRequest, match=TOO_OLD):
        await stand.bot.answer_pre_checkout_query("123", ok=True)
    await stand.invoice()
    paying = asyncio.ensure_future(stand.alice.pay())
    query = (await stand.update("pre_checkout_query")).pre_checkout_query
    assert query is not None
    await stand.bot.answer_pre_checkout_query(query.id, ok=True)
    with pytest.raises(TelegramBadRequest, match=TOO_OLD):
        await stand.bot.answer_pre_checkout_query(query.id, ok=False, error_message="no")
    assert (await paying).ok


@pytest.mark.asyncio
async def test_a_decline_needs_words(stand: Stand) -> None:
    with pytest.raises(TelegramBadRequest, match='parameter "error_message" is required'):
        await stand.bot.answer_pre_checkout_query("123", ok=False)


@pytest.mark.asyncio
async def test_stars_spent_meanwhile_end_the_payment_unpaid(stand: Stand) -> None:
    await stand.invoice(300)
    first = asyncio.ensure_future(stand.alice.pay())
    second = asyncio.ensure_future(stand.alice.pay())
    ids: list[str] = []
    while len(ids) < 2:
        ids += [update.pre_checkout_query.id for update in await stand.updates() if update.pre_checkout_query]
    for query_id in ids:
        await stand.bot.answer_pre_checkout_query(query_id, ok=True)
    receipts = [await first, await second]
    assert sorted(receipt.ok for receipt in receipts) == [False, True]
    assert stand.alice.balance == 200


@pytest.mark.asyncio
async def test_an_invoice_in_a_group_is_paid_by_anyone_and_answered_in_private(stand: Stand) -> None:
    group = stand.sandbox.create_group("Club", [stand.alice, stand.bob])
    await stand.invoice(5, chat_id=group.id)
    receipt = await approved(stand, stand.bob.pay())
    message = (await stand.update("message")).message
    assert receipt.ok and message is not None
    assert (message.chat.id, message.chat.type) == (stand.bob.id, "private")
    assert len(group.messages()) == 1 and not group.messages()[0].paid


@pytest.mark.asyncio
async def test_a_form_is_good_for_ten_minutes_and_one_confirmation(stand: Stand) -> None:
    await stand.invoice()
    world, payments = stand.sandbox.world, stand.sandbox.payments
    invoice = next(iter(world.private_chat(next(iter(world.bots)), stand.alice.id).messages.values())).invoice
    assert invoice is not None
    old = payments.open_form(world.people[stand.alice.id], invoice)
    stand.sandbox.clock.advance(minutes=10)
    assert (await payments.submit(stand.alice.id, old.id)).error == "FORM_EXPIRED"
    form = payments.open_form(world.people[stand.alice.id], invoice)
    await approved(stand, payments.submit(stand.alice.id, form.id))
    assert (await payments.submit(stand.alice.id, form.id)).error == "FORM_SUBMIT_DUPLICATE"
    with pytest.raises(SandboxError, match="does not exist"):
        await payments.submit(stand.bob.id, form.id)


@pytest.mark.asyncio
async def test_a_repeated_update_has_the_same_number_and_content(stand: Stand) -> None:
    await stand.invoice()
    receipt = await approved(stand, stand.alice.pay())
    first = await stand.update("message")
    stand.sandbox.repeat_update(receipt)
    again = await stand.update("message")
    assert again.model_dump() == first.model_dump()
    assert stand.sandbox.pending_updates() == 0


@pytest.mark.asyncio
async def test_nothing_is_repeated_for_an_unpaid_attempt(stand: Stand) -> None:
    await stand.invoice(chat_id=stand.bob.id)
    receipt = await stand.bob.pay()
    with pytest.raises(SandboxError, match="no such charge"):
        stand.sandbox.repeat_update(receipt)
