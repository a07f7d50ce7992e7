"""Measuring: CPU time in alternating blocks, and the median of the ratios between neighbours.

Wall-clock time on a shared machine says more about its other tenants than about the code. The contenders take turns
in every round, so a slow minute falls on all of them alike.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiogram import Bot, Dispatcher

from benchmarks.stub import Update, approved, calls_of, message, payment, pre_checkout

BLOCK = 100
WARM_UP = 2

_buyers = itertools.count(1000)


@dataclass
class Rig:
    """A bot that sells in one of the ways that are compared.

    :ivar heard: charge ids that reached the bot's handler, in order.
    :ivar new_payload: makes the payload of a fresh invoice for a buyer.
    :ivar close: frees what the rig holds.
    """

    bot: Bot
    dispatcher: Dispatcher
    heard: list[str]
    new_payload: Callable[[int], Awaitable[str]]
    close: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True)
class Timing:
    """CPU seconds per item, round by round."""

    rounds: list[float]

    def microseconds(self) -> float:
        return 1e6 * statistics.median(self.rounds)

    def speed_against(self, other: Timing) -> float:
        """Return how fast this is when the other is 1: the median over rounds, each compared with its neighbour."""
        return statistics.median(theirs / mine for mine, theirs in zip(self.rounds, other.rounds, strict=True))


async def compare(blocks: Mapping[str, Callable[[], Awaitable[float]]], rounds: int) -> dict[str, Timing]:
    """Run every contender's block once a round, forwards and backwards in turn."""
    times: dict[str, list[float]] = {name: [] for name in blocks}
    for number in range(WARM_UP + rounds):
        order = list(blocks) if number % 2 else list(blocks)[::-1]
        for name in order:
            # What one contender left behind is not to be collected in another's time.
            gc.collect()
            seconds = await blocks[name]()
            if number >= WARM_UP:
                times[name].append(seconds)
    return {name: Timing(values) for name, values in times.items()}


async def sell_block(rig: Rig, size: int = BLOCK) -> float:
    """Sell to new buyers (one peer limits sales per buyer), check that all were served, return seconds a sale."""
    # In place: the rig's handlers hold on to these very lists.
    rig.heard.clear()
    buyers = [next(_buyers) for _ in range(size)]
    updates = []
    for buyer in buyers:
        payload = await rig.new_payload(buyer)
        updates += [pre_checkout(buyer, payload), payment(buyer, payload)]
    calls_of(rig.bot).clear()
    seconds = await _feed(rig.bot, rig.dispatcher, updates)
    assert approved(rig.bot) == size, f"{approved(rig.bot)} of {size} checkouts were approved"
    assert len(set(rig.heard)) == len(rig.heard) == size, f"{len(rig.heard)} of {size} payments were heard"
    return seconds / size


async def talk_block(rig: Rig, size: int = 3 * BLOCK) -> float:
    """Feed ordinary messages and return seconds a message."""
    rig.heard.clear()
    updates = [message(1000 + number % 50, text="hello") for number in range(size)]
    seconds = await _feed(rig.bot, rig.dispatcher, updates)
    assert len(rig.heard) == size, f"{len(rig.heard)} of {size} messages were heard"
    return seconds / size


async def _feed(bot: Bot, dispatcher: Dispatcher, updates: list[Update]) -> float:
    started = time.process_time()
    for update in updates:
        await dispatcher.feed_raw_update(bot, update)
    return time.process_time() - started
