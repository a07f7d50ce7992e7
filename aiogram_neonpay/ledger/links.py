"""What deep links stand for that do not carry it themselves: one record for each, written once and kept."""

from __future__ import annotations

from aiogram_neonpay.ledger.base import LedgerEngine, RecordKey, Write, new_nonce

__all__ = ["StoredLinks"]

LINK = "lnk"


class StoredLinks:
    """Keeps the contents of the long deep links of all bots of one storage."""

    def __init__(self, engine: LedgerEngine) -> None:
        self._engine = engine

    async def put(self, bot_id: int, name: str, content: str) -> None:
        """Keep a content under a name that follows from it; safe to repeat."""
        body = {"v": 1, "n": new_nonce(), "content": content}
        await self._engine.write(Write(RecordKey(bot_id, LINK, name), body, 0))

    async def get(self, bot_id: int, name: str) -> str | None:
        """Return the content that is kept under a name."""
        row = (await self._engine.read([RecordKey(bot_id, LINK, name)]))[0]
        return None if row is None or not row.body else str(row.body["content"])
