"""A refund has a life of its own beside the delivery: neither waits for the other nor undoes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiogram_neonpay.ledger.charges import ANNOUNCED, DELIVERED, PAID, REFUNDED, REQUESTED, Charges, Claim
from tests.ledger.engines import BUYER, Ledger, eventually, paid

pytestmark = pytest.mark.asyncio


async def claim(ledger: Ledger, charges: Charges) -> Claim:
    taken = await charges.claim_delivery(ledger.bot_id, paid())
    assert taken is not None
    return taken


async def claim_refund(ledger: Ledger, charges: Charges) -> Claim:
    taken = await charges.claim_refund(ledger.bot_id, paid())
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
    dead.close()

    held = await eventually(lambda: other.claim_refund(ledger.bot_id, paid()))

    assert held is not None
    assert not await dead.settle(lost, refund=ANNOUNCED)
    assert await other.settle(held, refund=ANNOUNCED)


@pytest.mark.parametrize("first", ["delivery", "announcement"])
async def test_a_refund_during_a_delivery_is_announced_and_both_are_settled(ledger: Ledger, first: str) -> None:
    deliverer, announcer = ledger.charges(), ledger.charges()
    delivery = await claim(ledger, deliverer)
    announcement = await claim_refund(ledger, announcer)
    assert await ledger.charges().claim_refund(ledger.bot_id, paid()) is None

    if first == "delivery":
        assert await deliverer.settle(delivery, state=DELIVERED)
        assert await ledger.charges().claim_refund(ledger.bot_id, paid()) is None, "its announcer still has it"
        assert await announcer.settle(announcement, refund=ANNOUNCED)
    else:
        assert await announcer.settle(announcement, refund=ANNOUNCED)
        assert await deliverer.settle(delivery, state=DELIVERED)

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
    await mark(other, delivery, REFUNDED)
    if delivered:
        assert await worker.settle(delivery, state=DELIVERED)

    announcement = await claim_refund(ledger, other)

    assert await other.claim_refund(ledger.bot_id, paid()) is None
    assert await other.settle(announcement, refund=ANNOUNCED)
    assert delivered or await worker.settle(delivery, state=DELIVERED)
    body = await record(ledger, delivery)
    assert (body["state"], body["refund"]) == (DELIVERED, ANNOUNCED)


async def test_a_failed_delivery_of_a_refunded_charge_is_not_tried_again(ledger: Ledger) -> None:
    worker = ledger.charges()
    delivery = await claim(ledger, worker)
    announcement = await claim_refund(ledger, worker)
    assert await worker.give_back(delivery, error="failure")

    assert await worker.claim_delivery(ledger.bot_id, paid()) is None
    assert await ledger.charges().claim_refund(ledger.bot_id, paid()) is None, "its announcer still has it"
    assert await worker.settle(announcement, refund=ANNOUNCED)
    assert (await record(ledger, delivery)).items() >= {"error": "failure", "state": PAID}.items()


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


async def test_both_claims_of_one_charge_are_renewed_side_by_side(ledger: Ledger) -> None:
    worker = ledger.charges(lease=0.06)
    delivery = await claim(ledger, worker)
    announcement = await claim_refund(ledger, worker)

    async def renewed() -> bool:
        return bool((await record(ledger, delivery))["v"] >= 8)

    await eventually(renewed)
    assert await worker.settle(delivery, state=DELIVERED)
    assert await worker.settle(announcement, refund=ANNOUNCED)
    body = await record(ledger, delivery)
    assert (body["state"], body["refund"]) == (DELIVERED, ANNOUNCED)
