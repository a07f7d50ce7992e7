"""Owns what a Bot API method is given, and the checks that several methods share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.models import Chat, Message
from aiogram_neonpay.sandbox.parameters import Parameters
from aiogram_neonpay.sandbox.payments import Payments
from aiogram_neonpay.sandbox.world import BotAccount, World


@dataclass(frozen=True, slots=True)
class Context:
    """One call: who makes it, with what, and the world it acts on."""

    world: World
    payments: Payments
    bot: BotAccount
    parameters: Parameters

    def chat(self) -> Chat:
        """Return the chat named by ``chat_id``.

        :raises ApiError: 400 or 403 as :meth:`World.chat_for_bot`.
        """
        return self.world.chat_for_bot(self.bot, self.parameters.text("chat_id"))

    def known_chat(self) -> Chat:
        """Return the chat named by ``chat_id`` if the bot may write to it.

        :raises ApiError: 403 when the person has not started the bot, or has blocked it.
        """
        chat = self.chat()
        if chat.is_private and not chat.started:
            raise refuse("bot can't initiate conversation with a user", 403)
        return chat

    def own_message(self, action: str) -> Message:
        """Return the bot's own message named by ``inline_message_id`` or ``chat_id`` and ``message_id``.

        :param action: the word in ``message to edit not found``.
        """
        inline_id = self.parameters.text("inline_message_id")
        if inline_id:
            found = self.world.inline_message(inline_id)
            if found is None or found.bot_id != self.bot.id:
                raise refuse("MESSAGE_ID_INVALID")
            return found
        if "message_id" not in self.parameters and "chat_id" not in self.parameters:
            raise refuse("message identifier is not specified")
        message = self.chat().messages.get(self.parameters.integer("message_id"))
        if message is None:
            raise refuse(f"message to {action} not found")
        if message.bot_id != self.bot.id:
            raise refuse("message can't be edited")
        return message


@dataclass(frozen=True, slots=True)
class Answer:
    """A result that comes with a ``description``, as those of setWebhook do."""

    result: Any
    description: str


Handler = Callable[[Context], "Any | Awaitable[Any]"]


def ensure_not_blocked(chat: Chat) -> None:
    """Check what Telegram's servers check last.

    :raises ApiError: 403 ``bot was blocked by the user``.
    """
    if chat.is_private and chat.blocked:
        raise refuse("USER_IS_BLOCKED")
