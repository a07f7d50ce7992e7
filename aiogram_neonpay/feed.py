"""Events that no update carries: fed to the dispatcher as updates of our own, in tasks of their own.

They take the way of every update, so their handlers run inside the bot's middlewares, with the buyer as
``event_from_user``, ``event_chat`` and ``state``. A task of its own, because the buyer's isolation lock may be held by
the very update that caused the event.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.dispatcher.middlewares.user_context import (
    EVENT_CHAT_KEY,
    EVENT_CONTEXT_KEY,
    EVENT_FROM_USER_KEY,
    EVENT_THREAD_ID_KEY,
)
from aiogram.methods import TelegramMethod
from aiogram.types import Update, User

__all__ = ["DRAIN", "Feed"]

logger = logging.getLogger("aiogram_neonpay")

OF_ONE_UPDATE = frozenset(
    {"bot", "router", EVENT_CHAT_KEY, EVENT_CONTEXT_KEY, EVENT_FROM_USER_KEY, EVENT_THREAD_ID_KEY}
)
"""What is not remembered of the data that an update came with."""
DRAIN = 10.0
"""Seconds that a shutdown waits for events on their way."""


class Feed:
    """Feeds events to a dispatcher and waits for them at shutdown.

    :ivar has_context: whether it is known yet what the bot's own updates come with.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        # Telegram's update ids are positive; a bot that drops ids it has seen, in this process or in an earlier one,
        # must not drop ours.
        self._update_ids = itertools.count(-int(time.time() * 1000), -1)
        self._context: dict[str, Any] = {}
        self.has_context = False

    def remember(self, data: dict[str, Any]) -> None:
        """Remember what the bot's own updates come with: what was given to polling, to the webhook, to start-up."""
        self._context = {
            name: value
            for name, value in data.items()
            if name not in OF_ONE_UPDATE and not name.startswith("neonpay_")  # what travels with one event of ours
        }
        self.has_context = True

    @property
    def listens(self) -> str | None:
        """How this process gets updates: ``"polling"``, ``"webhook"``, or ``None`` where that cannot be told.

        Start-up is given ``bots`` by ``aiogram.Dispatcher.start_polling``, and ``app`` by
        ``aiogram.webhook.aiohttp_server.setup_application``.
        """
        if "bots" in self._context:
            return "polling"
        return "webhook" if "app" in self._context else None

    @property
    def tasks(self) -> frozenset[asyncio.Task[None]]:
        """What runs in the background now."""
        return frozenset(self._tasks)

    def forget(self) -> None:
        """Forget what the bot's own updates come with."""
        self._context = {}
        self.has_context = False

    def spawn(self, work: Coroutine[Any, Any, Any], what: str) -> asyncio.Task[None]:
        """Run something in the background; what it raises is logged."""

        async def guarded() -> None:
            try:
                await work
            except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                logger.exception("%s failed", what)

        # An empty context: what is set for the update that caused this (its bot, its free pass) is not for the event.
        task = Context().run(asyncio.get_running_loop().create_task, guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def event(
        self,
        dispatcher: Dispatcher,
        bot: Bot,
        buyer: User,
        date: int,
        data: dict[str, Any],
        kind: str = "message",
        **fields: Any,
    ) -> None:
        """Feed one event, carried by a message from the buyer, in their private chat unless ``fields`` name another.

        :param data: what travels with it in aiogram's handler data.
        :param kind: the update's: ``message`` or ``business_message``.
        :param fields: what the message holds, such as ``refunded_payment``.
        """
        update = self.carrier(bot, buyer, date, kind, **fields)
        response = await dispatcher.feed_update(bot, update, **{**self._context, **data})
        if isinstance(response, TelegramMethod):
            # What a handler returns is called, as polling does (``aiogram.Dispatcher``).
            await dispatcher.silent_call_request(bot=bot, result=response)

    def carrier(self, bot: Bot, buyer: User, date: int, kind: str = "message", **fields: Any) -> Update:
        """Return an update of our own with a message from the buyer; see :meth:`event`."""
        person = buyer.model_dump(mode="json", exclude_none=True)
        chat = {key: person[key] for key in ("id", "first_name", "last_name", "username") if key in person}
        message: dict[str, Any] = {
            "message_id": 0,
            "date": date,
            "chat": {**chat, "type": "private"},
            "from": person,
            **fields,
        }
        return self.update(bot, kind, message)

    def update(self, bot: Bot, kind: str, content: dict[str, Any]) -> Update:
        """Return an update of our own."""
        return Update.model_validate({"update_id": next(self._update_ids), kind: content}, context={"bot": bot})

    async def drain(self) -> None:
        """Wait for what is on its way, and for what comes of it, for a while."""
        loop, mine = asyncio.get_running_loop(), asyncio.current_task()
        until = loop.time() + DRAIN
        while pending := [task for task in self._tasks if task is not mine]:
            if loop.time() >= until:
                for task in pending:
                    task.cancel()
                await asyncio.wait(pending, timeout=1.0)
                return
            await asyncio.wait(pending, timeout=max(0.0, until - loop.time()))
