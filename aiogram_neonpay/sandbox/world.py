"""Owns the state of the sandbox: who and what exists, and posting messages and updates into it."""

from __future__ import annotations

import itertools
import re
from collections import deque
from dataclasses import dataclass, field

from aiogram_neonpay.sandbox.callrecord import CallRecord
from aiogram_neonpay.sandbox.clock import Clock
from aiogram_neonpay.sandbox.errors import SandboxError, refuse
from aiogram_neonpay.sandbox.faults.book import FaultBook
from aiogram_neonpay.sandbox.files import FileStore
from aiogram_neonpay.sandbox.ids import IdSource, bot_token
from aiogram_neonpay.sandbox.models import (
    Affiliate,
    BotProfile,
    CallbackQuery,
    Charge,
    Chat,
    InlineQuery,
    Invoice,
    Json,
    LedgerRow,
    Message,
    Person,
)
from aiogram_neonpay.sandbox.polling import LongPoll
from aiogram_neonpay.sandbox.rules import MESSAGE_RETENTION, MESSAGES_KEPT, OTHER_RETENTION, Rules
from aiogram_neonpay.sandbox.signals import Feed, Signal
from aiogram_neonpay.sandbox.transit import Arrival, Parcel, Transit
from aiogram_neonpay.sandbox.updates import QueuedUpdate, UpdateQueue

_TOKEN = re.compile(r"[1-9][0-9]{0,18}:[A-Za-z0-9_-]+")

#: How many updates the inspector can look back on.
UPDATES_SHOWN = 300


@dataclass(slots=True)
class Webhook:
    """Where a bot's updates are pushed, and how that has gone."""

    url: str
    secret: str
    max_connections: int
    last_error_date: int | None = None
    last_error_message: str | None = None
    gone_since: float | None = None


@dataclass(slots=True)
class BotAccount:
    """A bot: its token, its Stars, its queue and what it has told Telegram about itself.

    ``nanostars`` are the billionths of a Star beside ``balance``, of the same sign; ``ledger`` is in the order
    in which getStarTransactions shows it.
    """

    id: int
    token: str
    name: str
    username: str
    queue: UpdateQueue
    poll: LongPoll
    balance: int = 0
    nanostars: int = 0
    ledger: list[LedgerRow] = field(default_factory=list)
    affiliate: Affiliate | None = None
    webhook: Webhook | None = None
    next_webhook_setting: float = 0.0
    commands: dict[tuple[str, str], list[Json]] = field(default_factory=dict)
    profile: BotProfile = field(default_factory=BotProfile)

    def as_user(self) -> Json:
        """Return the Bot API `User` object."""
        return {"id": self.id, "is_bot": True, "first_name": self.name, "username": self.username}


