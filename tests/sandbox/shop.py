"""A small shop in plain aiogram, for the page to talk to."""

from __future__ import annotations

from aiogram import Bot, Dispatcher, F
from aiogram.filters import Command, CommandStart
from aiogram.types import (
    BotCommand,
    CallbackQuery,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LabeledPrice,
    Message,
    PreCheckoutQuery,
)

HOSTILE = "<img src=x onerror=document.title='owned'>"


def make_shop() -> Dispatcher:
    """Return a dispatcher that sells premium, tickets and donations, declines mugs and is silent about ghosts."""
    dispatcher = Dispatcher()

    @dispatcher.startup()
    async def describe(bot: Bot) -> None:
        await bot.set_my_commands(
            [
                BotCommand(command="start", description="What is on sale"),
                BotCommand(command="donate", description="Support the author"),
            ]
        )

    @dispatcher.message(CommandStart())
    async def start(message: Message) -> None:
        await message.answer(
            f"Welcome to the <b>shop</b> {HOSTILE.replace('<', '&lt;')}",
            parse_mode="HTML",
            reply_markup=_keys(("Premium", "buy:premium:25"), ("Mug", "buy:mug:40"), ("Ghost", "buy:ghost:7")),
        )

    @dispatcher.message(Command("donate"))
    async def donate(message: Message) -> None:
        await message.answer("How much?", reply_markup=_keys(*((f"⭐ {n}", f"buy:donation:{n}") for n in (1, 10, 50))))

    @dispatcher.message(Command("card"))
    async def card(message: Message) -> None:
        await message.answer(
            "<pre>a card</pre>\n\nYours ⭐", parse_mode="HTML", reply_markup=_keys(("Tear up", "tear"))
        )

    @dispatcher.callback_query(F.data == "tear")
    async def tear(query: CallbackQuery) -> None:
        if isinstance(query.message, Message):
            await query.message.edit_reply_markup(reply_markup=None)
        await query.answer()

    @dispatcher.message(Command("link"))
    async def link(message: Message, bot: Bot) -> None:
        url = await bot.create_invoice_link(
            "Ticket", "One ticket", "ticket", "XTR", [LabeledPrice(label="x", amount=3)]
        )
        button = InlineKeyboardButton(text="Get a ticket", url=url)
        await message.answer("Tickets for all", reply_markup=InlineKeyboardMarkup(inline_keyboard=[[button]]))

    @dispatcher.callback_query(F.data.startswith("buy:"))
    async def buy(query: CallbackQuery) -> None:
        _, item, price = (query.data or "").split(":")
        await query.answer(f"Here is your {item}")
        if isinstance(query.message, Message):
            await query.message.answer_invoice(
                item.title(), f"One {item}", item, "XTR", [LabeledPrice(label=item, amount=int(price))]
            )

    @dispatcher.pre_checkout_query()
    async def decide(query: PreCheckoutQuery) -> None:
        if query.invoice_payload == "ghost":
            return  # never answered
        sold_out = query.invoice_payload == "mug"
        await query.answer(ok=not sold_out, error_message="Mugs are sold out until Friday" if sold_out else None)

    @dispatcher.message(F.successful_payment)
    async def thank(message: Message) -> None:
        await message.answer("Thank you, it is yours")

    @dispatcher.message(F.refunded_payment)
    async def part(message: Message) -> None:
        await message.answer("Your Stars are back")

    return dispatcher


def _keys(*buttons: tuple[str, str]) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(
        inline_keyboard=[[InlineKeyboardButton(text=text, callback_data=data) for text, data in buttons]]
    )
