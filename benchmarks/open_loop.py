"""Updates that arrive when they arrive: nobody waits for the one before to be done."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import statistics
from dataclasses import dataclass
from typing import Any

from aiogram import Bot
from aiogram.methods import AnswerPreCheckoutQuery, TelegramMethod

from benchmarks.measure import Rig
from benchmarks.stub import StubSession, Update, payment, pre_checkout

LEAD = 0.2
"""Seconds between the making of the schedule and its first moment."""
_buyers = itertools.count(7_000_000_000)


@dataclass(frozen=True)
class Load:
    """Updates per second, at random moments that are independent of each other."""

    checkouts: float
    payments: float = 0.0


@dataclass(frozen=True)
class Latency:
    """Seconds from the moment for which a checkout was scheduled until its answer was sent."""

    seconds: list[float]

    def percentile(self, percent: int) -> float:
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]


class AnswerClock(StubSession):
    """Notes when checkouts are answered."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: dict[str, float] = {}

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        if isinstance(method, AnswerPreCheckoutQuery):
            assert method.ok
            self.answered[method.pre_checkout_query_id] = asyncio.get_running_loop().time()
            return True  # kept no longer: what a benchmark hoards, the garbage collector has to go through
        return await super().make_request(bot, method, timeout)


async def measure(rig: Rig, load: Load, seconds: float, seed: int) -> Latency:
    """Let updates arrive for so long, each in a task of its own as aiogram makes them, and see to all of them."""
    session = rig.bot.session = AnswerClock()
    rig.heard.clear()
    chance = random.Random(seed)
    checkouts = [
        (moment, pre_checkout(buyer, payload))
        for moment, buyer, payload in await _arrivals(rig, chance, load.checkouts, seconds)
    ]
    payments = [
        (moment, payment(buyer, payload))
        for moment, buyer, payload in await _arrivals(rig, chance, load.payments, seconds)
    ]
    session.calls.clear()
    gc.collect()
    began = await _run(rig, [*checkouts, *payments])
    assert len(rig.heard) == len(payments), f"{len(rig.heard)} of {len(payments)} payments were heard"
    scheduled = {update["pre_checkout_query"]["id"]: began + moment for moment, update in checkouts}
    assert session.answered.keys() == scheduled.keys(), f"{len(session.answered)} of {len(scheduled)} were answered"
    return Latency([session.answered[query] - moment for query, moment in scheduled.items()])


async def _arrivals(rig: Rig, chance: random.Random, rate: float, seconds: float) -> list[tuple[float, int, str]]:
    """Return moments with a buyer and the payload of an invoice of theirs."""
    found: list[tuple[float, int, str]] = []
    moment = chance.expovariate(rate) if rate else seconds
    while moment < seconds:
        buyer = next(_buyers)
        found.append((moment, buyer, await rig.new_payload(buyer)))
        moment += chance.expovariate(rate)
    return found


async def _run(rig: Rig, updates: list[tuple[float, Update]]) -> float:
    """Feed every update at its moment, and return what the moments count from."""
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[Any]] = []
    all_arrived = asyncio.Event()

    def arrive(update: Update) -> None:
        tasks.append(loop.create_task(rig.dispatcher.feed_raw_update(rig.bot, update)))
        if len(tasks) == len(updates):
            all_arrived.set()

    began = loop.time() + LEAD
    for moment, update in updates:
        loop.call_at(began + moment, arrive, update)
    await all_arrived.wait()
    await asyncio.gather(*tasks)
    return began
