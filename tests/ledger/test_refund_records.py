"""A refund waits for the delivery that is running, ends the retries, and is announced once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import Any

import pytest

from aiogram_neonpay.ledger.charges import (
    ANNOUNCE_REFUND,
    ANNOUNCED,
    DELIVERED,
    PAID,
    REFUNDED,
    REJECTED,
    REQUESTED,
    SEND_REFUND,
    Charges,
    Claim,
)
from tests.ledger.engines import BUYER, PAID_AT, Ledger, eventually, paid

pytestmark = pytest.mark.asyncio


async def claim(ledger: Ledger, charges: Charges) -> Claim:
    taken = await charges.claim_delivery(ledger.bot_id, paid())
    assert taken is not None
    return taken


async def claim_refund(ledger: Ledger, charges: Charges) -> Claim:
    taken = await charges.claim_refund(ledger.bot_id, paid())
    assert taken is not None
    return taken


async def next_claim(ledger: Ledger, charges: Charges, of: Claim) -> Claim:
    taken = await charges.claim(ledger.bot_id, of.key.name)
    assert taken is not None
    return taken


async def mark(charges: Charges, held: Claim, refund: str | None) -> None:
    assert await charges.change(held.key, lambda known: {"refund": refund}) is not None


async def record(ledger: Ledger, held: Claim) -> dict[str, Any]:
    body = await ledger.body(held.key)
    assert body is not None
    return body


async def test_a_refund_known_before_the_payment_settles_the_charge(ledger: Ledger) -> None:
    worker = ledger.charges()
    held = await claim_refund(ledger, worker)

    assert held.body.items() >= {**paid(), "state": PAID, "attempts": 0, "refund": REFUNDED}.items()
    assert await worker.claim_delivery(ledger.bot_id, paid()) is None
    assert await worker.settle(held, refund=ANNOUNCED)
    assert await ledger.charges().claim_delivery(ledger.bot_id, paid()) is None
    assert (await record(ledger, held))["refund"] == ANNOUNCED
    assert len(await worker.history(ledger.bot_id, BUYER, limit=10, offset=0)) == 1


async def test_a_refund_of_a_delivered_charge_is_announced_once(ledger: Ledger) -> None:
    worker = ledger.charges()
    await worker.settle(await claim(ledger, worker), state=DELIVERED)

    claims = await asyncio.gather(*(ledger.charges().claim_refund(ledger.bot_id, paid()) for _ in range(10)))
    (held,) = [one for one in claims if one is not None]
    assert held.body.items() >= {"state": DELIVERED, "refund": REFUNDED, "attempts": 1}.items()
    assert await worker.settle(held, refund=ANNOUNCED)

    assert await worker.claim_refund(ledger.bot_id, paid()) is None
    assert await ledger.due_in(held.key) is None


async def test_an_announcement_that_failed_is_free_at_once(ledger: Ledger) -> None:
    worker, other = ledger.charges(), ledger.charges()
    held = await claim_refund(ledger, worker)
    assert await other.claim_refund(ledger.bot_id, paid()) is None
    assert await worker.give_back(held, told=["one"])

    again = await claim_refund(ledger, other)

    assert again.body["told"] == ["one"]
    assert not await worker.settle(held, refund=ANNOUNCED)
    assert await other.settle(again, refund=ANNOUNCED)


async def test_the_announcement_of_a_worker_that_died_is_taken_over(ledger: Ledger) -> None:
    dead, other = ledger.charges(lease=0.2), ledger.charges()
    lost = await claim_refund(ledger, dead)
    dead.leases.close()

    held = await eventually(lambda: other.claim_refund(ledger.bot_id, paid()))

    assert held is not None
    assert not await dead.settle(lost, refund=ANNOUNCED)
    assert await other.settle(held, refund=ANNOUNCED)


async def test_a_refund_during_a_delivery_is_announced_when_that_has_ended(ledger: Ledger) -> None:
    deliverer, other = ledger.charges(), ledger.charges()
    delivery = await claim(ledger, deliverer)
    assert await other.claim_refund(ledger.bot_id, paid()) is None
    assert await other.due(ledger.bot_id, limit=10) == []

    assert await deliverer.settle(delivery, state=DELIVERED)

    assert await other.due(ledger.bot_id, limit=10) == [delivery.key.name]
    announcement = await next_claim(ledger, other, delivery)
    assert announcement.step == ANNOUNCE_REFUND
    assert await other.settle(announcement, refund=ANNOUNCED)
    body = await record(ledger, delivery)
    assert (body["state"], body["refund"]) == (DELIVERED, ANNOUNCED)
    assert await ledger.due_in(delivery.key) is None
    assert await ledger.charges().claim_delivery(ledger.bot_id, paid()) is None
    assert await ledger.charges().claim_refund(ledger.bot_id, paid()) is None


@pytest.mark.parametrize("delivered", [False, True], ids=["during the delivery", "after it"])
async def test_a_refund_that_the_bot_made_while_delivering_is_announced(ledger: Ledger, delivered: bool) -> None:
    worker, other = ledger.charges(), ledger.charges()
    delivery = await claim(ledger, worker)
    await mark(other, delivery, REQUESTED)
    if delivered:
        assert await worker.settle(delivery, state=DELIVERED)
    await mark(other, delivery, REFUNDED)
    if not delivered:
        assert await other.claim(ledger.bot_id, delivery.key.name) is None
        assert await worker.settle(delivery, state=DELIVERED)

    announcement = await next_claim(ledger, other, delivery)

    assert await other.settle(announcement, refund=ANNOUNCED)
    body = await record(ledger, delivery)
    assert (body["state"], body["refund"]) == (DELIVERED, ANNOUNCED)


async def test_a_failed_delivery_of_a_refunded_charge_is_not_tried_again(ledger: Ledger) -> None:
    worker = ledger.charges()
    delivery = await claim(ledger, worker)
    await ledger.charges().mark_refunded(delivery.key)
    assert await worker.give_back(delivery, delay=3600.0, error="failure")

    assert await worker.claim_delivery(ledger.bot_id, paid()) is None
    announcement = await next_claim(ledger, worker, delivery)
    assert announcement.step == ANNOUNCE_REFUND, "and it does not wait for the time of the next attempt"
    assert await worker.settle(announcement, refund=ANNOUNCED)
    assert (await record(ledger, delivery)).items() >= {"error": "failure", "state": PAID}.items()


async def test_a_refund_is_sent_and_announced_by_one_holder(ledger: Ledger) -> None:
    worker, other = ledger.charges(), ledger.charges()
    delivery = await claim(ledger, worker)
    assert await worker.settle(delivery, state=REJECTED, refund=REQUESTED)

    held = await next_claim(ledger, worker, delivery)
    assert held.step == SEND_REFUND
    assert await other.claim(ledger.bot_id, delivery.key.name, hurry=True) is None
    assert await other.claim_refund(ledger.bot_id, paid()) is None, "Telegram tells of it before the sender does"
    assert await worker.advance(held, refund=REFUNDED)
    assert held.step == ANNOUNCE_REFUND
    assert await worker.settle(held, refund=ANNOUNCED)

    assert await ledger.due_in(delivery.key) is None


async def test_a_refund_that_failed_is_sent_again_when_its_time_has_come_or_at_once_for_who_is_in_a_hurry(
    ledger: Ledger,
) -> None:
    worker = ledger.charges()
    delivery = await claim(ledger, worker)
    await worker.settle(delivery, state=REJECTED, refund=REQUESTED)
    await worker.give_back(await next_claim(ledger, worker, delivery), delay=600.0, error="flood")

    assert await worker.claim(ledger.bot_id, delivery.key.name) is None
    assert await worker.due(ledger.bot_id, limit=10) == []
    held = await worker.claim(ledger.bot_id, delivery.key.name, hurry=True)
    assert held is not None and held.body["sends"] == 2


async def test_what_telegram_did_is_not_undone_by_a_late_request(ledger: Ledger) -> None:
    worker = ledger.charges()
    delivery = await claim(ledger, worker)
    await ledger.charges().mark_refunded(delivery.key)

    assert await worker.settle(delivery, state=REJECTED, refund=REQUESTED)

    assert (await record(ledger, delivery))["refund"] == REFUNDED


async def test_sales_and_refunds_are_counted_once_by_day_and_stage(ledger: Ledger) -> None:
    worker = ledger.charges()
    sold = datetime.fromtimestamp(PAID_AT, timezone.utc).strftime("%Y-%m-%d")
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    for number in range(3):
        facts = paid(f"stx{number}", BUYER + number, stage="premium")
        held = await worker.claim_delivery(ledger.bot_id, facts)
        assert held is not None
        await worker.settle(held, state=DELIVERED)
        assert await worker.claim_delivery(ledger.bot_id, facts) is None
        if number:
            assert await worker.claim_refund(ledger.bot_id, facts) is not None
            await worker.mark_refunded(held.key)

    amount = paid()["amount"]
    before, now, never = await worker.tallies(ledger.bot_id, [sold, today, "1999-01-01"])
    assert before == {"premium:count": 3, "premium:stars": 3 * amount}
    assert now == {"premium:refunds": 2, "premium:returned": 2 * amount}
    assert never == {}


async def test_a_requested_refund_ends_the_retries_and_leaves_the_running_attempt_alone(ledger: Ledger) -> None:
    worker = ledger.charges()
    delivery = await claim(ledger, worker)
    await mark(ledger.charges(), delivery, REQUESTED)

    assert await worker.give_back(delivery, error="failure")
    assert await worker.claim_delivery(ledger.bot_id, paid()) is None


async def test_a_refund_that_was_withdrawn_lets_the_charge_be_delivered(ledger: Ledger) -> None:
    worker = ledger.charges()
    delivery = await claim(ledger, worker)
    await worker.give_back(delivery)
    await mark(worker, delivery, REQUESTED)
    assert await worker.claim_delivery(ledger.bot_id, paid()) is None
    await mark(worker, delivery, None)

    assert (await claim(ledger, worker)).body["attempts"] == 2
