"""Owns what a person does in a chat: writing, tapping, inline queries, blocking, finding an invoice."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from aiogram_neonpay.sandbox.entities import found_entities
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.models import CallbackQuery, Chat, InlineQuery, Invoice, Json, Message, Person
from aiogram_neonpay.sandbox.rules import CALLBACK_RETENTION, INLINE_RETENTION, OTHER_RETENTION, TEXT_CHARACTERS
from aiogram_neonpay.sandbox.world import BotAccount, World

Query = TypeVar("Query", CallbackQuery, InlineQuery)


def write(world: World, person: Person, chat: Chat, text: str) -> Message:
    """Send a text as this person; every bot of the chat gets it (groups: privacy mode is off).

    :raises SandboxError: for an empty or over-long text, or a chat the person is not in.
    """
    text = text.strip()
    if not text:
        raise SandboxError("an empty message cannot be sent")
    if len(text) > TEXT_CHARACTERS:
        raise SandboxError(f"a message holds at most {TEXT_CHARACTERS} characters, this one has {len(text)}")
    if person.id not in chat.member_ids:
        raise SandboxError(f"{person.first_name} is not in the chat {chat.title}")
    if chat.is_private:
        chat.started = True
        if chat.blocked:
            set_blocked(world, chat, person, False)
    fields: Json = {"text": text}
    entities = found_entities(text)
    if entities:
        fields["entities"] = entities
    message = world.post(chat, person.as_user(), fields)
    for bot_id in chat.bot_ids:
        world.message_update(world.bots[bot_id], message)
    world.announce(message)
    return message


def tap(world: World, person: Person, message: Message, data: str) -> CallbackQuery:
    """Tap a callback button of a message; the query waits in the world for its answer."""
    bot_id = message.bot_id
    if bot_id is None:
        raise SandboxError("only messages of bots have buttons")
    _forget(world.callbacks, world.clock.now() - CALLBACK_RETENTION)
    query = CallbackQuery(world.ids.query_id(), bot_id, person.id, world.clock.now())
    world.callbacks[query.id] = query
    content: Json = {"id": query.id, "from": person.as_user()}
    if message.inline_message_id:
        content["inline_message_id"] = message.inline_message_id
    else:
        content["message"] = dict(message.body)
    content["chat_instance"] = str(abs(hash((message.chat.id, bot_id))) + 1)
    content["data"] = data
    world.update(
        world.bots[bot_id],
        "callback_query",
        content,
        lane=f"callback:{person.id}",
        lifetime=CALLBACK_RETENTION,
    )
    return query


def ask_inline(world: World, person: Person, bot: BotAccount, text: str) -> InlineQuery:
    """Type an inline query (``@bot text``); the query waits in the world for its results."""
    _forget(world.inline_queries, world.clock.now() - OTHER_RETENTION)
    query = InlineQuery(world.ids.query_id(), bot.id, person.id, text, world.clock.now())
    world.inline_queries[query.id] = query
    content: Json = {"id": query.id, "from": person.as_user(), "query": text, "offset": ""}
    world.update(bot, "inline_query", content, lane=f"inline:{person.id}", lifetime=INLINE_RETENTION)
    return query


def block(world: World, chat: Chat, person: Person, blocked: bool) -> None:
    """Block or unblock the bot of a private chat."""
    if chat.blocked != blocked:
        set_blocked(world, chat, person, blocked)


def set_blocked(world: World, chat: Chat, person: Person, blocked: bool) -> None:
    """Change the state of a private chat and tell the bot with `my_chat_member`."""
    bot = world.bots[chat.bot_ids[0]]
    chat.blocked = blocked
    before: Json = {"user": bot.as_user(), "status": "member"}
    after: Json = {"user": bot.as_user(), "status": "kicked", "until_date": 0}
    content: Json = {
        "chat": world.chat_json(chat),
        "from": person.as_user(),
        "date": world.clock.date(),
        "old_chat_member": before if blocked else after,
        "new_chat_member": after if blocked else before,
    }
    world.update(bot, "my_chat_member", content, lane=f"chat:{chat.id}")
    world.feed.publish("users")


def linked_invoice(world: World, link: str) -> Invoice:
    """Find the invoice of a link (``https://t.me/$slug``, ``t.me/invoice/slug``) or of a bare slug.

    :raises SandboxError: when no bot of this sandbox has made it.
    """
    slug = link.strip().rsplit("/", 1)[-1].lstrip("$")
    invoice = world.links.get(slug)
    if invoice is None:
        raise SandboxError(f"no invoice has the link {link!r}")
    return invoice


def _forget(queries: MutableMapping[str, Query], before: float) -> None:
    """Drop the queries made before a moment: nothing can be done with them any more."""
    for query_id in [query.id for query in queries.values() if query.created < before]:
        del queries[query_id]


def deep_link(world: World, url: str) -> tuple[BotAccount, str] | None:
    """Return the bot and the command behind ``https://t.me/<bot>?start=<value>``, if this is one."""
    parts = urlsplit(url if "//" in url else f"https://{url}")
    if parts.hostname not in ("t.me", "telegram.me"):
        return None
    username = parts.path.strip("/").lower()
    bot = next((bot for bot in world.bots.values() if bot.username.lower() == username), None)
    if bot is None:
        return None
    value = parse_qs(parts.query).get("start", [""])[0]
    return bot, f"/start {value}".strip()
