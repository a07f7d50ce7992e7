"""What a bot gets again after it was killed, was slow, or was one of several."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from aiogram import Bot
from aiohttp import web
from aiohttp.test_utils import TestServer

from aiogram_neonpay.sandbox import Clock, Rules, Sandbox, SandboxServer
from aiogram_neonpay.sandbox.signals import Signal
from tests.sandbox.conftest import START, QuickSession, Stand
from tests.sandbox.raw import call
from tests.sandbox.test_webhooks import turn

#: A poller in another process; it prints each batch of update ids, and confirms nothing unless it is told to.
POLLER = """
import json, sys, urllib.request
url, confirms, offset = sys.argv[1], sys.argv[2] == "yes", 0
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
while True:
    batch = json.load(opener.open(f"{url}/getUpdates?timeout=50&offset={offset}"))["result"]
    print(json.dumps([update["update_id"] for update in batch]), flush=True)
    if batch and confirms:
        offset = batch[-1]["update_id"] + 1
    elif batch:
        sys.stdin.read()
"""


@contextmanager
def poller(stand: Stand, *, confirms: bool = False) -> Iterator[subprocess.Popen[str]]:
    arguments = [f"{stand.server.url}/bot{stand.token}", "yes" if confirms else "no"]
    with subprocess.Popen(
        [sys.executable, "-c", POLLER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


async def batch_of(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    batch: list[int] = json.loads(await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 20))
    return batch


@pytest.mark.asyncio
async def test_a_bot_killed_in_a_long_poll_gets_what_it_has_not_confirmed(stand: Stand) -> None:
    world = stand.sandbox.world
    bot = world.bots[stand.bot.id]
    with poller(stand) as first:
        assert await world.arrivals.until(lambda: bot.poll.active, 20)
        first.kill()
        first.wait()
        assert await world.arrivals.until(lambda: not bot.poll.active, 20)
    await stand.alice.send("while it was down")
    with poller(stand) as second:
        got = await batch_of(second)
        assert len(got) == 1
        second.kill()  # without having confirmed it
        second.wait()
    await stand.alice.send("once more")
    with poller(stand, confirms=True) as third:
        assert await batch_of(third) == [got[0], got[0] + 1]
        assert await world.arrivals.until(lambda: bot.poll.active and not len(bot.queue), 20)
    assert [call for call in stand.sandbox.calls if call.error] == []  # nobody was in anybody's way


@pytest.mark.asyncio
async def test_what_waits_is_counted_until_it_is_confirmed(stand: Stand) -> None:
    async def pending() -> int:
        return (await stand.bot.get_webhook_info()).pending_update_count

    assert await pending() == 0
    for number in range(5):
        await stand.alice.send(str(number))
    assert await pending() == 5
    batch = await stand.bot.get_updates(limit=3)
    assert await pending() == 5  # handed out, not confirmed
    rest = await stand.bot.get_updates(offset=batch[-1].update_id + 1)
    assert await pending() == 2
    await stand.bot.get_updates(offset=rest[-1].update_id + 1)
    assert await pending() == 0
    await stand.alice.send("kept for a day")
    stand.sandbox.clock.advance(seconds=86_399)
    assert await pending() == 1
    stand.sandbox.clock.advance(seconds=1)
    assert await pending() == 0


@pytest.mark.asyncio
async def test_a_webhooks_updates_are_counted_until_it_accepts_them(stand: Stand) -> None:
    async with workers(1) as (url, hook):
        hook.held.clear()
        await stand.bot.set_webhook(url)
        await stand.alice.send("one")
        await stand.alice.send("two")
        assert await hook.got(1)
        assert (await stand.bot.get_webhook_info()).pending_update_count == 2
        hook.held.set()
        assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 0, 5)
        assert (await stand.bot.get_webhook_info()).pending_update_count == 0


class Workers:
    """Several web servers that share one set of notes."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.news = Signal()
        self.held = asyncio.Event()
        self.held.set()
        self.refusing: set[str] = set()

    async def handle(self, number: int, request: web.Request) -> web.Response:
        update = await request.json()
        self.seen.append((number, update["update_id"]))
        self.news.notify()
        await self.held.wait()
        return web.Response(status=500 if update["message"]["text"] in self.refusing else 200)

    async def got(self, count: int) -> bool:
        return await self.news.until(lambda: len(self.seen) >= count, 5)


@asynccontextmanager
async def workers(count: int) -> AsyncIterator[tuple[str, Workers]]:
    """Serve one URL that hands its requests to workers in turn, as a load balancer does."""
    shared, turn = Workers(), iter(range(1_000_000))

    async def balance(request: web.Request) -> web.Response:
        return await shared.handle(next(turn) % count, request)

    app = web.Application()
    app.router.add_post("/hook", balance)
    async with TestServer(app) as server:
        yield str(server.make_url("/hook")), shared


