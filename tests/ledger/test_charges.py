"""A charge is recorded once, delivered by one worker at a time and settled by the worker that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aiogram_neonpay.errors import LedgerError
from aiogram_neonpay.ledger import charges as rules
from aiogram_neonpay.ledger.base import RecordKey, Write
from aiogram_neonpay.ledger.charges import DELIVERED, PAID, REJECTED, STUCK, UNMATCHED, Charges, Claim
from aiogram_neonpay.ledger.tallies import day_of
from tests.ledger.engines import (
    BUYER,
    PAID_AT,
    DyingEngine,
    Engine,
    HangingEngine,
    HeldUpEngine,
    Ledger,
    RepeatingEngine,
    eventually,
    paid,
)

pytestmark = pytest.mark.asyncio

Change = Callable[[dict[str, Any]], dict[str, Any] | None]


async def claim(ledger: Ledger, charges: Charges, **facts: Any) -> Claim:
    """Take the right to deliver a charge, which must be free."""
    taken = await charges.claim_delivery(ledger.bot_id, paid(**facts))
    assert taken is not None
    return taken


async def record(ledger: Ledger, key: RecordKey) -> dict[str, Any]:
    body = await ledger.body(key)
    assert body is not None
    return body


def put(**fields: Any) -> Change:
    return lambda known: fields


# Claiming


async def test_a_new_charge_is_recorded_with_all_that_is_known(ledger: Ledger) -> None:
    facts = paid(metadata={"tags": [], "order": 2**60, "none": None}, stage="premium")
    taken = await ledger.charges().claim_delivery(ledger.bot_id, facts)

    assert taken is not None
    body = await record(ledger, taken.key)
    assert body.items() >= {**facts, "state": PAID, "attempts": 1}.items()
    assert taken.body == body
    assert await ledger.charges().history(ledger.bot_id, BUYER, limit=10, offset=0) == [body]


async def test_of_many_concurrent_claims_by_two_workers_one_succeeds(ledger: Ledger) -> None:
    workers = [ledger.charges(), ledger.charges()]

    taken = await asyncio.gather(*(workers[number % 2].claim_delivery(ledger.bot_id, paid()) for number in range(20)))

    assert len([one for one in taken if one is not None]) == 1


async def test_a_charge_that_is_held_is_refused_to_everybody(ledger: Ledger) -> None:
    worker = ledger.charges()
    held = await claim(ledger, worker)

    assert await worker.claim_delivery(ledger.bot_id, paid()) is None
    assert await ledger.charges().claim_delivery(ledger.bot_id, paid()) is None
    assert (await record(ledger, held.key))["attempts"] == 1


async def test_charges_of_two_bots_with_one_id_are_two_charges(ledger: Ledger) -> None:
    charges = ledger.charges()

    assert await charges.claim_delivery(ledger.bot_id, paid()) is not None
    assert await charges.claim_delivery(ledger.bot_id + 1, paid()) is not None
    assert await charges.claim_delivery(ledger.bot_id, paid(user=BUYER + 1)) is not None


async def test_the_charge_of_a_worker_that_died_is_taken_over_when_its_lease_ends(ledger: Ledger) -> None:
    dead, other = ledger.charges(lease=0.2), ledger.charges()
    first = await claim(ledger, dead)
    dead.leases.close()

    second = await eventually(lambda: other.claim_delivery(ledger.bot_id, paid()))

    assert second is not None and second.id != first.id
    assert second.body["attempts"] == 2


async def test_of_many_concurrent_takeovers_one_succeeds(ledger: Ledger) -> None:
    await ledger.expire((await claim(ledger, ledger.charges())).key)
    workers = [ledger.charges(), ledger.charges()]

    taken = await asyncio.gather(*(workers[number % 2].claim_delivery(ledger.bot_id, paid()) for number in range(20)))

    winners = [one for one in taken if one is not None]
    assert len(winners) == 1
    assert (await record(ledger, winners[0].key))["attempts"] == 2


@pytest.mark.parametrize("state", [DELIVERED, UNMATCHED, STUCK, REJECTED])
async def test_a_settled_charge_is_never_claimed_again(ledger: Ledger, state: str) -> None:
    worker = ledger.charges()
    held = await claim(ledger, worker)
    assert await worker.settle(held, state=state)

    assert await ledger.charges().claim_delivery(ledger.bot_id, paid()) is None
    assert await ledger.due_in(held.key) is None
    assert (await record(ledger, held.key))["state"] == state


async def test_two_charges_with_one_reference_are_never_taken_for_each_other(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "_digest", lambda charge: "0" * 16)
    held = await claim(ledger, ledger.charges(), charge="stxOne")

    with pytest.raises(LedgerError, match=held.key.name):
        await ledger.charges().claim_delivery(ledger.bot_id, paid("stxTwo"))
    assert (await record(ledger, held.key))["charge"] == "stxOne"


# Settling and giving back


async def test_what_settles_a_charge_is_written_into_its_record(ledger: Ledger) -> None:
    worker = ledger.charges()
    held = await claim(ledger, worker)

    assert await worker.settle(held, state=DELIVERED, note="sent by hand")

    assert held.body == await record(ledger, held.key)
    assert held.body.items() >= {**paid(), "state": DELIVERED, "note": "sent by hand"}.items()


async def test_a_charge_that_is_given_back_is_free_at_once_and_counts_its_attempts(ledger: Ledger) -> None:
    workers = [ledger.charges(), ledger.charges()]
    for number in range(1, 5):
        worker = workers[number % 2]
        held = await claim(ledger, worker)
        assert held.body["attempts"] == number
        assert await worker.give_back(held, error=f"failure {number}")
        assert (await record(ledger, held.key))["error"] == f"failure {number}"


async def test_an_attempt_may_be_given_back_uncounted(ledger: Ledger) -> None:
    worker = ledger.charges()
    held = await claim(ledger, worker)
    await worker.give_back(held, attempts=held.body["attempts"] - 1)

    assert (await claim(ledger, worker)).body["attempts"] == 1


@pytest.mark.parametrize("how", ["settle", "give_back"])
@pytest.mark.parametrize("settled", [False, True], ids=["held by another", "settled by another"])
async def test_a_lost_claim_writes_nothing(ledger: Ledger, how: str, settled: bool) -> None:
    late, other = ledger.charges(), ledger.charges()
    lost = await claim(ledger, late)
    await ledger.expire(lost.key)
    held = await claim(ledger, other)
    if settled:
        assert await other.settle(held, state=DELIVERED)
    before = await record(ledger, lost.key)
    due_before = await ledger.due_in(lost.key)

    assert not await getattr(late, how)(lost, state=STUCK, note="late")

    assert lost.lost
    assert await record(ledger, lost.key) == before
    assert (await ledger.due_in(lost.key) is None) == (due_before is None)
    assert settled or await other.settle(held, state=DELIVERED)


async def test_a_claim_whose_lease_ended_still_settles_if_nobody_took_the_charge(ledger: Ledger) -> None:
    worker = ledger.charges()
    held = await claim(ledger, worker)
    await ledger.expire(held.key)

    assert await worker.settle(held, state=DELIVERED)
    assert await ledger.charges().claim_delivery(ledger.bot_id, paid()) is None


# Changes by others


async def test_a_change_during_a_delivery_costs_neither_the_claim_nor_the_change(ledger: Ledger) -> None:
    worker, other = ledger.charges(), ledger.charges()
    held = await claim(ledger, worker)

    changed = await other.change(held.key, put(note="by another", amount=1))
    assert changed is not None and changed["note"] == "by another"
    assert await other.claim_delivery(ledger.bot_id, paid()) is None, "the lease is as it was"
    assert await worker.settle(held, state=DELIVERED)

    assert (await record(ledger, held.key)).items() >= {"state": DELIVERED, "note": "by another", "amount": 1}.items()


async def test_a_change_that_finds_nothing_to_do_writes_nothing(ledger: Ledger) -> None:
    held = await claim(ledger, ledger.charges())
    before = await record(ledger, held.key)

    assert await ledger.charges().change(held.key, lambda known: None) == before
    assert await record(ledger, held.key) == before


async def test_nothing_is_changed_where_there_is_no_record(ledger: Ledger) -> None:
    missing = ledger.charge()

    assert await ledger.charges().change(missing, put(note="x")) is None
    assert await ledger.body(missing) is None


async def test_no_concurrent_change_is_lost_nor_is_the_claim(ledger: Ledger) -> None:
    worker = ledger.charges()
    held = await claim(ledger, worker)

    await asyncio.gather(*(ledger.charges().change(held.key, put(**{f"note{number}": 1})) for number in range(10)))

    assert await worker.settle(held, state=DELIVERED)
    body = await record(ledger, held.key)
    assert {f"note{number}" for number in range(10)} <= set(body)


# Renewal


async def test_a_slow_delivery_keeps_its_claim_past_the_lease(ledger: Ledger) -> None:
    worker, other = ledger.charges(lease=0.45), ledger.charges()
    held = await claim(ledger, worker)
    started = held.body["v"]

    async def renewed_past_its_lease() -> bool:
        # Renewals are a third of a lease apart.
        return bool((await record(ledger, held.key))["v"] >= started + 3)

    await eventually(renewed_past_its_lease)
    assert await other.claim_delivery(ledger.bot_id, paid()) is None
    assert await worker.settle(held, state=DELIVERED)
    assert (await record(ledger, held.key))["attempts"] == 1


async def test_all_claims_of_a_worker_are_renewed(ledger: Ledger) -> None:
    worker = ledger.charges(lease=0.06)
    held = [await claim(ledger, worker, charge=f"stx{number}", user=BUYER + number) for number in range(5)]

    async def all_renewed() -> bool:
        return all(one.body["v"] >= 3 for one in held)

    await eventually(all_renewed)
    assert all(await asyncio.gather(*(worker.settle(one, state=DELIVERED) for one in held)))


async def test_settling_in_the_middle_of_renewals_leaves_nothing_held(ledger: Ledger) -> None:
    worker = ledger.charges(lease=0.03)
    for number in range(15):
        held = await claim(ledger, worker, charge=f"stx{number}")
        version = held.body["v"]

        async def renewed(held: Claim = held, version: int = version) -> bool:
            return bool(held.body["v"] > version)

        await eventually(renewed)
        assert await worker.settle(held, state=DELIVERED)
        assert (await record(ledger, held.key))["state"] == DELIVERED
        assert await ledger.due_in(held.key) is None


async def test_a_charge_that_is_settled_while_another_is_renewed_is_not_renewed_after_that(ledger: Ledger) -> None:
    engine = HeldUpEngine(ledger.connect())
    worker = ledger.charges(engine, lease=0.05)
    claims = {one.key: one for one in [await claim(ledger, worker, charge=f"stx{number}") for number in range(2)]}
    await _renewal_is_held_up(engine)
    assert engine.held is not None
    renewed = claims.pop(engine.held)
    (settled,) = claims.values()
    assert await worker.settle(settled, state=DELIVERED)
    version = renewed.body["v"]
    engine.go.set()

    async def renewed_twice() -> bool:
        return bool(renewed.body["v"] >= version + 2)

    await eventually(renewed_twice)
    assert await ledger.due_in(settled.key) is None
    assert await record(ledger, settled.key) == settled.body


@pytest.mark.parametrize("how", ["settle", "give_back"])
async def test_what_ends_a_claim_waits_for_its_renewal(ledger: Ledger, how: str) -> None:
    engine = HeldUpEngine(ledger.connect())
    worker = ledger.charges(engine, lease=0.6)
    held = await claim(ledger, worker)
    await _renewal_is_held_up(engine)
    ending = asyncio.ensure_future(getattr(worker, how)(held, note="the end"))
    while_held_up, _ = await asyncio.wait({ending}, timeout=0.02)
    assert not while_held_up
    engine.go.set()

    assert await ending
    assert held.body == await record(ledger, held.key)
    assert held.body["note"] == "the end"
    due_in = await ledger.due_in(held.key)
    assert due_in is not None and due_in <= 0, "it is still to be delivered"


async def _renewal_is_held_up(engine: HeldUpEngine) -> None:
    engine.armed = True

    async def held_up() -> bool:
        return engine.held is not None

    await eventually(held_up)


async def test_a_renewal_that_hangs_keeps_no_other_claim_from_its_own(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    engine = HangingEngine(ledger.connect())
    worker = ledger.charges(engine, lease=0.09)
    hanging, well = [await claim(ledger, worker, charge=f"stx{number}") for number in range(2)]
    engine.hanging = {hanging.key}

    async def renewed_past_its_lease() -> bool:
        return bool(well.body["v"] >= 5)

    await eventually(renewed_past_its_lease)
    assert hanging.body["v"] == 1
    engine.hanging = set()

    async def renewed_at_last() -> bool:
        return bool(hanging.body["v"] > 1)

    await eventually(renewed_at_last)
    assert await worker.settle(hanging, state=DELIVERED)
    assert f"payment {hanging.key.name} of 25 Stars by user {BUYER}: its lease could not be renewed" in caplog.text


async def test_a_renewal_finds_out_that_the_charge_was_taken_over(ledger: Ledger) -> None:
    slow, other = ledger.charges(lease=0.05), ledger.charges()
    lost = await claim(ledger, slow)

    async def taken_over() -> Claim | None:
        await ledger.expire(lost.key)
        return await other.claim_delivery(ledger.bot_id, paid())

    held = await eventually(taken_over)

    async def found_out() -> bool:
        return lost.lost

    await eventually(found_out)
    assert held is not None and (await record(ledger, lost.key))["holder"] == held.id
    assert not await slow.settle(lost, state=DELIVERED)
    assert await other.settle(held, state=DELIVERED)


async def test_a_renewal_that_fails_is_tried_again(ledger: Ledger) -> None:
    worker = ledger.charges(DyingEngine(ledger.connect(), at=2), lease=0.05)
    held = await claim(ledger, worker)

    async def renewed() -> bool:
        return bool(held.body["v"] > 1)

    await eventually(renewed)
    assert await worker.settle(held, state=DELIVERED)


# Repeated commands and failures


async def test_repeated_commands_claim_and_settle_once(ledger: Ledger) -> None:
    worker = ledger.charges(RepeatingEngine(ledger.connect()))

    held = await claim(ledger, worker)
    assert await worker.give_back(held)
    held = await claim(ledger, worker)
    assert held.body["attempts"] == 2
    assert await worker.change(held.key, put(note="x")) is not None
    assert await worker.settle(held, state=UNMATCHED)

    assert len(await worker.history(ledger.bot_id, BUYER, limit=10, offset=0)) == 1
    assert len(await worker.waiting(ledger.bot_id, limit=10)) == 1


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_claim_whose_reply_was_lost_is_recognised_though_the_record_went_on(
    ledger: Ledger, attempt: int
) -> None:
    repeating, other = RepeatingEngine(ledger.connect()), ledger.charges()
    worker = ledger.charges(repeating)
    if attempt == 2:
        await worker.give_back(await claim(ledger, worker))
    key = RecordKey(ledger.bot_id, "pay", rules.reference_of("stxCharge", BUYER))
    repeating.between = lambda: other.change(key, put(note="in between"))

    held = await claim(ledger, worker)

    assert held.body.items() >= {"attempts": attempt, "note": "in between"}.items()
    assert await worker.settle(held, state=DELIVERED)
    assert (await record(ledger, key))["note"] == "in between"


async def test_a_settlement_whose_reply_was_lost_is_kept_though_the_record_went_on(ledger: Ledger) -> None:
    repeating, other = RepeatingEngine(ledger.connect()), ledger.charges()
    worker = ledger.charges(repeating)
    held = await claim(ledger, worker)
    repeating.between = lambda: other.change(held.key, put(refund="requested"))

    assert await worker.settle(held, state=DELIVERED)

    assert (await record(ledger, held.key)).items() >= {"state": DELIVERED, "refund": "requested"}.items()


async def test_giving_back_with_a_lost_reply_takes_nothing_from_the_next_worker(ledger: Ledger) -> None:
    repeating, other = RepeatingEngine(ledger.connect()), ledger.charges()
    worker = ledger.charges(repeating)
    first = await claim(ledger, worker)
    taken: list[Claim | None] = []

    async def take() -> None:
        taken.append(await other.claim_delivery(ledger.bot_id, paid()))

    repeating.between = take

    await worker.give_back(first, error="late")

    assert taken[0] is not None and (await record(ledger, first.key))["holder"] == taken[0].id
    assert await ledger.charges().claim_delivery(ledger.bot_id, paid()) is None
    assert await other.settle(taken[0], state=DELIVERED)


@pytest.mark.parametrize("applied", [False, True])
async def test_a_claim_that_fails_raises_and_the_charge_can_be_claimed_afterwards(
    ledger: Ledger, applied: bool
) -> None:
    failing = ledger.charges(DyingEngine(ledger.connect(), at=1, applied=applied))
    with pytest.raises(ConnectionError):
        await failing.claim_delivery(ledger.bot_id, paid())
    if applied:
        assert await ledger.charges().claim_delivery(ledger.bot_id, paid()) is None
        await ledger.expire(RecordKey(ledger.bot_id, "pay", rules.reference_of("stxCharge", BUYER)))

    held = await claim(ledger, ledger.charges())

    assert held.body["attempts"] == (2 if applied else 1)
    assert len(await ledger.charges().history(ledger.bot_id, BUYER, limit=10, offset=0)) == 1


async def test_a_settlement_that_fails_raises_and_another_worker_delivers_later(ledger: Ledger) -> None:
    failing, other = ledger.charges(DyingEngine(ledger.connect(), at=2)), ledger.charges()
    held = await claim(ledger, failing)
    with pytest.raises(ConnectionError):
        await failing.settle(held, state=DELIVERED)
    assert await other.claim_delivery(ledger.bot_id, paid()) is None
    await ledger.expire(held.key)

    assert (await claim(ledger, other)).body["attempts"] == 2


class Forgetful(Engine):
    """Moves to a place where there is nothing, like a storage that comes back without what was written last."""

    forgets = False

    async def write(self, change: Write) -> Any:
        if self.forgets:
            change = change._replace(key=change.key._replace(bot_id=change.key.bot_id + 1))
        return await super().write(change)


@pytest.mark.parametrize("how", ["settle", "give_back", "advance"])
async def test_a_record_that_the_storage_lost_is_written_again_by_who_holds_it(
    ledger: Ledger, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Forgetful(ledger.connect())
    worker = ledger.charges(engine)
    held = await claim(ledger, worker, stage="premium")
    engine.forgets = True

    assert await getattr(worker, how)(held, state=DELIVERED)
    found = ledger.bot_id + 1
    [body] = await ledger.charges().history(found, BUYER, limit=10, offset=0)
    assert body == held.body and body["state"] == DELIVERED and body["attempts"] == 1
    [counts] = await ledger.charges().tallies(found, [day_of(PAID_AT)])
    assert counts == {"premium:count": 1, "premium:stars": 25}
    assert f"payment {held.key.name} of 25 Stars by user {BUYER}: the storage has lost its record" in caplog.text


async def test_a_lost_record_that_another_worker_has_recorded_anew_is_theirs(ledger: Ledger) -> None:
    engine = Forgetful(ledger.connect())
    worker = ledger.charges(engine)
    held = await claim(ledger, worker)
    engine.forgets = True
    other = ledger.charges()
    theirs = await other.claim_delivery(ledger.bot_id + 1, paid())

    assert theirs is not None and await other.advance(theirs, note="mine")
    assert not await worker.settle(held, state=DELIVERED)
    assert held.lost


async def test_a_renewal_brings_a_lost_record_back(ledger: Ledger) -> None:
    engine = Forgetful(ledger.connect())
    held = await claim(ledger, ledger.charges(engine, lease=0.15))
    engine.forgets = True

    async def renewed() -> bool:
        return bool(held.body["v"] > 1)

    await eventually(renewed)
    body = await ledger.body(held.key._replace(bot_id=ledger.bot_id + 1))
    assert body is not None and body["holder"] == held.id


# Order


async def test_a_history_is_newest_first_and_pages_over_more_than_a_chunk(ledger: Ledger) -> None:
    worker = ledger.charges()
    for number in range(120):
        held = await claim(ledger, worker, charge=f"stx{number}", at=PAID_AT + number)
        await worker.settle(held, state=DELIVERED)

    async def page(offset: int, limit: int) -> list[str]:
        records = await worker.history(ledger.bot_id, BUYER, limit=limit, offset=offset)
        return [body["charge"] for body in records]

    newest_first = [f"stx{number}" for number in reversed(range(120))]
    assert await page(0, 200) == newest_first
    assert await page(0, 50) + await page(50, 50) + await page(100, 50) == newest_first
    assert await page(120, 50) == []
