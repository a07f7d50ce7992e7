"""An examination of one bot: each thing that silently kills sales is looked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.fsm.storage.memory import SimpleEventIsolation
from aiogram.types import WebhookInfo

from aiogram_neonpay.diagnosis import Diagnosis, Symptom
from aiogram_neonpay.feed import Feed
from aiogram_neonpay.hooks import PassingIsolation
from aiogram_neonpay.ledger.redis_health import redis_symptoms
from aiogram_neonpay.redaction import redacted
from aiogram_neonpay.shop import Shop

__all__ = ["Examination"]

CLOCK_TOLERANCE = 30.0
"""Seconds by which this machine's clock may differ: checkouts live for ten, invoices expire to the second."""
PILE = 1000
"""Updates waiting at Telegram that are worth a line."""
RECENT = 3600.0
"""Seconds for which a failed webhook is news."""
PATIENCE = 10.0
"""Seconds for each look."""

Look = Callable[[Bot], Awaitable[list[Symptom]]]


class Examination:
    """What can be looked at from here."""

    def __init__(self, shop: Shop, feed: Feed) -> None:
        self._shop = shop
        self._feed = feed

    async def of(self, bot: Bot) -> Diagnosis:
        """Look for everything; what cannot be looked at is a finding itself."""
        of_telegram: tuple[Look, ...] = (self._telegram, self._clock, self._balance)
        of_storage: tuple[Look, ...] = (self._storage, self._isolation, self._secret)
        symptoms: list[Symptom] = []
        for look in (*of_telegram, *of_storage):
            try:
                symptoms += await asyncio.wait_for(look(bot), PATIENCE)
            except Exception as error:
                told = f"{type(error).__name__}: {redacted(str(error))}"[:200]
                if look in of_telegram:
                    fix = "look at the network and at the bot's token"
                    symptom = Symptom("telegram_fails", f"Telegram does not answer ({told})", fix)
                else:
                    fix = "start it, or correct its address"
                    symptom = Symptom("storage_fails", f"the storage does not answer ({told})", fix)
                if symptom.code not in {known.code for known in symptoms}:
                    symptoms.append(symptom)
        return Diagnosis(bot.id, datetime.fromtimestamp(self._shop.clock(), timezone.utc), tuple(symptoms))

    async def _telegram(self, bot: Bot) -> list[Symptom]:
        """Whether Telegram sends here, and what payments need."""
        info = await bot.get_webhook_info()
        found = self._missing_updates(info)
        listens = self._feed.listens
        host = urlsplit(info.url).hostname
        if listens == "polling" and info.url:
            found.append(
                Symptom(
                    "webhook_elsewhere",
                    f"this process polls, but updates go to a webhook at {host}: payments do not come here",
                    "await bot.delete_webhook() before polling (without drop_pending_updates: payments may be waiting)",
                )
            )
        if listens == "webhook" and not info.url:
            found.append(
                Symptom(
                    "no_webhook",
                    "this process waits for a webhook, and none is set: no update comes",
                    "await bot.set_webhook(url, allowed_updates=dp.resolve_used_update_types())",
                )
            )
        failed = info.last_error_date
        if info.url and failed is not None and self._shop.clock() - _seconds(failed) < RECENT:
            found.append(
                Symptom(
                    "webhook_fails",
                    f"the webhook at {host} failed within the last hour ({info.last_error_message})",
                    "look at its certificate and its log; unconfirmed updates are lost after 24 hours",
                )
            )
        if info.pending_update_count > PILE:
            found.append(
                Symptom(
                    "updates_pile_up",
                    f"{info.pending_update_count} updates wait at Telegram, payments among them",
                    "start more workers behind a webhook, or make handlers faster",
                    is_severe=False,
                )
            )
        return found

    def _missing_updates(self, info: WebhookInfo) -> list[Symptom]:
        asked = info.allowed_updates
        if not asked or self._shop.dispatcher is None:
            return []  # Telegram's default set has all that payments need
        wanted = ["message", "pre_checkout_query"]
        used = self._shop.dispatcher.resolve_used_update_types()
        wanted += [name for name in ("subscription", "purchased_paid_media") if name in used]
        missing = [name for name in wanted if name not in asked]
        if not missing:
            return []
        lost = " and ".join(missing)
        return [
            Symptom(
                "updates_not_asked_for",
                f"Telegram is not asked for {lost}: "
                + ("checkouts fail after ten seconds" if "pre_checkout_query" in missing else "they never come"),
                "pass allowed_updates=dp.resolve_used_update_types() to start_polling or set_webhook, or leave it out",
            )
        ]

    async def _storage(self, bot: Bot) -> list[Symptom]:
        """Whether what is written stays."""
        engine = self._shop.engine
        await engine.probe()
        if not engine.durable:
            return [
                Symptom(
                    "storage_forgets",
                    "payments are kept in memory: a restart forgets them",
                    'Dispatcher(storage=SQLiteStorage("bot.db")), or RedisStorage for several machines',
                )
            ]
        client = getattr(engine, "client", None)
        return [] if client is None else await redis_symptoms(client, self._shop.clock)

    async def _isolation(self, bot: Bot) -> list[Symptom]:
        """Whether the dispatcher's lock knows all processes."""
        dispatcher = self._shop.dispatcher
        if dispatcher is None or getattr(self._shop.engine, "client", None) is None:
            return []
        isolation = dispatcher.fsm.events_isolation
        if isinstance(isolation, PassingIsolation):
            isolation = isolation.isolation
        if not isinstance(isolation, SimpleEventIsolation):
            return []
        return [
            Symptom(
                "isolation_of_one_process",
                "SimpleEventIsolation locks within one process, and the storage serves several",
                "Dispatcher(storage=storage, events_isolation=storage.create_isolation())",
                is_severe=False,
            )
        ]

    async def _clock(self, bot: Bot) -> list[Symptom]:
        """Whether this machine's clock is Telegram's, by the date of an answer."""
        session = bot.session
        if not isinstance(session, AiohttpSession):
            return []
        client = await session.create_session()
        async with client.get(session.api.api_url(token=bot.token, method="getMe")) as response:
            dated = response.headers.get("Date")
        if dated is None:
            return []
        off = self._shop.clock() - parsedate_to_datetime(dated).timestamp()
        if abs(off) <= CLOCK_TOLERANCE:
            return []
        side = "ahead of" if off > 0 else "behind"
        return [
            Symptom(
                "clock_is_off",
                f"this machine's clock is {abs(off):.0f} seconds {side} Telegram's: invoices and leases end at the "
                "wrong time",
                "synchronise it (timedatectl set-ntp true)",
            )
        ]

    async def _secret(self, bot: Bot) -> list[Symptom]:
        """Whether invoices that were signed before can still be read."""
        lost = await self._shop.unknown_keys(bot)
        if not lost:
            return []
        return [
            Symptom(
                "secret_changed",
                f"invoices signed before {lost:%Y-%m-%d %H:%M} UTC have a key that is not known here: their checkouts "
                "are declined, and renewals of subscriptions may not be recognised",
                "neonpay_router(..., previous_secrets=[the earlier secret, or the earlier token of the bot])",
            )
        ]

    async def _balance(self, bot: Bot) -> list[Symptom]:
        """Whether refunds can be paid."""
        ask: Any = getattr(bot, "get_my_star_balance", None)  # aiogram 3.21
        if ask is None:
            return []
        owned = await ask()
        if owned.amount >= 0:
            return []
        return [
            Symptom(
                "balance_negative",
                f"the bot owes {-owned.amount} Stars, such as for a purchase that an app store gave back: refunds are "
                "refused until it has earned them",
                "wait for sales, and look at await pay.reconcile(dry_run=True)",
                is_severe=False,
            )
        ]


def _seconds(moment: Any) -> float:
    """Return a date of the Bot API as Unix seconds; aiogram gives some of them as dates."""
    return float(moment.timestamp() if isinstance(moment, datetime) else moment)
