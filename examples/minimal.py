import os

from aiogram import Bot, Dispatcher
from aiogram.filters import CommandStart
from aiogram.types import Message

from aiogram_neonpay import NeonPay, PaymentCompleted, PaymentStage, SQLiteStorage, neonpay_router
from aiogram_neonpay.sandbox import run_sandbox

dp = Dispatcher(storage=SQLiteStorage("bot.db"))  # remembers payments, and every FSM state
pay = neonpay_router({"sticker": PaymentStage("Sticker", "One sticker, drawn for you", 5)})
dp.include_router(pay)


@dp.message(CommandStart())
async def sell(message: Message, neonpay: NeonPay) -> None:
    await neonpay.answer_payment(message, "sticker")


@pay.completed("sticker")
async def deliver(event: PaymentCompleted) -> None:
    await event.answer("Thank you! Here is your sticker: (•‿•)")


if __name__ == "__main__":
    if token := os.environ.get("BOT_TOKEN"):
        dp.run_polling(Bot(token))  # Telegram
    else:
        run_sandbox(dp)  # no token, no internet: a page on this machine
