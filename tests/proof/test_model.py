"""Whatever workers do to the ledger, on every engine it holds what its rules say, and nothing is lost.

Hypothesis makes up what several workers do, one after another and at once, with writes that fail or arrive twice. After
each step everything that the ledger tells is compared with :mod:`tests.proof.model`. A run is repeated exactly;
``NEONPAY_PROOF=long`` tries many more, new ones each time, and prints what repeats a failure.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiogram.fsm.storage.memory import MemoryStorage
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis.asyncio import Redis

from aiogram_neonpay.ledger import LedgerEngine, open_engine
from aiogram_neonpay.ledger.base import CHARGE, RecordKey
from aiogram_neonpay.ledger.charges import Charges, Claim, next_step, reference_of
from aiogram_neonpay.ledger.fsm import FSMEngine
from aiogram_neonpay.ledger.redis import RedisEngine
from aiogram_neonpay.sqlite import SQLiteStorage
from tests.proof.model import LEASE, NEVER_AGAIN, Failed, Fault, Model, Op, Result, Steps, day_of
from tests.proof.profiles import LONG, effort
from tests.proof.wire import SteppingStorage, Wire

T = TypeVar("T")
Clock = Callable[[], float]

WORKERS = 3
STARTED = 1_800_000_000.0
BUYERS = (1001, 1018)  # of two partitions
CHARGES = 2
"""Charges that are acted on at one time."""
MOST_STEPS = 24
"""Atomic steps of operations at once: more than any of them takes."""
_bots = itertools.count(8_000_000)


class Moment:
    """A clock that is moved by hand."""

    now = STARTED

    def __call__(self) -> float:
        return self.now


class Backend:
    """A kind of storage.

    :ivar sorts: whether a history is sorted by the time of payment; else it is in the order of recording.
    """

    sorts = True

    def begin(self, seed: int) -> None:
        """Begin with an empty storage."""

    def engine(self, clock: Clock, number: int) -> LedgerEngine:
        """Return the engine of a worker."""
        raise NotImplementedError


class InMemory(Backend):
    sorts = False

    def begin(self, seed: int) -> None:
        self.storage = MemoryStorage()

    def engine(self, clock: Clock, number: int) -> LedgerEngine:
        return open_engine(self.storage, clock)


class Generic(Backend):
    sorts = False

    def begin(self, seed: int) -> None:
        self.storage = SteppingStorage(seed)

    def engine(self, clock: Clock, number: int) -> LedgerEngine:
        return FSMEngine(self.storage, clock)


class InFile(Backend):
    def __init__(self, path: Path, closing: AsyncExitStack) -> None:
        # A storage for each worker, as in a process of its own, and one for who looks on.
        self.storages = [SQLiteStorage(path / "ledger.db") for _ in range(WORKERS + 1)]
        for storage in self.storages:
            closing.push_async_callback(storage.close)

    def engine(self, clock: Clock, number: int) -> LedgerEngine:
        return open_engine(self.storages[number], clock)


class InRedis(Backend):
    def __init__(self, url: str, closing: AsyncExitStack) -> None:
        self.clients = [Redis.from_url(url) for _ in range(WORKERS + 1)]
        for client in self.clients:
            closing.push_async_callback(client.aclose)

    def engine(self, clock: Clock, number: int) -> LedgerEngine:
        return RedisEngine(self.clients[number], clock=clock)


# As often as they are here: a charge that is refunded has little left to tell.
NAMES = (
    *["claim_delivery"] * 4,
    *["note"] * 3,
    *["claim"] * 6,
    *["settle"] * 5,
    *["give_back"] * 5,
    *["advance"] * 2,
    *["request_refund"] * 3,
    *["redeliver"] * 2,
    *["renew"] * 2,
    "withdraw_refund",
    "claim_refund",
    "note_refund",
    "mark_refunded",
)
ENDINGS = ("settle", "give_back", "advance")
slots = st.integers(0, CHARGES - 1)
ops = st.builds(Op, st.sampled_from(NAMES), st.integers(0, 2 * WORKERS - 1), slots, st.integers(0, 11))
faults = st.sampled_from([None, None, Fault.REPEATED, Fault.BEFORE, Fault.AFTER])

SETTLEMENTS: dict[str, list[dict[str, Any]]] = {
    "deliver": [
        {"state": "delivered"},
        {"state": "delivered"},
        {"state": "unmatched"},
        {"state": "stuck"},
        {"state": "rejected", "refund": "requested"},
    ],
    "send_refund": [{"refund": None, "state": "stuck"}],
    "send_refund of what is delivered": [{"refund": None}],
    "announce_refund": [{"refund": "announced"}, {"refund": "announced", "trouble": "refund_unheard"}],
}
ADVANCES: dict[str, dict[str, Any]] = {
    "deliver": {},
    "send_refund": {"refund": "refunded", "trouble": None},
    "announce_refund": {},
}
DELAYS = (0.0, 1.0, 30.0, 600.0)


class LedgerMachine(RuleBasedStateMachine):
    """Workers at one ledger, and what the model makes of what they do."""

    loop: asyncio.AbstractEventLoop
    backend: Backend

    @initialize(seed=st.integers(0, 1000))
    def open(self, seed: int) -> None:
        self.bot = next(_bots)
        self.clock = Moment()
        self.backend.begin(seed)
        self.wires = [Wire(self.backend.engine(self.clock, number)) for number in range(WORKERS)]
        self.engine = self.backend.engine(self.clock, WORKERS)
        self.workers = [self.charges(wire, number) for number, wire in enumerate(self.wires)]
        self.reader = Charges(self.engine, self.clock)
        self.facts: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.days: set[str] = set()
        self.days_of_sales: set[str] = set()
        self.slots = [self.sell() for _ in range(CHARGES)]
        in_hurry = [not worker.awaits_schedule for worker in self.workers]
        self.model = Model(STARTED, self.facts, in_hurry)
        self.claims: dict[int, Claim] = {}
        self.labels: dict[str, int] = {}
        self.ended: set[int] = set()
        self.leases: dict[int, float] = {}
        self.numbers = itertools.count(1)
        self.turns = itertools.count()
        self.is_sound = True

    def charges(self, engine: LedgerEngine, number: int) -> Charges:
        made = Charges(engine, self.clock, lease=LEASE)
        made.awaits_schedule = number == WORKERS - 1
        made.leases._start_round = lambda: None  # type: ignore[method-assign]  # leases are renewed as a rule says
        return made

    def sell(self) -> int:
        """Let somebody pay, and return the number of the charge, which the ledger has yet to hear of."""
        number = len(self.facts)
        facts: dict[str, Any] = {
            "charge": f"stx{number}",
            "user": BUYERS[number % len(BUYERS)],
            "chat": 1,
            "amount": 10 + number,
            "currency": "XTR",
            "at": int(STARTED) - 100 * number,
        }
        stage = (None, "premium", "", "sticker")[number % 4]
        self.facts.append(facts if stage is None else {**facts, "stage": stage})
        self.names.append(reference_of(f"stx{number}", BUYERS[number % len(BUYERS)]))
        self.days_of_sales.add(day_of(facts["at"]))
        self.days.add(day_of(facts["at"]))
        return number

    # Rules

    @rule(op=ops, fault=faults)
    def one_after_another(self, op: Op, fault: Fault | None) -> None:
        self.do([op], fault)

    @rule(several=st.lists(ops, min_size=2, max_size=4), repeated=st.booleans())
    def at_once(self, several: list[Op], repeated: bool) -> None:
        self.do(several, Fault.REPEATED if repeated else None)

    @rule(op=ops, other=ops)
    def between_a_write_and_its_repetition(self, op: Op, other: Op) -> None:
        # Who lets go of a claim waits for its renewal, and would wait for ever inside of it.
        self.do([op, other], Fault.REPEATED, nested=op.name != "renew")

    @rule(seconds=st.sampled_from([1.0, 30.0, LEASE - 1, LEASE, LEASE + 1, 600.0, 90_000.0]), dying=st.integers(0, 9))
    def time_passes(self, seconds: float, dying: int) -> None:
        """Let time pass, and now and then a worker die."""
        self.clock.now += seconds
        self.model.now = self.clock.now
        if dying < WORKERS:
            self.die(dying)

    def die(self, number: int) -> None:
        self.workers[number].leases.close()
        self.workers[number] = self.charges(self.wires[number], number)
        for label in [label for label, claim in self.model.claims.items() if claim.worker == number]:
            del self.model.claims[label], self.claims[label]
            self.model.held.discard(label)

    # Doing

    def do(self, wanted: list[Op], fault: Fault | None, *, nested: bool = False) -> None:
        """Do one thing, or several at once, and find the order of their steps that explains what came of it."""
        batch = [(op, next(self.numbers)) for op in self.made_possible(wanted)]
        if not batch:
            return
        self.is_sound = False
        if fault in (Fault.BEFORE, Fault.AFTER) and len(self.held_by(batch[0][0])) > 1:
            fault = None  # which of several renewals it meets is not told
        results = self.run(self.perform(batch, fault, nested))
        found = self.run(self.look(batch))
        self.learn(found, batch, results)
        faulty = fault if fault in (Fault.BEFORE, Fault.AFTER) else None
        self.model.twice = fault is Fault.REPEATED
        explained = explain(self.model, batch, results, faulty, lambda after: not self.differences(after, found))
        if explained is None:
            pytest.fail(f"no order explains {batch} ({fault}) -> {results}\n" + self.difference(batch, faulty, found))
        self.model = explained
        self.check_claims(batch, results, fault)
        for label in set(self.claims) - set(self.model.claims):
            del self.claims[label]
        for label, claim in self.model.claims.items():
            # What a worker has seen by now may differ between orders that are alike in all else.
            claim.seen, claim.lost = self.claims[label].body["v"], self.claims[label].lost
        self.is_sound = True

    def made_possible(self, wanted: list[Op]) -> list[Op]:
        """Let what is done with a claim mean one there is; nobody does two things with one claim at once."""
        batch: list[Op] = []
        used: set[int] = set()
        for op in wanted:
            labels = sorted(self.model.claims)
            if not labels and op.name in ENDINGS:
                op = op._replace(name="claim_delivery")
            if op.name not in ENDINGS:
                known = self.model.charges.get(self.slots[op.charge])
                if known is not None and known.next is None and op.how % 4:
                    self.slots[op.charge] = self.sell()  # that one has come to its end
                batch.append(op._replace(who=op.who % WORKERS, charge=self.slots[op.charge]))
                continue
            label = labels[op.who % len(labels)]
            if label in used:
                continue
            used.add(label)
            claim = self.model.claims[label]
            is_done = claim.step == "send_refund" and self.model.charges[claim.charge].state == "delivered"
            choices = SETTLEMENTS["send_refund of what is delivered" if is_done else claim.step]
            how: Any = tuple(choices[op.how % len(choices)].items())
            if op.name == "advance":
                how = tuple(ADVANCES[claim.step].items())
            elif op.name == "give_back":
                cancelled = claim.step == "deliver" and op.how % 3 == 0
                delayed = claim.step == "send_refund" and op.how % 2 == 0
                back: tuple[tuple[str, Any], ...] = ()
                back += (("attempts", self.model.charges[claim.charge].attempts - 1),) if cancelled else ()
                back += (("trouble", "refund_delayed"),) if delayed else ()
                how = (DELAYS[op.how % len(DELAYS)], back)
            batch.append(Op(op.name, label, claim.charge, how))
        return batch

    def held_by(self, op: Op) -> list[int]:
        return [label for label in self.model.held if self.model.claims[label].worker == op.who] * (op.name == "renew")

    async def perform(self, batch: list[tuple[Op, int]], fault: Fault | None, nested: bool) -> list[Result]:
        wires = {self.worker_of(op): self.wires[self.worker_of(op)] for op, _ in batch}
        for wire in wires.values():
            wire.fault = fault
        try:
            if not nested or len(batch) < 2:
                return list(await asyncio.gather(*(self.attempt(op, label) for op, label in batch)))
            others: list[Result] = []

            async def other() -> None:
                others.append(await self.attempt(*batch[1]))

            wire = self.wires[self.worker_of(batch[0][0])]
            wire.between = other
            first = await self.attempt(*batch[0])
            if wire.between is not None:  # it wrote nothing
                wire.between = None
                await other()
            return [first, *others]
        finally:
            for wire in wires.values():
                wire.fault = None

    def worker_of(self, op: Op) -> int:
        return self.model.claims[op.who].worker if op.name in ENDINGS else op.who

    async def attempt(self, op: Op, label: int) -> Result:
        try:
            return await self.call(op, label)
        except ConnectionError:
            return Failed

    async def call(self, op: Op, label: int) -> Result:
        if op.name in ENDINGS:
            claim, worker = self.claims[op.who], self.workers[self.worker_of(op)]
            if op.name == "give_back":
                delay, more = op.how
                return await worker.give_back(claim, delay=delay, **dict(more))
            return await getattr(worker, op.name)(claim, **dict(op.how))
        worker, facts = self.workers[op.who], self.facts[op.charge]
        key = RecordKey(self.bot, CHARGE, self.names[op.charge])
        if op.name == "renew":
            return await worker.leases._renew_all()
        if op.name in ("note", "note_refund"):
            return await getattr(worker, op.name)(self.bot, facts)
        if op.name in ("claim_delivery", "claim_refund", "claim"):
            if op.name == "claim":
                claim_or_none = await worker.claim(self.bot, key.name, hurry=bool(op.how % 2))
            else:
                claim_or_none = await getattr(worker, op.name)(self.bot, facts)
            if claim_or_none is None:
                return None
            self.claims[label] = claim_or_none
            self.labels[claim_or_none.id] = label
            body = claim_or_none.body
            return "claim", claim_or_none.step, *(body.get(name, 0) for name in ("attempts", "sends", "tells"))
        if op.name == "mark_refunded":
            return await worker.mark_refunded(key) is not None
        done = False

        def change(known: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal done
            refund = known.get("refund")
            done = refund is None and known["state"] not in NEVER_AGAIN
            return {
                "request_refund": None if refund else {"refund": "requested"},
                # Only what is still being delivered has a handler whose own refund may be refused.
                "withdraw_refund": {"refund": None} if refund == "requested" and known["state"] == "paid" else None,
                "redeliver": {"state": "paid"} if done else None,
            }[op.name]

        known = await worker.change(key, change)
        return done if op.name == "redeliver" else known is not None

    # Looking

    async def look(self, batch: list[tuple[Op, int]] | None = None) -> dict[str, Any]:
        """Return what the ledger tells of the charges that are acted on, or of all there ever were."""
        today = day_of(self.clock.now)
        self.days.add(today)
        numbers, days = [*range(len(self.facts))], sorted(self.days)
        if batch is not None:
            numbers, days = sorted({*self.slots, *(op.charge for op, _ in batch)}), sorted({today, *self.days_of_sales})
        counts = zip(days, await self.reader.tallies(self.bot, days), strict=True)
        return {
            "days": days,
            "rows": {
                number: await self.engine.peek(RecordKey(self.bot, CHARGE, self.names[number])) for number in numbers
            },
            "due": await self.reader.due(self.bot, limit=100),
            "waiting": [body["charge"] for body in await self.reader.waiting(self.bot, limit=100)],
            "histories": [
                [body["charge"] for body in await self.reader.history(self.bot, buyer, limit=100, offset=0)]
                for buyer in BUYERS
            ],
            "tallies": {(day, name): number for day, told in counts for name, number in told.items()},
        }

    def learn(self, found: dict[str, Any], batch: list[tuple[Op, int]], results: list[Result]) -> None:
        """Whose claim it is that nobody was told of: the one whose reply was lost."""
        holders = [row.body.get("holder") for row in found["rows"].values() if row is not None]
        for holder in holders:
            if holder is not None and holder not in self.labels:
                (label,) = [label for (_, label), result in zip(batch, results, strict=True) if result is Failed]
                self.labels[holder] = label

    def differences(self, model: Model, found: dict[str, Any]) -> list[str]:
        """Return in what the ledger is not what the model says."""
        wrong: list[str] = []

        def compare(what: str, told: object, expected: object) -> None:
            if told != expected:
                wrong.append(f"{what} is {told!r}, not {expected!r}")

        for number, row in found["rows"].items():
            charge = model.charges.get(number)
            if row is None or charge is None:
                compare(f"charge {number}", row, charge)
                continue
            body, told = row.body, f"charge {number}: "
            compare(told + "time", row.due_in, None if charge.due is None else charge.due - model.now)
            compare(told + "version", body["v"], charge.version)
            compare(told + "holder", self.labels.get(body.get("holder")), charge.holder)
            compare(told + "free", body["free"], charge.free)
            for name in ("state", "refund", "trouble"):
                compare(told + name, body.get(name), getattr(charge, name))
            for name in ("attempts", "sends", "tells"):
                compare(told + name, body.get(name, 0), getattr(charge, name))
            compare(told + "facts", {name: body.get(name) for name in self.facts[number]}, self.facts[number])
        for label, claim in model.claims.items():
            if (held := self.claims.get(label)) is not None and not claim.lost:
                # What a worker knows of a charge it holds decides what it does next, as much as the ledger does.
                compare(f"the next step of claim {label}", held.step, claim.step)
                compare(f"the version that claim {label} knows", held.body["v"], claim.seen)
        by_name = {self.names[number]: charge for number, charge in model.charges.items()}
        by_charge = {self.facts[number]["charge"]: charge for number, charge in model.charges.items()}
        due = sorted(charge.due for charge in by_name.values() if charge.due is not None and charge.due <= model.now)
        compare("what is due", [by_name[name].due if name in by_name else name for name in found["due"]], due)
        waiting = sorted(charge.waits_since for charge in by_name.values() if charge.waits_since is not None)
        compare("what waits", [by_charge[charge].waits_since for charge in found["waiting"]], waiting)
        compare("each once", len(set(found["due"])) + len(set(found["waiting"])), len(due) + len(waiting))
        for buyer, history in zip(BUYERS, found["histories"], strict=True):
            bought = [number for number, charge in model.charges.items() if charge.buyer == buyer]
            if self.backend.sorts:
                bought.sort(key=lambda number: float(self.facts[number]["at"]))
            compare(f"the history of {buyer}", history, [self.facts[number]["charge"] for number in bought[::-1]])
        counted = {(day, name): number for (day, name), number in model.counts.items() if day in found["days"]}
        compare("the report", found["tallies"], counted)
        return wrong

    def difference(self, batch: list[tuple[Op, int]], fault: Fault | None, found: dict[str, Any]) -> str:
        """Return what is wrong with it if it was done in order."""
        after = self.model.copied()
        results = [play(after, op, label, fault) for op, label in batch]
        return f"in order: {results}; " + "; ".join(self.differences(after, found))

    def check_claims(self, batch: list[tuple[Op, int]], results: list[Result], fault: Fault | None) -> None:
        """Hold the promises against what happened, whatever the model thinks."""
        now = self.clock.now
        for op, _ in batch:
            if op.name in ("settle", "give_back"):
                self.leases.pop(op.who, None)
        for (op, label), result in zip(batch, results, strict=True):
            if isinstance(result, tuple):
                others = [
                    other
                    for other, claim in self.claims.items()
                    if other != label and claim.key == self.claims[label].key and self.leases.get(other, 0) > now
                ]
                assert not others, f"{op} took a charge that {others} hold"
                assert result[1] != "deliver" or op.charge not in self.ended, f"{op} delivers what is settled"
                self.leases[label] = now + LEASE
            if (op.name == "renew" and fault is not Fault.BEFORE) or (op.name == "advance" and result is True):
                for other in [op.who] if op.name == "advance" else self.held_by(op):
                    if self.claims[other].id == self.holder_of(other):
                        self.leases[other] = now + LEASE
        for number, charge in self.model.charges.items():
            if charge.state == "delivered" or charge.is_refunded:
                self.ended.add(number)

    def holder_of(self, label: int) -> str | None:
        holder = self.model.charges[self.model.claims[label].charge].holder
        return next((name for name, known in self.labels.items() if known == holder), None)

    @invariant()
    def every_recorded_charge_is_found(self) -> None:
        if not hasattr(self, "model"):
            return
        for number in [next(self.turns) % len(self.facts)]:
            if number not in self.model.charges:
                continue
            facts = self.facts[number]
            for ask in (
                lambda facts=facts: self.reader.find(self.bot, facts["charge"]),
                lambda facts=facts: self.reader.find(self.bot, facts["charge"], facts["user"]),
                lambda number=number: self.reader.find(self.bot, self.names[number]),
            ):
                found = self.run(ask())
                assert found is not None and found[1]["charge"] == facts["charge"]

    def teardown(self) -> None:
        if hasattr(self, "model"):
            try:
                if self.is_sound:
                    self.run(self.wind_up())
            finally:
                for worker in self.workers:
                    worker.leases.close()

    async def wind_up(self) -> None:
        """Whatever happened before, a worker that finds the ledger so brings every charge to its end, once."""
        worker = Charges(self.engine, self.clock, lease=LEASE)
        try:
            for _ in range(20 * len(self.facts)):
                self.clock.now += 1000.0
                names = await worker.due(self.bot, limit=100)
                if not names:
                    break
                for name in names:
                    claim = await worker.claim(self.bot, name)
                    assert claim is not None, "what is due can be claimed"
                    if claim.step == "deliver":
                        assert await worker.settle(claim, state="delivered")
                        continue
                    if claim.step == "send_refund":
                        assert await worker.advance(claim, refund="refunded")
                    assert await worker.settle(claim, refund="announced")
            found = await self.look()
            assert found["due"] == []
            recorded = [row.body for row in found["rows"].values() if row is not None]
            assert len(recorded) == len(self.model.charges)
            assert [next_step(body) for body in recorded] == [None] * len(recorded)
            listed = [charge for history in found["histories"] for charge in history]
            assert sorted(listed) == sorted(body["charge"] for body in recorded)
            refunded = [body for body in recorded if body.get("refund")]
            sums = {
                counter: sum(number for (_, name), number in found["tallies"].items() if name.endswith(f":{counter}"))
                for counter in ("count", "stars", "refunds", "returned")
            }
            assert sums == {
                "count": len(recorded),
                "stars": sum(body["amount"] for body in recorded),
                "refunds": len(refunded),
                "returned": sum(body["amount"] for body in refunded),
            }
            for facts in self.facts:
                if any(body["charge"] == facts["charge"] for body in recorded):
                    assert await worker.claim_delivery(self.bot, facts) is None, "what is settled is never delivered"
        finally:
            worker.leases.close()

    def run(self, work: Awaitable[T]) -> T:
        async def whole() -> T:
            return await work

        return self.loop.run_until_complete(asyncio.wait_for(whole(), 20.0))


def play(model: Model, op: Op, label: int, fault: Fault | None) -> Result:
    """Do all of an operation in the model and return what the caller gets."""
    model.fault = fault
    running, results = [model.begin(op, label)], []
    while running:
        ended, result = step(running, 0)
        if ended:
            results.append(result)
            del running[0]
    model.fault = None
    return results[0]


def step(running: list[Steps], number: int) -> tuple[bool, Result]:
    """Do one atomic step of one of several operations; return whether it was the last, and the operation's result."""
    try:
        running += next(running[number]) or ()
    except StopIteration as end:
        return True, end.value
    except Failed:
        return True, Failed
    return False, None


