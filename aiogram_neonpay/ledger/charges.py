"""The rules of a charge: recorded once, held by one worker at a time, moved on by the worker that holds it.

A charge is ``paid`` until what was meant to hear it has returned (``delivered``), a handler has refused it
(``rejected``), or it waits for a person: nothing can hear it (``unmatched``) or every attempt has failed (``stuck``). A
gift whose link the buyer has is ``wrapped`` until somebody opens it, and is delivered then.

A refund has a life beside that: ``requested`` by the bot, ``refunded`` once Telegram says so, ``announced`` when the
handlers of the refund have returned. What is to be done next follows from the two alone: :func:`next_step`.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from aiogram_neonpay.errors import LedgerError
from aiogram_neonpay.ledger.aliases import meant, put_alias
from aiogram_neonpay.ledger.base import (
    CHARGE,
    PARTITIONS,
    LedgerEngine,
    RecordKey,
    Row,
    Tally,
    Write,
    change_record,
    new_nonce,
    partition_of,
)
from aiogram_neonpay.ledger.leases import Claim, Leases
from aiogram_neonpay.ledger.tallies import day_of, sale_of, tally_of
from aiogram_neonpay.ledger.trail import extended, note_change, worker_name

__all__ = ["LEASE", "Charges", "Claim", "is_reference", "is_refunded", "next_step", "reason_of", "reference_of"]

logger = logging.getLogger("aiogram_neonpay")

LEASE = 60.0
"""Seconds for which a claim holds unless it is renewed; a dead worker's charge is free after that."""

PAID, WRAPPED, DELIVERED, UNMATCHED, STUCK, REJECTED = "paid", "wrapped", "delivered", "unmatched", "stuck", "rejected"
REQUESTED, REFUNDED, ANNOUNCED = "requested", "refunded", "announced"
RECORDED = "recorded"
"""In a trail: a charge was found in Telegram's ledger, or written down for a worker."""

Step = Literal["deliver", "send_refund", "announce_refund"]
DELIVER: Step = "deliver"
SEND_REFUND: Step = "send_refund"
ANNOUNCE_REFUND: Step = "announce_refund"
COUNTERS: dict[Step, str] = {DELIVER: "attempts", SEND_REFUND: "sends", ANNOUNCE_REFUND: "tells"}
"""Where the tries of each step are counted."""


def reference_of(charge: str, buyer: int) -> str:
    """Return the short stand-in of a charge: the buyer's partition and 16 hexadecimal digits of a hash."""
    return f"{partition_of(buyer):x}{_digest(charge)}"


def is_reference(text: str) -> bool:
    """Whether a text has the form of a reference."""
    return len(text) == 17 and all(digit in "0123456789abcdef" for digit in text)


def is_refunded(body: dict[str, Any]) -> bool:
    """Whether the Stars of a charge went back."""
    return body.get("refund") in (REFUNDED, ANNOUNCED)


def next_step(body: dict[str, Any]) -> Step | None:
    """Return what is to be done with a charge next, or ``None``: nothing, or nothing without a person."""
    refund = body.get("refund")
    if refund == REQUESTED:
        return SEND_REFUND
    if refund == REFUNDED:
        return ANNOUNCE_REFUND
    is_due = body["state"] == PAID or (body["state"] == WRAPPED and "recipient" in body)
    return DELIVER if refund is None and is_due else None


def reason_of(body: dict[str, Any]) -> str | None:
    """Return why a charge is a person's business; ``None`` if it is not."""
    trouble: str | None = body.get("trouble")
    if trouble or body["state"] not in (UNMATCHED, STUCK) or is_refunded(body):
        return trouble or None
    reason: str | None = body.get("reason")
    return reason or str(body["state"])


