"""Measuring: CPU time in alternating blocks, and the median of the ratios between neighbours.

Wall-clock time on a shared machine says more about its other tenants than about the code. The contenders take turns
in every round, so a slow minute falls on all of them alike. Where waiting is what counts, the wall is shown beside it.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiogram import Bot, Dispatcher

from benchmarks.stub import approved, calls_of, message, payment, pre_checkout

BLOCK = 100
WARM_UP = 2

_buyers = itertools.count(1000)


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    :ivar rounds: blocks of each contender.
    :ivar quick: leave out what takes minutes.
    """

    rounds: int
    quick: bool


@dataclass
class Rig:
    """A bot that sells in one of the ways that are compared.

    :ivar heard: charge ids that reached the bot's handler, in order.
    :ivar new_payload: makes the payload of a fresh invoice for a buyer.
    :ivar close: frees what the rig holds.
    :ivar buyer: who buys everything; new buyers when ``None``.
    :ivar server_cpu: tells the CPU seconds that the server it keeps its records in has used so far.
    """

    bot: Bot
    dispatcher: Dispatcher
    heard: list[str]
    new_payload: Callable[[int], Awaitable[str]]
    close: Callable[[], Awaitable[None]] | None = None
    buyer: int | None = None
    server_cpu: Callable[[], Awaitable[float]] | None = None


@dataclass(frozen=True)
class Spent:
    """Seconds per item: CPU of this process, CPU of its server, and by the clock on the wall."""

    cpu: float
    server: float
    wall: float


@dataclass(frozen=True)
class Series:
    """Seconds per item, round by round."""

    rounds: list[float]

    def microseconds(self) -> float:
        return 1e6 * statistics.median(self.rounds)

    def speed_against(self, other: Series) -> float:
        """Return how fast this is when the other is 1: the median over rounds, each compared with its neighbour."""
        return statistics.median(theirs / mine for mine, theirs in zip(self.rounds, other.rounds, strict=True))


@dataclass(frozen=True)
class Timing:
    """What one contender spent, round by round."""

    rounds: list[Spent]


def cpu(timing: Timing) -> Series:
    return Series([spent.cpu for spent in timing.rounds])


def with_server(timing: Timing) -> Series:
    """Return the CPU time of this process and of its server together."""
    return Series([spent.cpu + spent.server for spent in timing.rounds])


def wall(timing: Timing) -> Series:
    return Series([spent.wall for spent in timing.rounds])


Block = Callable[[], Awaitable[Spent]]


async def compare(blocks: Mapping[str, Block], rounds: int, warm_up: int = WARM_UP) -> dict[str, Timing]:
    """Run every contender's block once a round, forwards and backwards in turn."""
    times: dict[str, list[Spent]] = {name: [] for name in blocks}
    for number in range(warm_up + rounds):
        order = list(blocks) if number % 2 else list(blocks)[::-1]
        for name in order:
            # What one contender left behind is not to be collected in another's time.
            gc.collect()
            spent = await blocks[name]()
            if number >= warm_up:
                times[name].append(spent)
    return {name: Timing(values) for name, values in times.items()}


async def spend(rig: Rig, work: Callable[[], Awaitable[object]], items: int) -> Spent:
    """Do some work and return what each item of it cost."""
    server = 0.0 if rig.server_cpu is None else await rig.server_cpu()
    started, used = time.perf_counter(), time.process_time()
    await work()
    used, passed = time.process_time() - used, time.perf_counter() - started
    if rig.server_cpu is not None:
        server = await rig.server_cpu() - server
    return Spent(used / items, server / items, passed / items)


async def sell_block(rig: Rig, size: int = BLOCK, *, at_once: bool = False) -> Spent:
    """Sell to new buyers (one peer limits sales per buyer), check that all were served, return seconds a sale.

    :param at_once: all checkouts together, then all payments together, instead of one update after the other.
    """
    # In place: the rig's handlers hold on to these very lists.
    rig.heard.clear()
    buyers = [next(_buyers) if rig.buyer is None else rig.buyer for _ in range(size)]
    payloads = [await rig.new_payload(buyer) for buyer in buyers]
    checkouts = [pre_checkout(buyer, payload) for buyer, payload in zip(buyers, payloads, strict=True)]
    payments = [payment(buyer, payload) for buyer, payload in zip(buyers, payloads, strict=True)]
    calls_of(rig.bot).clear()
    feed = rig.dispatcher.feed_raw_update

    async def one_by_one() -> None:
        for pair in zip(checkouts, payments, strict=True):
            for update in pair:
                await feed(rig.bot, update)

    async def together() -> None:
        for updates in (checkouts, payments):
            await asyncio.gather(*(feed(rig.bot, update) for update in updates))

    spent = await spend(rig, together if at_once else one_by_one, size)
    assert approved(rig.bot) == size, f"{approved(rig.bot)} of {size} checkouts were approved"
    assert len(set(rig.heard)) == len(rig.heard) == size, f"{len(rig.heard)} of {size} payments were heard"
    return spent


FIRST_TALKER, TALKERS = 1000, 50
"""Who writes ordinary messages."""


async def talk_block(rig: Rig, size: int = 3 * BLOCK) -> Spent:
    """Feed ordinary messages and return seconds a message."""
    rig.heard.clear()
    updates = [message(FIRST_TALKER + number % TALKERS, text="hello") for number in range(size)]

    async def work() -> None:
        for update in updates:
            await rig.dispatcher.feed_raw_update(rig.bot, update)

    spent = await spend(rig, work, size)
    assert len(rig.heard) == size, f"{len(rig.heard)} of {size} messages were heard"
    return spent


async def close_all(*rigs: Rig) -> None:
    for rig in rigs:
        if rig.close is not None:
            await rig.close()
