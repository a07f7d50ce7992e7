"""Twelve months of a club: at every month's end everybody has what they paid for, at the year's end the ledgers agree.

``NEONPAY_PROOF=long`` lives with a thousand people, and with a seed of its own in every run; ``NEONPAY_YEAR=7`` names
one.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiogram.fsm.storage.base import BaseStorage
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.fsm.storage.redis import RedisStorage

from aiogram_neonpay import SQLiteStorage, retries
from tests.proof.profiles import LONG
from tests.proof.year.books import Books
from tests.proof.year.town import Town
from tests.redis_server import RedisServer

pytestmark = pytest.mark.asyncio

PEOPLE = 1000 if LONG else 16


@pytest_asyncio.fixture(params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.redis)])
async def storages(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[BaseStorage]]:
    """The storages of one worker, or of two that share what they know."""
    made: list[BaseStorage]
    if request.param == "memory":
        made = [MemoryStorage()]
    elif request.param == "sqlite":
        made = [SQLiteStorage(tmp_path / "club.db") for _ in range(2)]
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        made = [RedisStorage.from_url(server.url) for _ in range(2)]
        assert isinstance(made[0], RedisStorage)
        await made[0].redis.flushall()
    yield made
    for storage in made:
        await storage.close()


@pytest.mark.slow
async def test_a_year_of_the_club(storages: list[BaseStorage], monkeypatch: pytest.MonkeyPatch) -> None:
    seed = int(os.environ.get("NEONPAY_YEAR") or (random.randrange(10**6) if LONG else 1))
    print(f"NEONPAY_YEAR={seed}")
    monkeypatch.setattr(retries, "random", random.Random(seed))  # the same pauses in every run
    town = Town(PEOPLE, seed, storages)
    books = Books(town)
    await town.year(books.close_month)
    await town.start()
    town.journal.share = 0.0
    await town.settle()
    await books.close_month()
    await books.close_year()
    await town.stop()
