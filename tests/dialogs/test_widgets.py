"""The widgets: what they show, sell and hide, acted with aiogram-dialog's own test tools."""

from __future__ import annotations

import asyncio
import copy
import sys
from typing import Any
from unittest.mock import MagicMock

import pytest
from aiogram import Dispatcher, Router
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import AnswerCallbackQuery, SendInvoice
from aiogram.types import CallbackQuery, Message
from aiogram_dialog import Dialog, DialogManager, Window, setup_dialogs
from aiogram_dialog.test_tools import BotClient, MockMessageManager
from aiogram_dialog.test_tools.keyboard import InlineButtonTextLocator
from aiogram_dialog.widgets.kbd import Button, Column, Keyboard, ListGroup, ScrollingGroup
from aiogram_dialog.widgets.text import Const, Format, List

from aiogram_neonpay import ConfigurationError, NeonPay, PaymentStage, ValidationError, neonpay_router
from aiogram_neonpay.dialogs import (
    Buy,
    DonateCounter,
    PhraseText,
    PriceText,
    ShownStage,
    StageSelect,
    donate_dialog,
    has_access,
    purchases_dialog,
    shop_dialog,
)
from tests.dialogs.stand import STAGES, Client, Counter, Other, Stand, dispatcher
from tests.telegram import RecordingBot

pytestmark = pytest.mark.asyncio


@pytest.fixture
def bot() -> RecordingBot:
    return RecordingBot()


def client(bot: RecordingBot, *widgets: Any, pay: NeonPay | None = None, getter: Any = None) -> Client:
    """Somebody in front of one window."""
    messages = MockMessageManager()
    dialog = Dialog(Window(*(widgets or (Const("."),)), state=Stand.main, getter=getter))
    return Client(dispatcher(pay or neonpay_router(STAGES), dialog, message_manager=messages), messages, bot)


async def opened(bot: RecordingBot, *widgets: Any, **options: Any) -> Client:
    someone = client(bot, *widgets, **options)
    await someone.send("/start")
    return someone


def sold(bot: RecordingBot) -> list[tuple[str, int]]:
    return [(invoice.title, invoice.prices[0].amount) for invoice in bot.sent(SendInvoice)]


def alerts(bot: RecordingBot) -> list[str | None]:
    return [answer.text for answer in bot.sent(AnswerCallbackQuery)]


def members_only() -> tuple[Keyboard, ...]:
    return (
        Button(Const("Lounge"), id="lounge", when=has_access("club")),
        Buy("Join", "pass", when=~has_access("club"), id="join"),
        StageSelect("{item[1].title}", id="more", stages=[("sticker", STAGES["sticker"])], when=has_access("club")),
    )


# Buy


async def test_a_button_sells_the_stage_that_its_window_showed(bot: RecordingBot) -> None:
    async def getter(dialog_manager: DialogManager, **_: Any) -> dict[str, Any]:
        return {"chosen": dialog_manager.dialog_data.get("chosen", "sticker")}

    async def choose(callback: CallbackQuery, widget: Any, manager: DialogManager) -> None:
        manager.dialog_data["chosen"] = "premium"

    choice = Button(Const("Other"), id="other", on_click=choose)
    alice = await opened(bot, Format("{chosen}"), Buy("Buy {chosen}", Format("{chosen}")), choice, getter=getter)
    before = alice.messages.last_message()
    await alice.tap("Buy sticker")
    await alice.tap("Other")
    await alice.tap("Buy premium")
    assert sold(bot) == [("Sticker", 5), ("Premium", 25)]
    assert before.text == "sticker"


async def test_a_buttons_metadata_reach_the_payment_without_the_way_back(bot: RecordingBot) -> None:
    counter = Counter()
    widget = Buy("Buy", "premium", on_paid=counter.on_paid, metadata={"size": "L"})
    alice = await opened(bot, Const("."), widget)
    await alice.tap("Buy")
    await alice.pay(bot, 25)
    assert counter.heard[0].metadata == {"days": 30, "size": "L"}


async def test_a_button_in_every_line_of_a_list_sells_its_own(bot: RecordingBot) -> None:
    counter = Counter()
    lines = ListGroup(
        Buy("Buy {item}", Format("{item}"), on_paid=counter.on_paid),
        id="lines",
        item_id_getter=str,
        items=["sticker", "premium"],
    )
    alice = await opened(bot, Const("."), lines)
    await alice.tap("Buy premium")
    await alice.pay(bot, 25)
    await alice.tap("Buy sticker")
    await alice.pay(bot, 5)
    assert [event.stage_id for event in counter.heard] == ["premium", "sticker"]


