from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError
from aiogram.types import (
    BotCommand,
    BotCommandScopeAllPrivateChats,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    KeyboardButton,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
)

from aiogram_neonpay.sandbox import SandboxError
from tests.sandbox.conftest import Stand
from tests.sandbox.raw import call


def inline(*texts: str) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(
        inline_keyboard=[[InlineKeyboardButton(text=text, callback_data=text.lower())] for text in texts]
    )


@pytest.mark.asyncio
async def test_formatted_text_becomes_entities(stand: Stand) -> None:
    message = await stand.bot.send_message(
        stand.alice.id, "<b>Bold</b> 🎁 <a href='https://a.b/?x=1&amp;y=2'>link</a> /buy", parse_mode="HTML"
    )
    assert message.text == "Bold 🎁 link /buy"
    found = [(e.type, e.offset, e.length, e.url) for e in message.entities or []]
    assert found == [
        ("bold", 0, 4, None),
        ("text_link", 8, 4, "https://a.b/?x=1&y=2"),
        ("bot_command", 13, 4, None),
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("text", "mode", "plain", "kinds"),
    [
        ("*b* _i_ __u__ ~s~ ||p|| `c`", "MarkdownV2", "b i u s p c",
         ["bold", "italic", "underline", "strikethrough", "spoiler", "code"]),
        ("*b* _i_ [l](https://a.b)", "Markdown", "b i l", ["bold", "italic", "text_link"]),
        (r"1\. a\_b", "MarkdownV2", "1. a_b", []),
        ("<b>a<i>b</i></b> &lt;c&gt;", "html", "ab <c>", ["bold", "italic"]),
    ],
)  # fmt: skip
async def test_every_parse_mode_is_read(stand: Stand, text: str, mode: str, plain: str, kinds: list[str]) -> None:
    message = await stand.bot.send_message(stand.alice.id, text, parse_mode=mode)
    assert message.text == plain
    assert [entity.type for entity in message.entities or []] == kinds


