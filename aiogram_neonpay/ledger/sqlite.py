"""Records in an SQLite file: one transaction per change, every question answered by an index.

Tables are described in :mod:`aiogram_neonpay.sqlite.opening`. Leases are judged by the clock of the machine, which all
processes that may use the file share.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from aiogram_neonpay.errors import LedgerError
from aiogram_neonpay.ledger.base import PATIENCE, RecordKey, Row, Write
from aiogram_neonpay.sqlite.opening import SCHEMA_VERSION
from aiogram_neonpay.sqlite.storage import SQLiteStorage

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["PURGED", "SQLiteEngine"]

PURGED = 16
"""Forgotten records that are removed with each new one that will be: enough to keep up, too few to be felt."""

_KEY = "bot_id = ? AND kind = ? AND name = ?"
_FIND = f"SELECT id, version, nonce, body, due, waiting, expires FROM neonpay_records WHERE {_KEY}"
_PEEK = f"SELECT body, due FROM neonpay_records WHERE {_KEY} AND (expires IS NULL OR expires > ?)"
_INSERT = """
    INSERT INTO neonpay_records
        (version, nonce, body, due, waiting, expires, owner, recorded_at, bot_id, kind, name)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_UPDATE = "UPDATE neonpay_records SET version = ?, nonce = ?, body = ?, due = ?, waiting = ?, expires = ? WHERE id = ?"
_LIST = "UPDATE neonpay_records SET owner = ?, recorded_at = ? WHERE id = ?"
_PURGE = """
    DELETE FROM neonpay_records
    WHERE id IN (SELECT id FROM neonpay_records WHERE expires <= ? ORDER BY expires LIMIT ?)
"""
_COUNT = """
    INSERT INTO neonpay_tallies (bot_id, bucket, counter, count) VALUES (?, ?, ?, ?)
    ON CONFLICT (bot_id, bucket, counter) DO UPDATE SET count = count + excluded.count
"""
# The kind is spelt out: an index of charges alone serves a question about charges alone.
_DUE = "SELECT name FROM neonpay_records WHERE bot_id = ? AND kind IN ('pay', 'buy') AND due <= ? ORDER BY due LIMIT ?"
_WAITING = """
    SELECT name FROM neonpay_records WHERE bot_id = ? AND kind = 'pay' AND waiting IS NOT NULL
    ORDER BY waiting, id LIMIT ?
"""
_HISTORY = """
    SELECT name FROM neonpay_records WHERE bot_id = ? AND owner = ?
    ORDER BY recorded_at DESC, id DESC LIMIT ? OFFSET ?
"""
_TALLY = "SELECT counter, count FROM neonpay_tallies WHERE bot_id = ? AND bucket = ?"


