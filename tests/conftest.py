"""What every test may use: a real redis-server. Tests also run in several processes, which hand their reports over."""

from __future__ import annotations

from collections.abc import Generator, Iterator

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write halves of surrogate pairs as what they are: some tests log them, and reports travel as UTF-8."""
    report = yield
    report.sections = [(_readable(title), _readable(text)) for title, text in report.sections]
    return report


def _readable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
