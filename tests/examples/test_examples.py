"""What a person meets who runs the examples: buying, being declined, donating, giving back."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from aiogram import Dispatcher
from aiogram.fsm.storage.memory import MemoryStorage

from aiogram_neonpay import PaymentResult
from examples import demo, donations, shop
from tests.examples.visitor import visiting

pytestmark = pytest.mark.asyncio

SHOPS: list[Callable[[], Dispatcher]] = [shop.build_dispatcher, demo.build_dispatcher]
JARS: list[Callable[[], Dispatcher]] = [donations.build_dispatcher, demo.build_dispatcher]


def place(build: Callable[[], Dispatcher]) -> str:
    return build.__module__.removeprefix("examples.")


@pytest.fixture
def minimal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The example afresh: it keeps its dispatcher in the module, and a dispatcher runs once in its life here."""
    monkeypatch.chdir(tmp_path)  # where it keeps its file
    return importlib.reload(importlib.import_module("examples.minimal"))


async def test_the_minimal_bot_sells_a_sticker(minimal: ModuleType) -> None:
    async with visiting(minimal.dp) as visit:
        await visit.user.send("/start")
        receipt = await visit.user.pay()
        await visit.hears("Here is your sticker")
        assert (receipt.ok, receipt.amount, visit.user.balance) == (True, 5, 495)


@pytest.mark.parametrize("build", SHOPS, ids=place)
async def test_the_shop_greets_with_its_catalog_and_a_menu_of_commands(build: Callable[[], Dispatcher]) -> None:
    async with visiting(build()) as visit:
        await visit.user.send("/start")
        greeting = await visit.hears("Welcome")
        buttons = [text for row in greeting.buttons for text in row]
        assert [text for text in buttons if "Fortune cookie, 1 ⭐" in text]
        menus = [str(call.params["commands"]) for call in visit.running.sandbox.calls if call.method == "setMyCommands"]
        assert all(command in menus[0] for command in ("shop", "status", "refund"))
        await visit.user.send("/shop")
        await visit.hears("On the shelves")


@pytest.mark.parametrize("build", SHOPS, ids=place)
@pytest.mark.parametrize("product", ["Fortune", "postcard", "Founder", "mixtape"])
async def test_every_product_is_delivered(build: Callable[[], Dispatcher], product: str) -> None:
    async with visiting(build()) as visit:
        await visit.user.send("/shop")
        receipt = await visit.buys(product)
        delivered = await visit.hears("Thank you! Receipt:")
        assert receipt.ok
        assert len(delivered.text.partition("Thank you")[0].strip()) > 10


async def test_a_repeated_update_brings_nothing_twice() -> None:
    async with visiting(shop.build_dispatcher()) as visit:
        await visit.user.send("/shop")
        receipt = await visit.buys("Fortune")
        await visit.hears("Receipt:")
        visit.running.sandbox.repeat_update(receipt)
        await visit.quiet()
        await visit.hears("Receipt:", times=1)


async def test_a_second_delivery_of_one_charge_gives_the_goods_of_the_first() -> None:
    orders = shop.Orders(":memory:")
    try:
        payment = PaymentResult(7, 15, transaction_id="charge-1", stage_id="postcard")
        other = PaymentResult(7, 15, transaction_id="charge-2", stage_id="postcard")
        assert orders.grant(payment) == orders.grant(payment) != orders.grant(other)
        orders.take_back(payment)
        assert orders.goods_of(payment) is None
        assert orders.goods_of(other)
    finally:
        orders.close()


async def test_founders_are_numbered_and_a_returned_number_is_not_given_again() -> None:
    orders = shop.Orders(":memory:")
    try:
        first, second, third = (PaymentResult(n, 1, transaction_id=f"c{n}", stage_id="founder") for n in (1, 2, 3))
        orders.grant(PaymentResult(9, 1, transaction_id="cookie", stage_id="fortune"))
        assert "No. 1<" in orders.grant(first)
        assert "No. 2<" in orders.grant(second)
        orders.take_back(first)
        assert "No. 3<" in orders.grant(third)
    finally:
        orders.close()


async def test_a_second_founders_number_is_declined_until_the_first_is_returned() -> None:
    async with visiting(shop.build_dispatcher()) as visit:
        await visit.user.send("/shop")
        assert (await visit.buys("Founder")).ok
        await visit.hears("You are founder")
        declined = await visit.buys("Founder")
        assert (declined.ok, declined.error) == (False, "You are a founder already. One number per person!")
        assert visit.user.balance == 499
        await visit.user.send("/status")
        await visit.user.tap("Return Founder")
        await visit.hears("1 ⭐ are back with you")
        await visit.user.send("/shop")
        assert (await visit.buys("Founder")).ok


@pytest.mark.parametrize("build", SHOPS, ids=place)
async def test_a_buyer_who_has_blocked_the_bot_is_told_so(build: Callable[[], Dispatcher]) -> None:
    async with visiting(build()) as visit:
        await visit.user.send("/shop")
        await visit.hears("On the shelves")
        visit.user.block()
        assert await visit.user.tap("Fortune") == "I may not write to you. Unblock me, then tap again."
        visit.user.unblock()
        assert (await visit.buys("Fortune")).ok
        await visit.hears("Receipt:")


