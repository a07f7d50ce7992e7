"""The rules of a charge: recorded once, claimed by one worker at a time, settled by the worker that holds it.

A charge is ``paid`` until what was meant to hear it has returned (``delivered``), a handler has refused it
(``rejected``), or it waits for a person: nothing can hear it (``unmatched``) or nobody can be told (``stuck``).

A refund has a life beside that: ``requested`` by the bot, ``refunded`` once Telegram says so, ``announced`` when the
handlers of the refund have returned.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiogram_neonpay.errors import LedgerError
from aiogram_neonpay.ledger.base import (
    CHARGE,
    PARTITIONS,
    LedgerEngine,
    RecordKey,
    Write,
    change_record,
    new_nonce,
    partition_of,
)

__all__ = ["LEASE", "Charges", "Claim", "is_reference", "reference_of"]

logger = logging.getLogger("aiogram_neonpay")

LEASE = 60.0
"""Seconds for which a claim holds unless it is renewed; a dead worker's charge is free after that."""

PAID, DELIVERED, UNMATCHED, STUCK, REJECTED = "paid", "delivered", "unmatched", "stuck", "rejected"
REQUESTED, REFUNDED, ANNOUNCED = "requested", "refunded", "announced"


def reference_of(charge: str, buyer: int) -> str:
    """Return the short stand-in of a charge: the buyer's partition and 16 hexadecimal digits of a hash."""
    return f"{partition_of(buyer):x}{_digest(charge)}"


def is_reference(text: str) -> bool:
    """Whether a text has the form of a reference."""
    return len(text) == 17 and all(digit in "0123456789abcdef" for digit in text)


def _deliver_again(known: dict[str, Any], held: bool) -> dict[str, Any] | None:
    if held or known["state"] != PAID or known.get("refund"):
        return None
    return {"attempts": known["attempts"] + 1}


def _waits(body: dict[str, Any]) -> bool:
    refund = body.get("refund")
    if refund in (REFUNDED, ANNOUNCED):
        return False
    # A refund that was asked for and not confirmed is somebody's business until it is.
    return refund == REQUESTED or body["state"] in (UNMATCHED, STUCK, REJECTED)


