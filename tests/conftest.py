"""A real redis-server for the tests that want one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.redis_server import RedisServer, has_redis


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for all tests that neither stop nor fill it; they erase what they find (``FLUSHALL``)."""
    if not has_redis():
        pytest.skip("there is no redis-server on PATH")
    with RedisServer(settings={"appendonly": "no"}) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisServer) -> str:
    """The address of :func:`redis_server`."""
    return redis_server.url
