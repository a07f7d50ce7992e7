"""Calls of a storage end, whether it answers or not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiogram_neonpay.errors import LedgerError
from aiogram_neonpay.ledger import LedgerEngine
from aiogram_neonpay.ledger.base import Row, Write
from aiogram_neonpay.ledger.charges import DELIVERED, Charges
from aiogram_neonpay.ledger.timed import TimedEngine, in_time
from tests.ledger.engines import BUYER, Engine, HangingEngine, Ledger, paid, version

pytestmark = pytest.mark.asyncio


class Slow(Engine):
    """Raises a timeout of its own."""

    async def write(self, change: Write) -> Row | None:
        raise TimeoutError("by the client")


class Deaf(Engine):
    """Answers nothing."""

    async def hang(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.Event().wait()

    read = peek = due = write = probe = hang


def timed(engine: LedgerEngine, seconds: float = 0.05) -> TimedEngine:
    return TimedEngine(engine, seconds)


async def test_what_answers_in_time_is_passed_on(ledger: Ledger) -> None:
    engine = timed(ledger.engine, 5.0)
    write = Write(ledger.charge(), version(1, a=1), 0, due_in=0.0, owner=BUYER, recorded_at=1.0)

    assert await engine.write(write) is None
    assert [row and row.body["a"] for row in await engine.read([write.key])] == [1]
    row = await engine.peek(write.key)
    assert row is not None and row.body["a"] == 1
    assert await engine.due(ledger.bot_id, limit=5) == [write.key.name]
    assert await engine.history(ledger.bot_id, BUYER, limit=5, offset=0) == [write.key.name]
    assert engine.durable is ledger.engine.durable


@pytest.mark.parametrize("call", ["write", "read", "peek", "due", "probe"])
async def test_a_call_that_never_ends_is_given_up(ledger: Ledger, call: str) -> None:
    arguments: dict[str, Any] = {
        "write": lambda engine: engine.write(Write(ledger.charge(), version(1), 0)),
        "read": lambda engine: engine.read([ledger.charge()]),
        "peek": lambda engine: engine.peek(ledger.charge()),
        "due": lambda engine: engine.due(ledger.bot_id, limit=1),
        "probe": lambda engine: engine.probe(),
    }

    with pytest.raises(LedgerError, match=r"has not answered within 0\.05 s"):
        await arguments[call](timed(Deaf(ledger.engine)))


async def test_a_timeout_of_the_clients_own_is_passed_on(ledger: Ledger) -> None:
    with pytest.raises(TimeoutError, match="by the client"):
        await timed(Slow(ledger.engine)).write(Write(ledger.charge(), version(1), 0))


async def test_a_cancelled_caller_stays_cancelled(ledger: Ledger) -> None:
    task = asyncio.ensure_future(timed(Deaf(ledger.engine), 5.0).peek(ledger.charge()))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_settlement_that_was_given_up_can_be_repeated(ledger: Ledger) -> None:
    hanging = HangingEngine(ledger.connect())
    charges, impatient = Charges(hanging), Charges(timed(hanging))
    held = await charges.claim_delivery(ledger.bot_id, paid())
    assert held is not None
    hanging.hanging = {held.key}
    with pytest.raises(LedgerError):
        await impatient.settle(held, state=DELIVERED)
    hanging.hanging = set()

    assert await charges.settle(held, state=DELIVERED)
    charges.leases.close()


async def test_only_what_waits_gets_a_limit(ledger: Ledger) -> None:
    engine = in_time(ledger.engine)

    assert (engine is ledger.engine) is (ledger.engine.patience is None)
