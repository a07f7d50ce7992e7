"""What happens to a subscription at nearly the same moment is told in its order, whichever update is handled first."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from aiogram.fsm.storage.memory import MemoryStorage

from aiogram_neonpay import SubscriptionState
from aiogram_neonpay.ledger.memory import MemoryEngine
from tests.flow.clock import Clock
from tests.flow.club import DAY, MONTH, Club
from tests.telegram import ALICE, RecordingBot

pytestmark = pytest.mark.asyncio

ORDERS = range(40)
"""Seeds, each of which has the storage answer in another order."""


@pytest.fixture
def dice(monkeypatch: pytest.MonkeyPatch) -> random.Random:
    """Let every answer of the storage take a while, by the dice."""
    dice = random.Random()
    for name in ("read", "peek", "write", "history"):
        answer = getattr(MemoryEngine, name)

        async def late(*args: Any, _answer: Any = answer, **kwargs: Any) -> Any:
            for _ in range(dice.choice([0, 0, 1, 2, 5, 15])):
                await asyncio.sleep(0)
            found = await _answer(*args, **kwargs)
            for _ in range(dice.choice([0, 0, 1, 2, 5, 15])):
                await asyncio.sleep(0)
            return found

        monkeypatch.setattr(MemoryEngine, name, late)
    return dice


async def subscribed(bot: RecordingBot, *turns: str) -> Club:
    club = Club(bot, Clock(), MemoryStorage(), grace=DAY).listen()
    await club.subscribe()
    for turn in turns:
        await club.turn(turn)
    await club.pay.run_due()
    club.clock.now += MONTH
    return club


async def come_to_rest(club: Club) -> None:
    for seconds in (0, 5, 5, 10):
        await club.later(seconds)


async def test_a_renewal_that_comes_with_the_resumption_before_it_is_told_after_it(
    bot: RecordingBot, dice: random.Random
) -> None:
    for seed in ORDERS:
        dice.seed(seed)
        club = await subscribed(bot, "canceled")
        await asyncio.gather(club.turn("active"), club.feed(club.charge()))
        await come_to_rest(club)

        assert club.kinds[1:] == ["SubscriptionCanceled", "SubscriptionRestored", "SubscriptionRenewed"], seed
        [known] = await club.pay.list_subscriptions(ALICE)
        assert (known.state, known.expires_at.timestamp()) == (SubscriptionState.ACTIVE, club.clock.now - 20 + MONTH)


async def test_a_failure_that_comes_with_the_charge_after_it_is_not_told_after_that(
    bot: RecordingBot, dice: random.Random
) -> None:
    for seed in ORDERS:
        dice.seed(seed)
        club = await subscribed(bot)
        await asyncio.gather(club.turn("failed"), club.feed(club.charge()))
        await come_to_rest(club)

        assert club.kinds[1:] in (["SubscriptionFailed", "SubscriptionRenewed"], ["SubscriptionRenewed"]), seed
        [known] = await club.pay.list_subscriptions(ALICE)
        assert known.state == SubscriptionState.ACTIVE


async def test_a_cancellation_that_comes_with_the_renewal_before_it_is_told_after_it(
    bot: RecordingBot, dice: random.Random
) -> None:
    for seed in ORDERS:
        dice.seed(seed)
        club = await subscribed(bot)
        renewal = club.charge()
        club.clock.now += 60
        await asyncio.gather(club.feed(renewal), club.turn("canceled"))
        await come_to_rest(club)
        await club.later(30)

        assert club.kinds == ["SubscriptionStarted", "SubscriptionRenewed", "SubscriptionCanceled"], seed
        [known] = await club.pay.list_subscriptions(ALICE)
        assert known.state == SubscriptionState.CANCELED


async def test_a_resumption_that_was_lost_is_told_before_the_renewal_that_shows_it(bot: RecordingBot) -> None:
    club = await subscribed(bot, "canceled")
    await club.feed(club.charge())
    assert (await club.pay.access(ALICE, "club")) is not None
    await come_to_rest(club)
    await club.turn("active")  # late, and known by now
    await come_to_rest(club)

    assert club.kinds[1:] == ["SubscriptionCanceled", "SubscriptionRestored", "SubscriptionRenewed"]


async def test_a_failure_that_is_heard_of_after_the_charge_was_made_changes_nothing(bot: RecordingBot) -> None:
    club = await subscribed(bot)
    await club.feed(club.charge())
    await club.turn("failed")
    await come_to_rest(club)

    assert club.kinds == ["SubscriptionStarted", "SubscriptionRenewed"]
    [known] = await club.pay.list_subscriptions(ALICE)
    assert known.state == SubscriptionState.ACTIVE
