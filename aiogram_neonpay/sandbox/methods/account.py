"""Owns the methods about the bot itself and about chats: getMe, commands, getChat, chat actions."""

from __future__ import annotations

import json
from typing import Any

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.methods.context import Context, ensure_not_blocked
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.rules import COMMANDS

#: How long a chat action is shown (Bot API, sendChatAction), in seconds.
ACTION_SECONDS = 5
_ACTIONS = frozenset(
    {
        "typing",
        "upload_photo",
        "record_video",
        "upload_video",
        "record_voice",
        "upload_voice",
        "upload_document",
        "choose_sticker",
        "find_location",
        "record_video_note",
        "upload_video_note",
    }
)


def get_me(context: Context) -> Json:
    """Answer getMe; privacy mode is off and inline mode is on for every sandbox bot."""
    return {
        **context.bot.as_user(),
        "can_join_groups": True,
        "can_read_all_group_messages": True,
        "supports_inline_queries": True,
        "can_connect_to_business": False,
        "has_main_web_app": False,
    }


def log_out(context: Context) -> bool:
    """Answer logOut and close, which have nothing to do here."""
    return True


def get_chat(context: Context) -> Json:
    """Answer getChat with the fields the sandbox knows."""
    chat = context.chat()
    pinned = next((chat.messages[item] for item in reversed(chat.pinned) if item in chat.messages), None)
    return {
        **context.world.chat_json(chat),
        **({"pinned_message": pinned.body} if pinned is not None else {}),
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": {
            "unlimited_gifts": False,
            "limited_gifts": False,
            "unique_gifts": False,
            "premium_subscription": False,
            "gifts_from_channels": False,
        },
    }


def send_chat_action(context: Context) -> bool:
    """Show that the bot is typing, for 5 seconds or until its next message."""
    action = context.parameters.required("action")
    if action not in _ACTIONS:
        raise refuse("wrong parameter action in request")
    chat = context.known_chat()
    ensure_not_blocked(chat)
    chat.action = (action, context.world.clock.now() + ACTION_SECONDS)
    context.world.announce_action(chat)
    return True


def set_my_commands(context: Context) -> bool:
    """Store the command list of one scope and language."""
    commands = context.parameters.json("commands", "Can't parse commands JSON object")
    if commands is None:
        raise refuse("expected an Array of BotCommand")
    if not isinstance(commands, list):
        raise refuse("Expected an Array of BotCommand")
    if len(commands) > COMMANDS:
        raise refuse("BOT_COMMANDS_TOO_MUCH")
    context.bot.commands[_scope(context)] = [_command(item) for item in commands]
    context.world.feed.publish("commands")
    return True


def get_my_commands(context: Context) -> list[Json]:
    """Return the command list of one scope and language."""
    return context.bot.commands.get(_scope(context), [])


def delete_my_commands(context: Context) -> bool:
    """Forget the command list of one scope and language."""
    context.bot.commands.pop(_scope(context), None)
    context.world.feed.publish("commands")
    return True


def _scope(context: Context) -> tuple[str, str]:
    scope = context.parameters.json("scope", "Can't parse BotCommandScope JSON object")
    if scope is None:
        scope = {"type": "default"}
    if not isinstance(scope, dict):
        raise refuse("BotCommandScope must be an Object")
    filled = {name: value for name, value in scope.items() if value is not None}
    return json.dumps(filled, sort_keys=True), context.parameters.text("language_code")


def _command(item: Any) -> Json:
    if not isinstance(item, dict):
        raise refuse("can't parse BotCommand: expected an Object")
    command = str(item.get("command", "")).lstrip("/").lower()
    if not command or len(command) > 32 or not command.replace("_", "a").isalnum() or not command.isascii():
        raise refuse("BOT_COMMAND_INVALID")
    description = str(item.get("description", ""))
    if not 1 <= len(description) <= 256:
        raise refuse("BOT_COMMAND_DESCRIPTION_INVALID")
    return {"command": command, "description": description}
