"""/terms and /paysupport: a buyer finds somebody who sees their payment, and gets an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiogram import Bot, Dispatcher, Router
from aiogram.client.default import DefaultBotProperties
from aiogram.filters import Command, StateFilter
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import BotCommand, Message

from aiogram_neonpay import (
    ConfigurationError,
    NeonPay,
    PaymentCompleted,
    PaymentStage,
    ValidationError,
    donate_keyboard,
    neonpay_router,
    support_router,
)
from aiogram_neonpay.sandbox import ChatMessage, people
from aiogram_neonpay.storefront.support.desk import TEXT_UNITS
from aiogram_neonpay.testing import BotSandbox, BotUser, SandboxOptions

pytestmark = pytest.mark.asyncio

BROKEN = "broken"


class Form(StatesGroup):
    name = State()


class Shop:
    """A shop with a form to be in the middle of, a command of its own, and a catch-all behind everything."""

    def __init__(self) -> None:
        self.pay = neonpay_router(
            {"premium": PaymentStage("Premium", "30 days", 25), BROKEN: PaymentStage("Broken", "Fails", 5)}, retries=()
        )
        self.dp = Dispatcher()
        self.router = Router()
        self.heard: list[str] = []
        self.dp.include_routers(self.pay)
        self.pay.completed(self.deliver)
        self.router.message(Command("form"))(self.form)
        self.router.message(Command("buy"))(self.buy)
        self.router.message(Command("menu"))(self.menu)
        self.router.message(Form.name)(self.fill)
        self.router.message()(self.chat)

    async def deliver(self, event: PaymentCompleted) -> None:
        if event.stage_id == BROKEN:
            raise KeyError("broken on purpose")

    async def form(self, message: Message, state: FSMContext) -> None:
        await state.set_state(Form.name)
        await state.update_data(kept=1)

    async def buy(self, message: Message, neonpay: NeonPay) -> None:
        await neonpay.answer_payment(message, (message.text or "").partition(" ")[2] or "premium")

    async def menu(self, message: Message) -> None:
        await message.answer("The menu")

    async def fill(self, message: Message, state: FSMContext) -> None:
        assert (await state.get_data()) == {"kept": 1}
        self.heard.append(f"name: {message.text}")

    async def chat(self, message: Message) -> None:
        self.heard.append(message.text or "?")


class Scene:
    """A shop in a sandbox with a buyer, an admin and the admins' group."""

    def __init__(self, sandbox: BotSandbox, shop: Shop) -> None:
        self.sandbox, self.shop = sandbox, shop
        self.alice = sandbox.user("Alice", stars=100, username="alice")
        self.admin = sandbox.user("Olga")
        self.group = sandbox.sandbox.create_group("Support", [self.admin])

    def open(self, **options: Any) -> None:
        """Include the support, as the test wants it, before the shop's own handlers."""
        self.shop.dp.include_routers(support_router(**{"chat": self.group.id, **options}), self.shop.router)

    async def bought(self, stage_id: str = "premium") -> str:
        await self.alice.send(f"/buy {stage_id}")
        await self.alice.pay()
        return str((await self.shop.pay.history(self.alice.id))[0].reference)

    def posted(self) -> list[ChatMessage]:
        return [message for message in self.group.messages() if message.from_bot]

    def said(self, user: BotUser | None = None) -> list[str]:
        return [message.text for message in (user or self.alice).messages() if message.from_bot]


@pytest.fixture
def options() -> SandboxOptions:
    return SandboxOptions()


@pytest_asyncio.fixture
async def scene(options: SandboxOptions) -> AsyncIterator[Scene]:
    shop = Shop()
    async with BotSandbox(shop.dp, options) as sandbox:
        yield Scene(sandbox, shop)


# The conversation


async def test_a_command_that_interrupts_is_handled_in_the_state_that_was_there_before(scene: Scene) -> None:
    async def begin(message: Message) -> None:
        await message.answer("Begun")

    scene.shop.router.message.handlers.clear()
    scene.shop.router.message.register(begin, StateFilter(None), Command("begin"))
    scene.open()
    await scene.alice.send("/paysupport")
    await scene.alice.send("/begin")
    assert scene.said()[-1] == "Begun"
    await scene.alice.send("/paysupport")
    await scene.alice.send("/terms")
    assert "Terms of sale" in scene.said()[-1]
    await scene.alice.send("/begin")
    assert scene.said()[-1] == "Begun"


