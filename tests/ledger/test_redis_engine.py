"""What only Redis can promise: scripts that survive, one slot per change, two round trips per payment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from aiogram.fsm.storage.redis import RedisStorage
from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import ConnectionError as LostConnection

from aiogram_neonpay.errors import LedgerError
from aiogram_neonpay.ledger import open_engine
from aiogram_neonpay.ledger.base import CHARGE, INVOICE, RecordKey, Write, storage_key
from aiogram_neonpay.ledger.charges import ANNOUNCED, DELIVERED, STUCK, Charges
from aiogram_neonpay.ledger.invoices import StoredInvoices
from aiogram_neonpay.ledger.redis import NeonPayKeyBuilder, RedisEngine
from tests.ledger.engines import BUYER, PAID_AT, paid, version
from tests.ledger.watching import Command, Line, commands_of
from tests.redis_server import RedisServer, has_redis

pytestmark = [pytest.mark.asyncio, pytest.mark.redis]

BOT = 42
METADATA: dict[str, Any] = {"empty": [], "object": {}, "nested": [[], [{}]], "large": 2**63 + 1, "small": 0.1}
INVOICE_RECORD = {
    "invoice": "a" * 18,
    "issued": PAID_AT,
    "forget_at": PAID_AT + 600,
    "key": "order 7",
    "content": "c",
    "metadata": METADATA,
}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of the test's own, to be killed and restarted."""
    if not has_redis():
        pytest.skip("there is no redis-server on PATH")
    with RedisServer() as server:
        yield server


@pytest_asyncio.fixture
async def line(redis_url: str, redis: Redis) -> AsyncIterator[Line]:
    """A watched client whose script is loaded and whose connection is made."""
    line = Line(redis_url)
    await RedisEngine(line.client).write(Write(RecordKey(BOT, INVOICE, "warm"), version(1), 0))
    yield line
    await line.client.aclose()


async def pay(charges: Charges, **facts: Any) -> RecordKey:
    """Carry a payment through its whole life in the ledger."""
    held = await charges.claim_delivery(BOT, paid(**facts))
    assert held is not None
    assert await charges.settle(held, state=DELIVERED)
    return held.key


async def do_everything(engine: RedisEngine) -> None:
    """Do all that the ledger ever does."""
    charges, invoices = Charges(engine), StoredInvoices(engine)
    key = await pay(charges, metadata=METADATA)
    await charges.change(key, lambda known: {"refund": "requested"})
    announcement = await charges.claim_refund(BOT, paid())
    assert announcement is not None
    await charges.give_back(announcement)
    announcement = await charges.claim_refund(BOT, paid())
    assert announcement is not None
    await charges.settle(announcement, refund=ANNOUNCED)
    held = await charges.claim_delivery(BOT, paid("stxStuck"))
    assert held is not None
    await charges.settle(held, state=STUCK)
    assert len(await charges.waiting(BOT, limit=10)) == 1
    assert len(await charges.history(BOT, BUYER, limit=10, offset=0)) == 2
    assert await charges.find(BOT, "stxCharge") is not None
    assert await charges.find(BOT, key.name) is not None
    await invoices.create(BOT, INVOICE_RECORD, ttl=600)
    assert await invoices.id_of_key(BOT, "order 7") is not None
    await invoices.note_payment(BOT, "a" * 18, BUYER, key.name)
    record = await invoices.note_payment(BOT, "a" * 18, BUYER + 1, "ref-2")
    assert record is not None
    assert await invoices.charge_of(BOT, record, BUYER + 1) == "ref-2"


# Scripts


async def test_scripts_survive_a_script_flush_in_the_middle_of_a_payment(redis: Redis) -> None:
    charges = Charges(RedisEngine(redis))
    held = await charges.claim_delivery(BOT, paid())
    assert held is not None
    await redis.script_flush()

    assert await charges.settle(held, state=DELIVERED)
    await redis.script_flush()
    assert await charges.claim_delivery(BOT, paid()) is None


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_a_restart_of_the_server_in_the_middle_of_a_payment_loses_nothing(server: RedisServer, how: str) -> None:
    line = Line(server.url)
    charges, other = Charges(RedisEngine(line.client)), Charges(RedisEngine(line.client))
    held = await charges.claim_delivery(BOT, paid(metadata=METADATA))
    assert held is not None
    getattr(server, how)()
    with pytest.raises(LostConnection):
        await charges.settle(held, state=DELIVERED)
    with pytest.raises(LostConnection):
        await other.claim_delivery(BOT, paid("stxLater"))
    server.start()

    assert await other.claim_delivery(BOT, paid()) is None, "the lease outlives the restart"
    assert await charges.settle(held, state=DELIVERED)
    assert await other.claim_delivery(BOT, paid()) is None
    assert await other.claim_delivery(BOT, paid("stxLater")) is not None
    found = await other.find(BOT, "stxCharge")
    assert found is not None and found[1]["metadata"] == METADATA
    await line.client.aclose()


