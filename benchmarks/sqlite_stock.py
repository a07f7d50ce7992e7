"""Fills SQLite files with payments: one statement makes them from one that was sold."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measure import Rig, sell_block
from benchmarks.stock import Stock

NUMBERS = "WITH RECURSIVE stock (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM stock WHERE i + 1 < ?)"
OURS = f"""
    {NUMBERS}
    INSERT INTO neonpay_records
        (bot_id, kind, name, version, nonce, body, due, waiting, expires, owner, recorded_at)
    SELECT
        bot_id, kind, reference(i), version, nonce(i), body(body, i), due, waiting, expires, buyer(i), moment(i)
    FROM (SELECT * FROM neonpay_records), stock
"""
TALLY = """
    INSERT INTO neonpay_tallies (bot_id, bucket, counter, count) VALUES (?, ?, ?, ?)
    ON CONFLICT (bot_id, bucket, counter) DO UPDATE SET count = count + excluded.count
"""
STARS = f"""
    {NUMBERS}
    INSERT INTO stars_payments
    SELECT
        charge(i), buyer(i), 'order-' || buyer(i), amount, payload, status, is_recurring, is_first_recurring,
        subscription_expires_at, error, lease_token, leased_until, created_at, updated_at
    FROM (SELECT * FROM stars_payments), stock
"""


async def fill_ours(file: Path, rig: Rig, stock: Stock) -> None:
    """Sell once through the plugin, and put the stock beside that."""
    await sell_block(rig, 1)
    with _opened(file, stock) as connection:
        genuine = connection.execute("SELECT bot_id, counter, count FROM neonpay_tallies").fetchall()
        connection.execute(OURS, (stock.count,))
        for day, sales in stock.by_day().items():
            connection.executemany(TALLY, [(bot, day, counter, sales * count) for bot, counter, count in genuine])


async def fill_stars(file: Path, rig: Rig, stock: Stock) -> None:
    """Sell once through aiogram-stars, and put the stock beside that."""
    await sell_block(rig, 1)
    with _opened(file, stock) as connection:
        connection.execute(STARS, (stock.count,))


@contextlib.contextmanager
def _opened(file: Path, stock: Stock) -> Iterator[sqlite3.Connection]:
    """Open a file with the stock as functions of its number."""
    connection = sqlite3.connect(file, isolation_level=None)
    functions: dict[str, Callable[[int], str | float]] = {
        "charge": stock.charge,
        "buyer": stock.buyer,
        "moment": lambda number: float(stock.at(number)),
        "reference": stock.reference,
        "nonce": lambda number: stock.reference(number)[1:],
    }
    for name, function in functions.items():
        connection.create_function(name, 1, function)
    connection.create_function("body", 2, stock.varied)
    try:
        connection.execute("PRAGMA cache_size = -1000000")
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