def _digest(charge: str) -> str:
    return hashlib.sha256(charge.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(eq=False, slots=True)
class Claim:
    """The right to act on one charge until it is settled or given back.

    :ivar holder: the field of the record that names who acts: one for deliveries, one for refunds, because a refund
        that comes during a delivery must neither wait for it nor undo what it settles.
    :ivar id: this worker's value in that field; it is the fence.
    :ivar body: the record as this worker last saw it.
    :ivar notes: fields to write with whatever is written next.
    :ivar lost: whether another worker took the charge over; then nothing can be settled with this claim.
    :ivar renewing: keeps a renewal and the end apart, for a claim held so long that there was one.
    """

    key: RecordKey
    holder: str
    id: str
    body: dict[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)
    lost: bool = False
    renewing: asyncio.Lock | None = None


class Charges:
    """Claims and settles the charges of all bots of one storage.

    :param lease: seconds for which a claim holds unless it is renewed.
    """

    def __init__(self, engine: LedgerEngine, *, lease: float = LEASE) -> None:
        self._engine = engine
        self._lease = lease
        self._held: set[Claim] = set()
        self._renewal: asyncio.TimerHandle | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def claim_delivery(self, bot_id: int, facts: dict[str, Any]) -> Awaitable[Claim | None]:
        """Record a charge, if it is new, and take the right to deliver it.

        :param facts: what is known of the charge: ``charge``, ``user``, ``at`` and whatever a payment is made of.
        :return: ``None`` when it is settled already or another worker holds it.
        :raises Exception: whatever the storage raises; then nothing may be delivered.
        """

        return self._claim(bot_id, "deliverer", {**facts, "state": PAID, "attempts": 1}, _deliver_again)

    async def claim_refund(self, bot_id: int, facts: dict[str, Any]) -> Claim | None:
        """Record that a charge was refunded and take the right to announce it.

        A refund known before the payment's own update settles the charge: it is never delivered.

        :return: ``None`` when it was announced already or another worker is announcing it.
        """

        def again(known: dict[str, Any], held: bool) -> dict[str, Any] | None:
            refund = known.get("refund")
            # Without an announcer the lease is the deliverer's: the bot itself refunds what it is delivering.
            if refund == ANNOUNCED or (held and refund == REFUNDED and "announcer" in known):
                return None
            return {"refund": REFUNDED}

        body = {**facts, "state": PAID, "attempts": 0, "refund": REFUNDED}
        return await self._claim(bot_id, "announcer", body, again)

    async def _claim(
        self,
        bot_id: int,
        holder: str,
        body: dict[str, Any],
        again: Callable[[dict[str, Any], bool], dict[str, Any] | None],
    ) -> Claim | None:
        nonce = new_nonce()
        key = RecordKey(bot_id, CHARGE, reference_of(body["charge"], body["user"]))
        body = {**body, holder: nonce, "v": 1, "n": nonce}
        create = Write(key, body, 0, due_in=self._lease, owner=body["user"], recorded_at=float(body["at"]))
        row = await self._engine.write(create)
        while row is not None:
            known = row.body
            if not known:
                body = create.body
                row = await self._engine.write(create)
                continue
            if known["charge"] != body["charge"]:
                raise LedgerError(f"two charges share the reference {key.name}: refund one of them by hand")
            if known.get(holder) == nonce:
                # Our own claim: its reply was lost, the client sent it again, and others changed the record between.
                body = known
                break
            changes = again(known, row.due_in is not None and row.due_in > 0)
            if changes is None:
                return None
            body = {**known, **changes, holder: nonce, "v": known["v"] + 1, "n": nonce}
            row = await self._engine.write(Write(key, body, known["v"], due_in=self._lease))
        claim = Claim(key, holder, nonce, body)
        self._hold(claim)
        return claim

    def settle(self, claim: Claim, **changes: Any) -> Awaitable[bool]:
        """Write the end of an attempt and let go of the charge.

        :param changes: fields of the record; ``state="unmatched"`` makes it wait for a person.
        :return: ``False`` when another worker took the charge over meanwhile: its outcome counts, not this one.
        """
        return self._let_go(claim, changes, due_in=None)

    def give_back(self, claim: Claim, **changes: Any) -> Awaitable[bool]:
        """Write a failed attempt and let go of the charge, free to be claimed at once."""
        return self._let_go(claim, changes, due_in=0.0)

    def _let_go(self, claim: Claim, changes: dict[str, Any], *, due_in: float | None) -> Awaitable[bool]:
        self._held.discard(claim)
        if claim.renewing is None:
            return self._write_held(claim, changes, due_in=due_in)
        return self._write_after_renewal(claim.renewing, claim, changes, due_in=due_in)

    async def _write_after_renewal(
        self, renewing: asyncio.Lock, claim: Claim, changes: dict[str, Any], *, due_in: float | None
    ) -> bool:
        async with renewing:
            return await self._write_held(claim, changes, due_in=due_in)

    async def _write_held(self, claim: Claim, changes: dict[str, Any], *, due_in: float | None) -> bool:
        """Write while the claim is ours, on top of what others noted in the record meanwhile."""
        while not claim.lost:
            known = claim.body
            body = {**known, **claim.notes, **changes, "v": known["v"] + 1, "n": new_nonce()}
            # While a refund is being announced the time of attention is the announcer's lease.
            keep = claim.holder == "deliverer" and body.get("refund") == REFUNDED
            write = Write(claim.key, body, known["v"], due_in=due_in, keep_due=keep, waiting=_waits(body))
            row = await self._engine.write(write)
            if row is None:
                claim.body = body
                return True
            claim.lost = row.body.get(claim.holder) != claim.id
            claim.body = row.body
        logger.warning("charge %s: another worker took it over; its outcome counts", claim.key.name)
        return False

    async def change(
        self, key: RecordKey, change: Callable[[dict[str, Any]], dict[str, Any] | None]
    ) -> dict[str, Any] | None:
        """Change a record whoever holds it, such as to note a requested refund.

        :param change: gives the fields to change, or ``None`` to leave the record alone.
        :return: the record after the change, or ``None`` if there is none.
        """
        return await change_record(
            self._engine, key, change, lambda write: write._replace(keep_due=True, waiting=_waits(write.body))
        )

    async def find(
        self, bot_id: int, payment_id: str, user_id: int | None = None
    ) -> tuple[RecordKey, dict[str, Any]] | None:
        """Return the record of a charge by its reference or its whole charge id.

        A charge id alone does not tell the buyer's partition, so all of them are asked in one round trip.
        """
        if is_reference(payment_id):
            key = RecordKey(bot_id, CHARGE, payment_id)
            row = (await self._engine.read([key]))[0]
            if row is not None:
                return key, row.body
        # What has the form of a reference may still be a charge id: those are opaque.
        if user_id is not None:
            names = [reference_of(payment_id, user_id)]
        else:
            names = [f"{partition:x}{_digest(payment_id)}" for partition in range(PARTITIONS)]
        keys = [RecordKey(bot_id, CHARGE, name) for name in names]
        for key, row in zip(keys, await self._engine.read(keys), strict=True):
            if row is not None and row.body["charge"] == payment_id:
                return key, row.body
        return None

    async def history(self, bot_id: int, user_id: int, *, limit: int, offset: int) -> list[dict[str, Any]]:
        """Return records of a buyer's charges, newest first."""
        names = await self._engine.history(bot_id, user_id, limit=limit, offset=offset)
        return await self._read(bot_id, names)

    async def waiting(self, bot_id: int, *, limit: int) -> list[dict[str, Any]]:
        """Return records that wait for a person, oldest first."""
        return await self._read(bot_id, await self._engine.waiting(bot_id, limit=limit))

    async def _read(self, bot_id: int, names: list[str]) -> list[dict[str, Any]]:
        if not names:
            return []
        rows = await self._engine.read([RecordKey(bot_id, CHARGE, name) for name in names])
        return [row.body for row in rows if row is not None]

    def _hold(self, claim: Claim) -> None:
        self._held.add(claim)
        loop = asyncio.get_running_loop()
        if self._renewal is None or self._loop is not loop:
            # One timer for the worker, armed only while it holds charges. A dispatcher may outlive an event loop.
            self._loop = loop
            self._renewal = loop.call_later(self._lease / 3, self._start_renewing)

    def _start_renewing(self) -> None:
        self._renewal = None
        if self._held:
            self._renewing = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        for claim in list(self._held):
            claim.renewing = claim.renewing or asyncio.Lock()
            async with claim.renewing:
                if claim not in self._held:
                    continue
                try:
                    if not await self._write_held(claim, {}, due_in=self._lease):
                        self._held.discard(claim)
                except Exception:
                    logger.warning("charge %s: its lease could not be renewed", claim.key.name, exc_info=True)
        if self._held and self._renewal is None:
            self._renewal = asyncio.get_running_loop().call_later(self._lease / 3, self._start_renewing)

    def close(self) -> None:
        """Stop renewing; what is still held is free when its lease ends."""
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None
