"""Owns telling whether a bot takes its updates: by an open getUpdates, or by a webhook that answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.world import BotAccount, World

#: Silence that is no trouble yet, in real seconds: bots work between two polls, and need time to start.
PATIENCE = 5.0
_LOOK_EVERY = 0.5


class Listening:
    """Watches the bots of one world, in real time whatever the sandbox's clock does.

    :param refusals: what keeps webhooks from taking updates now, by the bot's id.
    """

    def __init__(self, world: World, refusals: Mapping[int, str]) -> None:
        self._world = world
        self._refusals = refusals
        self._heard: dict[int, float] = {}

    @contextmanager
    def heard(self, token: str, method: str) -> Iterator[None]:
        """Note a call of the Bot API, if it asks for updates; it ends when its client is gone."""
        bot = self._world.bot_by_token(token) if method.lower() == "getupdates" else None
        try:
            yield
        finally:
            if bot is not None:
                self._heard[bot.id] = time.monotonic()

    def trouble(self, bot: BotAccount) -> Json | None:
        """Return why a bot does not get its updates, or ``None``: the page's words depend on ``kind``."""
        silence = self._look(bot)
        if bot.webhook is None:
            return {"kind": "silent", "seconds": silence} if silence >= PATIENCE else None
        refusal = self._refusals.get(bot.id)
        return {"kind": "webhook", "error": refusal} if refusal and len(bot.queue) else None

    async def watch(self) -> None:
        """Tell the pages when the trouble of a bot begins, ends or becomes another."""
        known = self._kinds()
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            seen = self._kinds()
            if seen != known:
                known = seen
                self._world.feed.publish("listening")

    def _kinds(self) -> list[tuple[object, ...]]:
        # Without the seconds, which the page counts by itself.
        troubles = [self.trouble(bot) or {} for bot in self._world.bots.values()]
        return [(trouble.get("kind"), trouble.get("error")) for trouble in troubles]

    def _look(self, bot: BotAccount) -> float:
        """Return for how long a bot has been silent; a bot is given time from the first look on."""
        now = time.monotonic()
        if bot.poll.active or bot.webhook is not None:
            self._heard[bot.id] = now
        return now - self._heard.setdefault(bot.id, now)
