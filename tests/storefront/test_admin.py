"""What admins can do, played in the sandbox."""

from __future__ import annotations

import asyncio
import re

import pytest
from aiogram.client.default import DefaultBotProperties
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import AnswerCallbackQuery, RefundStarPayment, SendMessage
from aiogram.types import InlineKeyboardMarkup, LabeledPrice, PreCheckoutQuery

from aiogram_neonpay import PaymentStage, PaymentStatus
from aiogram_neonpay.storefront.admin.commands import ACTIONS
from aiogram_neonpay.testing import BotSandbox, BotUser, SandboxOptions
from tests.storefront.office import ADMIN, Office, sell, sell_stuck, taps, words
from tests.telegram import ALICE, RecordingBot, paid, tap, text

pytestmark = pytest.mark.asyncio

IN_TIME = {"This was answered already.", "This is being done. If nothing follows within a minute, tap once more."}
"""What is said to who confirms what was confirmed already."""


async def reference(office: Office, sandbox: BotSandbox, charge: str) -> str:
    payment = await office.pay.get_payment(charge, bot=sandbox.bot)
    assert payment is not None and payment.reference
    return payment.reference


# Finding


@pytest.mark.parametrize("by", ["charge", "reference"])
async def test_a_payment_is_found(office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser, by: str) -> None:
    charge = await sell(alice)
    short = await reference(office, sandbox, charge)
    await admin.send(f"/payfind {charge if by == 'charge' else short}")
    page = words(admin)
    assert page.splitlines()[0] == "25 Stars · premium"
    assert charge in page and short in page and str(alice.id) in page and "delivered" in page