async def test_a_conversation_left_while_an_amount_is_asked_for_takes_nothing_afterwards(scene: Scene) -> None:
    async def give(message: Message) -> None:
        await message.answer("How much?", reply_markup=donate_keyboard([1], custom=True, stage_id="tip"))

    scene.shop.pay.create_payment_stage("tip", PaymentStage("Tip", "Any", None))
    scene.shop.dp.message.register(give, Command("give"))
    scene.open()
    await scene.alice.send("/give")
    keyboard = scene.alice.messages()[-1]
    await scene.alice.send("/form")
    await scene.alice.send("/paysupport")
    question = scene.alice.messages()[-1]
    await scene.alice.tap("Other amount", message=keyboard)
    await scene.alice.tap("Cancel", message=question)
    await scene.alice.send("7")
    assert (await scene.alice.pay()).ok
    await scene.alice.send("Alice")
    assert (scene.posted(), scene.shop.heard) == ([], ["name: Alice"])


async def test_a_question_reaches_the_admins_with_its_payment_and_the_answer_comes_back(scene: Scene) -> None:
    scene.open()
    reference = await scene.bought()
    await scene.alice.send("/paysupport")
    await scene.alice.tap("Premium · 25 ⭐")
    assert "Write your question" in scene.said()[-1]
    question = await scene.alice.send("Where is my premium?")
    assert scene.said()[-1] == "Your message was passed on. The answer comes here."

    (post,) = scene.posted()
    assert post.text.startswith(f"#u{scene.alice.id} #m{question.id} #len #p{reference}\n")
    for fact in ("Alice @alice", f"Payment {reference}: Premium (premium), 25 Stars", "Status: paid and delivered"):
        assert fact in post.text
    assert post.text.endswith("\n\nWhere is my premium?")

    await scene.admin.send("It is on", chat=scene.group, reply_to=post)
    answer = scene.alice.messages()[-1]
    assert (answer.text, answer.raw["reply_to_message"]["message_id"]) == ("It is on", question.id)
    assert scene.sandbox.calls.set_message_reaction.last.ok

    await scene.alice.tap("Write back")
    await scene.alice.send("Thanks!")
    assert len(scene.posted()) == 2
    assert f"#p{reference}" in scene.posted()[-1].text and scene.posted()[-1].text.endswith("Thanks!")
    assert scene.alice.messages()[-4].text == "It is on"  # the answer stays
    assert scene.shop.heard == []
    assert [message.buttons for message in scene.alice.messages() if message.buttons] == [(("Write back",),)]


async def test_a_question_about_no_payment(scene: Scene) -> None:
    scene.open()
    await scene.bought()
    await scene.alice.send("/paysupport")
    await scene.alice.tap("Something else")
    await scene.alice.send("Do you take cash?")
    assert "No payment was chosen." in scene.posted()[0].text


async def test_somebody_who_never_bought_is_asked_at_once(scene: Scene) -> None:
    scene.open()
    await scene.alice.send("/paysupport")
    await scene.alice.send("Hello?")
    assert scene.posted()[0].text.endswith("Hello?")


async def test_a_payment_that_waits_or_was_refunded_says_so(scene: Scene) -> None:
    scene.open()
    reference = await scene.bought(BROKEN)
    await scene.alice.send("/paysupport")
    await scene.alice.tap("Broken")
    await scene.alice.send("Nothing came")
    assert "paid, not delivered, waits for you (every attempt to deliver it failed)" in scene.posted()[-1].text
    await scene.shop.pay.refund(reference)
    await scene.sandbox.settle()
    await scene.alice.send("/paysupport")
    await scene.alice.tap("Broken")
    await scene.alice.send("And now?")
    assert "Status: refunded" in scene.posted()[-1].text


