"""Owns what a person does in a chat: writing, forwarding, tapping, inline queries, blocking, finding an invoice."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from aiogram_neonpay.sandbox import forwarding
from aiogram_neonpay.sandbox.entities import found_entities
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.forwarding import Content
from aiogram_neonpay.sandbox.models import CallbackQuery, Chat, InlineQuery, Invoice, Json, Message, Person
from aiogram_neonpay.sandbox.rules import CALLBACK_RETENTION, INLINE_RETENTION, OTHER_RETENTION, TEXT_CHARACTERS
from aiogram_neonpay.sandbox.transcript import slug_of
from aiogram_neonpay.sandbox.world import BotAccount, World

#: Where people are when a button asks: latitude and longitude, in degrees.
_HOME = {"latitude": 40.4093, "longitude": 49.8671}
Query = TypeVar("Query", CallbackQuery, InlineQuery)


def write(world: World, person: Person, chat: Chat, text: str, reply_to: Message | None = None) -> Message:
    """Send a text as this person; every bot of the chat gets it (groups: privacy mode is off).

    :param reply_to: the message of this chat that it answers.
    :raises SandboxError: for an empty or over-long text, or a chat the person is not in.
    """
    text = text.strip()
    if not text:
        raise SandboxError("an empty message cannot be sent")
    if len(text) > TEXT_CHARACTERS:
        raise SandboxError(f"a message holds at most {TEXT_CHARACTERS} characters, this one has {len(text)}")
    fields: Json = {"text": text}
    entities = found_entities(text)
    if entities:
        fields["entities"] = entities
    if reply_to is not None:
        replied = {name: value for name, value in reply_to.body.items() if name != "reply_to_message"}
        fields = {"reply_to_message": replied, **fields}
    return post_as(world, person, chat, fields)


def post_as(world: World, person: Person, chat: Chat, fields: Json, content: Content | None = None) -> Message:
    """Send a message as this person; every bot of the chat gets it.

    :param content: of a forwarded message, what its fields do not hold.
    :raises SandboxError: for a chat the person is not in.
    """
    if person.id not in chat.member_ids:
        raise SandboxError(f"{person.first_name} is not in the chat {chat.title}")
    if chat.is_private:
        chat.started = True
        if chat.blocked:
            set_blocked(world, chat, person, False)
    message = world.post(chat, person.as_user(), fields)
    if content is not None:
        forwarding.place(message, content)
    for bot_id in chat.bot_ids:
        world.message_update(world.bots[bot_id], message)
    world.announce(message)
    return message


def forward(world: World, person: Person, message: Message, chat: Chat) -> Message:
    """Forward a message into a chat of this person.

    :raises SandboxError: for a service message, or one whose bot protects it.
    """
    if forwarding.is_service(message):
        raise SandboxError("a service message cannot be forwarded")
    if "has_protected_content" in message.body:
        raise SandboxError("the bot does not let this message be forwarded")
    content = forwarding.forwarded(world, message)
    return post_as(world, person, chat, content.fields, content)


def press_reply(world: World, person: Person, chat: Chat, button: Json) -> Message:
    """Press a button of a reply keyboard: it writes its text, or shares the person's contact or location.

    :raises SandboxError: for a button that asks for something else.
    """
    if button.get("request_contact"):
        return post_as(world, person, chat, {"contact": own_contact(person)})
    if button.get("request_location"):
        return post_as(world, person, chat, {"location": dict(_HOME)})
    asked = next((name for name in button if name.startswith("request_") or name == "web_app"), None)
    if asked is not None:
        raise SandboxError(f"the sandbox cannot do what the button {button['text']!r} asks for: {asked}")
    return write(world, person, chat, button["text"])


def own_contact(person: Person) -> Json:
    """Return the Bot API `Contact` of a person; the number is made up."""
    contact: Json = {"phone_number": f"+1555{person.id:07d}", "first_name": person.first_name}
    if person.last_name:
        contact["last_name"] = person.last_name
    return contact | {"user_id": person.id}


def caption_of(text: str) -> Json:
    """Return the fields of a caption that a person has written."""
    text = text.strip()
    entities = found_entities(text)
    return ({"caption": text} if text else {}) | ({"caption_entities": entities} if entities else {})


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
    world.update(bot, "my_chat_member", content, lane=f"member:{chat.id}")
    world.feed.publish("users")


def linked_invoice(world: World, link: str) -> Invoice:
    """Find the invoice of a link (``https://t.me/$slug``, ``t.me/invoice/slug``) or of a bare slug.

    :raises SandboxError: when no bot of this sandbox has made it.
    """
    invoice = world.links.get(slug_of(link))
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