class SQLiteEngine:
    """The engine for bots without a server. See :class:`~aiogram_neonpay.ledger.base.LedgerEngine`.

    Every method raises :class:`~aiogram_neonpay.ConfigurationError` when the file cannot be used as it is, and
    :class:`~aiogram_neonpay.LedgerError` when the disk or the file fails.

    :param clock: gives the present as Unix seconds; called on the storage's thread, inside the transaction.
    """

    durable = True

    def __init__(self, storage: SQLiteStorage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._database = storage.database
        self.patience: float | None = storage.database.timeout + PATIENCE  # SQLite waits for other processes itself
        self._clock = clock

    async def probe(self) -> None:
        """Open the file, make its tables and prove that it can be written.

        :raises ConfigurationError: when it cannot be, saying what to change.
        """
        await self._database.change(_rewrite_version)

    async def write(self, change: Write) -> Row | None:
        """See :meth:`LedgerEngine.write`."""
        # Turned into text here: what the caller does to the body later changes nothing.
        text = json.dumps(change.body, separators=(",", ":"))
        try:
            return await self._database.change(partial(_write, change, text, self._clock))
        except OverflowError as error:
            raise LedgerError(f"{change.key.name}: a number of it is beyond the 64 bits of a column") from error

    async def read(self, keys: Sequence[RecordKey]) -> list[Row | None]:
        """See :meth:`LedgerEngine.read`."""
        return await self._database.read(partial(_read, keys, self._clock))

    async def peek(self, key: RecordKey) -> Row | None:
        """See :meth:`LedgerEngine.peek`."""
        return (await self.read([key]))[0]

    async def due(self, bot_id: int, *, limit: int) -> list[str]:
        """See :meth:`LedgerEngine.due`."""
        return await self._names(_DUE, bot_id, self._clock(), max(0, limit))

    async def tallies(self, bot_id: int, buckets: Sequence[str]) -> list[dict[str, int]]:
        """See :meth:`LedgerEngine.tallies`."""
        return await self._database.read(partial(_tallies, bot_id, buckets))

    async def history(self, bot_id: int, owner: int, *, limit: int, offset: int) -> list[str]:
        """See :meth:`LedgerEngine.history`."""
        return await self._names(_HISTORY, bot_id, owner, max(0, limit), offset)

    async def waiting(self, bot_id: int, *, limit: int) -> list[str]:
        """See :meth:`LedgerEngine.waiting`."""
        return await self._names(_WAITING, bot_id, max(0, limit))

    async def _names(self, question: str, *values: float) -> list[str]:
        return await self._database.read(partial(_names, question, values))


# What follows runs on the storage's thread.


def _rewrite_version(connection: Connection) -> None:
    """Write what is there already: a file that may only be read can be opened, and a transaction begun."""
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _write(change: Write, text: str, clock: Callable[[], float], connection: Connection) -> Row | None:
    key, now = change.key, clock()
    found = connection.execute(_FIND, key).fetchone()
    if found is not None and found[6] is not None and found[6] <= now:
        connection.execute("DELETE FROM neonpay_records WHERE id = ?", found[:1])
        found = None
    number, version, nonce, body, due, waiting, expires = found or (None, 0, None, None, None, None, None)
    if nonce == change.body["n"]:
        return None
    if version != change.expected:
        return Row({}) if body is None else _row(key, body, due, now, version)
    if not change.keep_due:
        due = None if change.due_in is None else now + change.due_in
    if not change.keep_ttl:
        expires = None if change.ttl is None else now + change.ttl
    if not change.waiting:
        waiting = None
    elif waiting is None:
        waiting = now
    values = (change.body["v"], change.body["n"], text, due, waiting, expires)
    recorded_at = None if change.owner is None else change.recorded_at
    if number is None:
        connection.execute(_INSERT, (*values, change.owner, recorded_at, *key))
        if expires is not None:
            connection.execute(_PURGE, (now, PURGED))
    else:
        connection.execute(_UPDATE, (*values, number))
        if change.owner is not None:
            connection.execute(_LIST, (change.owner, recorded_at, number))
    if change.tally is not None:
        bucket = change.tally.bucket
        connection.executemany(_COUNT, [(key.bot_id, bucket, *count) for count in change.tally.counts.items()])
    return None


def _read(keys: Sequence[RecordKey], clock: Callable[[], float], connection: Connection) -> list[Row | None]:
    now = clock()
    found = (connection.execute(_PEEK, (*key, now)).fetchone() for key in keys)
    return [None if row is None else _row(key, row[0], row[1], now) for key, row in zip(keys, found, strict=True)]


def _row(key: RecordKey, text: str, due: float | None, now: float, version: int | None = None) -> Row:
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict) or (version is not None and body.get("v") != version):
        # A change that is made on top of it would be refused, again and again.
        raise LedgerError(f"the record {key.kind} {key.name} was changed by something else: write it as it was")
    return Row(body, None if due is None else due - now)


def _names(question: str, values: Sequence[float], connection: Connection) -> list[str]:
    return [name for (name,) in connection.execute(question, values)]


def _tallies(bot_id: int, buckets: Sequence[str], connection: Connection) -> list[dict[str, Any]]:
    return [dict(connection.execute(_TALLY, (bot_id, bucket)).fetchall()) for bucket in buckets]
