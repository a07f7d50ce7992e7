"""The hard part of a run: people buy while everything goes wrong, as the schedule says."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tests.chaos.balancer import knock
from tests.chaos.crew import Life
from tests.chaos.scene import LEASE_AND_MORE, Scene
from tests.chaos.weather import Accident, accidents, describe_faults, order_faults

__all__ = ["storm"]

LOST_ANSWERS = 0.03
"""How often the balancer loses what a worker answered."""
JUMPS = {"a minute passes": LEASE_AND_MORE, "two minutes pass": 125.0, "an hour passes": 3600.0, "a day passes": 86_400}
LONGEST_ACCIDENT = 90.0


async def storm(scene: Scene) -> None:
    """Let people buy for as long as the run lasts, and then end everything that goes wrong."""
    options, loop = scene.options, asyncio.get_running_loop()
    schedule = accidents(
        options.seed, options.seconds, mode=options.mode, real_time=options.real_time, storage=options.storage
    )
    order_faults(scene.sandbox, options.mode)
    scene.balancer.loses = LOST_ANSWERS
    begin = loop.time()
    lives = [asyncio.ensure_future(buyer.live()) for buyer in scene.buyers]
    try:
        for accident in schedule:
            await asyncio.sleep(max(0.0, begin + accident.at - loop.time()))
            scene.spawn(_happen(scene, accident))
        await asyncio.sleep(max(0.0, begin + options.seconds - loop.time()))
    finally:
        for task in lives:
            task.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
    scene.counts.update({f"faults: {kind}": count for kind, count in describe_faults(scene.sandbox).items()})
    scene.sandbox.faults.clear()
    scene.balancer.loses = 0.0
    if scene.tasks:
        _, late = await asyncio.wait(scene.tasks, timeout=LONGEST_ACCIDENT)
        scene.failures += [f"an accident did not end: {task}" for task in late]


async def _happen(scene: Scene, accident: Accident) -> None:
    kind, luck = accident.kind, accident.luck
    scene.counts[f"accident: {kind}"] += 1
    scene.story.note(kind, luck=luck)
    crew = scene.crew
    if kind in JUMPS:
        await scene.jump(JUMPS[kind] * (1 + luck / 10), calm=luck < 0.7)
    elif kind == "kill all processes":
        for life in crew.living():
            crew.kill(life)
    elif kind == "kill the storage":
        await scene.store.kill(luck * 1.5)
    elif kind == "stall the storage":
        await scene.store.stall(luck)
    elif kind == "an outage of Telegram":
        await _outage(scene, 0.3 + luck)
    elif kind == "reconcile":
        await scene.reconcile()
    elif kind == "reconcile twice at once":
        await asyncio.gather(scene.reconcile(), scene.reconcile())
    elif kind == "a second poller":
        await _second_poller(scene, luck)
    elif victim := await _victim(scene, luck):
        await _befall(scene, kind, luck, victim)


async def _befall(scene: Scene, kind: str, luck: float, victim: Life) -> None:
    """Let something happen to one process."""
    if kind == "kill a process":
        scene.crew.kill(victim)
    elif kind == "stop a process gracefully":
        scene.crew.ask(victim)
    elif kind == "replace a process":
        await _replace(scene, victim)
    elif kind == "stall a process past its leases":
        await _stall(scene, victim, luck)
    elif kind == "run what is due":
        await knock(victim.door, "POST", "/run_due")


async def _victim(scene: Scene, luck: float) -> Life | None:
    """Choose a process, by preference one that holds a charge: in the middle of a delivery it hurts most."""
    for _ in range(10):
        living = [life for life in scene.crew.living() if life.killed is None and not life.stalled]
        holding = [life for life in living if luck < 0.7 and await scene.crew.held(life)]
        if holding or luck >= 0.7:
            living = holding or living
            break
        await asyncio.sleep(0.05)
    return living[int(luck * 1000) % len(living)] if living else None


async def _replace(scene: Scene, old: Life) -> None:
    """Start the successor before the old one is asked to go, as a deployment does; two pollers would be a conflict."""
    place = next((place for place in scene.crew.places if place.life is old), None)
    if place is None or not place.wanted or place.role == "polling":
        return
    place.wanted = False
    scene.crew.add(place.role)
    await asyncio.sleep(0.3)
    scene.crew.ask(old)


async def _stall(scene: Scene, life: Life, luck: float) -> None:
    scene.crew.stall(life)
    try:
        await asyncio.sleep(0.1 + luck / 2)
        if not scene.options.real_time:
            await scene.jump(LEASE_AND_MORE, calm=False)
            await asyncio.sleep(0.5 + luck)  # time for somebody to take its charges over
        elif luck < 0.3:
            await asyncio.sleep(LEASE_AND_MORE + 15)
    finally:
        scene.crew.resume(life)


async def _second_poller(scene: Scene, luck: float) -> None:
    place = scene.crew.add("polling")
    place.wanted = False  # when it ends, it ends
    await asyncio.sleep(1.0 + 2 * luck)
    if place.life is not None and place.life.died is None:
        (scene.crew.kill if luck < 0.5 else scene.crew.ask)(place.life)


async def _outage(scene: Scene, seconds: float) -> None:
    rule = scene.sandbox.faults.add("*", error=503)
    await asyncio.sleep(seconds)
    with suppress(ValueError):  # the run is over, and so are all faults
        scene.sandbox.faults.remove(rule)
        scene.counts["faults: calls 503 before"] += rule.struck
