"""Deep links: whoever comes by one meets the bot's own /start first, then the invoice, and the ref comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from aiogram import Bot, Dispatcher, F, Router
from aiogram.filters import CommandObject, CommandStart
from aiogram.types import Message

from aiogram_neonpay import (
    PaymentResult,
    PaymentStage,
    PromoCode,
    StageNotFoundError,
    StartLink,
    ValidationError,
    neonpay_router,
)
from aiogram_neonpay.testing import BotSandbox, BotUser, SandboxOptions

pytestmark = pytest.mark.asyncio

LONG = "a.very.long-stage_id." + "x" * 43


class Shop:
    """A bot that sells, greets, and remembers what it heard."""

    def __init__(self) -> None:
        self.pay = neonpay_router(
            {
                "premium": PaymentStage("Premium", "30 days", 25, payload={"days": 30, "ref": "nobody"}),
                LONG: PaymentStage("Long", "A long id", 7),
                "donate": PaymentStage("Donate", "As you like", None, max_price=1000),
                "club": PaymentStage("Club", "By the month", 40, subscription=True),
                "hidden": PaymentStage("Hidden", "Not now", 5, on_sale=False),
            }
        )
        self.dp = Dispatcher()
        self.router = Router()
        self.dp.include_routers(self.router, self.pay)
        self.links: list[StartLink | None] = []
        self.paid: list[PaymentResult] = []
        self.router.message(CommandStart())(self.greet)
        self.pay.on_payment(self.hear)

    async def greet(self, message: Message, command: CommandObject, start_link: StartLink | None = None) -> None:
        self.links.append(start_link)
        await message.answer("Welcome")

    async def hear(self, result: PaymentResult) -> None:
        self.paid.append(result)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest_asyncio.fixture
async def sandbox(shop: Shop) -> AsyncIterator[BotSandbox]:
    async with BotSandbox(shop.dp) as sandbox:
        yield sandbox


@pytest.fixture
def alice(sandbox: BotSandbox) -> BotUser:
    return sandbox.user("Alice", stars=100)


def said(user: BotUser) -> list[str]:
    """What the bot has said or shown to somebody, the newest last."""
    return [
        message.text or message.raw.get("invoice", {}).get("title", "?")
        for message in user.messages()
        if message.from_bot
    ]


def parameter(link: str, name: str = "start") -> str:
    return parse_qs(urlsplit(link).query)[name][0]


async def test_the_bots_own_start_comes_first_and_the_invoice_follows(
    sandbox: BotSandbox, shop: Shop, alice: BotUser
) -> None:
    link = await shop.pay.create_start_link("premium", ref="friend-7")
    assert link.startswith("https://t.me/test_bot?start=")

    await alice.open_link(link)
    assert said(alice) == ["Welcome", "Premium"]
    assert (await alice.pay()).ok

    (paid,) = shop.paid
    assert paid.metadata == {"days": 30, "ref": "friend-7"}
    assert shop.links == [StartLink("premium", "friend-7")]


async def test_a_plain_start_is_the_bots_alone(shop: Shop, alice: BotUser) -> None:
    await alice.send("/start")
    await alice.send("/start np")
    assert said(alice) == ["Welcome", "Welcome"]
    assert shop.links == [None, None]


async def test_without_a_handler_of_the_bot_the_invoice_comes_alone() -> None:
    pay = neonpay_router({"premium": PaymentStage("Premium", "30 days", 25)})
    dp = Dispatcher()
    dp.include_router(pay)
    async with BotSandbox(dp) as sandbox:
        bob = sandbox.user("Bob", stars=30)
        await bob.open_link(await pay.create_start_link("premium", ref=bob.id))
        receipt = await bob.pay()
        (paid,) = await pay.history(bob.id)
        assert receipt.ok and paid.metadata == {"ref": bob.id}


async def test_a_number_comes_back_as_a_number_and_a_long_id_opens_its_stage(shop: Shop, alice: BotUser) -> None:
    link = await shop.pay.create_start_link(LONG, ref=-(1 << 52))
    assert await shop.pay.create_start_link(LONG, ref=-(1 << 52)) == link
    await alice.open_link(link)
    assert (await alice.pay()).amount == 7
    assert shop.paid[0].stage_id == LONG
    assert shop.paid[0].metadata == {"ref": -(1 << 52)}


async def test_a_donation_needs_its_amount_when_the_link_is_made(shop: Shop, alice: BotUser) -> None:
    with pytest.raises(ValidationError, match="amount: is required"):
        await shop.pay.create_start_link("donate")
    with pytest.raises(ValidationError, match="amount: must be at most 1000"):
        await shop.pay.create_start_link("donate", amount=1001)
    link = await shop.pay.create_start_link("donate", amount=50)
    await alice.open_link(link)
    assert (await alice.pay()).amount == 50

    shop.pay.create_payment_stage("donate", PaymentStage("Donate", "A coffee", 3), replace=True)
    await alice.open_link(link)
    assert (await alice.pay()).amount == 3


async def test_a_subscription_is_offered_with_its_button(shop: Shop, alice: BotUser) -> None:
    await alice.open_link(await shop.pay.create_start_link("club", ref="radio"))
    assert (await alice.pay()).ok
    assert shop.paid[0].metadata == {"ref": "radio"} and shop.paid[0].is_first_recurring


async def test_a_link_that_nobody_made_is_answered_kindly(shop: Shop, alice: BotUser) -> None:
    good = parameter(await shop.pay.create_start_link("premium", ref="friend"))
    kept = parameter(await shop.pay.create_start_link(LONG))
    for forged in (good[:-1] + ("A" if good[-1] != "A" else "B"), good + "A", good[:12], "np1-x", kept[:-1], "np1_x"):
        await alice.send(f"/start {forged}")
        assert said(alice)[-2:] == ["Welcome", "This link does not work any more. Please ask for a new one."], forged
    assert shop.links == [None] * 6


async def test_a_link_applies_its_promo_code_and_says_when_it_cannot(shop: Shop, alice: BotUser) -> None:
    await shop.pay.create_promo("SPRING", PromoCode(percent=20, per_user=1))
    link = await shop.pay.create_start_link("premium", ref="tv", promo="spring")
    await alice.open_link(link)
    assert (await alice.pay()).amount == 20
    assert shop.links == [StartLink("premium", "tv", "SPRING")] and shop.paid[0].metadata["ref"] == "tv"

    await alice.open_link(link)
    assert said(alice)[-2:] == ["You have used this promo code already.", "Premium"]
    assert (await alice.pay()).amount == 25
    assert shop.paid[1].metadata["ref"] == "tv"

    await alice.open_link(await shop.pay.create_start_link("premium", promo="never"))
    assert said(alice)[-2:] == ["There is no such promo code.", "Premium"]


async def test_a_link_to_what_is_not_sold_now_is_answered_kindly(shop: Shop, alice: BotUser) -> None:
    gone = await shop.pay.create_start_link("premium")
    shop.pay.remove_payment_stage("premium")
    for link in (gone, await shop.pay.create_start_link("hidden")):
        await alice.open_link(link)
        assert said(alice)[-2:] == ["Welcome", "This is not available at the moment."]
    with pytest.raises(StageNotFoundError):
        await shop.pay.create_start_link("premium")


async def test_links_outlive_a_change_of_the_secret() -> None:
    stages = {"premium": PaymentStage("Premium", "30 days", 25)}
    links: list[str] = []
    for secrets in (
        {"secret": "the first secret"},
        {"secret": "another secret!!", "previous_secrets": ["the first secret"]},
    ):
        pay = neonpay_router(stages, **secrets)
        dp = Dispatcher()
        dp.include_router(pay)
        async with BotSandbox(dp, SandboxOptions(seed=1)) as sandbox:
            bob = sandbox.user("Bob", stars=30)
            links.append(await pay.create_start_link("premium", ref="old"))
            await bob.open_link(links[0])
            assert (await bob.pay()).ok
    assert links[0] != links[1]


async def test_a_bot_that_keeps_somebody_out_sends_them_no_invoice(
    sandbox: BotSandbox, shop: Shop, alice: BotUser
) -> None:
    link = await shop.pay.create_start_link("premium")

    async def keep_out(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        return None

    shop.dp.message.outer_middleware(keep_out)
    await alice.open_link(link)
    assert said(alice) == []
    shop.dp.message.outer_middleware.unregister(keep_out)

    shop.dp.message.filter(F.from_user.id != alice.id)
    await alice.open_link(link)
    assert said(alice) == []


async def test_the_invoice_comes_though_the_bots_own_handler_fails(
    shop: Shop, sandbox: BotSandbox, alice: BotUser
) -> None:
    @shop.dp.message(CommandStart())
    async def fail(message: Message) -> None:
        raise KeyError("broken on purpose")

    await alice.open_link(await shop.pay.create_start_link("premium"))
    assert said(alice) == ["Premium"]
    assert [type(error) for error in sandbox.errors] == [KeyError]


async def test_a_bot_behind_a_webhook_opens_links_too(shop: Shop) -> None:
    async def tell_telegram(bot: Bot) -> None:
        await bot.set_webhook("https://shop.example/hook")

    shop.dp.startup.register(tell_telegram)
    async with BotSandbox(shop.dp) as sandbox:
        bob = sandbox.user("Bob", stars=30)
        await bob.open_link(await shop.pay.create_start_link("premium"))
        assert said(bob) == ["Welcome", "Premium"]


async def test_what_is_too_long_for_a_link_is_kept_and_what_fits_is_not(shop: Shop, sandbox: BotSandbox) -> None:
    assert parameter(await shop.pay.create_start_link("premium", ref="x" * 31)).startswith("np1-")
    assert len(parameter(await shop.pay.create_start_link("premium", ref="x" * 31))) == 64
    assert parameter(await shop.pay.create_start_link("premium", ref="x" * 32)).startswith("np1_")


async def test_many_people_come_at_once_and_nothing_stays_behind(shop: Shop, sandbox: BotSandbox) -> None:
    link = await shop.pay.create_start_link("premium")
    people = [sandbox.user(f"Person {number}", stars=30) for number in range(5)]
    await asyncio.gather(*(person.open_link(link) for person in people))
    assert [said(person) for person in people] == [["Welcome", "Premium"]] * 5
    assert len(shop.dp.message.outer_middleware) == 0


async def test_what_a_handler_returns_is_said_before_the_invoice(shop: Shop, alice: BotUser) -> None:
    @shop.dp.message(CommandStart())
    async def greet(message: Message) -> Any:
        return message.answer("Returned")

    await alice.open_link(await shop.pay.create_start_link("premium"))
    assert said(alice) == ["Returned", "Premium"]


async def test_in_a_group_the_invoice_is_for_whoever_opened_the_link(
    sandbox: BotSandbox, shop: Shop, alice: BotUser
) -> None:
    bob = sandbox.user("Bob", stars=100)
    group = sandbox.sandbox.create_group("Friends", [alice, bob])
    link = await shop.pay.create_start_link("premium", ref="group", group=True)
    value = parameter(link, "startgroup")
    await alice.send(f"/start@other_bot {value}", chat=group)
    assert [message.text for message in group.messages() if message.from_bot] == []
    await alice.send(f"/start@test_bot {value}", chat=group)
    assert not (await bob.pay(chat=group)).ok
    assert (await alice.pay(chat=group)).ok
    assert shop.paid[0].metadata["ref"] == "group"


async def test_a_storage_that_fails_costs_the_invoice_and_not_the_greeting(
    shop: Shop, sandbox: BotSandbox, alice: BotUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await shop.pay.create_start_link(LONG)

    async def fail(keys: Any) -> Any:
        raise OSError("the storage is away")

    monkeypatch.setattr(shop.pay._shop.engine, "read", fail)
    await alice.open_link(link)
    assert said(alice) == ["Welcome", "This is not available at the moment."]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"ref": ""}, "ref"),
        ({"ref": "x" * 65}, "ref"),
        ({"ref": "tab\there"}, "ref"),
        ({"ref": 1 << 63}, "ref"),
        ({"ref": True}, "ref"),
        ({"promo": " "}, "promo"),
        ({"amount": 24}, "amount"),
        ({"group": 1}, "group"),
    ],
)
async def test_what_a_link_cannot_carry_is_refused_by_name(
    shop: Shop, sandbox: BotSandbox, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        await shop.pay.create_start_link("premium", **options)
    assert refused.value.field == field
