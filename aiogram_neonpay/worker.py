"""What goes on in the background: retries, charges of dead workers, unconfirmed refunds, ends of subscriptions.

All of it is found in the ledger, by the time for which it was set down. So any worker may do it, and does it when the
one that should have is gone. The worker that failed an attempt also sets itself a timer, to be on time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

from aiogram import Bot

from aiogram_neonpay.feed import Feed
from aiogram_neonpay.ledger.buyers import is_buyer
from aiogram_neonpay.ledger.charges import DELIVER, Claim, next_step
from aiogram_neonpay.records import in_log, paid_message, recipient_of
from aiogram_neonpay.refunds import CLAIM, Refunds
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.subscriptions import Subscriptions

__all__ = ["Worker"]

logger = logging.getLogger("aiogram_neonpay")

LOOK_EVERY = (5.0, 15.0)
"""Seconds between two looks at what is due, at random: several workers are not to look all at once."""
AT_ONCE = 32
"""Charges of one kind that one worker goes on with at a time: deliveries of one stage, refunds, subscriptions."""
FARTHEST = 2048
"""Due charges among which a look seeks some that it can begin with."""


class Worker:
    """Goes on with charges of one shop whose time has come."""

    def __init__(self, shop: Shop, feed: Feed, refunds: Refunds, subscriptions: Subscriptions) -> None:
        self._shop = shop
        self._feed = feed
        self._refunds = refunds
        self._subscriptions = subscriptions
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: asyncio.Task[None] | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._busy: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._kinds: dict[tuple[int, str], str] = {}
        self._full: set[str] = set()
        self._again: set[tuple[int, str]] = set()

    @property
    def is_running(self) -> bool:
        """Whether it looks for due charges by itself."""
        return self._looking is not None and not self._looking.done() and self._loop is asyncio.get_running_loop()

    def start(self) -> None:
        """Begin to look for due charges; may be repeated."""
        if not self.is_running:
            self._loop = asyncio.get_running_loop()
            self._shop.charges.awaits_schedule = True
            if self._shop.timing.passes:
                self._looking = self._loop.create_task(self._look())

    async def stop(self) -> None:
        """Begin nothing new; what is on its way goes on."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._shop.is_open:
            self._shop.charges.awaits_schedule = False

    def wake(self, bot: Bot, name: str, delay: float = 0.0) -> None:
        """Go on with a charge after some seconds, as far as this process lives that long."""
        if delay <= 0:
            self._begin(bot, name)
        elif self.is_running:
            timer = asyncio.get_running_loop().call_later(delay, self._on_time, bot, name)
            self._timers.add(timer)

    def _on_time(self, bot: Bot, name: str) -> None:
        now = asyncio.get_running_loop().time()
        self._timers = {timer for timer in self._timers if timer.when() > now and not timer.cancelled()}
        self._begin(bot, name)

    async def run_due(self) -> int:
        """Go on with everything that is due, until nothing is; return how many charges that were."""
        return await self._run(to_the_end=True)

    async def _look(self) -> None:
        while True:
            try:
                await self._run(to_the_end=False)
            except Exception as error:
                logger.error(
                    "what is due cannot be read from the storage (%s: %s): retries, refunds and charges of dead "
                    "workers wait until it answers",
                    type(error).__name__,
                    error,
                )
            await asyncio.sleep(random.uniform(*LOOK_EVERY))

    async def _run(self, *, to_the_end: bool) -> int:
        """Begin with what is due, as much as may run at once, until nothing more is.

        :param to_the_end: wait for all of it; else a handler that hangs keeps only its own place.
        """
        done: set[tuple[int, str]] = set()
        running: set[asyncio.Task[None]] = set()
        fresh = False
        while True:
            started = await self._round(done)
            others = self._busy.values() if to_the_end else ()
            mine = asyncio.current_task()
            running = {task for task in {*running, *started, *others} if not task.done() and task is not mine}
            if started:
                fresh = True
                continue  # what is due behind these may have a place of another kind
            if not running or not (to_the_end or fresh):
                return len(done)
            fresh = False
            patience = None if to_the_end else LOOK_EVERY[0]
            await asyncio.wait(running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)

    async def _round(self, done: set[tuple[int, str]]) -> list[asyncio.Task[None]]:
        """Begin with what is due and was not done before, as far as there are free places."""
        started: list[asyncio.Task[None]] = []
        for bot in self._shop.bots:
            limit = AT_ONCE
            while True:
                names = await self._shop.charges.due(bot.id, limit=limit)
                begun = await self._begin_due(bot, [name for name in names if (bot.id, name) not in done])
                done.update((bot.id, name) for name, _ in begun)
                started += [task for _, task in begun]
                # What is in other hands, or has no place, may stand before what can be begun with.
                if begun or len(names) < limit or limit >= FARTHEST:
                    break
                limit *= 4
        return started

    async def _begin_due(self, bot: Bot, names: list[str]) -> list[tuple[str, asyncio.Task[None]]]:
        """Begin with what has a place of its kind: what hangs keeps none that others need."""
        idle = [name for name in names if (bot.id, name) not in self._busy]
        charges = [name for name in idle if not is_buyer(name)]
        bodies = dict(zip(charges, await self._shop.charges.read(bot.id, charges), strict=True))
        begun = []
        for name in idle:
            kind = _kind_of(bodies.get(name))
            if list(self._kinds.values()).count(kind) >= AT_ONCE:
                if kind not in self._full:
                    self._full.add(kind)
                    logger.warning("bot %s: %s %s are under way; others wait for one to end", bot.id, AT_ONCE, kind)
            elif (bot.id, name) not in self._busy:
                begun.append((name, self._begin(bot, name)))
                self._kinds[bot.id, name] = kind
        return begun

    def _begin(self, bot: Bot, name: str) -> asyncio.Task[None]:
        """Go on with a charge in a task of its own; if this worker is at it, that task looks at it once more."""
        key = (bot.id, name)
        task = self._busy.get(key)
        if task is not None and not task.done():
            self._again.add(key)
        else:
            task = self._busy[key] = self._feed.spawn(self._go_on(bot, name), f"going on with {name}")
            task.add_done_callback(lambda task: self._forget(key, task))
        return task

    def _forget(self, key: tuple[int, str], task: asyncio.Task[None]) -> None:
        if self._busy.get(key) is task:
            del self._busy[key]
            self._full.discard(self._kinds.pop(key, ""))

    async def _go_on(self, bot: Bot, name: str) -> None:
        key = (bot.id, name)
        while True:
            self._again.discard(key)
            if is_buyer(name):
                await self._subscriptions.go_on(bot, name)
            else:
                await self._do_next(bot, name)
            if key not in self._again:
                return

    async def _do_next(self, bot: Bot, name: str) -> None:
        claim = await self._shop.charges.claim(bot.id, name)
        if claim is None:
            return
        try:
            await self._go_on_with(bot, claim)
        finally:
            # Whatever went wrong, the charge must not stay in hands that do nothing with it: its lease runs out.
            self._shop.charges.leases.let_go(claim)

    async def _go_on_with(self, bot: Bot, claim: Claim) -> None:
        if claim.step != DELIVER:
            await self._refunds.go_on(bot, claim)
            return
        name = claim.key.name
        dispatcher = self._shop.dispatcher
        if dispatcher is None:
            await self._shop.charges.give_back(claim, attempts=claim.body["attempts"] - 1)
            return
        body = claim.body
        logger.info("%s: attempt %s", in_log(bot, name, body), body["attempts"])
        try:
            person = recipient_of(body)
            await self._feed.event(dispatcher, bot, person, body["at"], {CLAIM: claim}, **paid_message(body))
        except Exception:
            # The delivery has written it down and set the time of the next attempt; aiogram logs what its own updates
            # raise, and this is ours.
            logger.exception("%s: attempt %s raised", in_log(bot, name, body), body["attempts"])


def _kind_of(body: dict[str, Any] | None) -> str:
    """Return what a due charge has its place among; a buyer has no body here."""
    if body is None:
        return "subscriptions"
    step = next_step(body)
    return f"deliveries of {body.get('stage')}" if step == DELIVER else "refunds"