async def test_a_script_called_twice_with_the_same_arguments_answers_the_same(redis: Redis) -> None:
    engine = RedisEngine(redis)
    key = RecordKey(BOT, CHARGE, "9" + "0" * 16)
    write = Write(key, version(1), 0, due_in=60.0, owner=BUYER, recorded_at=float(PAID_AT))

    async def twice() -> None:
        assert await engine.write(write) is None
        assert await engine.write(write) is None

    await engine.write(Write(RecordKey(BOT, INVOICE, "warm"), version(1), 0))
    sent = [one for one in await commands_of(redis, twice) if one.name == "EVALSHA"]

    assert len(sent) == 2 and sent[0] == sent[1]
    assert await redis.zcard(f"np:{{{BOT}:9}}:hist:{BUYER}") == 1


async def test_the_winner_of_a_claim_whose_reply_was_lost_is_still_the_winner(line: Line) -> None:
    charges = Charges(RedisEngine(line.client))
    line.lose = 1
    held = await charges.claim_delivery(BOT, paid())

    assert line.lose == 0
    assert held is not None and held.body["attempts"] == 1
    line.lose = 2
    assert await charges.settle(held, state=DELIVERED)
    assert line.lose == 0
    assert await charges.claim_delivery(BOT, paid()) is None


# What lies in Redis


async def test_a_record_is_json_that_no_script_has_touched(redis: Redis) -> None:
    charges = Charges(RedisEngine(redis))
    key = await pay(charges, metadata=METADATA)
    await charges.change(key, lambda known: {"note": "⭐"})

    text = (await redis.get(NeonPayKeyBuilder().record(key))).decode()

    assert '"metadata":{"empty":[],"object":{},"nested":[[],[{}]],"large":9223372036854775809,"small":0.1}' in text
    assert text.startswith('{"v":3,"n":"')
    assert json.loads(text)["note"] == "⭐"


async def test_aiograms_own_storage_reads_a_record_as_fsm_data(redis: Redis) -> None:
    charges, invoices = Charges(RedisEngine(redis)), StoredInvoices(RedisEngine(redis))
    key = await pay(charges, metadata=METADATA)
    made = await invoices.create(BOT, INVOICE_RECORD, ttl=600)
    storage = RedisStorage(redis, key_builder=NeonPayKeyBuilder())

    data = await storage.get_data(storage_key(key))

    assert data.items() >= {**paid(metadata=METADATA), "state": DELIVERED}.items()
    assert await storage.get_data(storage_key(RecordKey(BOT, INVOICE, "a" * 18))) == made


async def test_state_and_data_of_a_record_have_keys_of_their_own() -> None:
    builder, key = NeonPayKeyBuilder(), storage_key(RecordKey(BOT, CHARGE, "9" + "0" * 16))

    assert builder.build(key, "data") == builder.build(key) == f"np:{{{BOT}:9}}:pay:9{'0' * 16}"
    assert len({builder.build(key, part) for part in ("data", "state", "lock")}) == 3


async def test_engines_with_other_prefixes_do_not_meet(redis: Redis) -> None:
    charges, others = Charges(RedisEngine(redis)), Charges(RedisEngine(redis, prefix="shop"))
    await pay(charges)

    assert await others.claim_delivery(BOT, paid()) is not None
    assert {bytes(key).split(b":")[0] for key in await redis.keys("*")} == {b"np", b"shop"}


async def test_a_key_written_by_something_else_is_told_as_such(redis: Redis) -> None:
    charges = Charges(RedisEngine(redis))
    key = await pay(charges)
    await redis.set(NeonPayKeyBuilder().record(key), "[1]")

    with pytest.raises(LedgerError, match="something else"):
        await charges.find(BOT, key.name)


