"""A bot that takes donations: buttons for usual amounts, any other amount by command, thanks to match.

With BOT_TOKEN in the environment it runs on Telegram, without it in the sandbox. REDIS_URL makes it remember.
"""

from __future__ import annotations

import os

from aiogram import Bot, Dispatcher, F
from aiogram.filters import Command, CommandObject, CommandStart
from aiogram.fsm.storage.base import BaseStorage
from aiogram.types import BotCommand, InlineKeyboardMarkup, Message

from aiogram_neonpay import (
    NeonPay,
    PaymentCompleted,
    PaymentRefunded,
    PaymentRouter,
    PaymentStage,
    ValidationError,
    donate_keyboard,
    neonpay_router,
)
from aiogram_neonpay.sandbox import run_sandbox

STAGES = {
    # price=None: the donor chooses. The limits are ours; each selling call is checked against them.
    "donate": PaymentStage(
        title="Donation",
        description="Keeps the server warm and its owner awake.",
        price=None,
        min_price=1,
        max_price=2500,
    ),
}
COMMANDS = [BotCommand(command="donate", description="Support this bot; /donate 7 gives 7 Stars")]
LARGE = 50


def amounts_keyboard() -> InlineKeyboardMarkup:
    """Return the usual amounts; the plugin answers a tap with an invoice."""
    return donate_keyboard([1, 10, 50], labels={1: "Give 1 ⭐", 10: "Give 10 ⭐", 50: "Give 50 ⭐"})


async def ask(message: Message) -> None:
    await message.answer(
        "This bot lives on kindness and electricity.\nPick an amount, or write /donate and any number.",
        reply_markup=amounts_keyboard(),
    )


async def donate(message: Message, command: CommandObject, neonpay: NeonPay) -> None:
    if command.args is None:
        await ask(message)
        return
    try:
        await neonpay.answer_payment(message, "donate", amount=int(command.args))
    except ValidationError:
        limits = STAGES["donate"]
        await message.answer(f"I can take {limits.min_price} to {limits.max_price} Stars at a time.")
    except ValueError:
        await message.answer("Write a whole number of Stars, for example /donate 7")


async def thank_warmly(event: PaymentCompleted) -> None:
    await event.answer(f"{event.amount} ⭐! The server just blushed. Thank you; this pays for a whole month.")


async def thank(event: PaymentCompleted) -> None:
    await event.answer(f"Thank you for {event.amount} ⭐. Every Star is seen.")


async def part(event: PaymentRefunded) -> None:
    await event.answer(f"Your donation of {event.amount} ⭐ is back with you. No hard feelings.")


async def show_commands(bot: Bot) -> None:
    await bot.set_my_commands(COMMANDS)


def build_router() -> PaymentRouter:
    """Return everything about donations, for a bot of any size."""
    router = PaymentRouter(name="donations")
    router.message.register(ask, CommandStart())
    router.message.register(donate, Command("donate"))
    # The first handler that matches thanks.
    router.completed.register(thank_warmly, "donate", F.amount >= LARGE)
    router.completed.register(thank, "donate")
    router.refunded.register(part, "donate")
    return router


def build_dispatcher(storage: BaseStorage | None = None) -> Dispatcher:
    dp = Dispatcher(storage=storage)
    dp.include_routers(build_router(), neonpay_router(STAGES))
    dp.startup.register(show_commands)
    return dp


def open_storage() -> BaseStorage | None:
    """Return Redis if REDIS_URL names one; else aiogram keeps everything in memory until the bot stops."""
    url = os.environ.get("REDIS_URL")
    if not url:
        return None
    from aiogram.fsm.storage.redis import RedisStorage  # pip install "aiogram-neonpay[redis]"

    return RedisStorage.from_url(url)


if __name__ == "__main__":
    if token := os.environ.get("BOT_TOKEN"):
        build_dispatcher(open_storage()).run_polling(Bot(token))
    else:
        run_sandbox(build_dispatcher(open_storage()), name="Tip jar")
