"""Keyboards that sell, tapped by people: donations, catalogs, buy buttons, subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiogram import Bot, Dispatcher, F
from aiogram.client.default import DefaultBotProperties
from aiogram.filters import Command
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.strategy import FSMStrategy
from aiogram.types import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQuery,
    InlineQueryResultArticle,
    InputTextMessageContent,
    Message,
)
from aiogram.utils.i18n import I18n
from aiogram.utils.i18n.middleware import ConstI18nMiddleware

from aiogram_neonpay import (
    NeonPay,
    PaymentStage,
    StageNotFoundError,
    ValidationError,
    buy_keyboard,
    catalog_keyboard,
    donate_keyboard,
    neonpay_router,
    subscription_keyboard,
)
from aiogram_neonpay.ledger.taps import WINDOW
from aiogram_neonpay.sandbox import SandboxGroup
from aiogram_neonpay.testing import BotSandbox, BotUser
from aiogram_neonpay.testing.options import SandboxOptions

pytestmark = pytest.mark.asyncio

LONG = "x" * 64


class Form(StatesGroup):
    name = State()


class Kiosk:
    """A bot with a keyboard of every kind, and a form of its own."""

    def __init__(self) -> None:
        self.pay = neonpay_router(
            {
                "premium": PaymentStage("Premium", "30 days", 25),
                "donate": PaymentStage("Donation", "Thank you", None, min_price=2, max_price=500),
                "open": PaymentStage("Tip", "Any tip", None),
                "club": PaymentStage("Club", "By the month", 100, subscription=True),
                LONG: PaymentStage("Long", "A long id", 7),
            }
        )
        self.dp = Dispatcher()
        self.dp.include_router(self.pay)
        self.heard: list[str] = []
        self.keyboard: Any = None
        self.dp.message(Command("keyboard"))(self.show)
        self.dp.message(Command("form"))(self.begin)
        self.dp.message(Command("state"))(self.tell)
        self.dp.message(Form.name, F.text)(self.take_name)
        self.dp.message(F.text)(self.listen)
        self.dp.callback_query()(self.swallow)
        self.pay.completed(self.thank)

    async def show(self, message: Message) -> None:
        await message.answer("Choose", reply_markup=self.keyboard())

    async def begin(self, message: Message, state: FSMContext) -> None:
        await state.update_data(color="red")
        await state.set_state(Form.name)

    async def tell(self, message: Message, state: FSMContext) -> None:
        await message.answer(f"{await state.get_state()} {await state.get_data()}")

    async def take_name(self, message: Message, state: FSMContext) -> None:
        await message.answer(f"Hello, {message.text}")

    async def listen(self, message: Message) -> None:
        self.heard.append(message.text or "")

    async def swallow(self, query: Any) -> None:
        raise AssertionError("the bot's own handler saw a tap of ours")

    async def thank(self, event: Any) -> None:
        await event.answer(f"Thank you for {event.amount}")


@pytest.fixture
def kiosk() -> Kiosk:
    return Kiosk()


@pytest_asyncio.fixture
async def sandbox(kiosk: Kiosk) -> AsyncIterator[BotSandbox]:
    async with BotSandbox(kiosk.dp) as sandbox:
        yield sandbox


@pytest.fixture
def alice(sandbox: BotSandbox) -> BotUser:
    return sandbox.user("Alice", stars=10_000)


def last(user: BotUser, chat: SandboxGroup | None = None) -> Any:
    return [message for message in user.messages(chat) if message.from_bot][-1]


def invoices(sandbox: BotSandbox) -> list[tuple[int, int]]:
    return [(call.chat_id, call.prices[0].amount) for call in sandbox.calls.send_invoice]


def rows(user: BotUser, chat: SandboxGroup | None = None) -> list[tuple[str, ...]]:
    found = [message for message in user.messages(chat) if message.from_bot and message.buttons]
    return list(found[-1].buttons)


class TestDonations:
    @pytest.fixture(autouse=True)
    def keyboard(self, kiosk: Kiosk) -> None:
        kiosk.keyboard = lambda: donate_keyboard([5, 50], custom=True)

    async def test_an_amount_is_asked_for_and_sold(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        await alice.send("/keyboard")
        assert rows(alice) == [("5 ⭐", "50 ⭐"), ("Other amount",)]

        assert await alice.tap("Other amount") is None
        assert last(alice).text == "Donation\n\nHow many Stars? Write a whole number from 2 to 500."
        assert last(alice).buttons == (("Cancel",),)
        await alice.send("77")

        assert (await alice.pay()).amount == 77
        assert last(alice).text == "Thank you for 77"
        assert kiosk.heard == []
        await alice.send("/state")
        assert last(alice).text == "None {}"
        assert [m.text for m in alice.messages() if m.buttons and "How many" in m.text] == []

    @pytest.mark.parametrize(
        ("language", "button", "question"),
        [
            ("ru", "Другая сумма", "Сколько звёзд? Напишите целое число от 2 до 500."),
            ("az", "Başqa məbləğ", "Neçə ulduz? 2–500 arasında tam ədəd yazın."),
        ],
    )
    async def test_in_the_persons_language(
        self, sandbox: BotSandbox, language: str, button: str, question: str
    ) -> None:
        person = sandbox.user("Person", language_code=language)
        await person.send("/keyboard")
        await person.tap(button)
        assert last(person).text.endswith(question)

    async def test_the_bots_own_state_is_put_back(self, sandbox: BotSandbox, alice: BotUser) -> None:
        await alice.send("/keyboard")
        await alice.send("/form")
        await alice.tap("Other amount")
        await alice.send("/state")
        assert last(alice).text.startswith("neonpay:amount ")
        await alice.send("30")
        await alice.send("/state")
        assert last(alice).text == "Form:name {'color': 'red'}"
        await alice.send("Alice")
        assert last(alice).text == "Hello, Alice"

    @pytest.mark.parametrize("by", ["button", "command", "addressed command", "preset"])
    async def test_it_can_be_cancelled(self, sandbox: BotSandbox, alice: BotUser, by: str) -> None:
        await alice.send("/form")
        await alice.send("/keyboard")
        await alice.tap("Other amount")
        if by == "button":
            assert await alice.tap("Cancel") is None
        elif by == "preset":
            await alice.tap("50")
        else:
            await alice.send("/cancel" if by == "command" else "/cancel@test_bot")
        if by != "preset":
            assert last(alice).text == "Cancelled. Nothing was charged."
        await alice.send("/state")
        assert last(alice).text == "Form:name {'color': 'red'}"
        assert invoices(sandbox) == ([(alice.id, 50)] if by == "preset" else [])

        await alice.tap("Other amount")
        await alice.send("9")
        assert invoices(sandbox)[-1] == (alice.id, 9)

    async def test_a_cancel_button_of_yesterday_says_so(self, sandbox: BotSandbox, alice: BotUser) -> None:
        await alice.send("/keyboard")
        await alice.tap("Other amount")
        question = last(alice)
        await alice.send("/cancel")
        assert last(alice).text == "Cancelled. Nothing was charged."
        assert not next(m for m in alice.messages() if m.id == question.id).buttons

    @pytest.mark.parametrize(
        ("written", "answer"),
        [
            ("many", "Please write a whole number, such as 2, or /cancel."),
            ("1.5", "Please write a whole number, such as 2, or /cancel."),
            ("-5", "Please write a whole number, such as 2, or /cancel."),
            ("9" * 40, "Please write a whole number, such as 2, or /cancel."),
            ("1", "It can be 2 to 500 ⭐."),
            ("0", "It can be 2 to 500 ⭐."),
            ("501", "It can be 2 to 500 ⭐."),
        ],
    )
    async def test_wrong_input_is_answered_and_asked_again(
        self, sandbox: BotSandbox, alice: BotUser, written: str, answer: str
    ) -> None:
        await alice.send("/keyboard")
        await alice.tap("Other amount")
        await alice.send(written)
        assert last(alice).text == answer
        await alice.send("500")
        assert (await alice.pay()).amount == 500

    @pytest.mark.parametrize("written", [" 77 ", "77⭐", "77 ⭐", "+77", "٧٧"])
    async def test_a_number_may_be_written_as_people_do(
        self, sandbox: BotSandbox, alice: BotUser, written: str
    ) -> None:
        await alice.send("/keyboard")
        await alice.tap("Other amount")
        await alice.send(written)
        assert invoices(sandbox) == [(alice.id, 77)]

    async def test_thousands_may_be_apart_and_there_may_be_no_top(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        kiosk.keyboard = lambda: donate_keyboard([5], stage_id="open", custom="As you like")
        await alice.send("/keyboard")
        await alice.tap("As you like")
        assert last(alice).text == "Tip\n\nHow many Stars? Write a whole number, 1 or more."
        await alice.send("0")
        assert last(alice).text == "It can be 1 ⭐ or more."
        await alice.send("9 000")
        assert invoices(sandbox) == [(alice.id, 9000)]

    async def test_commands_go_to_the_bot_and_the_question_stays(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        await alice.send("/keyboard")
        await alice.tap("Other amount")
        await alice.send("/help")
        await alice.send("/cancel@other_bot")
        assert kiosk.heard == ["/help", "/cancel@other_bot"]
        await alice.send("30")
        assert invoices(sandbox) == [(alice.id, 30)]

    async def test_a_question_that_is_too_old_is_over(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        await alice.send("/form")
        await alice.send("/keyboard")
        await alice.tap("Other amount")
        await sandbox.advance(minutes=11)
        await alice.send("30")
        assert last(alice).text == "I asked too long ago. Please tap the button again."
        await alice.send("/state")
        assert last(alice).text == "Form:name {'color': 'red'}"
        assert invoices(sandbox) == []

        await alice.tap("Other amount")
        await sandbox.advance(minutes=11)
        await alice.send("never mind")
        await alice.send("/state")
        assert last(alice).text == "Form:name {'color': 'red'}"

    async def test_an_answer_sent_twice_is_one_invoice(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        await alice.send("/keyboard")
        await alice.tap("Other amount")
        await asyncio.gather(*(feed(kiosk.dp, sandbox.bot, written(alice, "30")) for _ in range(2)))
        assert invoices(sandbox) == [(alice.id, 30)]

    async def test_a_bot_with_a_parse_mode_asks_the_same(self, kiosk: Kiosk) -> None:
        options = SandboxOptions(bot_defaults=DefaultBotProperties(parse_mode="MarkdownV2"))
        kiosk.pay.create_payment_stage("donate", PaymentStage("*One* _two", "d", None), replace=True)
        async with BotSandbox(kiosk.dp, options) as sandbox:
            alice = sandbox.user("Alice")
            await alice.send("/keyboard")
            for answer in ("many", "0", "/cancel"):
                await alice.tap("Other amount")
                await alice.send(answer)
            await alice.tap("Other amount")
            assert last(alice).text.startswith("*One* _two\n\n")
            assert await alice.tap("Cancel") is None
            assert sandbox.errors == []

    async def test_a_stage_taken_away_meanwhile_is_not_sold(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        await alice.send("/keyboard")
        await alice.tap("Other amount")
        kiosk.pay.remove_payment_stage("donate")
        await alice.send("30")
        assert last(alice).text == "This product is not sold any more."
        await alice.send("/state")
        assert last(alice).text == "None {}"

    async def test_a_preset_out_of_the_stages_limits_names_them(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        kiosk.keyboard = lambda: donate_keyboard([1])
        await alice.send("/keyboard")
        assert await alice.tap("1 ⭐") == "It can be 2 to 500 ⭐."

    async def test_a_bot_that_keeps_no_states_says_it_cannot_ask(self) -> None:
        pay = neonpay_router({"donate": PaymentStage("Donation", "d", None)})
        dp = Dispatcher(disable_fsm=True)
        dp.include_router(pay)
        dp.message()(lambda message: message.answer("Choose", reply_markup=donate_keyboard([5], custom=True)))
        async with BotSandbox(dp) as sandbox:
            alice = sandbox.user("Alice")
            await alice.send("/keyboard")
            assert await alice.tap("Other") == "This is not available at the moment."


class TestDonationsInAGroup:
    @pytest.fixture(autouse=True)
    def keyboard(self, kiosk: Kiosk) -> None:
        kiosk.keyboard = lambda: donate_keyboard([5], custom=True)

    async def test_only_the_answer_of_who_tapped_counts(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        bob = sandbox.user("Bob", stars=100)
        group = sandbox.sandbox.create_group("Club", [alice, bob])
        await alice.send("/keyboard", chat=group)
        await bob.tap("Other", chat=group)
        question = last(bob, group)
        assert question.text.endswith("Bob, please reply to this message, or write /cancel.")
        sent = sandbox.calls.send_message.last
        assert sent.reply_markup.force_reply and sent.reply_markup.selective
        (mention,) = [entity for entity in sent.entities if entity.type == "text_mention"]
        assert mention.extract_from(sent.text) == "Bob"

        await alice.send("30", chat=group, reply_to=question)
        await bob.send("well, I wonder", chat=group)
        assert kiosk.heard == ["30", "well, I wonder"]
        await bob.send("much", chat=group, reply_to=question)
        assert last(bob, group).text == "Please write a whole number, such as 2, or /cancel."
        await bob.send("40", chat=group, reply_to=last(bob, group))
        assert invoices(sandbox) == [(group.id, 40)]
        assert not (await alice.pay(chat=group)).ok, "the invoice is for who tapped"
        assert (await bob.pay(chat=group)).amount == 40

    async def test_what_is_asked_in_a_group_is_answered_there(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        group = sandbox.sandbox.create_group("Club", [alice])
        await alice.send("/keyboard", chat=group)
        await alice.tap("Other", chat=group)
        await alice.send("30")
        assert invoices(sandbox) == []
        await alice.send("/cancel", chat=group)
        assert last(alice, group).text == "Cancelled. Nothing was charged."


class TestDoubleTaps:
    @pytest.fixture(autouse=True)
    def keyboard(self, kiosk: Kiosk) -> None:
        kiosk.keyboard = lambda: buy_keyboard("premium", "donate")

    async def test_make_one_invoice(self, sandbox: BotSandbox, alice: BotUser) -> None:
        await alice.send("/keyboard")
        assert await alice.tap("Premium") is None
        assert await alice.tap("Premium") == "The invoice is in the chat already."
        assert invoices(sandbox) == [(alice.id, 25)]

    async def test_make_one_invoice_when_two_workers_get_them_at_once(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        await alice.send("/keyboard")
        taps = [tapped(alice, last(alice), "neonpay:premium:25") for _ in range(4)]
        other = neonpay_router(kiosk.pay.list_payment_stages())
        worker = Dispatcher(storage=kiosk.dp.storage)
        worker.include_router(other)
        await asyncio.gather(
            *(feed(dp, sandbox.bot, tap) for dp, tap in zip([kiosk.dp, worker] * 2, taps, strict=True))
        )
        assert invoices(sandbox) == [(alice.id, 25)]

    async def test_count_as_two_after_a_while_or_once_paid(self, sandbox: BotSandbox, alice: BotUser) -> None:
        await alice.send("/keyboard")
        await alice.tap("Premium")
        assert (await alice.pay()).ok
        await alice.tap("Premium")
        assert len(invoices(sandbox)) == 2
        assert await alice.tap("Premium") is not None
        await sandbox.advance(seconds=WINDOW)
        assert await alice.tap("Premium") is None
        assert len(invoices(sandbox)) == 3

    async def test_of_two_people_or_under_two_messages_are_no_double_taps(
        self, sandbox: BotSandbox, alice: BotUser
    ) -> None:
        bob = sandbox.user("Bob")
        group = sandbox.sandbox.create_group("Club", [alice, bob])
        await alice.send("/keyboard", chat=group)
        await alice.tap("Premium", chat=group)
        await bob.tap("Premium", chat=group)
        await alice.send("/keyboard", chat=group)
        await alice.tap("Premium", chat=group)
        assert invoices(sandbox) == [(group.id, 25)] * 3

    async def test_a_tap_that_failed_may_be_made_again_at_once(self, sandbox: BotSandbox, alice: BotUser) -> None:
        await alice.send("/keyboard")
        sandbox.faults.add("sendInvoice", error=429, times=1)
        assert await alice.tap("Premium") == "That did not work. Please try again in a minute."
        assert await alice.tap("Premium") is None
        assert (await alice.pay()).ok

    async def test_ask_one_question(self, sandbox: BotSandbox, alice: BotUser) -> None:
        await alice.send("/keyboard")
        await alice.tap("Donation")
        assert await alice.tap("Donation") is None
        assert len([message for message in alice.messages() if "How many Stars?" in message.text]) == 1

    async def test_a_storage_that_is_away_keeps_nobody_from_buying(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(*args: Any, **kwargs: Any) -> Any:
            raise OSError("the storage is away")

        await alice.send("/keyboard")
        monkeypatch.setattr("aiogram_neonpay.ledger.taps.LastTaps.take", away)
        assert await alice.tap("Premium") is None
        assert invoices(sandbox) == [(alice.id, 25)]


class TestBuying:
    async def test_buttons_say_title_and_price(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        kiosk.keyboard = lambda: buy_keyboard("premium", "club", "donate", LONG, labels={"donate": "Give"})
        await alice.send("/keyboard")
        assert rows(alice) == [("Premium, 25 ⭐",), ("Club, 100 ⭐ a month",), ("Give",), ("Long, 7 ⭐",)]
        await alice.tap("Long")
        assert (await alice.pay()).amount == 7

    async def test_a_new_price_is_told_and_asked_for(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        kiosk.keyboard = lambda: buy_keyboard("premium")
        await alice.send("/keyboard")
        kiosk.pay.create_payment_stage("premium", PaymentStage("Premium", "30 days", 30), replace=True)
        assert await alice.tap("Premium") == "Premium: the price is 30 ⭐ now."
        assert (await alice.pay()).amount == 30

    async def test_what_is_gone_or_not_on_sale_is_said(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        kiosk.keyboard = lambda: buy_keyboard("premium")
        await alice.send("/keyboard")
        off = PaymentStage("Premium", "30 days", 25, on_sale=False)
        kiosk.pay.create_payment_stage("premium", off, replace=True)
        assert await alice.tap("Premium") == "This product is not on sale at the moment."
        kiosk.pay.remove_payment_stage("premium")
        assert await alice.tap("Premium") == "This product is not sold any more."
        assert invoices(sandbox) == []

    async def test_a_stage_of_a_loader_is_sold_without_its_name_on_the_button(self) -> None:
        async def load(stage_id: str) -> PaymentStage | None:
            return PaymentStage("Loaded", "From afar", 12) if stage_id == "far" else None

        dp = Dispatcher()
        dp.include_router(neonpay_router(load))
        dp.message()(lambda message: message.answer("Choose", reply_markup=buy_keyboard("far")))
        async with BotSandbox(dp) as sandbox:
            alice = sandbox.user("Alice", stars=100)
            await alice.send("/keyboard")
            await alice.tap("Buy")
            assert (await alice.pay()).amount == 12

    async def test_outside_handlers_the_shop_is_named(self, kiosk: Kiosk) -> None:
        keyboard = buy_keyboard("premium", neonpay=kiosk.pay, language="ru")
        assert keyboard.inline_keyboard[0][0].text == "Premium, 25 ⭐"
        assert buy_keyboard("anything").inline_keyboard[0][0].text == "Buy"
        with pytest.raises(StageNotFoundError, match="'nothing'"):
            buy_keyboard("nothing", neonpay=kiosk.pay)

    async def test_people_whom_the_bot_may_not_write_to_are_told_what_to_do(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        kiosk.keyboard = lambda: buy_keyboard("premium")
        await alice.send("/keyboard")
        sandbox.faults.add("sendInvoice", error=403, text="Forbidden: bot was blocked by the user", times=1)
        assert await alice.tap("Premium") == "I may not write to you. Open our chat, press Start, then tap again."


class TestSubscriptions:
    async def test_a_tap_brings_a_link_made_for_the_person(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        kiosk.keyboard = lambda: subscription_keyboard("club")
        await alice.send("/keyboard")
        assert rows(alice) == [("Subscribe: 100 ⭐ a month",)]
        await alice.tap("Subscribe")
        assert (await alice.pay()).ok
        assert alice.subscriptions()

    async def test_a_link_opens_the_payment_itself(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        await alice.send("/form")
        link = await kiosk.pay.create_link("club", user_id=alice.id, bot=sandbox.bot)
        kiosk.keyboard = lambda: subscription_keyboard("club", link=link, label="Join")
        await alice.send("/keyboard")
        assert rows(alice) == [("Join",)]
        assert (await alice.pay()).ok
        assert alice.subscriptions()

    async def test_only_subscriptions_are_offered_so(self, kiosk: Kiosk) -> None:
        with pytest.raises(ValidationError, match="stage_id: must be of a subscription"):
            subscription_keyboard("premium", neonpay=kiosk.pay)
        with pytest.raises(ValidationError, match="link: must be the https address of an invoice"):
            subscription_keyboard("club", link="club")


class TestCatalog:
    @pytest.fixture(autouse=True)
    def stages(self, kiosk: Kiosk) -> None:
        for stage_id in list(kiosk.pay.list_payment_stages()):
            kiosk.pay.remove_payment_stage(stage_id)
        for number in range(1, 11):
            category = "Even numbers of a shop with a very long name of category" if number % 2 == 0 else "Odd"
            kiosk.pay.create_payment_stage(
                f"{number:-<64}", PaymentStage(f"Item {number}", "d", number, category=category)
            )
        kiosk.keyboard = lambda: catalog_keyboard(kiosk.pay, per_page=4)

    @staticmethod
    def items(user: BotUser, chat: SandboxGroup | None = None) -> list[str]:
        return [row[0] for row in rows(user, chat) if row[0].startswith("Item")]

    async def test_ten_products_are_three_pages(self, sandbox: BotSandbox, alice: BotUser) -> None:
        await alice.send("/keyboard")
        assert self.items(alice) == [f"Item {number}, {number} ⭐" for number in (1, 2, 3, 4)]
        assert rows(alice)[-1] == ("1/3", "›")
        await alice.tap("›")
        assert rows(alice)[-1] == ("‹", "2/3", "›")
        await alice.tap("›")
        assert self.items(alice) == ["Item 9, 9 ⭐", "Item 10, 10 ⭐"]
        assert rows(alice)[-1] == ("‹", "3/3")
        await alice.tap("3/3")
        await alice.tap("Item 9")
        assert (await alice.pay()).amount == 9
        assert len([message for message in alice.messages() if message.text == "Choose"]) == 1
        assert sandbox.calls.send_message[0].ok
        assert max(len(b.callback_data or "") for b in buttons(catalog_keyboard_of(sandbox))) <= 64

    async def test_categories_are_chosen_in_place(self, sandbox: BotSandbox, alice: BotUser) -> None:
        await alice.send("/keyboard")
        assert rows(alice)[0] == ("• All •", "Odd", "Even numbers of a shop with a very long name of category")
        await alice.tap("›")
        await alice.tap("Odd")
        assert rows(alice)[0][:2] == ("All", "• Odd •")
        assert self.items(alice) == [f"Item {number}, {number} ⭐" for number in (1, 3, 5, 7)]
        await alice.tap("›")
        assert self.items(alice) == ["Item 9, 9 ⭐"]
        await alice.tap("All")
        assert len(self.items(alice)) == 4

    async def test_one_category_alone(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        kiosk.keyboard = lambda: catalog_keyboard(kiosk.pay, category="Odd", per_page=3)
        await alice.send("/keyboard")
        assert rows(alice) == [("Item 1, 1 ⭐",), ("Item 3, 3 ⭐",), ("Item 5, 5 ⭐",), ("1/2", "›")]
        await alice.tap("›")
        assert rows(alice) == [("Item 7, 7 ⭐",), ("Item 9, 9 ⭐",), ("‹", "2/2")]
        with pytest.raises(ValidationError, match=r"category: must be a category of a stage: Even .*, Odd; got"):
            catalog_keyboard(kiosk.pay, category="odd")

    async def test_rows_of_the_bot_stay_where_they_are(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        def around() -> InlineKeyboardMarkup:
            ours = catalog_keyboard(kiosk.pay, per_page=4).inline_keyboard
            top, bottom = ([InlineKeyboardButton(text=text, callback_data=text)] for text in ("News", "Back"))
            return InlineKeyboardMarkup(inline_keyboard=[top, *ours, *donate_keyboard([5]).inline_keyboard, bottom])

        kiosk.pay.create_payment_stage("donate", PaymentStage("Donation", "d", None, category="Odd"))
        kiosk.keyboard = around
        await alice.send("/keyboard")
        await alice.tap("›")
        found = rows(alice)
        assert (found[0], found[-3], found[-2:]) == (("News",), ("‹", "2/3", "›"), [("5 ⭐",), ("Back",)])

    async def test_what_is_gone_goes_and_prices_are_those_of_now(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        await alice.send("/keyboard")
        kiosk.pay.remove_payment_stage(f"{1:-<64}")
        kiosk.pay.create_payment_stage(f"{2:-<64}", PaymentStage("Item 2", "d", 22), replace=True)
        assert await alice.tap("Item 1,") == "This product is not sold any more."
        assert self.items(alice) == ["Item 2, 22 ⭐", "Item 3, 3 ⭐", "Item 4, 4 ⭐"]
        kiosk.pay.create_payment_stage(f"{3:-<64}", PaymentStage("Item 3", "d", 33), replace=True)
        assert await alice.tap("Item 3") == "Item 3: the price is 33 ⭐ now."
        assert self.items(alice) == ["Item 2, 22 ⭐", "Item 3, 33 ⭐", "Item 4, 4 ⭐"]
        assert (await alice.pay()).amount == 33

    async def test_a_page_that_is_no_more_is_the_last_one(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        await alice.send("/keyboard")
        await alice.tap("Odd")
        await alice.tap("All")
        await alice.tap("›")
        for number in range(5, 11):
            kiosk.pay.remove_payment_stage(f"{number:-<64}")
        await alice.tap("›")
        assert len(self.items(alice)) == 4
        assert rows(alice)[-1] == ("Item 4, 4 ⭐",)

    async def test_an_empty_shop_says_so(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        await alice.send("/keyboard")
        for stage_id in kiosk.pay.list_payment_stages():
            kiosk.pay.remove_payment_stage(stage_id)
        assert await alice.tap("›") == "Nothing is on sale at the moment."

    async def test_in_a_group_each_buys_for_themselves(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        bob = sandbox.user("Bob", stars=10)
        group = sandbox.sandbox.create_group("Club", [alice, bob])
        await alice.send("/keyboard", chat=group)
        await bob.tap("›", chat=group)
        await bob.tap("Item 5", chat=group)
        assert not (await alice.pay(chat=group)).ok
        assert (await bob.pay(chat=group)).ok


def buttons(keyboard: InlineKeyboardMarkup) -> list[InlineKeyboardButton]:
    return [button for row in keyboard.inline_keyboard for button in row]


def catalog_keyboard_of(sandbox: BotSandbox) -> InlineKeyboardMarkup:
    keyboard: InlineKeyboardMarkup = sandbox.calls.edit_message_reply_markup.last.reply_markup
    return keyboard


def tapped(user: BotUser, message: Any, data: str) -> dict[str, Any]:
    """A tap as Telegram tells of it, for a worker that gets it by another way."""
    chat = {"id": user.id, "type": "private", "first_name": user.name}
    person = {"id": user.id, "is_bot": False, "first_name": user.name, "language_code": "en"}
    shown = {"message_id": message.id, "date": 1, "chat": chat, "text": "Choose"}
    tapped.number += 1  # type: ignore[attr-defined]
    number = tapped.number  # type: ignore[attr-defined]
    query = {"id": str(number), "from": person, "chat_instance": "1", "data": data, "message": shown}
    return {"update_id": 10**8 + number, "callback_query": query}


tapped.number = 0  # type: ignore[attr-defined]


def written(user: BotUser, text: str) -> dict[str, Any]:
    chat = {"id": user.id, "type": "private", "first_name": user.name}
    person = {"id": user.id, "is_bot": False, "first_name": user.name, "language_code": "en"}
    return {
        "update_id": 10**7,
        "message": {"message_id": 10**6, "date": 1, "chat": chat, "from": person, "text": text},
    }


async def feed(dp: Dispatcher, bot: Bot, update: dict[str, Any]) -> None:
    await dp.feed_raw_update(bot, update)


async def test_the_shop_is_injected_where_keyboards_are_made(kiosk: Kiosk) -> None:
    made: list[NeonPay] = []

    @kiosk.dp.message(Command("shop"))
    async def shop(message: Message, neonpay: NeonPay) -> None:
        made.append(neonpay)
        await message.answer("Choose", reply_markup=catalog_keyboard(neonpay))

    kiosk.dp.message.handlers.insert(0, kiosk.dp.message.handlers.pop())
    async with BotSandbox(kiosk.dp) as sandbox:
        alice = sandbox.user("Alice", language_code="ru")
        await alice.send("/shop")
        assert ("Club, 100 ⭐ в месяц",) in rows(alice)
    assert made


class TestElsewhere:
    """Keyboards under inline-mode messages, other ways to keep states, several workers."""

    async def test_a_keyboard_of_an_inline_message_sells_in_the_persons_own_chat(self, kiosk: Kiosk) -> None:
        for number in range(5):
            kiosk.pay.create_payment_stage(f"item{number}", PaymentStage(f"Item {number}", "d", number + 1))

        @kiosk.dp.inline_query()
        async def offer(query: InlineQuery, neonpay: NeonPay) -> None:
            shown = catalog_keyboard(neonpay, per_page=4)
            words = InputTextMessageContent(message_text="Choose")
            await query.answer(
                [InlineQueryResultArticle(id="1", title="Shop", input_message_content=words, reply_markup=shown)]
            )

        async with BotSandbox(kiosk.dp) as sandbox:
            alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob", stars=100)
            group = sandbox.sandbox.create_group("Club", [alice, bob])
            await alice.inline("shop")
            await alice.send_inline("1", chat=group)
            assert await bob.tap("Premium", chat=group) == (
                "I may not write to you. Open our chat, press Start, then tap again."
            )
            await bob.send("/start")
            assert await bob.tap("Premium", chat=group) is None
            assert (await bob.pay()).amount == 25
            await bob.tap("›", chat=group)
            assert await bob.tap("Item 0", chat=group) is None
            assert (await bob.pay()).amount == 1
            await bob.tap("‹", chat=group)
            await bob.tap("Donation", chat=group)
            await bob.send("33")
            assert (await bob.pay()).amount == 33

    @pytest.mark.parametrize("strategy", list(FSMStrategy))
    async def test_by_every_strategy_of_states_only_the_answer_of_who_tapped_counts(
        self, strategy: FSMStrategy
    ) -> None:
        pay = neonpay_router({"donate": PaymentStage("Donation", "d", None)})
        dp = Dispatcher(fsm_strategy=strategy)
        dp.include_router(pay)
        dp.message(Command("keyboard"))(
            lambda message: message.answer("Choose", reply_markup=donate_keyboard([5], custom=True))
        )
        async with BotSandbox(dp) as sandbox:
            alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob", stars=100)
            group = sandbox.sandbox.create_group("Club", [alice, bob])
            await bob.send("/start")
            await alice.send("/keyboard", chat=group)
            await alice.tap("Other", chat=group)
            await bob.send("30", chat=group)
            await bob.send("/cancel", chat=group)
            await alice.send("31")
            assert invoices(sandbox) == []
            await alice.send("32", chat=group)
            assert invoices(sandbox) == [(group.id, 32)]
            assert (await alice.pay(chat=group)).ok

    async def test_another_worker_may_get_the_answer(self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk) -> None:
        kiosk.keyboard = lambda: donate_keyboard([5], custom=True)
        await alice.send("/keyboard")
        await alice.tap("Other")
        worker = Dispatcher(storage=kiosk.dp.storage)
        worker.include_router(neonpay_router(kiosk.pay.list_payment_stages()))
        await feed(worker, sandbox.bot, written(alice, "30"))
        assert invoices(sandbox) == [(alice.id, 30)]
        await alice.send("31")
        assert kiosk.heard == ["31"]

    async def test_a_stage_that_comes_later_may_ask_too(self) -> None:
        pay = neonpay_router({})
        dp = Dispatcher()
        dp.include_router(pay)
        dp.message(Command("keyboard"))(
            lambda message: message.answer("Choose", reply_markup=donate_keyboard([5], custom=True))
        )
        async with BotSandbox(dp) as sandbox:
            alice = sandbox.user("Alice", stars=100)
            await alice.send("/start")
            pay.create_payment_stage("donate", PaymentStage("Donation", "d", None))
            await alice.send("/keyboard")
            await alice.tap("Other")
            await alice.send("30")
            assert (await alice.pay()).amount == 30

    async def test_the_bots_own_locale_is_spoken(self, kiosk: Kiosk, tmp_path: Path) -> None:
        ConstI18nMiddleware("az", I18n(path=tmp_path)).setup(kiosk.dp)
        kiosk.keyboard = lambda: buy_keyboard("club", "donate")
        async with BotSandbox(kiosk.dp) as sandbox:
            person = sandbox.user("Person", language_code="ru")
            await person.send("/keyboard")
            assert rows(person)[0] == ("Club, ayda 100 ⭐",)
            await person.tap("Donation")
            assert last(person).buttons == (("Ləğv et",),)
            await person.send("çox")
            assert last(person).text == "Tam ədəd yazın, məsələn 2, və ya /cancel."

    async def test_a_keyboard_in_a_business_chat_sells_to_who_tapped_in_their_own_chat_with_the_bot(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk
    ) -> None:
        bob = sandbox.user("Bob")  # whose customer Alice is
        await alice.send("/start")
        await bob.send("/start")
        kiosk.keyboard = lambda: catalog_keyboard(kiosk.pay, per_page=2)
        await alice.send("/keyboard")
        shown = last(alice)

        async def tap(user: BotUser, data: str) -> Any:
            update = tapped(alice, shown, data)
            update["callback_query"]["from"]["id"] = user.id
            update["callback_query"]["message"]["business_connection_id"] = "b1"
            await feed(kiosk.dp, sandbox.bot, update)
            return sandbox.calls.answer_callback_query.last.text

        assert await tap(alice, buy_keyboard("premium").inline_keyboard[0][0].callback_data or "") is None
        await tap(bob, buy_keyboard("premium").inline_keyboard[0][0].callback_data or "")
        assert invoices(sandbox) == [(alice.id, 25), (bob.id, 25)]
        # Its answer would be awaited in the business chat, and the question stand in another one.
        other = donate_keyboard([5], custom=True).inline_keyboard[1][0].callback_data or ""
        assert await tap(alice, other) == "This is not available at the moment."

        await tap(alice, "nppage::0:1:2")
        turned = sandbox.calls.edit_message_reply_markup.last
        assert (turned.business_connection_id, turned.message_id) == ("b1", shown.id)

    @pytest.mark.parametrize("data", ["nppage::0:0:0", "nppage::0:0:-3", "nppage::0:0:5000"])
    async def test_a_page_of_no_size_that_a_forged_button_asks_for_is_not_made(
        self, sandbox: BotSandbox, alice: BotUser, kiosk: Kiosk, data: str
    ) -> None:
        kiosk.keyboard = lambda: catalog_keyboard(kiosk.pay)
        await alice.send("/keyboard")
        with pytest.raises(AssertionError, match="the bot's own handler"):  # no button of ours
            await feed(kiosk.dp, sandbox.bot, tapped(alice, last(alice), data))
        assert len(sandbox.calls.edit_message_reply_markup) == 0
