"""The rules of the ledger once more, in plain Python: no storage, no versions to lose, nobody else at the same moment.

An operation is a generator that yields between the steps that are atomic in the ledger; it may yield operations that
go on beside it. What several workers did at once must be what some order of those steps does here.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import Any, NamedTuple

LEASE = 60.0
NEVER_AGAIN = ("delivered", "rejected")
COUNTERS = {"deliver": "attempts", "send_refund": "sends", "announce_refund": "tells"}


class Fault(str, Enum):
    """What goes wrong with the first write of an operation."""

    BEFORE = "it fails and has no effect"
    AFTER = "it fails and has its effect"
    REPEATED = "it is sent twice, as every other write of the operation"


class Op(NamedTuple):
    """One call of the ledger.

    :ivar who: a worker, or, for what is done with a claim, the number of a claim.
    """

    name: str
    who: int
    charge: int = 0
    how: Any = None


class Failed(Exception):
    """The storage raised."""


@dataclass
class Charge:
    """One charge."""

    buyer: int
    stage: str
    amount: int
    at: float
    state: str = "paid"
    refund: str | None = None
    trouble: str | None = None
    attempts: int = 0
    sends: int = 0
    tells: int = 0
    holder: int | None = None
    free: bool = True
    due: float | None = None
    waits_since: float | None = None
    version: int = 1

    @property
    def is_refunded(self) -> bool:
        return self.refund in ("refunded", "announced")

    @property
    def next(self) -> str | None:
        """What is to be done with it."""
        if self.refund is None:
            return "deliver" if self.state == "paid" else None
        return {"requested": "send_refund", "refunded": "announce_refund"}.get(self.refund)

    @property
    def waits(self) -> bool:
        """Whether it is a person's business."""
        return self.trouble is not None or (self.state in ("stuck", "unmatched") and not self.is_refunded)


@dataclass
class Claim:
    """The right of a worker to act on a charge."""

    label: int
    worker: int
    charge: int
    step: str
    seen: int
    lost: bool = False


Result = Any
Steps = Generator[Any, None, Result]
"""What it yields is nothing, or further operations to be done beside it."""


