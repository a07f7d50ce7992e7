from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from aiogram.types import StarTransaction, TransactionPartnerUser

from aiogram_neonpay.sandbox import ArgumentError, Clock, PastSale, Rules, Sandbox, SandboxError
from tests.sandbox.conftest import START, Stand
from tests.sandbox.paying import approved
from tests.sandbox.test_conformance import surplus

DAY = 86_400


async def page(sandbox: Sandbox, token: str, **params: Any) -> list[dict[str, Any]]:
    reply = await sandbox.call(token, "getStarTransactions", params)
    rows: list[dict[str, Any]] = reply.body["result"]["transactions"]
    return rows


class Book:
    """A bot with people and a ledger, without a socket."""

    def __init__(self, **rules: Any) -> None:
        self.sandbox = Sandbox(seed=3, clock=Clock(START, running=False), rules=Rules(**rules))
        self.token = self.sandbox.create_bot("a_bot")
        self.alice = self.sandbox.create_user("Alice", stars=100, started=True)
        self.bob = self.sandbox.create_user("Bob", stars=100, started=True)
        self.ledger = self.sandbox.ledger()

    def sale(self, payload: str, date: float, **details: Any) -> PastSale:
        return PastSale(self.alice, 10, payload, date, **details)

    async def payloads(self) -> list[str]:
        rows = await page(self.sandbox, self.token)
        return [(row.get("source") or row["receiver"])["invoice_payload"] for row in rows]


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.mark.asyncio
async def test_a_hundred_thousand_past_sales_are_put_in_and_read_at_once(book: Book) -> None:
    people, count = (book.alice, book.bob), 100_000
    ids = book.ledger.add_sales(
        PastSale(people[n % 2], 1 + n % 50, f"order-{n}", START - 2 * count + n) for n in range(count)
    )
    assert len(set(ids)) == count
    assert book.sandbox.bot_balance() == sum(1 + n % 50 for n in range(count))
    for offset in range(0, count, 1000):
        rows = await page(book.sandbox, book.token, offset=offset, limit=100)
        assert [row["id"] for row in rows] == ids[offset : offset + 100]
    (last,) = await page(book.sandbox, book.token, offset=count - 1)
    assert last["source"]["invoice_payload"] == f"order-{count - 1}"
    assert await page(book.sandbox, book.token, offset=count) == []
    assert book.sandbox.calls[-1].error is None and book.sandbox.pending_updates() == 0


@pytest.mark.asyncio
async def test_past_sales_stand_where_their_dates_belong_and_can_be_refunded(stand: Stand) -> None:
    await stand.invoice(5, "live")
    await approved(stand, stand.alice.pay())
    await stand.updates()
    noon = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
    newer, older = stand.sandbox.ledger().add_sales(
        [
            PastSale(stand.bob, 7, "newer", START - DAY, subscription=True),
            PastSale(stand.alice.id, 3, "older", noon, transaction_id="stx-old", refunded=START - DAY),
        ]
    )
    rows = (await stand.bot.get_star_transactions()).transactions
    assert [(row.id, row.amount, row.source is not None) for row in rows[:3]] == [
        ("stx-old", 3, True),
        (newer, 7, True),
        ("stx-old", 3, False),
    ]
    assert (older, rows[0].date) == ("stx-old", noon)
    assert isinstance(rows[1].source, TransactionPartnerUser)
    assert rows[1].source.subscription_period == 2_592_000
    assert stand.sandbox.bot_balance() == 12 and stand.sandbox.pending_updates() == 0
    assert await stand.bot.refund_star_payment(stand.bob.id, newer)
    assert stand.bob.balance == 12
    refund = (await stand.updates())[0].message
    assert refund and refund.refunded_payment and refund.refunded_payment.invoice_payload == "newer"


@pytest.mark.asyncio
async def test_a_late_row_moves_the_offsets_of_newer_ones_unless_it_is_put_last(book: Book) -> None:
    book.ledger.add_sales([book.sale("one", START - 300), book.sale("three", START - 100)])
    book.ledger.add_sales([book.sale("two", START - 200)])
    assert await book.payloads() == ["one", "two", "three"]
    book.ledger.add_sales([book.sale("zero", START - 400)], in_order=False)
    assert await book.payloads() == ["one", "two", "three", "zero"]


@pytest.mark.asyncio
async def test_the_oldest_rows_can_be_dropped_and_their_stars_stay(book: Book) -> None:
    ids = book.ledger.add_sales(book.sale(f"order-{n}", START - 100 + n) for n in range(5))
    assert book.ledger.drop_oldest(3) == 3
    assert await book.payloads() == ["order-3", "order-4"]
    assert book.sandbox.bot_balance() == 50
    book.sandbox.refund(ids[0])
    assert book.sandbox.bot_balance() == 40
    assert book.ledger.drop_oldest(100) == 3 and len(book.ledger) == 0


