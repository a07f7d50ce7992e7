"""A stored invoice is made once per key, remembers who paid it, and is forgotten in its time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiogram_neonpay.errors import IdempotencyError
from aiogram_neonpay.ledger.base import Write
from tests.ledger.engines import BUYER, DyingEngine, Ledger, RepeatingEngine, eventually, version

pytestmark = pytest.mark.asyncio

ISSUED = 1_800_000_000
TTL = 86_400.0
ANOTHER = BUYER + 1


def invoice(invoice_id: str = "a" * 18, **fields: Any) -> dict[str, Any]:
    return {
        "invoice": invoice_id,
        "issued": ISSUED,
        "expires": ISSUED + 3600,
        "forget_at": ISSUED + int(TTL),
        "stage": "premium",
        "amount": 25,
        "single": False,
        "metadata": {"tags": [], "order": 2**60},
        **fields,
    }


def keyed(invoice_id: str, key: str = "order 7", content: str = "c1") -> dict[str, Any]:
    return invoice(invoice_id, key=key, content=content)


# Making


async def test_an_invoice_is_stored_open_with_all_it_says(ledger: Ledger) -> None:
    invoices = ledger.invoices()
    made = await invoices.create(ledger.bot_id, invoice(), ttl=TTL)

    assert made.items() >= {**invoice(), "state": "open"}.items()
    assert await ledger.invoices().get(ledger.bot_id, "a" * 18) == made


async def test_an_unknown_invoice_or_key_is_none(ledger: Ledger) -> None:
    invoices = ledger.invoices()

    assert await invoices.get(ledger.bot_id, "a" * 18) is None
    assert await invoices.id_of_key(ledger.bot_id, "order 7") is None
    assert await invoices.id_of_key(ledger.bot_id, "lone surrogate \ud800") is None
    assert await invoices.change(ledger.bot_id, "a" * 18, lambda known: {"x": 1}) is None
    assert await invoices.note_payment(ledger.bot_id, "a" * 18, BUYER, "ref") is None


async def test_one_key_makes_one_invoice(ledger: Ledger) -> None:
    invoices = ledger.invoices()
    first = await invoices.create(ledger.bot_id, keyed("a" * 18), ttl=TTL)
    second = await invoices.create(ledger.bot_id, keyed("b" * 18), ttl=TTL)

    assert second == first
    assert await invoices.id_of_key(ledger.bot_id, "order 7") == "a" * 18
    assert await invoices.get(ledger.bot_id, "b" * 18) is None


async def test_concurrent_calls_with_one_key_agree_on_one_invoice(ledger: Ledger) -> None:
    workers = [ledger.invoices(), ledger.invoices()]

    made = await asyncio.gather(
        *(workers[number % 2].create(ledger.bot_id, keyed(f"{number:018x}"), ttl=TTL) for number in range(20))
    )

    assert len({one["invoice"] for one in made}) == 1
    assert all(one == made[0] for one in made)
    stored = [await workers[0].get(ledger.bot_id, f"{number:018x}") for number in range(20)]
    assert [one for one in stored if one is not None] == [made[0]]


async def test_a_key_with_other_content_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    invoices = ledger.invoices()
    first = await invoices.create(ledger.bot_id, keyed("a" * 18), ttl=TTL)

    with pytest.raises(IdempotencyError, match=r"'order 7'.*new key"):
        await invoices.create(ledger.bot_id, keyed("b" * 18, content="c2"), ttl=TTL)

    assert await invoices.get(ledger.bot_id, "a" * 18) == first
    assert await invoices.get(ledger.bot_id, "b" * 18) is None


async def test_keys_are_told_apart_whatever_is_in_them(ledger: Ledger) -> None:
    invoices = ledger.invoices()
    keys = ["k", "K", "k ", "k:1", "{k}", "ключ", "⭐", "k" * 256, "a" * 18, "key.k"]
    for number, key in enumerate(keys):
        await invoices.create(ledger.bot_id, keyed(f"{number:018x}", key), ttl=TTL)

    found = [await invoices.id_of_key(ledger.bot_id, key) for key in keys]

    assert found == [f"{number:018x}" for number in range(len(keys))]


async def test_bots_do_not_share_keys(ledger: Ledger) -> None:
    invoices = ledger.invoices()
    await invoices.create(ledger.bot_id, keyed("a" * 18), ttl=TTL)

    other = await invoices.create(ledger.bot_id + 1, keyed("b" * 18, content="c2"), ttl=TTL)

    assert other["invoice"] == "b" * 18


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("applied", [False, True])
async def test_a_crash_while_an_invoice_is_made_is_repaired_by_the_next_call(
    ledger: Ledger, at: int, applied: bool
) -> None:
    dying = ledger.invoices(DyingEngine(ledger.connect(), at, applied=applied))
    with pytest.raises(ConnectionError):
        await dying.create(ledger.bot_id, keyed("a" * 18), ttl=TTL)

    made = await ledger.invoices().create(ledger.bot_id, keyed("b" * 18), ttl=TTL)
    again = await ledger.invoices().create(ledger.bot_id, keyed("c" * 18), ttl=TTL)

    key_was_taken = applied or at == 2
    assert made["invoice"] == ("a" if key_was_taken else "b") * 18
    assert again == made == await ledger.invoices().get(ledger.bot_id, made["invoice"])
    assert made["state"] == "open"


async def test_repeated_commands_make_and_pay_an_invoice_once(ledger: Ledger) -> None:
    invoices = ledger.invoices(RepeatingEngine(ledger.connect()))

    made = await invoices.create(ledger.bot_id, keyed("a" * 18), ttl=TTL)
    paid = await invoices.note_payment(ledger.bot_id, "a" * 18, BUYER, "ref-1")

    assert made["v"] == 1
    assert paid is not None and (paid["v"], paid["paid"]) == (2, "ref-1")


# Paying


async def test_the_first_charge_of_a_single_use_invoice_wins(ledger: Ledger) -> None:
    invoices = [ledger.invoices(), ledger.invoices()]
    await invoices[0].create(ledger.bot_id, invoice(single=True), ttl=TTL)

    records = await asyncio.gather(
        *(
            invoices[number % 2].note_payment(ledger.bot_id, "a" * 18, BUYER + number, f"ref-{number}")
            for number in range(10)
        )
    )

    winners = {record["paid"] for record in records if record is not None}
    assert len(winners) == 1 and None not in records
    winner = winners.pop()
    payer = BUYER + int(winner.removeprefix("ref-"))
    kept = await invoices[0].get(ledger.bot_id, "a" * 18)
    assert kept is not None and (kept["paid"], kept["payer"]) == (winner, payer)
    assert await invoices[0].charge_of(ledger.bot_id, kept, None) == winner
    for user in range(BUYER, BUYER + 10):
        expected = winner if user == payer else None
        assert await invoices[0].charge_of(ledger.bot_id, kept, user) == expected


async def test_noting_a_payment_again_changes_nothing(ledger: Ledger) -> None:
    invoices = ledger.invoices()
    await invoices.create(ledger.bot_id, invoice(single=True), ttl=TTL)
    first = await invoices.note_payment(ledger.bot_id, "a" * 18, BUYER, "ref-1")

    assert await invoices.note_payment(ledger.bot_id, "a" * 18, BUYER, "ref-1") == first
    assert await invoices.note_payment(ledger.bot_id, "a" * 18, BUYER, "ref-2") == first


async def test_an_invoice_paid_by_several_knows_the_charge_of_each(ledger: Ledger) -> None:
    invoices = ledger.invoices()
    await invoices.create(ledger.bot_id, invoice(), ttl=TTL)
    for user, reference in ((BUYER, "ref-1"), (ANOTHER, "ref-2"), (ANOTHER, "ref-3"), (BUYER, "ref-4")):
        await invoices.note_payment(ledger.bot_id, "a" * 18, user, reference)
    record = await invoices.get(ledger.bot_id, "a" * 18)
    assert record is not None

    assert await invoices.charge_of(ledger.bot_id, record, None) == "ref-1"
    assert await invoices.charge_of(ledger.bot_id, record, BUYER) == "ref-1"
    assert await invoices.charge_of(ledger.bot_id, record, ANOTHER) == "ref-2"
    assert await invoices.charge_of(ledger.bot_id, record, ANOTHER + 1) is None


async def test_an_unpaid_invoice_has_no_charge(ledger: Ledger) -> None:
    invoices = ledger.invoices()
    record = await invoices.create(ledger.bot_id, invoice(), ttl=TTL)

    assert await invoices.charge_of(ledger.bot_id, record, None) is None
    assert await invoices.charge_of(ledger.bot_id, record, BUYER) is None


# Changing and forgetting


async def test_no_concurrent_change_of_an_invoice_is_lost(ledger: Ledger) -> None:
    await ledger.invoices().create(ledger.bot_id, invoice(count=0), ttl=TTL)

    def count(known: dict[str, Any]) -> dict[str, Any]:
        return {"count": known["count"] + 1}

    await asyncio.gather(*(ledger.invoices().change(ledger.bot_id, "a" * 18, count) for _ in range(12)))

    record = await ledger.invoices().get(ledger.bot_id, "a" * 18)
    assert record is not None and record["count"] == 12


async def test_a_change_that_finds_nothing_to_do_writes_nothing(ledger: Ledger) -> None:
    invoices = ledger.invoices()
    made = await invoices.create(ledger.bot_id, invoice(), ttl=TTL)

    assert await invoices.change(ledger.bot_id, "a" * 18, lambda known: None) == made
    assert await invoices.get(ledger.bot_id, "a" * 18) == made


async def test_an_invoice_is_forgotten_in_its_time_however_often_it_was_changed(ledger: Ledger) -> None:
    invoices = ledger.invoices()
    await invoices.create(ledger.bot_id, keyed("a" * 18), ttl=0.2)
    await invoices.note_payment(ledger.bot_id, "a" * 18, BUYER, "ref-1")

    async def forgotten() -> bool:
        # Changed again and again, so that a change which began its time anew would keep it for ever.
        changed = await invoices.change(ledger.bot_id, "a" * 18, lambda known: {"seen": known["v"]})
        return changed is None and await invoices.id_of_key(ledger.bot_id, "order 7") is None

    await eventually(forgotten)

    made = await invoices.create(ledger.bot_id, keyed("b" * 18, content="c2"), ttl=TTL)
    assert made["invoice"] == "b" * 18


async def test_a_change_does_not_make_an_invoice_forgotten_early(ledger: Ledger) -> None:
    invoices = ledger.invoices()
    await invoices.create(ledger.bot_id, invoice(), ttl=TTL)
    await invoices.change(ledger.bot_id, "a" * 18, lambda known: {"seen": 1})
    clock = ledger.invoice("clock")
    await ledger.engine.write(Write(clock, version(1), 0, ttl=0.05))

    async def later() -> bool:
        return await ledger.body(clock) is None

    await eventually(later)
    assert await invoices.get(ledger.bot_id, "a" * 18) is not None
