"""Which messages an invoice was shown with, for as long as Telegram lets a bot delete them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aiogram_neonpay.ledger.base import INVOICE, LedgerEngine, RecordKey, Write, new_nonce

__all__ = ["Trace", "Traces"]

DELETABLE = 48 * 3600.0
"""Seconds. Bot API ``deleteMessage``."""


class Trace(NamedTuple):
    """The messages of one invoice.

    :ivar messages: their ids, the invoice's or its offer's first.
    :ivar is_text: whether the first one is text, which can be edited; an invoice cannot.
    """

    chat_id: int
    messages: list[int]
    is_text: bool


class Traces:
    """Keeps the traces of the invoices of all bots of one storage."""

    def __init__(self, engine: LedgerEngine) -> None:
        self._engine = engine

    async def put(self, bot_id: int, invoice_id: str, chat_id: int, messages: Sequence[int], *, is_text: bool) -> None:
        """Note where an invoice is shown; what was noted before stays."""
        body = {"v": 1, "n": new_nonce(), "chat": chat_id, "messages": list(messages), "text": is_text}
        await self._engine.write(Write(self._key(bot_id, invoice_id), body, 0, ttl=DELETABLE))

    async def get(self, bot_id: int, invoice_id: str) -> Trace | None:
        """Return where an invoice is shown, if that was noted."""
        row = (await self._engine.read([self._key(bot_id, invoice_id)]))[0]
        if row is None or not row.body:
            return None
        return Trace(row.body["chat"], row.body["messages"], row.body["text"])

    @staticmethod
    def _key(bot_id: int, invoice_id: str) -> RecordKey:
        return RecordKey(bot_id, INVOICE, f"{invoice_id}.shown")