async def test_a_record_changed_by_something_else_fails_loudly_instead_of_being_tried_for_ever(redis: Redis) -> None:
    charges = Charges(RedisEngine(redis))
    key = await pay(charges)
    storage = RedisStorage(redis, key_builder=NeonPayKeyBuilder())
    await storage.update_data(storage_key(key), {"state": "paid"})

    with pytest.raises(LedgerError, match="changed by something else"):
        await asyncio.wait_for(charges.claim_delivery(BOT, paid()), 20)
    with pytest.raises(LedgerError, match="changed by something else"):
        await asyncio.wait_for(charges.change(key, lambda known: {"note": "x"}), 20)


async def test_a_storage_with_the_default_key_builder_and_a_ttl_loses_nothing(redis: Redis, redis_url: str) -> None:
    storage = RedisStorage.from_url(redis_url, state_ttl=1, data_ttl=1)
    engine = open_engine(storage)
    assert isinstance(engine, RedisEngine) and engine.durable

    await do_everything(engine)

    lifetimes = {bytes(key).decode(): await redis.ttl(key) for key in await redis.keys("*")}
    assert {seconds for key, seconds in lifetimes.items() if ":inv:" not in key} == {-1}
    assert all(seconds > 500 for key, seconds in lifetimes.items() if ":inv:" in key)
    assert all(key.startswith(f"np:{{{BOT}:") for key in lifetimes)
    await storage.close()


# Cost


async def test_all_keys_of_one_change_share_a_hash_slot(redis: Redis) -> None:
    engine = RedisEngine(redis)
    commands = await commands_of(redis, lambda: do_everything(engine))
    changes = [command.script_keys for command in commands if command.name == "EVALSHA"]

    assert len(changes) > 10
    assert max(len(keys) for keys in changes) == 5
    for keys in changes:
        assert len({key_slot(key.encode()) for key in keys}) == 1, keys
    touched = {command.arguments[0] for command in commands if command.by_script and command.name != "TIME"}
    assert touched <= {key for keys in changes for key in keys}, "scripts use only the keys they are given"


async def test_records_of_many_buyers_are_spread_over_slots() -> None:
    builder = NeonPayKeyBuilder()

    slots = {key_slot(builder.slot(BOT, partition).encode()) for partition in range(16)}

    assert len(slots) == 16


async def test_nothing_is_scanned_whatever_the_ledger_does(redis: Redis) -> None:
    engine = RedisEngine(redis)
    await redis.config_resetstat()
    await do_everything(engine)

    ran = {name.removeprefix("cmdstat_").lower() for name in await redis.info("commandstats")}

    expected = {"evalsha", "get", "set", "time", "zadd", "zrem", "zscore", "zrange", "zrevrange", "hincrby"}
    at_first = {"script|load", "config|resetstat", "info", "client|setinfo", "client|setname", "hello", "select"}
    assert expected <= ran
    assert ran <= expected | at_first


async def test_a_payment_costs_two_round_trips_the_first_time_and_the_hundredth(line: Line) -> None:
    charges = Charges(RedisEngine(line.client))

    costs = [await line.cost(pay(charges, charge=f"stx{number}")) for number in range(100)]

    assert set(costs) == {2}


async def test_every_question_costs_one_round_trip_and_one_more_for_the_records(line: Line) -> None:
    charges = Charges(RedisEngine(line.client))
    key = await pay(charges)
    held = await charges.claim_delivery(BOT, paid("stxStuck"))
    assert held is not None
    await charges.settle(held, state=STUCK)

    assert await line.cost(charges.claim_delivery(BOT, paid())) == 1
    assert await line.cost(charges.find(BOT, key.name)) == 1
    assert await line.cost(charges.find(BOT, "stxCharge", BUYER)) == 1
    assert await line.cost(charges.find(BOT, "stxCharge")) == 1
    assert await line.cost(charges.history(BOT, BUYER, limit=10, offset=0)) == 2
    assert await line.cost(charges.waiting(BOT, limit=10)) == 2


async def test_a_payment_reads_no_more_than_its_own_record(redis: Redis) -> None:
    charges = Charges(RedisEngine(redis))
    await pay(charges, charge="stxWarm")

    commands: list[Command] = await commands_of(redis, lambda: pay(charges))

    assert [command.name for command in commands if not command.by_script] == ["EVALSHA", "EVALSHA"]
    assert {command.name for command in commands if command.by_script} == {
        "GET",
        "TIME",
        "SET",
        "ZADD",
        "ZREM",
        "HINCRBY",
    }