@pytest.mark.asyncio
async def test_a_webhook_may_have_several_workers_and_each_update_goes_to_one(stand: Stand) -> None:
    people = [stand.sandbox.create_user(f"Person {number}") for number in range(30)]
    async with workers(3) as (url, hook):
        await stand.bot.set_webhook(url, max_connections=8)
        for person in people:
            for word in ("one", "two"):
                await person.send(word)
        assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 0, 10)
    assert set(Counter(update_id for _, update_id in hook.seen).values()) == {1}
    assert {number for number, _ in hook.seen} == {0, 1, 2} and len(hook.seen) == 60


@pytest.mark.asyncio
async def test_a_webhook_in_a_pause_leaves_its_connection_to_others(stand: Stand) -> None:
    async with workers(1) as (url, hook):
        hook.refusing.add("bad")
        await stand.bot.set_webhook(url, max_connections=1)
        await stand.alice.send("bad")
        assert await hook.got(2)  # refused twice, now it pauses for 2 seconds
        await stand.bob.send("good")
        assert await hook.got(3)
        assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 1, 5)
        hook.refusing.clear()
        stand.sandbox.clock.advance(seconds=2)
        assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 0, 5)
    assert len(hook.seen) == 4


@pytest.mark.asyncio
async def test_a_webhook_that_hangs_is_tried_again_with_growing_pauses() -> None:
    sandbox = Sandbox(seed=0, clock=Clock(START, running=False), rules=Rules(polling_brake=False, webhook_timeout=0.3))
    token = sandbox.create_bot("a_bot")
    alice = sandbox.create_user("Alice")
    async with (
        SandboxServer(sandbox) as server,
        Bot(token, session=QuickSession(api=server.api)) as bot,
        workers(1) as (url, hook),
    ):
        hook.held.clear()
        await bot.set_webhook(url)
        await alice.send("hello")
        assert await hook.got(2)  # at once after the first failure
        for attempt, pause in ((3, 2), (4, 4)):
            while not sandbox.clock.waiting:
                await turn()
            sandbox.clock.advance(seconds=pause - 1)
            await turn()
            assert len(hook.seen) == attempt - 1
            sandbox.clock.advance(seconds=1)
            assert await hook.got(attempt)
        assert (await bot.get_webhook_info()).last_error_message == "Read timeout expired"
        hook.held.set()
        while not sandbox.clock.waiting and sandbox.pending_updates():
            await turn()
        sandbox.clock.advance(seconds=8)
        assert await sandbox.world.arrivals.until(lambda: sandbox.pending_updates() == 0, 5)
    assert len({update_id for _, update_id in hook.seen}) == 1


@pytest.mark.asyncio
async def test_a_webhook_gets_repeats_and_never_what_was_dropped(stand: Stand) -> None:
    stand.sandbox.faults.add_update("message", drop=True, times=1)
    stand.sandbox.faults.add_update("message", repeat=1, times=1)
    async with workers(2) as (url, hook):
        await stand.bot.set_webhook(url)
        await stand.alice.send("lost")
        await stand.alice.send("heard")
        assert await hook.got(2)
        assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 0, 5)
    assert len(hook.seen) == 2 and len({update_id for _, update_id in hook.seen}) == 1


@pytest.mark.asyncio
async def test_a_fault_of_the_method_in_a_webhooks_reply_does_not_stop_the_queue(stand: Stand) -> None:
    rule = stand.sandbox.faults.add("sendMessage", drop=True)

    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"method": "sendMessage", "chat_id": stand.alice.id, "text": "x"})

    app = web.Application()
    app.router.add_post("/hook", handle)
    async with TestServer(app) as server:
        await stand.bot.set_webhook(str(server.make_url("/hook")))
        await stand.alice.send("hello")
        assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 0, 5)
    assert rule.struck == 1


@pytest.mark.asyncio
async def test_a_long_queue_is_taken_apart_by_polling_and_by_webhooks(stand: Stand) -> None:
    count = 20_000
    bot = stand.sandbox.world.bots[stand.bot.id]
    for number in range(count):
        lane = f"chat:{number % 500}"
        bot.queue.put("message", {"text": str(number)}, expires=START + 3600, lane=lane)
    offset = 0
    for _ in range(count // 200):  # half of them by polling
        _, answer = await call(stand.server.url, stand.token, "getUpdates", offset=offset)
        offset = answer["result"][-1]["update_id"] + 1
    await call(stand.server.url, stand.token, "getUpdates", offset=offset, limit=1)
    for _ in range(count // 2):  # and half as a webhook would take them
        (head,) = bot.queue.heads(set(), 1)
        bot.queue.confirm(head)
    assert len(bot.queue) == 0
