"""Where payments are kept: engines that store records, and the rules of charges and invoices above them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from aiogram.fsm.storage.base import BaseStorage
from aiogram.fsm.storage.memory import MemoryStorage

from aiogram_neonpay.ledger.base import LedgerEngine
from aiogram_neonpay.ledger.fsm import FSMEngine
from aiogram_neonpay.ledger.memory import MemoryEngine
from aiogram_neonpay.sqlite import SQLiteStorage

__all__ = ["FSMEngine", "LedgerEngine", "MemoryEngine", "open_engine"]


def open_engine(storage: BaseStorage, clock: Callable[[], float] | None = None) -> LedgerEngine:
    """Return the engine for a storage.

    Redis scripts for aiogram's ``RedisStorage``, tables for :class:`SQLiteStorage`, the generic one for any other.

    :param clock: gives the present as Unix seconds, for tests; the storage's own clock when ``None``.
    """
    # Looked up, not imported: a bot without Redis must neither need nor pay for the redis package.
    module = sys.modules.get("aiogram.fsm.storage.redis")
    if module is not None and isinstance(storage, module.RedisStorage):
        from aiogram_neonpay.ledger.redis import RedisEngine

        return RedisEngine(storage.redis, clock=clock)
    clock = clock or time.time
    if isinstance(storage, SQLiteStorage):
        from aiogram_neonpay.ledger.sqlite import SQLiteEngine

        return SQLiteEngine(storage, clock)
    # A subclass may wait, lose or copy: only aiogram's own class is known.
    return MemoryEngine(storage, clock) if type(storage) is MemoryStorage else FSMEngine(storage, clock)
