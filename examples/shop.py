"""A shop for small digital things: a catalog with buttons, receipts, refunds, and one product per person.

With BOT_TOKEN in the environment it runs on Telegram, without it in the sandbox. REDIS_URL makes payments outlive a
restart, SHOP_DATABASE (a file name) does the same for the shop's own table.
"""

from __future__ import annotations

import os
import random
import sqlite3

from aiogram import Bot, Dispatcher, F, html
from aiogram.enums import ChatType
from aiogram.filters import Command, CommandObject, CommandStart
from aiogram.filters.callback_data import CallbackData
from aiogram.fsm.storage.base import BaseStorage
from aiogram.types import BotCommand, CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from aiogram_neonpay import (
    BuyerUnreachableError,
    Checkout,
    InvoiceError,
    NeonPay,
    PaymentCompleted,
    PaymentRefunded,
    PaymentResult,
    PaymentRouter,
    PaymentStage,
    PaymentStatus,
    RefundError,
    RejectPayment,
    neonpay_router,
)
from aiogram_neonpay.sandbox import run_sandbox

STAGES = {
    "fortune": PaymentStage("Fortune cookie", "One honest prediction. No calories.", 1),
    "postcard": PaymentStage("Night city postcard", "Windows lit by hand, every card a different night.", 15),
    "founder": PaymentStage("Founder's number", "A number with your name on it. One per person, for ever.", 1),
    "mixtape": PaymentStage("Night drive mixtape", "Ten songs for an empty motorway at two in the morning.", 120),
}
COMMANDS = [
    BotCommand(command="shop", description="What is on the shelves"),
    BotCommand(command="status", description="What you have bought, and refunds"),
    BotCommand(command="refund", description="Give something back: /refund and the number of the purchase"),
]
FORTUNES = (
    "The bug you are looking for is in the line above the one you are reading.",
    "A stranger will star your repository. Be kind to strangers.",
    "Deploy on Thursday. Friday will thank you.",
    "You will soon delete two hundred lines, and nothing will be missing.",
)
SONGS = (
    "Last Exit Lights\nRain on a Closed Station\nHalogen\nFifty Kilometres of Nothing\nThe Radio Knows My Name\n"
    "Sodium\nService Area, 2 a.m.\nLong Beam\nToll Booth Waltz\nHome Before the Birds"
)


class Buy(CallbackData, prefix="buy"):
    stage_id: str


class GiveBack(CallbackData, prefix="back"):
    reference: str  # 17 characters; a transaction id would not fit into a button


class Orders:
    """The shop's own table: what each charge brought.

    The charge's id is its key, so a payment that is delivered twice is still one order.
    """

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS orders (transaction_id TEXT PRIMARY KEY, user_id INT, product TEXT, goods TEXT)"
        )

    def grant(self, payment: PaymentResult) -> str:
        """Write an order down and return its goods; a second call for one charge returns what the first one wrote."""
        self._db.execute(
            "INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)",
            (payment.transaction_id, payment.user_id, payment.stage_id, self._make(payment.stage_id)),
        )
        return self.goods_of(payment) or ""

    def goods_of(self, payment: PaymentResult) -> str | None:
        row = self._db.execute("SELECT goods FROM orders WHERE transaction_id = ?", (payment.transaction_id,))
        found: tuple[str] | None = row.fetchone()
        return None if found is None else found[0]

    def take_back(self, payment: PaymentResult) -> None:
        self._db.execute("UPDATE orders SET goods = NULL WHERE transaction_id = ?", (payment.transaction_id,))

    def close(self) -> None:
        self._db.close()

    def _make(self, product: str | None) -> str:
        if product == "fortune":
            return html.italic(random.choice(FORTUNES))
        if product == "postcard":
            return html.pre(_city())
        if product == "mixtape":
            return html.pre(SONGS)
        number = self._db.execute("SELECT COUNT(*) + 1 FROM orders WHERE product = 'founder'").fetchone()[0]
        return f"You are founder {html.bold(f'No. {number}')}."


def catalog_keyboard() -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(
        inline_keyboard=[
            [InlineKeyboardButton(text=f"{stage.title}, {stage.price} ⭐", callback_data=Buy(stage_id=stage_id).pack())]
            for stage_id, stage in STAGES.items()
        ]
    )


async def greet(message: Message) -> None:
    await message.answer(
        "Welcome to the corner shop. Everything here is small, digital and made with care.\n"
        "Changed your mind? /status gives every Star back.",
        reply_markup=catalog_keyboard(),
    )


async def show_catalog(message: Message) -> None:
    await message.answer("On the shelves today:", reply_markup=catalog_keyboard())


async def sell(query: CallbackQuery, callback_data: Buy, neonpay: NeonPay) -> None:
    try:
        await neonpay.answer_payment(query, callback_data.stage_id)
    except BuyerUnreachableError:
        # The answer to a tap reaches also who has blocked the bot; a message would not.
        await query.answer("I may not write to you. Unblock me, then tap again.", show_alert=True)
    except InvoiceError:
        await query.answer("The till is stuck. Please try again in a minute.", show_alert=True)
    else:
        await query.answer()


async def one_each(checkout: Checkout, neonpay: NeonPay) -> None:
    """Decline a second founder's number before any Star moves."""
    for payment in await neonpay.history(checkout.user_id, limit=100):
        if payment.stage_id == checkout.stage_id and payment.status is PaymentStatus.COMPLETED:
            raise RejectPayment("You are a founder already. One number per person!")


