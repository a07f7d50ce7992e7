"""Owns what becomes of a message's content when it is forwarded or copied.

Sources: Bot API, sendInvoice (`start_parameter`) and copyMessage; `can_forward_message_content` in tdlib/td. That
copies lose their keyboards, and that copies of paid media show previews to everybody, are guesses.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiogram_neonpay.sandbox.models import Invoice, Json, Message, PaidMedia
from aiogram_neonpay.sandbox.rules import GUESS_FORWARDED_INVOICE_BUTTON
from aiogram_neonpay.sandbox.transcript import SERVICE_FIELDS
from aiogram_neonpay.sandbox.world import World

#: What belongs to the place and time of a message, not to its content.
_CIRCUMSTANCES = frozenset(
    {
        "message_id",
        "from",
        "chat",
        "date",
        "edit_date",
        "reply_to_message",
        "reply_markup",
        "media_group_id",
        "has_protected_content",
        "via_bot",
        "forward_origin",
        "forward_from",
        "forward_date",
    }
)


@dataclass(frozen=True, slots=True)
class Content:
    """What a message holds, ready to be posted elsewhere."""

    fields: Json
    invoice: Invoice | None = None
    paid_media: PaidMedia | None = None


def is_service(message: Message) -> bool:
    """Tell whether a message only reports that something happened."""
    return any(name in message.body for name in SERVICE_FIELDS)


def forwarded(world: World, message: Message) -> Content:
    """Return a message's content as it is forwarded, with its origin.

    The copy of an invoice can be paid by anybody if its ``start_parameter`` is empty; otherwise a button leads to
    the bot. The caller has checked that the message may be forwarded.
    """
    body = message.body
    origin = body.get("forward_origin") or {"type": "user", "sender_user": body["from"], "date": body["date"]}
    fields: Json = {"forward_origin": origin, "forward_from": origin["sender_user"], "forward_date": origin["date"]}
    fields |= _content(message)
    invoice = message.invoice
    if invoice is not None and invoice.start_parameter:
        url = f"https://t.me/{world.bots[invoice.bot_id].username}?start={invoice.start_parameter}"
        fields["reply_markup"] = {"inline_keyboard": [[{"text": GUESS_FORWARDED_INVOICE_BUTTON, "url": url}]]}
        invoice = None
    paid = message.paid_media
    if paid is not None:
        fields["paid_media"] = {"star_count": paid.stars, "paid_media": paid.previews}
    return Content(fields, invoice, paid)


def copied(message: Message) -> Content | None:
    """Return a message's content without its origin; ``None`` for what cannot be copied."""
    if is_service(message) or "invoice" in message.body or message.paid_media is not None:
        return None
    return Content(_content(message))


def place(message: Message, content: Content) -> Message:
    """Give a freshly posted message what its fields do not hold."""
    message.invoice, message.paid_media = content.invoice, content.paid_media
    return message


def _content(message: Message) -> Json:
    fields = {name: value for name, value in message.body.items() if name not in _CIRCUMSTANCES}
    if "via_bot" in message.body:
        fields["via_bot"] = message.body["via_bot"]
    return fields
