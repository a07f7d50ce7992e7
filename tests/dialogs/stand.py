"""A stand with dialogs to test: what it sells, who hears of it, and a client made of aiogram-dialog's own tools."""

from __future__ import annotations

import asyncio
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.filters import Command
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.base import BaseStorage
from aiogram.types import Message
from aiogram_dialog import Dialog, DialogManager, StartMode, Window, setup_dialogs
from aiogram_dialog.test_tools import BotClient, MockMessageManager
from aiogram_dialog.test_tools.keyboard import InlineButtonTextLocator
from aiogram_dialog.widgets.kbd import Cancel, Start
from aiogram_dialog.widgets.text import Const, Format

from aiogram_neonpay import NeonPay, PaymentCompleted, PaymentStage, neonpay_router
from aiogram_neonpay.dialogs import Buy
from aiogram_neonpay.testing.dialogs import dialogs_at_work
from tests.telegram import ALICE, RecordingBot, paid, person, pre_checkout

STAGES = {
    "premium": PaymentStage("Premium", "30 days of premium", 25, payload={"days": 30}),
    "sticker": PaymentStage("Sticker", "One sticker", 5),
    "pass": PaymentStage("Pass", "The lounge", 10, access="club"),
    "club": PaymentStage("Club", "By the month", 40, subscription=True, access="club"),
    "donate": PaymentStage("Donate", "Thank you", None, min_price=5, max_price=500),
}


class Stand(StatesGroup):
    main = State()
    thanks = State()


class Other(StatesGroup):
    main = State()


class Counter:
    """Hears what is paid, and fails as often as a test says."""

    def __init__(self) -> None:
        self.heard: list[PaymentCompleted] = []
        self.fails = 0

    async def on_paid(self, event: PaymentCompleted, widget: Any, manager: DialogManager) -> None:
        if self.fails:
            self.fails -= 1
            raise KeyError("the shelf is stuck")
        self.heard.append(event)


def stand_dialog(*keyboard: Any) -> Dialog:
    """A window that sells, and one that thanks."""
    return Dialog(
        Window(
            Const("Welcome"),
            *keyboard,
            Start(Const("Elsewhere"), id="elsewhere", state=Other.main),
            Cancel(Const("Leave")),
            state=Stand.main,
        ),
        Window(Format("Thanks for {pay[title]}, {pay[amount]} Stars"), state=Stand.thanks, getter=payment),
    )


async def payment(dialog_manager: DialogManager, **_: Any) -> dict[str, Any]:
    start_data = dialog_manager.start_data
    return {"pay": dialog_manager.dialog_data.get("payment") or dict(start_data or {})["payment"]}  # type: ignore[arg-type]


def dispatcher(
    pay: NeonPay,
    *dialogs: Dialog,
    storage: BaseStorage | None = None,
    message_manager: MockMessageManager | None = None,
    set_up_first: bool = False,
) -> Dispatcher:
    """A bot that opens the stand at /start, on a stack of its own at /new."""
    dp = Dispatcher(storage=storage)
    if set_up_first:
        setup_dialogs(dp, message_manager=message_manager)

    @dp.message(Command("start"))
    async def start(message: Message, dialog_manager: DialogManager) -> None:
        await dialog_manager.start(Stand.main, mode=StartMode.RESET_STACK)

    @dp.message(Command("new"))
    async def new(message: Message, dialog_manager: DialogManager) -> None:
        await dialog_manager.start(Stand.main, mode=StartMode.NEW_STACK)

    dp.include_routers(*dialogs, Dialog(Window(Const("Elsewhere"), Cancel(), state=Other.main)), pay)
    if not set_up_first:
        setup_dialogs(dp, message_manager=message_manager)
    return dp


def shop(**options: Any) -> NeonPay:
    return neonpay_router(STAGES, **options)


class Client(BotClient):
    """Somebody in front of a bot whose messages are aiogram-dialog's and whose invoices are recorded."""

    def __init__(self, dp: Dispatcher, messages: MockMessageManager, bot: Bot, user_id: int = ALICE) -> None:
        super().__init__(dp, user_id=user_id, chat_id=user_id, bot=bot)
        self.messages = messages

    async def send(self, text: str, reply_to: Message | None = None) -> Any:
        response = await super().send(text, reply_to)
        await asyncio.sleep(0)  # a dialog on a stack of its own is opened in the background
        await asyncio.gather(*dialogs_at_work())
        return response

    async def tap(self, text: str) -> str:
        return await self.click(self.messages.last_message(), InlineButtonTextLocator(text))

    @property
    def text(self) -> str:
        return str(self.messages.last_message().text)

    @property
    def buttons(self) -> list[str]:
        markup = self.messages.last_message().reply_markup
        return [button.text for row in markup.inline_keyboard for button in row] if markup is not None else []

    async def pay(self, bot: RecordingBot, amount: int, **fields: Any) -> dict[str, Any]:
        """Pay the newest invoice, and return the update that told of it."""
        await self.dp.feed_raw_update(bot, pre_checkout(bot.payload(), amount, self.user.id))
        update = paid(bot.payload(), amount, self.user.id, **fields)
        await self.dp.feed_raw_update(bot, update)
        return update


def buy(counter: Counter | None = None, stage_id: str = "premium", **options: Any) -> Buy:
    return Buy("Buy", stage_id, on_paid=None if counter is None else counter.on_paid, **options)


__all__ = [
    "ALICE",
    "Client",
    "Counter",
    "Other",
    "Stand",
    "buy",
    "dispatcher",
    "person",
    "shop",
    "stand_dialog",
]
