"""Owns how a chat looks to a person: its messages, its keyboards and which of them can be tapped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiogram_neonpay.sandbox.models import Chat, ChatMessage, Invoice, Json, Message

#: The fields of messages that only report that something happened.
SERVICE_FIELDS = ("successful_payment", "refunded_payment", "pinned_message")


def chat_message(message: Message, viewer: int | None = None) -> ChatMessage:
    """Return a message as a value of the transcript, as a person sees it, or as one who has bought nothing."""
    body = seen_by(message, viewer)
    rows = list(inline_rows(message))
    keyboard = (message.reply_keyboard or {}).get("keyboard") or []
    rows += keyboard
    return ChatMessage(
        id=message.id,
        chat_id=message.chat.id,
        sender_id=body["from"]["id"],
        from_bot=bool(body["from"]["is_bot"]),
        text=text_of(message),
        buttons=tuple(tuple(button["text"] for button in row) for row in rows),
        amount=message.invoice.amount if message.invoice else message.paid_media.stars if message.paid_media else None,
        paid=_is_paid(message, viewer),
        raw=body,
    )


def text_of(message: Message) -> str:
    """Return a message's text, or the caption of its media."""
    return str(message.body.get("text") or message.body.get("caption", ""))


def seen_by(message: Message, viewer: int | None) -> Json:
    """Return the `Message` object as a person sees it: paid media are previews until that person has bought them."""
    paid = message.paid_media
    if paid is None:
        return message.body
    media = paid.media if viewer in paid.buyers else paid.previews
    return {**message.body, "paid_media": {"star_count": paid.stars, "paid_media": media}}


def newest_media(chats: Iterable[Chat], viewer: int) -> Message | None:
    """Find the newest paid media that a person has not bought."""
    messages = [
        message
        for chat in chats
        for message in chat.messages.values()
        if message.paid_media is not None and viewer not in message.paid_media.buyers
    ]
    return max(messages, key=lambda message: message.order, default=None)


def _is_paid(message: Message, viewer: int | None) -> bool:
    if message.paid_media is not None:
        return viewer in message.paid_media.buyers
    return message.invoice is not None and message.charge_id is not None


def inline_rows(message: Message) -> list[list[Json]]:
    """Return the rows of a message's inline keyboard."""
    rows: list[list[Json]] = message.body.get("reply_markup", {}).get("inline_keyboard", [])
    return rows


def current_keyboard(chat: Chat) -> Json | None:
    """Return the reply keyboard shown in a chat now: the newest one that has not been removed."""
    for message in reversed(chat.messages.values()):
        markup = message.reply_keyboard
        if markup is not None:
            return markup if markup.get("keyboard") else None
    return None


def find_button(chats: Iterable[Chat], text: str) -> tuple[Message, Json] | None:
    """Find the newest message with an inline button whose text is ``text``, or contains it, in any case."""
    messages = [message for chat in chats for message in chat.messages.values()]
    for message in sorted(messages, key=lambda message: message.order, reverse=True):
        button = meant_button(inline_rows(message), text)
        if button is not None:
            return message, button
    return None


def meant_button(rows: list[list[Json]], text: str) -> Json | None:
    """Return the button whose text is ``text``, in any case; else the first that contains it."""
    wanted = text.casefold()
    buttons = [button for row in rows for button in row]
    exact = (button for button in buttons if button["text"].casefold() == wanted)
    return next(exact, next((button for button in buttons if wanted in button["text"].casefold()), None))


def shown_buttons(chats: Iterable[Chat]) -> list[str]:
    """Return the texts of the buttons that a person is looking at: the newest inline keyboard, and below the chat."""
    inline = [message for chat in chats for message in chat.messages.values() if inline_rows(message)]
    newest = max(inline, key=lambda message: message.order, default=None)
    rows = [] if newest is None else list(inline_rows(newest))
    for chat in chats:
        rows += (current_keyboard(chat) or {}).get("keyboard", [])
    return [button["text"] for row in rows for button in row]


def find_reply_button(chats: Iterable[Chat], text: str) -> tuple[Chat, Json] | None:
    """Find a button of a shown reply keyboard whose text is ``text``, or contains it, in any case."""
    for chat in chats:
        button = meant_button((current_keyboard(chat) or {}).get("keyboard", []), text)
        if button is not None:
            return chat, button
    return None


def shown_invoice(message: Message, links: Mapping[str, Invoice]) -> Invoice | None:
    """Return what can be paid for from a message: the invoice it is, or one that a button of it links to.

    Subscriptions are sold through links alone (Bot API ``createInvoiceLink``).

    :param links: the invoices behind links, by slug.
    """
    if message.invoice is not None:
        return message.invoice
    rows = message.body.get("reply_markup", {}).get("inline_keyboard", [])
    urls = [button["url"] for row in rows for button in row if "url" in button]
    return next((links[slug] for url in urls if (slug := slug_of(url)) in links), None)


def slug_of(link: str) -> str:
    """Return the slug of an invoice link (``https://t.me/$slug``, ``t.me/invoice/slug``), or of a bare one."""
    return link.strip().rsplit("/", 1)[-1].lstrip("$")


def newest_invoice(
    chats: Iterable[Chat], links: Mapping[str, Invoice], after: int = 0, payload: str | None = None
) -> Message | None:
    """Find the newest message with something to pay for, if it is newer than the message number ``after``.

    :param payload: only one with this payload.
    """
    messages = [
        message
        for chat in chats
        for message in chat.messages.values()
        if message.order > after
        and (invoice := shown_invoice(message, links)) is not None
        and payload in (None, invoice.payload)
    ]
    return max(messages, key=lambda message: message.order, default=None)
