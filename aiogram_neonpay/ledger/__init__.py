"""Where payments are kept: engines that store records, and the rules of charges and invoices above them."""

from __future__ import annotations

import sys

from aiogram.fsm.storage.base import BaseStorage
from aiogram.fsm.storage.memory import MemoryStorage

from aiogram_neonpay.ledger.base import LedgerEngine
from aiogram_neonpay.ledger.fsm import FSMEngine
from aiogram_neonpay.ledger.memory import MemoryEngine

__all__ = ["FSMEngine", "LedgerEngine", "MemoryEngine", "open_engine"]


def open_engine(storage: BaseStorage) -> LedgerEngine:
    """Return the engine for a storage: Redis scripts for aiogram's ``RedisStorage``, the generic one for any other."""
    # Looked up, not imported: a bot without Redis must neither need nor pay for the redis package.
    module = sys.modules.get("aiogram.fsm.storage.redis")
    if module is not None and isinstance(storage, module.RedisStorage):
        from aiogram_neonpay.ledger.redis import RedisEngine

        return RedisEngine(storage.redis)
    # A subclass may wait, lose or copy: only aiogram's own class is known.
    return MemoryEngine(storage) if type(storage) is MemoryStorage else FSMEngine(storage)