@pytest.mark.parametrize("stage_id", ["gone", "paused", "donate"])
async def test_what_cannot_be_sold_is_told_over_the_chat(bot: RecordingBot, stage_id: str) -> None:
    pay = neonpay_router({**STAGES, "paused": PaymentStage("Paused", "d", 5, on_sale=False)})
    alice = await opened(bot, Const("."), Buy("Buy", stage_id), pay=pay)
    await alice.tap("Buy")
    assert sold(bot) == []
    assert alerts(bot) == ["This is not available at the moment."]


async def test_a_long_stage_id_fits_into_a_button(bot: RecordingBot) -> None:
    name = "a-very-long-name-" * 3
    pay = neonpay_router({name: PaymentStage("Long", "d", 7)})
    alice = await opened(bot, Const("."), Column(StageSelect()), Buy("Buy", Format(name)), pay=pay)
    for button in ("Long — 7 ⭐", "Buy"):
        await alice.tap(button)
    assert sold(bot) == [("Long", 7), ("Long", 7)]
    markup = alice.messages.last_message().reply_markup
    assert markup is not None
    assert all(len(str(button.callback_data).encode()) <= 64 for row in markup.inline_keyboard for button in row)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: Buy("Buy", "no such id!"), "stage_id"),
        (lambda: Buy("Buy", "premium", id=""), "id"),
        (lambda: Buy("Buy", "premium", metadata={"x": object()}), "metadata"),
        (lambda: Buy("Buy", "premium", on_paid=Stand.thanks), "paid_state="),  # type: ignore[arg-type]
        (lambda: Buy("Buy", "premium", paid_state="thanks"), "paid_state"),  # type: ignore[arg-type]
        (lambda: StageSelect(category="a", stages="b"), "category"),
        (lambda: DonateCounter(default=5, min_value=10), "default"),
        (lambda: DonateCounter(min_value=0), "min_value"),
        (lambda: DonateCounter(amounts=[0]), "amounts"),
        (lambda: PriceText("no such id!"), "stage_id"),
        (lambda: PhraseText("no such phrase"), "key"),
        (lambda: has_access(""), "name"),
        (lambda: Buy(5, "premium"), "text"),  # type: ignore[arg-type]
        (lambda: Buy("Buy", 5), "stage_id"),  # type: ignore[arg-type]
        (lambda: StageSelect(category=5), "category"),  # type: ignore[arg-type]
        (lambda: StageSelect(on_click=5), "on_click"),  # type: ignore[arg-type]
        (lambda: DonateCounter(amounts=5), "amounts"),  # type: ignore[arg-type]
        (lambda: donate_dialog(custom="Other"), "custom"),  # type: ignore[arg-type]
        (lambda: donate_dialog(states=Stand), "lacks 'choose'"),
        (lambda: donate_dialog(states=5), "states"),  # type: ignore[arg-type]
    ],
)
async def test_what_cannot_work_is_refused_when_it_is_made(make: Any, names: str) -> None:
    with pytest.raises((ValidationError, ConfigurationError), match=names):
        make()


@pytest.mark.parametrize(
    "widget",
    [PhraseText("unavailable"), PriceText("premium"), Column(StageSelect()), *members_only()],
    ids=lambda widget: type(widget).__name__,
)
async def test_a_dispatcher_without_the_plugin_is_told_what_to_include(bot: RecordingBot, widget: Any) -> None:
    messages = MockMessageManager()
    dp = Dispatcher()

    @dp.message()
    async def start(message: Message, dialog_manager: DialogManager) -> None:
        await dialog_manager.start(Stand.main)

    dp.include_router(Dialog(Window(Const("."), widget, state=Stand.main)))
    setup_dialogs(dp, message_manager=messages)
    someone = Client(dp, messages, bot)
    with pytest.raises(ConfigurationError, match="include_router"):
        await someone.send("/start")


# StageSelect


