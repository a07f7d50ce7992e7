"""Owns the methods about chats and who is in them: members, pinned messages, reactions, profile photos."""

from __future__ import annotations

from typing import Any

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.methods.context import Context
from aiogram_neonpay.sandbox.models import Chat, Json, Message
from aiogram_neonpay.sandbox.transcript import SERVICE_FIELDS

#: The reactions there are (Bot API, ReactionTypeEmoji).
_EMOJI = (
    "☃ 😴 😈 👏 🔥 😐 🌭 🦄 🐳 😎 🤷 💅 ⚡ 💋 🖕 👍 🤓 👌 🤡 🌚 "
    "👻 😍 🎉 😁 😢 🍓 🎃 🎄 ❤ 🆒 💘 🤮 🤬 🤷\u200d♂ 💩 🍾 🙈 💯 ❤\u200d🔥 👀 "
    "🕊 😇 🤔 🍌 🤗 🙊 🤝 🎅 🥱 😨 🙉 👾 🤨 🤯 😱 🏆 🤩 🤣 ✍ 🗿 "
    "😘 🤷\u200d♀ 😡 😭 🙏 🥴 🥰 👨\u200d💻 🤪 🫡 👎 💊 💔"
)
_REACTIONS = frozenset(_EMOJI.split())


def get_chat_member_count(context: Context) -> int:
    """Count the people and bots of a chat; a private chat has two."""
    chat = context.chat()
    return len(chat.member_ids) + len(chat.bot_ids)


def get_chat_administrators(context: Context) -> list[Json]:
    """Return the owner of a group: the first person in it. Bots are members like the others."""
    chat = context.chat()
    if chat.is_private:
        raise refuse("there are no administrators in the private chat")
    return [member_json(context, chat, user_id) for user_id in chat.member_ids[:1]]


def get_chat_member(context: Context) -> Json:
    """Tell how somebody stands to a chat: the first person of a group owns it, other people and bots are members."""
    chat = context.chat()
    return member_json(context, chat, context.parameters.integer("user_id"))


def member_json(context: Context, chat: Chat, user_id: int) -> Json:
    """Return the Bot API `ChatMember` of somebody.

    :raises ApiError: 400 for an account that does not exist.
    """
    world = context.world
    if user_id in world.people:
        user = world.people[user_id].as_user()
        if not chat.is_private and chat.member_ids[:1] == [user_id]:
            return {"user": user, "status": "creator", "is_anonymous": False}
        return {"user": user, "status": "member" if user_id in chat.member_ids else "left"}
    if user_id in chat.bot_ids:
        return {"user": world.bots[user_id].as_user(), "status": "member"}
    raise refuse("user not found")


def get_user_profile_photos(context: Context) -> Json:
    """Return a person's profile photos: nobody in the sandbox has any."""
    user_id = context.parameters.integer("user_id")
    if user_id <= 0:
        raise refuse("invalid user_id specified")
    if user_id not in context.world.people and user_id not in context.world.bots:
        raise refuse("user not found")
    return {"total_count": 0, "photos": []}


def pin_chat_message(context: Context) -> bool:
    """Pin a message; a service message says so the first time."""
    chat, message = _message(context, "pin")
    if any(name in message.body for name in SERVICE_FIELDS):
        raise refuse("Service messages can't be pinned")
    if message.id not in chat.pinned:
        chat.pinned.append(message.id)
        body = {name: value for name, value in message.body.items() if name != "reply_to_message"}
        notice = context.world.post(chat, context.bot.as_user(), {"pinned_message": body}, bot_id=context.bot.id)
        context.world.announce(notice)
    return True


def unpin_chat_message(context: Context) -> bool:
    """Unpin a message, or the one pinned last."""
    if context.parameters.integer("message_id") <= 0:
        chat = context.known_chat()
        if not chat.pinned:
            raise refuse("message to unpin not found")
        chat.pinned.pop()
        return True
    chat, message = _message(context, "unpin")
    if message.id in chat.pinned:
        chat.pinned.remove(message.id)
    return True


def unpin_all_chat_messages(context: Context) -> bool:
    """Unpin every message of a chat."""
    context.known_chat().pinned.clear()
    return True


def set_message_reaction(context: Context) -> bool:
    """Set or take back the bot's reaction to a message: one at most, as for every bot."""
    kinds = context.parameters.json("reaction", "Can't parse reaction types JSON object")
    if kinds is not None and not isinstance(kinds, list):
        raise refuse("Expected an Array of ReactionType")
    reactions = [_reaction(kind) for kind in kinds or []]
    _, message = _message(context, "react")
    if len(reactions) > 1:
        raise refuse("REACTIONS_TOO_MANY")
    message.reactions.pop(context.bot.id, None)
    if reactions:
        message.reactions[context.bot.id] = reactions
    context.world.announce(message)
    return True


def _reaction(kind: Any) -> Json:
    if not isinstance(kind, dict):
        raise refuse("Can't parse ReactionType: expected an Object")
    if kind.get("type") != "emoji":  # custom emoji and paid reactions are not for bots
        raise refuse("REACTION_INVALID")
    emoji = str(kind.get("emoji", "")).replace("\ufe0f", "")
    if emoji not in _REACTIONS:
        raise refuse("REACTION_INVALID")
    return {"type": "emoji", "emoji": emoji}


def _message(context: Context, action: str) -> tuple[Chat, Message]:
    chat = context.known_chat()
    message = chat.messages.get(context.parameters.integer("message_id"))
    if message is None:
        raise refuse(f"message to {action} not found")
    return chat, message
