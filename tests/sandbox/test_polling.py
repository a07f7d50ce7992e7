from __future__ import annotations

import asyncio
import time

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramConflictError

from aiogram_neonpay.sandbox import Rules, Sandbox, SandboxServer, rules, updates
from tests.sandbox.conftest import QuickSession, Stand
from tests.sandbox.raw import call


@pytest.mark.asyncio
async def test_an_update_comes_again_until_a_higher_offset_confirms_it(stand: Stand) -> None:
    await stand.alice.send("one")
    await stand.alice.send("two")
    first = await stand.bot.get_updates()
    assert [update.message.text for update in first if update.message] == ["one", "two"]
    assert first[1].update_id == first[0].update_id + 1
    assert [update.update_id for update in await stand.bot.get_updates()] == [u.update_id for u in first]
    rest = await stand.bot.get_updates(offset=first[0].update_id + 1)
    assert [update.update_id for update in rest] == [first[1].update_id]
    assert stand.sandbox.pending_updates() == 1


@pytest.mark.asyncio
async def test_a_long_poll_ends_when_something_happens(stand: Stand) -> None:
    polling = asyncio.ensure_future(stand.bot.get_updates(timeout=30))
    bot = stand.sandbox.world.bots[stand.bot.id]
    assert await stand.sandbox.world.arrivals.until(lambda: bot.poll.active, 5)
    started = time.monotonic()
    await stand.alice.send("hello")
    assert len(await polling) == 1
    assert time.monotonic() - started < 5


@pytest.mark.asyncio
async def test_a_negative_offset_keeps_the_newest_and_forgets_the_rest(stand: Stand) -> None:
    for text in ("one", "two", "three"):
        await stand.alice.send(text)
    kept = await stand.bot.get_updates(offset=-1)
    assert [update.message.text for update in kept if update.message] == ["three"]
    assert stand.sandbox.pending_updates() == 1


@pytest.mark.asyncio
async def test_the_limit_is_clamped(stand: Stand) -> None:
    for number in range(3):
        await stand.alice.send(str(number))
    assert len(await stand.bot.get_updates(limit=-4)) == 1
    assert len(await stand.bot.get_updates(limit=1000)) == 3


@pytest.mark.asyncio
async def test_allowed_updates_last_and_do_not_touch_what_is_queued(stand: Stand) -> None:
    await stand.alice.send("before")
    await stand.bot.get_updates(allowed_updates=["callback_query"], limit=1)
    await stand.alice.send("after")
    queued = await stand.bot.get_updates()
    assert [update.message.text for update in queued if update.message] == ["before"]
    await stand.bot.get_updates(allowed_updates=[])
    await stand.alice.send("again")
    assert len(await stand.bot.get_updates()) == 2


@pytest.mark.asyncio
async def test_a_second_poller_ends_the_first_with_a_conflict(stand: Stand) -> None:
    first = asyncio.ensure_future(stand.bot.get_updates(timeout=30))
    bot = stand.sandbox.world.bots[stand.bot.id]
    assert await stand.sandbox.world.arrivals.until(lambda: bot.poll.active, 5)
    await stand.bot.get_updates()
    with pytest.raises(TelegramConflictError, match="terminated by other getUpdates request; make sure that only"):
        await first


@pytest.mark.asyncio
async def test_a_webhook_ends_polling_and_forbids_it(stand: Stand) -> None:
    first = asyncio.ensure_future(stand.bot.get_updates(timeout=30))
    bot = stand.sandbox.world.bots[stand.bot.id]
    assert await stand.sandbox.world.arrivals.until(lambda: bot.poll.active, 5)
    await stand.bot.set_webhook("http://127.0.0.1:9/hook")
    with pytest.raises(TelegramConflictError, match="terminated by setWebhook request"):
        await first
    with pytest.raises(TelegramConflictError, match="can't use getUpdates method while webhook is active"):
        await stand.bot.get_updates()
    await stand.bot.delete_webhook()
    assert await stand.bot.get_updates() == []


@pytest.mark.asyncio
async def test_messages_are_kept_a_day_and_pre_checkout_queries_150_seconds(stand: Stand) -> None:
    await stand.alice.send("hello")
    await stand.invoice()
    paying = asyncio.ensure_future(stand.alice.pay())
    assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 2, 5)
    stand.sandbox.clock.advance(seconds=149)
    assert stand.sandbox.pending_updates() == 2
    assert (await paying).error == "BOT_PRECHECKOUT_TIMEOUT"
    stand.sandbox.clock.advance(seconds=1)
    assert stand.sandbox.pending_updates() == 1
    stand.sandbox.clock.advance(days=1)
    assert stand.sandbox.pending_updates() == 0


@pytest.mark.asyncio
async def test_what_a_full_queue_has_no_room_for_is_lost(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rules.QUEUE_LENGTH == 100_000
    monkeypatch.setattr(updates, "QUEUE_LENGTH", 3)
    for number in range(5):
        await stand.alice.send(str(number))
    queued = await stand.bot.get_updates()
    assert [update.message.text for update in queued if update.message] == ["0", "1", "2"]
    await stand.bot.get_updates(offset=queued[-1].update_id + 1)
    await stand.alice.send("again")
    (later,) = await stand.bot.get_updates()
    assert later.message and later.message.text == "again" and later.update_id == queued[-1].update_id + 1


@pytest.mark.asyncio
async def test_a_dead_pre_checkout_query_can_still_be_delivered_and_not_be_answered(stand: Stand) -> None:
    await stand.invoice()
    paying = asyncio.ensure_future(stand.alice.pay())
    assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 1, 5)
    stand.sandbox.clock.advance(seconds=140)  # the bot was restarted meanwhile
    assert (await paying).error == "BOT_PRECHECKOUT_TIMEOUT"
    query = (await stand.update("pre_checkout_query")).pre_checkout_query
    assert query is not None
    with pytest.raises(TelegramBadRequest, match="query is too old and response timeout expired"):
        await stand.bot.answer_pre_checkout_query(query.id, ok=True)
    assert stand.alice.balance == 500


@pytest.mark.asyncio
async def test_the_brake_gives_a_hasty_client_one_update_at_a_time() -> None:
    sandbox = Sandbox(rules=Rules(polling_brake=True))
    token = sandbox.create_bot("hasty_bot")
    alice = sandbox.create_user("Alice")
    async with SandboxServer(sandbox) as server, Bot(token, session=QuickSession(api=server.api)) as bot:
        await alice.send("one")
        await alice.send("two")
        assert len(await bot.get_updates()) == 2
        assert len(await bot.get_updates()) == 1


@pytest.mark.asyncio
async def test_forgotten_queues_can_be_dropped(stand: Stand) -> None:
    await stand.alice.send("old")
    await stand.bot.delete_webhook(drop_pending_updates=True)
    assert stand.sandbox.pending_updates() == 0
    _, answer = await call(stand.server.url, stand.token, "deleteWebhook")
    assert answer["description"] == "Webhook is already deleted"
