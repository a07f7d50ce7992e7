"""The engine on any FSM storage: crashes at every call, and storages that cannot keep payments."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from aiogram.fsm.storage.base import BaseStorage, DefaultKeyBuilder, StorageKey
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.fsm.storage.redis import RedisStorage
from redis.asyncio import Redis

from aiogram_neonpay.errors import ConfigurationError, LedgerError
from aiogram_neonpay.ledger import open_engine
from aiogram_neonpay.ledger.base import CHARGE, RecordKey, storage_key
from aiogram_neonpay.ledger.charges import DELIVERED, PAID, STUCK, Charges, reference_of
from aiogram_neonpay.ledger.fsm import FSMEngine
from aiogram_neonpay.ledger.memory import MemoryEngine
from aiogram_neonpay.ledger.tallies import day_of
from tests.ledger.engines import BUYER, PAID_AT, JsonStorage, paid

pytestmark = pytest.mark.asyncio

BOT = 42


def names_of(records: list[dict[str, Any]]) -> list[str]:
    return [body["charge"] for body in records]


# Crashes


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after it"])
@pytest.mark.parametrize("already", [0, 100], ids=["first charge", "first of a new chunk"])
async def test_a_storage_that_fails_at_any_call_of_a_payment_loses_nothing(after: bool, already: int) -> None:
    for fail_at in range(1, 100):
        storage = JsonStorage(seed=fail_at)
        charges = Charges(FSMEngine(storage))
        for number in range(already):
            await charges.claim_delivery(BOT, paid(f"stx{number}"))
        storage.fail_at = storage.calls + fail_at
        storage.fail_after = after
        try:
            held = await charges.claim_delivery(BOT, paid())
            assert held is not None
            await charges.settle(held, state=STUCK)
        except ConnectionError:
            pass
        untouched = storage.calls < storage.fail_at
        storage.fail_at = None

        # The next worker comes when the lease has ended.
        worker = Charges(FSMEngine(storage))
        key = RecordKey(BOT, CHARGE, reference_of("stxCharge", BUYER))
        await worker.change(key, lambda known: {"seen": True})
        raw = await storage.get_data(storage_key(key))
        if "due" in raw:
            await storage.set_data(storage_key(key), {**raw, "due": 0})
        again = await worker.claim_delivery(BOT, paid())
        if again is not None:
            await worker.settle(again, state=STUCK)

        history = names_of(await worker.history(BOT, BUYER, limit=500, offset=0))
        assert history.count("stxCharge") == 1
        assert len(history) == already + 1
        assert names_of(await worker.waiting(BOT, limit=10)) == ["stxCharge"]
        [counts] = await worker.tallies(BOT, [day_of(PAID_AT)])
        assert counts[":count"] == already + 1
        charges.leases.close()
        worker.leases.close()
        if untouched:
            assert fail_at > 5, "the payment made fewer calls than there are to fail"
            return
    pytest.fail("a payment makes a hundred calls")


@pytest.mark.parametrize("after", [False, True], ids=["before its effect", "after it"])
async def test_lists_name_nothing_that_was_settled_though_the_storage_failed_at_that(after: bool) -> None:
    for fail_at in range(1, 100):
        storage = JsonStorage(seed=fail_at)
        charges = Charges(FSMEngine(storage))
        held = await charges.claim_delivery(BOT, paid())
        assert held is not None
        await charges.settle(held, state=STUCK)
        await charges.change(held.key, lambda known: {"state": PAID})
        held = await charges.claim(BOT, held.key.name)
        assert held is not None
        storage.fail_at, storage.fail_after = storage.calls + fail_at, after
        with suppress(ConnectionError):
            await charges.settle(held, state=DELIVERED)
        untouched = storage.calls < storage.fail_at
        storage.fail_at = None

        [body] = await charges.history(BOT, BUYER, limit=10, offset=0)
        if body["state"] == DELIVERED:
            assert await charges.waiting(BOT, limit=10) == []
            assert await FSMEngine(storage, lambda: time.time() + 1000).due(BOT, limit=10) == []
        charges.leases.close()
        if untouched:
            assert fail_at > 2, "settling made fewer calls than there are to fail"
            return
    pytest.fail("settling makes a hundred calls")


async def test_a_list_may_name_a_charge_that_a_crash_kept_from_being_recorded() -> None:
    storage = JsonStorage()
    charges = Charges(FSMEngine(storage))
    held = await charges.claim_delivery(BOT, paid())
    assert held is not None
    await charges.settle(held, state=STUCK)
    del storage.texts[storage_key(held.key)]

    assert await charges.history(BOT, BUYER, limit=10, offset=0) == []
    assert await charges.waiting(BOT, limit=10) == []
    assert await charges.find(BOT, "stxCharge") is None


# What lies in the storage


@pytest.mark.parametrize("kind", ["memory", "network"])
async def test_a_record_is_fsm_data_of_its_own_destiny(kind: str) -> None:
    storage: BaseStorage = MemoryStorage() if kind == "memory" else JsonStorage()
    held = await Charges(FSMEngine(storage)).claim_delivery(BOT, paid())
    assert held is not None

    data = await storage.get_data(storage_key(held.key))

    assert data.items() >= held.body.items()
    assert await storage.get_data(StorageKey(bot_id=BOT, chat_id=BUYER, user_id=BUYER)) == {}


@pytest.mark.parametrize("kind", ["memory", "network"])
async def test_no_record_of_a_history_grows_past_a_hundred_names(kind: str) -> None:
    storage: BaseStorage = MemoryStorage() if kind == "memory" else JsonStorage()
    charges = Charges(open_engine(storage))
    for number in range(250):
        await charges.claim_delivery(BOT, paid(f"stx{number}"))

    keys = list(storage.storage) if isinstance(storage, MemoryStorage) else list(storage.texts)  # type: ignore[attr-defined]
    sizes = [len(data["names"]) for key in keys if "names" in (data := await storage.get_data(key))]

    assert sorted(sizes) == [50, 100, 100]


async def test_two_bots_are_told_apart_by_a_key_builder_that_leaves_the_bot_out() -> None:
    builder = DefaultKeyBuilder(with_destiny=True)
    keys = [storage_key(RecordKey(bot_id, CHARGE, "0" * 17)) for bot_id in (1, 2)]

    assert builder.build(keys[0], "data") != builder.build(keys[1], "data")


async def test_what_is_asked_of_a_memory_storage_leaves_no_entries_behind() -> None:
    storage = MemoryStorage()
    charges = Charges(open_engine(storage))

    await charges.find(BOT, "stxUnknown")
    await charges.history(BOT, BUYER, limit=10, offset=0)
    await charges.waiting(BOT, limit=10)

    assert storage.storage == {}


# Choosing and probing


async def test_the_engine_fits_the_storage() -> None:
    class Patient(MemoryStorage):
        """Keeps data in memory in a way of its own, which only its own methods know."""

    assert type(open_engine(MemoryStorage())) is MemoryEngine
    assert type(open_engine(Patient())) is FSMEngine
    assert type(open_engine(JsonStorage())) is FSMEngine
    assert not open_engine(MemoryStorage()).durable
    assert not open_engine(Patient()).durable
    assert open_engine(JsonStorage()).durable


async def test_both_engines_for_a_memory_storage_find_each_others_records() -> None:
    storage = MemoryStorage()
    workers = [Charges(MemoryEngine(storage)), Charges(FSMEngine(storage))]
    for number in range(230):
        held = await workers[number % 2].claim_delivery(BOT, paid(f"stx{number}"))
        assert held is not None
        await workers[number % 2].settle(held, state=DELIVERED if number % 50 else STUCK)

    for worker in workers:
        history = names_of(await worker.history(BOT, BUYER, limit=500, offset=0))
        assert history == [f"stx{number}" for number in reversed(range(230))]
        assert names_of(await worker.waiting(BOT, limit=10)) == [f"stx{number}" for number in range(0, 230, 50)]


@pytest.mark.parametrize("kind", ["memory", "network"])
async def test_a_storage_that_keeps_data_passes_the_probe_and_keeps_nothing_of_it(kind: str) -> None:
    storage: BaseStorage = MemoryStorage() if kind == "memory" else JsonStorage()
    for _ in range(2):
        await FSMEngine(storage).probe()

    assert await storage.get_data(StorageKey(bot_id=0, chat_id=0, user_id=0, destiny="neonpay-probe")) == {}


@pytest.mark.redis
async def test_a_key_builder_without_destiny_is_refused_with_the_line_to_change(redis: Redis) -> None:
    storage = RedisStorage(redis)

    with pytest.raises(ConfigurationError) as caught:
        await FSMEngine(storage).probe()

    assert "RedisStorage(..., key_builder=DefaultKeyBuilder(with_bot_id=True, with_destiny=True))" in str(caught.value)
    assert await redis.dbsize() == 0


@pytest.mark.redis
async def test_the_line_to_change_helps(redis: Redis) -> None:
    storage = RedisStorage(redis, key_builder=DefaultKeyBuilder(with_bot_id=True, with_destiny=True))

    await FSMEngine(storage).probe()
    held = await Charges(FSMEngine(storage)).claim_delivery(BOT, paid())

    assert held is not None


@pytest.mark.redis
async def test_a_storage_that_forgets_after_a_while_is_refused_with_the_line_to_change(redis: Redis) -> None:
    storage = RedisStorage(redis, key_builder=DefaultKeyBuilder(with_destiny=True), data_ttl=3600)

    with pytest.raises(ConfigurationError, match=r"data_ttl=.*drop data_ttl.*neonpay_router\(\.\.\., storage=\.\.\.\)"):
        await FSMEngine(storage).probe()


async def test_a_storage_that_forgets_at_once_is_refused_with_the_line_to_change() -> None:
    class Sieve(JsonStorage):
        async def set_data(self, key: StorageKey, data: Mapping[str, Any]) -> None:
            pass

    with pytest.raises(
        ConfigurationError, match=r"Sieve .*did not come back.*neonpay_router\(\.\.\., storage=\.\.\.\)"
    ):
        await FSMEngine(Sieve()).probe()


async def test_a_storage_that_mixes_destinies_up_is_refused() -> None:
    class Shared(JsonStorage):
        """Keeps one record whatever the key, and another task of the bot writes it all the time."""

        async def get_data(self, key: StorageKey) -> dict[str, Any]:
            return {**await super().get_data(key), "cart": []}

    with pytest.raises(ConfigurationError, match="Shared cannot keep payments"):
        await FSMEngine(Shared()).probe()


@pytest.mark.redis
async def test_an_unprobed_storage_that_refuses_our_keys_fails_with_the_reason(redis: Redis) -> None:
    charges = Charges(FSMEngine(RedisStorage(redis)))

    with pytest.raises(LedgerError, match="RedisStorage refused the key"):
        await charges.claim_delivery(BOT, paid())


async def test_engines_on_one_storage_object_share_their_locks() -> None:
    storage = JsonStorage()
    workers = [Charges(FSMEngine(storage)) for _ in range(2)]
    held = await workers[0].claim_delivery(BOT, paid())
    assert held is not None

    assert await workers[0].settle(held, state=DELIVERED)
    assert await workers[1].claim_delivery(BOT, paid()) is None
