"""What an author has to say about a subject: a text, or a function that gives it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from aiogram.dispatcher.event.handler import CallableObject
from aiogram.types import Message

from aiogram_neonpay.checks import MAX_MESSAGE, check_text
from aiogram_neonpay.errors import ConfigurationError

__all__ = ["Page", "PageSource"]

PageSource: TypeAlias = str | Callable[..., Awaitable[str | None]]
"""A text, or an async function that is called as a message handler is, and returns the text, or ``None`` when it has
answered by itself."""


class Page:
    """Something that can be asked for with a command.

    :raises ValidationError: for text that cannot be a message.
    :raises ConfigurationError: for what is neither text nor an async function.
    """

    def __init__(self, name: str, source: PageSource) -> None:
        self._callable: CallableObject | None = None
        self._text: str | None = None
        if isinstance(source, str):
            self._text = check_text(name, source, MAX_MESSAGE)
        elif inspect.iscoroutinefunction(source):
            self._callable = CallableObject(source)
        else:
            raise ConfigurationError(
                f"{name} must be a text or an async function (message) -> text, not {source!r:.50}"
            )

    async def show(self, message: Message, data: dict[str, Any]) -> None:
        """Answer a message."""
        text = self._text if self._callable is None else await self._callable.call(message, **data)
        if text is not None:
            await message.answer(text)
