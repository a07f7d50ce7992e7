"""What follows the bot's own handlers of a message, inside its middlewares, such as the invoice of a deep link."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import Dispatcher
from aiogram.dispatcher.event.bases import CancelHandler, SkipHandler
from aiogram.methods import TelegramMethod
from aiogram.types import Message, TelegramObject

from aiogram_neonpay.hooks import Next, place_middleware

__all__ = ["FOLLOWING", "Following"]

FOLLOWING = "neonpay_following"
"""Key under which what follows travels in aiogram's handler data."""


class Following:
    """Outer middleware, last, of the root's messages. It stands only while a message passes that something follows.

    A message that a middleware or a filter of the root keeps from the bot has nothing to follow it.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._passing = 0

    async def carry(
        self,
        handler: Next,
        update: TelegramObject,
        follow: Callable[[Message], Awaitable[None]],
        data: dict[str, Any],
    ) -> Any:
        """Let the bot have an update, with what follows its message."""
        manager = self._dispatcher.message.outer_middleware
        self._passing += 1
        place_middleware(manager, self, -1)
        try:
            return await handler(update, {**data, FOLLOWING: follow})
        finally:
            self._passing -= 1
            if not self._passing:
                manager.unregister(self)

    def __call__(self, handler: Next, event: TelegramObject, data: dict[str, Any]) -> Awaitable[Any]:
        """Pass what nothing follows, at no cost."""
        if FOLLOWING not in data or not isinstance(event, Message):
            return handler(event, data)
        return self._after(handler, event, data)

    async def _after(self, handler: Next, event: Message, data: dict[str, Any]) -> Any:
        follow = data.pop(FOLLOWING)
        passed, _ = await self._dispatcher.message.check_root_filters(event, **data)
        try:
            response = await handler(event, data)
        except (SkipHandler, CancelHandler):
            raise
        except Exception:
            if passed:
                await follow(event)
            raise
        if not passed:
            return response
        if isinstance(response, TelegramMethod):
            # What a handler returns is called, as polling does: it is to come first (``aiogram.Dispatcher``).
            await self._dispatcher.silent_call_request(bot=data["bot"], result=response)
            response = None
        await follow(event)
        return response
