"""One process of a shop with an admin: its updates come through a door, and it dies where it is told to."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from aiogram import Bot, Dispatcher, Router
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.filters import Command, CommandObject, CommandStart
from aiogram.methods import TelegramMethod
from aiogram.types import Message
from aiohttp import web

import aiogram_neonpay.alerts
import aiogram_neonpay.ledger.confirmations
import aiogram_neonpay.worker
from aiogram_neonpay import (
    Alerts,
    NeonPay,
    PaymentCompleted,
    PaymentRefunded,
    PaymentStage,
    PromoCode,
    PromoError,
    admin_router,
    neonpay_router,
)
from aiogram_neonpay.ledger.base import Write
from aiogram_neonpay.ledger.buyers import Buyers
from aiogram_neonpay.ledger.charges import Charges
from aiogram_neonpay.ledger.redis import RedisEngine
from aiogram_neonpay.ledger.sqlite import SQLiteEngine
from tests.chaos.clock import SharedClock
from tests.chaos.worker import open_storage
from tests.storefront.office import ADMIN

__all__ = ["CONFIRMED_LEASE", "TELLING_LEASE", "main"]

LEASE = 0.5
"""Seconds after which others go on with what a dead process held."""
CONFIRMED_LEASE = 60.0
"""Seconds for which what an admin has confirmed cannot be confirmed again; tests let them pass."""
TELLING_LEASE = 3.0
"""Seconds after which others tell what a dead process was telling: more than a busy machine needs to send a message."""


class Doom:
    """Where the process ends: before or after a write of the ledger or a call of Telegram."""

    def __init__(self) -> None:
        self.order: dict[str, Any] = {}

    def strike(self, point: str, when: str, fields: dict[str, Any]) -> None:
        """End the process without another word, if this is the point."""
        order = self.order
        if (order.get("point"), order.get("when")) != (point, when):
            return
        wanted = order.get("fields", {})
        if all(fields.get(name) == value or (value == "any" and fields.get(name)) for name, value in wanted.items()):
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_writes(self) -> None:
        """Look at every write of the ledger."""
        for engine in (RedisEngine, SQLiteEngine):
            self._watch(engine)

    def _watch(self, engine: Any) -> None:
        write = engine.write

        async def watched(it: Any, change: Write) -> Any:
            self.strike(f"write {change.key.kind}", "before", change.body)
            result = await write(it, change)
            self.strike(f"write {change.key.kind}", "after", change.body)
            return result

        engine.write = watched


class Session(AiohttpSession):
    """Telegram, whose every call may be the last."""

    doom: Doom

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        name = type(method).__name__
        self.doom.strike(name, "before", method.model_dump())
        result = await super().make_request(bot, method, timeout)
        self.doom.strike(name, "after", method.model_dump())
        return result


def main(spec: dict[str, Any]) -> int:
    """Be a process until it is killed or asked to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    aiogram_neonpay.worker.LOOK_EVERY = (0.05, 0.1)
    for keeper in (Charges, Buyers):
        keeper.__init__.__kwdefaults__["lease"] = LEASE  # type: ignore[index]
    aiogram_neonpay.ledger.confirmations.LEASE = CONFIRMED_LEASE
    alerts = aiogram_neonpay.alerts
    alerts.GATHER, alerts.BETWEEN, alerts.LEASE, alerts.FORGOTTEN_AFTER = 0.1, 0.1, TELLING_LEASE, 0.5
    alerts.PAUSES = (0.1, 0.3, 0.5, 1.0, 1.0)
    asyncio.run(_run(spec))
    return 0


def build(spec: dict[str, Any], bot: Bot) -> tuple[Dispatcher, NeonPay]:
    directory = Path(spec["directory"])
    pay = neonpay_router(
        {
            "premium": PaymentStage("Premium", "30 days", 25, access="premium"),
            "sticker": PaymentStage("Sticker", "One sticker", 5),
            "broken": PaymentStage("Broken", "Its delivery fails", 6),
            "orphan": PaymentStage("Orphan", "Nobody delivers this", 7),
        },
        bot=bot,
        clock=SharedClock(directory / "clock"),
        retries=(0.1,),
        alerts=Alerts(ADMIN),
        promos={"LAST": PromoCode(stars=5, total=1), "MINE": PromoCode(percent=50, per_user=1, total=5)},
        reconcile_every=None,
    )

    def note(what: str, event: PaymentCompleted | PaymentRefunded) -> None:
        line = json.dumps([what, event.transaction_id, event.recipient_id, os.getpid()]) + "\n"
        with (directory / "journal").open("a") as file:
            file.write(line)

    @pay.completed("premium", "sticker")
    async def deliver(event: PaymentCompleted) -> None:
        note("delivered", event)

    @pay.completed("broken")
    async def fail(event: PaymentCompleted) -> None:
        note("broken", event)
        if not (directory / "mended").exists():
            raise ZeroDivisionError("no stickers left")

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        note("taken back", event)

    router = Router()

    @router.message(Command("buy"))
    async def buy(message: Message, command: CommandObject, neonpay: NeonPay) -> None:
        stage_id, *promo = (command.args or "").split()
        try:
            await neonpay.answer_payment(message, stage_id, promo=promo[0] if promo else None)
        except PromoError as error:
            await message.answer(f"no: {error.reason}")

    @router.message(Command("gift"))
    async def gift(message: Message, neonpay: NeonPay) -> None:
        await neonpay.answer_payment(message, "premium", gift=True)

    @router.message(CommandStart())
    async def start(message: Message) -> None:
        await message.answer("Welcome")

    dispatcher = Dispatcher(storage=open_storage(spec["storage"]))
    dispatcher.include_routers(pay, admin_router([ADMIN]), router)
    return dispatcher, pay


async def _run(spec: dict[str, Any]) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    doom = Doom()
    doom.watch_writes()
    session = Session(api=TelegramAPIServer.from_base(spec["telegram"]), timeout=10.0)
    session.doom = doom
    bot = Bot(spec["token"], session=session)
    dispatcher, pay = build(spec, bot)
    app = web.Application()

    async def take(request: web.Request) -> web.Response:
        await dispatcher.feed_raw_update(bot, await request.json())
        return web.json_response({})

    async def die(request: web.Request) -> web.Response:
        doom.order = await request.json()
        return web.json_response({})

    async def reconcile(request: web.Request) -> web.Response:
        report = await pay.reconcile()
        return web.json_response({"recovered": report.recovered_count, "rows": report.rows})

    app.router.add_post("/update", take)
    app.router.add_post("/die", die)
    app.router.add_post("/reconcile", reconcile)
    await dispatcher.emit_startup(bot=bot)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.UnixSite(runner, spec["door"]).start()
    await stopped.wait()
    await dispatcher.emit_shutdown(bot=bot)
    await runner.cleanup()
    await bot.session.close()
