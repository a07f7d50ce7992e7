"""The rules of a limited stock: held at a checkout, taken by a payment, given back by a refund; one record a stage.

A charge that has taken its share is named in the record until the charge's own record says so too: a worker that dies
between the two leaves a note, not a second share. Names that are no longer needed are dropped many at a time, so that
the record does not grow with what is sold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from aiogram_neonpay.ledger.base import STOCK, LedgerEngine, RecordKey, Row, Write, new_nonce

__all__ = ["HOLD", "Stocks", "held", "put_hold", "take_hold"]

HOLD = 900.0
"""Seconds for which an approved checkout keeps its share; Telegram's own form lives for ten minutes."""
NOTED = 7 * 86400.0
"""Seconds for which a charge is named at the most; long after its own record says what it took."""
SURELY = 300.0
"""Seconds after which nobody acts any more on what a charge's record said before it took its share."""
CROWD = 64
"""Charges named for longer than that at which it is asked which of them need it yet."""

BACK = ".back"
"""What follows the name of a charge that has returned its share."""

Holds = dict[str, list[float]]
"""When each hold ends, Unix seconds, by who holds."""
Body = dict[str, Any]
Change = Callable[[Body, float], tuple[Body | None, bool]]
"""Gives the fields to change, if any, and what the caller is told."""


def held(holds: Holds, now: float) -> int:
    """Return how many holds there are."""
    return sum(1 for ends in holds.values() for end in ends if end > now)


def put_hold(holds: Holds, who: str, now: float) -> Holds:
    """Return the holds with one more, without those that have ended."""
    left = {name: alive for name, ends in holds.items() if (alive := [end for end in ends if end > now])}
    return {**left, who: [*left.get(who, []), now + HOLD]}


def take_hold(holds: Holds, who: str, now: float) -> tuple[Holds, bool]:
    """Return the holds with one fewer of somebody's, and whether there was one."""
    mine = sorted(end for end in holds.get(who, []) if end > now)
    others = {name: ends for name, ends in holds.items() if name != who}
    return ({**others, who: mine[1:]} if mine[1:] else others), bool(mine)


class Stocks:
    """Keeps the stocks of all bots of one storage."""

    def __init__(self, engine: LedgerEngine, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._clock = clock

    async def left(self, bot_id: int, stage_id: str, stock: int) -> int:
        """Return how many may be sold yet, those on hold not among them."""
        row = (await self._engine.read([self._key(bot_id, stage_id)]))[0]
        body = {} if row is None else row.body
        return max(0, stock - int(body.get("sold", 0)) - held(body.get("holds", {}), self._clock()))

    async def hold(self, bot_id: int, stage_id: str, stock: int, who: str) -> bool:
        """Keep a share for a checkout; ``False`` when nothing is left."""

        def hold(known: Body, now: float) -> tuple[Body | None, bool]:
            holds = known.get("holds", {})
            if known.get("sold", 0) + held(holds, now) >= stock:
                return None, False
            return {"holds": put_hold(holds, who, now)}, True

        return await self._change(bot_id, stage_id, hold)

    async def let_go(self, bot_id: int, stage_id: str, who: str) -> bool:
        """Give up a hold."""

        def let_go(known: Body, now: float) -> tuple[Body | None, bool]:
            holds, had = take_hold(known.get("holds", {}), who, now)
            return ({"holds": holds} if had else None), had

        return await self._change(bot_id, stage_id, let_go)

    async def take(
        self, bot_id: int, stage_id: str, stock: int, who: str, ref: str, *, anyway: bool
    ) -> tuple[bool, list[str]]:
        """Take a share for a charge: the one on hold, or a free one; once for each charge.

        :param anyway: take one even when none is left.
        :return: whether there was one, and which charges are to be forgotten once their own records say what they took.
        """
        crowd: list[str] = []

        def take(known: Body, now: float) -> tuple[Body | None, bool]:
            noted = known.get("noted", {})
            old = [name for name, at in noted.items() if at + SURELY < now and not name.endswith(BACK)]
            crowd[:] = old if len(old) >= CROWD else []
            if ref in noted:
                return None, True
            if ref + BACK in noted:  # refunded while whoever takes it now was away
                return None, False
            holds, had = take_hold(known.get("holds", {}), who, now)
            sold = known.get("sold", 0)
            if not had and sold + held(holds, now) >= stock and not anyway:
                return None, False
            return {"holds": holds, "sold": sold + 1, "noted": _note(noted, ref, now)}, True

        return await self._change(bot_id, stage_id, take), crowd

    async def give_back(self, bot_id: int, stage_id: str, ref: str, *, took: bool) -> bool:
        """Return the share of a refunded charge, once.

        :param took: whether the charge's own record says that it has one; else it may be named here alone.
        """

        def give_back(known: Body, now: float) -> tuple[Body | None, bool]:
            noted = known.get("noted", {})
            if not known or ref + BACK in noted:
                return None, False
            has = (took or ref in noted) and known.get("sold", 0) > 0
            others = {name: at for name, at in noted.items() if name != ref}
            return {"sold": known.get("sold", 0) - has, "noted": _note(others, ref + BACK, now)}, has

        return await self._change(bot_id, stage_id, give_back)

    async def forget(self, bot_id: int, stage_id: str, refs: Collection[str]) -> bool:
        """Stop naming charges whose own records say by now what they took."""

        def forget(known: Body, now: float) -> tuple[Body | None, bool]:
            noted = {name: at for name, at in known.get("noted", {}).items() if name not in refs}
            return ({"noted": noted} if len(noted) < len(known.get("noted", {})) else None), True

        return await self._change(bot_id, stage_id, forget)

    async def _change(self, bot_id: int, stage_id: str, change: Change) -> bool:
        key = self._key(bot_id, stage_id)
        row = (await self._engine.read([key]))[0] or Row({})
        while True:
            known = row.body
            fields, result = change(known, self._clock())
            if fields is None:
                return result
            body = {**known, **fields, "v": known.get("v", 0) + 1, "n": new_nonce()}
            refused = await self._engine.write(Write(key, body, known.get("v", 0)))
            if refused is None:
                return result
            row = refused

    @staticmethod
    def _key(bot_id: int, stage_id: str) -> RecordKey:
        return RecordKey(bot_id, STOCK, stage_id)


def _note(noted: dict[str, float], name: str, now: float) -> dict[str, float]:
    return {**{other: at for other, at in noted.items() if at + NOTED > now}, name: now}
