"""Owns the methods that forward and copy messages."""

from __future__ import annotations

import itertools

from aiogram_neonpay.sandbox import forwarding
from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.forwarding import Content
from aiogram_neonpay.sandbox.keyboards import Markup, check_pay_buttons, read_markup
from aiogram_neonpay.sandbox.media import CAPTIONED
from aiogram_neonpay.sandbox.methods.captions import CAPTION_FIELDS, caption_fields
from aiogram_neonpay.sandbox.methods.context import Context, ensure_not_blocked
from aiogram_neonpay.sandbox.methods.messages import message_ids, post
from aiogram_neonpay.sandbox.models import Chat, Json, Message


def forward_message(context: Context) -> Json:
    """Forward one message, which says where it came from."""
    message = _message(context, "forward")
    chat = context.known_chat()
    if forwarding.is_service(message):
        raise refuse("The message can't be forwarded")
    ensure_not_blocked(chat)
    return _place(context, chat, forwarding.forwarded(context.world, message), Markup()).body


def forward_messages(context: Context) -> list[Json]:
    """Forward up to 100 messages, passing over those that cannot be; albums stay together."""
    chat, messages = _several(context)
    contents = [
        (message, forwarding.forwarded(context.world, message))
        for message in messages
        if not forwarding.is_service(message) and "has_protected_content" not in message.body
    ]
    return _place_all(context, chat, contents)


def copy_message(context: Context) -> Json:
    """Copy one message, with a caption of its own if one is given."""
    message = _message(context, "copy")
    markup = read_markup(context.parameters)
    new_caption = caption_fields(context.parameters) if "caption" in context.parameters else None
    chat = context.known_chat()
    content = forwarding.copied(message)
    if content is None:
        raise refuse("The message can't be copied")
    check_pay_buttons(markup, for_invoice=False)
    ensure_not_blocked(chat)
    if new_caption is not None and any(name in content.fields for name in CAPTIONED):
        content = Content(_without_caption(content.fields) | new_caption)
    return {"message_id": _place(context, chat, content, markup).id}


def copy_messages(context: Context) -> list[Json]:
    """Copy up to 100 messages, passing over those that cannot be; albums stay together."""
    chat, messages = _several(context)
    bare = context.parameters.boolean("remove_caption")
    contents: list[tuple[Message, Content]] = []
    for message in messages:
        content = forwarding.copied(message)
        if content is not None and "has_protected_content" not in message.body:
            contents.append((message, Content(_without_caption(content.fields)) if bare else content))
    return _place_all(context, chat, contents)


def _without_caption(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if name not in CAPTION_FIELDS}


def _source(context: Context) -> Chat:
    return context.world.chat_for_bot(context.bot, context.parameters.required("from_chat_id"))


def _message(context: Context, action: str) -> Message:
    message = _source(context).messages.get(context.parameters.integer("message_id"))
    if message is None:
        raise refuse(f"message to {action} not found")
    if "has_protected_content" in message.body:
        raise refuse("Message has protected content and can't be forwarded")
    return message


def _several(context: Context) -> tuple[Chat, list[Message]]:
    source = _source(context)
    wanted = message_ids(context)
    chat = context.known_chat()
    if any(one >= other for one, other in itertools.pairwise(wanted)):
        raise refuse("Message identifiers must be in a strictly increasing order")
    found = [source.messages[item] for item in wanted if item in source.messages]
    if not found:
        raise refuse("There are no messages to forward")
    ensure_not_blocked(chat)
    return chat, found


def _place(context: Context, chat: Chat, content: Content, markup: Markup) -> Message:
    return forwarding.place(post(context, chat, content.fields, markup), content)


def _place_all(context: Context, chat: Chat, contents: list[tuple[Message, Content]]) -> list[Json]:
    albums: dict[str, str] = {}
    placed: list[Json] = []
    for message, content in contents:
        album = message.body.get("media_group_id")
        if album is not None:
            new = albums.setdefault(album, context.world.ids.query_id())
            content = Content(content.fields | {"media_group_id": new}, content.invoice, content.paid_media)
        placed.append({"message_id": _place(context, chat, content, Markup()).id})
    return placed
