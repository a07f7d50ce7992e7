"""What no source states about subscriptions can be switched."""

from __future__ import annotations

import asyncio

import pytest

from aiogram_neonpay.sandbox import ArgumentError, Rules, SandboxError
from tests.sandbox.conftest import START
from tests.sandbox.subscribing import DAY, MONTH, Club

HOUR = 3600


@pytest.mark.asyncio
async def test_test_servers_sell_minutes_and_no_months() -> None:
    club = Club(test_periods=True)
    with pytest.raises(AssertionError, match="SUBSCRIPTION_PERIOD_INVALID"):
        await club.link()
    subscription = await club.subscribe(link=await club.link(subscription_period=60))
    longer = await club.subscribe(payload="five", link=await club.link("five", subscription_period=300))
    club.sandbox.clock.advance(seconds=119)
    assert (len(subscription.charges), len(longer.charges)) == (2, 1)
    assert (await club.payments())[0]["subscription_expiration_date"] == START + 120


@pytest.mark.asyncio
async def test_a_renewal_may_ask_first_and_is_charged_when_the_bot_agrees() -> None:
    club = Club(renewal_asks=True)
    subscription = await club.subscribe()
    club.sandbox.clock.advance(days=30)
    assert len(subscription.charges) == 1
    query = await club.consent()
    assert (query["invoice_payload"], query["total_amount"], query["from"]["id"]) == ("club", 100, club.alice.id)
    assert subscription.charges[1:] and subscription.expiration_date == START + 2 * MONTH
    assert len(await club.payments()) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("silent", [True, False])
async def test_a_renewal_that_asks_fails_by_refusal_and_by_silence(silent: bool) -> None:
    club = Club(renewal_asks=True)
    subscription = await club.subscribe()
    club.sandbox.clock.advance(days=30)
    if silent:
        club.sandbox.clock.advance(seconds=10)
    else:
        await club.consent(ok=False)
    assert subscription.state == "failed"
    assert await club.news() == [(club.alice.id, "club", "failed")]
    club.sandbox.clock.advance(days=30)
    assert (await club.updates(), club.alice.balance) == ([], 400)


@pytest.mark.asyncio
async def test_nothing_is_charged_when_the_person_cancels_while_the_bot_is_asked() -> None:
    club = Club(renewal_asks=True)
    subscription = await club.subscribe()
    club.sandbox.clock.advance(days=30)
    club.alice.cancel_subscription()
    await club.consent()
    assert (subscription.state, subscription.over, club.alice.balance) == ("expired", True, 400)


@pytest.mark.asyncio
async def test_a_renewal_is_not_asked_about_when_stars_are_missing() -> None:
    club = Club(renewal_asks=True)
    await club.subscribe(amount=300)
    club.sandbox.clock.advance(days=30)
    assert [list(update)[1] for update in await club.updates()] == ["subscription"]


@pytest.mark.asyncio
async def test_a_renewal_may_repeat_the_first_charge_id_and_lose_the_payload() -> None:
    club = Club(renewal_charge_ids=False, renewal_payloads=False)
    subscription = await club.subscribe()
    club.sandbox.clock.advance(days=30)
    (payment,) = await club.payments()
    assert (payment["telegram_payment_charge_id"], payment["invoice_payload"]) == (subscription.first_charge_id, "")
    first, second = (await club.call("getStarTransactions"))["transactions"]
    assert first["id"] == subscription.first_charge_id != second["id"] == subscription.charges[1]


@pytest.mark.asyncio
@pytest.mark.parametrize("taken", [True, False])
async def test_the_charge_id_of_a_renewal_may_name_the_subscription(taken: bool) -> None:
    club = Club(renewal_ids_edit=taken)
    subscription = await club.subscribe()
    club.sandbox.clock.advance(days=30)
    answer = await club.edit(subscription, True, telegram_payment_charge_id=subscription.charges[1])
    assert (answer["ok"], answer.get("description")) == (taken, None if taken else "Bad Request: CHARGE_ID_INVALID")
    assert subscription.canceled_by_bot is taken


