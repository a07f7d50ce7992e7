"""The rules of stored invoices: made once per key, paid, cancelled or forgotten after they expire.

Only invoices that need memory are stored: those with a ``key=``, ``single_use=True``, ``track=True`` or more metadata
than the payload holds. All others live in their signed payload alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from aiogram_neonpay.errors import IdempotencyError
from aiogram_neonpay.ledger.base import INVOICE, LedgerEngine, RecordKey, Row, Write, change_record, new_nonce

__all__ = ["RETENTION", "StoredInvoices"]

RETENTION = 30 * 86400
"""Seconds for which the fate of an expired invoice can still be asked."""

OPEN, CANCELLED = "open", "cancelled"
APPROVALS = 5
"""Approved checkouts of an invoice that are remembered: the newest."""

Changes = dict[str, Any]


class StoredInvoices:
    """Keeps the invoices of all bots of one storage."""

    def __init__(self, engine: LedgerEngine) -> None:
        self._engine = engine

    async def create(self, bot_id: int, invoice: Changes, *, ttl: float) -> Changes:
        """Store an invoice and return it, or the one that its key made before.

        The key's record is written first and names the invoice, so two calls with one key agree on it, and a crash
        between the two writes is repaired by the next call. Nothing was sent before both exist.

        :param invoice: its record, with ``invoice`` (the id); with ``key`` and ``content`` when idempotent.
        :raises IdempotencyError: when the key was used with other content.
        """
        key = invoice.get("key")
        if key is not None:
            wanted = {"invoice": invoice["invoice"], "content": invoice["content"]}
            pointer = await self._put_if_absent(bot_id, _key_name(key), wanted, ttl)
            if pointer["content"] != invoice["content"]:
                raise IdempotencyError(
                    f"key {key!r} made another invoice before (other stage, buyer, amount or options): "
                    "use a new key for a new sale"
                )
            invoice = {**invoice, "invoice": pointer["invoice"]}
        return await self._put_if_absent(bot_id, invoice["invoice"], {**invoice, "state": OPEN}, ttl)

    async def get(self, bot_id: int, invoice_id: str) -> Changes | None:
        """Return the record of an invoice."""
        return await self._read(bot_id, invoice_id)

    async def id_of_key(self, bot_id: int, key: str) -> str | None:
        """Return the id of the invoice that a key made."""
        pointer = await self._read(bot_id, _key_name(key))
        return None if pointer is None else str(pointer["invoice"])

    async def note_payment(self, bot_id: int, invoice_id: str, user_id: int, reference: str) -> Changes | None:
        """Note which charge paid an invoice, and return its record (``None`` when it is forgotten).

        Safe to repeat. For a single-use invoice the first charge to set its name wins: compare ``paid`` with the
        reference to see whether it was this one.
        """
        record = await self.change(
            bot_id, invoice_id, lambda known: None if known.get("paid") else {"paid": reference, "payer": user_id}
        )
        if record is not None and record["payer"] != user_id and not record.get("single"):
            ttl = max(1.0, record["forget_at"] - record["issued"])
            await self._put_if_absent(bot_id, _payer_name(invoice_id, user_id), {"paid": reference}, ttl)
        return record

    async def note_approval(self, bot_id: int, invoice_id: str, user_id: int, moment: float) -> None:
        """Note that somebody was allowed to pay an invoice, for the timeline of their payment."""

        def note(known: Changes) -> Changes:
            return {"approved": [*known.get("approved", ()), [int(moment), user_id]][-APPROVALS:]}

        await self.change(bot_id, invoice_id, note)

    async def charge_of(self, bot_id: int, record: Changes, user_id: int | None) -> str | None:
        """Return the reference of the charge that paid an invoice: the first, or the first by one user."""
        if user_id is None or record.get("payer") == user_id:
            paid = record.get("paid")
        else:
            note = await self._read(bot_id, _payer_name(record["invoice"], user_id))
            paid = None if note is None else note["paid"]
        return None if paid is None else str(paid)

    async def change(self, bot_id: int, invoice_id: str, change: Callable[[Changes], Changes | None]) -> Changes | None:
        """Change an invoice's record atomically.

        :param change: gives the fields to change, or ``None`` to leave the record alone.
        :return: the record after the change, or ``None`` if there is none.
        """
        key = RecordKey(bot_id, INVOICE, invoice_id)
        return await change_record(self._engine, key, change, lambda write, _: write._replace(keep_ttl=True))

    async def _read(self, bot_id: int, name: str) -> Changes | None:
        row = (await self._engine.read([RecordKey(bot_id, INVOICE, name)]))[0]
        return None if row is None else row.body

    async def _put_if_absent(self, bot_id: int, name: str, body: Changes, ttl: float) -> Changes:
        body = {"v": 1, "n": new_nonce(), **body}
        row: Row | None = await self._engine.write(Write(RecordKey(bot_id, INVOICE, name), body, 0, ttl=ttl))
        return body if row is None else row.body


def _key_name(key: str) -> str:
    return "key." + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _payer_name(invoice_id: str, user_id: int) -> str:
    return f"{invoice_id}.{user_id}"
