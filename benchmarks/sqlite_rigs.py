"""Bots whose states, and records, are in SQLite files."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from aiogram import Dispatcher
from aiogram.types import Message

from aiogram_neonpay.sqlite import SQLiteStorage
from benchmarks import sellers
from benchmarks.measure import Rig
from benchmarks.stub import make_bot

T = TypeVar("T")

# What a careful author would write by hand: the same facts, durability and indexes as ours.
TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE payments (
    charge TEXT PRIMARY KEY, buyer INTEGER NOT NULL, record TEXT NOT NULL, at INTEGER NOT NULL, due REAL
);
CREATE INDEX history ON payments (buyer, at);
CREATE INDEX due ON payments (due) WHERE due IS NOT NULL;
CREATE TABLE totals (day TEXT, stage TEXT, count INTEGER, stars INTEGER, PRIMARY KEY (day, stage));
"""
CLAIM = "INSERT INTO payments (charge, buyer, record, at, due) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
COUNT = """
INSERT INTO totals VALUES (?, 'premium', 1, ?)
ON CONFLICT DO UPDATE SET count = count + 1, stars = stars + excluded.stars
"""
SETTLE = "UPDATE payments SET record = ?, due = NULL WHERE charge = ?"


class Books:
    """A file of payments, worked on by a thread of its own."""

    def __init__(self, file: Path) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._connection.executescript(TABLES)

    async def claim(self, record: dict[str, object]) -> bool:
        return await self._run(lambda: self._claim(record))

    async def settle(self, record: dict[str, object]) -> None:
        await self._run(lambda: self._settle(record))

    async def close(self) -> None:
        await self._run(self._connection.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _claim(self, record: dict[str, object]) -> bool:
        facts = (record["charge"], record["user"], json.dumps(record), record["at"], time.time() + 60)
        self._connection.execute("BEGIN IMMEDIATE")
        is_new = self._connection.execute(CLAIM, facts).rowcount == 1
        if is_new:
            self._connection.execute(COUNT, (time.strftime("%Y-%m-%d", time.gmtime()), record["amount"]))
        self._connection.execute("COMMIT")
        return is_new

    def _settle(self, record: dict[str, object]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(SETTLE, (json.dumps(record), record["charge"]))
        self._connection.execute("COMMIT")


def floor(folder: Path) -> Rig:
    """The floor's router on SQLiteStorage, with the two transactions that make it safe to repeat."""
    storage, books = SQLiteStorage(folder / "states.db"), Books(folder / "books.db")
    bot, dispatcher, heard = make_bot(), Dispatcher(storage=storage), list[str]()
    dispatcher.pre_checkout_query.register(sellers.approve)

    @dispatcher.message(sellers.Paid())
    async def paid(message: Message) -> None:
        receipt, buyer = message.successful_payment, message.from_user
        assert receipt is not None and buyer is not None
        record: dict[str, object] = {
            "charge": receipt.telegram_payment_charge_id,
            "user": buyer.id,
            "chat": message.chat.id,
            "amount": receipt.total_amount,
            "payload": receipt.invoice_payload,
            "at": int(time.time()),
            "state": "claimed",
        }
        if not await books.claim(record):
            return
        heard.append(receipt.telegram_payment_charge_id)
        record["state"] = "settled"
        await books.settle(record)

    async def close() -> None:
        await books.close()
        await storage.close()

    return Rig(bot, dispatcher, heard, sellers.order_payload, close)


def ours(file: Path) -> Rig:
    """This package on the dispatcher's SQLiteStorage."""
    storage = SQLiteStorage(file)
    rig = sellers.ours(storage)
    rig.close = storage.close
    return rig
