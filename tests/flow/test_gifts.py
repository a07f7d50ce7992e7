"""Gifts: one person pays, whoever opens the link first gets what was bought, once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from aiogram import Dispatcher, F
from aiogram.exceptions import TelegramForbiddenError
from aiogram.filters import Command, CommandObject, CommandStart
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.base import BaseStorage
from aiogram.methods import GetMe, SendMessage
from aiogram.types import Message, User

from aiogram_neonpay import (
    Gift,
    InvoiceError,
    NeonPay,
    PaymentCompleted,
    PaymentRefunded,
    PaymentStage,
    PaymentStatus,
    PaymentStuck,
    PaymentUnmatched,
    ValidationError,
    neonpay_router,
)
from aiogram_neonpay.testing import BotSandbox, BotUser, SandboxOptions, make_event
from aiogram_neonpay.testing.events import answers
from tests.flow.clock import Clock, settled
from tests.flow.test_access import shared  # noqa: F401
from tests.telegram import ALICE, BOB, RecordingBot, charge_of, paid, pre_checkout, refunded, text

pytestmark = pytest.mark.asyncio

CAROL = 9
DAY = 86_400


class Choosing(StatesGroup):
    colour = State()


STAGES = {
    "pro": PaymentStage("Pro", "A month of pro", 25, access="pro", access_for=timedelta(days=30)),
    "print": PaymentStage("Print", "A print", 40, next_state=Choosing.colour, stock=5),
    "club": PaymentStage("Club", "By the month", 40, subscription=True),
}


class Shop:
    """A bot that sells gifts and greets whoever starts it."""

    def __init__(self, kept_in: BaseStorage | None = None, **options: Any) -> None:
        self.pay = neonpay_router(STAGES, **options)
        self.dp = Dispatcher(storage=kept_in)
        self.dp.include_router(self.pay)
        self.delivered: list[PaymentCompleted] = []
        self.heard: list[str] = []
        self.greets = True
        self.dp.message(Command("gift"))(self.sell)
        self.dp.message(CommandStart())(self.greet)
        self.pay.completed(self.deliver)
        self.pay.refunded(self.withdraw)
        self.pay.unmatched(self.note)
        self.pay.stuck(self.note)

    async def sell(self, message: Message, command: CommandObject, neonpay: NeonPay) -> None:
        await neonpay.answer_payment(message, command.args or "pro", gift=True)

    async def greet(self, message: Message) -> None:
        if not self.greets:
            raise RuntimeError("no greeting")
        await message.answer("Welcome")

    async def deliver(self, event: PaymentCompleted, state: FSMContext, event_from_user: User) -> None:
        assert event_from_user.id == event.recipient_id == state.key.user_id
        self.delivered.append(event)
        await event.answer(f"Your {event.stage_id} is on")

    async def withdraw(self, event: PaymentRefunded, event_from_user: User) -> None:
        assert event_from_user.id == event.user_id
        self.heard.append("refunded")
        await event.answer("Your Stars are back")

    async def note(self, event: PaymentUnmatched | PaymentStuck) -> None:
        self.heard.append(event.reason)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest_asyncio.fixture
async def sandbox(shop: Shop) -> AsyncIterator[BotSandbox]:
    async with BotSandbox(shop.dp, SandboxOptions(username="gift_bot")) as sandbox:
        yield sandbox


def said(person: BotUser) -> list[str]:
    return [message.text for message in person.messages() if message.from_bot and message.text]


def start_of(words: str) -> str:
    """Return the command that the link in a message sends."""
    found = re.search(r"https://t\.me/gift_bot\?start=(gift_[A-Za-z0-9_-]+)", words)
    assert found is not None, words
    assert len(found[1]) <= 64
    return f"/start {found[1]}"


async def buy(person: BotUser, what: str = "pro") -> str:
    """Buy a gift; return what its link sends."""
    await person.send(f"/gift {what}")
    assert (await person.pay()).ok
    return start_of(said(person)[-1])


async def test_a_gift_is_delivered_to_its_first_opener_once_and_to_nobody_before(
    shop: Shop, sandbox: BotSandbox
) -> None:
    alice, bob, carol = (sandbox.user(name, stars=100) for name in ("Alice", "Bob", "Carol"))
    link = await buy(alice)
    assert shop.delivered == []
    assert await shop.pay.access(alice.id, "pro") is None

    await bob.send(link)
    await carol.send(link)
    await bob.send(link)

    (event,) = shop.delivered
    assert (event.user_id, event.recipient_id, event.attempt, event.is_gift) == (alice.id, bob.id, 1, True)
    assert said(bob) == ["Welcome", "Your pro is on", "Welcome", "You have opened this gift already."]
    assert said(carol) == ["Welcome", "Somebody else has opened this gift already."]
    assert said(alice)[-1].startswith("Your gift is paid: Pro.")
    assert await shop.pay.access(bob.id, "pro") is not None
    assert await shop.pay.access(carol.id, "pro") is await shop.pay.access(alice.id, "pro") is None
    assert shop.heard == []


async def test_the_buyer_does_not_open_their_own_gift(shop: Shop, sandbox: BotSandbox) -> None:
    alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob")
    link = await buy(alice)

    await alice.send(link)
    assert said(alice)[-1].startswith("This is the link of a gift that you have bought")
    await bob.send(link)

    assert [event.recipient_id for event in shop.delivered] == [bob.id]


async def test_people_are_told_in_their_language(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice", stars=100, language_code="ru")
    link = await buy(alice)
    await alice.send(link)
    emin = sandbox.user("Emin", language_code="az")
    await emin.send(link[:-1] + ("a" if link[-1] != "a" else "b"))

    assert said(alice)[-3].startswith("Подарок оплачен: Pro.")
    assert said(alice)[-1].startswith("Это ссылка на подарок")
    assert said(emin)[-1] == "Bu hədiyyə artıq yoxdur."


@pytest.mark.parametrize("altered", ["/start gift_", "/start gift_0123", "/start gift_" + "0" * 33])
async def test_a_link_that_was_never_made_opens_nothing(shop: Shop, sandbox: BotSandbox, altered: str) -> None:
    bob = sandbox.user("Bob")
    await bob.send(altered)

    assert said(bob) == ["Welcome", "This gift is not there any more."]
    assert shop.delivered == []


async def test_the_link_works_although_the_bots_own_start_handler_fails(shop: Shop, sandbox: BotSandbox) -> None:
    alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob")
    link = await buy(alice)
    shop.greets = False

    await bob.send(link)

    assert [event.recipient_id for event in shop.delivered] == [bob.id]
    assert [str(error) for error in sandbox.errors] == ["no greeting"]


@pytest.mark.parametrize("by", ["middleware", "filter"])
async def test_who_is_kept_out_of_the_bot_opens_no_gift(shop: Shop, sandbox: BotSandbox, by: str) -> None:
    alice, bob, carol = (sandbox.user(name, stars=100) for name in ("Alice", "Bob", "Carol"))
    link = await buy(alice)

    async def keep_out(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        return None if event.from_user.id == bob.id else await handler(event, data)

    if by == "middleware":
        shop.dp.message.outer_middleware(keep_out)
    else:
        shop.dp.message.filter(F.from_user.id != bob.id)
    await bob.send(link)
    assert said(bob) == []
    await carol.send(link)

    assert [event.recipient_id for event in shop.delivered] == [carol.id]
    assert said(carol) == ["Welcome", "Your pro is on"]


async def test_a_gift_is_opened_though_its_stage_was_limited_and_sold_out_since(
    shop: Shop, sandbox: BotSandbox
) -> None:
    alice, bob, carol = (sandbox.user(name, stars=100) for name in ("Alice", "Bob", "Carol"))
    link = await buy(alice)
    shop.pay.create_payment_stage("pro", replace(STAGES["pro"], stock=1), replace=True)
    await buy(carol)

    await bob.send(link)

    assert [event.recipient_id for event in shop.delivered] == [bob.id]
    assert await shop.pay.access(bob.id, "pro") is not None


async def test_a_storage_that_fails_is_told_to_the_opener_and_the_gift_waits(
    shop: Shop, sandbox: BotSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob")
    link = await buy(alice)

    async def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("the storage is away")

    with monkeypatch.context() as away:
        away.setattr(shop.pay._shop.charges, "change", fail)
        await bob.send(link)
    assert said(bob)[0] == "Welcome" and len(said(bob)) == 2 and shop.delivered == []

    await bob.send(link)
    assert [event.recipient_id for event in shop.delivered] == [bob.id]


async def test_an_unopened_gift_waits_for_years_without_being_a_persons_business(
    shop: Shop, sandbox: BotSandbox
) -> None:
    alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob")
    link = await buy(alice)
    await sandbox.advance(days=20)
    assert await shop.pay.stuck_payments() == []
    (gift,) = await shop.pay.list_gifts(alice.id)
    assert gift.is_waiting
    assert gift.opened_at is None
    assert start_of(gift.link) == link
    assert (gift.payment.status, gift.payment.delivered, gift.payment.recipient_id) == ("completed", False, None)

    await bob.open_link(gift.link)

    (gift,) = await shop.pay.list_gifts(alice.id)
    assert not gift.is_waiting
    assert gift.opened_at is not None
    assert (gift.payment.delivered, gift.payment.recipient_id) == (True, bob.id)
    access = await shop.pay.access(bob.id, "pro")
    assert access is not None and access.expires_at is not None
    assert access.expires_at - gift.opened_at == timedelta(days=30)  # from the opening, not from the payment


async def test_a_gift_of_a_stage_with_a_state_leads_its_opener_there(shop: Shop, sandbox: BotSandbox) -> None:
    alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob")
    await bob.send(await buy(alice, "print"))

    fsm = shop.dp.fsm
    assert await fsm.get_context(sandbox.bot, bob.id, bob.id).get_state() == Choosing.colour.state
    assert await fsm.get_context(sandbox.bot, alice.id, alice.id).get_state() is None


async def test_a_refund_of_an_unopened_gift_ends_its_link(shop: Shop, sandbox: BotSandbox) -> None:
    alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob")
    link = await buy(alice)
    (gift,) = await shop.pay.list_gifts(alice.id)
    await shop.pay.refund(str(gift.payment.reference))
    await sandbox.settle()

    await bob.send(link)

    assert alice.balance == 100
    assert said(alice)[-1] == "Your Stars are back"
    assert said(bob) == ["Welcome", "This gift is not there any more."]
    assert (shop.delivered, shop.heard) == ([], ["refunded"])
    (gift,) = await shop.pay.list_gifts(alice.id)
    assert not gift.is_waiting


@pytest.mark.parametrize("by", ["the bot", "another program"])
async def test_a_refund_of_an_opened_gift_takes_back_what_its_opener_has(
    shop: Shop, sandbox: BotSandbox, by: str
) -> None:
    alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob")
    link = await buy(alice)
    await bob.send(link)
    transaction_id = str(shop.delivered[0].transaction_id)
    if by == "the bot":
        await shop.pay.refund(transaction_id)
    else:
        await sandbox.refund(transaction_id)
    await sandbox.settle()

    assert await shop.pay.access(bob.id, "pro") is None
    assert alice.balance == 100
    assert shop.heard == ["refunded"]
    assert said(alice)[-1] == "Your Stars are back"
    await bob.send(link)
    assert said(bob)[-1] == "This gift is not there any more."


async def test_a_repeated_update_gives_nothing_more(shop: Shop, sandbox: BotSandbox) -> None:
    alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob")
    await alice.send("/gift pro")
    receipt = await alice.pay()
    link = start_of(said(alice)[-1])
    await sandbox.repeat_update(receipt)
    await bob.send(link)
    await sandbox.repeat_update(receipt)

    assert len(shop.delivered) == 1
    assert sum("gift is paid" in words for words in said(alice)) == 1


async def test_a_gift_whose_update_was_lost_is_found_and_its_buyer_gets_the_link(
    shop: Shop, sandbox: BotSandbox
) -> None:
    alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob")
    await alice.send("/gift pro")
    sandbox.faults.add_update("successful_payment", drop=True, times=1)
    assert (await alice.pay()).ok
    assert not any("gift is paid" in words for words in said(alice))
    await sandbox.advance(hours=2)

    await bob.send(start_of(said(alice)[-1]))

    (event,) = shop.delivered
    assert (event.recipient_id, event.recovered) == (bob.id, True)


async def test_a_subscription_is_no_gift(shop: Shop, sandbox: BotSandbox) -> None:
    with pytest.raises(InvoiceError, match="subscription"):
        await shop.pay.create_link("club", gift=True, bot=sandbox.bot)
    with pytest.raises(ValidationError, match="gift"):
        await shop.pay.create_link("pro", gift=1, bot=sandbox.bot)  # type: ignore[arg-type]


async def test_a_gift_made_by_hand_answers_its_recipient() -> None:
    event = make_event(PaymentCompleted, stage_id="pro", is_gift=True, recipient_id=55)
    assert (await event.answer("It is yours")) is not None

    assert answers(event) == ["It is yours"]
    assert event.bot.calls.send_message.last.chat_id == 55  # type: ignore[attr-defined]


# Without a sandbox: races, failures in between


class Counter:
    """A worker of a shop that sells gifts, on a storage that others share."""

    def __init__(self, bot: RecordingBot, **options: Any) -> None:
        self.bot = bot
        bot.answer(GetMe, lambda _: User(id=42, is_bot=True, first_name="Shop", username="gift_bot"))
        self.shop = Shop(bot=bot, **options)
        self.dp = self.shop.dp

    async def invoice(self, what: str = "pro", user_id: int = ALICE) -> str:
        await self.shop.pay.send_payment(user_id, what, gift=True)
        return self.bot.payload()

    async def buy(self, what: str = "pro", user_id: int = ALICE) -> dict[str, Any]:
        price = STAGES[what].price
        assert price is not None
        payload = await self.invoice(what, user_id)
        await self.dp.feed_raw_update(self.bot, pre_checkout(payload, price, user_id))
        bought = paid(payload, price, user_id)
        await self.dp.feed_raw_update(self.bot, bought)
        return bought

    async def gift(self, bought: dict[str, Any]) -> Gift:
        gift = await self.shop.pay.get_gift(charge_of(bought))
        assert gift is not None
        return gift

    async def open(self, link: str, user_id: int) -> None:
        await self.dp.feed_raw_update(self.bot, text(link, user_id))

    def told(self, user_id: int) -> list[str]:
        return [call.text for call in self.bot.sent(SendMessage) if call.chat_id == user_id]


@pytest.fixture
def counter(bot: RecordingBot) -> Counter:
    return Counter(bot, clock=Clock())


async def test_of_many_who_open_a_gift_at_once_one_gets_it(
    bot: RecordingBot,
    shared: Any,  # noqa: F811
) -> None:
    workers = [Counter(bot, kept_in=shared) for _ in range(2)]
    link = start_of((await workers[0].gift(await workers[0].buy())).link)
    people = range(100, 112)
    await asyncio.gather(*(workers[person % 2].open(link, person) for person in people))
    delivered: list[PaymentCompleted] = []

    def all_is_said() -> bool:
        delivered[:] = [event for worker in workers for event in worker.shop.delivered]
        lost = [call for call in bot.sent(SendMessage) if call.text.startswith("Somebody else")]
        return bool(delivered) and len(lost) == len(people) - 1

    await settled(all_is_said)
    for worker in workers:
        await worker.shop.pay.run_due()
    assert all_is_said() and len(delivered) == 1


async def test_a_gift_is_opened_although_its_buyer_cannot_be_sent_the_link(counter: Counter) -> None:
    def blocked(method: SendMessage) -> Any:
        raise TelegramForbiddenError(method=method, message="Forbidden: bot was blocked by the user")

    counter.bot.answer(SendMessage, blocked)
    bought = await counter.buy()
    counter.bot.recorded.answers.pop(SendMessage)
    gift = await counter.gift(bought)
    assert gift.is_waiting
    await counter.open(start_of(gift.link), BOB)

    await settled(lambda: [event.recipient_id for event in counter.shop.delivered] == [BOB])


async def test_a_link_that_could_not_be_sent_is_sent_later_and_is_the_same(counter: Counter) -> None:
    fails = 1

    def once(method: SendMessage) -> Any:
        nonlocal fails
        if fails:
            fails -= 1
            raise OSError("no network")
        return True

    counter.bot.answer(SendMessage, once)
    with pytest.raises(OSError):
        await counter.buy()
    (gift,) = await counter.shop.pay.list_gifts(ALICE)
    clock = counter.shop.pay._shop.clock
    assert isinstance(clock, Clock)
    clock.now += DAY
    await counter.shop.pay.run_due()
    first, second = (start_of(words) for words in counter.told(ALICE))

    assert first == second == start_of(gift.link)
    assert counter.shop.delivered == []


async def test_a_link_opened_while_it_is_being_sent_is_delivered_as_soon_as_that_is_over(counter: Counter) -> None:
    opened = asyncio.Event()

    async def slowly(method: SendMessage) -> Any:
        if method.chat_id == ALICE and "gift is paid" in method.text:
            await counter.open(start_of(method.text), BOB)
            opened.set()
        return True

    counter.bot.answer(SendMessage, slowly)
    await counter.buy()
    await opened.wait()

    await settled(lambda: [event.recipient_id for event in counter.shop.delivered] == [BOB])
    assert [event.attempt for event in counter.shop.delivered] == [1]


async def test_the_update_of_the_payment_again_is_no_way_round_the_opener(counter: Counter) -> None:
    """Somebody opened it, the worker that was to deliver died, and Telegram repeats the buyer's update."""
    bought = await counter.buy()
    gift = await counter.gift(bought)
    worker = counter.shop.pay._installation.worker
    worker.wake = lambda *_: None  # type: ignore[method-assign]
    await counter.open(start_of(gift.link), BOB)
    del worker.wake
    assert counter.shop.delivered == []

    await counter.dp.feed_raw_update(counter.bot, bought)
    await settled(lambda: bool(counter.shop.delivered))

    assert [(event.recipient_id, event.attempt) for event in counter.shop.delivered] == [(BOB, 1)]


