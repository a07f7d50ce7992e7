"""The life of a subscription: bought, renewed, canceled, re-enabled, unpaid, over."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest

from aiogram_neonpay.sandbox import PastSale, SandboxError, SandboxServer
from tests.sandbox.conftest import START, QuickSession
from tests.sandbox.subscribing import DAY, MONTH, Club


@pytest.fixture
def club() -> Club:
    return Club()


@pytest.mark.asyncio
async def test_the_first_payment_says_that_it_is_one_and_until_when(club: Club) -> None:
    receipt = await club.bought(club.alice, await club.link("gold", 70))
    assert (receipt.ok, receipt.amount, receipt.subscription_expiration_date) == (True, 70, START + MONTH)
    assert await club.payments() == [
        {
            "currency": "XTR",
            "total_amount": 70,
            "invoice_payload": "gold",
            "telegram_payment_charge_id": receipt.transaction_id,
            "provider_payment_charge_id": "",
            "is_recurring": True,
            "is_first_recurring": True,
            "subscription_expiration_date": START + MONTH,
        }
    ]
    (subscription,) = club.alice.subscriptions()
    assert subscription.first_charge_id == receipt.transaction_id
    assert (subscription.state, subscription.title, subscription.payload) == ("active", "Club", "gold")
    assert (subscription.price, subscription.period, subscription.expiration_date) == (70, MONTH, START + MONTH)


@pytest.mark.asyncio
async def test_a_renewal_is_charged_at_the_end_of_the_period_without_a_question(club: Club) -> None:
    subscription = await club.subscribe(amount=70)
    club.sandbox.clock.advance(seconds=MONTH - 1)
    assert (club.alice.balance, await club.updates()) == (430, [])
    club.sandbox.clock.advance(seconds=1)
    (update,) = await club.updates()
    message = update["message"]
    assert (message["chat"]["id"], message["from"]["id"], message["date"]) == (*[club.alice.id] * 2, START + MONTH)
    payment = message["successful_payment"]
    assert payment["is_recurring"] is True and "is_first_recurring" not in payment
    assert payment["subscription_expiration_date"] == subscription.expiration_date == START + 2 * MONTH
    assert payment["invoice_payload"] == "club"
    assert payment["telegram_payment_charge_id"] == subscription.charges[1] != subscription.first_charge_id
    assert (club.alice.balance, club.sandbox.bot_balance()) == (360, 140)


@pytest.mark.asyncio
async def test_both_ledgers_show_each_payment_at_its_date(club: Club) -> None:
    subscription = await club.subscribe(amount=70)
    club.sandbox.clock.advance(days=95)
    rows = (await club.call("getStarTransactions"))["transactions"]
    assert [(row["id"], row["amount"], row["date"]) for row in rows] == [
        (charge_id, 70, START + number * MONTH) for number, charge_id in enumerate(subscription.charges)
    ]
    assert len(rows) == 4
    assert all(row["source"]["subscription_period"] == MONTH for row in rows)
    assert all(row["source"]["invoice_payload"] == "club" for row in rows)
    history = [(row.amount, row.date, row.charge_id) for row in club.alice.history]
    assert history == [(-70, row["date"], row["id"]) for row in rows]


@pytest.mark.asyncio
async def test_a_person_who_is_short_of_stars_fails_the_renewal_and_it_is_over(club: Club) -> None:
    subscription = await club.subscribe(amount=300)
    club.sandbox.clock.advance(days=30)
    assert await club.news() == [(club.alice.id, "club", "failed")]
    assert (subscription.state, subscription.over, subscription.expiration_date) == ("failed", True, START + MONTH)
    assert (club.alice.balance, len(club.sandbox.transactions())) == (200, 1)
    club.alice.top_up(1000)
    club.sandbox.clock.advance(days=365)
    assert (await club.updates(), club.alice.balance) == ([], 1200)
    with pytest.raises(SandboxError, match="is over: only its link begins another"):
        club.alice.restore_subscription(subscription)


@pytest.mark.asyncio
async def test_a_canceled_subscription_runs_to_its_end_and_ends_in_silence(club: Club) -> None:
    subscription = await club.subscribe()
    club.sandbox.clock.advance(days=10)
    assert club.alice.cancel_subscription() is subscription
    assert await club.news() == [(club.alice.id, "club", "canceled")]
    assert (subscription.state, subscription.over, subscription.expiration_date) == ("canceled", False, START + MONTH)
    with pytest.raises(SandboxError, match="is canceled already"):
        club.alice.cancel_subscription(subscription)
    club.sandbox.clock.advance(seconds=20 * DAY - 1)
    assert subscription.state == "canceled"
    club.sandbox.clock.advance(seconds=1)
    assert (subscription.state, subscription.over) == ("expired", True)
    assert (await club.updates(), club.alice.balance) == ([], 400)
    with pytest.raises(SandboxError, match="is over"):
        club.alice.restore_subscription(subscription)
    with pytest.raises(SandboxError, match="is expired already"):
        club.alice.cancel_subscription(subscription)


@pytest.mark.asyncio
async def test_a_re_enabled_subscription_is_charged_at_its_end_and_not_before(club: Club) -> None:
    subscription = await club.subscribe()
    with pytest.raises(SandboxError, match="is not canceled but active"):
        club.alice.restore_subscription(subscription)
    club.alice.cancel_subscription()
    club.sandbox.clock.advance(seconds=MONTH - 1)
    assert club.alice.restore_subscription() is subscription
    assert [state for *_, state in await club.news()] == ["active"]  # that of the cancelling is older than a day
    club.alice.cancel_subscription()
    club.alice.restore_subscription()
    assert [state for *_, state in await club.news()] == ["canceled", "active"]
    assert (subscription.state, club.alice.balance) == ("active", 400)
    club.sandbox.clock.advance(seconds=1)
    assert (len(await club.payments()), club.alice.balance) == (1, 300)


@pytest.mark.asyncio
async def test_a_bot_that_cancels_bars_the_person_until_it_lifts_the_bar_which_resumes_nothing(club: Club) -> None:
    subscription = await club.subscribe()
    assert (await club.edit(subscription, True))["result"] is True
    assert (await club.edit(subscription, True))["result"] is True
    assert (subscription.state, subscription.canceled_by_bot) == ("canceled", True)
    with pytest.raises(SandboxError, match="until the bot calls editUserStarSubscription with is_canceled=false"):
        club.alice.restore_subscription()
    assert (await club.edit(subscription, False))["result"] is True
    assert (subscription.state, subscription.can_be_restored) == ("canceled", True)
    assert await club.updates() == []
    club.alice.restore_subscription()
    assert await club.news() == [(club.alice.id, "club", "active")]
    club.sandbox.clock.advance(days=30)
    assert club.alice.balance == 300


@pytest.mark.asyncio
async def test_a_subscription_that_the_bot_has_canceled_and_nobody_re_enabled_ends(club: Club) -> None:
    subscription = await club.subscribe()
    await club.edit(subscription, True)
    await club.edit(subscription, False)
    club.sandbox.clock.advance(days=30)
    assert (subscription.state, club.alice.balance, await club.updates()) == ("expired", 400, [])


@pytest.mark.asyncio
async def test_the_bots_leave_does_not_undo_what_the_person_canceled(club: Club) -> None:
    subscription = await club.subscribe()
    club.alice.cancel_subscription()
    await club.edit(subscription, True)
    await club.edit(subscription, False)
    assert (subscription.state, subscription.can_be_restored) == ("canceled", True)


@pytest.mark.asyncio
async def test_is_canceled_left_out_counts_as_false(club: Club) -> None:
    subscription = await club.subscribe()
    params = {"user_id": club.alice.id, "telegram_payment_charge_id": subscription.first_charge_id}
    assert await club.call("editUserStarSubscription", **params) is True
    assert subscription.state == "active"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"user_id": None}, "Bad Request: invalid user_id specified"),
        ({"user_id": -5}, "Bad Request: invalid user_id specified"),
        ({"telegram_payment_charge_id": ""}, "Bad Request: CHARGE_ID_INVALID"),
        ({"telegram_payment_charge_id": "stx-unknown"}, "Bad Request: CHARGE_ID_INVALID"),
        ({"user_id": 5}, "Bad Request: USER_ID_INVALID"),
    ],
)
async def test_a_wrong_edit_is_refused(club: Club, changes: dict[str, Any], error: str) -> None:
    subscription = await club.subscribe()
    assert (await club.edit(subscription, True, **changes))["description"] == error
    assert subscription.state == "active"


@pytest.mark.asyncio
async def test_only_the_bot_itself_edits_and_only_a_subscription_that_is_not_over(club: Club) -> None:
    subscription = await club.subscribe()
    (past,) = club.sandbox.ledger().add_sales([PastSale(club.alice, 5, "once", START - DAY)])
    for charge_id in (past, subscription.first_charge_id):
        token = club.token if charge_id == past else club.sandbox.create_bot("other_bot")
        params = {"user_id": club.alice.id, "telegram_payment_charge_id": charge_id, "is_canceled": True}
        reply = await club.sandbox.call(token, "editUserStarSubscription", params)
        assert reply.body["description"] == "Bad Request: CHARGE_ID_INVALID"
    club.alice.cancel_subscription()
    club.sandbox.clock.advance(days=30)
    assert subscription.over
    for canceled in (True, False):
        assert (await club.edit(subscription, canceled))["description"] == "Bad Request: CHARGE_ID_INVALID"


@pytest.mark.asyncio
async def test_one_person_may_hold_several_subscriptions_also_of_one_link(club: Club) -> None:
    link = await club.link("gold", 10)
    first = await club.subscribe(link=link)
    club.sandbox.clock.advance(days=10)
    second = await club.subscribe(link=link)
    third = await club.subscribe(payload="silver", amount=20)
    assert club.alice.subscriptions() == [first, second, third] == club.sandbox.subscriptions()
    with pytest.raises(SandboxError, match="Alice has 3 such subscriptions: say which one"):
        club.alice.cancel_subscription()
    with pytest.raises(SandboxError, match="Alice has 2 such subscriptions"):
        club.alice.cancel_subscription(payload="gold")
    assert club.alice.cancel_subscription(payload="silver") is third
    assert club.alice.cancel_subscription(second.first_charge_id) is second
    assert club.alice.cancel_subscription() is first
    with pytest.raises(SandboxError, match="Alice has no such subscription"):
        club.alice.cancel_subscription()
    assert club.alice.restore_subscription(second) is second
    club.sandbox.clock.advance(days=50)
    assert [item.state for item in (first, second, third)] == ["expired", "active", "expired"]
    assert (len(second.charges), club.alice.balance) == (2, 500 - 10 - 2 * 10 - 20)


@pytest.mark.asyncio
async def test_nobody_touches_the_subscription_of_somebody_else(club: Club) -> None:
    subscription = await club.subscribe()
    for wanted in (subscription, subscription.first_charge_id, None):
        with pytest.raises(SandboxError, match="Bob has no such subscription"):
            club.bob.cancel_subscription(wanted)
    assert (club.bob.subscriptions(), subscription.state) == ([], "active")


@pytest.mark.asyncio
async def test_subscriptions_to_several_bots_are_told_apart(club: Club) -> None:
    other = club.sandbox.create_bot("other_bot")
    subscription = await club.subscribe()
    assert club.sandbox.subscriptions(club.token) == club.alice.subscriptions(bot="club_bot") == [subscription]
    assert club.sandbox.subscriptions(other) == club.alice.subscriptions(bot=other) == []
    club.sandbox.clock.advance(days=30)
    assert (club.sandbox.pending_updates(club.token), club.sandbox.pending_updates(other)) == (1, 0)


@pytest.mark.asyncio
async def test_refunds_of_any_payment_leave_the_subscription_alone(club: Club) -> None:
    subscription = await club.subscribe()
    club.sandbox.clock.advance(days=30)
    for charge_id in subscription.charges[:2]:
        await club.call("refundStarPayment", user_id=club.alice.id, telegram_payment_charge_id=charge_id)
    refunds = [update["message"]["refunded_payment"] for update in (await club.updates())[-2:]]
    assert [refund["telegram_payment_charge_id"] for refund in refunds] == subscription.charges
    assert all("is_recurring" not in refund for refund in refunds)
    assert (club.alice.balance, subscription.state) == (500, "active")
    club.sandbox.clock.advance(days=30)
    assert (len(subscription.charges), club.alice.balance) == (3, 400)
    repeated = await club.ask("refundStarPayment", user_id=club.alice.id, telegram_payment_charge_id=charge_id)
    assert repeated["description"] == "Bad Request: CHARGE_ALREADY_REFUNDED"


@pytest.mark.asyncio
async def test_the_update_is_sent_by_default_and_only_when_asked_for(club: Club) -> None:
    await club.subscribe()
    club.alice.cancel_subscription()
    assert [update["subscription"] for update in await club.updates()] == [
        {
            "user": {
                "id": club.alice.id,
                "is_bot": False,
                "first_name": "Alice",
                "username": "alice",
                "language_code": "en",
            },
            "invoice_payload": "club",
            "state": "canceled",
        }
    ]
    await club.call("getUpdates", offset=club.offset, allowed_updates=["message"])
    club.alice.restore_subscription()
    assert await club.updates() == []
    await club.call("getUpdates", offset=club.offset, allowed_updates=["subscription"])
    club.alice.cancel_subscription()
    assert len(await club.updates()) == 1


@pytest.mark.asyncio
async def test_only_a_link_sells_a_subscription_of_thirty_days_up_to_ten_thousand_stars(club: Club) -> None:
    wanted = {
        "title": "Club",
        "description": "d",
        "payload": "club",
        "currency": "XTR",
        "prices": [{"label": "x", "amount": 10_000}],
        "subscription_period": MONTH,
    }
    assert (await club.ask("createInvoiceLink", **wanted))["ok"]
    for method, changes, error in (
        ("sendInvoice", {"chat_id": club.alice.id}, "SUBSCRIPTION_EXPORT_MISSING"),
        ("createInvoiceLink", {"subscription_period": 60}, "SUBSCRIPTION_PERIOD_INVALID"),
        ("createInvoiceLink", {"prices": [{"label": "x", "amount": 10_001}]}, "CURRENCY_TOTAL_AMOUNT_INVALID"),
    ):
        assert (await club.ask(method, **{**wanted, **changes}))["description"] == f"Bad Request: {error}"
    lacking = await club.ask("createChatSubscriptionInviteLink", chat_id=1, subscription_period=MONTH)
    assert lacking["description"] == "Bad Request: the sandbox does not support createChatSubscriptionInviteLink"


@pytest.mark.asyncio
async def test_aiogram_edits_a_subscription_over_http(club: Club) -> None:
    subscription = await club.subscribe()
    async with (
        SandboxServer(club.sandbox) as server,
        Bot(club.token, session=QuickSession(api=server.api)) as bot,
    ):
        assert await bot.edit_user_star_subscription(club.alice.id, subscription.first_charge_id, True)
        assert subscription.canceled_by_bot
        with pytest.raises(TelegramBadRequest, match="USER_ID_INVALID"):
            await bot.edit_user_star_subscription(club.bob.id, subscription.first_charge_id, False)


@pytest.mark.asyncio
async def test_the_button_that_links_to_an_invoice_is_enough_to_pay(club: Club) -> None:
    keys = {"inline_keyboard": [[{"text": "Subscribe", "url": await club.link(amount=70)}]]}
    await club.call("sendMessage", chat_id=club.alice.id, text="A club", reply_markup=json.dumps(keys))

    await club.alice.tap("Subscribe")
    paying = asyncio.ensure_future(club.alice.pay())
    await club.consent()
    receipt = await paying

    assert (receipt.ok, receipt.amount, receipt.subscription_expiration_date) == (True, 70, START + MONTH)
    assert not any(message.paid for message in club.alice.messages() if message.text == "A club")
