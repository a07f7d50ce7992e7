"""Owns the methods that send files, change media and captions, and tell where a file can be downloaded."""

from __future__ import annotations

from typing import Any

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.files import FileKind
from aiogram_neonpay.sandbox.keyboards import Markup, check_pay_buttons, read_markup
from aiogram_neonpay.sandbox.media import CAPTIONED, FILE_FIELDS, identity_json, message_fields
from aiogram_neonpay.sandbox.methods.attachments import Attachment, read_attachment, read_media
from aiogram_neonpay.sandbox.methods.captions import CAPTION_FIELDS, caption_fields, spoiler_fields
from aiogram_neonpay.sandbox.methods.context import Context, Handler, ensure_not_blocked
from aiogram_neonpay.sandbox.methods.messages import apply_edit, post
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.rules import ALBUM_LENGTH

#: What an album holds either alone or not at all (MessageContent.cpp).
_HOMOGENEOUS = ("audio", "document")
_CONTENT = frozenset({*FILE_FIELDS, *CAPTION_FIELDS, "has_media_spoiler", "text", "entities"})


def sender(kind: FileKind) -> Handler:
    """Return the method that sends one file of a kind: sendPhoto, sendVideo, ..."""

    def send(context: Context) -> Json:
        attachment = read_attachment(context, kind)
        fields = caption_fields(context.parameters) if kind in CAPTIONED else {}
        fields |= spoiler_fields(context.parameters, kind)
        markup = read_markup(context.parameters)
        chat = context.known_chat()
        content = message_fields(attachment.keep(context)) | fields
        check_pay_buttons(markup, for_invoice=False)
        ensure_not_blocked(chat)
        return post(context, chat, content, markup).body

    return send


def send_media_group(context: Context) -> list[Json]:
    """Write an album: one message for each of 1 to 10 files."""
    context.parameters.required("media")
    items = context.parameters.json("media", "Can't parse media JSON object")
    if not isinstance(items, list):
        raise refuse("Expected an Array of InputMedia")
    read = [read_media(context, item, album=True) for item in items]
    chat = context.known_chat()
    _check_album([attachment for attachment, _ in read])
    contents = [message_fields(attachment.keep(context)) | fields for attachment, fields in read]
    ensure_not_blocked(chat)
    album: Json = {"media_group_id": context.world.ids.query_id()} if len(contents) > 1 else {}
    return [post(context, chat, {**album, **content}, Markup()).body for content in contents]


def edit_message_caption(context: Context) -> Json | bool:
    """Replace the caption and the inline keyboard of one of the bot's messages."""
    markup = read_markup(context.parameters)
    fields = caption_fields(context.parameters)
    message = context.own_message("edit")
    if not any(name in message.body for name in CAPTIONED):
        raise refuse("There is no caption in the message to edit")
    check_pay_buttons(markup, for_invoice=False)
    changed = {name: value for name, value in message.body.items() if name not in CAPTION_FIELDS}
    return apply_edit(context, message, changed | fields, markup)


def edit_message_media(context: Context) -> Json | bool:
    """Replace the file, the caption and the inline keyboard of one of the bot's messages; a text becomes media."""
    markup = read_markup(context.parameters)
    context.parameters.required("media")
    item: Any = context.parameters.json("media", "Can't parse input media JSON object")
    attachment, fields = read_media(context, item, album=False)
    message = context.own_message("edit")
    if not any(name in message.body for name in (*FILE_FIELDS, "text")):
        raise refuse("There is no media in the message to edit")
    check_pay_buttons(markup, for_invoice=False)
    changed = {name: value for name, value in message.body.items() if name not in _CONTENT}
    return apply_edit(context, message, changed | message_fields(attachment.keep(context)) | fields, markup)


def get_file(context: Context) -> Json:
    """Tell where a file of up to 20 MB can be downloaded."""
    file = context.world.files.find(context.parameters.text("file_id"))
    if file is None:
        raise refuse("invalid file_id")
    if file.content is None:
        raise refuse("wrong file_id or the file is temporarily unavailable")
    if not file.downloadable:
        raise refuse("file is too big")
    return identity_json(file) | {"file_path": file.path}


def _check_album(attachments: list[Attachment]) -> None:
    if len(attachments) > ALBUM_LENGTH:
        raise refuse("Too many messages to send as an album")
    if not attachments:
        raise refuse("There are no messages to send")
    kinds = {attachment.kind for attachment in attachments}
    alone = next((kind for kind in _HOMOGENEOUS if kind in kinds), None)
    if alone is not None and len(kinds) > 1:
        raise refuse(f"{alone.title()} can't be mixed with other media types")
