"""The shop, the donations, support and administration in one bot: what ``make demo`` runs.

It runs in the sandbox, where Dana keeps the shop: /payadmin is hers. With BOT_TOKEN in the environment it runs on
Telegram, and ADMIN_ID says who keeps it. Payments are kept in the file demo.db, or in the one that DEMO_DB names; with
REDIS_URL in Redis. The shop's own table is in a file beside it, demo-shop.db.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aiogram import Bot, Dispatcher, Router
from aiogram.filters import CommandStart
from aiogram.fsm.storage.base import BaseStorage
from aiogram.types import BotCommand, CallbackQuery, InlineKeyboardMarkup, Message

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for examples.*, wherever this is started from

from aiogram_neonpay import SQLiteStorage, admin_router, inline_router, neonpay_router, support_router
from aiogram_neonpay.sandbox import run_sandbox
from examples import donations, shop

COMMANDS = [BotCommand(command="start", description="Say hello"), *shop.COMMANDS, *donations.COMMANDS]
ADMIN = os.environ.get("ADMIN_ID")


async def greet(message: Message) -> None:
    rows = [*shop.catalog_keyboard().inline_keyboard, *donations.amounts_keyboard().inline_keyboard]
    await message.answer(
        "Welcome to the corner shop. Everything here is small, digital and made with care.\n"
        "Buy something, leave a tip, or change your mind: /status gives every Star back.",
        reply_markup=InlineKeyboardMarkup(inline_keyboard=rows),
    )


async def keeps_the_shop(event: Message | CallbackQuery) -> bool:
    """Let in who runs the bot; names are good enough for a sandbox, where nobody can take one."""
    if os.environ.get("BOT_TOKEN"):
        return event.from_user is not None and str(event.from_user.id) == ADMIN
    return event.from_user is not None and event.from_user.first_name == "Dana"


async def show_commands(bot: Bot) -> None:
    await bot.set_my_commands(COMMANDS)


def build_dispatcher(storage: BaseStorage | None = None) -> Dispatcher:
    front = Router(name="front")
    front.message.register(greet, CommandStart())
    dp = Dispatcher(storage=storage, orders=shop.open_orders())
    pay = neonpay_router({**shop.STAGES, **donations.STAGES})
    counter = (admin_router(keeps_the_shop), support_router(contact="@corner_shop", commands=True), inline_router())
    dp.include_routers(*counter, front, shop.build_router(), donations.build_router(), pay)
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
