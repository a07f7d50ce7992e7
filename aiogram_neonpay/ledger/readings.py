"""How far Telegram's own ledger was read, for each bot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiogram_neonpay.ledger.base import LedgerEngine, RecordKey, Write, change_record, new_nonce

__all__ = ["Readings"]

RECONCILIATION = "recon"


class Readings:
    """The state of reconciliation: one record for each bot.

    ``baseline``: Unix seconds of the first start; what was paid before it is none of ours. ``adopts_since``: of the
    first start with ``legacy=``; adopted invoices that were paid before it were the bot's to deliver. ``watermark``:
    the date up to which every row is recorded. ``resume_at``: the same, when the last reading was cut off there.
    ``hint``: the offset at which the last reading began. ``balance`` and ``anchor``: what the bot owned when the row
    ``anchor`` was the last. ``reading_until``: until when a worker is at it.
    """

    def __init__(self, engine: LedgerEngine) -> None:
        self._engine = engine

    async def open(self, bot_id: int, now: float, *, adopts: bool = False, keep: bool = True) -> dict[str, Any]:
        """Return the state, with ``now`` as the baseline if there is none yet.

        :param adopts: whether invoices of others are adopted, from now on if they were not before.
        :param keep: whether to write what was not known yet.
        """
        key = self._key(bot_id)
        row = (await self._engine.read([key]))[0]
        if row is None or not row.body:
            # Telegram dates rows in whole seconds: a sale in the second of the start is ours.
            baseline = float(int(now))
            body = {"v": 1, "n": new_nonce(), "baseline": baseline, "watermark": baseline}
            if adopts:
                body["adopts_since"] = baseline
            row = await self._engine.write(Write(key, body, 0)) if keep else None
            if row is None:
                return body
        if not adopts or "adopts_since" in row.body:
            return row.body
        # Unlike the first second of all, this one may have had a sale that the bot delivered before it started anew.
        begun = {"adopts_since": now}
        if not keep:
            return {**row.body, **begun}
        state = await self.change(bot_id, lambda known: None if "adopts_since" in known else begun)
        return {**row.body, **begun} if state is None else state

    async def change(
        self, bot_id: int, change: Callable[[dict[str, Any]], dict[str, Any] | None]
    ) -> dict[str, Any] | None:
        """Change the state atomically.

        :param change: gives the fields to change, or ``None`` to leave it alone.
        """
        return await change_record(self._engine, self._key(bot_id), change, lambda write, _: write)

    @staticmethod
    def _key(bot_id: int) -> RecordKey:
        return RecordKey(bot_id, RECONCILIATION, "state")
