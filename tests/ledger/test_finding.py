"""Charges are found by their ids, and those that wait for a person are listed."""

from __future__ import annotations

import pytest

from aiogram_neonpay.ledger.base import PARTITIONS
from aiogram_neonpay.ledger.charges import (
    DELIVERED,
    REFUNDED,
    REJECTED,
    REQUESTED,
    STUCK,
    UNMATCHED,
    Charges,
    Claim,
    is_reference,
    reference_of,
)
from tests.ledger.engines import BUYER, ODD_CHARGE_IDS, Ledger, paid


async def settled(ledger: Ledger, charges: Charges, state: str, charge: str = "stxCharge", user: int = BUYER) -> Claim:
    held = await charges.claim_delivery(ledger.bot_id, paid(charge, user))
    assert held is not None
    assert await charges.settle(held, state=state)
    return held


async def waiting(ledger: Ledger, charges: Charges, limit: int = 10) -> list[str]:
    return [body["charge"] for body in await charges.waiting(ledger.bot_id, limit=limit)]


@pytest.mark.asyncio
@pytest.mark.parametrize("charge", ODD_CHARGE_IDS.values(), ids=ODD_CHARGE_IDS)
async def test_a_charge_is_found_by_its_id_and_by_its_reference(ledger: Ledger, charge: str) -> None:
    charges = ledger.charges()
    held = await settled(ledger, charges, DELIVERED, charge)
    reference = held.key.name

    for found in (
        await charges.find(ledger.bot_id, charge),
        await charges.find(ledger.bot_id, charge, BUYER),
        await charges.find(ledger.bot_id, reference),
        await charges.find(ledger.bot_id, reference, BUYER),
    ):
        assert found == (held.key, held.body)
    assert held.body["charge"] == charge


@pytest.mark.asyncio
async def test_a_charge_is_found_whatever_its_buyers_partition(ledger: Ledger) -> None:
    charges = ledger.charges()
    for user in (1, BUYER, *range(5_000_000_000, 5_000_000_000 + PARTITIONS), 2**52 - 1):
        held = await settled(ledger, charges, DELIVERED, f"stx{user}", user)
        assert await charges.find(ledger.bot_id, f"stx{user}") == (held.key, held.body)


@pytest.mark.asyncio
async def test_what_is_not_there_is_not_found(ledger: Ledger) -> None:
    charges = ledger.charges()
    held = await settled(ledger, charges, DELIVERED)

    assert await charges.find(ledger.bot_id, "stxAnother") is None
    assert await charges.find(ledger.bot_id, "stxCharge", BUYER + 1) is None
    assert await charges.find(ledger.bot_id, "0" * 17) is None
    assert await charges.find(ledger.bot_id, "") is None
    assert await charges.find(ledger.bot_id, "lone surrogate \ud800") is None
    assert await charges.find(ledger.bot_id + 1, "stxCharge") is None
    assert await charges.find(ledger.bot_id + 1, held.key.name) is None


@pytest.mark.asyncio
@pytest.mark.parametrize("state", [UNMATCHED, STUCK])
async def test_a_charge_that_nobody_could_deliver_waits_for_a_person(ledger: Ledger, state: str) -> None:
    charges = ledger.charges()
    held = await charges.claim_delivery(ledger.bot_id, paid())
    assert held is not None
    assert await waiting(ledger, charges) == []
    await charges.settle(held, state=state, reason="no_handler")

    assert await waiting(ledger, charges) == ["stxCharge"]
    assert await waiting(ledger, ledger.charges()) == ["stxCharge"]


@pytest.mark.asyncio
async def test_a_charge_that_is_delivered_waits_for_nobody(ledger: Ledger) -> None:
    charges = ledger.charges()
    await settled(ledger, charges, DELIVERED)

    assert await waiting(ledger, charges) == []


@pytest.mark.asyncio
async def test_the_waiting_are_listed_oldest_first_over_all_partitions(ledger: Ledger) -> None:
    charges = ledger.charges()
    for number in range(20):
        held = await settled(ledger, charges, STUCK, f"stx{number}", BUYER + number)
        await charges.change(held.key, lambda known: {"seen": True})

    # Those settled in one millisecond may be in any order.
    assert sorted(await waiting(ledger, charges, 30)) == sorted(f"stx{number}" for number in range(20))
    assert len(await waiting(ledger, charges, 5)) == 5


