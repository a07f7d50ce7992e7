"""The shop of `tests.clients.visit` in python-telegram-bot.

Environment: ``SANDBOX_URL``, ``BOT_TOKEN``; with ``WEBHOOK_PORT`` it takes its updates there instead of polling.
"""

from __future__ import annotations

import os
from typing import Any

from telegram import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQueryResultArticle,
    InputInvoiceMessageContent,
    LabeledPrice,
    Update,
)
from telegram.error import BadRequest, Forbidden, RetryAfter, TelegramError
from telegram.ext import (
    Application,
    CallbackQueryHandler,
    CommandHandler,
    ContextTypes,
    InlineQueryHandler,
    MessageHandler,
    PreCheckoutQueryHandler,
    filters,
)

PRICES = {"premium": 25, "mug": 40, "ticket": 3, "club": 50, "gift": 2}
CODES = {BadRequest: 400, Forbidden: 403, RetryAfter: 429}
Context = ContextTypes.DEFAULT_TYPE


def offer(item: str) -> dict[str, Any]:
    return {
        "title": item.title(),
        "description": f"One {item}",
        "payload": item,
        "currency": "XTR",
        "prices": [LabeledPrice(item, PRICES[item])],
    }


async def start(update: Update, context: Context) -> None:
    assert update.message is not None
    buttons = [InlineKeyboardButton(item.title(), callback_data=f"buy:{item}") for item in ("premium", "mug")]
    await update.message.reply_text("<b>Welcome</b>", "HTML", reply_markup=InlineKeyboardMarkup([buttons]))


async def buy(update: Update, context: Context) -> None:
    query = update.callback_query
    assert query is not None and query.data is not None
    item = query.data.removeprefix("buy:")
    await query.answer(f"Here is your {item}")
    await context.bot.send_invoice(query.from_user.id, **offer(item))


async def decide(update: Update, context: Context) -> None:
    query = update.pre_checkout_query
    assert query is not None
    if query.invoice_payload == "mug":
        await query.answer(ok=False, error_message="Mugs are sold out")
    else:
        await query.answer(ok=True)


async def thank(update: Update, context: Context) -> None:
    assert update.message is not None
    paid = update.message.successful_payment
    assert paid is not None
    first = paid.is_first_recurring and paid.subscription_expiration_date is not None
    await update.message.reply_text(
        f"Paid {paid.total_amount} for {paid.invoice_payload}{' each month' if first else ''}:"
        f" {paid.telegram_payment_charge_id}"
    )


async def part(update: Update, context: Context) -> None:
    assert update.message is not None
    back = update.message.refunded_payment
    assert back is not None
    await context.bot.send_message(update.message.chat_id, f"Refunded {back.total_amount} for {back.invoice_payload}")


async def link(update: Update, context: Context) -> None:
    assert update.message is not None
    await update.message.reply_text(await context.bot.create_invoice_link(**offer("ticket")))


async def club(update: Update, context: Context) -> None:
    assert update.message is not None
    await update.message.reply_text(
        await context.bot.create_invoice_link(**offer("club"), subscription_period=30 * 86400)
    )


async def books(update: Update, context: Context) -> None:
    assert update.message is not None
    lines = [f"Balance {(await context.bot.get_my_star_balance()).amount}"]
    for row in (await context.bot.get_star_transactions(limit=100)).transactions:
        partner: Any = row.source or row.receiver
        lines.append(
            f"{'in' if row.source else 'out'} {row.amount} {partner.invoice_payload} {partner.user.id} {row.id}"
        )
    await update.message.reply_text("\n".join(lines))


async def refund(update: Update, context: Context) -> None:
    assert update.effective_user is not None and context.args
    await context.bot.refund_star_payment(update.effective_user.id, context.args[0])


async def free(update: Update, context: Context) -> None:
    assert update.effective_user is not None
    await context.bot.send_invoice(update.effective_user.id, "Free", "Free", "free", "XTR", [LabeledPrice("x", 0)])


async def tell(update: Update, context: Context) -> None:
    assert update.message is not None and context.args
    await context.bot.send_message(int(context.args[0]), "Psst")
    await update.message.reply_text("Told")


async def novel(update: Update, context: Context) -> None:
    assert update.message is not None
    await update.message.reply_text("Ж" * 4096)


async def edit(update: Update, context: Context) -> None:
    assert update.message is not None
    message = await update.message.reply_text("One")
    await message.edit_text("Two")
    await message.edit_text("Two")


async def typing(update: Update, context: Context) -> None:
    assert update.message is not None
    await update.message.reply_chat_action("typing")


async def inline(update: Update, context: Context) -> None:
    assert update.inline_query is not None
    content = InputInvoiceMessageContent(**offer("gift"))
    await update.inline_query.answer([InlineQueryResultArticle("gift", "A gift", content)], cache_time=0)


async def refused(update: object, context: Context) -> None:
    assert isinstance(update, Update) and update.message is not None
    error = context.error
    if not isinstance(error, TelegramError):
        raise RuntimeError("the shop is broken") from error
    wait = f", wait {error.retry_after}" if isinstance(error, RetryAfter) else ""
    await update.message.reply_text(f"Refused {CODES[type(error)]}{wait}: {error.message}")


def main() -> None:
    url = os.environ["SANDBOX_URL"]
    shop = Application.builder().token(os.environ["BOT_TOKEN"]).base_url(f"{url}/bot").build()
    commands = {
        "start": start,
        "link": link,
        "club": club,
        "books": books,
        "refund": refund,
        "free": free,
        "tell": tell,
        "novel": novel,
        "edit": edit,
        "typing": typing,
    }
    shop.add_handlers([CommandHandler(name, handler) for name, handler in commands.items()])
    shop.add_handler(CallbackQueryHandler(buy, "^buy:"))
    shop.add_handler(PreCheckoutQueryHandler(decide))
    shop.add_handler(MessageHandler(filters.SUCCESSFUL_PAYMENT, thank))
    shop.add_handler(MessageHandler(filters.StatusUpdate.REFUNDED_PAYMENT, part))
    shop.add_handler(InlineQueryHandler(inline))
    shop.add_error_handler(refused)
    if port := os.environ.get("WEBHOOK_PORT"):
        address = f"http://127.0.0.1:{port}/hook"
        shop.run_webhook("127.0.0.1", int(port), "hook", webhook_url=address, secret_token="open-sesame")
    else:
        shop.run_polling()


if __name__ == "__main__":
    main()
