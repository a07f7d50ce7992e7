"""One SQLite file that remembers: a bot's FSM states and data, and the tables of its ledger."""

from aiogram_neonpay.sqlite.database import Database
from aiogram_neonpay.sqlite.storage import SQLiteStorage

__all__ = ["Database", "SQLiteStorage"]