async def test_files_are_passed_on_with_their_caption_and_other_things_are_not(scene: Scene) -> None:
    scene.open()
    await scene.alice.send("/paysupport")
    await scene.alice.send_location(40.4, 49.9)
    assert "This cannot be passed on" in scene.said()[-1] and scene.posted() == []
    await scene.alice.send_file(kind="photo", caption="My screen")
    (post,) = scene.posted()
    assert "photo" in post.raw and post.text.startswith("#u") and post.text.endswith("\n\nMy screen")
    await scene.admin.send_file(kind="document", chat=scene.group)
    assert "document" not in scene.alice.messages()[-1].raw
    await scene.admin.send("I see", chat=scene.group, reply_to=post)
    assert scene.said()[-1] == "I see"


async def test_what_is_too_long_for_one_message_comes_in_several_that_can_be_answered(scene: Scene) -> None:
    scene.open()
    await scene.alice.send("/paysupport")
    await scene.alice.send("🌟" * (TEXT_UNITS // 2))
    first, second = scene.posted()
    assert (first.text + second.text).count("🌟") == TEXT_UNITS // 2
    await scene.admin.send("Shorter, please", chat=scene.group, reply_to=second)
    assert scene.said()[-1] == "Shorter, please"

    await scene.alice.send("/paysupport")
    await scene.alice.send_file(kind="photo", caption="x" * 1024)
    assert "photo" in scene.posted()[2].raw and scene.posted()[3].text.endswith("x" * 1024)


async def test_the_buyer_is_brought_back_to_what_they_were_doing(scene: Scene) -> None:
    scene.open()
    await scene.alice.send("/form")
    for question in ("One", "Two"):
        await scene.alice.send("/paysupport")
        await scene.alice.send(question)
        await scene.alice.send("Alice")
        assert scene.shop.heard[-1] == "name: Alice"
    await scene.alice.send("/paysupport")
    await scene.alice.tap("Cancel")
    assert scene.said()[-1] == "All right, nothing was sent."
    await scene.alice.send("Alice")
    assert scene.shop.heard == ["name: Alice"] * 3
    assert len(scene.posted()) == 2


async def test_cancelling_and_other_commands_end_it(scene: Scene) -> None:
    scene.open()
    await scene.alice.send("/paysupport")
    await scene.alice.send("/cancel")
    assert scene.said()[-1] == "All right, nothing was sent."
    await scene.alice.send("one")
    await scene.alice.send("/paysupport")
    await scene.alice.send("/menu")
    assert scene.said()[-1] == "The menu"
    await scene.alice.send("two")
    await scene.alice.send("/paysupport")
    await scene.alice.send("/paysupport")
    await scene.alice.send("/terms")
    assert "Terms of sale" in scene.said()[-1]
    await scene.alice.send("three")
    await scene.alice.send("/cancel")  # the bot's own, while nothing is asked
    assert scene.shop.heard == ["one", "two", "three", "/cancel"]
    assert scene.posted() == []


async def test_nobody_floods_the_admins(scene: Scene) -> None:
    scene.open(per_hour=2)
    for number in range(2):
        await scene.alice.send("/paysupport")
        await scene.alice.send(f"Question {number}")
    await scene.alice.send("/paysupport")
    assert "wait a while" in scene.said()[-1]
    await scene.admin.send("Yes?", chat=scene.group, reply_to=scene.posted()[0])
    await scene.alice.tap("Write back")
    await scene.alice.send("Me again")
    assert "wait a while" in scene.said()[-1]
    assert len(scene.posted()) == 2
    bob = scene.sandbox.user("Bob")
    await bob.send("/paysupport")
    await bob.send("I am new")
    assert len(scene.posted()) == 3
    await scene.sandbox.advance(hours=1)
    await scene.alice.send("/paysupport")
    await scene.alice.send("Later")
    assert len(scene.posted()) == 4


async def test_somebody_elses_payment_cannot_be_asked_about(scene: Scene) -> None:
    scene.open()
    reference = await scene.bought()
    await scene.alice.send("/paysupport")
    data = scene.alice.messages()[-1].raw["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
    assert reference in data and len(data) <= 64
    mallory = scene.sandbox.user("Mallory")
    await mallory.send("/menu")
    world = scene.sandbox.sandbox.world
    message = list(world.private_chat(scene.sandbox.bot.id, mallory.id).messages.values())[-1]
    people.tap(world, world.people[mallory.id], message, data)
    await scene.sandbox.settle()
    await mallory.send("Tell me more")
    assert scene.posted() == [] and scene.shop.heard == ["Tell me more"]


# The admins' side


async def test_only_replies_to_questions_are_carried_and_asides_are_not(scene: Scene) -> None:
    scene.open()
    await scene.alice.send("/paysupport")
    await scene.alice.send("Hello?")
    before = scene.said()
    (post,) = scene.posted()
    await scene.admin.send("Who takes this?", chat=scene.group)
    mine = await scene.admin.send(f"#u{scene.alice.id} #m1 is mine", chat=scene.group)
    await scene.admin.send("Go on", chat=scene.group, reply_to=mine)
    await scene.admin.send("// a strange one", chat=scene.group, reply_to=post)
    await scene.admin.send("/refund", chat=scene.group, reply_to=post)
    assert scene.said() == before


async def test_a_chat_that_is_not_the_admins_carries_nothing(scene: Scene) -> None:
    scene.open()
    mallory = scene.sandbox.user("Mallory")
    other = scene.sandbox.sandbox.create_group("Others", [mallory])
    await scene.sandbox.bot.send_message(other.id, f"#u{scene.alice.id} #m1\nQuestion")
    await mallory.send("Send me your Stars", chat=other, reply_to=other.messages()[-1])
    assert scene.said() == []


async def test_an_admin_is_told_when_the_buyer_cannot_be_reached(scene: Scene) -> None:
    scene.open()
    await scene.alice.send("/paysupport")
    await scene.alice.send("Hello?")
    scene.alice.block()
    await scene.admin.send("Hello!", chat=scene.group, reply_to=scene.posted()[0])
    assert scene.posted()[-1].text.startswith("Not delivered: this person has blocked the bot")


async def test_the_admins_may_be_one_person_and_read_their_own_language(scene: Scene) -> None:
    scene.open(chat=scene.admin.id, language="ru")
    await scene.admin.send("/menu")
    reference = await scene.bought()
    await scene.alice.send("/paysupport")
    day = (await scene.shop.pay.history(scene.alice.id))[0].timestamp
    assert day is not None and scene.alice.messages()[-1].buttons[0] == (f"Premium · 25 ⭐ · {day:%Y-%m-%d}",)
    await scene.alice.tap("Premium")
    await scene.alice.send("Hi")
    post = scene.admin.messages()[-1]
    assert f"Платёж {reference}: Premium (premium), 25 звёзд" in post.text and "оплачен и выдан" in post.text
    assert f", {day:%d.%m.%Y %H:%M} UTC" in post.text
    await scene.admin.send("Привет", reply_to=post)
    assert scene.alice.messages()[-1].buttons == (("Write back",),)


async def test_a_chat_that_cannot_be_reached_costs_the_buyer_no_silence(scene: Scene) -> None:
    scene.open(chat=-100_999, contact="@owner")
    await scene.alice.send("/paysupport")
    await scene.alice.send("Hello?")
    assert scene.said()[-1] == "Your message could not be passed on. Please write to @owner."
    await scene.alice.send("free again")
    assert scene.shop.heard == ["free again"]


@pytest.mark.parametrize("options", [SandboxOptions(bot_defaults=DefaultBotProperties(parse_mode="MarkdownV2"))])
async def test_a_bot_with_a_parse_mode_passes_on_what_was_written(scene: Scene) -> None:
    scene.open()
    await scene.bought()
    await scene.alice.send("/terms")
    await scene.alice.send("/paysupport")
    await scene.alice.tap("Premium")
    await scene.alice.send("*_[ <b>")
    assert scene.posted()[0].text.endswith("*_[ <b>")
    assert scene.sandbox.errors == []


async def test_in_a_group_it_leads_to_the_private_chat(scene: Scene) -> None:
    scene.open()
    bob = scene.sandbox.user("Bob")
    friends = scene.sandbox.sandbox.create_group("Friends", [bob])
    await bob.send("/paysupport", chat=friends)
    assert [message.text for message in friends.messages() if message.from_bot] == [
        "Questions about payments are answered in private."
    ]
    await bob.tap("Ask in private")
    await bob.send("Private matters")
    assert scene.posted()[0].text.endswith("Private matters")


# What the commands say


async def test_the_terms_by_default_name_the_bot_and_its_contact_in_the_buyers_language() -> None:
    shop = Shop()
    shop.dp.include_router(support_router(contact="@owner"))
    async with BotSandbox(shop.dp) as sandbox:
        for language, words in (("en", "Terms of sale of"), ("ru", "Условия продажи"), ("az", "satış şərtləri")):
            user = sandbox.user("Somebody", language_code=language)
            for command in ("/terms", "/paysupport"):
                await user.send(command)
                assert "@test_bot" in user.messages()[-1].text and "@owner" in user.messages()[-1].text
            assert words in user.messages()[-3].text


async def test_authors_say_it_in_their_own_words() -> None:
    shop = Shop()

    async def paysupport(message: Message, neonpay: NeonPay, bot: Bot) -> str | None:
        assert isinstance(neonpay, NeonPay)
        if message.from_user is not None and message.from_user.language_code == "ru":
            await message.answer("По-русски")
            return None
        return f"Ask {bot.id}"

    shop.dp.include_router(support_router(terms="My terms", paysupport=paysupport))
    async with BotSandbox(shop.dp) as sandbox:
        bob = sandbox.user("Bob")
        await bob.send("/terms")
        await bob.send("/paysupport")
        ivan = sandbox.user("Ivan", language_code="ru")
        await ivan.send("/paysupport")
        assert [m.text for m in bob.messages() if m.from_bot] == ["My terms", f"Ask {sandbox.bot.id}"]
        assert [m.text for m in ivan.messages() if m.from_bot] == ["По-русски"]


async def test_commands_join_the_bots_own_in_every_language() -> None:
    shop = Shop()
    own, russian = BotCommand(command="buy", description="Buy"), BotCommand(command="buy", description="Купить")

    async def on_startup(bot: Bot) -> None:
        await bot.set_my_commands([own])
        await bot.set_my_commands([russian], language_code="ru")

    shop.dp.startup.register(on_startup)
    shop.dp.include_router(support_router(contact="@owner", commands=True))
    async with BotSandbox(shop.dp) as sandbox:

        async def menu(language: str | None) -> list[tuple[str, str]]:
            found = await sandbox.bot.get_my_commands(language_code=language)
            return [(command.command, command.description) for command in found]

        ours = [("terms", "Terms of sale"), ("paysupport", "Help with a payment")]
        assert await menu(None) == [("buy", "Buy"), *ours]
        assert await menu("ru") == [
            ("buy", "Купить"),
            ("terms", "Условия продажи"),
            ("paysupport", "Помощь с платежом"),
        ]
        assert (await menu("az"))[0] == ("buy", "Buy")
        assert [name for name, _ in await menu("az")] == ["buy", "terms", "paysupport"]
        sandbox.calls.clear()
        await shop.dp.emit_startup(bot=sandbox.bot, dispatcher=shop.dp, **shop.dp.workflow_data)
        # on_startup writes its own two; ours follow for what they changed, and not for the third.
        assert len(sandbox.calls.set_my_commands) == 4


async def test_a_telegram_that_refuses_commands_does_not_keep_the_bot_from_starting() -> None:
    shop = Shop()
    shop.dp.include_router(support_router(contact="@owner", commands=True))
    async with BotSandbox(shop.dp) as sandbox:
        sandbox.faults.add("getMyCommands", error=500)
        await shop.dp.emit_startup(bot=sandbox.bot, dispatcher=shop.dp, **shop.dp.workflow_data)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, ConfigurationError),
        ({"terms": "Terms"}, ConfigurationError),
        ({"contact": " "}, ValidationError),
        ({"chat": "@admins"}, ValidationError),
        ({"chat": 0}, ValidationError),
        ({"contact": "@owner", "message_thread_id": 3}, ValidationError),
        ({"chat": 1, "per_hour": 0}, ValidationError),
        ({"chat": 1, "language": ""}, ValidationError),
        ({"contact": "@owner", "terms": ""}, ValidationError),
        ({"contact": "@owner", "terms": 5}, ConfigurationError),
        ({"paysupport": lambda message: "text"}, ConfigurationError),
    ],
)
async def test_a_support_that_leads_nowhere_is_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        support_router(**options)
