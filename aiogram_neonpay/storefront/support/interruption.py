"""Ends a conversation with the support when something else is said, and lets the bot have that, in the state put back.

A filter for states looks at what aiogram read before any router was asked. Whoever leaves a state within a router and
skips on has the other routers look for handlers of the state that was left: so they are asked anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import BaseMiddleware, Bot, Router
from aiogram.dispatcher.event.bases import REJECTED, UNHANDLED
from aiogram.enums import ChatType
from aiogram.filters import Command
from aiogram.fsm.context import FSMContext
from aiogram.types import Message, TelegramObject

from aiogram_neonpay.storefront.support.conversation import Asking, is_left, leave

__all__ = ["Interruption"]

_CANCEL = Command("cancel")

Handler = Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]]


class Interruption(BaseMiddleware):
    """Outer middleware of the support's router.

    :param router: that router.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        """Let the support see a message, or what interrupts it be handled by the whole bot."""
        if data.get("raw_state") != Asking.question.state or not isinstance(event, Message):
            return await handler(event, data)
        state: FSMContext = data["state"]
        if event.chat.type != ChatType.PRIVATE or not await self._is_interruption(event, state, data["bot"]):
            return await handler(event, data)
        await leave(state)
        return await self._ask_all(event, {**data, "raw_state": await state.get_state()})

    async def _is_interruption(self, message: Message, state: FSMContext, bot: Bot) -> bool:
        if await is_left(state):
            return True
        return (message.text or "").startswith("/") and not await _CANCEL(message, bot)

    async def _ask_all(self, message: Message, data: dict[str, Any]) -> Any:
        """Ask the bot's handlers as its dispatcher does, below the root's own outer middlewares."""
        root = [*self._router.chain_head][-1]
        response = await root.message.trigger(message, **data)
        if response is REJECTED:
            return UNHANDLED
        for router in root.sub_routers:
            if response is not UNHANDLED:
                break
            response = await router.propagate_event(update_type="message", event=message, **data)
        return response
