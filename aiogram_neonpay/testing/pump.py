"""Carries a bot's updates from the sandbox to its dispatcher, and knows which are being handled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiogram import Bot, Dispatcher
from aiogram.methods import GetUpdates, TelegramMethod
from aiogram.types import Update

from aiogram_neonpay.sandbox.world import BotAccount

__all__ = ["Pump"]

logger = logging.getLogger("aiogram_neonpay")

POLL = 50
"""Seconds of one long poll, as long as Telegram allows."""
PAUSE = 0.05
"""Real seconds after a poll that failed."""
AT_ONCE = 100


class Pump:
    """Polls as ``Dispatcher.start_polling`` does, in any event loop; each update is handled in a task of its own.

    :param receives_webhooks: whether it takes what would be pushed to a webhook, when the bot sets one.
    :ivar errors: what handlers raised, oldest first.
    """

    def __init__(self, dispatcher: Dispatcher, bot: Bot, account: BotAccount, *, receives_webhooks: bool) -> None:
        self._dispatcher = dispatcher
        self._bot = bot
        self._account = account
        self._receives_webhooks = receives_webhooks
        self._kinds = dispatcher.resolve_used_update_types()
        self._offset = 0
        self._idle = False
        self._stopped = False
        self._pumping: asyncio.Task[None] | None = None
        self._handling: dict[asyncio.Task[None], Update] = {}
        self.errors: list[Exception] = []

    @property
    def is_resting(self) -> bool:
        """Whether no update waits, is on its way, or is being handled."""
        waits = self._account.poll.active or self._idle
        return waits and not len(self._account.queue) and not self._handling

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What is at work now."""
        return list(self._handling)

    def describe(self) -> list[str]:
        """Return what is going on, for a message."""
        going_on = [f"a handler of {_described(update)} is still running" for update in self._handling.values()]
        waiting = len(self._account.queue)
        if not going_on and waiting:
            going_on.append(f"{waiting} updates have not been taken")
        return going_on

    def start(self) -> None:
        """Begin to poll."""
        self._pumping = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End: handlers that still run are cancelled."""
        # A cancellation that meets an update's arrival is lost in `asyncio.wait_for` before Python 3.12.
        self._stopped = True
        tasks = [task for task in (self._pumping, *self._handling) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while not self._stopped:
            try:
                updates = await self._take()
            except Exception as error:
                logger.warning("the bot's updates could not be fetched (%s: %s)", type(error).__name__, error)
                await asyncio.sleep(PAUSE)
                continue
            for update in updates if not self._stopped else ():
                task = asyncio.get_running_loop().create_task(self._handle(update))
                self._handling[task] = update
                task.add_done_callback(self._handled)

    async def _take(self) -> list[Update]:
        account = self._account
        if account.webhook is None:
            poll = GetUpdates(offset=self._offset, timeout=POLL, allowed_updates=self._kinds)
            updates = await self._bot(poll, request_timeout=2 * POLL)
            if updates:
                self._offset = updates[-1].update_id + 1
            return updates
        await self._until(lambda: account.webhook is None or (self._receives_webhooks and len(account.queue) > 0))
        if account.webhook is None:
            return []
        found = account.queue.heads((), AT_ONCE)
        for update in found:
            account.queue.confirm(update)
        return [Update.model_validate(update.as_json(), context={"bot": self._bot}) for update in found]

    async def _until(self, condition: Callable[[], bool]) -> None:
        self._idle = True
        try:
            await self._account.queue.signal.until(condition, POLL)
        finally:
            self._idle = False

    async def _handle(self, update: Update) -> None:
        try:
            response = await self._dispatcher.feed_update(self._bot, update, bots=(self._bot,))
            if isinstance(response, TelegramMethod):
                await self._dispatcher.silent_call_request(bot=self._bot, result=response)
        except Exception as error:
            # As in polling, an error ends the handling of its update and nothing else.
            self.errors.append(error)
            logger.exception("the bot failed to handle %s", _described(update))

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._handling.pop(task, None)


def _described(update: Update) -> str:
    kind = update.event_type
    text = getattr(update.event, "text", None) or getattr(update.event, "data", None)
    return f"update {update.update_id} ({kind}{f' {text!r}' if text else ''})"
