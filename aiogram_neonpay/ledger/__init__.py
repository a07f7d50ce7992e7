"""Where payments are kept: engines that store records, and the rules of charges and invoices above them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from aiogram.fsm.storage.base import BaseStorage
from aiogram.fsm.storage.memory import MemoryStorage

from aiogram_neonpay.ledger.base import LedgerEngine

__all__ = ["LedgerEngine", "open_engine"]


def open_engine(storage: BaseStorage, clock: Callable[[], float] | None = None) -> LedgerEngine:
    """Return the engine for a storage.

    Redis scripts for aiogram's ``RedisStorage``, tables for :class:`SQLiteStorage`, the generic one for any other. An
    engine is imported when it is opened: no bot needs nor pays for the others.

    :param clock: gives the present as Unix seconds, for tests; the storage's own clock when ``None``.
    """
    # Looked up, not imported: who has never imported the module of a storage cannot have that storage.
    redis = sys.modules.get("aiogram.fsm.storage.redis")
    if redis is not None and isinstance(storage, redis.RedisStorage):
        from aiogram_neonpay.ledger.redis import RedisEngine

        return RedisEngine(storage.redis, clock=clock)
    clock = clock or time.time
    sqlite = sys.modules.get("aiogram_neonpay.sqlite.storage")
    if sqlite is not None and isinstance(storage, sqlite.SQLiteStorage):
        from aiogram_neonpay.ledger.sqlite import SQLiteEngine

        return SQLiteEngine(storage, clock)
    if type(storage) is MemoryStorage:  # a subclass may wait, lose or copy: only aiogram's own class is known
        from aiogram_neonpay.ledger.memory import MemoryEngine

        return MemoryEngine(storage, clock)
    from aiogram_neonpay.ledger.fsm import FSMEngine

    return FSMEngine(storage, clock)
