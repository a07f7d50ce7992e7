from __future__ import annotations

from typing import Any

import pytest
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import TransactionPartnerUser

from aiogram_neonpay.sandbox import SandboxError
from tests.sandbox.conftest import Stand
from tests.sandbox.paying import approved
from tests.sandbox.raw import call


@pytest.mark.asyncio
async def test_a_refund_returns_the_stars_and_the_bot_says_so_in_the_payers_chat(stand: Stand) -> None:
    await stand.invoice(25, "order-7")
    receipt = await approved(stand, stand.alice.pay())
    await stand.update("message")
    assert receipt.transaction_id
    assert await stand.bot.refund_star_payment(stand.alice.id, receipt.transaction_id)
    _, answer = await call(stand.server.url, stand.token, "getUpdates", timeout=5, offset=stand.offset)
    message = answer["result"][0]["message"]
    assert (message["from"]["id"], message["chat"]["id"]) == (stand.bot.id, stand.alice.id)
    assert message["refunded_payment"] == {
        "currency": "XTR",
        "total_amount": 25,
        "invoice_payload": "order-7",
        "telegram_payment_charge_id": receipt.transaction_id,
    }
    assert (stand.alice.balance, stand.sandbox.bot_balance()) == (500, 0)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("params", "description"),
    [
        ({}, "Bad Request: invalid user_id specified"),
        ({"user_id": "Alice", "telegram_payment_charge_id": "x"}, "Bad Request: invalid user_id specified"),
        ({"user_id": 5}, 'Bad Request: parameter "telegram_payment_charge_id" is required'),
        ({"user_id": 5, "telegram_payment_charge_id": "x"}, "Bad Request: CHARGE_NOT_FOUND"),
    ],
)
async def test_a_wrong_refund_is_refused(stand: Stand, params: dict[str, Any], description: str) -> None:
    status, answer = await call(stand.server.url, stand.token, "refundStarPayment", **params)
    assert (status, answer["description"]) == (400, description)


@pytest.mark.asyncio
async def test_a_charge_is_refunded_once_and_only_to_its_payer(stand: Stand) -> None:
    await stand.invoice()
    receipt = await approved(stand, stand.alice.pay())
    assert receipt.transaction_id
    with pytest.raises(TelegramBadRequest, match="CHARGE_NOT_FOUND"):
        await stand.bot.refund_star_payment(stand.bob.id, receipt.transaction_id)
    stand.sandbox.refund(receipt)
    with pytest.raises(TelegramBadRequest, match="CHARGE_ALREADY_REFUNDED"):
        await stand.bot.refund_star_payment(stand.alice.id, receipt.transaction_id)
    with pytest.raises(SandboxError, match="CHARGE_ALREADY_REFUNDED"):
        stand.sandbox.refund(receipt)
    assert stand.alice.balance == 500


@pytest.mark.asyncio
async def test_a_bot_that_has_spent_its_stars_cannot_refund(stand: Stand) -> None:
    await stand.invoice()
    receipt = await approved(stand, stand.alice.pay())
    stand.sandbox.world.bots[stand.bot.id].balance = 0
    assert receipt.transaction_id
    with pytest.raises(TelegramBadRequest, match="BALANCE_TOO_LOW"):
        await stand.bot.refund_star_payment(stand.alice.id, receipt.transaction_id)


@pytest.mark.asyncio
async def test_transactions_are_oldest_first_with_the_refund_under_the_sales_id(stand: Stand) -> None:
    await stand.invoice(5, "first")
    sale = await approved(stand, stand.alice.pay())
    await stand.invoice(7, "second")
    await approved(stand, stand.alice.pay())
    stand.sandbox.refund(sale)
    rows = (await stand.bot.get_star_transactions()).transactions
    assert [row.amount for row in rows] == [5, 7, 5]
    assert rows[0].id == rows[2].id == sale.transaction_id
    assert [row.source is None for row in rows] == [False, False, True]
    assert isinstance(rows[2].receiver, TransactionPartnerUser)
    assert rows[2].receiver.invoice_payload == "first"
    assert rows[2].receiver.transaction_type == "invoice_payment"
    assert (await stand.bot.get_my_star_balance()).amount == 7


@pytest.mark.asyncio
async def test_transactions_are_paged_with_silently_clamped_bounds(stand: Stand) -> None:
    await stand.invoice(1)
    for _ in range(3):
        await approved(stand, stand.alice.pay())
    ids = [row.id for row in stand.sandbox.transactions()]

    async def page(**params: Any) -> list[str]:
        _, answer = await call(stand.server.url, stand.token, "getStarTransactions", **params)
        return [row["id"] for row in answer["result"]["transactions"]]

    assert await page() == ids
    assert await page(offset=-5, limit=1000) == ids
    assert await page(offset=1, limit=1) == ids[1:2]
    assert await page(limit=0) == ids[:1]
    assert await page(offset=3) == []
