"""Telling the bot's typed handlers what no update of Telegram tells."""

from __future__ import annotations

from collections.abc import Callable

from aiogram import Bot
from aiogram.types import User

from aiogram_neonpay.attempts import ATTEMPT, Attempt
from aiogram_neonpay.errors import DeliveryError
from aiogram_neonpay.events import AnyEvent
from aiogram_neonpay.feed import Feed
from aiogram_neonpay.shop import Shop

__all__ = ["News"]


class News:
    """Feeds events of one shop to its handlers.

    :ivar on_event: is called with every event, besides the handlers.
    """

    def __init__(self, shop: Shop, feed: Feed) -> None:
        self._shop = shop
        self._feed = feed
        self.on_event: Callable[[Bot, AnyEvent], None] | None = None

    def tell(self, bot: Bot, event: AnyEvent, buyer: User) -> None:
        """Feed an event to its typed handlers, if there are any, in a task of its own."""
        dispatcher = self._shop.dispatcher
        if dispatcher is None:
            return
        if self.on_event is not None:
            self.on_event(bot, event)
        attempt = Attempt(dispatcher, event, plain=False, listened=True)
        if attempt.candidates:
            work = self._feed.event(dispatcher, bot, buyer, int(self._shop.clock()), {ATTEMPT: attempt})
            self._feed.spawn(work, f"the event {type(event).__name__}")

    async def deliver(self, bot: Bot, event: AnyEvent, buyer: User) -> None:
        """Feed an event to its typed handlers, if there are any, and wait until they have returned.

        :raises Exception: what a handler raised, or :class:`DeliveryError` when something on the way kept it from them.
        """
        dispatcher = self._shop.dispatcher
        if dispatcher is None:
            raise DeliveryError(str(buyer.id), "this process has no dispatcher to tell the news to")
        attempt = Attempt(dispatcher, event, plain=False, listened=True)
        if not attempt.candidates:
            return
        await self._feed.event(dispatcher, bot, buyer, int(self._shop.clock()), {ATTEMPT: attempt})
        if attempt.error is not None:
            raise attempt.error
        if attempt.stopped or not attempt.reached:
            raise DeliveryError(str(buyer.id), f"a middleware stopped {type(event).__name__} before its handler")
