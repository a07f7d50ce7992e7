"""Where a buyer is: chat, topic and person behind a message or a tap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiogram.enums import ChatType
from aiogram.types import CallbackQuery, InaccessibleMessage, Message

from aiogram_neonpay.errors import ValidationError

__all__ = ["Place", "place_of"]


@dataclass(frozen=True)
class Place:
    """Where an invoice is to be shown, and to whom.

    :ivar buyer: ``None`` where nobody in particular is meant, such as in a channel.
    :ivar private: whether it is the buyer's own chat.
    """

    chat_id: int
    buyer: int | None
    private: bool
    thread_id: int | None = None

    def options(self) -> dict[str, Any]:
        """Return the parameters of ``sendInvoice`` that lead to the same topic."""
        return {} if self.thread_id is None else {"message_thread_id": self.thread_id}


def place_of(event: Message | CallbackQuery) -> Place:
    """Return where a message was written or a button tapped.

    :raises ValidationError: when the buyer cannot be told: the message is the bot's own, or sent in a group's name.
    """
    if isinstance(event, CallbackQuery):
        buyer = event.from_user.id
        message = event.message
        if message is None:  # a button under an inline-mode message: its chat is not told
            return Place(buyer, buyer, private=True)
        if not isinstance(message, InaccessibleMessage) and message.business_connection_id is not None:
            # The chat is one of two people, and Telegram sends no invoices there (Bot API ``sendInvoice``).
            return Place(buyer, buyer, private=True)
        thread = None if isinstance(message, InaccessibleMessage) else _thread(message)
        return Place(message.chat.id, buyer, message.chat.id == buyer, thread)
    if not isinstance(event, Message):
        raise ValidationError("event", "must be a Message or a CallbackQuery", type(event).__name__)
    chat, sender = event.chat, event.from_user
    if chat.type == ChatType.PRIVATE:
        # In a private chat the chat is the person, also when the message in hand is the bot's own.
        return Place(chat.id, chat.id, private=True, thread_id=_thread(event))
    if sender is None or event.sender_chat is not None:
        return Place(chat.id, None, private=False, thread_id=_thread(event))
    if sender.is_bot:
        raise ValidationError(
            "event", "is a message of a bot, so the buyer is unknown: pass the CallbackQuery itself", sender.id
        )
    return Place(chat.id, sender.id, private=False, thread_id=_thread(event))


def _thread(message: Message) -> int | None:
    return message.message_thread_id if message.is_topic_message else None
