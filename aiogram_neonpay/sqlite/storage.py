"""FSM states and data in one SQLite file."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from aiogram import exceptions
from aiogram.fsm.state import State
from aiogram.fsm.storage.base import BaseStorage, StateType, StorageKey

from aiogram_neonpay.errors import ConfigurationError
from aiogram_neonpay.sqlite.database import Database

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["SQLiteStorage"]

LONGEST_WAIT = 3600
"""Seconds at most to wait for other processes."""
NOT_A_DICT: type[Exception] = getattr(exceptions, "DataNotDictLikeError", TypeError)
"""What aiogram's own storages raise for data that is no dictionary; before aiogram 3.21 they had no name for it."""


class SQLiteStorage(BaseStorage):
    """Keeps FSM states and data, and payments, in one file: durable, and without a server.

    ``Dispatcher(storage=SQLiteStorage("bot.db"))`` is all there is to do. Several processes of one machine may use one
    file at once. What was written is on the disk, so a crash or a loss of power takes nothing back. The file must be
    on a local disk: on a network drive SQLite's locks do not hold, and payments could be delivered twice.

    The file is opened when it is first needed, on a thread of the storage's own. :meth:`close` may be called at any
    time and more than once; a storage that is used afterwards opens its file again. An operation whose caller is
    cancelled is carried out all the same.

    Its methods raise :class:`~aiogram_neonpay.ConfigurationError` when the file cannot be used as it is (its directory
    is missing, it is read-only, damaged, not a database, or of a newer version), and
    :class:`~aiogram_neonpay.LedgerError` when the disk fails or is full, or when other processes hold the file for too
    long.

    :param path: the file; made when it is missing, in a directory that exists. Beside it SQLite makes two more, which
        end in ``-wal`` and ``-shm`` and belong to it.
    :param timeout: seconds to wait for other processes that change the file, up to an hour.
    :param json_loads: reads FSM data (payments are always plain JSON).
    :param json_dumps: writes FSM data.
    :raises ConfigurationError: when the path does not name a file, or the timeout is no such number.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 30.0,
        json_loads: Callable[..., Any] = json.loads,
        json_dumps: Callable[..., str] = json.dumps,
    ) -> None:
        name = os.fspath(path) if isinstance(path, str | os.PathLike) else path
        if not isinstance(name, str) or not name or name.startswith((":memory:", "file:")) or "://" in name:
            raise ConfigurationError(
                f'SQLiteStorage({name!r}): name a file, such as SQLiteStorage("bot.db"); '
                "to keep nothing, use aiogram's MemoryStorage()"
            )
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout <= LONGEST_WAIT:
            raise ConfigurationError(
                f"SQLiteStorage(timeout={timeout!r}): it must be a number of seconds from 0 to {LONGEST_WAIT}"
            )
        self.database = Database(os.path.abspath(name), timeout)
        self.json_loads = json_loads
        self.json_dumps = json_dumps
        # At the end of the program every database is waited for, which this would not do.
        weakref.finalize(self, self.database.abandon).atexit = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.database.path!r})"

    async def close(self) -> None:
        """Finish what was asked before and close the file."""
        await self.database.close()

    async def set_state(self, key: StorageKey, state: StateType = None) -> None:
        """Keep a state; ``None`` forgets it."""
        value = state.state if isinstance(state, State) else state
        await self.database.change(partial(_put, "state", _key(key), value))

    async def get_state(self, key: StorageKey) -> str | None:
        """Return the state, or ``None``."""
        state: str | None = await self.database.read(partial(_get, "state", _key(key)))
        return state

    async def set_data(self, key: StorageKey, data: Mapping[str, Any]) -> None:
        """Replace the data.

        :raises TypeError: for data that ``json_dumps`` does not write.
        """
        if not isinstance(data, dict):
            raise NOT_A_DICT(f"Data must be a dict or dict-like object, got {type(data).__name__}")
        await self.database.change(partial(_put, "data", _key(key), self._dump(data) if data else None))

    async def get_data(self, key: StorageKey) -> dict[str, Any]:
        """Return the data; empty when there is none."""
        return self._load(await self.database.read(partial(_get, "data", _key(key))))

    async def update_data(self, key: StorageKey, data: Mapping[str, Any]) -> dict[str, Any]:
        """Change some of the data, atomically among all tasks and processes, and return all of it.

        :raises TypeError: for data that ``json_dumps`` does not write.
        """
        added, text = dict(data), self._dump(dict(data))
        return {**await self.database.change(partial(_update, self._load, self._dump, _key(key), text)), **added}

    def _load(self, text: str | None) -> dict[str, Any]:
        data: dict[str, Any] = {} if text is None else self.json_loads(text)
        return data

    def _dump(self, data: dict[str, Any]) -> str:
        try:
            return self.json_dumps(data)
        except TypeError as error:
            raise TypeError(
                f"FSM data must be JSON: {error}. Keep something simpler, or give SQLiteStorage(...) a json_dumps and "
                "a json_loads that know it"
            ) from error


def _key(key: StorageKey) -> str:
    parts = (key.bot_id, key.chat_id, key.user_id, key.thread_id, key.business_connection_id, key.destiny)
    return json.dumps(parts, separators=(",", ":"))


def _get(column: str, key: str, connection: Connection) -> str | None:
    found = connection.execute(f"SELECT {column} FROM neonpay_fsm WHERE key = ?", (key,)).fetchone()
    return None if found is None else found[0]


def _put(column: str, key: str, value: str | None, connection: Connection) -> None:
    # What changes nothing is not written, and waits for no disk: most handlers clear a state that is clear.
    if value is not None:
        connection.execute(
            f"INSERT INTO neonpay_fsm (key, {column}) VALUES (?, ?) ON CONFLICT (key) "
            f"DO UPDATE SET {column} = excluded.{column} WHERE {column} IS NOT excluded.{column}",
            (key, value),
        )
    elif connection.execute(
        f"UPDATE neonpay_fsm SET {column} = NULL WHERE key = ? AND {column} IS NOT NULL", (key,)
    ).rowcount:
        connection.execute("DELETE FROM neonpay_fsm WHERE key = ? AND state IS NULL AND data IS NULL", (key,))


def _update(
    load: Callable[[str | None], dict[str, Any]],
    dump: Callable[[dict[str, Any]], str],
    key: str,
    added: str,
    connection: Connection,
) -> dict[str, Any]:
    data = {**load(_get("data", key, connection)), **load(added)}
    _put("data", key, dump(data) if data else None, connection)
    return data
