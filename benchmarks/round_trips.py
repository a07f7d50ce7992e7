"""How often this package asks Redis, beyond what aiogram does for states."""

from __future__ import annotations

import collections
from dataclasses import dataclass

from benchmarks import redis_rigs, sellers
from benchmarks.measure import Rig
from benchmarks.stub import payment, pre_checkout

SALES = 20


@dataclass(frozen=True)
class RoundTrips:
    """The commands that ours sent and aiogram alone did not."""

    pre_checkout: list[str]
    payment: list[str]


async def count(path: str) -> RoundTrips:
    """Sell on one dispatcher with and on one without this package, and return the difference."""
    with_plugin, without = await _count(path, with_plugin=True), await _count(path, with_plugin=False)
    return RoundTrips(_less(with_plugin[0], without[0]), _less(with_plugin[1], without[1]))


async def _count(path: str, *, with_plugin: bool) -> tuple[list[str], list[str]]:
    rig, sent = redis_rigs.counted(path, sellers.ours if with_plugin else sellers.floor)
    try:
        phases = [await _sell(rig, sent, buyer) for buyer in range(1, SALES + 1)]
    finally:
        if rig.close is not None:
            await rig.close()
    # The first sales connect and load scripts; what the most sales do is what a sale costs.
    return _most_common([phase[0] for phase in phases]), _most_common([phase[1] for phase in phases])


async def _sell(rig: Rig, sent: list[str], buyer: int) -> tuple[list[str], list[str]]:
    payload = await rig.new_payload(buyer)
    sent.clear()
    await rig.dispatcher.feed_raw_update(rig.bot, pre_checkout(buyer, payload))
    checkout = list(sent)
    sent.clear()
    await rig.dispatcher.feed_raw_update(rig.bot, payment(buyer, payload))
    return checkout, list(sent)


def _most_common(runs: list[list[str]]) -> list[str]:
    return list(collections.Counter(map(tuple, runs)).most_common(1)[0][0])


def _less(more: list[str], fewer: list[str]) -> list[str]:
    return sorted((collections.Counter(more) - collections.Counter(fewer)).elements())
