"""What a person was asked to confirm: answered once, by whom was asked, in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from aiogram_neonpay.ledger.base import LedgerEngine, RecordKey, Write, change_record, new_nonce

__all__ = ["PATIENCE", "Answer", "Confirmations"]

CONFIRMATION = "ask"
PATIENCE = 600.0
"""Seconds for which a question may be answered."""
KEPT = 86400.0
"""Seconds for which it is remembered that it was."""

Refusal = Literal["gone", "other", "answered"]


class Answer(NamedTuple):
    """What came of an answer.

    :ivar deed: what was to be confirmed, for whoever answered first.
    :ivar refusal: else why not: the question is not known or too old, somebody else was asked, or it was answered.
    """

    deed: dict[str, Any] | None
    refusal: Refusal | None = None


class Confirmations:
    """Keeps the open questions of all bots of one storage."""

    def __init__(self, engine: LedgerEngine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    async def ask(self, bot_id: int, user_id: int, deed: dict[str, Any]) -> str:
        """Write down what somebody is asked to confirm; return the question's name, short enough for a button."""
        name = new_nonce()
        until = self._clock() + PATIENCE
        body = {"asked": user_id, "deed": deed, "until": until, "v": 1, "n": new_nonce()}
        await self._engine.write(Write(RecordKey(bot_id, CONFIRMATION, name), body, 0, ttl=KEPT))
        return name

    async def answer(self, bot_id: int, name: str, user_id: int) -> Answer:
        """Take an answer, atomically: of several taps, on however many workers, one gets the deed."""
        taker = new_nonce()
        refusal: Refusal | None = None

        def take(known: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal refusal
            refusal = None
            if known["asked"] != user_id:
                refusal = "other"
            elif known.get("taker"):
                refusal = "answered"
            elif known["until"] < self._clock():
                refusal = "gone"
            return {"taker": taker} if refusal is None else None

        key = RecordKey(bot_id, CONFIRMATION, name)
        body = await change_record(self._engine, key, take, lambda write, _: write._replace(keep_ttl=True))
        if body is None:
            return Answer(None, "gone")
        first = body.get("taker") == taker  # also where a repeated command was told of its own first try
        return Answer(body["deed"]) if first else Answer(None, refusal)