SENDING: list[tuple[dict[str, Any], str]] = [
    ({"text": ""}, "Bad Request: message text is empty"),
    ({"text": " \n"}, "Bad Request: message text is empty"),
    ({"text": "x" * 4097}, "Bad Request: message is too long"),
    ({"text": "x", "chat_id": ""}, "Bad Request: chat_id is empty"),
    ({"text": "x", "chat_id": 4}, "Bad Request: chat not found"),
    ({"text": "<q>x</q>", "parse_mode": "HTML"},
     'Bad Request: can\'t parse entities: Unsupported start tag "q" at byte offset 0'),
    ({"text": "<b>x", "parse_mode": "HTML"},
     'Bad Request: can\'t parse entities: Can\'t find end tag corresponding to start tag "b"'),
    ({"text": "x", "parse_mode": "rtf"}, "Bad Request: unsupported parse_mode"),
    ({"text": "x", "reply_markup": "{"}, "Bad Request: can't parse reply keyboard markup JSON object"),
    ({"text": "x", "reply_markup": "5"}, "Bad Request: object expected as reply markup"),
    ({"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "a"}]]}},
     "Bad Request: can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"),
    ({"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "a", "callback_data": "я" * 33}]]}},
     "Bad Request: BUTTON_DATA_INVALID"),
    ({"text": "x", "entities": [{"type": "bold"}]},
     "Bad Request: can't parse MessageEntity: offset and length must be Numbers"),
    ({"text": "\ud800"}, "Bad Request: strings must be encoded in UTF-8"),
    ({"text": "x", "reply_to_message_id": 77}, "Bad Request: message to be replied not found"),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("params", "description"), SENDING)
async def test_a_wrong_message_is_refused(stand: Stand, params: dict[str, Any], description: str) -> None:
    params = {"chat_id": stand.alice.id, **params}
    status, answer = await call(stand.server.url, stand.token, "sendMessage", **params)
    assert (status, answer["description"]) == (400, description)


@pytest.mark.asyncio
async def test_people_out_of_reach_give_403(stand: Stand) -> None:
    stranger = stand.sandbox.create_user("Carol")
    with pytest.raises(TelegramForbiddenError, match="bot can't initiate conversation with a user"):
        await stand.bot.send_message(stranger.id, "hi")
    with pytest.raises(TelegramForbiddenError, match="the bot can't send messages to the bot"):
        await stand.bot.send_message(stand.bot.id, "hi")
    stand.alice.block()
    with pytest.raises(TelegramForbiddenError, match="Forbidden: bot was blocked by the user"):
        await stand.bot.send_message(stand.alice.id, "hi")
    change = (await stand.update("my_chat_member")).my_chat_member
    assert change is not None and change.new_chat_member.status == "kicked"
    stand.alice.unblock()
    assert (await stand.bot.send_message(stand.alice.id, "hi")).text == "hi"


@pytest.mark.asyncio
async def test_a_tap_waits_for_its_answer_and_carries_the_message(stand: Stand) -> None:
    sent = await stand.bot.send_message(stand.alice.id, "Pick", reply_markup=inline("Premium", "Sticker"))
    tapping = asyncio.ensure_future(stand.alice.tap("stick"))
    query = (await stand.update("callback_query")).callback_query
    assert query is not None and query.message is not None
    assert (query.data, query.message.message_id) == ("sticker", sent.message_id)
    await stand.bot.answer_callback_query(query.id, text="Good choice", show_alert=True)
    assert await tapping == "Good choice"
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await stand.bot.answer_callback_query("1")


@pytest.mark.asyncio
async def test_a_button_that_never_comes_is_an_error_that_says_what_is_seen(stand: Stand) -> None:
    await stand.bot.send_message(stand.alice.id, "No buttons here")
    with pytest.raises(SandboxError, match=r"no button with 'Premium'.*No buttons here"):
        await stand.alice.tap("Premium", timeout=0)
    with pytest.raises(SandboxError, match="sees no invoice"):
        await stand.alice.pay(timeout=0)


@pytest.mark.asyncio
async def test_reply_keyboards_and_deep_links_are_tapped_into_messages(stand: Stand) -> None:
    keyboard = ReplyKeyboardMarkup(keyboard=[[KeyboardButton(text="Catalog")]])
    await stand.bot.send_message(stand.alice.id, "Menu", reply_markup=keyboard)
    await stand.alice.tap("Catalog")
    link = InlineKeyboardButton(text="Gift", url="https://t.me/neon_demo_bot?start=gift")
    await stand.bot.send_message(stand.alice.id, "x", reply_markup=InlineKeyboardMarkup(inline_keyboard=[[link]]))
    await stand.alice.tap("Gift")
    texts = [update.message.text for update in await stand.updates() if update.message]
    assert texts == ["Catalog", "/start gift"]
    await stand.bot.send_message(stand.alice.id, "gone", reply_markup=ReplyKeyboardRemove())
    with pytest.raises(SandboxError, match="no button"):
        await stand.alice.tap("Catalog", timeout=0)


@pytest.mark.asyncio
async def test_messages_are_edited_and_deleted(stand: Stand) -> None:
    sent = await stand.bot.send_message(stand.alice.id, "one", reply_markup=inline("A"))
    edited = await stand.bot.edit_message_text("two", chat_id=stand.alice.id, message_id=sent.message_id)
    assert not isinstance(edited, bool)
    assert (edited.text, edited.reply_markup) == ("two", None)
    with pytest.raises(TelegramBadRequest, match="message is not modified: specified new message content"):
        await stand.bot.edit_message_text("two", chat_id=stand.alice.id, message_id=sent.message_id)
    edited = await stand.bot.edit_message_reply_markup(
        chat_id=stand.alice.id, message_id=sent.message_id, reply_markup=inline("B")
    )
    assert stand.alice.messages()[0].buttons == (("B",),)
    assert await stand.bot.delete_message(stand.alice.id, sent.message_id)
    assert stand.alice.messages() == []
    with pytest.raises(TelegramBadRequest, match="message to delete not found"):
        await stand.bot.delete_message(stand.alice.id, sent.message_id)
    with pytest.raises(TelegramBadRequest, match="message to edit not found"):
        await stand.bot.edit_message_text("x", chat_id=stand.alice.id, message_id=sent.message_id)
    own = await stand.alice.send("mine")
    with pytest.raises(TelegramBadRequest, match="message can't be edited"):
        await stand.bot.edit_message_text("x", chat_id=stand.alice.id, message_id=own.id)
    assert await stand.bot.delete_messages(stand.alice.id, [own.id, 12345])
    assert stand.alice.messages() == []


@pytest.mark.asyncio
async def test_an_invoice_has_no_text_to_edit(stand: Stand) -> None:
    sent = await stand.invoice()
    with pytest.raises(TelegramBadRequest, match="there is no text in the message to edit"):
        await stand.bot.edit_message_text("x", chat_id=stand.alice.id, message_id=sent.message_id)


@pytest.mark.asyncio
async def test_a_group_message_reaches_the_bot_with_its_chat(stand: Stand) -> None:
    group = stand.sandbox.create_group("Club", [stand.alice, stand.bob])
    await stand.alice.send("/buy@neon_demo_bot", chat=group)
    message = (await stand.update("message")).message
    assert message is not None and message.from_user is not None
    assert (message.chat.id, message.chat.type, message.chat.title) == (group.id, "supergroup", "Club")
    assert message.from_user.id == stand.alice.id
    await message.reply("Here")
    assert [item.text for item in group.messages()] == ["/buy@neon_demo_bot", "Here"]
    assert (await stand.bot.get_chat(group.id)).title == "Club"
    assert (await stand.bot.get_chat_member(group.id, stand.bob.id)).status == "member"
    with pytest.raises(SandboxError, match="in no chat"):
        await stand.sandbox.create_user("Carol").send("hi", chat=group)


@pytest.mark.asyncio
async def test_commands_are_kept_by_scope_and_language(stand: Stand) -> None:
    buy, kupit = BotCommand(command="buy", description="Buy"), BotCommand(command="buy", description="Купить")
    scope = BotCommandScopeAllPrivateChats()
    await stand.bot.set_my_commands([buy])
    await stand.bot.set_my_commands([kupit], scope=scope, language_code="ru")
    assert (await stand.bot.get_my_commands())[0].description == "Buy"
    assert (await stand.bot.get_my_commands(scope=scope, language_code="ru"))[0].description == "Купить"
    await stand.bot.delete_my_commands()
    assert await stand.bot.get_my_commands() == []
    with pytest.raises(TelegramBadRequest, match="BOT_COMMAND_INVALID"):
        await stand.bot.set_my_commands([BotCommand(command="b u y", description="x")])


@pytest.mark.asyncio
async def test_a_chat_action_is_taken(stand: Stand) -> None:
    assert await stand.bot.send_chat_action(stand.alice.id, "typing")
    with pytest.raises(TelegramBadRequest, match="wrong parameter action in request"):
        await stand.bot.send_chat_action(stand.alice.id, "dancing")
