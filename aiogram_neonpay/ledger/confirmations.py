"""What a person was asked to confirm: answered once, by whom was asked, in time.

Who takes a "yes" keeps others from it for as long as doing it may take, and notes when it is done. So what a worker
that died took, and did not do, may be confirmed again; what is confirmed must therefore be safe to do twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from aiogram_neonpay.ledger.base import LedgerEngine, RecordKey, Write, change_record, new_nonce

__all__ = ["LEASE", "PATIENCE", "Answer", "Confirmations"]

CONFIRMATION = "ask"
PATIENCE = 600.0
"""Seconds for which a question may be answered."""
LEASE = 60.0
"""Seconds after which what was confirmed and is not noted as done may be confirmed again: its worker has died."""
KEPT = 86400.0
"""Seconds for which it is remembered that it was."""

Refusal = Literal["gone", "other", "working", "answered"]


class Answer(NamedTuple):
    """What came of an answer.

    :ivar deed: what was to be confirmed, for whoever answered first.
    :ivar refusal: else why not: the question is not known or too old, somebody else was asked, it is being done, or it
        was answered.
    :ivar taker: in whose name it was taken, for :meth:`Confirmations.end`.
    """

    deed: dict[str, Any] | None
    refusal: Refusal | None = None
    taker: str = ""


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

    async def answer(self, bot_id: int, name: str, user_id: int, yes: bool) -> Answer:
        """Take an answer, atomically: of several taps, on however many workers, one gets the deed.

        A "yes" is followed by :meth:`end`; where that does not come in time, it may be given once more.
        """
        taker = new_nonce()
        refusal: Refusal | None = None

        def take(known: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal refusal
            now = self._clock()
            refusal = None
            if known["asked"] != user_id:
                refusal = "other"
            elif known.get("done") or (known.get("taker") and not yes):
                refusal = "answered"
            elif 0 < known.get("held", 0.0) - now <= LEASE:
                refusal = "working"
            elif known["until"] < now:
                refusal = "gone"
            if refusal is not None:
                return None
            return {"taker": taker, "until": now + PATIENCE, **({"held": now + LEASE} if yes else {"done": True})}

        body = await self._change(bot_id, name, take)
        if body is None:
            return Answer(None, "gone")
        first = body.get("taker") == taker  # also where a repeated command was told of its own first try
        return Answer(body["deed"], taker=taker) if first else Answer(None, refusal)

    async def end(self, bot_id: int, name: str, taker: str, *, done: bool) -> None:
        """Note that what was confirmed is done; or that it is not, and may be confirmed again at once."""

        def end(known: dict[str, Any]) -> dict[str, Any] | None:
            if known.get("taker") != taker:
                return None  # it took so long that it was confirmed again
            return {"done": True} if done else {"held": 0.0}

        await self._change(bot_id, name, end)

    async def _change(
        self, bot_id: int, name: str, change: Callable[[dict[str, Any]], dict[str, Any] | None]
    ) -> dict[str, Any] | None:
        key = RecordKey(bot_id, CONFIRMATION, name)
        return await change_record(self._engine, key, change, lambda write, _: write._replace(keep_ttl=True))