async def deliver(event: PaymentCompleted, orders: Orders) -> None:
    """Hand over the goods. This may run more than once for a charge, and gives the same goods each time."""
    goods = orders.grant(event)
    await event.answer(f"{goods}\n\nThank you! Receipt: {html.code(str(event.reference))}", parse_mode="HTML")


async def take_back(event: PaymentRefunded, orders: Orders) -> None:
    orders.take_back(event)
    title = event.stage.title if event.stage is not None else "Your purchase"
    await event.answer(f"{title}: {event.amount} ⭐ are back with you. See you again!")


async def show_status(message: Message, neonpay: NeonPay) -> None:
    payments = await neonpay.history(message.chat.id, limit=10)
    if not payments:
        await message.answer("Your shelf is empty. /shop has things for it.")
        return
    lines, rows = [], []
    for payment in payments:
        title = payment.stage.title if payment.stage is not None else "Something from earlier days"
        returned = payment.status is PaymentStatus.REFUNDED
        price = f"{payment.amount} ⭐{', returned' if returned else ''}"
        lines.append(f"{html.bold(title)}, {price}\n{html.code(str(payment.reference))}")
        if not returned:
            data = GiveBack(reference=str(payment.reference)).pack()
            rows.append([InlineKeyboardButton(text=f"Return {title}, {payment.amount} ⭐", callback_data=data)])
    await message.answer(
        "\n\n".join(["Your purchases, newest first:", *lines]),
        parse_mode="HTML",
        reply_markup=InlineKeyboardMarkup(inline_keyboard=rows) if rows else None,
    )


async def refund_by_command(message: Message, command: CommandObject, neonpay: NeonPay) -> None:
    if command.args is None:
        await message.answer("Which one? /status shows your purchases and their numbers.")
        return
    if trouble := await refund(neonpay, message.chat.id, command.args.strip()):
        await message.answer(trouble)


async def refund_by_button(query: CallbackQuery, callback_data: GiveBack, neonpay: NeonPay) -> None:
    trouble = await refund(neonpay, query.from_user.id, callback_data.reference)
    await query.answer(trouble, show_alert=trouble is not None)


async def refund(neonpay: NeonPay, user_id: int, reference: str) -> str | None:
    """Refund one of the user's own payments; return what went wrong. The buyer hears the good news in take_back()."""
    payment = await neonpay.get_payment(reference)
    if payment is None or payment.user_id != user_id:
        return "I find no such purchase of yours. /status shows them all."
    if payment.status is PaymentStatus.REFUNDED:
        return "This one is back with you already."
    try:
        await neonpay.refund(reference, reason="returned by the buyer")
    except RefundError as error:
        if error.is_final:  # such as CHARGE_NOT_FOUND: paid in a sandbox that has ended
            return f"{error}. Asking again will not help, asking the owner may."
        return "Telegram cannot be reached right now. Please try again later."
    return None


async def show_commands(bot: Bot) -> None:
    await bot.set_my_commands(COMMANDS)


async def close_orders(orders: Orders) -> None:
    orders.close()


def build_router() -> PaymentRouter:
    """Return the whole shop, for a bot of any size. It needs ``orders`` in the dispatcher's data."""
    router = PaymentRouter(name="shop")
    router.message.filter(F.chat.type == ChatType.PRIVATE)
    router.message.register(greet, CommandStart())
    router.message.register(show_catalog, Command("shop"))
    router.message.register(show_status, Command("status"))
    router.message.register(refund_by_command, Command("refund"))
    router.callback_query.register(sell, Buy.filter())
    router.callback_query.register(refund_by_button, GiveBack.filter())
    router.check.register(one_each, "founder")
    router.completed.register(deliver, *STAGES)
    router.refunded.register(take_back, *STAGES)
    router.shutdown.register(close_orders)
    return router


def build_dispatcher(storage: BaseStorage | None = None) -> Dispatcher:
    dp = Dispatcher(storage=storage, orders=open_orders())
    dp.include_routers(build_router(), neonpay_router(STAGES))
    dp.startup.register(show_commands)
    return dp


def open_orders() -> Orders:
    return Orders(os.environ.get("SHOP_DATABASE", ":memory:"))


def open_storage() -> BaseStorage | None:
    """Return Redis if REDIS_URL names one; else aiogram keeps everything in memory until the bot stops."""
    url = os.environ.get("REDIS_URL")
    if not url:
        return None
    from aiogram.fsm.storage.redis import RedisStorage  # pip install "aiogram-neonpay[redis]"

    return RedisStorage.from_url(url)


def _city() -> str:
    """Draw a skyline with some of its windows lit."""
    heights = [random.randint(2, 6) for _ in range(8)]
    rows = [
        "".join("|" + random.choice(" .:") + "|" if height >= level else "   " for height in heights)
        for level in range(6, 0, -1)
    ]
    return "\n".join(["*      .      *        (  ", ".   *        .     *      ", *rows, "=" * 24])


if __name__ == "__main__":
    if token := os.environ.get("BOT_TOKEN"):
        build_dispatcher(open_storage()).run_polling(Bot(token))
    else:
        run_sandbox(build_dispatcher(open_storage()), name="Corner shop")
