"""The storages that the ledger is tested on, and engines that misbehave on order."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiogram.fsm.state import State
from aiogram.fsm.storage.base import BaseStorage, StateType, StorageKey

from aiogram_neonpay.ledger import LedgerEngine
from aiogram_neonpay.ledger.base import CHARGE, INVOICE, RecordKey, Row, Write, new_nonce, partition_of
from aiogram_neonpay.ledger.charges import LEASE, Charges
from aiogram_neonpay.ledger.invoices import StoredInvoices

T = TypeVar("T")

BUYER = 1001
PAID_AT = 1_800_000_000
ODD_CHARGE_IDS = {
    "longer than 128 characters": "stx" + "Q7_-" * 60,
    "base64": "stx+/+/=" * 4,
    "separators of keys": "a:b-c{d}e:f-g,h|i~j",
    "not ASCII": "заряд-⭐-\N{MONEY BAG}",
    "control characters": "a\x00b\nc\td",
    "of a reference's form": "0123456789abcdef0",
    "one character": "x",
}

_bots = itertools.count(7_000_000, 10)
"""Ids of bots; the next few after each are free for tests of several bots."""


class JsonStorage(BaseStorage):
    """A storage behind a network, as it were: keeps JSON text, and lets go of the event loop at random in every call.

    :ivar calls: how many calls it took.
    :ivar fail_at: the number of the call that is to raise, counted from 1.
    :ivar fail_after: whether that call has its effect before it raises.
    """

    def __init__(self, seed: int = 0) -> None:
        self.texts: dict[StorageKey, str] = {}
        self.states: dict[StorageKey, str | None] = {}
        self.calls = 0
        self.fail_at: int | None = None
        self.fail_after = False
        self._random = random.Random(seed)

    async def _wander(self) -> None:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)
        if self._random.random() < 0.1:
            await asyncio.sleep(self._random.uniform(0, 0.001))

    async def _perform(self, effect: Callable[[], T]) -> T:
        self.calls += 1
        fails = self.calls == self.fail_at
        await self._wander()
        if fails and not self.fail_after:
            raise ConnectionError("the storage is gone")
        result = effect()
        if fails:
            raise ConnectionError("the storage is gone")
        await self._wander()
        return result

    async def set_state(self, key: StorageKey, state: StateType = None) -> None:
        name = state.state if isinstance(state, State) else state
        await self._perform(lambda: self.states.__setitem__(key, name))

    async def get_state(self, key: StorageKey) -> str | None:
        return await self._perform(lambda: self.states.get(key))

    async def set_data(self, key: StorageKey, data: Mapping[str, Any]) -> None:
        text = json.dumps(data)
        await self._perform(lambda: self.texts.__setitem__(key, text))

    async def get_data(self, key: StorageKey) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(await self._perform(lambda: self.texts.get(key, "{}")))
        return data

    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class Ledger:
    """One storage and a bot of its own on it.

    :ivar connect: opens a further engine on the storage, as another worker would.
    """

    connect: Callable[[], LedgerEngine]
    closing: AsyncExitStack
    bot_id: int = field(default_factory=lambda: next(_bots))

    def __post_init__(self) -> None:
        self.engine = self.connect()

    def charges(self, engine: LedgerEngine | None = None, *, lease: float = LEASE) -> Charges:
        """Return the charges as a worker of their own sees them."""
        charges = Charges(engine or self.connect(), lease=lease)
        self.closing.callback(charges.leases.close)
        return charges

    def invoices(self, engine: LedgerEngine | None = None) -> StoredInvoices:
        """Return the stored invoices as a worker of their own sees them."""
        return StoredInvoices(engine or self.connect())

    def charge(self, name: str = f"{partition_of(BUYER):x}{0:016x}") -> RecordKey:
        return RecordKey(self.bot_id, CHARGE, name)

    def invoice(self, name: str = "a" * 18) -> RecordKey:
        return RecordKey(self.bot_id, INVOICE, name)

    async def body(self, key: RecordKey) -> dict[str, Any] | None:
        """Return what the storage holds under a key."""
        row = (await self.engine.read([key]))[0]
        return None if row is None else row.body

    async def expire(self, key: RecordKey) -> None:
        """Make a record want attention now, as if its lease had ended."""
        await expire(self.engine, key)

    async def due_in(self, key: RecordKey) -> float | None:
        """Return when an existing record wants attention."""
        row = await self.engine.write(Write(key, version(1), 0))
        assert row is not None, "there is no such record"
        return row.due_in


class Engine:
    """An engine that passes everything on; others are made from it."""

    def __init__(self, engine: LedgerEngine) -> None:
        self._engine = engine
        self.durable = engine.durable
        self.patience = engine.patience

    async def probe(self) -> None:
        await self._engine.probe()

    async def write(self, change: Write) -> Row | None:
        return await self._engine.write(change)

    async def peek(self, key: RecordKey) -> Row | None:
        return await self._engine.peek(key)

    async def due(self, bot_id: int, *, limit: int) -> list[str]:
        return await self._engine.due(bot_id, limit=limit)

    async def tallies(self, bot_id: int, buckets: Sequence[str]) -> list[dict[str, int]]:
        return await self._engine.tallies(bot_id, buckets)

    async def read(self, keys: Sequence[RecordKey]) -> list[Row | None]:
        return await self._engine.read(keys)

    async def history(self, bot_id: int, owner: int, *, limit: int, offset: int) -> list[str]:
        return await self._engine.history(bot_id, owner, limit=limit, offset=offset)

    async def waiting(self, bot_id: int, *, limit: int) -> list[str]:
        return await self._engine.waiting(bot_id, limit=limit)


class RepeatingEngine(Engine):
    """Sends every write twice, as a client does whose reply was lost.

    :ivar between: what happens once, after a write that was applied and before it is sent again.
    """

    def __init__(self, engine: LedgerEngine) -> None:
        super().__init__(engine)
        self.between: Callable[[], Awaitable[object]] | None = None

    async def write(self, change: Write) -> Row | None:
        refused = await self._engine.write(change)
        if refused is None and self.between is not None:
            between, self.between = self.between, None
            await between()
        return await self._engine.write(change)


class HeldUpEngine(Engine):
    """Holds one write up, once it is told to, until it is let go.

    :ivar held: the record whose write is held up.
    """

    def __init__(self, engine: LedgerEngine) -> None:
        super().__init__(engine)
        self.armed = False
        self.held: RecordKey | None = None
        self.go = asyncio.Event()

    async def write(self, change: Write) -> Row | None:
        if self.armed:
            self.armed = False
            self.held = change.key
            await self.go.wait()
        return await super().write(change)


class HangingEngine(Engine):
    """Never answers a write of some records, as when their part of the storage is away.

    :ivar hanging: these.
    """

    def __init__(self, engine: LedgerEngine) -> None:
        super().__init__(engine)
        self.hanging: set[RecordKey] = set()

    async def write(self, change: Write) -> Row | None:
        if change.key in self.hanging:
            await asyncio.Event().wait()
        return await super().write(change)


class DyingEngine(Engine):
    """Raises at the write with a number, counted from 1.

    :param applied: whether that write has its effect.
    """

    def __init__(self, engine: LedgerEngine, at: int, *, applied: bool = False) -> None:
        super().__init__(engine)
        self._left = at
        self._applied = applied

    async def write(self, change: Write) -> Row | None:
        self._left -= 1
        if self._left:
            return await super().write(change)
        if self._applied:
            await super().write(change)
        raise ConnectionError("the storage is gone")


def version(number: int, nonce: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a record's body."""
    return {"v": number, "n": nonce or new_nonce(), **fields}


def paid(charge: str = "stxCharge", user: int = BUYER, **facts: Any) -> dict[str, Any]:
    """Return what is known of a paid charge."""
    return {"charge": charge, "user": user, "chat": user, "amount": 25, "currency": "XTR", "at": PAID_AT, **facts}


async def expire(engine: LedgerEngine, key: RecordKey) -> None:
    """Make a record want attention now, as if its lease had ended."""
    row = (await engine.read([key]))[0]
    while row is not None:
        late = {**row.body, "v": row.body["v"] + 1, "n": new_nonce()}
        row = await engine.write(Write(key, late, row.body["v"], due_in=0.0))


async def eventually(ask: Callable[[], Awaitable[T]], patience: float = 10.0) -> T:
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + patience
    while not (answer := await ask()):
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.005)
    return answer
