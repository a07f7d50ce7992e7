"""Subscriptions when time jumps: order, dates, what a bot that was away has lost, and many subscribers at once."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from aiogram_neonpay.sandbox import Clock, Sandbox, ledger
from aiogram_neonpay.sandbox.models import Invoice
from tests.sandbox.conftest import START
from tests.sandbox.subscribing import DAY, MONTH, Club

SUBSCRIBERS = 1000


@pytest.mark.asyncio
async def test_a_bot_that_was_away_for_a_year_finds_the_last_day_only_and_the_rest_in_the_ledger() -> None:
    club = Club()
    club.alice.top_up(10_000)
    subscription = await club.subscribe()
    club.sandbox.clock.advance(seconds=12 * MONTH + DAY - 1)
    rows = (await club.call("getStarTransactions"))["transactions"]
    assert [row["date"] for row in rows] == [START + number * MONTH for number in range(13)]
    assert [row["id"] for row in rows] == subscription.charges
    (payment,) = await club.payments()
    assert payment["telegram_payment_charge_id"] == subscription.charges[-1]
    assert payment["subscription_expiration_date"] == START + 13 * MONTH
    club.sandbox.clock.advance(seconds=MONTH - DAY + 1 + DAY)
    assert (len(subscription.charges), await club.updates()) == (14, [])


@pytest.mark.asyncio
async def test_what_happens_to_many_people_in_one_jump_happens_in_the_order_of_time() -> None:
    club = Club()
    club.alice.top_up(10_000)
    for number in range(6):
        person = (club.alice, club.bob)[number % 2]
        await club.subscribe(person, payload=f"plan-{number}", amount=1 + 83 * (number % 2))
        club.sandbox.clock.advance(hours=3, seconds=number)
    club.alice.cancel_subscription(payload="plan-2")
    await club.updates()
    await club.call("getUpdates", offset=club.offset)
    now = club.sandbox.clock.now()
    club.sandbox.clock.advance(seconds=START + MONTH + DAY - 1 - now)
    updates = await club.updates()
    assert len(updates) == 5
    seen = [
        (update["message"]["successful_payment"]["invoice_payload"], update["message"]["date"])
        for update in updates
        if "message" in update
    ]
    # Bob could pay two of his three; Alice's second was canceled.
    assert [payload for payload, _ in seen] == ["plan-0", "plan-1", "plan-3", "plan-4"]
    assert [date for _, date in seen] == sorted(date for _, date in seen)
    assert updates[-1]["subscription"]["invoice_payload"] == "plan-5"
    assert [update["update_id"] for update in updates] == sorted(update["update_id"] for update in updates)
    dates = [row.date for row in club.sandbox.transactions()]
    assert dates == sorted(dates) and len(dates) == 6 + 4


@pytest.mark.asyncio
async def test_moving_the_clock_in_steps_or_at_once_leads_to_the_same() -> None:
    outcomes = []
    for steps in (1, 7, 400):
        club = Club()
        await club.subscribe(amount=120)
        await club.subscribe(club.bob, payload="other", amount=30)
        for _ in range(steps):
            club.sandbox.clock.advance(days=400 / steps)
        rows = [(row.id, row.date, row.amount) for row in club.sandbox.transactions()]
        states = [(item.state, item.expiration_date, item.charges) for item in club.sandbox.subscriptions()]
        outcomes.append((rows, states, club.alice.balance, club.bob.balance, club.sandbox.bot_balance()))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert [state for state, *_ in outcomes[0][1]] == ["failed", "active"]


@pytest.mark.asyncio
async def test_a_seed_repeats_every_id_of_a_subscription() -> None:
    async def life(seed: int | None) -> tuple[Any, ...]:
        club = Club(seed=seed)
        link = await club.link()
        subscription = await club.subscribe(link=link)
        club.sandbox.clock.advance(days=60)
        return link, subscription.charges, await club.updates(), await club.call("getStarTransactions")

    assert await life(5) == await life(5) != await life(6)
    assert await life(None) != await life(None)


@pytest.mark.asyncio
async def test_the_clock_of_a_real_month_renews_by_itself() -> None:
    sandbox = Sandbox(seed=0, clock=Clock())
    club = Club()
    club.sandbox, club.token = sandbox, sandbox.create_bot("club_bot")
    club.alice = sandbox.create_user("Alice", stars=500, started=True)
    subscription = await club.subscribe()
    sandbox.clock.advance(seconds=subscription.expiration_date - sandbox.clock.now() - 0.05)
    assert len(subscription.charges) == 1
    assert await sandbox.until(lambda: len(subscription.charges) == 2)
    assert 0 <= sandbox.transactions()[-1].date - (subscription.expiration_date - MONTH) <= 5


@pytest.mark.asyncio
async def test_a_jump_of_400_days_with_a_thousand_subscribers_keeps_the_order_and_no_more_than_it_must() -> None:
    sandbox = Sandbox(seed=0, clock=Clock(START, running=False))
    token = sandbox.create_bot("club_bot")
    world, payments = sandbox.world, sandbox.payments
    bot = world.bot_by_token(token)
    assert bot is not None
    people = [world.add_person(f"P{number}", None, "en", 10_000) for number in range(SUBSCRIBERS)]
    for number, person in enumerate(people):
        invoice = Invoice(
            bot.id, "Club", "d", f"plan-{number}", "XTR", 10 + number % 7, subscription_period=MONTH, slug="x"
        )
        payments.subscriptions.begin(ledger.sell(world, bot, person, invoice))  # as if the bot had agreed
        sandbox.clock.advance(seconds=DAY / SUBSCRIBERS)
    sandbox.clock.advance(seconds=START + 400 * DAY - sandbox.clock.now())
    rows = sandbox.transactions()
    assert len(rows) == SUBSCRIBERS * 14  # the first payment and one for each of 13 months
    assert all(earlier.date <= later.date for earlier, later in itertools.pairwise(rows))
    assert sandbox.bot_balance() == sum(row.amount for row in rows)
    assert sandbox.clock.waiting == SUBSCRIBERS
    assert len(world.updates_shown) <= 300
    fresh = [row for row in rows if row.date > sandbox.clock.now() - DAY]
    assert sandbox.pending_updates() == len(fresh)
