"""The doctor names what silently kills sales, with its fix, and nothing where all is well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiogram import Bot, Dispatcher
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.fsm.storage.base import BaseStorage
from aiogram.fsm.storage.memory import MemoryStorage, SimpleEventIsolation
from aiogram.fsm.storage.redis import RedisStorage

from aiogram_neonpay import Diagnosis, MediaSold, NeonPay, PaymentStage, SQLiteStorage, neonpay_router
from aiogram_neonpay import doctor as doctors
from aiogram_neonpay.sandbox import Sandbox, SandboxServer
from tests.redis_server import RedisServer, has_redis

pytestmark = pytest.mark.asyncio

STAGES = {"premium": PaymentStage("Premium", "30 days of premium", 25)}


class Practice:
    """A sandbox on a socket, a bot in it, and shops of that bot."""

    def __init__(self, sandbox: Sandbox, bot: Bot, file: Path) -> None:
        self.sandbox, self.bot = sandbox, bot
        self.storage: BaseStorage = SQLiteStorage(file)

    def shop(self, storage: BaseStorage | None = None, **options: Any) -> tuple[NeonPay, Dispatcher]:
        pay = neonpay_router(options.pop("stages", STAGES), bot=self.bot, **options)
        dispatcher = Dispatcher(storage=self.storage if storage is None else storage)
        dispatcher.include_router(pay)
        return pay, dispatcher


@pytest_asyncio.fixture
async def practice(tmp_path: Path) -> AsyncIterator[Practice]:
    sandbox = Sandbox(seed=0)
    token = sandbox.create_bot("neon_demo_bot")
    async with SandboxServer(sandbox, port=0) as server:
        bot = Bot(token, session=AiohttpSession(api=server.api))
        practice = Practice(sandbox, bot, tmp_path / "bot.db")
        yield practice
        await practice.storage.close()
        await bot.session.close()


def codes(diagnosis: Diagnosis) -> list[str]:
    return [symptom.code for symptom in diagnosis]


async def test_a_bot_with_nothing_wrong_is_told_so(practice: Practice) -> None:
    pay, _ = practice.shop()

    diagnosis = await pay.doctor(practice.bot)

    assert codes(diagnosis) == [] and diagnosis.is_healthy
    assert str(diagnosis) == f"bot {practice.bot.id}: nothing was found that would cost sales or payments"


async def test_a_storage_that_forgets_is_named_with_the_line_to_change(practice: Practice) -> None:
    pay, _ = practice.shop(MemoryStorage())

    diagnosis = await pay.doctor(practice.bot)

    assert codes(diagnosis) == ["storage_forgets"] and not diagnosis.is_healthy
    assert 'Fix: Dispatcher(storage=SQLiteStorage("bot.db"))' in str(diagnosis)


@pytest.mark.parametrize(
    ("asked", "lost"),
    [(["message"], "pre_checkout_query"), (["callback_query", "pre_checkout_query"], "message")],
)
async def test_updates_that_are_not_asked_for_are_named(practice: Practice, asked: list[str], lost: str) -> None:
    pay, _ = practice.shop()
    await practice.bot.get_updates(allowed_updates=asked, timeout=0)

    [symptom] = await pay.doctor(practice.bot)

    assert symptom.code == "updates_not_asked_for" and lost in symptom.problem
    assert "resolve_used_update_types" in symptom.fix


async def test_updates_of_sold_media_matter_where_something_is_to_hear_them(practice: Practice) -> None:
    await practice.bot.get_updates(allowed_updates=["message", "pre_checkout_query"], timeout=0)
    pay, _ = practice.shop()
    assert codes(await pay.doctor(practice.bot)) == []

    @pay.media_sold
    async def sold(event: MediaSold) -> None: ...

    assert "purchased_paid_media" in next(iter(await pay.doctor(practice.bot))).problem


async def test_updates_of_subscriptions_matter_where_some_are_sold(practice: Practice) -> None:
    club = {"club": PaymentStage("Club", "A club", 100, subscription=True)}
    await practice.bot.get_updates(allowed_updates=["message", "pre_checkout_query"], timeout=0)

    selling, _ = practice.shop(stages=club)
    plain, _ = practice.shop()

    assert "subscription" in next(iter(await selling.doctor(practice.bot))).problem
    assert codes(await plain.doctor(practice.bot)) == []


async def test_a_webhook_that_is_set_while_the_bot_polls_is_named(practice: Practice) -> None:
    pay, dispatcher = practice.shop()
    await practice.bot.set_webhook("https://elsewhere.example/hook")
    await dispatcher.emit_startup(bot=practice.bot, bots=(practice.bot,), dispatcher=dispatcher)

    [symptom] = await pay.doctor(practice.bot)
    await dispatcher.emit_shutdown()

    assert symptom.code == "webhook_elsewhere" and "elsewhere.example" in symptom.problem


async def test_a_webhook_that_nobody_set_is_named(practice: Practice) -> None:
    pay, dispatcher = practice.shop()
    await dispatcher.emit_startup(app=object(), dispatcher=dispatcher)

    [symptom] = await pay.doctor(practice.bot)
    await dispatcher.emit_shutdown()

    assert symptom.code == "no_webhook" and "set_webhook" in symptom.fix


async def test_a_clock_that_is_off_is_named_with_how_much(practice: Practice) -> None:
    for seconds, side in ((-90, "behind"), (3600, "ahead of")):
        pay, _ = practice.shop(clock=_shifted(seconds))

        [symptom] = await pay.doctor(practice.bot)

        assert symptom.code == "clock_is_off" and side in symptom.problem
        assert any(str(abs(seconds) + more) in symptom.problem for more in (-1, 0, 1))


def _shifted(seconds: float) -> Callable[[], float]:
    import time

    return lambda: time.time() + seconds


async def test_a_secret_that_changed_is_named_until_the_old_one_is_given(practice: Practice) -> None:
    old, new = "the first secret of it", "the second secret of it"

    first, _ = practice.shop(secret=old)
    assert codes(await first.doctor(practice.bot)) == []
    second, _ = practice.shop(secret=new)
    diagnosis = await second.doctor(practice.bot)
    assert codes(diagnosis) == ["secret_changed"] and "previous_secrets" in str(diagnosis)
    third, _ = practice.shop(secret=new, previous_secrets=[old])
    assert codes(await third.doctor(practice.bot)) == []


async def test_no_secret_is_in_what_is_kept_or_said(practice: Practice, tmp_path: Path) -> None:
    pay, _ = practice.shop(secret="a secret that nobody sees")
    await pay.doctor(practice.bot)
    other, _ = practice.shop(secret="another that nobody sees")
    said = str(await other.doctor(practice.bot))
    await practice.storage.close()

    kept = await asyncio.to_thread((tmp_path / "bot.db").read_bytes)
    for secret in ("nobody sees", practice.bot.token):
        assert secret not in said and secret.encode() not in kept


async def test_a_telegram_that_does_not_answer_is_a_finding_itself(practice: Practice) -> None:
    pay, _ = practice.shop()
    practice.sandbox.faults.add("getWebhookInfo", error=502)
    practice.sandbox.faults.add("getMyStarBalance", error=502)

    diagnosis = await pay.doctor(practice.bot)

    assert codes(diagnosis) == ["telegram_fails"] and practice.bot.token not in str(diagnosis)


async def test_a_storage_that_does_not_answer_is_a_finding_itself(practice: Practice) -> None:
    pay, _ = practice.shop(RedisStorage.from_url("redis://127.0.0.1:1/0"))

    assert codes(await pay.doctor(practice.bot)) == ["storage_fails"]


@pytest.mark.skipif(not has_redis(), reason="there is no redis-server on PATH")
@pytest.mark.redis
async def test_a_redis_that_loses_payments_is_named(practice: Practice) -> None:
    settings = {"appendonly": "no", "save": "", "maxmemory-policy": "allkeys-lru", "maxmemory": "100mb"}
    with RedisServer(settings=settings) as server:
        storage = RedisStorage.from_url(server.url)
        pay, _ = practice.shop(storage)
        assert codes(await pay.doctor(practice.bot)) == ["redis_evicts", "redis_forgets"]

        for name, value in (("appendonly", "yes"), ("appendfsync", "everysec"), ("maxmemory-policy", "noeviction")):
            await storage.redis.config_set(name, value)
        diagnosis = await pay.doctor(practice.bot)
        assert codes(diagnosis) == ["redis_may_lose_a_second"] and diagnosis.is_healthy

        await storage.redis.config_set("appendfsync", "always")
        assert codes(await pay.doctor(practice.bot)) == []
        await storage.close()


@pytest.mark.skipif(not has_redis(), reason="there is no redis-server on PATH")
@pytest.mark.redis
async def test_isolation_of_one_process_before_a_storage_of_several_is_named(practice: Practice) -> None:
    with RedisServer(settings={"appendonly": "yes", "appendfsync": "always"}) as server:
        storage = RedisStorage.from_url(server.url)
        pay = neonpay_router(STAGES, bot=practice.bot)
        dispatcher = Dispatcher(storage=storage, events_isolation=SimpleEventIsolation())
        dispatcher.include_router(pay)

        assert codes(await pay.doctor(practice.bot)) == ["isolation_of_one_process"]
        await storage.close()


async def test_it_looks_by_itself_after_the_start_and_logs_what_it_finds(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(doctors, "SOON", (0.0, 0.0))
    _, dispatcher = practice.shop()
    await practice.bot.get_updates(allowed_updates=["message"], timeout=0)
    with caplog.at_level(logging.WARNING, "aiogram_neonpay"):
        await dispatcher.emit_startup(bot=practice.bot, dispatcher=dispatcher)
        for _ in range(200):
            if "updates_not_asked_for" in caplog.text:
                break
            await asyncio.sleep(0.02)
        await dispatcher.emit_shutdown()

    assert f"bot {practice.bot.id}: updates_not_asked_for" in caplog.text
