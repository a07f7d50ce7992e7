"""Owns how a chat looks to a person: its messages, its keyboards and which of them can be tapped."""

from __future__ import annotations

from collections.abc import Iterable

from aiogram_neonpay.sandbox.models import Chat, ChatMessage, Json, Message


def chat_message(message: Message) -> ChatMessage:
    """Return a message as a value of the transcript."""
    body = message.body
    rows = list(inline_rows(message))
    keyboard = (message.reply_keyboard or {}).get("keyboard") or []
    rows += keyboard
    return ChatMessage(
        id=message.id,
        chat_id=message.chat.id,
        sender_id=body["from"]["id"],
        from_bot=bool(body["from"]["is_bot"]),
        text=body.get("text", ""),
        buttons=tuple(tuple(button["text"] for button in row) for row in rows),
        amount=message.invoice.amount if message.invoice else None,
        paid=message.invoice is not None and message.charge_id is not None,
        raw=body,
    )


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
    """Find the newest message with an inline button whose text contains ``text``, in any case."""
    wanted = text.casefold()
    found: tuple[Message, Json] | None = None
    for chat in chats:
        for message in chat.messages.values():
            if found is not None and message.order < found[0].order:
                continue
            for row in inline_rows(message):
                for button in row:
                    if wanted in button["text"].casefold() and (found is None or found[0] is not message):
                        found = (message, button)
    return found


def find_reply_button(chats: Iterable[Chat], text: str) -> tuple[Chat, str] | None:
    """Find a button of a shown reply keyboard whose text contains ``text``, in any case."""
    wanted = text.casefold()
    for chat in chats:
        for row in (current_keyboard(chat) or {}).get("keyboard", []):
            for button in row:
                if wanted in button["text"].casefold():
                    return chat, str(button["text"])
    return None


def newest_invoice(chats: Iterable[Chat], after: int = 0, payload: str | None = None) -> Message | None:
    """Find the newest invoice message, if it is newer than the message number ``after``.

    :param payload: only one with this payload.
    """
    messages = [
        message
        for chat in chats
        for message in chat.messages.values()
        if message.invoice and message.order > after and payload in (None, message.invoice.payload)
    ]
    return max(messages, key=lambda message: message.order, default=None)