async def test_stages_on_sale_are_shown_in_pages(bot: RecordingBot) -> None:
    stages = {f"s{n}": PaymentStage(f"Song {n}", "d", n, category="music" if n < 6 else "books") for n in range(1, 8)}
    stages["s2"] = PaymentStage("Song 2", "d", 2, category="music", on_sale=False)
    select = ScrollingGroup(StageSelect(category="music"), id="pages", width=1, height=3)
    alice = await opened(bot, Const("."), select, pay=neonpay_router(stages))
    assert alice.buttons[:3] == ["Song 1 — 1 ⭐", "Song 3 — 3 ⭐", "Song 4 — 4 ⭐"]
    await alice.tap(">")
    assert alice.buttons[:1] == ["Song 5 — 5 ⭐"]
    await alice.tap("Song 5.*")
    assert sold(bot) == [("Song 5", 5)]


async def test_an_author_hears_which_stage_was_chosen(bot: RecordingBot) -> None:
    chosen: list[str] = []

    async def on_click(callback: CallbackQuery, widget: Any, manager: DialogManager, stage_id: str) -> None:
        chosen.append(stage_id)

    own = [ShownStage("premium", STAGES["premium"]), ("sticker", STAGES["sticker"])]
    select = StageSelect("{item[1].title}!", stages=own, on_click=on_click)
    alice = await opened(bot, Const("."), select)
    assert alice.buttons == ["Premium!", "Sticker!"]
    await alice.tap("Sticker!")
    assert (chosen, sold(bot)) == (["sticker"], [])


async def test_a_list_of_stages_in_every_line_of_a_list(bot: RecordingBot) -> None:
    line = StageSelect("{item[1].title}", category="music")
    lines = ListGroup(line, id="lines", item_id_getter=str, items=["a"])
    stages = {"song": PaymentStage("Song", "d", 1, category="music"), "book": PaymentStage("Book", "d", 2)}
    alice = await opened(bot, Const("."), lines, pay=neonpay_router(stages))
    assert alice.buttons == ["Song"]


async def test_a_stage_that_was_chosen_comes_back_paid(bot: RecordingBot) -> None:
    counter = Counter()
    alice = await opened(bot, Const("."), StageSelect(on_paid=counter.on_paid))
    await alice.tap("Sticker.*")
    await alice.pay(bot, 5)
    assert [event.stage_id for event in counter.heard] == ["sticker"]


# DonateCounter


async def test_a_counter_gives_what_it_shows_within_the_stages_limits(bot: RecordingBot) -> None:
    counter = Counter()
    widget = DonateCounter(amounts=(1, 50, 1000), default=10, increment=10, on_paid=counter.on_paid)
    alice = await opened(bot, Const("."), widget)
    assert alice.buttons == ["50 ⭐", "-", "Give 10 ⭐", "+"]  # the stage takes 5 to 500
    await alice.tap(r"\+")
    await alice.tap(r"\+")
    await alice.tap("-")
    await alice.tap("Give 20 ⭐")
    await alice.pay(bot, 20)
    await alice.tap("50 ⭐")
    await alice.pay(bot, 50)
    assert [event.amount for event in counter.heard] == [20, 50]


async def test_a_counter_stays_within_its_own_limits(bot: RecordingBot) -> None:
    widget = DonateCounter(default=10, increment=5, min_value=10, max_value=20, text="{value}")
    alice = await opened(bot, Const("."), widget)
    for button, shown in (("-", "10"), (r"\+", "15"), (r"\+", "20"), (r"\+", "20")):
        await alice.tap(button)
        assert alice.buttons == ["-", shown, "+"]


# Prices and phrases


@pytest.mark.parametrize(
    ("language", "prices"),
    [
        ("en", "25 ⭐|40 ⭐ a month|as much as you like|This is not available at the moment."),
        ("ru", "25 ⭐|40 ⭐ в месяц|сколько захотите|Сейчас это недоступно."),
        ("az", "25 ⭐|ayda 40 ⭐|istədiyiniz qədər|Bu hazırda mümkün deyil."),
    ],
)
async def test_prices_are_told_in_the_buyers_language(bot: RecordingBot, language: str, prices: str) -> None:
    stages = ("premium", "club", "donate", "gone")
    alice = client(bot, List(PriceText(Format("{item}")), items=stages, sep="|"))
    alice.user = alice.user.model_copy(update={"language_code": language})
    await alice.send("/start")
    assert alice.text == prices


async def test_a_phrase_is_filled_from_the_windows_data_and_replaced_by_the_author(bot: RecordingBot) -> None:
    pay = neonpay_router(STAGES, texts={"en": {"receipt_number": "No. {reference}"}})
    alice = await opened(bot, PhraseText("receipt_number"), pay=pay, getter={"reference": "17"})
    assert alice.text == "No. 17"


