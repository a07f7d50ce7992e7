"""The shop of `tests.clients.visit` in pyTelegramBotAPI's `AsyncTeleBot`.

Environment: ``SANDBOX_URL``, ``BOT_TOKEN``.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable
from typing import Any

from telebot import asyncio_helper
from telebot.async_telebot import AsyncTeleBot
from telebot.asyncio_helper import ApiTelegramException
from telebot.types import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQueryResultArticle,
    InputInvoiceMessageContent,
    LabeledPrice,
)

PRICES = {"premium": 25, "mug": 40, "ticket": 3, "club": 50, "gift": 2}

asyncio_helper.API_URL = os.environ["SANDBOX_URL"] + "/bot{0}/{1}"
bot = AsyncTeleBot(os.environ["BOT_TOKEN"])


def offer(item: str) -> dict[str, Any]:
    return {
        "title": item.title(),
        "description": f"One {item}",
        "invoice_payload": item,
        "provider_token": "",
        "currency": "XTR",
        "prices": [LabeledPrice(item, PRICES[item])],
    }


async def link_to(item: str, **options: Any) -> str:
    details = offer(item)
    return await bot.create_invoice_link(payload=details.pop("invoice_payload"), **details, **options)


def command(name: str) -> Callable[[Callable[[Any], Awaitable[None]]], None]:
    """Serve a command; what Telegram refuses is told to the person."""

    def serve(handler: Callable[[Any], Awaitable[None]]) -> None:
        @bot.message_handler(commands=[name])
        @functools.wraps(handler)
        async def guarded(message: Any) -> None:
            try:
                await handler(message)
            except ApiTelegramException as error:
                seconds = error.result_json.get("parameters", {}).get("retry_after")
                wait = f", wait {seconds}" if seconds else ""
                await bot.send_message(message.chat.id, f"Refused {error.error_code}{wait}: {error.description}")

    return serve


@command("start")
async def start(message: Any) -> None:
    buttons = [InlineKeyboardButton(item.title(), callback_data=f"buy:{item}") for item in ("premium", "mug")]
    await bot.send_message(
        message.chat.id, "<b>Welcome</b>", parse_mode="HTML", reply_markup=InlineKeyboardMarkup([buttons])
    )


@bot.callback_query_handler(func=lambda query: query.data.startswith("buy:"))
async def buy(query: Any) -> None:
    item = query.data.removeprefix("buy:")
    await bot.answer_callback_query(query.id, f"Here is your {item}")
    await bot.send_invoice(query.from_user.id, **offer(item))


@bot.pre_checkout_query_handler(func=lambda query: True)
async def decide(query: Any) -> None:
    if query.invoice_payload == "mug":
        await bot.answer_pre_checkout_query(query.id, ok=False, error_message="Mugs are sold out")
    else:
        await bot.answer_pre_checkout_query(query.id, ok=True)


@bot.message_handler(content_types=["successful_payment"])
async def thank(message: Any) -> None:
    paid = message.successful_payment
    first = paid.is_first_recurring and paid.subscription_expiration_date is not None
    await bot.reply_to(
        message,
        f"Paid {paid.total_amount} for {paid.invoice_payload}{' each month' if first else ''}:"
        f" {paid.telegram_payment_charge_id}",
    )


async def part(messages: list[Any]) -> None:
    """Hear refunds as the library lets one hear them: it gives these messages no content type to filter by."""
    for message in messages:
        if back := message.refunded_payment:
            await bot.send_message(message.chat.id, f"Refunded {back.total_amount} for {back.invoice_payload}")


bot.set_update_listener(part)  # type: ignore[arg-type]  # a coroutine function, as in its own example


@command("link")
async def link(message: Any) -> None:
    await bot.send_message(message.chat.id, await link_to("ticket"))


@command("club")
async def club(message: Any) -> None:
    await bot.send_message(message.chat.id, await link_to("club", subscription_period=30 * 86400))


@command("books")
async def books(message: Any) -> None:
    lines = [f"Balance {(await bot.get_my_star_balance()).amount}"]
    for row in (await bot.get_star_transactions(limit=100)).transactions:
        partner: Any = row.source or row.receiver
        lines.append(
            f"{'in' if row.source else 'out'} {row.amount} {partner.invoice_payload} {partner.user.id} {row.id}"
        )
    await bot.send_message(message.chat.id, "\n".join(lines))


@command("refund")
async def refund(message: Any) -> None:
    await bot.refund_star_payment(message.from_user.id, message.text.split()[1])


@command("free")
async def free(message: Any) -> None:
    await bot.send_invoice(message.chat.id, "Free", "Free", "free", "", "XTR", [LabeledPrice("x", 0)])


@command("tell")
async def tell(message: Any) -> None:
    await bot.send_message(int(message.text.split()[1]), "Psst")
    await bot.send_message(message.chat.id, "Told")


@command("novel")
async def novel(message: Any) -> None:
    await bot.send_message(message.chat.id, "Ж" * 4096)


@command("edit")
async def edit(message: Any) -> None:
    sent = await bot.send_message(message.chat.id, "One")
    await bot.edit_message_text("Two", message.chat.id, sent.message_id)
    await bot.edit_message_text("Two", message.chat.id, sent.message_id)


@command("typing")
async def typing(message: Any) -> None:
    await bot.send_chat_action(message.chat.id, "typing")


@bot.inline_handler(func=lambda query: True)
async def inline(query: Any) -> None:
    details = offer("gift")
    content = InputInvoiceMessageContent(payload=details.pop("invoice_payload"), **details)
    await bot.answer_inline_query(query.id, [InlineQueryResultArticle("gift", "A gift", content)], cache_time=0)


if __name__ == "__main__":
    asyncio.run(bot.infinity_polling(timeout=20))
