"""Events that no update carries: fed to the dispatcher as updates of our own, in tasks of their own.

They take the way of every update, so their handlers run inside the bot's middlewares, with the buyer as
``event_from_user``, ``event_chat`` and ``state``. A task of its own, because the buyer's isolation lock may be held by
the very update that caused the event.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.types import Update, User

__all__ = ["DRAIN", "Feed"]

logger = logging.getLogger("aiogram_neonpay")

DRAIN = 10.0
"""Seconds that a shutdown waits for events on their way."""


class Feed:
    """Feeds events to a dispatcher and waits for them at shutdown."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        # Telegram's update ids are positive; a bot that drops ids it has seen must not drop ours.
        self._update_ids = itertools.count(-1, -1)

    def spawn(self, work: Coroutine[Any, Any, Any], what: str) -> asyncio.Task[None]:
        """Run something in the background; what it raises is logged."""

        async def guarded() -> None:
            try:
                await work
            except Exception:
                logger.exception("%s failed", what)

        # An empty context: what is set for the update that caused this (its bot, its free pass) is not for the event.
        task = Context().run(asyncio.get_running_loop().create_task, guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def event(
        self, dispatcher: Dispatcher, bot: Bot, buyer: User, date: int, data: dict[str, Any], **fields: Any
    ) -> None:
        """Feed one event, carried by a message from the buyer in their private chat.

        :param data: what travels with it in aiogram's handler data.
        :param fields: what the message holds, such as ``refunded_payment``.
        """
        person = buyer.model_dump(mode="json", exclude_none=True)
        chat = {key: person[key] for key in ("id", "first_name", "last_name", "username") if key in person}
        message: dict[str, Any] = {
            "message_id": 0,
            "date": date,
            "chat": {**chat, "type": "private"},
            "from": person,
            **fields,
        }
        update = Update.model_validate({"update_id": next(self._update_ids), "message": message}, context={"bot": bot})
        await dispatcher.feed_update(bot, update, **data)

    async def drain(self) -> None:
        """Wait for what is on its way, for a while."""
        pending = [task for task in self._tasks if task is not asyncio.current_task()]
        if pending:
            _, late = await asyncio.wait(pending, timeout=DRAIN)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
