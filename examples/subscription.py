"""A club with a monthly subscription: commands for members, and buttons to join, to see the end, to cancel, to restore.

With BOT_TOKEN in the environment it runs on Telegram and keeps everything in club.db, or in the file CLUB_DB names.
Without it, it runs in the sandbox and lives by its clock: skip a month on the page and see the subscription renewed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from aiogram import Bot, Dispatcher, F
from aiogram.filters import Command, CommandStart
from aiogram.fsm.storage.base import BaseStorage
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from aiogram_neonpay import (
    Access,
    HasAccess,
    NeonPay,
    NoAccessError,
    PaymentCompleted,
    PaymentRouter,
    PaymentStage,
    SQLiteStorage,
    Subscription,
    SubscriptionCanceled,
    SubscriptionError,
    SubscriptionExpired,
    SubscriptionFailed,
    SubscriptionRenewed,
    SubscriptionRestored,
    SubscriptionStarted,
    SubscriptionState,
    neonpay_router,
)
from aiogram_neonpay.sandbox import Sandbox, run_sandbox

STAGES = {
    "club": PaymentStage("Night owls", "The club, by the month", 100, subscription=True, access="club"),
    "pass": PaymentStage("A week among owls", "Seven days of the club", 40, access="club", access_for=7 * 86_400),
    "wishes": PaymentStage("Three wishes", "Three poems of your own", 15, access="wishes", uses=3),
}
JOIN = InlineKeyboardMarkup(
    inline_keyboard=[
        [InlineKeyboardButton(text="Join, 100 ⭐ a month", callback_data="buy:club")],
        [InlineKeyboardButton(text="A week, 40 ⭐", callback_data="buy:pass")],
        [InlineKeyboardButton(text="Three wishes, 15 ⭐", callback_data="buy:wishes")],
        [InlineKeyboardButton(text="My membership", callback_data="mine")],
    ]
)
club = PaymentRouter(name="club")


# For everybody


@club.message(CommandStart())
async def greet(message: Message) -> None:
    await message.answer(
        "The Night owls: /owls is for members, /wish for those with wishes left, /mine shows what you have.",
        reply_markup=JOIN,
    )


@club.callback_query(F.data.startswith("buy:"))
async def sell(query: CallbackQuery, neonpay: NeonPay) -> None:
    # A subscription comes as a message with a link, anything else as an invoice.
    await neonpay.answer_payment(query, str(query.data).partition(":")[2])
    await query.answer()


# For members


@club.message(Command("owls"), HasAccess("club"))
async def owls(message: Message, access: Access) -> None:
    await message.answer(f"(•ө•)  Hoo! You are one of us until {day(access.expires_at)}.")


@club.message(Command("wish"), HasAccess("wishes"))
async def wish(message: Message, access: Access) -> None:
    try:
        async with access.use():  # given back if the poem cannot be sent
            await message.answer("The moon is late, the owl is not:\nit keeps the night that you forgot.")
    except NoAccessError:  # the last one was used a moment ago
        await message.answer("No wishes left.", reply_markup=JOIN)


@club.message(Command("owls", "wish"))
async def closed(message: Message) -> None:
    await message.answer("This is for those who have it.", reply_markup=JOIN)


# My membership


@club.message(Command("mine"))
async def mine(message: Message, neonpay: NeonPay) -> None:
    text, keyboard = await membership(neonpay, message.chat.id)
    await message.answer(text, reply_markup=keyboard)


@club.callback_query(F.data == "mine")
async def mine_by_button(query: CallbackQuery, bot: Bot, neonpay: NeonPay) -> None:
    text, keyboard = await membership(neonpay, query.from_user.id)
    await bot.send_message(query.from_user.id, text, reply_markup=keyboard)
    await query.answer()


@club.callback_query(F.data == "cancel")
async def cancel(query: CallbackQuery, neonpay: NeonPay) -> None:
    try:
        await neonpay.cancel_subscription(query.from_user.id, "club")
    except SubscriptionError as error:  # Telegram is away: it is asked again by itself
        await query.answer("There is nothing to cancel." if error.is_final else "I will see to it.", show_alert=True)
        return
    await query.answer()


@club.callback_query(F.data == "restore")
async def restore(query: CallbackQuery, neonpay: NeonPay) -> None:
    try:
        await neonpay.restore_subscription(query.from_user.id, "club")
    except SubscriptionError as error:
        await query.answer("It has ended: join again." if error.is_final else "I will see to it.", show_alert=True)
        return
    # Telegram charges again only after the buyer has said so there.
    await query.answer("Now resume it in Telegram: Settings, Your Stars, Night owls.", show_alert=True)


async def membership(neonpay: NeonPay, user_id: int) -> tuple[str, InlineKeyboardMarkup]:
    """Return what somebody has, and what they can do about it."""
    lines: list[str] = []
    buttons: list[list[InlineKeyboardButton]] = []
    for access in await neonpay.list_access(user_id):
        left = "" if access.left is None else f", {access.left} left"
        lines.append(f"{access.name}: until {day(access.expires_at)}{left}")
    for subscription in await neonpay.list_subscriptions(user_id):
        if subscription.state is SubscriptionState.EXPIRED:
            continue
        lines.append(f"Subscription: {told(subscription)}")
        if subscription.is_renewing:
            buttons.append([InlineKeyboardButton(text="Cancel", callback_data="cancel")])
        elif subscription.canceled_by == "bot":
            buttons.append([InlineKeyboardButton(text="Restore", callback_data="restore")])
    if not lines:
        return "You have nothing yet.", JOIN
    return "\n".join(lines), InlineKeyboardMarkup(inline_keyboard=buttons)


def told(subscription: Subscription) -> str:
    if subscription.is_renewing:
        return f"{subscription.amount} ⭐ again on {day(subscription.expires_at)}"
    return f"cancelled, paid until {day(subscription.expires_at)}"


def day(moment: datetime | None) -> str:
    return "the end of time" if moment is None else f"{moment:%d %B %Y}"


# What happens to memberships


@club.subscription_started("club")
async def welcome(event: SubscriptionStarted) -> None:
    await event.answer(f"Welcome, owl! Paid until {day(event.subscription.expires_at)}. /owls")


@club.subscription_renewed("club")
async def goes_on(event: SubscriptionRenewed) -> None:
    await event.answer(f"Another month, until {day(event.subscription.expires_at)}.")


@club.subscription_canceled("club")
async def leaves(event: SubscriptionCanceled) -> None:
    await event.answer(f"Cancelled. The club is open to you until {day(event.subscription.expires_at)}.")


@club.subscription_restored("club")
async def stays(event: SubscriptionRestored) -> None:
    await event.answer("Good to have you back!")


@club.subscription_failed("club")
async def warns(event: SubscriptionFailed) -> None:
    await event.answer("Telegram could not charge you for another month. Join again to stay.", reply_markup=JOIN)


@club.subscription_expired("club")
async def ends(event: SubscriptionExpired) -> None:
    await event.answer("Your time among owls is over.", reply_markup=JOIN)


@club.completed("pass", "wishes")
async def thank(event: PaymentCompleted) -> None:
    await event.answer("It is yours. /mine")


def build_dispatcher(storage: BaseStorage | None = None, clock: Callable[[], float] | None = None) -> Dispatcher:
    dp = Dispatcher(storage=storage)
    dp.include_routers(club, neonpay_router(STAGES, clock=clock))
    return dp


if __name__ == "__main__":
    if token := os.environ.get("BOT_TOKEN"):
        build_dispatcher(SQLiteStorage(os.environ.get("CLUB_DB", "club.db"))).run_polling(Bot(token))
    else:
        sandbox = Sandbox()
        run_sandbox(build_dispatcher(clock=sandbox.clock.now), sandbox=sandbox, name="Night owls")
