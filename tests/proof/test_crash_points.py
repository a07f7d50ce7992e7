"""A payment that is struck at any wait between Telegram's update and the settled record comes to its end all the same.

For each story of a payment, on each storage, the way is gone again and again: first the blow falls at the first point,
then at the second, until the way is gone untouched. Then the same process goes on, or another one starts, and nothing
may be missing, and nothing may be done again that was settled.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aiogram_neonpay.outages import Outages
from tests.proof.places import InFile, InMemory, InRedis, Place, Steps
from tests.proof.points import EXITED, Blow, Points
from tests.proof.processes import Mother, Order
from tests.proof.profiles import LONG
from tests.proof.world import STORIES, Journal, Process, Story, World

_bots = itertools.count(8_500_000)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written is written again at once, not in seconds."""

    async def pause(self: Outages, seconds: float) -> bool:
        await asyncio.sleep(0)
        return False

    monkeypatch.setattr(Outages, "_pause", pause)


@pytest_asyncio.fixture
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    made: Place
    if request.param == "redis":
        made = InRedis(request.getfixturevalue("redis_url"))
    elif request.param == "sqlite":
        made = InFile(tmp_path / "bot.db")
    else:
        made = InMemory() if request.param == "memory" else Steps()
    yield made
    await made.close()


async def strike(
    place: Place, path: Path, story: Story, blow: Blow, at: int, *, restarts: bool, impatient: bool
) -> Points:
    """Go the way of a payment, let the blow fall at a point, and hold what becomes of it against what was promised."""
    await place.forget()
    points = Points(blow, at)
    world = World(place, Journal(path / f"{next(_bots)}.log"), next(_bots), is_gift=story.is_gift)
    first = Process(world, story, points, await place.open(points))
    last = first
    try:
        await first.live(story)
        if restarts:
            first.die()
            last = Process(world, story, Points(), await place.open(Points()))
        struck, points.at = points.struck, None
        await last.recover(story, impatient=impatient)
        await world.check(story)
    except AssertionError as error:
        raise AssertionError(f"struck at point {at}, {points.struck or struck}: {blow.value}") from error
    finally:
        first.die()
        last.die()
    points.struck = struck
    return points


def cases() -> Iterator[Any]:
    """Every story and every blow on every storage; by default another process goes on only where it costs little.

    That one goes on is what the processes below do for the others. So it is with a gift, whose way is twice as long.
    """
    for place, story in itertools.product(("memory", "steps", "sqlite", "redis"), STORIES.values()):
        costs_little = LONG or place == "steps"
        for restarts in (False, True) if costs_little else (False,):
            marks = [pytest.mark.redis] if place == "redis" else []
            name = f"{place}-{'another' if restarts else 'the same'} process goes on-{story.name}"
            if costs_little or not story.is_gift:
                yield pytest.param(place, restarts, story, id=name, marks=marks)


@pytest.mark.asyncio
@pytest.mark.parametrize("blow", [blow for blow in Blow if blow is not Blow.EXIT], ids=lambda blow: blow.name.lower())
@pytest.mark.parametrize(("place", "restarts", "story"), list(cases()), indirect=["place"])
async def test_a_payment_that_is_struck_at_any_point_comes_to_its_end(
    place: Place, restarts: bool, tmp_path: Path, story: Story, blow: Blow
) -> None:
    for at in itertools.count(1):
        points = await strike(place, tmp_path, story, blow, at, restarts=restarts, impatient=at % 2 == 0)
        if points.struck is None:
            break
    assert at > 3


@pytest.fixture(scope="module")
def mother() -> Iterator[Mother]:
    with Mother() as running:
        yield running


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("place", ["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def test_a_payment_whose_process_ends_at_any_point_is_brought_to_its_end_by_another(
    mother: Mother, place: str, story: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = str(tmp_path / "bot.db") if place == "sqlite" else request.getfixturevalue("redis_url")
    for at in itertools.count(1):
        bot = next(_bots)
        life = Order(story, place, where, str(tmp_path / f"{bot}.log"), bot, at)
        status, trouble = mother.run(life)
        assert status in (0, EXITED), trouble
        ended, trouble = mother.run(life._replace(at=None, impatient=at % 2 == 0))
        assert ended == 0, f"the first process ended at point {at}: {trouble}"
        if status == 0:
            break
    assert at > 3