async def test_a_refund_and_an_opening_at_once_leave_nobody_with_both(counter: Counter) -> None:
    for round_ in range(6):
        bought = await counter.buy()
        link, reference = (
            start_of((await counter.gift(bought)).link),
            str((await counter.gift(bought)).payment.reference),
        )

        async def refund(reference: str = reference) -> None:
            await counter.shop.pay.refund(reference)

        deeds = [refund(), counter.open(link, BOB + round_ + 1)]
        await asyncio.gather(*(deeds if round_ % 2 else reversed(deeds)))
        await counter.shop.pay.run_due()
        await counter.shop.pay.run_due()

        payment = await counter.shop.pay.get_payment(reference)
        assert payment is not None and payment.status is PaymentStatus.REFUNDED
        assert await counter.shop.pay.access(BOB + round_ + 1, "pro") is None


async def test_a_refund_that_telegram_tells_before_the_payment_leaves_no_gift(counter: Counter) -> None:
    payload = await counter.invoice()
    bought = paid(payload, 25)
    await counter.dp.feed_raw_update(counter.bot, refunded(bought))
    await counter.dp.feed_raw_update(counter.bot, bought)
    gift = await counter.gift(bought)

    assert not gift.is_waiting
    await counter.open(start_of(gift.link), BOB)
    assert counter.told(BOB) == ["Welcome", "This gift is not there any more."]
    assert counter.shop.delivered == []


