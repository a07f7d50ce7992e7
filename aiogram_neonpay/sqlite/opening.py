"""The tables of a file, how it is opened, and what is said when that fails."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from aiogram_neonpay.errors import ConfigurationError, LedgerError

if TYPE_CHECKING:  # imported where it is used: a bot with another storage must not pay for it
    from sqlite3 import Connection

__all__ = ["SCHEMA_VERSION", "explained", "open_file"]

APPLICATION = 0x4E505354
"""Marks a file as ours (``PRAGMA application_id``): "NPST"."""
SCHEMA_VERSION = 1
"""The layout of the tables (``PRAGMA user_version``)."""
SYNCHRONOUS = "FULL"
"""A commit returns when it is on the disk."""
OLDEST_SQLITE = (3, 24)
"""The first one that can insert or update in one statement."""
SCHEMA = (
    # Which user in which chat, as JSON: [bot, chat, user, thread, business connection, destiny].
    "CREATE TABLE neonpay_fsm (key TEXT PRIMARY KEY, state TEXT, data TEXT)",
    # `owner` and `recorded_at` make the buyer's history, `due` and `waiting` the lists of what wants attention;
    # all times are Unix seconds.
    """CREATE TABLE neonpay_records (
        id INTEGER PRIMARY KEY, bot_id INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
        version INTEGER NOT NULL, nonce TEXT NOT NULL, body TEXT NOT NULL,
        due REAL, waiting REAL, expires REAL, owner INTEGER, recorded_at REAL,
        UNIQUE (bot_id, kind, name)
    )""",
    "CREATE INDEX neonpay_due ON neonpay_records (bot_id, due) WHERE due IS NOT NULL AND kind IN ('pay', 'buy')",
    "CREATE INDEX neonpay_waiting ON neonpay_records (bot_id, waiting) WHERE waiting IS NOT NULL AND kind = 'pay'",
    "CREATE INDEX neonpay_expires ON neonpay_records (expires) WHERE expires IS NOT NULL",
    "CREATE INDEX neonpay_history ON neonpay_records (bot_id, owner, recorded_at) WHERE owner IS NOT NULL",
    """CREATE TABLE neonpay_tallies (
        bot_id INTEGER, bucket TEXT, counter TEXT, count INTEGER NOT NULL, PRIMARY KEY (bot_id, bucket, counter)
    ) WITHOUT ROWID""",
)


def open_file(path: str, timeout: float) -> Connection:
    """Open a file and make it ready.

    :raises ConfigurationError: when it cannot be used as it is.
    :raises LedgerError: when other processes held it for too long.
    """
    import sqlite3

    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise ConfigurationError(
            f"this Python has SQLite {sqlite3.sqlite_version}, and SQLiteStorage needs 3.24: install a newer one"
        )
    end = time.monotonic() + timeout
    while True:
        connection = None
        try:
            connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            _prepare(connection, path)
            return connection
        except BaseException as error:
            if connection is not None:
                connection.close()
            if not isinstance(error, sqlite3.Error):
                raise
            # Some locks of a file that several processes are just creating are refused without waiting.
            if "locked" not in str(error):
                raise ConfigurationError(_trouble(path, error)) from error
            if time.monotonic() > end:
                raise
        time.sleep(0.01)


def _prepare(connection: Connection, path: str) -> None:
    application, version, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT COUNT(*) FROM sqlite_master) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application != APPLICATION and (tables or version):
        raise ConfigurationError(
            f"{path} is a database of another program: give SQLiteStorage(...) a file of its own, such as bot.db"
        )
    if version > SCHEMA_VERSION:
        raise ConfigurationError(
            f"{path} was made by a newer version of aiogram_neonpay (its tables are version {version}, known is "
            f"{SCHEMA_VERSION}): install that version, or give another file"
        )
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise ConfigurationError(
            f"{path} is on a file system that processes cannot share memory on: put it on a local disk"
        )
    connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
    # On macOS nothing else makes that true.
    connection.execute("PRAGMA fullfsync = ON")
    if version == 0:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:  # another process may have been faster
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")


def _trouble(path: str, error: Exception) -> str:
    """Say why a file could not be opened, and what to do."""
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        return f"{path}: the directory {directory} does not exist: create it, or give another path"
    if os.path.isdir(path):
        return f"{path} is a directory: name a file, such as {os.path.join(path, 'bot.db')}"
    if "not a database" in str(error):
        return f"{path} is not an SQLite database ({error}): give another path, or move that file away"
    if "malformed" in str(error):
        return f"{path} is damaged ({error}): put a copy in its place, or save what is left with sqlite3's .recover"
    return (
        f"{path} cannot be used ({error}): the bot must be allowed to write this file and to make others beside it, "
        "and the disk must have room"
    )


def explained(path: str, timeout: float, error: BaseException) -> BaseException:
    """Return what to raise for an error of SQLite's."""
    import sqlite3

    if not isinstance(error, sqlite3.Error):
        return error
    text = str(error)
    if "readonly" in text or "not a database" in text or "malformed" in text:
        told: Exception = ConfigurationError(_trouble(path, error))
    elif "locked" in text:
        told = LedgerError(
            f"{path}: other processes held it for {timeout:g} seconds ({text}): is one stuck, or is the file open in "
            "an editor?"
        )
    else:
        told = LedgerError(f"{path}: {text}: look at the disk, which may be full or broken")
    told.__cause__ = error
    return told
