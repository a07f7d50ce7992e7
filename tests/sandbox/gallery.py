"""What a bot shows beside text and invoices, in plain aiogram: media, paid ones too, a club, inline results."""

from __future__ import annotations

from aiogram import Bot, F, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import (
    BufferedInputFile,
    CallbackQuery,
    ChosenInlineResult,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQuery,
    InlineQueryResultArticle,
    InputInvoiceMessageContent,
    InputMediaPhoto,
    InputPaidMediaPhoto,
    InputTextMessageContent,
    KeyboardButton,
    LabeledPrice,
    Message,
    PaidMediaPurchased,
    ReplyKeyboardMarkup,
)

from aiogram_neonpay.sandbox.images import plain_png

COLOURS = ((200, 70, 90), (70, 140, 200), (90, 170, 110), (220, 170, 60))


def picture(number: int = 0, width: int = 400, height: int = 300) -> BufferedInputFile:
    """Draw a picture to upload."""
    return BufferedInputFile(plain_png(width, height, COLOURS[number % 4]), f"picture-{number}.png")


def make_gallery() -> Router:
    """Return a router that answers commands with one kind of content each."""
    router = Router()

    @router.startup()
    async def describe(bot: Bot) -> None:
        await bot.set_my_description("This bot sells <b>pictures</b>.\nThey are square.")

    @router.message(Command("photo"))
    async def photo(message: Message) -> None:
        await message.reply_photo(picture(), caption="A <b>red</b> one", parse_mode="HTML")

    @router.message(Command("album"))
    async def album(message: Message, command: CommandObject) -> None:
        count = int(command.args or 3)
        media = [InputMediaPhoto(media=picture(n), caption="All of them" if n == 1 else None) for n in range(count)]
        await message.answer_media_group(list(media))

    @router.message(Command("files"))
    async def files(message: Message) -> None:
        await message.answer_document(BufferedInputFile(b"<script>document.title='owned'</script>", "<b>page</b>.html"))
        await message.answer_video(BufferedInputFile(b"no film", "holiday.mp4"), width=640, height=360)
        await message.answer_voice(BufferedInputFile(b"no sound", "hello.ogg"))
        await message.answer_sticker(picture(3, 512, 512))
        await message.answer_dice()
        await message.answer_contact("+1555", "Carol")

    @router.message(Command("paid"))
    async def paid(message: Message, bot: Bot) -> None:
        media = [InputPaidMediaPhoto(media=picture(n)) for n in range(2)]
        await bot.send_paid_media(message.chat.id, 20, list(media), payload="pair", caption="Two for twenty")

    @router.purchased_paid_media()
    async def bought(purchase: PaidMediaPurchased, bot: Bot) -> None:
        await bot.send_message(purchase.from_user.id, f"You have bought the {purchase.paid_media_payload}")

    @router.message(Command("club"))
    async def club(message: Message, bot: Bot) -> None:
        prices = [LabeledPrice(label="A month", amount=200)]
        link = await bot.create_invoice_link(
            "Club", "A month of it", "club", "XTR", prices, subscription_period=2592000
        )
        button = InlineKeyboardButton(text="Join the club", url=link)
        await message.answer("Join us", reply_markup=InlineKeyboardMarkup(inline_keyboard=[[button]]))

    @router.message(Command("share"))
    async def share(message: Message) -> None:
        keys = [[KeyboardButton(text="My number", request_contact=True)], [KeyboardButton(text="Nothing")]]
        await message.answer("What will you share?", reply_markup=ReplyKeyboardMarkup(keyboard=keys))

    @router.message(Command("find"))
    async def find(message: Message) -> None:
        button = InlineKeyboardButton(text="Search here", switch_inline_query_current_chat="tick")
        await message.answer("Search", reply_markup=InlineKeyboardMarkup(inline_keyboard=[[button]]))

    @router.message(Command("edit"))
    async def edit(message: Message) -> None:
        button = InlineKeyboardButton(text="Change it", callback_data="edit")
        await message.answer("First words", reply_markup=InlineKeyboardMarkup(inline_keyboard=[[button]]))

    @router.callback_query(F.data == "edit")
    async def change(query: CallbackQuery) -> None:
        if isinstance(query.message, Message):
            await query.message.edit_text("Second words")
        await query.answer()

    @router.message(F.reply_to_message)
    async def answered(message: Message) -> None:
        replied = message.reply_to_message
        await message.answer(f"You replied to: {replied.text if replied else ''}")

    @router.message(F.photo)
    async def seen(message: Message) -> None:
        size = message.photo[-1] if message.photo else None
        await message.reply(f"A photo of {size.width if size else 0} pixels: {message.caption}")

    @router.message(F.contact)
    async def met(message: Message) -> None:
        await message.answer(f"A number: {message.contact.phone_number if message.contact else ''}")

    @router.inline_query()
    async def search(query: InlineQuery) -> None:
        ticket = InputInvoiceMessageContent(
            title="Ticket",
            description="One ticket",
            payload="ticket",
            currency="XTR",
            prices=[LabeledPrice(label="x", amount=3)],
        )
        results = [
            InlineQueryResultArticle(id="t", title="Ticket", description=query.query, input_message_content=ticket),
            InlineQueryResultArticle(
                id="w", title="Words", input_message_content=InputTextMessageContent(message_text="Words of the bot")
            ),
        ]
        await query.answer(list(results), cache_time=0)

    @router.chosen_inline_result()
    async def chosen(result: ChosenInlineResult) -> None:
        return None

    return router
