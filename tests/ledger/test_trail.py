"""A charge's record tells who began which attempt and how each ended, and stays short."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aiogram_neonpay.ledger.charges import DELIVERED, REFUNDED, REQUESTED, STUCK, Charges, Claim
from aiogram_neonpay.ledger.trail import HEAD, TAIL, worker_name
from tests.ledger.engines import Ledger, eventually, paid

pytestmark = pytest.mark.asyncio

Trail = list[tuple[str, str | None, str | None]]


async def claim(ledger: Ledger, charges: Charges) -> Claim:
    taken = await charges.claim_delivery(ledger.bot_id, paid())
    assert taken is not None
    return taken


async def trail(ledger: Ledger, claim: Claim) -> Trail:
    """Return what happened, with its worker and its detail."""
    body = await ledger.body(claim.key)
    assert body is not None
    assert all(isinstance(entry[0], int) for entry in body["trail"])
    return [tuple([*entry[1:], None, None][:3]) for entry in body["trail"]]


async def test_a_delivery_is_two_entries(ledger: Ledger) -> None:
    charges = ledger.charges()
    taken = await claim(ledger, charges)
    assert await trail(ledger, taken) == [("deliver", worker_name(), None)]
    await charges.settle(taken, state=DELIVERED)
    assert await trail(ledger, taken) == [("deliver", worker_name(), None), ("delivered", None, None)]
    assert worker_name().endswith(f":{os.getpid()}")


async def test_each_attempt_names_its_worker(ledger: Ledger) -> None:
    one, other = ledger.charges(), ledger.charges()
    one.worker, other.worker = "a:1", "b:2"
    taken = await claim(ledger, one)
    await one.give_back(taken, error="ZeroDivisionError: " + "x" * 500)
    again = await other.claim(ledger.bot_id, taken.key.name)
    assert again is not None
    await other.settle(again, state=STUCK, reason="attempts", error="KeyError: 1")
    assert await trail(ledger, taken) == [
        ("deliver", "a:1", None),
        ("failed", "", ("ZeroDivisionError: " + "x" * 500)[:120]),
        ("deliver", "b:2", None),
        ("stuck", "", "attempts: KeyError: 1"),
    ]


async def test_a_worker_that_died_left_its_beginning(ledger: Ledger) -> None:
    dead, other = ledger.charges(lease=0.05), ledger.charges()
    dead.worker, other.worker = "a:1", "b:2"
    taken = await claim(ledger, dead)
    dead.leases.close()
    assert await eventually(lambda: other.claim(ledger.bot_id, taken.key.name)) is not None
    assert [entry[:2] for entry in await trail(ledger, taken)] == [("deliver", "a:1"), ("deliver", "b:2")]


async def test_an_attempt_that_waits_for_something_else_leaves_no_entry(ledger: Ledger) -> None:
    charges = ledger.charges()
    taken = await claim(ledger, charges)
    for _ in range(30):
        await charges.give_back(taken, attempts=taken.body["attempts"] - 1)
        again = await charges.claim(ledger.bot_id, taken.key.name)
        assert again is not None
        taken = again
    assert await trail(ledger, taken) == [("deliver", charges.worker, None)]


async def test_a_cancelled_attempt_is_told(ledger: Ledger) -> None:
    charges = ledger.charges()
    taken = await claim(ledger, charges)
    await charges.give_back(taken, attempts=0, cancels=1)
    assert [entry[0] for entry in await trail(ledger, taken)] == ["deliver", "cancelled"]


async def test_a_refund_is_told_from_the_request_to_the_news(ledger: Ledger) -> None:
    charges = ledger.charges()
    taken = await claim(ledger, charges)
    await charges.settle(taken, state=DELIVERED)
    await charges.change(taken.key, lambda known: {"refund": REQUESTED, "refund_reason": "admin 1: sorry"})
    sending = await charges.claim(ledger.bot_id, taken.key.name)
    assert sending is not None
    await charges.advance(sending, refund=REFUNDED, tells=1)
    await charges.settle(sending, refund="announced")
    assert (await trail(ledger, taken))[2:] == [
        ("requested", "", "admin 1: sorry"),
        ("send_refund", charges.worker, None),
        ("refunded", None, None),
        ("announced", None, None),
    ]


async def test_a_renewed_lease_and_a_note_are_no_entries(ledger: Ledger) -> None:
    charges = ledger.charges()
    taken = await claim(ledger, charges)
    await charges.leases._renew(taken)
    await charges.change(taken.key, lambda known: {"alerted": "attempts"}, keep_due=True)
    assert len(await trail(ledger, taken)) == 1


async def test_a_long_trail_keeps_its_beginning_and_its_end(ledger: Ledger) -> None:
    charges = ledger.charges()
    taken = await claim(ledger, charges)
    for number in range(30):
        await charges.give_back(taken, error=f"Error: {number}")
        again = await charges.claim(ledger.bot_id, taken.key.name)
        assert again is not None
        taken = again
    body: dict[str, Any] = await ledger.body(taken.key) or {}
    assert len(body["trail"]) == HEAD + TAIL
    assert body["trail_cut"] == 61 - HEAD - TAIL
    assert [entry[1:] for entry in body["trail"][:2]] == [["deliver", charges.worker], ["failed", "", "Error: 0"]]
    assert body["trail"][-2][1:] == ["failed", "", "Error: 29"]
