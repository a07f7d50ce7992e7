"""What each buyer has, in one record: access, subscriptions, what they bought of limited stages, and news to be told.

One record, so that a screen of purchases is one read, and a renewal changes subscription and access in one step. News
of subscriptions (cancelled, restored, failed, expired) stand in it until their handlers have returned, and are told in
their order by the worker that holds the record.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from aiogram_neonpay.ledger.base import BUYER, LedgerEngine, RecordKey, Row, Write, buyer_name, new_nonce
from aiogram_neonpay.ledger.charges import LEASE
from aiogram_neonpay.ledger.leases import Claim, Leases
from aiogram_neonpay.ledger.subscriptions import end_of

__all__ = ["GRACE", "Buyers", "is_buyer", "user_of_name"]

logger = logging.getLogger("aiogram_neonpay")

GRACE = 86400.0
"""Seconds after the end of a subscription's period for which its renewal is waited for."""
TELL = "tell"
"""The one step of a buyer's record that a worker holds it for."""

Change = Callable[[dict[str, Any]], dict[str, Any] | None]


def is_buyer(name: str) -> bool:
    """Whether what is due under a name is a buyer; else it is a charge."""
    return name.startswith("u")


def user_of_name(name: str) -> int:
    """Return the buyer whose record has this name."""
    return int(name[1:])


class Buyers:
    """Keeps the buyers of all bots of one storage.

    :param clock: gives the present as Unix seconds.
    :param grace: seconds for which a renewal is waited for.
    """

    def __init__(
        self,
        engine: LedgerEngine,
        clock: Callable[[], float] = time.time,
        *,
        grace: float = GRACE,
        lease: float = LEASE,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self.grace = grace
        self.leases = Leases(lease, self._renew)

    async def read(self, bot_id: int, user_id: int) -> dict[str, Any]:
        """Return a buyer's record; an empty one for who has nothing."""
        row = (await self._engine.read([self._key(bot_id, user_id)]))[0]
        return {} if row is None else row.body

    async def change(self, bot_id: int, user_id: int, change: Change, *, delay: float | None = None) -> dict[str, Any]:
        """Change a buyer's record atomically, on top of whatever others make of it meanwhile.

        :param change: gives the fields to change, or ``None`` to leave the record alone. It may be called repeatedly.
        :param delay: seconds until a worker is to go on with it, if it has news to tell or something to ask.
        :return: the record after the change.
        """
        key = self._key(bot_id, user_id)
        row = await self._engine.peek(key) or Row({})
        while True:
            known = row.body
            fields = change(known)
            if fields is None:
                return known
            body = {"user": user_id, **known, **fields, "v": known.get("v", 0) + 1, "n": new_nonce()}
            # Whoever holds it sees the change when they let go.
            held = not body.get("free", True) and row.due_in is not None and row.due_in > 0
            if not held:
                body.update(holder=None, free=True)
            refused = await self._engine.write(
                Write(key, body, known.get("v", 0), due_in=self._due_in(body, delay), keep_due=held)
            )
            if refused is None:
                return body
            row = refused

    async def claim(self, bot_id: int, name: str) -> Claim | None:
        """Take the right to go on with a buyer whose time has come; ``None`` when somebody else has it."""
        key = RecordKey(bot_id, BUYER, name)
        row = await self._engine.peek(key)
        nonce = new_nonce()
        while row is not None and row.body:
            known = row.body
            if known.get("holder") == nonce:  # our own claim, sent twice by the client and changed between
                return self._claimed(key, nonce, known)
            if row.due_in is None or row.due_in > 0 or self.leases.holds(key):
                return None
            body = {**known, "holder": nonce, "free": False, "v": known["v"] + 1, "n": nonce}
            row = await self._engine.write(Write(key, body, known["v"], due_in=self.leases.seconds))
            if row is None:
                return self._claimed(key, nonce, body)
        return None

    def _claimed(self, key: RecordKey, nonce: str, body: dict[str, Any]) -> Claim:
        claim = Claim(key, nonce, body, TELL)
        self.leases.hold(claim)
        return claim

    async def go_on(self, claim: Claim, change: Change) -> bool:
        """Change a record that is held, and keep it; ``False`` when it is in other hands by now."""
        return await self._write_held(claim, change, let_go=False, delay=None)

    async def let_go(self, claim: Claim, change: Change | None = None, *, delay: float | None = None) -> bool:
        """Change a record that is held, and let go of it.

        :param delay: seconds until somebody is to go on with it, if it has news to tell.
        """
        self.leases.let_go(claim)
        if claim.renewing is None:
            return await self._write_held(claim, change, let_go=True, delay=delay)
        async with claim.renewing:
            return await self._write_held(claim, change, let_go=True, delay=delay)

    async def _renew(self, claim: Claim) -> bool:
        return await self._write_held(claim, None, let_go=False, delay=None)

    async def _write_held(self, claim: Claim, change: Change | None, *, let_go: bool, delay: float | None) -> bool:
        is_gone = False
        while not claim.lost:
            known = claim.body
            fields = (change(known) if change is not None else None) or {}
            body = {**known, **fields, "free": let_go, "v": known["v"] + 1, "n": new_nonce()}
            due_in = self._due_in(body, delay) if let_go else self.leases.seconds
            row = await self._engine.write(Write(claim.key, body, 0 if is_gone else known["v"], due_in=due_in))
            if row is None:
                claim.body = body
                return True
            is_gone = not row.body
            if is_gone:
                logger.error("%s: the storage has lost its record; it is written again", claim.in_log)
                continue
            claim.lost = row.body.get("holder") != claim.id
            claim.body = row.body
        return False

    def _due_in(self, body: dict[str, Any], delay: float | None = None) -> float | None:
        """Return in how many seconds the record wants attention."""
        if body.get("news") or body.get("asked"):
            return max(0.0, delay or 0.0)
        ends = [moment for known in body.get("subs", {}).values() if (moment := end_of(known, self.grace)) is not None]
        return max(0.0, min(ends) - self._clock()) if ends else None

    @staticmethod
    def _key(bot_id: int, user_id: int) -> RecordKey:
        return RecordKey(bot_id, BUYER, buyer_name(user_id))

    async def drain(self, seconds: float) -> None:
        """Wait for those who hold buyers of this worker, then stop renewing."""
        await self.leases.drain(seconds)
        self.leases.close()
