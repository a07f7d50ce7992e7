"""Owns what a bot tells Telegram about itself: name, descriptions, menu button, rights it asks for."""

from __future__ import annotations

from typing import Any

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.methods.context import Context, Handler
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.rules import GUESS_PROFILE_TEXT_TOO_LONG

#: How long each text may be, in characters (Bot API, setMyName and its kin).
_LONGEST = {"name": 64, "description": 512, "short_description": 120}
_RIGHTS = (
    "is_anonymous",
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
    "can_send_welcome_messages",
)
_CHANNEL_RIGHTS = ("can_post_messages", "can_edit_messages", "can_manage_direct_messages")
_GROUP_RIGHTS = ("can_pin_messages", "can_manage_topics", "can_manage_tags")


def text_setter(kind: str) -> Handler:
    """Return setMyName, setMyDescription or setMyShortDescription; an empty text takes a translation back."""

    def change(context: Context) -> bool:
        text, language = context.parameters.text(kind), context.parameters.text("language_code")
        if len(text) > _LONGEST[kind]:
            raise refuse(GUESS_PROFILE_TEXT_TOO_LONG)
        texts = context.bot.profile.texts
        texts.pop((kind, language), None)
        if text:
            texts[kind, language] = text
        if kind == "name" and text and not language:
            context.bot.name = text
        context.world.feed.publish("users")
        return True

    return change


def text_getter(kind: str) -> Handler:
    """Return getMyName, getMyDescription or getMyShortDescription."""

    def tell(context: Context) -> Json:
        texts = context.bot.profile.texts
        default = context.bot.name if kind == "name" else ""
        fallback = texts.get((kind, ""), default)
        return {kind: texts.get((kind, context.parameters.text("language_code")), fallback)}

    return tell


def set_chat_menu_button(context: Context) -> bool:
    """Store the menu button of one private chat, or of all that have none of their own."""
    button = context.parameters.json("menu_button", "Can't parse menu button JSON object")
    context.bot.profile.menu_buttons[_user(context)] = _button(button) if button is not None else {"type": "default"}
    return True


def get_chat_menu_button(context: Context) -> Json:
    """Return the menu button of one private chat, or the one of all."""
    return context.bot.profile.menu_buttons.get(_user(context), {"type": "default"})


def set_my_default_administrator_rights(context: Context) -> bool:
    """Store the rights the bot asks for when it is added to groups, or to channels."""
    rights = context.parameters.json("rights", "Can't parse chat administrator rights JSON object")
    if rights is not None and not isinstance(rights, dict):
        raise refuse("Can't parse chat administrator rights: expected an Object")
    context.bot.profile.rights[context.parameters.boolean("for_channels")] = rights or {}
    return True


def get_my_default_administrator_rights(context: Context) -> Json:
    """Return those rights."""
    for_channels = context.parameters.boolean("for_channels")
    given = context.bot.profile.rights.get(for_channels, {})
    names = (*_RIGHTS, *(_CHANNEL_RIGHTS if for_channels else _GROUP_RIGHTS))
    return {name: given.get(name) is True for name in names}


def _user(context: Context) -> int:
    if "chat_id" not in context.parameters:
        return 0
    user_id = context.parameters.integer("chat_id")
    if user_id <= 0:
        raise refuse("invalid chat_id specified")
    if user_id not in context.world.people:
        raise refuse("user not found")
    return user_id


def _button(value: Any) -> Json:
    problem = "Can't parse menu button: "
    if not isinstance(value, dict):
        raise refuse(problem + "MenuButton must be an Object")
    kind = value.get("type")
    if kind in ("default", "commands"):
        return {"type": kind}
    if kind != "web_app":
        raise refuse(problem + "MenuButton has unsupported type")
    text, page = value.get("text"), value.get("web_app")
    if not isinstance(text, str) or not text:
        raise refuse(problem + 'Can\'t find field "text"')
    if not isinstance(page, dict) or not isinstance(page.get("url"), str):
        raise refuse(problem + 'Can\'t find field "web_app"')
    return {"type": kind, "text": text, "web_app": {"url": page["url"]}}
