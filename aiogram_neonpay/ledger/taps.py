"""The right to answer a tap: of the same one twice within a while, whichever worker gets it, one is answered.

One short record for each buyer, with their last tap; it is written once for a tap, and forgotten by itself.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from aiogram_neonpay.ledger.base import TAP, LedgerEngine, RecordKey, Row, Write, new_nonce

__all__ = ["WINDOW", "LastTaps"]

WINDOW = 10.0
"""Seconds for which a second tap on the same button counts as the same tap. Ours: a finger and a slow Telegram."""

Body = dict[str, Any]


class LastTaps:
    """Keeps the last taps of buyers, for all bots of one storage."""

    def __init__(self, engine: LedgerEngine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    async def take(
        self, bot_id: int, user_id: int, what: str, *, invoice_id: str | None = None, over: Body | None = None
    ) -> tuple[bool, Body]:
        """Take the right to answer a tap.

        :param what: the button, or whatever else is to be answered once.
        :param invoice_id: what it will be answered with, for those who find this tap in their way.
        :param over: an earlier tap, as this method told of it, that does not count any more.
        :return: whether it was free, and the record: of this tap, or of the one that stands in its way.
        """
        now = self._clock()
        mine = {
            "n": new_nonce(),
            "what": hashlib.sha256(what.encode()).hexdigest()[:16],
            "at": now,
            "invoice": invoice_id,
        }
        row: Row | None = Row({} if over is None else over)
        while row is not None:
            known, body = row.body, {"v": row.body.get("v", 0) + 1, **mine}
            is_same = known.get("what") == mine["what"] and abs(now - known["at"]) < WINDOW
            if is_same and (over is None or known["n"] != over["n"]):
                return False, known
            row = await self._engine.write(Write(self._key(bot_id, user_id), body, known.get("v", 0), ttl=WINDOW))
        return True, body

    async def give_back(self, bot_id: int, user_id: int, mine: Body) -> None:
        """Let the same tap be answered again at once: this one was not."""
        free = {**mine, "v": mine["v"] + 1, "n": new_nonce(), "what": ""}
        await self._engine.write(Write(self._key(bot_id, user_id), free, mine["v"], ttl=WINDOW))

    @staticmethod
    def _key(bot_id: int, user_id: int) -> RecordKey:
        return RecordKey(bot_id, TAP, f"u{user_id}")