# has_access


async def test_a_widget_is_seen_by_those_with_access_from_the_moment_they_paid(bot: RecordingBot) -> None:
    alice = await opened(bot, Const("."), *members_only())
    assert alice.buttons == ["Join"]
    await alice.tap("Join")
    await alice.pay(bot, 10)
    assert alice.buttons == ["Lounge", "Sticker"]


async def test_access_that_a_handler_grants_is_seen_in_the_same_update(bot: RecordingBot) -> None:
    async def trial(callback: CallbackQuery, widget: Any, manager: DialogManager) -> None:
        neonpay: NeonPay = manager.middleware_data["neonpay"]
        await neonpay.grant_access(callback.from_user.id, "club")

    alice = await opened(bot, Const("."), Button(Const("Trial"), id="trial", on_click=trial), *members_only())
    await alice.tap("Trial")
    assert alice.buttons == ["Trial", "Lounge", "Sticker"]


async def test_a_window_may_have_data_of_any_name(bot: RecordingBot) -> None:
    alice = await opened(bot, Const("."), *members_only(), getter={"data": {}, "item": 1, "stage": "main"})
    assert alice.buttons == ["Join"]


async def test_conditions_hold_in_lines_of_lists_and_texts(bot: RecordingBot) -> None:
    line = Button(Format("{item}"), id="line", when=has_access("club"))
    lines = ListGroup(line, id="lines", item_id_getter=str, items=["a", "b"])
    alice = await opened(bot, Const("members", when=has_access("club")), Const("guests"), lines)
    assert (alice.text, alice.buttons) == ("guests", [])
    await alice.dp["neonpay"].grant_access(alice.user.id, "club", bot=bot)
    await alice.send("/start")
    assert (alice.text, alice.buttons) == ("members\nguests", ["a", "b"])


async def test_everything_can_be_previewed_with_aiogram_dialogs_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("diagrams", "diagrams.custom"):  # for other tools of that package, which draw transitions
        monkeypatch.setitem(sys.modules, name, MagicMock())
    from aiogram_dialog.tools.preview import render_preview_content

    mine = Window(
        PriceText("premium"),
        Column(StageSelect()),
        DonateCounter(),
        Buy("Buy", Format("{stage}"), when=has_access("club")),
        state=Other.main,
    )
    router = Router()
    router.include_routers(shop_dialog(), donate_dialog(), purchases_dialog(), Dialog(mine))
    page = await render_preview_content(router)
    assert "25 ⭐" in page and "Stage — 25 ⭐" in page and "My subscriptions" not in page and "Close" in page


async def test_windows_need_no_token_to_be_rendered() -> None:
    messages = MockMessageManager()
    dialog = Dialog(Window(PriceText("club"), *members_only(), DonateCounter(), state=Stand.main))
    dp = dispatcher(neonpay_router(STAGES), dialog, message_manager=messages)
    await BotClient(dp).send("/start")  # the bot of aiogram-dialog's tools has none
    assert messages.last_message().text == "40 ⭐ a month"


class Remote(MemoryStorage):
    """A storage of which each worker gets its own copy, as of a server's."""

    async def get_data(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return copy.deepcopy(await super().get_data(*args, **kwargs))


async def test_two_taps_that_two_workers_get_at_once_make_one_invoice(bot: RecordingBot) -> None:
    storage, messages = Remote(), MockMessageManager()
    workers = [
        dispatcher(
            neonpay_router(STAGES),
            Dialog(Window(Const("."), Buy("Buy", "sticker", id="buy"), state=Stand.main)),
            storage=storage,
            message_manager=messages,
        )
        for _ in range(2)
    ]
    there: list[Any] = []
    both = asyncio.Event()

    async def meet(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        """Go on when both have read what the dialog knows."""
        there.append(event)
        if len(there) >= 2:
            both.set()
        await both.wait()
        return await handler(event, data)

    for worker in workers:
        worker.callback_query.middleware(meet)
    first = Client(workers[0], messages, bot)
    second = Client(workers[1], messages, bot)
    await first.send("/start")
    shown = messages.last_message()
    await asyncio.gather(*(someone.click(shown, InlineButtonTextLocator("Buy")) for someone in (first, second)))
    assert sold(bot) == [("Sticker", 5)]
    await first.pay(bot, 5)
    await first.tap("Buy")
    assert len(sold(bot)) == 2
