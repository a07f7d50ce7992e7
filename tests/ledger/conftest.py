"""Every test that takes ``ledger`` runs on every engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from aiogram.fsm.storage.memory import MemoryStorage
from redis.asyncio import Redis

from aiogram_neonpay.ledger import LedgerEngine, open_engine
from aiogram_neonpay.ledger.fsm import FSMEngine
from aiogram_neonpay.ledger.redis import RedisEngine
from aiogram_neonpay.sqlite import SQLiteStorage
from tests.ledger.engines import JsonStorage, Ledger


@pytest_asyncio.fixture(
    params=[
        "memory",
        "generic",
        "network",
        "sqlite",
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("redis-text", marks=pytest.mark.redis),
    ]
)
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    """A ledger in memory, by the engine made for it or by the one for any storage; behind a network; a file; Redis.

    Redis comes twice: its clients answer in bytes, or in text with ``decode_responses``.
    """
    kind: str = request.param
    async with AsyncExitStack() as closing:
        if kind.startswith("redis"):
            url: str = request.getfixturevalue("redis_url")

            def connect() -> LedgerEngine:
                client = Redis.from_url(url, decode_responses=kind == "redis-text")
                closing.push_async_callback(client.aclose)
                return RedisEngine(client)

        elif kind == "sqlite":

            def connect() -> LedgerEngine:
                # A storage of its own for each engine, as in a process of its own.
                storage = SQLiteStorage(tmp_path / "ledger.db")
                closing.push_async_callback(storage.close)
                return open_engine(storage)

        else:
            storage = JsonStorage() if kind == "network" else MemoryStorage()

            def connect() -> LedgerEngine:
                return open_engine(storage) if kind == "memory" else FSMEngine(storage)

        yield Ledger(connect, closing)


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of the shared redis-server, which is empty."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
        yield client