async def test_all_payments_of_a_buyer_are_listed_page_by_page(
    sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    for _ in range(10):
        await sell(alice, "sticker")
    await admin.send(f"/payfind {alice.id}")
    assert "8. " in words(admin) and "9. " not in words(admin)
    assert "‹" not in taps(admin)
    await admin.tap("›")
    assert "10. " in words(admin) and "8. " not in words(admin)
    assert "›" not in taps(admin)
    await admin.tap("10")
    assert words(admin).startswith("5 Stars · sticker")
    await admin.tap("Buyer")
    assert "1. " in words(admin)
    assert len([message for message in admin.messages() if message.from_bot]) == 1  # one message, edited


async def test_what_is_not_there_is_not_found(admin: BotUser) -> None:
    await admin.send("/payfind stxNOTHING")
    assert words(admin) == "No such payment is known."
    await admin.send("/payfind 123")
    assert "Nothing here." in words(admin)
    await admin.send("/payfind")
    assert words(admin) == "/payfind <reference, charge id or user id>"
    await admin.send("/payfind 99999999999999999999")
    assert words(admin) == "No such payment is known."


async def test_the_menu_names_every_command(admin: BotUser) -> None:
    await admin.send("/payadmin")
    named = set(re.findall(r"^/(\w+)", words(admin), re.MULTILINE))
    assert named == {f"pay{action}" for action in ACTIONS}
    await admin.tap("Balance")
    assert words(admin) == "Balance: 0 Stars"


async def test_an_admin_reads_their_own_language(sandbox: BotSandbox, alice: BotUser) -> None:
    admin = sandbox.user("Ада", user_id=501, language_code="ru")
    charge = await sell(alice)
    await admin.send(f"/payfind {charge}")
    assert words(admin).startswith("25 звёзд · premium")
    await admin.tap("История")
    assert "выдача начата" in words(admin)


async def test_a_buyers_words_are_shown_as_they_are_and_on_one_line(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    note = "<b>paid</b> *twice* \n\u202eReference: 0123456789abcdef0"
    await office.pay.send_payment(alice.id, "premium", metadata={"note": note}, bot=sandbox.bot)
    receipt = await alice.pay()
    await admin.send(f"/payfind {receipt.transaction_id}")
    [line] = [line for line in words(admin).splitlines() if line.startswith("Metadata:")]
    assert "<b>paid</b> *twice*" in line and "\u202e" not in line


async def test_the_bots_parse_mode_does_not_read_a_buyers_words(office: Office) -> None:
    options = SandboxOptions(bot_defaults=DefaultBotProperties(parse_mode="HTML"))
    async with BotSandbox(office.dp, options) as sandbox:
        admin, alice = sandbox.user("Ada", user_id=ADMIN), sandbox.user("Alice", stars=100)
        await alice.send("hello")
        await office.pay.send_payment(alice.id, "premium", metadata={"note": "</b> & <a"}, bot=sandbox.bot)
        receipt = await alice.pay()
        await admin.send(f"/payfind {receipt.transaction_id}")
        assert '{"note": "</b> & <a"}' in words(admin)


async def test_a_long_message_stays_below_telegrams_limit(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    await office.pay.send_payment(alice.id, "premium", metadata={"note": "⭐" * 2000}, bot=sandbox.bot)
    receipt = await alice.pay()
    await admin.send(f"/payfind {receipt.transaction_id}")
    assert "⭐⭐⭐" in words(admin) and len(words(admin)) < 4096


# Timeline


async def test_the_timeline_tells_every_attempt_with_its_worker(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    charge = await sell_stuck(office, sandbox, alice)
    office.broken = None
    await admin.send(f"/payfind {charge}")
    await admin.tap("Deliver again")
    await admin.send(f"/payfind {charge}")
    assert "delivered" in words(admin)
    await admin.tap("Timeline")
    told = [line[21:] for line in words(admin).splitlines()[3:]]
    worker = office.pay._shop.charges.worker
    assert told == [
        "invoice issued",
        "paid",
        f"delivery begun ({worker})",
        "failed: ZeroDivisionError: no stickers left",
        f"delivery begun ({worker})",
        "stuck, waits for a person: every attempt to deliver it failed: ZeroDivisionError: no stickers left",
        "delivery asked for again",
        f"delivery begun ({worker})",
        "delivered",
    ]


async def test_the_timeline_of_a_stored_invoice_tells_its_approval(alice: BotUser, admin: BotUser) -> None:
    charge = await sell(alice, "premium", "tracked")
    await admin.send(f"/payfind {charge}")
    await admin.tap("Timeline")
    assert [line[21:].partition(" (")[0] for line in words(admin).splitlines()[3:]] == [
        "invoice issued",
        "checkout approved",
        "paid",
        "delivery begun",
        "delivered",
    ]


async def test_the_timeline_tells_who_asked_for_a_refund_and_why(alice: BotUser, admin: BotUser) -> None:
    charge = await sell(alice)
    await admin.send(f"/payrefund {charge} came twice")
    await admin.tap("Yes, refund")
    await admin.tap("Timeline")
    told = [line[21:].partition(" (")[0] for line in words(admin).splitlines()[-4:]]
    assert told == ["refund requested: admin 501: came twice", "refund sent", "refunded", "refund handlers done"]


async def test_a_long_timeline_keeps_its_beginning_and_its_end(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    charge = await sell_stuck(office, sandbox, alice)
    for _ in range(12):
        await admin.send(f"/payredeliver {charge}")
        await sandbox.advance(minutes=2)
    office.broken = None
    await admin.send(f"/payredeliver {charge}")
    entries = await office.pay.get_timeline(charge, bot=sandbox.bot)
    assert [entry.what for entry in entries[:3]] == ["issued", "paid", "deliver"]
    assert entries[-1].what == "delivered"
    [gap] = [entry for entry in entries if entry.what == "omitted"]
    assert len(entries) == 2 + 24 + 1 and int(gap.detail or 0) > 20
    await admin.send(f"/payfind {charge}")
    await admin.tap("Timeline")
    assert "entries are not kept" in words(admin)
    await admin.tap("›")
    await admin.tap("›")
    assert words(admin).endswith("delivered")


# Refunds


async def test_a_refund_is_confirmed_first(office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser) -> None:
    charge = await sell(alice)
    await admin.send(f"/payfind {charge}")
    await admin.tap("Refund")
    assert words(admin).startswith("Refund this payment?") and alice.balance == 975
    await admin.tap("No")
    assert words(admin).startswith("Nothing was done.\n\n25 Stars") and alice.balance == 975
    assert ("Refund …",) in admin.messages()[-1].buttons
    await admin.send(f"/payrefund {charge}")
    await admin.tap("Yes, refund")
    assert words(admin).startswith("Refunded") and alice.balance == 1000
    payment = await office.pay.get_payment(charge, bot=sandbox.bot)
    assert payment is not None and payment.status is PaymentStatus.REFUNDED
    await admin.send(f"/payrefund {charge}")
    assert words(admin).startswith("This payment was refunded before.")


async def test_a_confirmation_counts_once_however_often_it_is_tapped(
    sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    charge = await sell(alice)
    await admin.send(f"/payrefund {charge}")
    yes = taps(admin)["Yes, refund"]
    await asyncio.gather(*(sandbox.dispatcher.feed_raw_update(sandbox.bot, tap(yes, admin.id)) for _ in range(5)))
    await sandbox.settle()
    assert len(sandbox.calls.refund_star_payment) == 1
    alerts = [call.text for call in sandbox.calls.answer_callback_query if call.text]
    assert len(alerts) == 4
    assert set(alerts) <= IN_TIME
    await sandbox.dispatcher.feed_raw_update(sandbox.bot, tap(yes, admin.id))
    assert sandbox.calls.answer_callback_query[-1].text == "This was answered already."


async def test_a_confirmation_counts_once_on_two_workers() -> None:
    storage, bots = MemoryStorage(), [RecordingBot(), RecordingBot()]
    offices = [Office(), Office()]
    for office in offices:
        office.dp.fsm.storage = storage
    await offices[0].pay.send_payment(ALICE, "premium", bot=bots[0])
    await offices[0].dp.feed_raw_update(bots[0], paid(bots[0].payload()))
    [payment] = await offices[1].pay.history(ALICE, bot=bots[1])
    await offices[0].dp.feed_raw_update(bots[0], text(f"/payrefund {payment.reference}", ADMIN))
    markup = bots[0].sent(SendMessage)[-1].reply_markup
    assert isinstance(markup, InlineKeyboardMarkup)
    yes = markup.inline_keyboard[0][0].callback_data or ""
    await asyncio.gather(
        *(office.dp.feed_raw_update(bot, tap(yes, ADMIN)) for office, bot in zip(offices, bots, strict=True))
    )
    assert len([call for bot in bots for call in bot.sent(RefundStarPayment)]) == 1
    alerts = [call.text for bot in bots for call in bot.sent(AnswerCallbackQuery) if call.text]
    assert len(alerts) == 1
    assert set(alerts) <= IN_TIME
    for office, bot in zip(offices, bots, strict=True):
        await office.dp.emit_shutdown(bot=bot)


async def test_a_confirmation_is_for_who_was_asked(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser, other_admin: BotUser, stranger: BotUser
) -> None:
    charge = await sell(alice)
    await admin.send(f"/payrefund {charge}")
    yes = taps(admin)["Yes, refund"]
    await sandbox.dispatcher.feed_raw_update(sandbox.bot, tap(yes, other_admin.id))
    assert sandbox.calls.answer_callback_query.last.text == "Another admin was asked this."
    await sandbox.dispatcher.feed_raw_update(sandbox.bot, tap(yes, stranger.id))
    assert office.passed == [yes]
    assert alice.balance == 975
    await admin.tap("Yes, refund")
    assert alice.balance == 1000


async def test_an_old_confirmation_does_nothing(sandbox: BotSandbox, alice: BotUser, admin: BotUser) -> None:
    charge = await sell(alice)
    await admin.send(f"/payrefund {charge}")
    await sandbox.advance(minutes=11)
    assert await admin.tap("Yes, refund") == "This question is too old. Please begin again."
    assert alice.balance == 975
    await sandbox.advance(days=2)
    assert await admin.tap("Yes, refund") == "This question is too old. Please begin again."


async def test_a_refund_that_telegram_refuses_is_told(sandbox: BotSandbox, alice: BotUser, admin: BotUser) -> None:
    charge = await sell(alice)
    sandbox.faults.add("refundStarPayment", error=400, text="BALANCE_TOO_LOW")
    await admin.send(f"/payrefund {charge}")
    await admin.tap("Yes, refund")
    assert words(admin).startswith("Telegram refuses the refund:") and "delivered" in words(admin)


async def test_a_charge_that_the_ledger_does_not_know_is_refunded_with_its_buyer(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    office.dp.pre_checkout_query.register(_approve)  # an invoice that is none of ours
    prices = [LabeledPrice(label="Old", amount=9)]
    await sandbox.bot.send_invoice(alice.id, "Old", "Sold by hand", "old", "XTR", prices)
    receipt = await alice.pay()
    await admin.send(f"/payrefund {receipt.transaction_id}")
    assert "Write the buyer's id after the charge id" in words(admin)
    await admin.send(f"/payrefund {receipt.transaction_id} {alice.id} gone wrong")
    assert "Reason: gone wrong" in words(admin)
    await admin.tap("Yes, refund")
    assert words(admin).startswith("Refunded") and alice.balance == 1000


async def _approve(query: PreCheckoutQuery) -> None:
    await query.answer(ok=True)


# What waits


async def test_what_waits_is_listed_and_delivered_again(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    charge = await sell_stuck(office, sandbox, alice)
    office.broken = None
    await sell(alice, "orphan")
    await admin.send("/paystuck")
    page = words(admin)
    assert "every attempt to deliver it failed" in page and "no handler of the bot took it" in page
    assert "no stickers left" in page
    await admin.tap("1")
    await admin.tap("Deliver again")
    assert words(admin).startswith("It is delivered again now.")
    payment = await office.pay.get_payment(charge, bot=sandbox.bot)
    assert payment is not None and payment.delivered
    await admin.send(f"/payredeliver {charge}")
    assert words(admin).startswith("There is nothing to deliver again")
    await admin.send("/paystuck")
    assert "sticker" not in words(admin) and "orphan" in words(admin)


async def test_a_refused_refund_is_dismissed(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    charge = await sell(alice)
    sandbox.faults.add("refundStarPayment", error=400, text="BALANCE_TOO_LOW")
    await office.pay.refund(charge, wait=False, bot=sandbox.bot)
    await sandbox.settle()
    await admin.send("/paystuck")
    assert "Telegram refuses its refund" in words(admin)
    await admin.tap("1")
    await admin.tap("Dismiss")
    assert words(admin).startswith("Taken off the list.")
    await admin.send("/paystuck")
    assert "Nothing here." in words(admin)


# Money


async def test_balance_and_reports(office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser) -> None:
    await sell(alice, "sticker")
    await sandbox.advance(days=2)
    charge = await sell(alice)
    await sell(alice)
    await office.pay.refund(charge, bot=sandbox.bot)
    await admin.send("/paybalance")
    assert words(admin) == "Balance: 30 Stars"
    await admin.send("/payreport 1")
    assert "Paid: 50 ⭐, payments: 2" in words(admin) and "Refunded: 25 ⭐, refunds: 1" in words(admin)
    assert "premium  50 ⭐ (2)  −25 ⭐" in words(admin) and "sticker" not in words(admin)
    await admin.tap("30 days")
    assert "Paid: 55 ⭐, payments: 3" in words(admin) and "sticker  5 ⭐ (1)" in words(admin)
    await admin.tap("By day")
    assert re.search(r"^\d{4}-\d\d-\d\d  50 ⭐ \(2\)", words(admin), re.MULTILINE)
    await admin.tap("Today")
    assert "5 ⭐ (1)" not in words(admin)
    await admin.send("/payreport 400")
    assert words(admin) == "/payreport [days, 1-366]"


async def test_a_report_of_many_products_has_pages(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    for number in range(20):
        office.pay.create_payment_stage(f"s{number:02}", PaymentStage("S", "S", number + 1, access="s"))
        await office.pay.send_payment(alice.id, f"s{number:02}", bot=sandbox.bot)
        await alice.pay()
    await admin.send("/payreport")
    assert "s19  20 ⭐ (1)" in words(admin) and "s04" not in words(admin)
    await admin.tap("›")
    assert "s00  1 ⭐ (1)" in words(admin) and "s19" not in words(admin)


async def test_reconciling_on_demand_delivers_what_was_lost(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    await admin.send("/payreconcile")
    assert words(admin).startswith("Telegram's ledger and ours agree")
    sandbox.faults.add_update("successful_payment", drop=True, times=1)
    charge = await sell(alice)
    sandbox.clock.advance(minutes=5)
    await admin.send("/payreconcile")
    page = words(admin)
    assert page.startswith("Telegram's ledger and ours differed")
    assert "delivered now: 1" in page and "25 ⭐" in page
    payment = await office.pay.get_payment(charge, bot=sandbox.bot)
    assert payment is not None and payment.delivered and payment.recovered


async def test_a_failure_of_telegram_is_told(sandbox: BotSandbox, admin: BotUser) -> None:
    sandbox.faults.add("getStarTransactions", error=400, text="BALANCE_TOO_LOW")
    await admin.send("/payreconcile")
    assert words(admin).startswith("That did not work:")


# Access


async def test_access_is_granted_and_revoked_with_a_reason(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    await admin.send(f"/paygrant {alice.id} premium 30d x20 waited too long")
    asked = words(admin)
    assert "30 days" in asked and "20 uses" in asked and "Reason: waited too long" in asked and "⚠" not in asked
    assert await office.pay.access(alice.id, "premium", bot=sandbox.bot) is None
    await admin.tap("Yes, grant")
    access = await office.pay.access(alice.id, "premium", bot=sandbox.bot)
    assert access is not None and access.left == 20 and access.expires_at is not None
    await admin.send(f"/payfind {alice.id}")
    await admin.tap("Access")
    assert "premium · until" in words(admin) and "granted by hand" in words(admin)
    await admin.send(f"/payrevoke {alice.id} premium it was a mistake")
    await admin.tap("Yes, revoke")
    assert await office.pay.access(alice.id, "premium", bot=sandbox.bot) is None
    changes = await office.pay.list_access_changes(alice.id, bot=sandbox.bot)
    assert [(change.did, change.name, change.reason) for change in changes] == [
        ("revoke", "premium", "admin 501: it was a mistake"),
        ("grant", "premium", "admin 501: waited too long"),
    ]
    await admin.send(f"/payfind {alice.id}")
    await admin.tap("Access")
    assert words(admin).count("\n") == 2 and words(admin).endswith("granted · premium · admin 501: waited too long")
    await admin.send(f"/payrevoke {alice.id} premium")
    await admin.tap("Yes, revoke")
    assert words(admin) == f"User {alice.id} has no access premium."


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ("/paygrant", "/paygrant <user id> <access> [30d] [x20] [reason]"),
        ("/paygrant me premium", "/paygrant <user id> <access> [30d] [x20] [reason]"),
        ("/paygrant 7", "/paygrant <user id> <access> [30d] [x20] [reason]"),
        ("/payrevoke", "/payrevoke <user id> <access> [reason]"),
        ("/paygrant 7 premium 999999w", "That did not work: access_for"),
        ("/paygrant 7 premium x0", "That did not work: uses"),
        ("/payrefund", "/payrefund <payment> [reason]"),
        ("/payredeliver", "/payredeliver <payment>"),
        ("/payredeliver nothing", "No such payment is known."),
    ],
)
async def test_what_cannot_be_read_is_explained(admin: BotUser, order: str, answer: str) -> None:
    await admin.send(order)
    assert words(admin).startswith(answer)


async def test_a_name_in_quotes_and_one_that_no_product_gives(admin: BotUser, alice: BotUser) -> None:
    await admin.send(f'/paygrant {alice.id} "the club" because')
    assert "the club" in words(admin) and "No product gives access of this name." in words(admin)
    await admin.tap("Yes, grant")
    assert words(admin) == f"User {alice.id} has the access the club now."
