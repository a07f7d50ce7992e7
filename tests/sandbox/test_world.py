from __future__ import annotations

import asyncio

import pytest

from aiogram_neonpay.sandbox import Clock, Sandbox, SandboxError
from tests.sandbox.conftest import START


def test_a_stopped_clock_moves_only_by_hand_and_fires_timers_at_their_own_moment() -> None:
    clock = Clock(START, running=False)
    seen: list[float] = []
    clock.call_at(START + 20, lambda: seen.append(clock.now()))
    clock.call_at(START + 10, lambda: seen.append(clock.now()))
    clock.call_at(START + 15, lambda: seen.append(-1)).cancel()
    clock.advance(seconds=9)
    assert seen == []
    clock.advance(days=1)
    assert seen == [START + 10, START + 20]
    assert clock.date() == START + 9 + 86400
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(seconds=-1)


@pytest.mark.asyncio
async def test_a_clock_that_is_stopped_holds_its_timers_until_it_runs_again() -> None:
    clock = Clock(START)
    fired = asyncio.Event()
    clock.call_at(clock.now() + 0.01, fired.set)
    clock.pause()
    stood = clock.now()
    await asyncio.sleep(0.03)
    assert (clock.now(), clock.running, fired.is_set()) == (stood, False, False)
    clock.resume()
    await asyncio.wait_for(fired.wait(), 20)
    assert stood + 0.01 <= clock.now() < stood + 5


@pytest.mark.asyncio
async def test_a_running_clock_fires_by_itself_and_can_be_hurried() -> None:
    clock = Clock()
    await asyncio.wait_for(clock.sleep(0.01), 20)
    sleeping = asyncio.ensure_future(clock.sleep(3600))
    await asyncio.sleep(0)
    clock.advance(hours=1)
    await asyncio.wait_for(sleeping, 20)


def test_a_seed_repeats_ids_and_its_absence_does_not() -> None:
    first, same, fresh, other = (Sandbox(seed=seed).world.ids for seed in (7, 7, None, None))
    assert first.charge_id() == same.charge_id()
    assert fresh.charge_id() != other.charge_id()


def test_tokens_stay_the_same_between_runs_and_differ_between_bots() -> None:
    one, two = Sandbox(), Sandbox()
    assert one.create_bot("a_bot") == two.create_bot("a_bot")
    assert one.create_bot("b_bot") != two.create_bot("c_bot")
    with pytest.raises(SandboxError, match="already"):
        one.create_bot("@A_BOT")


@pytest.mark.asyncio
async def test_with_several_bots_one_has_to_be_named() -> None:
    sandbox = Sandbox()
    first, second = sandbox.create_bot("a_bot"), sandbox.create_bot("b_bot")
    alice = sandbox.create_user("Alice")
    with pytest.raises(SandboxError, match="2 bots"):
        await alice.send("hi")
    await alice.send("hi", bot="b_bot")
    assert (sandbox.pending_updates(first), sandbox.pending_updates(second)) == (0, 1)
    assert [len(alice.messages(bot=bot)) for bot in ("@a_bot", second)] == [0, 1]