@dataclass
class Model:
    """What the ledger must hold.

    :ivar held: claims that a worker keeps alive.
    :ivar in_hurry: workers that take a failed charge again as soon as its update is repeated.
    :ivar fault: what goes wrong with the next write.
    :ivar twice: whether every write is sent once more after it was applied.
    """

    now: float
    facts: list[dict[str, Any]]
    in_hurry: list[bool]
    charges: dict[int, Charge] = field(default_factory=dict)
    claims: dict[int, Claim] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    fault: Fault | None = None
    twice: bool = False

    def copied(self) -> Model:
        return Model(
            self.now,
            self.facts,
            self.in_hurry,
            {number: copy.copy(charge) for number, charge in self.charges.items()},
            {label: copy.copy(claim) for label, claim in self.claims.items()},
            set(self.held),
            Counter(self.counts),
            self.fault,
            self.twice,
        )

    def begin(self, op: Op, label: int) -> Steps:
        """Return the steps of an operation; the label names it, and the claim it takes."""
        steps: Steps = getattr(self, op.name)(op, label)
        return steps

    # Writing

    def _write(self, effect: Callable[[], None] | None) -> None:
        """Have an effect; ``None`` for a write that is refused because of a newer version."""
        fault, self.fault = self.fault, None
        if fault is Fault.BEFORE:
            raise Failed
        if effect is not None:
            effect()
        if fault is Fault.AFTER:
            raise Failed

    def _is_overtaken(self, number: int) -> Generator[None, None, bool]:
        """Send a write that was applied once more; return whether others changed the charge meanwhile."""
        if not self.twice:
            return False
        version = self.charges[number].version
        yield
        return self.charges[number].version != version

    def _changed(self, charge: Charge, **fields: Any) -> None:
        was_refunded = charge.is_refunded
        for name, value in fields.items():
            setattr(charge, name, value)
        charge.version += 1
        if charge.is_refunded and not was_refunded:
            self._count(self.now, charge, "refunds", "returned")
        charge.waits_since = (charge.waits_since or self.now) if charge.waits else None

    def _count(self, at: float, charge: Charge, number: str, stars: str) -> None:
        day = day_of(at)
        self.counts[day, f"{charge.stage}:{number}"] += 1
        self.counts[day, f"{charge.stage}:{stars}"] += charge.amount

    # Recording and claiming

    def _record(self, op: Op, **fields: Any) -> None:
        facts = self.facts[op.charge]
        charge = Charge(facts["user"], facts.get("stage", ""), facts["amount"], float(facts["at"]), **fields)
        self.charges[op.charge] = charge
        self._count(charge.at, charge, "count", "stars")
        if charge.is_refunded:
            self._count(charge.at, charge, "refunds", "returned")

    def _hold(self, op: Op, label: int, step: str) -> Steps:
        charge = self.charges[op.charge]
        step = charge.next or step if (yield from self._is_overtaken(op.charge)) and op.name == "claim" else step
        self.claims[label] = Claim(label, op.who, op.charge, step, charge.version)
        self.held.add(label)
        return "claim", step, charge.attempts, charge.sends, charge.tells

    def _take(self, op: Op, label: int, wanted: str | None, hurry: bool) -> Steps:
        charge = self.charges.get(op.charge)
        if charge is None or charge.next is None or wanted not in (None, charge.next):
            return None
        if any(self.claims[other].charge == op.charge and self.claims[other].worker == op.who for other in self.held):
            return None
        if charge.due is not None and charge.due > self.now and not (charge.free and hurry):
            return None
        step, counter = charge.next, COUNTERS[charge.next]
        tries = {counter: getattr(charge, counter) + 1}
        self._write(lambda: self._changed(charge, holder=label, free=False, due=self.now + LEASE, **tries))
        return (yield from self._hold(op, label, step))

    def claim_delivery(self, op: Op, label: int) -> Steps:
        if op.charge not in self.charges:
            self._write(lambda: self._record(op, attempts=1, holder=label, free=False, due=self.now + LEASE))
            return (yield from self._hold(op, label, "deliver"))
        self._write(None)
        yield
        return (yield from self._take(op, label, "deliver", self.in_hurry[op.who]))

    def claim_refund(self, op: Op, label: int) -> Steps:
        if op.charge not in self.charges:
            self._write(
                lambda: self._record(op, refund="refunded", tells=1, holder=label, free=False, due=self.now + LEASE)
            )
            if not (yield from self._is_overtaken(op.charge)):
                return (yield from self._hold(op, label, "announce_refund"))
        else:
            self._write(None)
        yield
        yield from self._mark_refunded(op)
        yield
        if self.charges[op.charge].holder == label:
            return (yield from self._hold(op, label, "announce_refund"))
        return (yield from self._take(op, label, "announce_refund", self.in_hurry[op.who]))

    def note(self, op: Op, label: int) -> Steps:
        known = op.charge in self.charges
        self._write(None if known else lambda: self._record(op, due=self.now))
        return not known and not (yield from self._is_overtaken(op.charge))

    def note_refund(self, op: Op, label: int) -> Steps:
        known = op.charge in self.charges
        self._write(None if known else lambda: self._record(op, refund="refunded", due=self.now))
        if not known and not (yield from self._is_overtaken(op.charge)):
            return True
        yield
        before = self.charges[op.charge].is_refunded
        yield
        yield from self._mark_refunded(op)
        return not before

    def claim(self, op: Op, label: int) -> Steps:
        return self._take(op, label, None, bool(op.how % 2))

    # Moving on

    def _held_write(self, claim: Claim, *, due_in: float, let_go: bool, **changes: Any) -> Generator[None, None, bool]:
        charge = self.charges[claim.charge]
        while not claim.lost:
            if claim.seen != charge.version:
                self._write(None)
                claim.seen = charge.version
                claim.lost = charge.holder != claim.label
                continue
            wanted = dict(changes)
            if charge.is_refunded and wanted.get("refund", "announced") not in ("refunded", "announced"):
                wanted["refund"] = charge.refund
            after = copy.copy(charge)
            vars(after).update(wanted)
            due: float | None = self.now + due_in
            if let_go:
                due = None if after.next is None else due if after.next == claim.step else self.now
            fields = {**wanted, "free": let_go, "due": due}
            self._write(lambda fields=fields: self._changed(charge, **fields))  # type: ignore[misc]
            version = charge.version
            if not (yield from self._is_overtaken(claim.charge)):
                claim.seen = version
                return True
        return False

    def _let_go(self, op: Op, due_in: float, changes: dict[str, Any]) -> Steps:
        claim = self.claims[op.who]
        self.held.discard(op.who)
        yield
        try:
            return (yield from self._held_write(claim, due_in=due_in, let_go=True, **changes))
        finally:
            del self.claims[op.who]

    def settle(self, op: Op, label: int) -> Steps:
        return self._let_go(op, 0.0, dict(op.how))

    def give_back(self, op: Op, label: int) -> Steps:
        delay, changes = op.how
        return self._let_go(op, delay, dict(changes))

    def advance(self, op: Op, label: int) -> Steps:
        claim, written = self.claims[op.who], False
        try:
            written = yield from self._held_write(claim, due_in=LEASE, let_go=False, **dict(op.how))
        finally:
            if not written:
                self.held.discard(op.who)
        claim.step = self.charges[claim.charge].next or claim.step
        return written

    def renew(self, op: Op, label: int) -> Steps:
        yield [self._renew_one(claim) for claim in sorted(self.held) if self.claims[claim].worker == op.who]

    def _renew_one(self, label: int) -> Steps:
        if label not in self.held:
            return
        try:
            if not (yield from self._held_write(self.claims[label], due_in=LEASE, let_go=False)):
                self.held.discard(label)
        except Failed:
            return

    # From outside

    def _change(self, op: Op, fields_of: Callable[[Charge], dict[str, Any] | None]) -> Generator[None, None, bool]:
        """Change a charge whoever holds it; return whether there was something to change."""
        charge = self.charges.get(op.charge)
        while charge is not None and (fields := fields_of(charge)) is not None:
            if charge.free or charge.due is None or charge.due <= self.now:
                after = copy.copy(charge)
                vars(after).update(fields)
                fields["due"] = None if after.next is None else self.now
                if not charge.free:  # its holder let the lease run out
                    fields.update(holder=None, free=True)
            self._write(lambda fields=fields: self._changed(charge, **fields))  # type: ignore[misc]
            if not (yield from self._is_overtaken(op.charge)):
                return True
        return False

    def _mark_refunded(self, op: Op) -> Generator[None, None, bool]:
        return self._change(op, lambda charge: None if charge.is_refunded else {"refund": "refunded"})

    def mark_refunded(self, op: Op, label: int) -> Steps:
        yield from self._mark_refunded(op)
        return op.charge in self.charges

    def request_refund(self, op: Op, label: int) -> Steps:
        yield from self._change(op, lambda charge: {"refund": "requested"} if charge.refund is None else None)
        return op.charge in self.charges

    def withdraw_refund(self, op: Op, label: int) -> Steps:
        yield from self._change(
            op, lambda charge: {"refund": None} if charge.refund == "requested" and charge.state == "paid" else None
        )
        return op.charge in self.charges

    def redeliver(self, op: Op, label: int) -> Steps:
        return self._change(
            op, lambda charge: {"state": "paid"} if charge.refund is None and charge.state not in NEVER_AGAIN else None
        )


def day_of(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d")
