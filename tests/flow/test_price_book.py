"""Selling from a price book: what is shown follows the rate, what was issued does not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiogram import Dispatcher
from aiogram.filters import Command
from aiogram.types import Message

from aiogram_neonpay import (
    ConfigurationError,
    NeonPay,
    PaymentCompleted,
    PaymentStage,
    PriceBook,
    PromoCode,
    ValidationError,
    catalog_keyboard,
    neonpay_router,
)
from aiogram_neonpay.testing import BotSandbox, BotUser

pytestmark = pytest.mark.asyncio

STAGES = {
    "premium": PaymentStage("Premium", "30 days", None),
    "sticker": PaymentStage("Sticker", "One", 5),
    "club": PaymentStage("Club", "By the month", None, subscription=True),
}


@pytest.fixture
def book() -> PriceBook:
    return PriceBook({"premium": "2.50", "club": "1.00"}, star="0.1")


@pytest_asyncio.fixture
async def sandbox(book: PriceBook) -> AsyncIterator[BotSandbox]:
    pay = neonpay_router(STAGES, prices=book, promos={"HALF": PromoCode(percent=50)})
    dp = Dispatcher()
    dp.include_router(pay)

    @dp.message(Command("shop"))
    async def shop(message: Message, neonpay: NeonPay) -> None:
        await message.answer("On the shelves:", reply_markup=catalog_keyboard(neonpay))

    @dp.message(Command("half"))
    async def sell(message: Message, neonpay: NeonPay) -> None:
        await neonpay.answer_payment(message, "premium", promo="HALF")

    @pay.completed
    async def deliver(event: PaymentCompleted) -> None:
        await event.answer(f"{event.stage_id} for {event.amount}")

    async with BotSandbox(dp) as sandbox:
        yield sandbox


def said(user: BotUser) -> list[str]:
    return [message.text for message in user.messages() if message.from_bot and message.text]


async def test_an_invoice_keeps_the_price_at_which_it_was_issued(sandbox: BotSandbox, book: PriceBook) -> None:
    alice = sandbox.user("Alice", stars=1000)
    await alice.send("/shop")
    await alice.tap("Premium, 25 ⭐")
    book.star = "0.05"
    receipt = await alice.pay()
    assert receipt.ok and alice.balance == 975
    assert said(alice)[-1] == "premium for 25"


async def test_a_button_of_another_rate_tells_the_new_price_before_anything_is_paid(
    sandbox: BotSandbox, book: PriceBook
) -> None:
    alice = sandbox.user("Alice", stars=1000)
    await alice.send("/shop")
    book.star = "0.05"
    answer = await alice.tap("Premium, 25 ⭐")
    assert "50" in str(answer)
    assert (await alice.pay()).ok and alice.balance == 950
    await alice.send("/shop")
    await alice.tap("Premium, 50 ⭐")


async def test_a_promo_code_lowers_the_quoted_price(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice", stars=1000)
    await alice.send("/half")
    assert (await alice.pay()).ok
    assert said(alice)[-1] == "premium for 12"


async def test_a_subscription_is_renewed_at_the_price_of_its_beginning(sandbox: BotSandbox, book: PriceBook) -> None:
    alice = sandbox.user("Alice", stars=1000)
    pay: NeonPay = sandbox.dispatcher["neonpay"]
    link = await pay.create_link("club", user_id=alice.id, bot=sandbox.bot)
    assert (await alice.pay(link=link)).ok and alice.balance == 990
    book.star = "0.01"
    await sandbox.advance(days=30, hours=1)
    assert alice.balance == 980
    assert said(alice)[-1] == "club for 10"


async def test_no_amount_is_asked_of_a_buyer_whose_price_is_in_the_book(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice")
    pay: NeonPay = sandbox.dispatcher["neonpay"]
    with pytest.raises(ValidationError, match="amount: must be left out: the stage costs 25 Stars"):
        await pay.send_payment(alice.id, "premium", amount=1, bot=sandbox.bot)


async def test_a_price_of_what_is_not_sold_is_found_at_the_start() -> None:
    dp = Dispatcher()
    dp.include_router(neonpay_router(STAGES, prices=PriceBook({"premum": "2.50"}, star="0.1")))
    with pytest.raises(ConfigurationError, match=r"the price book has prices of \['premum'\]"):
        async with BotSandbox(dp):
            pass