async def test_a_purchase_of_an_earlier_sandbox_is_remembered_and_cannot_be_returned() -> None:
    ledger = MemoryStorage()  # survives the first sandbox, as Redis would
    async with visiting(shop.build_dispatcher(ledger)) as visit:
        await visit.user.send("/shop")
        await visit.buys("Fortune")
        reference = (await visit.hears("Receipt:")).text.rpartition(" ")[2]
    async with visiting(shop.build_dispatcher(ledger)) as visit:
        await visit.user.send("/status")
        await visit.hears(f"Fortune cookie, 1 ⭐\n{reference}")
        refusal = "Telegram refused the refund: Bad Request: CHARGE_NOT_FOUND. Asking again will not help"
        await visit.user.send(f"/refund {reference}")
        await visit.hears(refusal)
        assert refusal in (await visit.user.tap("Return Fortune") or "")
        assert visit.user.balance == 500


async def test_what_is_too_dear_is_not_charged() -> None:
    async with visiting(shop.build_dispatcher(), "Bob") as visit:
        await visit.user.send("/shop")
        receipt = await visit.buys("mixtape")
        assert (receipt.ok, receipt.code, visit.user.balance) == (False, "BALANCE_TOO_LOW", 100)


@pytest.mark.parametrize("build", SHOPS, ids=place)
async def test_status_lists_purchases_and_a_button_returns_one(build: Callable[[], Dispatcher]) -> None:
    async with visiting(build()) as visit:
        await visit.user.send("/status")
        await visit.hears("Your shelf is empty")
        await visit.user.send("/shop")
        await visit.buys("postcard")
        await visit.hears("Receipt:")
        await visit.user.send("/status")
        await visit.hears("Night city postcard, 15 ⭐\n")
        assert await visit.user.tap("Return Night city") is None
        await visit.quiet()
        await visit.hears("15 ⭐ are back with you", times=1)
        assert (visit.user.balance, visit.running.sandbox.bot_balance()) == (500, 0)
        assert await visit.user.tap("Return Night city") == "This one is back with you already."
        await visit.user.send("/status")
        await visit.hears("15 ⭐, returned")


async def test_refund_takes_a_reference_of_ones_own_and_no_other() -> None:
    async with visiting(shop.build_dispatcher()) as visit:
        await visit.user.send("/refund")
        await visit.hears("Which one?")
        await visit.user.send("/shop")
        await visit.buys("Fortune")
        reference = (await visit.hears("Receipt:")).text.rpartition(" ")[2]
        bob = visit.running.users["Bob"]
        await bob.send(f"/refund {reference}")
        assert await visit.running.sandbox.until(lambda: any("no such purchase" in m.text for m in bob.messages()))
        assert visit.user.balance == 499
        await visit.user.send(f"/refund {reference}")
        await visit.hears("1 ⭐ are back with you")
        assert visit.user.balance == 500


async def test_a_refund_made_elsewhere_reaches_the_shop_too() -> None:
    async with visiting(shop.build_dispatcher()) as visit:
        await visit.user.send("/shop")
        receipt = await visit.buys("Fortune")
        await visit.hears("Receipt:")
        visit.running.sandbox.refund(receipt)
        await visit.hears("Fortune cookie: 1 ⭐ are back with you")


@pytest.mark.parametrize("build", JARS, ids=place)
async def test_thanks_depend_on_the_amount(build: Callable[[], Dispatcher]) -> None:
    async with visiting(build()) as visit:
        await visit.user.send("/donate")
        assert (await visit.buys("Give 10")).amount == 10
        await visit.hears("Thank you for 10 ⭐! Every Star is seen")
        assert (await visit.buys("Give 50")).amount == 50
        await visit.hears("Thank you for 50 ⭐! The server just blushed")
        await visit.user.tap("Other amount")
        await visit.hears("How many Stars?")
        await visit.user.send("49")
        assert (await visit.user.pay()).amount == 49
        await visit.hears("Thank you for 49 ⭐")
        assert visit.running.sandbox.bot_balance() == 109


async def test_an_amount_of_ones_own_is_within_the_jars_limits() -> None:
    async with visiting(donations.build_dispatcher()) as visit:
        await visit.user.send("/donate")
        await visit.user.tap("Other amount")
        await visit.hears("Write a whole number from 1 to 2500.")
        await visit.user.send("much")
        await visit.hears("Please write a whole number")
        await visit.user.send("2501")
        await visit.hears("It can be 1 to 2500 ⭐")
        await visit.user.tap("Cancel")
        await visit.hears("Cancelled")


async def test_a_returned_donation_is_let_go_kindly() -> None:
    async with visiting(donations.build_dispatcher()) as visit:
        await visit.user.send("/start")
        receipt = await visit.buys("Give 1 ")
        await visit.hears("Thank you for 1 ⭐")
        visit.running.sandbox.refund(receipt)
        await visit.hears("donation of 1 ⭐ is back")


async def test_the_demo_greets_once_with_products_and_donations() -> None:
    async with visiting(demo.build_dispatcher()) as visit:
        await visit.user.send("/start")
        greeting = await visit.hears("Welcome")
        assert len(greeting.buttons) == 6
        assert greeting.buttons[-2:] == (("Give 1 ⭐", "Give 10 ⭐", "Give 50 ⭐"), ("Other amount",))
        assert (await visit.buys("Give 50")).ok
        assert (await visit.buys("Fortune")).ok
        await visit.hears("The server just blushed")
        await visit.hears("Receipt:")


async def test_the_demo_has_a_counter_for_questions_and_one_for_who_keeps_the_shop() -> None:
    async with visiting(demo.build_dispatcher(), "Dana") as visit:
        await visit.user.send("/terms")
        await visit.hears("@corner_shop")
        await visit.user.send("/payadmin")
        await visit.hears("/paystuck")


async def test_the_demo_shows_its_counter_to_nobody_else() -> None:
    async with visiting(demo.build_dispatcher()) as visit:
        await visit.user.send("/payadmin")
        await visit.quiet()
        assert not visit.answers("/paystuck")