async def test_a_gifts_delivery_that_fails_is_tried_again_for_its_opener(counter: Counter) -> None:
    fails = 2

    @counter.shop.pay.completed.outer_middleware
    async def unlucky(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        nonlocal fails
        if fails:
            fails -= 1
            raise RuntimeError
        return await handler(event, data)

    gift = await counter.gift(await counter.buy())
    await counter.open(start_of(gift.link), BOB)
    await settled(lambda: fails == 1)
    clock = counter.shop.pay._shop.clock
    assert isinstance(clock, Clock)
    for _ in range(2):
        clock.now += DAY
        await counter.shop.pay.run_due()

    assert [(event.recipient_id, event.attempt) for event in counter.shop.delivered] == [(BOB, 3)]


async def test_redelivering_an_unopened_gift_sends_its_link_again(counter: Counter) -> None:
    gift = await counter.gift(await counter.buy())
    await counter.shop.pay.redeliver(str(gift.payment.reference))
    await counter.shop.pay.run_due()

    assert len({start_of(words) for words in counter.told(ALICE)}) == 1
    assert len(counter.told(ALICE)) == 2
    await counter.open(start_of(gift.link), BOB)
    await settled(lambda: len(counter.shop.delivered) == 1)


async def test_what_is_no_gift_has_none(counter: Counter) -> None:
    await counter.shop.pay.send_payment(ALICE, "pro")
    bought = paid(counter.bot.payload(), 25)
    await counter.dp.feed_raw_update(counter.bot, bought)

    assert await counter.shop.pay.get_gift(charge_of(bought)) is None
    assert await counter.shop.pay.list_gifts(ALICE) == []
    with pytest.raises(ValidationError, match="limit"):
        await counter.shop.pay.list_gifts(ALICE, limit=0)
