"""Owns where a person is and what they see: their chats, their bot, the message they mean; and group handles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.models import Chat, ChatMessage, Message
from aiogram_neonpay.sandbox.transcript import chat_message, text_of
from aiogram_neonpay.sandbox.world import BotAccount, World

#: How long a person waits for a button, an invoice or an answer, in real seconds.
PATIENCE = 5.0


class SandboxGroup:
    """A group in the sandbox."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    @property
    def id(self) -> int:
        """The group's chat id."""
        return self._chat.id

    @property
    def title(self) -> str:
        """The group's title."""
        return self._chat.title

    def messages(self) -> list[ChatMessage]:
        """Return everything written in the group, oldest first."""
        return [chat_message(message) for message in self._chat.messages.values()]


class Presence:
    """A person among their chats."""

    def __init__(self, world: World, person_id: int) -> None:
        self._world = world
        self._person = world.people[person_id]
        self._acted = 0

    @property
    def id(self) -> int:
        """The person's user id, which is also the id of their private chats."""
        return self._person.id

    @property
    def name(self) -> str:
        """The person's first name."""
        return self._person.first_name

    @property
    def username(self) -> str:
        """The person's username, without the ``@``."""
        return self._person.username

    def _bot(self, bot: str | int | None) -> BotAccount:
        return find_bot(self._world, bot)

    def _chat(self, chat: SandboxGroup | int | None, bot: str | int | None) -> Chat:
        chat_id = chat.id if isinstance(chat, SandboxGroup) else chat
        if chat_id is None or chat_id == self.id:
            return self._world.private_chat(self._bot(bot).id, self.id)
        group = self._world.groups.get(chat_id)
        if group is None or self.id not in group.member_ids:
            raise SandboxError(f"{self.name} is in no chat {chat_id}")
        return group

    def _chats(self, chat: SandboxGroup | int | None, bot: str | int | None) -> list[Chat]:
        return self._world.chats_of(self.id) if chat is None and bot is None else [self._chat(chat, bot)]

    def _given(self, invoice: Any) -> Message:
        if isinstance(invoice, str):
            raise SandboxError(f"pay() takes a message; an invoice link is paid by pay(link={invoice[:80]!r})")
        raw = invoice.raw if isinstance(invoice, ChatMessage) else None
        message_id = raw["message_id"] if raw else getattr(invoice, "message_id", None)
        chat_id = raw["chat"]["id"] if raw else getattr(getattr(invoice, "chat", None), "id", None)
        sender = raw["from"]["id"] if raw else getattr(getattr(invoice, "from_user", None), "id", None)
        for chat in self._world.chats_of(self.id):
            message = chat.messages.get(message_id) if message_id is not None else None
            if message and chat.id == chat_id and message.body["from"]["id"] == sender:
                return message
        raise SandboxError(f"{self.name} does not see the message {message_id} of the chat {chat_id}")

    async def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until what this person waits for is there; at most ``timeout`` real seconds."""
        return await self._world.changed.until(condition, timeout)

    def _last_words(self, chats: list[Chat]) -> str:
        messages = [message for chat in chats for message in chat.messages.values()]
        last = max(messages, key=lambda message: message.order, default=None)
        return f"; the last message is {(text_of(last) or '(no text)')!r}" if last else "; the chat is empty"


def find_bot(world: World, bot: str | int | None) -> BotAccount:
    """Find a bot by username, token or id; ``None`` means the only one there is.

    :raises SandboxError: when there is no such bot, or several and none was named.
    """
    if bot is None:
        if len(world.bots) != 1:
            raise SandboxError(f"there are {len(world.bots)} bots in the sandbox: say which one is meant")
        return next(iter(world.bots.values()))
    wanted = str(bot).lstrip("@").lower()
    for account in world.bots.values():
        if wanted in (account.username.lower(), account.token.lower(), str(account.id)):
            return account
    raise SandboxError("no such bot in the sandbox")