def place_of(steps: Steps) -> tuple[object, ...]:
    """Return where an operation stands: line by line, with what it remembers there."""
    places: list[object] = []
    inner: Any = steps
    while inner is not None and (frame := inner.gi_frame) is not None:
        remembered = {name: value for name, value in frame.f_locals.items() if isinstance(value, (int, str, dict))}
        places.append((frame.f_lasti, repr(remembered)))
        inner = inner.gi_yieldfrom
    return tuple(places)


def explain(
    model: Model,
    batch: list[tuple[Op, int]],
    results: list[Result],
    fault: Fault | None,
    is_explained: Callable[[Model], bool],
) -> Model | None:
    """Return the model after some order of the operations' steps that gives these results and what was found."""
    if len(batch) == 1 and fault is not None:
        after = model.copied()
        result = play(after, *batch[0], fault)
        return after if result == results[0] and is_explained(after) else None
    tried: set[object] = set()

    def search(order: list[int]) -> Model | None:
        after = model.copied()
        running = [after.begin(op, label) for op, label in batch]
        done: dict[int, Result] = {}
        for number in order:
            ended, result = step(running, number)
            if ended:
                done[number] = result
        if any(results[number] != result for number, result in done.items() if number < len(batch)):
            return None
        if len(done) == len(running):
            return after if is_explained(after) else None
        # Many orders come to the same; what can still follow is looked at once.
        stand = (
            repr((after.charges, after.claims, after.held)),
            frozenset(done),
            *(place_of(steps) for steps in running),
        )
        if stand in tried or len(order) == MOST_STEPS:  # two that repeat their writes can overtake each other for ever
            return None
        tried.add(stand)
        for number in range(len(running)):
            if number not in done and (explained := search([*order, number])) is not None:
                return explained
        return None

    return search([])


def prove(make: Callable[[AsyncExitStack], Backend], examples: int) -> None:
    """Run the machine on one kind of storage."""

    loop = asyncio.new_event_loop()
    closing = AsyncExitStack()
    try:
        machine = type("Machine", (LedgerMachine,), {"loop": loop, "backend": make(closing)})
        run_state_machine_as_test(machine, settings=effort(examples, stateful_step_count=100 if LONG else 40))
    finally:
        loop.run_until_complete(closing.aclose())
        loop.close()


def test_in_memory() -> None:
    prove(lambda closing: InMemory(), 120)


def test_in_any_storage() -> None:
    prove(lambda closing: Generic(), 40)


def test_in_a_file(tmp_path: Path) -> None:
    prove(lambda closing: InFile(tmp_path, closing), 25)


@pytest.mark.redis
def test_in_redis(redis_url: str) -> None:
    prove(lambda closing: InRedis(redis_url, closing), 25)