@pytest.mark.asyncio
async def test_a_hidden_row_comes_back_where_its_date_belongs(book: Book) -> None:
    _, hidden, _ = book.ledger.add_sales(book.sale(f"order-{n}", START - 100 + n) for n in range(3))
    book.ledger.hide(hidden, seconds=600)
    assert await book.payloads() == ["order-0", "order-2"]
    assert book.sandbox.bot_balance() == 30
    book.sandbox.clock.advance(seconds=600)
    assert await book.payloads() == ["order-0", "order-1", "order-2"]


@pytest.mark.asyncio
async def test_every_kind_of_row_fits_the_published_schema(book: Book) -> None:
    alice, add = book.alice, book.ledger.add_row
    add("withdrawal", 1000, state="pending")
    add("withdrawal", 1000, state="succeeded")
    add("withdrawal", 1000, state="failed")
    add("withdrawal", 1000)
    add("reversed_withdrawal", 1000)
    add("ads", 50)
    add("broadcast", 12, requests=120)
    add("commission", 0, nanostars=500_000_000, per_mille=50, user=book.bob)
    add("commission", 3, per_mille=50)
    add("paid_media", 30, user=alice, payload="album-1")
    add("paid_media", 30, user=alice)
    add("gift", 15, user=alice)
    add("channel_gift", 15)
    add("channel_proceeds", 40)
    add("premium", 1000, user=alice, months=3)
    add("business_transfer", 25, user=alice)
    add("other", 7, outgoing=False)
    add("other", 7, outgoing=True)
    add("other", 1, outgoing=False, date=START - DAY)
    book.ledger.set_affiliate(book.bob, per_mille=125)
    book.ledger.add_sales([book.sale("with affiliate", START - 5, affiliate=book.bob, per_mille=333, refunded=START)])
    rows = await page(book.sandbox, book.token)
    models = [StarTransaction.model_validate(row) for row in rows]
    assert [problem for model in models for problem in surplus(model)] == []
    assert all((model.source is None) != (model.receiver is None) for model in models)
    sides = {side.type for model in models for side in (model.source, model.receiver) if side is not None}
    assert sides == {"user", "chat", "affiliate_program", "fragment", "telegram_ads", "telegram_api", "other"}
    kinds = {(row.get("source") or row["receiver"]).get("transaction_type") for row in rows} - {None}
    assert kinds == {
        "invoice_payment",
        "paid_media_payment",
        "gift_purchase",
        "premium_purchase",
        "business_account_transfer",
    }
    assert rows[0]["date"] == START - DAY
    assert [row.kind for row in book.sandbox.transactions()[-3:]] == ["other", "other", "refund"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("deducted", "stars", "nano"), [(True, 8, 750_000_000), (False, 10, 0)])
async def test_a_commission_is_deducted_in_nanostars_or_not(deducted: bool, stars: int, nano: int) -> None:
    book = Book(commission_deducted=deducted)
    charge_id, _ = book.ledger.add_sales(
        [
            book.sale("order", START - 5, affiliate=book.bob, per_mille=125, refunded=START - 1),
            book.sale("kept", START - 4, affiliate=book.bob, per_mille=125),
        ]
    )
    sale, _, refund = await page(book.sandbox, book.token)
    assert (sale["id"], sale["amount"], sale.get("nanostar_amount", 0)) == (charge_id, stars, nano)
    assert (refund["id"], refund["amount"], refund.get("nanostar_amount", 0)) == (charge_id, stars, nano)
    cut = {"commission_per_mille": 125, "amount": 1, "nanostar_amount": 250_000_000}
    assert {name: sale["source"]["affiliate"][name] for name in cut} == cut
    assert refund["receiver"]["affiliate"]["amount"] == -1
    balance = (await book.sandbox.call(book.token, "getMyStarBalance")).body["result"]
    assert (balance["amount"], balance.get("nanostar_amount", 0)) == (stars, nano)


@pytest.mark.asyncio
async def test_an_affiliate_earns_on_live_sales(stand: Stand) -> None:
    stand.sandbox.ledger().set_affiliate(stand.bob, per_mille=100)
    await stand.invoice(25)
    receipt = await approved(stand, stand.alice.pay())
    (row,) = (await stand.bot.get_star_transactions()).transactions
    assert (row.amount, row.nanostar_amount, receipt.amount) == (22, 500_000_000, 25)
    update = await stand.update("message")
    assert update.message and update.message.successful_payment
    assert update.message.successful_payment.total_amount == 25  # the price, whoever gets it
    stand.sandbox.refund(receipt)
    assert (await stand.bot.get_my_star_balance()).model_dump(exclude_none=True) == {"amount": 0}
    assert stand.alice.balance == 500
    stand.sandbox.ledger().set_affiliate(None)


@pytest.mark.asyncio
async def test_a_balance_below_zero_has_both_parts_negative(book: Book) -> None:
    book.ledger.add_row("ads", 5, nanostars=250_000_000)
    balance = (await book.sandbox.call(book.token, "getMyStarBalance")).body["result"]
    assert balance == {"amount": -5, "nanostar_amount": -250_000_000}
    book.ledger.add_row("other", 5, outgoing=False)
    balance = (await book.sandbox.call(book.token, "getMyStarBalance")).body["result"]
    assert balance == {"amount": 0, "nanostar_amount": -250_000_000}


