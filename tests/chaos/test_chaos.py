"""Short runs of what ``make chaos`` does at length; see docs/reliability.md."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.chaos.harness import Result, run
from tests.chaos.nursery import Nursery
from tests.chaos.scene import MODES, STORAGES, Mode, Options, Storage
from tests.redis_server import has_redis

SEED = 1
SECONDS = 4.0

needs_redis = pytest.mark.skipif(not has_redis(), reason="there is no redis-server on PATH")

Kind = tuple[Storage, Mode]


@pytest.fixture(scope="module")
def results() -> dict[Kind, Result | BaseException]:
    """All runs at once: most of the time they wait."""
    kinds = [(storage, mode) for storage in STORAGES for mode in MODES if storage != "redis" or has_redis()]

    async def run_all() -> list[Result | BaseException]:
        nursery = Nursery()
        try:
            runs = [run(Options(SEED, SECONDS, storage, mode), nursery) for storage, mode in kinds]
            return await asyncio.gather(*runs, return_exceptions=True)
        finally:
            nursery.close()

    return dict(zip(kinds, asyncio.run(run_all()), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("storage", [pytest.param("redis", marks=[pytest.mark.redis, needs_redis]), "sqlite"])
def test_both_ledgers_agree_after_a_storm(
    storage: Storage, mode: Mode, results: dict[Kind, Result | BaseException]
) -> None:
    result = results[storage, mode]
    if isinstance(result, BaseException):
        raise result
    assert not result.problems, str(result)


@pytest.mark.slow
def test_the_storms_were_worth_surviving(results: dict[Kind, Result | BaseException]) -> None:
    # Together: on a slow machine one short run may be over before anything is killed in it.
    counts = sum((result.counts for result in results.values() if isinstance(result, Result)), Counter[str]())
    assert counts["sales"] > 5
    assert counts["processes killed"] > 0
