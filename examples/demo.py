"""The shop and the donations in one bot: what ``make demo`` runs.

It runs in the sandbox, and with BOT_TOKEN in the environment on Telegram. Payments are kept in the file demo.db, or in
the one that DEMO_DB names; with REDIS_URL in Redis. The shop's own table is in a file beside it, demo-shop.db.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aiogram import Bot, Dispatcher, Router
from aiogram.filters import CommandStart
from aiogram.fsm.storage.base import BaseStorage
from aiogram.types import BotCommand, InlineKeyboardMarkup, Message

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for examples.*, wherever this is started from

from aiogram_neonpay import SQLiteStorage, neonpay_router
from aiogram_neonpay.sandbox import run_sandbox
from examples import donations, shop

COMMANDS = [BotCommand(command="start", description="Say hello"), *shop.COMMANDS, *donations.COMMANDS]


async def greet(message: Message) -> None:
    rows = [*shop.catalog_keyboard().inline_keyboard, *donations.amounts_keyboard().inline_keyboard]
    await message.answer(
        "Welcome to the corner shop. Everything here is small, digital and made with care.\n"
        "Buy something, leave a tip, or change your mind: /status gives every Star back.",
        reply_markup=InlineKeyboardMarkup(inline_keyboard=rows),
    )


async def show_commands(bot: Bot) -> None:
    await bot.set_my_commands(COMMANDS)


def build_dispatcher(storage: BaseStorage | None = None) -> Dispatcher:
    front = Router(name="front")
    front.message.register(greet, CommandStart())
    dp = Dispatcher(storage=storage, orders=shop.open_orders())
    pay = neonpay_router({**shop.STAGES, **donations.STAGES})
    dp.include_routers(front, shop.build_router(), donations.build_router(), pay)
    dp.startup.register(show_commands)
    return dp


if __name__ == "__main__":
    file = Path(os.environ.get("DEMO_DB") or "demo.db")
    os.environ.setdefault("SHOP_DATABASE", str(file.with_name(f"{file.stem}-shop.db")))
    storage = shop.open_storage() or SQLiteStorage(file)
    if token := os.environ.get("BOT_TOKEN"):
        build_dispatcher(storage).run_polling(Bot(token))
    else:
        run_sandbox(build_dispatcher(storage), name="Corner shop")