@pytest.mark.asyncio
async def test_a_refund_made_elsewhere_may_reach_the_ledger_only(stand: Stand) -> None:
    await stand.invoice()
    receipt = await approved(stand, stand.alice.pay())
    await stand.updates()
    calls = len(stand.sandbox.calls)
    stand.sandbox.refund(receipt, notify=False)
    assert (stand.sandbox.pending_updates(), stand.alice.balance, stand.sandbox.bot_balance()) == (0, 500, 0)
    assert [row.kind for row in stand.sandbox.transactions()] == ["sale", "refund"]
    assert len(stand.sandbox.calls) == calls


@pytest.mark.asyncio
@pytest.mark.parametrize("shown", [True, False])
async def test_a_chargeback_takes_the_stars_without_a_word(stand: Stand, shown: bool) -> None:
    await stand.invoice()
    receipt = await approved(stand, stand.alice.pay())
    await stand.updates()
    stand.sandbox.ledger().add_row("withdrawal", 20)
    stand.sandbox.charge_back(receipt, row=shown)
    assert (stand.sandbox.bot_balance(), stand.alice.balance, stand.sandbox.pending_updates()) == (-20, 475, 0)
    assert [row.kind for row in stand.sandbox.transactions()] == ["sale", "withdrawal", "chargeback"][: 2 + shown]
    with pytest.raises(SandboxError, match="CHARGE_ALREADY_REFUNDED"):
        stand.sandbox.charge_back(receipt)


WRONG_ROWS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "lottery", "amount": 5}, "kind must be one of withdrawal, .*, other, not 'lottery'"),
    ({"kind": "ads", "amount": 0}, "amount must be a whole number from 1 to 999999999999, not 0"),
    ({"kind": "ads", "amount": 1, "nanostars": 10**9}, "nanostars must be a whole number from 0 to 999999999"),
    ({"kind": "ads", "amount": 1, "date": START + 60}, f"date must lie between 0 and the sandbox's present, {START}"),
    ({"kind": "ads", "amount": 1, "date": datetime(2026, 1, 1)}, "datetime with a time zone"),
    ({"kind": "ads", "amount": 1, "outgoing": False}, "outgoing must be True for 'ads', not False"),
    ({"kind": "ads", "amount": 1, "months": 3}, "months does not go with 'ads'"),
    ({"kind": "other", "amount": 1}, "outgoing must be given for 'other'"),
    ({"kind": "premium", "amount": 1}, "months, user must be given for 'premium'"),
    ({"kind": "premium", "amount": 1, "user": 1_000_001, "months": 4}, "months must be one of 3, 6, 12, not 4"),
    ({"kind": "gift", "amount": 1, "user": 5}, "user must be a person of the sandbox, not 5"),
    ({"kind": "withdrawal", "amount": 1, "state": "lost"}, "state must be one of pending, succeeded, failed"),
    ({"kind": "commission", "amount": 1, "per_mille": 1000}, "per_mille must be a whole number from 1 to 999"),
    ({"kind": "broadcast", "amount": 1, "requests": 0}, "requests must be a whole number from 1 to 1000000, not 0"),
]


@pytest.mark.parametrize(("row", "complaint"), WRONG_ROWS)
def test_a_wrong_row_is_refused(book: Book, row: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ArgumentError, match=complaint):
        book.ledger.add_row(**row)
    assert (len(book.ledger), book.sandbox.bot_balance()) == (0, 0)


WRONG_SALES: list[tuple[dict[str, Any], str]] = [
    ({"amount": 0}, "amount must be a whole number from 1"),
    ({"payload": "ж" * 65}, "payload must be a text of 1 to 128 bytes"),
    ({"date": START + 1}, "date must lie between"),
    ({"refunded": START - 100}, "refunded must not be before date"),
    ({"user": 5}, "user must be a person of the sandbox, not 5"),
    ({"transaction_id": "known"}, "transaction_id must be new to the sandbox"),
    ({"affiliate": 1_000_001}, "per_mille must be a whole number from 1 to 999, not 0"),
]


@pytest.mark.parametrize(("changes", "complaint"), WRONG_SALES)
def test_a_wrong_sale_leaves_everything_as_it_was(book: Book, changes: dict[str, Any], complaint: str) -> None:
    book.ledger.add_sales([book.sale("known", START - 50, transaction_id="known")])
    fine: dict[str, Any] = {"user": book.alice, "amount": 10, "payload": "p", "date": START - 5}
    with pytest.raises(ArgumentError, match=complaint):
        book.ledger.add_sales([PastSale(**fine), PastSale(**{**fine, **changes})])
    assert (len(book.ledger), book.sandbox.bot_balance()) == (1, 10)


def test_only_charges_of_the_ledger_can_be_hidden_and_something_must_be_dropped(book: Book) -> None:
    with pytest.raises(ArgumentError, match="receipt must be of a charge"):
        book.ledger.hide("unknown", seconds=5)
    with pytest.raises(ArgumentError, match="count must be a whole number from 1"):
        book.ledger.drop_oldest(0)
