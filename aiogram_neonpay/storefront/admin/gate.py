"""Who may administer, and where; for everybody else the router is not there."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Any

from aiogram.dispatcher.event.handler import FilterObject
from aiogram.enums import ChatType
from aiogram.filters import Filter
from aiogram.types import CallbackQuery, Message
from aiogram.utils.magic_filter import MagicFilter

from aiogram_neonpay.errors import ConfigurationError, ValidationError
from aiogram_neonpay.storefront.admin.buttons import PREFIX

__all__ = ["Admins", "Gate"]

logger = logging.getLogger("aiogram_neonpay")

Admins = int | Iterable[int] | Callable[..., Any] | MagicFilter
"""The ids of admins, or a filter as aiogram takes it."""


class Gate(Filter):
    """The root filter of the router: lets commands and taps of admins pass, and sees nothing else.

    A person is whom Telegram names as the sender. What is sent in the name of a chat (an anonymous admin, a channel),
    forwarded, or written by a bot is nobody's order.

    :param names: the commands.
    :param chats: groups in which admins may work; beside those, only their private chats with the bot.
    """

    def __init__(self, admins: Admins, names: Collection[str], chats: Iterable[int]) -> None:
        self._ids: frozenset[int] = frozenset()
        self._filter: FilterObject | None = None
        if isinstance(admins, MagicFilter) or callable(admins):
            self._filter = FilterObject(admins)
        else:
            self._ids = _ids("admins", admins)
        self._names = frozenset(names)
        self._chats = _ids("chats", chats, people=False)

    async def __call__(self, event: Message | CallbackQuery, **data: Any) -> bool:
        """Tell whether an update is an admin's order."""
        if isinstance(event, CallbackQuery):
            if event.data is None or not event.data.startswith(f"{PREFIX}:"):
                return False
            user, chat = event.from_user, None if event.message is None else event.message.chat
        else:
            text = event.text
            if text is None or not text.startswith("/") or self._name_in(text) not in self._names:
                return False
            if event.sender_chat is not None or event.forward_origin is not None or event.via_bot is not None:
                return False
            sender, chat = event.from_user, event.chat
            if sender is None:
                return False
            user = sender
        if chat is None or user.is_bot:
            return False
        is_own = chat.type == ChatType.PRIVATE and chat.id == user.id
        return (is_own or chat.id in self._chats) and await self._is_admin(user.id, event, data)

    async def _is_admin(self, user_id: int, event: Message | CallbackQuery, data: dict[str, Any]) -> bool:
        if self._filter is None:
            return user_id in self._ids
        try:
            found = await self._filter.call(event, **data)
            # aiogram does not wait for `lambda event: is_admin(event)` nor for objects with an async `__call__`; what
            # they return is no answer yet, and true for everybody.
            return bool(await found if inspect.isawaitable(found) else found)
        except Exception:
            logger.exception("admins= of admin_router failed for user %s, who is refused", user_id)
            return False

    @staticmethod
    def _name_in(text: str) -> str:
        return text.split(maxsplit=1)[0][1:].partition("@")[0].lower()


def _ids(name: str, value: object, *, people: bool = True) -> frozenset[int]:
    """Return a set of ids, from one or several.

    :raises ConfigurationError: for something else.
    :raises ValidationError: for a number that can be no id.
    """
    found = [value] if isinstance(value, int) else value
    if isinstance(found, (str, bytes)) or not isinstance(found, Iterable):
        what = "ids (int), or a filter" if people else "ids (int)"
        raise ConfigurationError(f"{name} must be {what}, not {type(value).__name__}")
    ids = list(found)
    for number in ids:
        if isinstance(number, bool) or not isinstance(number, int) or not number or (people and number < 0):
            raise ValidationError(name, "must be ids of users (positive int)" if people else "must be ids", number)
    return frozenset(ids)
