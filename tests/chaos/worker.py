"""One process of the bot: it takes updates by webhook or by polling, or only does what is due in the ledger.

Each has a door, an HTTP server on a unix socket: under webhooks Telegram's updates come through it, and in any case the
run asks through it for what is done from cron or a back office.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.fsm.storage.base import BaseEventIsolation, BaseStorage
from aiogram.fsm.storage.memory import SimpleEventIsolation
from aiogram.fsm.storage.redis import RedisStorage
from aiogram.utils.backoff import BackoffConfig
from aiogram.webhook.aiohttp_server import SimpleRequestHandler, setup_application
from aiohttp import web

import aiogram_neonpay.worker
from aiogram_neonpay import NeonPay, SQLiteStorage
from tests.chaos.clock import SharedClock
from tests.chaos.journal import Journal
from tests.chaos.shop import build

__all__ = ["ANSWER_WITHIN", "main", "open_storage"]

ANSWER_WITHIN = 3.0
"""Seconds for which the bot waits for Telegram."""
BACKOFF = BackoffConfig(min_delay=0.1, max_delay=0.5, factor=1.5, jitter=0.1)


def open_storage(where: str) -> BaseStorage:
    """Return the storage that an address names: of Redis, or of a file."""
    return RedisStorage.from_url(where) if "://" in where else SQLiteStorage(where)


def main(spec: dict[str, Any]) -> int:
    """Run one process as it is told, until it is stopped; return its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if spec["look_every"]:
        aiogram_neonpay.worker.LOOK_EVERY = tuple(spec["look_every"])
    asyncio.run(_run(spec))
    return 0


async def _run(spec: dict[str, Any]) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    directory = Path(spec["directory"])
    clock = SharedClock(directory / "clock")
    journal = Journal(directory / f"{spec['name']}.journal", clock)
    storage = open_storage(spec["storage"])
    session = AiohttpSession(api=TelegramAPIServer.from_base(spec["telegram"]), timeout=ANSWER_WITHIN)
    bot = Bot(spec["token"], session=session)
    dispatcher, pay = build(
        storage,
        bot,
        None if spec["real_time"] else clock,
        journal,
        seed=spec["seed"],
        isolation=_isolation(spec["isolation"], storage),
        middlewares=spec["middlewares"],
    )
    journal.watch(pay)
    app = _door(pay)
    if spec["role"] == "webhook":
        SimpleRequestHandler(dispatcher, bot, handle_in_background=spec["in_background"]).register(app, "/hook")
        setup_application(app, dispatcher, bot=bot)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.UnixSite(runner, spec["door"]).start()
    journal.note("ready")
    try:
        if spec["role"] == "polling" and not stopped.is_set():
            await dispatcher.start_polling(bot, polling_timeout=2, backoff_config=BACKOFF)
        elif spec["role"] == "background":
            # It does what is due, and nothing else: no updates come here.
            await pay.setup()
            await stopped.wait()
            await dispatcher.emit_shutdown(bot=bot)
        else:
            await stopped.wait()
    finally:
        await runner.cleanup()
        await bot.session.close()
    journal.note("end")


def _isolation(kind: str, storage: BaseStorage) -> BaseEventIsolation | None:
    if kind == "redis":
        assert isinstance(storage, RedisStorage)
        return storage.create_isolation(lock_kwargs={"timeout": 4})
    return SimpleEventIsolation() if kind == "simple" else None


def _door(pay: NeonPay) -> web.Application:
    app = web.Application()

    async def reconcile(request: web.Request) -> web.Response:
        report = await pay.reconcile()
        counts = {name: getattr(report, name) for name in ("rows", "waiting", "drift", "balance")}
        found = {name: getattr(report, f"{name}_count") for name in ("recovered", "refunded", "differing")}
        return web.json_response({**counts, **found})

    async def run_due(request: web.Request) -> web.Response:
        return web.json_response({"done": await pay.run_due()})

    async def held(request: web.Request) -> web.Response:
        return web.json_response({"held": len(pay._shop.charges.leases._held)})

    app.router.add_post("/reconcile", reconcile)
    app.router.add_post("/run_due", run_due)
    app.router.add_get("/held", held)
    return app