@pytest.mark.asyncio
async def test_a_failed_renewal_may_be_tried_again_and_a_new_period_begins_when_it_succeeds() -> None:
    club = Club(renewal_retries=(HOUR, DAY, 3 * DAY))
    subscription = await club.subscribe(amount=300)
    club.sandbox.clock.advance(days=30)
    assert (subscription.state, subscription.over) == ("failed", False)
    club.sandbox.clock.advance(hours=2)
    assert await club.news() == [(club.alice.id, "club", "failed")]  # told once
    club.alice.top_up(100)
    club.sandbox.clock.advance(hours=22)
    (payment,) = await club.payments()
    assert payment["subscription_expiration_date"] == START + 2 * MONTH + DAY
    assert (subscription.state, club.alice.balance) == ("active", 0)
    assert club.sandbox.transactions()[-1].date == START + MONTH + DAY
    club.sandbox.clock.advance(days=30 + 3)
    assert (subscription.state, subscription.over) == ("failed", True)
    assert await club.news() == []  # more than a day ago


@pytest.mark.asyncio
async def test_a_failed_subscription_that_is_canceled_is_not_tried_again_and_not_restored() -> None:
    club = Club(renewal_retries=(DAY,))
    by_alice = await club.subscribe(amount=300)
    by_bot = await club.subscribe(club.bob, payload="bobs", amount=300)
    club.sandbox.clock.advance(days=30)
    club.alice.cancel_subscription()
    await club.edit(by_bot, True)
    assert await club.news() == [
        (club.alice.id, "club", "failed"),
        (club.bob.id, "bobs", "failed"),
        (club.alice.id, "club", "canceled"),
    ]
    for person, subscription in ((club.alice, by_alice), (club.bob, by_bot)):
        assert (subscription.state, subscription.over) == ("expired", True)
        person.top_up(1000)
        with pytest.raises(SandboxError, match="is over"):
            person.restore_subscription(subscription)
    club.sandbox.clock.advance(days=2)
    assert (club.alice.balance, club.bob.balance) == (1200, 1200)


@pytest.mark.asyncio
async def test_the_bots_own_cancelling_may_be_told_once() -> None:
    club = Club(bot_cancel_updates=True)
    subscription = await club.subscribe()
    for canceled in (True, True, False):
        await club.edit(subscription, canceled)
    assert await club.news() == [(club.alice.id, "club", "canceled")]


@pytest.mark.asyncio
@pytest.mark.parametrize("which", [0, 1])
async def test_a_refund_may_end_the_subscription_without_a_word(which: int) -> None:
    club = Club(refund_ends_subscription=True)
    subscription = await club.subscribe()
    club.sandbox.clock.advance(days=30)
    await club.updates()
    club.sandbox.refund(subscription.charges[which])
    assert (subscription.state, subscription.over) == ("expired", True)
    assert ["refunded_payment" in update["message"] for update in await club.updates()] == [True]
    club.sandbox.clock.advance(days=60)
    assert (club.alice.balance, len(subscription.charges)) == (400, 2)
    club.sandbox.refund(subscription.charges[1 - which])
    assert club.alice.balance == 500


def test_retries_must_rise() -> None:
    for wrong in ((0.0,), (5.0, 5.0), (-1.0,)):
        with pytest.raises(ArgumentError, match="renewal_retries must be rising numbers of seconds above 0"):
            Rules(renewal_retries=wrong)


@pytest.mark.asyncio
async def test_faults_find_the_updates_of_a_person_s_subscription() -> None:
    club = Club()
    await club.subscribe()
    await club.subscribe(club.bob, payload="bobs")
    lost = club.sandbox.faults.add_update("subscription", drop=True, user=club.bob)
    late = club.sandbox.faults.add_update("successful_payment", delay=60, user=club.alice)
    club.bob.cancel_subscription()
    club.alice.cancel_subscription()
    club.alice.restore_subscription()
    assert [user_id for user_id, *_ in await club.news()] == [club.alice.id] * 2
    club.sandbox.clock.advance(days=30)
    assert await club.payments() == []
    club.sandbox.clock.advance(seconds=60)
    assert len(await club.payments()) == 1
    assert (lost.struck, late.struck) == (1, 1)


@pytest.mark.asyncio
async def test_a_renewal_goes_through_while_its_person_is_paying_something_else() -> None:
    club = Club()
    subscription = await club.subscribe(amount=300)
    link = await club.link("second", 200)
    club.sandbox.clock.advance(seconds=MONTH - 5)
    paying = asyncio.ensure_future(club.alice.pay(link=link))
    await club.sandbox.world.arrivals.until(lambda: club.sandbox.pending_updates() > 0, 5)
    club.alice.top_up(150)  # 350: enough for either, not for both
    club.sandbox.clock.advance(seconds=5)
    assert len(subscription.charges) == 2
    await club.consent()
    assert (await paying).error == "BALANCE_TOO_LOW"
    assert (club.alice.balance, len(club.alice.subscriptions())) == (50, 1)
