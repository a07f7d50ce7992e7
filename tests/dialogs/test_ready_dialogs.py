"""The ready dialogs as buyers meet them, in the sandbox: shop, donations, purchases, subscriptions."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiogram import Dispatcher
from aiogram.filters import Command, CommandObject
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import Message
from aiogram_dialog import Dialog, DialogManager, StartMode, Window, setup_dialogs
from aiogram_dialog.test_tools import MockMessageManager
from aiogram_dialog.widgets.kbd import Start
from aiogram_dialog.widgets.text import Const, Format

from aiogram_neonpay import ConfigurationError, PaymentCompleted, PaymentStage, ValidationError, neonpay_router
from aiogram_neonpay.dialogs import (
    DonateStates,
    PhraseText,
    PurchasesStates,
    ShopStates,
    donate_dialog,
    purchases_dialog,
    shop_dialog,
)
from aiogram_neonpay.testing import BotSandbox, BotUser
from tests.dialogs.stand import Client
from tests.telegram import BOB, RecordingBot

pytestmark = pytest.mark.asyncio

SONGS = {f"song{n}": PaymentStage(f"Song {n}", f"The song number {n}", n, category="Music") for n in range(1, 8)}
STAGES = {
    **SONGS,
    "owl": PaymentStage("Owl", "An owl on paper", 50, category="Prints", photo_url="https://example.org/owl.jpg"),
    "pass": PaymentStage("Week", "A week in the club", 30, access="club", access_for=7 * 86_400),
    "club": PaymentStage("Club", "By the month", 40, subscription=True, access="club"),
    "donate": PaymentStage("Gift", "Whatever you like", None, min_price=5, max_price=500),
}
STATES: dict[str, State] = {
    "shop": ShopStates.catalog,
    "donate": DonateStates.choose,
    "mine": PurchasesStates.purchases,
    "subs": PurchasesStates.subscriptions,
}


def bot_with(
    *dialogs: Dialog, stages: Any = None, handler: bool = True, texts: Any = None, message_manager: Any = None
) -> Dispatcher:
    """A bot that opens a ready dialog at the command of its name."""
    pay, dp = neonpay_router(STAGES if stages is None else stages, texts=texts), Dispatcher()
    if handler:
        pay.completed(deliver)

    @dp.message(Command(*STATES))
    async def open_dialog(message: Message, command: CommandObject, dialog_manager: DialogManager) -> None:
        data = {"stage_id": command.args} if command.args else None
        state = ShopStates.product if command.args else STATES[command.command]
        await dialog_manager.start(state, data, mode=StartMode.RESET_STACK)

    dp.include_routers(*dialogs, pay)
    setup_dialogs(dp, message_manager=message_manager)
    return dp


async def deliver(event: PaymentCompleted) -> None:
    await event.answer(f"Here is your {event.stage_id}")


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[BotSandbox]:
    async with BotSandbox(bot_with(shop_dialog(per_page=3), donate_dialog(), purchases_dialog())) as sandbox:
        yield sandbox


@pytest.fixture
def alice(sandbox: BotSandbox) -> BotUser:
    return sandbox.user("Alice", stars=1000)


def window(user: BotUser) -> tuple[str, list[str]]:
    """Return the newest message of the bot that is no invoice: its text and its buttons."""
    shown = [item for item in user.messages() if item.from_bot and (item.text or "caption" in item.raw)]
    message = shown[-1]
    return message.text or message.raw["caption"], [button for row in message.buttons for button in row]


async def walk(user: BotUser, *buttons: str) -> tuple[str, list[str]]:
    for button in buttons:
        await user.tap(button)
    return window(user)


# The shop


async def test_a_shop_leads_from_categories_over_pages_to_a_paid_product(sandbox: BotSandbox, alice: BotUser) -> None:
    await alice.send("/shop")
    heading, shelf = window(alice)
    assert heading == "What are you looking for?"
    assert shelf == [
        *("Music", "Prints", "Week — 30 ⭐", "Club — 40 ⭐ a month", "Gift — as much as you like"),
        "Close",
    ]
    heading, shelf = await walk(alice, "Music", ">")
    assert heading == "Music\n\nWhat would you like?"
    assert shelf[:3] == ["Song 4 — 4 ⭐", "Song 5 — 5 ⭐", "Song 6 — 6 ⭐"]
    assert await walk(alice, "Song 5") == ("Song 5\n\nThe song number 5\n\n5 ⭐", ["Buy: 5 ⭐", "Back"])
    await alice.tap("Buy")
    receipt = await alice.pay()
    assert receipt.ok and alice.balance == 995
    thanks, buttons = window(alice)
    (payment,) = await sandbox.dispatcher["neonpay"].history(alice.id)
    assert thanks == f"Thank you! Song 5 is paid: 5 Stars.\nReceipt: {payment.reference}"
    assert buttons == ["Back to the shop", "Close"]
    assert alice.messages()[-2].text == "Here is your song5"
    _, shelf = await walk(alice, "Back to the shop")
    assert shelf[0] == "Song 4 — 4 ⭐"  # where they were
    heading, _ = await walk(alice, "All categories")
    assert heading == "What are you looking for?"
    await walk(alice, "Close")
    assert not sandbox.errors


async def test_a_product_has_its_photo_and_tells_what_the_buyer_has(alice: BotUser) -> None:
    await alice.send("/shop owl")
    assert alice.messages()[-1].raw["caption"] == "Owl\n\nAn owl on paper\n\n50 ⭐"
    await alice.send("/shop pass")
    assert window(alice)[0] == "Week\n\nA week in the club\n\n30 ⭐"
    await alice.tap("Buy")
    await alice.pay()
    await alice.send("/shop pass")
    assert re.search(r"\n\nYou have this until \d{4}-\d\d-\d\d\.$", window(alice)[0])


@pytest.mark.parametrize(
    ("language", "left"),
    [
        ("en", "You have 3 uses left."),
        ("ru", "Можно использовать ещё 3 раза."),
        ("az", "Daha 3 dəfə istifadə edə bilərsiniz."),
    ],
)
async def test_a_product_that_is_counted_tells_how_often_it_can_be_used(language: str, left: str) -> None:
    stages = {"rides": PaymentStage("Rides", "On a carousel", 3, access="rides", uses=3)}
    async with BotSandbox(bot_with(shop_dialog(), stages=stages)) as sandbox:
        bob = sandbox.user("Bob", stars=10, language_code=language)
        await bob.send("/shop rides")
        await bob.tap("3 ⭐")
        await bob.pay()
        await bob.send("/shop rides")
        assert window(bob)[0] == f"Rides\n\nOn a carousel\n\n3 ⭐\n\n{left}"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "The invoice is in the chat already."),
        ("ru", "Счёт уже в чате."),
        ("az", "Hesab artıq çatdadır."),
    ],
)
async def test_a_second_tap_is_told_where_the_invoice_is(sandbox: BotSandbox, language: str, words: str) -> None:
    bob = sandbox.user("Bob", stars=10, language_code=language)
    await bob.send("/shop song5")
    assert await bob.tap("5 ⭐") is None
    assert await bob.tap("5 ⭐") == words
    assert len([message for message in bob.messages() if "invoice" in message.raw]) == 1


async def test_what_is_not_sold_any_more_is_not_offered(sandbox: BotSandbox, alice: BotUser) -> None:
    await alice.send("/shop")
    await walk(alice, "Prints")
    pay = sandbox.dispatcher["neonpay"]
    stage = STAGES["owl"]
    try:
        pay.remove_payment_stage("owl")
        assert await walk(alice, "Owl") == ("This product is not sold any more.", ["Back"])
        _, shelf = await walk(alice, "Back")
        assert "Music" not in shelf and shelf[0].startswith("Song 1")  # one category is left: none to choose
    finally:
        pay.create_payment_stage("owl", stage)


async def test_an_amount_of_ones_own_and_a_subscription_are_sold_in_the_shop_too(alice: BotUser) -> None:
    await alice.send("/shop")
    await walk(alice, "Gift", "+", "Give 20 ⭐")
    await alice.pay()
    assert window(alice)[0].startswith("Thank you! Gift is paid: 20 Stars.")
    await alice.send("/shop")
    await walk(alice, "Club", "Subscribe: 40 ⭐ a month")
    assert (await alice.pay()).ok
    assert window(alice)[0].startswith("Thank you! Club is paid: 40 Stars.")


async def test_a_shop_without_a_handler_is_delivered_by_its_on_paid() -> None:
    heard: list[str | None] = []

    async def on_paid(event: PaymentCompleted, widget: Any, manager: DialogManager) -> None:
        heard.append(event.stage_id)

    async with BotSandbox(bot_with(shop_dialog(on_paid=on_paid, category="Prints"), handler=False)) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/shop")
        assert window(alice) == ("What would you like?", ["Owl — 50 ⭐", "Close"])
        await walk(alice, "Owl", "Buy")
        await alice.pay()
        assert heard == ["owl"]
        assert window(alice)[0].startswith("Thank you! Owl")
        assert not await sandbox.dispatcher["neonpay"].stuck_payments()


async def test_a_shop_nobody_delivers_for_leaves_its_payments_to_a_person() -> None:
    async with BotSandbox(bot_with(shop_dialog(), handler=False)) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/shop owl")
        await alice.tap("Buy")
        await alice.pay()
        (waiting,) = await sandbox.dispatcher["neonpay"].stuck_payments()
        assert waiting.reason == "no_handler"


async def test_a_catalog_in_a_database_is_shown_through_a_getter() -> None:
    table = {"lamp": PaymentStage("Lamp", "A lamp", 9), "rug": PaymentStage("Rug", "A rug", None, max_price=30)}

    async def load(stage_id: str) -> PaymentStage | None:
        return table.get(stage_id)

    async def stages(bot: Any, **_: Any) -> dict[str, PaymentStage]:
        assert bot.id
        return table

    async with BotSandbox(bot_with(shop_dialog(stages=stages), stages=load)) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/shop")
        assert window(alice)[1] == ["Lamp — 9 ⭐", "Rug — as much as you like", "Close"]
        await walk(alice, "Lamp", "Buy: 9")
        await alice.pay()
        assert window(alice)[0].startswith("Thank you! Lamp")
        await walk(alice, "Back to the shop", "Rug", "+", "+", "+")
        assert "Give 30 ⭐" in window(alice)[1]


async def test_every_part_of_a_shop_can_be_replaced() -> None:
    class Own(StatesGroup):
        catalog, product, paid = State(), State(), State()
        about = State()

    about = Window(Const("We are owls."), state=Own.about)
    page = Window(Format("* {title} * {price}"), state=Own.product)
    button = Start(Const("More"), id="more", state=Own.about)
    own = shop_dialog(
        states=Own, category="Prints", catalog_text="Owls: {heading}", windows=[page, about], buttons=[button]
    )
    texts = {"en": {"shop_choose": "Pick!"}}
    dp = bot_with(shop_dialog(), own, texts=texts)

    @dp.message(Command("owls"))
    async def owls(message: Message, dialog_manager: DialogManager) -> None:
        await dialog_manager.start(Own.catalog, mode=StartMode.RESET_STACK)

    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/owls")
        assert window(alice) == ("Owls: Pick!", ["Owl — 50 ⭐", "More", "Close"])
        assert await walk(alice, "Owl") == ("* Owl * 50 ⭐", [])
        await alice.send("/owls")
        assert await walk(alice, "More") == ("We are owls.", [])


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: shop_dialog(per_page=0), "per_page"),
        (lambda: shop_dialog(states=DonateStates), "catalog"),
        (lambda: shop_dialog(stages={}), "stages"),  # type: ignore[arg-type]
        (lambda: shop_dialog(windows=[PhraseText("back_button")]), "windows"),  # type: ignore[list-item]
        (lambda: donate_dialog([0]), "amounts"),
        (lambda: donate_dialog(stage_id="?"), "stage_id"),
        (lambda: purchases_dialog(per_page=51), "per_page"),
    ],
)
async def test_what_cannot_work_is_refused_when_a_dialog_is_made(make: Any, names: str) -> None:
    with pytest.raises((ValidationError, ConfigurationError), match=names):
        make()


# Donations


async def test_donations_by_button_by_counter_and_written(sandbox: BotSandbox, alice: BotUser) -> None:
    await alice.send("/donate")
    heading, buttons = window(alice)
    assert heading.endswith("Choose how many Stars to give, or write a number from 5 to 500.")
    assert buttons == ["10 ⭐", "50 ⭐", "100 ⭐", "-", "Give 10 ⭐", "+", "Close"]
    await alice.tap("50 ⭐")
    await alice.pay()
    assert window(alice) == ("Thank you for 50 Stars!", ["Give more", "Close"])
    for wrong in ("a lot", "4", "501", "12.5", "-7"):
        await alice.send("/donate")
        await alice.send(wrong)
        assert "Please write a whole number from 5 to 500." in [message.text for message in alice.messages()[-2:]]
    await alice.send("77 ⭐")
    assert alice.messages()[-1].amount == 77
    await alice.pay()
    assert window(alice)[0] == "Thank you for 77 Stars!"
    assert alice.balance == 1000 - 50 - 77
    assert not sandbox.errors


@pytest.mark.parametrize("written", ["1 000 ⭐", "+1000", "1\u00a0000"])
async def test_a_donation_may_be_written_as_people_write_numbers(written: str) -> None:
    stages = {"donate": PaymentStage("Donation", "Any amount", None, max_price=2000)}
    async with BotSandbox(bot_with(donate_dialog(), stages=stages)) as sandbox:
        alice = sandbox.user("Alice", stars=1000)
        await alice.send("/donate")
        await alice.send(written)
        assert alice.messages()[-1].amount == 1000


@pytest.mark.parametrize(
    ("language", "thanks"),
    [("en", "Thank you for 21 Stars!"), ("ru", "Спасибо за 21 звезду!"), ("az", "21 ulduz üçün təşəkkürlər!")],
)
async def test_the_thanks_are_in_the_givers_language(sandbox: BotSandbox, language: str, thanks: str) -> None:
    someone = sandbox.user("Someone", stars=100, language_code=language)
    await someone.send("/donate")
    await someone.send("21")
    await someone.pay()
    assert window(someone)[0] == thanks


async def test_only_fixed_amounts_where_none_may_be_written() -> None:
    async with BotSandbox(bot_with(donate_dialog((5,), custom=False))) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/donate")
        await alice.send("20")
        assert window(alice)[0] == "Thank you for your support! Choose how many Stars to give."
        assert not sandbox.calls.send_invoice


# Purchases and subscriptions


async def buy(user: BotUser, sandbox: BotSandbox, *stage_ids: str) -> list[str]:
    pay = sandbox.dispatcher["neonpay"]
    charges = []
    for stage_id in stage_ids:
        receipt = await user.pay(link=await pay.create_link(stage_id, bot=sandbox.bot))
        charges.append(str(receipt.transaction_id))
    await sandbox.settle()
    return charges


async def test_purchases_are_listed_in_pages_with_receipts(sandbox: BotSandbox, alice: BotUser) -> None:
    await alice.send("/mine")
    assert window(alice) == ("You have not bought anything yet.", ["Close"])
    *_, charge = await buy(alice, sandbox, *SONGS)
    await alice.send("/mine")
    heading, lines = window(alice)
    assert heading == "Your purchases:"
    assert [line.partition(" — ")[0] for line in lines] == [
        "Song 7",
        "Song 6",
        "Song 5",
        "Song 4",
        "Song 3",
        "Older",
        "Close",
    ]
    _, lines = await walk(alice, "Older")
    assert [line.partition(" — ")[0] for line in lines] == ["Song 2", "Song 1", "Newer", "Close"]
    text, _ = await walk(alice, "Newer", "Song 7")
    pay = sandbox.dispatcher["neonpay"]
    payment = await pay.get_payment(charge)
    day = payment.timestamp.date().isoformat()
    assert text == f"Song 7\n\n7 Stars\n{day}\nPaid.\nReceipt: {payment.reference}"
    await pay.refund(charge, bot=sandbox.bot)
    text, _ = await walk(alice, "Back", "Song 7")
    assert "Refunded: your Stars are back." in text


async def test_nobody_sees_a_receipt_of_somebody_else() -> None:
    bot, messages = RecordingBot(), MockMessageManager()
    dp = bot_with(purchases_dialog(), message_manager=messages)
    owner, mallory = Client(dp, messages, bot), Client(dp, messages, bot, user_id=BOB)
    references = []
    for someone, stage_id, price in ((owner, "owl", 50), (mallory, "song1", 1)):
        await dp["neonpay"].send_payment(someone.user.id, stage_id, bot=bot)
        await someone.pay(bot, price)
        (payment,) = await dp["neonpay"].history(someone.user.id, bot=bot)
        references.append(payment.reference)
    await mallory.send("/mine")
    markup = messages.last_message().reply_markup
    assert markup is not None
    (button,) = markup.inline_keyboard[0]
    button.callback_data = str(button.callback_data).replace(references[1], references[0])
    await mallory.tap("Song 1.*")
    assert mallory.text == "This is not available at the moment."


async def test_a_subscription_is_cancelled_restored_and_resumed(sandbox: BotSandbox, alice: BotUser) -> None:
    await alice.send("/subs")
    assert window(alice)[0] == "You have no subscriptions."
    await buy(alice, sandbox, "club")
    await alice.send("/mine")
    text, buttons = await walk(alice, "My subscriptions", "Club")
    assert re.fullmatch(r"Club\n\nNext payment: [\d-]+, 40 ⭐\.", text)
    assert buttons == ["Cancel the subscription", "Back"]
    text, _ = await walk(alice, "Cancel the subscription")
    assert re.fullmatch(r"Cancel Club\? It stays yours until [\d-]+, and nothing is charged after that\.", text)
    assert (await walk(alice, "Keep it"))[1] == buttons
    text, buttons = await walk(alice, "Cancel the subscription", "Yes")
    assert "Cancelled. It is yours until" in text and buttons == ["Restore", "Back"]
    assert await alice.tap("Restore") == "You can resume it in Telegram: Settings, My Stars."
    assert window(alice)[0].endswith("You can resume it in Telegram: Settings, My Stars.")
    alice.restore_subscription()
    await sandbox.settle()
    text, buttons = await walk(alice, "Back", "Club")
    assert "Next payment" in text and buttons[0] == "Cancel the subscription"
    await sandbox.advance(days=30)
    assert alice.balance == 1000 - 80


async def test_a_subscription_that_telegram_does_not_answer_for_is_cancelled_later(
    sandbox: BotSandbox, alice: BotUser
) -> None:
    await buy(alice, sandbox, "club")
    await alice.send("/subs")
    await walk(alice, "Club", "Cancel the subscription")
    sandbox.faults.add("editUserStarSubscription", error=502, times=1)
    assert await alice.tap("Yes") == "Telegram is not answering. It will be done in a moment."
    await sandbox.advance(minutes=5)
    text, _ = await walk(alice, "Back", "Club")
    assert "Cancelled." in text


async def test_what_became_of_a_subscription_is_told(sandbox: BotSandbox) -> None:
    poor = sandbox.user("Poor", stars=50)
    await buy(poor, sandbox, "club")
    await sandbox.advance(days=30)
    await poor.send("/subs")
    text, _ = await walk(poor, "Club")
    assert "could not charge 40 ⭐" in text
    await sandbox.advance(days=5)
    text, buttons = await walk(poor, "Back", "Club")
    assert "Ended on" in text and buttons == ["Back"]