@pytest.mark.asyncio
async def test_a_refund_that_meets_trouble_is_listed_until_it_is_done(ledger: Ledger) -> None:
    charges = ledger.charges()
    held = await settled(ledger, charges, DELIVERED)

    await charges.change(held.key, lambda known: {"refund": REQUESTED})
    assert await waiting(ledger, charges) == []
    await charges.change(held.key, lambda known: {"trouble": "refund_delayed"})
    assert await waiting(ledger, charges) == ["stxCharge"]
    await charges.change(held.key, lambda known: {"refund": REFUNDED, "trouble": None})
    assert await waiting(ledger, charges) == []


@pytest.mark.asyncio
async def test_a_rejected_charge_is_refunded_and_no_business_of_a_person(ledger: Ledger) -> None:
    charges = ledger.charges()
    held = await charges.claim_delivery(ledger.bot_id, paid())
    assert held is not None
    await charges.settle(held, state=REJECTED, refund=REQUESTED)

    assert await waiting(ledger, charges) == []
    assert await charges.due(ledger.bot_id, limit=10) != []


@pytest.mark.asyncio
async def test_a_refund_by_telegram_takes_a_charge_off_the_list(ledger: Ledger) -> None:
    charges = ledger.charges()
    await settled(ledger, charges, STUCK)

    assert await charges.claim_refund(ledger.bot_id, paid()) is not None
    assert await waiting(ledger, charges) == []


@pytest.mark.asyncio
async def test_a_delivery_by_hand_takes_a_charge_off_the_list(ledger: Ledger) -> None:
    charges = ledger.charges()
    held = await settled(ledger, charges, STUCK)
    await charges.change(held.key, lambda known: {"state": DELIVERED})

    assert await waiting(ledger, charges) == []


@pytest.mark.parametrize("charge", ODD_CHARGE_IDS.values(), ids=ODD_CHARGE_IDS)
def test_a_reference_is_short_plain_and_tells_the_partition(charge: str) -> None:
    reference = reference_of(charge, BUYER)

    assert is_reference(reference)
    assert len(reference) == 17
    assert int(reference[0], 16) == BUYER % PARTITIONS


def test_references_are_fixed_for_ever() -> None:
    assert reference_of("stxCharge", 1001) == "93268d5caceb2da19"


@pytest.mark.parametrize(
    "text", ["", "0" * 16, "0" * 18, "A" * 17, "g" * 17, "０" * 17, "0" * 16 + "\n", "stxCharge", "-" + "0" * 16]
)
def test_other_texts_are_no_references(text: str) -> None:
    assert not is_reference(text)


@pytest.mark.asyncio
async def test_a_charge_is_found_by_a_further_id_and_listed_once(ledger: Ledger) -> None:
    charges = ledger.charges()
    held = await settled(ledger, charges, UNMATCHED, "media:1:7")
    for _ in range(2):
        await charges.put_alias(ledger.bot_id, held.key.name, "stxReal", BUYER)

    for found in (
        await charges.find(ledger.bot_id, "stxReal"),
        await charges.find(ledger.bot_id, "stxReal", BUYER),
        await charges.find(ledger.bot_id, reference_of("stxReal", BUYER)),
    ):
        assert found == (held.key, held.body)
    assert await waiting(ledger, charges) == ["media:1:7"]
    assert [body["charge"] for body in await charges.history(ledger.bot_id, BUYER, limit=9, offset=0)] == ["media:1:7"]
    assert await charges.due(ledger.bot_id, limit=9) == []
    assert await charges.claim(ledger.bot_id, reference_of("stxReal", BUYER), hurry=True) is None


@pytest.mark.asyncio
async def test_a_further_id_of_a_charge_that_is_not_there_finds_nothing(ledger: Ledger) -> None:
    charges = ledger.charges()
    await charges.put_alias(ledger.bot_id, reference_of("media:1:7", BUYER), "stxReal", BUYER)

    assert await charges.find(ledger.bot_id, "stxReal") is None


@pytest.mark.asyncio
async def test_a_change_may_leave_the_time_of_the_next_attempt_as_it_is(ledger: Ledger) -> None:
    charges = ledger.charges()
    held = await charges.claim_delivery(ledger.bot_id, paid("media:1:7"))
    assert held is not None
    await charges.give_back(held, delay=3600)
    await charges.change(held.key, lambda known: {"real": "stxReal"}, keep_due=True)
    assert await charges.due(ledger.bot_id, limit=9) == []
    await charges.change(held.key, lambda known: {"note": 1})
    assert await charges.due(ledger.bot_id, limit=9) == [held.key.name]
