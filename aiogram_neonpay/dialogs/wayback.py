"""The way back: what an invoice carries of the dialog that it was bought in, signed with the rest of its payload."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiogram.fsm.state import StatesGroup
from aiogram_dialog import DialogManager
from aiogram_dialog.api.entities import DEFAULT_STACK_ID, EVENT_CONTEXT_KEY, EventContext

__all__ = ["KEY", "WayBack", "place_of_manager"]

KEY = "_dialog"
"""Where it stands in the metadata of an invoice and of its payments."""


def code_of(group: type[StatesGroup]) -> str:
    """Return four characters that stand for a dialog: an invoice has little room."""
    return hashlib.sha256(group.__full_group_name__.encode()).hexdigest()[:4]


def place_of_manager(manager: DialogManager) -> tuple[str, int, int | None]:
    """Return where the stack is that a manager holds: its id, its chat and its topic."""
    context: EventContext = manager.middleware_data[EVENT_CONTEXT_KEY]
    stack_id: str = manager.current_stack().id
    if stack_id == f"<{context.user.id}>":  # how aiogram-dialog calls somebody's default stack outside private chats
        stack_id = DEFAULT_STACK_ID
    return stack_id, context.chat.id, context.thread_id


@dataclass(frozen=True)
class WayBack:
    """Where a payment finds the dialog that its buyer came from.

    :ivar group: stands for the dialog.
    :ivar widget: the id of the widget that sold, in that dialog.
    :ivar intent: aiogram-dialog's id of the dialog as it was opened.
    :ivar stack: the stack it was opened in.
    :ivar chat: the chat of that stack.
    :ivar thread: its topic.
    """

    group: str
    widget: str
    intent: str
    stack: str
    chat: int
    thread: int | None = None

    @classmethod
    def from_manager(cls, manager: DialogManager, widget_id: str) -> WayBack:
        """Return the way back to where the buyer is now."""
        context = manager.current_context()
        stack, chat, thread = place_of_manager(manager)
        return cls(code_of(context.state.group), widget_id, context.id, stack, chat, thread)

    @classmethod
    def of(cls, metadata: Mapping[str, Any], buyer: int) -> WayBack | None:
        """Return the way back that a payment carries, if it carries one."""
        found = metadata.get(KEY)
        if not isinstance(found, list) or not 3 <= len(found) <= 6:
            return None
        whole = [*found, *[DEFAULT_STACK_ID, buyer, None][len(found) - 3 :]]
        group, widget, intent, stack, chat, thread = whole
        if not all(isinstance(name, str) for name in (group, widget, intent, stack)):
            return None
        if not isinstance(chat, int) or not isinstance(thread, (int, type(None))):
            return None
        return cls(group, widget, intent, stack, chat, thread)

    def pack(self, buyer: int) -> list[str | int | None]:
        """Return it for the metadata of an invoice, without what goes without saying."""
        parts: list[str | int | None] = [self.group, self.widget, self.intent, self.stack, self.chat, self.thread]
        usual = [None, None, None, DEFAULT_STACK_ID, buyer, None]
        while len(parts) > 3 and parts[-1] == usual[len(parts) - 1]:
            parts.pop()
        return parts