class World:
    """Everything there is in one sandbox."""

    def __init__(self, clock: Clock, ids: IdSource, rules: Rules, faults: FaultBook) -> None:
        self.clock = clock
        self.ids = ids
        self.rules = rules
        self.faults = faults
        self.files = FileStore(ids)
        self.transit = Transit(clock, faults, lambda bot_id, update: self.show_update(self.bots[bot_id], update))
        self.people: dict[int, Person] = {}
        self.bots: dict[int, BotAccount] = {}
        self.groups: dict[int, Chat] = {}
        self.private: dict[tuple[int, int], Chat] = {}
        self.links: dict[str, Invoice] = {}
        self.charges: dict[str, Charge] = {}
        self.callbacks: dict[str, CallbackQuery] = {}
        self.inline_queries: dict[str, InlineQuery] = {}
        self.calls = CallRecord()
        self.updates_shown: deque[Json] = deque(maxlen=UPDATES_SHOWN)
        self.feed = Feed()
        #: Rings when something that people or pages can see has changed.
        self.changed = Signal()
        #: Rings when an update is queued, a webhook set, a poll begun or ended: those who deliver updates listen.
        self.arrivals = Signal()
        #: The number of the newest message anywhere in this world.
        self.last_order = 0
        self._message_ids: dict[int, itertools.count[int]] = {}

    # --- accounts and chats ---

    def add_bot(self, username: str, name: str, token: str | None = None) -> BotAccount:
        """Register a bot; it joins every group there is."""
        username = username.lstrip("@")
        if any(bot.username.lower() == username.lower() for bot in self.bots.values()):
            raise SandboxError(f"there is a bot @{username} already")
        bot_id = self._own_id(token)
        queue = UpdateQueue(self.clock, self.ids.first_update_id(), self.arrivals)
        poll = LongPoll(queue, brake=self.rules.polling_brake)
        bot = BotAccount(bot_id, token or bot_token(bot_id, username), name, username, queue, poll)
        self.bots[bot_id] = bot
        self.transit.watch(bot_id, queue)
        for group in self.groups.values():
            group.bot_ids.append(bot_id)
        return bot

    def _own_id(self, token: str | None) -> int:
        """Return the id that a bot's token begins with; the next free one for a bot that brings none."""
        if token is None:
            return next(number for number in itertools.count(7_000_000_001 + len(self.bots)) if not self._has(number))
        if not _TOKEN.fullmatch(token):
            raise SandboxError("a bot's token is a number, a colon and letters, digits, _ and -, as BotFather gives it")
        bot_id = int(token.partition(":")[0])
        if self._has(bot_id):
            raise SandboxError(f"the id {bot_id} of the token is somebody else's in this sandbox")
        return bot_id

    def add_person(
        self, name: str, username: str | None, language_code: str | None, stars: int, user_id: int | None = None
    ) -> Person:
        """Register a person with a number of Stars."""
        if isinstance(stars, bool) or not isinstance(stars, int):
            raise SandboxError(f"{name} cannot own {stars!r} Stars: they are a whole number")
        if stars < 0:
            raise SandboxError(f"{name} cannot own {stars} Stars: a balance is not negative")
        person_id = user_id
        if person_id is None:
            person_id = next(
                number for number in itertools.count(1_000_001 + len(self.people)) if not self._has(number)
            )
        elif person_id <= 0 or self._has(person_id):
            raise SandboxError(f"{name} cannot have the id {person_id}: it must be positive, and nobody else's")
        first, _, last = name.partition(" ")
        handle = username or "".join(c for c in name.lower() if c.isascii() and c.isalnum()) or "user"
        if any(other.username == handle for other in self.people.values()):
            handle = f"{handle}{person_id}"
        person = Person(person_id, first, handle, language_code, stars, last or None)
        self.people[person_id] = person
        self.feed.publish("users")
        return person

    def _has(self, account_id: int) -> bool:
        return account_id in self.people or account_id in self.bots

    def add_group(self, title: str, members: list[int]) -> Chat:
        """Register a supergroup with these people and every bot in it."""
        chat_id = -1_001_000_000_001 - len(self.groups)
        chat = Chat(chat_id, "supergroup", title, list(self.bots), members)
        self.groups[chat_id] = chat
        self.feed.publish("users")
        return chat

    def bot_by_token(self, token: str) -> BotAccount | None:
        """Find a bot by its token."""
        return next((bot for bot in self.bots.values() if bot.token == token), None)

    def private_chat(self, bot_id: int, user_id: int) -> Chat:
        """Return the chat of a person with a bot, opened on first use and not yet started."""
        key = (bot_id, user_id)
        if key not in self.private:
            title = self.people[user_id].first_name
            self.private[key] = Chat(user_id, "private", title, [bot_id], [user_id], started=False)
        return self.private[key]

    def chats_of(self, user_id: int) -> list[Chat]:
        """Return every chat this person can see: one with each bot, and their groups."""
        own = [self.private_chat(bot_id, user_id) for bot_id in self.bots]
        return own + [group for group in self.groups.values() if user_id in group.member_ids]

    def chat_for_bot(self, bot: BotAccount, written: str) -> Chat:
        """Resolve ``chat_id`` as the Bot API server does.

        :raises ApiError: 400 ``chat_id is empty``, 400 ``chat not found``, 403 for another bot.
        """
        if not written:
            raise refuse("chat_id is empty")
        try:
            chat_id = int(written)
        except ValueError:
            raise refuse("chat not found") from None
        if chat_id in self.bots:
            raise refuse("the bot can't send messages to the bot", 403)
        if chat_id in self.people:
            return self.private_chat(bot.id, chat_id)
        group = self.groups.get(chat_id)
        if group is None or bot.id not in group.bot_ids:
            raise refuse("chat not found")
        return group

    def chat_json(self, chat: Chat) -> Json:
        """Return the Bot API `Chat` object."""
        if chat.is_private:
            person = self.people[chat.id].as_user()
            fields = ("first_name", "last_name", "username")
            return {"id": chat.id, **{name: person[name] for name in fields if name in person}, "type": "private"}
        return {"id": chat.id, "title": chat.title, "type": chat.type}

    # --- messages and updates ---

    def post(self, chat: Chat, author: Json, fields: Json, *, bot_id: int | None = None) -> Message:
        """Put a message into a chat. ``fields`` is its content; ``bot_id`` names the bot that wrote it."""
        counter_key = chat.bot_ids[0] if chat.is_private else chat.id
        counter = self._message_ids.setdefault(counter_key, itertools.count(1))
        message_id = next(counter)
        self.last_order += 1
        body: Json = {
            "message_id": message_id,
            "from": author,
            "chat": self.chat_json(chat),
            "date": self.clock.date(),
            **fields,
        }
        message = Message(chat, message_id, self.last_order, body, bot_id=bot_id)
        chat.messages[message_id] = message
        while len(chat.messages) > MESSAGES_KEPT:
            del chat.messages[next(iter(chat.messages))]
        chat.action = None
        return message

    def announce(self, message: Message) -> None:
        """Tell pages and waiting people that a message is there or has changed."""
        self.feed.publish("message", chat_id=message.chat.id, bot_id=self._bot_of(message.chat), id=message.id)
        self.changed.notify()

    def announce_removal(self, chat: Chat, message_id: int) -> None:
        """Tell pages and waiting people that a message is gone."""
        self.feed.publish("deleted", chat_id=chat.id, bot_id=self._bot_of(chat), id=message_id)
        self.changed.notify()

    def announce_action(self, chat: Chat) -> None:
        """Tell pages that the bot is typing, or has stopped."""
        self.feed.publish("action", chat_id=chat.id, bot_id=self._bot_of(chat))

    def update(
        self,
        bot: BotAccount,
        kind: str,
        content: Json,
        *,
        lane: str,
        lifetime: float = OTHER_RETENTION,
        queued: Arrival = lambda update: None,
    ) -> None:
        """Send an update on its way to a bot's queue; faults may lose or delay it.

        :param lifetime: how long after now it is kept, in seconds.
        :param queued: told of the update when it is queued, which may be later or never.
        """

        def arrived(update: QueuedUpdate) -> None:
            queued(update)
            self.show_update(bot, update)

        expires = self.clock.now() + lifetime
        self.transit.send(Parcel(bot.id, bot.queue, kind, content, lane, expires, arrived))

    def message_update(self, bot: BotAccount, message: Message, *, queued: Arrival = lambda update: None) -> None:
        """Send a message to a bot: kept for 24 hours, in order within its chat."""
        lane = f"chat:{message.chat.id}"
        self.update(bot, "message", dict(message.body), lane=lane, lifetime=MESSAGE_RETENTION, queued=queued)

    def show_update(self, bot: BotAccount, update: QueuedUpdate) -> None:
        """Put an update on the inspector's list."""
        shown: Json = {
            "bot_id": bot.id,
            "update_id": update.id,
            "kind": update.kind,
            "repeated": update.repeated,
            "time": self.clock.now(),
            "content": update.content,
        }
        self.updates_shown.append(shown)
        self.feed.publish("update", update=shown)

    def inline_message(self, inline_message_id: str) -> Message | None:
        """Find a message that was sent through inline mode."""
        chats = itertools.chain(self.private.values(), self.groups.values())
        messages = (message for chat in chats for message in chat.messages.values())
        return next((item for item in messages if item.inline_message_id == inline_message_id), None)

    def _bot_of(self, chat: Chat) -> int | None:
        return chat.bot_ids[0] if chat.is_private else None
