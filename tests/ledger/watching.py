"""Watching what a client really sends to Redis."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostConnection

__all__ = ["Command", "Line", "commands_of"]

_END = "the end of what is watched"


class Command(NamedTuple):
    """One command the server ran.

    :ivar by_script: whether a script ran it.
    """

    name: str
    arguments: list[str]
    by_script: bool

    @property
    def script_keys(self) -> list[str]:
        """Keys that a script was given."""
        assert self.name == "EVALSHA"
        return self.arguments[2 : 2 + int(self.arguments[1])]


async def commands_of(client: Redis, act: Callable[[], Awaitable[object]]) -> list[Command]:
    """Return what the server ran while ``act`` did."""
    found = []
    async with client.monitor() as monitor:
        await act()
        await client.echo(_END)
        while (seen := await monitor.next_command())["command"] != f"ECHO {_END}":
            name, *arguments = seen["command"].split(" ")
            found.append(Command(name.upper(), arguments, seen["client_type"] == "lua"))
    return found


class Line:
    """A client whose traffic is counted, and whose replies can be lost.

    :ivar round_trips: how often the client sent something; a pipeline is sent at once.
    :ivar lose: how many of the next replies do not arrive.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.round_trips = 0
        self.lose = 0
        line = self

        class Watched(Connection):
            async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
                line.round_trips += 1
                await super().send_packed_command(*args, **kwargs)

            async def read_response(self, *args: Any, **kwargs: Any) -> Any:
                reply = await super().read_response(*args, **kwargs)
                if line.lose:
                    line.lose -= 1
                    raise LostConnection("the reply was lost")
                return reply

        retry = Retry(NoBackoff(), 3)
        pool = ConnectionPool.from_url(url, connection_class=Watched, retry=retry, **options)
        self.client = Redis.from_pool(pool)

    async def cost(self, act: Awaitable[object]) -> int:
        """Return how many round trips something makes."""
        before = self.round_trips
        await act
        return self.round_trips - before
