"""A bot that takes donations: usual amounts on buttons, any other in the chat, in groups as well.

With BOT_TOKEN in the environment it runs on Telegram, without it in the sandbox. donations.db remembers.
"""

from __future__ import annotations

import os

from aiogram import Bot, Dispatcher
from aiogram.filters import Command
from aiogram.fsm.storage.base import BaseStorage
from aiogram.types import BotCommand, InlineKeyboardMarkup, Message

from aiogram_neonpay import (
    PaymentCompleted,
    PaymentRefunded,
    PaymentRouter,
    PaymentStage,
    SQLiteStorage,
    donate_keyboard,
    neonpay_router,
    support_router,
)
from aiogram_neonpay.sandbox import run_sandbox

# Without a price the donor chooses, up to a limit of ours.
STAGES = {"donate": PaymentStage("Donation", "Keeps the server warm and its owner awake.", None, max_price=2500)}
COMMANDS = [BotCommand(command="donate", description="Support this bot")]


def amounts_keyboard() -> InlineKeyboardMarkup:
    """Return the usual amounts and one that is asked for; the plugin answers every tap."""
    return donate_keyboard([1, 10, 50], custom=True, labels=["Give 1 ⭐", "Give 10 ⭐", "Give 50 ⭐"])


async def ask(message: Message) -> None:
    await message.answer("This bot lives on kindness and electricity. How much?", reply_markup=amounts_keyboard())


async def thank(event: PaymentCompleted) -> None:
    words = "The server just blushed" if event.amount >= 50 else "Every Star is seen"
    await event.answer(f"Thank you for {event.amount} ⭐! {words}.")


async def part(event: PaymentRefunded) -> None:
    await event.answer(f"Your donation of {event.amount} ⭐ is back with you. No hard feelings.")


async def show_commands(bot: Bot) -> None:
    await bot.set_my_commands(COMMANDS)


def build_router() -> PaymentRouter:
    """Return everything about donations, for a bot of any size."""
    router = PaymentRouter(name="donations")
    router.message.register(ask, Command("start", "donate"))
    router.completed.register(thank, "donate")
    router.refunded.register(part, "donate")
    return router


def build_dispatcher(storage: BaseStorage | None = None) -> Dispatcher:
    dp = Dispatcher(storage=storage)
    dp.include_routers(support_router(contact="@tip_jar", commands=True), build_router(), neonpay_router(STAGES))
    dp.startup.register(show_commands)
    return dp


if __name__ == "__main__":
    if token := os.environ.get("BOT_TOKEN"):
        build_dispatcher(SQLiteStorage("donations.db")).run_polling(Bot(token))
    else:
        run_sandbox(build_dispatcher(), name="Tip jar")