def _digest(charge: str) -> str:
    return hashlib.sha256(charge.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Charges:
    """Claims and settles the charges of all bots of one storage.

    :param lease: seconds for which a claim holds unless it is renewed.
    :param clock: gives the present as Unix seconds; says on which day a refund is counted.
    :ivar awaits_schedule: whether a worker of this process makes the next attempts, so that an update which Telegram
        repeats after a failed one need not. Without a worker it is all there is.
    :ivar worker: what this process is called where it is written who made an attempt.
    """

    def __init__(self, engine: LedgerEngine, clock: Callable[[], float] = time.time, *, lease: float = LEASE) -> None:
        self._engine = engine
        self._clock = clock
        self.leases = Leases(lease, lambda claim: self._write_held(claim, {}, due_in=lease))
        self.awaits_schedule = False
        self.worker = worker_name()

    # Taking a charge

    async def claim_delivery(self, bot_id: int, facts: dict[str, Any]) -> Claim | None:
        """Record a charge, if it is new, and take the right to deliver it.

        :param facts: what is known of the charge: ``charge``, ``user``, ``at`` and whatever a payment is made of.
        :return: ``None`` when there is nothing to deliver, or somebody else delivers it.
        :raises Exception: whatever the storage raises; then nothing may be delivered.
        """
        key, nonce = self._key(bot_id, facts), new_nonce()
        body = {**facts, "state": PAID, "attempts": 1, "holder": nonce, "free": False, "v": 1, "n": nonce}
        body["trail"] = [self._begun(DELIVER)]
        row = await self._create(key, body, self.leases.seconds)
        if row is None:
            return self._claimed(key, nonce, body, DELIVER)
        return await self._take(key, row, nonce, DELIVER, hurry=not self.awaits_schedule)

    async def claim_refund(self, bot_id: int, facts: dict[str, Any]) -> Claim | None:
        """Record that a charge was refunded and take the right to announce it.

        A refund known before the payment's own update settles the charge: it is never delivered.

        :return: ``None`` when it was announced already, or somebody holds the charge: they go on with the news.
        """
        key, nonce = self._key(bot_id, facts), new_nonce()
        body = {**facts, "state": PAID, "attempts": 0, "refund": REFUNDED, "tells": 1, "holder": nonce, "free": False}
        body["trail"] = [[int(self._clock()), REFUNDED], self._begun(ANNOUNCE_REFUND)]
        row = await self._create(key, {**body, "v": 1, "n": nonce}, self.leases.seconds)
        if row is None:
            return self._claimed(key, nonce, {**body, "v": 1, "n": nonce}, ANNOUNCE_REFUND)
        await self.mark_refunded(key)
        row = await self._engine.peek(key)
        return await self._take(key, row, nonce, ANNOUNCE_REFUND, hurry=not self.awaits_schedule)

    async def note(self, bot_id: int, facts: dict[str, Any]) -> bool:
        """Record a charge for a worker to deliver; ``False`` when it was known."""
        key, nonce = self._key(bot_id, facts), new_nonce()
        body = {**facts, "state": PAID, "attempts": 0, "free": True, "v": 1, "n": nonce}
        body["trail"] = [[int(self._clock()), RECORDED]]
        return await self._create(key, body, 0.0) is None

    async def note_refund(self, bot_id: int, facts: dict[str, Any]) -> bool:
        """Record that a charge was refunded, for a worker to announce; ``False`` when that was known."""
        key, nonce = self._key(bot_id, facts), new_nonce()
        body = {**facts, "state": PAID, "attempts": 0, "refund": REFUNDED, "free": True, "v": 1, "n": nonce}
        body["trail"] = [[int(self._clock()), REFUNDED]]
        if await self._create(key, body, 0.0) is None:
            return True
        before = (await self._engine.read([key]))[0]
        await self.mark_refunded(key)
        return before is None or not is_refunded(before.body)

    async def claim(self, bot_id: int, name: str, *, hurry: bool = False) -> Claim | None:
        """Take a recorded charge to do its next step; ``None`` when there is none or somebody holds it.

        :param hurry: do not wait for the time that was set for it.
        """
        key = RecordKey(bot_id, CHARGE, name)
        return await self._take(key, await self._engine.peek(key), new_nonce(), None, hurry=hurry)

    async def _create(self, key: RecordKey, body: dict[str, Any], due_in: float) -> Row | None:
        write = _new(key, body, due_in)
        row = await self._engine.write(write)
        while row is not None and not row.body:  # it vanished between two looks
            row = await self._engine.write(write)
        if row is not None and row.body["charge"] != body["charge"]:
            raise LedgerError(f"two charges share the reference {key.name}: refund one of them by hand")
        return row

    async def _take(
        self, key: RecordKey, row: Row | None, nonce: str, wanted: Step | None, *, hurry: bool
    ) -> Claim | None:
        """Take a charge that is free, for one step or for whatever is next."""
        while row is not None and row.body:
            known = row.body
            step = next_step(known)
            if known.get("holder") == nonce and step is not None:
                # Our own claim: its reply was lost, the client sent it again, and others changed the record between.
                return self._claimed(key, nonce, known, wanted or step)
            pending = row.due_in is not None and row.due_in > 0
            if step is None or (wanted is not None and step != wanted) or self.leases.holds(key):
                return None
            if pending and (not known["free"] or not hurry):
                return None
            tries = {COUNTERS[step]: known.get(COUNTERS[step], 0) + 1}
            body = {**known, **tries, "holder": nonce, "free": False, "v": known["v"] + 1, "n": nonce}
            extended(known, body, self._begun(step))
            row = await self._engine.write(
                Write(key, body, known["v"], due_in=self.leases.seconds, waiting=reason_of(body) is not None)
            )
            if row is None:
                return self._claimed(key, nonce, body, step)
        return None

    def _claimed(self, key: RecordKey, nonce: str, body: dict[str, Any], step: Step) -> Claim:
        claim = Claim(key, nonce, body, step)
        self.leases.hold(claim)
        return claim

    def _begun(self, step: Step) -> list[Any]:
        return [int(self._clock()), step, self.worker]

    @staticmethod
    def _key(bot_id: int, facts: dict[str, Any]) -> RecordKey:
        return RecordKey(bot_id, CHARGE, reference_of(facts["charge"], facts["user"]))

    # Moving it on

    async def settle(self, claim: Claim, **changes: Any) -> bool:
        """Write the end of a step and let go of the charge; whatever is next may be done at once.

        :param changes: fields of the record.
        :return: ``False`` when another worker took the charge over meanwhile: its outcome counts, not this one.
        """
        return await self._let_go(claim, changes, 0.0)

    async def give_back(self, claim: Claim, *, delay: float = 0.0, **changes: Any) -> bool:
        """Write a failed try and let go of the charge.

        :param delay: seconds until the next try. A refund that was asked for meanwhile does not wait.
        """
        return await self._let_go(claim, changes, delay)

    async def _let_go(self, claim: Claim, changes: dict[str, Any], delay: float) -> bool:
        self.leases.let_go(claim)
        changes["free"] = True  # the holder stays named, so that a repeated command is recognised
        if claim.renewing is None:
            return await self._write_held(claim, changes, due_in=delay)
        async with claim.renewing:
            return await self._write_held(claim, changes, due_in=delay)

    async def advance(self, claim: Claim, **changes: Any) -> bool:
        """Write the end of a step and keep the charge, to do the next step at once.

        :return: ``False`` when another worker took the charge over meanwhile.
        """
        written = False
        try:
            written = await self._write_held(claim, changes, due_in=self.leases.seconds)
        finally:
            if not written:
                self.leases.let_go(claim)  # nobody goes on with it here, so it must not be kept from the others
        claim.step = next_step(claim.body) or claim.step
        return written

    async def _write_held(self, claim: Claim, changes: dict[str, Any], *, due_in: float) -> bool:
        """Write while the claim is ours, on top of what others noted in the record meanwhile."""
        is_gone = False
        while not claim.lost:
            known = claim.body
            body = {**known, **claim.notes, **changes, "v": known["v"] + 1, "n": new_nonce()}
            if is_refunded(known) and not is_refunded(body):
                body["refund"] = known["refund"]  # what Telegram did counts, not what was asked for
            note_change(known, body, self._clock(), changes.get("error"))
            write = self._moved(claim.key, known, body, due_in, claim.step)
            if is_gone:
                write = _new(claim.key, body, write.due_in, waiting=write.waiting)
            row = await self._engine.write(write)
            if row is None:
                claim.body = body
                return True
            is_gone = not row.body
            if is_gone:
                # Such as in a failover, with what was written last. We know what was in it, and hold it still.
                logger.error("%s: the storage has lost its record; it is written again", claim.in_log)
                continue
            claim.lost = row.body.get("holder") != claim.id
            claim.body = row.body
        logger.warning("%s: it went out of our hands meanwhile; another outcome counts", claim.in_log)
        return False

    def _moved(self, key: RecordKey, known: dict[str, Any], body: dict[str, Any], due_in: float, step: str) -> Write:
        """Return the write of a record that was moved on, with the time of whatever is next."""
        following = next_step(body)
        due: float | None = due_in
        if body["free"]:
            due = None if following is None else due_in if following == step else 0.0
            if following == SEND_REFUND and due is not None:
                due = max(due, body.get("refund_after", 0.0) - self._clock())
        return Write(
            key,
            body,
            known["v"],
            due_in=due,
            waiting=reason_of(body) is not None,
            tally=self._tally_of_refund(known, body),
        )

    def _tally_of_refund(self, known: dict[str, Any], body: dict[str, Any]) -> Tally | None:
        if is_refunded(known) or not is_refunded(body):
            return None
        return tally_of(body, day_of(self._clock()), {"refunds": 1, "returned": body["amount"]})

    async def change(
        self, key: RecordKey, change: Callable[[dict[str, Any]], dict[str, Any] | None], *, keep_due: bool = False
    ) -> dict[str, Any] | None:
        """Change a record whoever holds it, such as to note a requested refund.

        :param change: gives the fields to change, or ``None`` to leave the record alone.
        :param keep_due: whether what is next stays as it was.
        :return: the record after the change, or ``None`` if there is none.
        """

        def written(write: Write, row: Row) -> Write:
            note_change(row.body, write.body, self._clock())
            if keep_due or (not write.body["free"] and row.due_in is not None and row.due_in > 0):
                # Whoever holds it sees the change when they let go, and goes on with what is next.
                tally = self._tally_of_refund(row.body, write.body)
                return write._replace(keep_due=True, waiting=reason_of(write.body) is not None, tally=tally)
            # A holder that let its lease run out is not to come back over this.
            fenced = {} if write.body["free"] else {"holder": None, "free": True}
            return self._moved(key, row.body, {**write.body, **fenced}, 0.0, "")

        return await change_record(self._engine, key, change, written)

    async def mark_refunded(self, key: RecordKey) -> dict[str, Any] | None:
        """Note what Telegram did, whoever holds the charge."""
        return await self.change(key, lambda known: None if is_refunded(known) else {"refund": REFUNDED})

    async def put_alias(self, bot_id: int, name: str, charge: str, user_id: int) -> None:
        """Let a recorded charge be found by another charge id as well."""
        alias = RecordKey(bot_id, CHARGE, reference_of(charge, user_id))
        await put_alias(self._engine, alias, charge, user_id, name)

    # Reading

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
                return await meant(self._engine, key, row.body)
        # What has the form of a reference may still be a charge id: those are opaque.
        if user_id is not None:
            names = [reference_of(payment_id, user_id)]
        else:
            names = [f"{partition:x}{_digest(payment_id)}" for partition in range(PARTITIONS)]
        keys = [RecordKey(bot_id, CHARGE, name) for name in names]
        for key, row in zip(keys, await self._engine.read(keys), strict=True):
            if row is not None and row.body["charge"] == payment_id:
                return await meant(self._engine, key, row.body)
        return None

    async def read(self, bot_id: int, names: list[str]) -> list[dict[str, Any] | None]:
        """Return the records under the references, in order."""
        rows = await self._engine.read([RecordKey(bot_id, CHARGE, name) for name in names]) if names else []
        return [None if row is None else row.body for row in rows]

    async def history(self, bot_id: int, user_id: int, *, limit: int, offset: int) -> list[dict[str, Any]]:
        """Return records of a buyer's charges, newest first."""
        names = await self._engine.history(bot_id, user_id, limit=limit, offset=offset)
        return [body for body in await self.read(bot_id, names) if body is not None]

    async def waiting(self, bot_id: int, *, limit: int, offset: int = 0) -> list[dict[str, Any]]:
        """Return records that wait for a person, oldest first."""
        names = await self._engine.waiting(bot_id, limit=offset + limit)
        return [body for body in await self.read(bot_id, names[offset:]) if body is not None]

    def due(self, bot_id: int, *, limit: int) -> Awaitable[list[str]]:
        """Return references of charges whose next step may be done."""
        return self._engine.due(bot_id, limit=limit)

    def tallies(self, bot_id: int, days: list[str]) -> Awaitable[list[dict[str, int]]]:
        """Return what was sold and refunded on each day: ``<stage>:count``, ``:stars``, ``:refunds``, ``:returned``."""
        return self._engine.tallies(bot_id, days)

    async def drain(self, seconds: float) -> None:
        """Wait for those who hold charges of this worker, then stop renewing."""
        await self.leases.drain(seconds)
        self.leases.close()


def _new(key: RecordKey, body: dict[str, Any], due_in: float | None, *, waiting: bool = False) -> Write:
    """Return the write of a record that is new to the storage: with its buyer's history and the counters."""
    at = body["at"]
    tally = tally_of(body, day_of(at), sale_of(body, refunded=is_refunded(body)))
    return Write(key, body, 0, due_in, False, waiting, body["user"], float(at), tally=tally)
