"""Owns sendPaidMedia: photos and videos that are seen once their Stars are paid.

Sources: Bot API, sendPaidMedia and PaidMedia; `MessageContent.cpp` in tdlib/td.
"""

from __future__ import annotations

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.files import StoredFile
from aiogram_neonpay.sandbox.keyboards import check_pay_buttons, read_markup
from aiogram_neonpay.sandbox.media import file_json, photo_json
from aiogram_neonpay.sandbox.methods.attachments import read_paid_media
from aiogram_neonpay.sandbox.methods.captions import caption_fields
from aiogram_neonpay.sandbox.methods.context import Context, ensure_not_blocked
from aiogram_neonpay.sandbox.methods.messages import post
from aiogram_neonpay.sandbox.models import Json, PaidMedia
from aiogram_neonpay.sandbox.rules import (
    GUESS_MEDIA_PAYLOAD_TOO_LONG,
    GUESS_MEDIA_PRICE,
    PAID_MEDIA_LENGTH,
    PAID_MEDIA_PRICE,
    PAID_MEDIA_SERVER_PRICE,
    PAYLOAD_BYTES,
)


def send_paid_media(context: Context) -> Json:
    """Write media that people buy. The bot, whose they are, sees them; others see previews until they have paid."""
    parameters = context.parameters
    stars = parameters.integer("star_count", 0, 0, 1_000_000_000)
    parameters.required("media")
    items = parameters.json("media", "Can't parse paid media JSON object")
    if not isinstance(items, list):
        raise refuse("Expected an Array of InputPaidMedia")
    attachments = [read_paid_media(context, item) for item in items]
    fields = caption_fields(parameters)
    payload = parameters.text("payload")
    markup = read_markup(parameters)
    chat = context.known_chat()
    if not 1 <= stars <= PAID_MEDIA_SERVER_PRICE:
        raise refuse("Invalid media price specified")
    if not 1 <= len(attachments) <= PAID_MEDIA_LENGTH:
        raise refuse("Invalid number of paid media specified")
    files = [attachment.keep(context) for attachment in attachments]
    if any(file.kind not in ("photo", "video") for file in files):
        raise refuse("Invalid paid media file specified")
    ensure_not_blocked(chat)
    if stars > PAID_MEDIA_PRICE:
        raise refuse(GUESS_MEDIA_PRICE)
    if len(payload.encode()) > PAYLOAD_BYTES:
        raise refuse(GUESS_MEDIA_PAYLOAD_TOO_LONG)
    check_pay_buttons(markup, for_invoice=False)
    media = [_media(file) for file in files]
    content: Json = {"paid_media": {"star_count": stars, "paid_media": media}}
    message = post(context, chat, content | fields, markup)
    message.paid_media = PaidMedia(context.bot.id, stars, payload, media, [_preview(file) for file in files])
    return message.body


def _media(file: StoredFile) -> Json:
    return {"type": file.kind, file.kind: photo_json(file) if file.kind == "photo" else file_json(file)}


def _preview(file: StoredFile) -> Json:
    sizes: Json = {"width": file.width, "height": file.height, "duration": file.duration}
    return {"type": "preview", **{name: value for name, value in sizes.items() if value}}
