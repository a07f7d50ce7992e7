"""Owns the methods that write, change and delete messages, and answer tapped buttons."""

from __future__ import annotations

from typing import Any

from aiogram_neonpay.sandbox.entities import parse_text
from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.keyboards import Markup, check_pay_buttons, read_markup
from aiogram_neonpay.sandbox.methods.context import Context, ensure_not_blocked
from aiogram_neonpay.sandbox.models import Chat, Invoice, Json, Message
from aiogram_neonpay.sandbox.parameters import Parameters
from aiogram_neonpay.sandbox.rules import (
    CALLBACK_ANSWER_CHARACTERS,
    CALLBACK_RETENTION,
    TEXT_CHARACTERS,
)

_HANDLED_AT_ONCE = 100


def send_message(context: Context) -> Json:
    """Write a text into a chat."""
    fields = text_fields(context.parameters)
    markup = read_markup(context.parameters)
    chat = context.known_chat()
    check_pay_buttons(markup, for_invoice=False)
    ensure_not_blocked(chat)
    return post(context, chat, fields, markup).body


def post(context: Context, chat: Chat, fields: Json, markup: Markup, invoice: Invoice | None = None) -> Message:
    """Put a message of the bot into a chat, with its keyboard and the message it replies to."""
    replied = _replied_message(context, chat)
    if replied is not None:
        body = {name: value for name, value in replied.body.items() if name != "reply_to_message"}
        fields = {"reply_to_message": body, **fields}
    if markup.inline is not None:
        fields = {**fields, "reply_markup": markup.inline}
    if context.parameters.boolean("protect_content"):
        fields = {**fields, "has_protected_content": True}
    message = context.world.post(chat, context.bot.as_user(), fields, bot_id=context.bot.id)
    message.reply_keyboard = markup.reply
    message.invoice = invoice
    context.world.announce(message)
    return message


def edit_message_text(context: Context) -> Json | bool:
    """Replace the text and the inline keyboard of one of the bot's messages."""
    fields = text_fields(context.parameters)
    markup = read_markup(context.parameters)
    message = context.own_message("edit")
    if "text" not in message.body:
        raise refuse("there is no text in the message to edit")
    check_pay_buttons(markup, for_invoice=False)
    changed = {name: value for name, value in message.body.items() if name not in ("text", "entities")}
    changed.update(fields)
    return apply_edit(context, message, changed, markup)


def edit_message_reply_markup(context: Context) -> Json | bool:
    """Replace the inline keyboard of one of the bot's messages."""
    markup = read_markup(context.parameters)
    message = context.own_message("edit")
    check_pay_buttons(markup, for_invoice=message.invoice is not None)
    return apply_edit(context, message, dict(message.body), markup)


def delete_message(context: Context) -> bool:
    """Delete a message; in private chats the person's own too."""
    if "message_id" not in context.parameters:
        raise refuse("message identifier is not specified")
    chat = context.chat()
    message = chat.messages.get(context.parameters.integer("message_id"))
    if message is None:
        raise refuse("message to delete not found")
    if not chat.is_private and message.bot_id != context.bot.id:
        raise refuse("MESSAGE_DELETE_FORBIDDEN")
    _delete(context, message)
    return True


def delete_messages(context: Context) -> bool:
    """Delete up to 100 messages, skipping those that are not there."""
    wanted = message_ids(context)
    chat = context.chat()
    for item in wanted:
        message = chat.messages.get(item)
        if message is not None and (chat.is_private or message.bot_id == context.bot.id):
            _delete(context, message)
    return True


def message_ids(context: Context) -> list[int]:
    """Read ``message_ids``: up to 100.

    :raises ApiError: 400 for anything else.
    """
    if "message_ids" not in context.parameters:
        raise refuse("Message identifiers are not specified")
    wanted = context.parameters.json("message_ids", "can't parse message identifiers JSON object")
    if not isinstance(wanted, list):
        raise refuse("Expected an Array of message identifiers")
    if len(wanted) > _HANDLED_AT_ONCE:
        raise refuse("Too many message identifiers specified")
    return [_message_id(item) for item in wanted]


def answer_callback_query(context: Context) -> bool:
    """Answer a tapped button. A second answer is accepted and ignored (a guess)."""
    parameters, world = context.parameters, context.world
    query = world.callbacks.get(parameters.text("callback_query_id"))
    if query is None or query.bot_id != context.bot.id:
        raise refuse("QUERY_ID_INVALID")
    if world.clock.now() - query.created >= CALLBACK_RETENTION:
        raise refuse("QUERY_ID_INVALID")
    text = parameters.text("text")
    if len(text) > CALLBACK_ANSWER_CHARACTERS:
        raise refuse("MESSAGE_TOO_LONG")
    if not query.answered:
        query.answered = True
        query.text = text or None
        query.alert = parameters.boolean("show_alert")
        query.url = parameters.text("url") or None
        world.changed.notify()
    return True


def text_fields(parameters: Parameters) -> Json:
    """Return ``text`` and ``entities`` of a message from a call's parameters.

    :raises ApiError: 400 for an empty, over-long or wrongly formatted text.
    """
    written = parameters.text("text")
    if not written.strip():
        raise refuse("message text is empty")
    entities = parameters.json("entities", "can't parse entities JSON object")
    text, marked = parse_text(written, parameters.text("parse_mode"), entities)
    if not text:
        raise refuse("message text is empty")
    if len(text) > TEXT_CHARACTERS:
        raise refuse("message is too long")
    return {"text": text, "entities": marked} if marked else {"text": text}


def apply_edit(context: Context, message: Message, changed: Json, markup: Markup) -> Json | bool:
    """Give one of the bot's messages another content and keyboard, and return what the methods answer.

    :raises ApiError: 400 ``message is not modified``.
    """
    changed.pop("reply_markup", None)
    changed.pop("edit_date", None)
    if markup.inline is not None:
        changed["reply_markup"] = markup.inline
    before = {name: value for name, value in message.body.items() if name != "edit_date"}
    if changed == before:
        raise refuse("MESSAGE_NOT_MODIFIED")
    message.body = {**changed, "edit_date": context.world.clock.date()}
    context.world.announce(message)
    return True if message.inline_message_id else message.body


def _delete(context: Context, message: Message) -> None:
    del message.chat.messages[message.id]
    if message.id in message.chat.pinned:
        message.chat.pinned.remove(message.id)
    context.world.announce_removal(message.chat, message.id)


def _message_id(item: Any) -> int:
    if isinstance(item, bool) or not isinstance(item, (int, str)):
        raise refuse("Message identifier must be a Number")
    try:
        return int(item)
    except ValueError:
        raise refuse("Can't parse message identifier as a Number") from None


def _replied_message(context: Context, chat: Chat) -> Message | None:
    reply = context.parameters.json("reply_parameters", "can't parse reply parameters JSON object")
    if isinstance(reply, dict) and reply.get("message_id"):
        wanted, lenient = _message_id(reply["message_id"]), bool(reply.get("allow_sending_without_reply"))
    else:
        wanted = context.parameters.integer("reply_to_message_id")
        lenient = context.parameters.boolean("allow_sending_without_reply")
    if not wanted:
        return None
    found = chat.messages.get(wanted)
    if found is None and not lenient:
        raise refuse("message to be replied not found")
    return found
