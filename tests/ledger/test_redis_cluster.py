"""The ledger on a real Redis Cluster of three nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timezone
from typing import cast

import pytest
import pytest_asyncio
from aiogram.fsm.storage.redis import RedisStorage
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster as ClusterClient

from aiogram_neonpay.ledger import LedgerEngine, open_engine
from aiogram_neonpay.ledger.charges import ANNOUNCED, DELIVERED, STUCK, Charges
from aiogram_neonpay.ledger.invoices import StoredInvoices
from tests.ledger.engines import BUYER, PAID_AT, expire, paid
from tests.redis_server import ALL, HOST, RedisCluster, has_redis

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.redis]

BOT = 42
METADATA = {"empty": [], "large": 2**63 + 1}


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    if not has_redis():
        pytest.skip("there is no redis-server on PATH")
    servers = RedisCluster()
    try:
        servers.start()
    except (RuntimeError, TimeoutError) as error:
        servers.close()
        if ALL:
            raise
        pytest.skip(f"no cluster can be started here: {error}")
    yield servers
    servers.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(cluster: RedisCluster) -> AsyncIterator[ClusterClient]:
    client = ClusterClient(host=HOST, port=cluster.ports[0])
    yield client
    await client.aclose()


@pytest.fixture
def engine(client: ClusterClient) -> LedgerEngine:
    # aiogram takes a cluster's client as well, though its annotations do not say so.
    return open_engine(RedisStorage(cast("Redis", client)))


async def test_payments_of_all_partitions_are_recorded_found_and_listed(
    engine: LedgerEngine, cluster: RedisCluster
) -> None:
    charges = Charges(engine)
    buyers = range(BUYER, BUYER + 16)
    for number, buyer in enumerate(buyers):
        held = await charges.claim_delivery(BOT, paid(f"stx{buyer}", buyer, metadata=METADATA))
        assert held is not None
        assert await charges.settle(held, state=STUCK if number % 2 else DELIVERED)

    for buyer in buyers:
        found = await charges.find(BOT, f"stx{buyer}")
        assert found is not None and found[1]["metadata"] == METADATA
        assert await charges.find(BOT, found[0].name) == found
        assert await charges.history(BOT, buyer, limit=10, offset=0) == [found[1]]
        assert await charges.claim_delivery(BOT, paid(f"stx{buyer}", buyer)) is None
    stuck = [record["user"] for record in await charges.waiting(BOT, limit=100)]
    assert sorted(stuck) == [buyer for number, buyer in enumerate(buyers) if number % 2]
    sizes = []
    for node in cluster.nodes:
        with node.client() as direct:
            sizes.append(direct.dbsize())
    assert all(sizes), "every node holds some of the payments"


async def test_one_of_many_concurrent_claims_wins_and_a_late_settlement_is_refused(engine: LedgerEngine) -> None:
    slow, other = Charges(engine), Charges(engine)
    facts = paid("stxRace", BUYER + 100)
    claims = await asyncio.gather(*(slow.claim_delivery(BOT, facts) for _ in range(20)))
    (late,) = [claim for claim in claims if claim is not None]
    await expire(engine, late.key)
    held = await other.claim_delivery(BOT, facts)

    assert held is not None
    assert held.body["attempts"] == 2
    assert not await slow.settle(late, state=DELIVERED)
    assert await other.settle(held, state=DELIVERED)
    slow.leases.close()
    other.leases.close()


async def test_a_history_pages_on_a_cluster(engine: LedgerEngine) -> None:
    charges, buyer = Charges(engine), BUYER + 200
    for number in range(30):
        held = await charges.claim_delivery(BOT, paid(f"stxPage{number}", buyer, at=PAID_AT + number))
        assert held is not None
        await charges.settle(held, state=DELIVERED)

    page = await charges.history(BOT, buyer, limit=10, offset=5)

    assert [record["charge"] for record in page] == [f"stxPage{number}" for number in range(24, 14, -1)]


async def test_a_refund_during_a_delivery_settles_on_a_cluster(engine: LedgerEngine) -> None:
    charges, facts = Charges(engine), paid("stxRefund", BUYER + 300)
    delivery = await charges.claim_delivery(BOT, facts)
    assert delivery is not None
    assert await charges.claim_refund(BOT, facts) is None

    assert await charges.settle(delivery, state=DELIVERED)
    (name,) = [name for name in await charges.due(BOT, limit=10) if name == delivery.key.name]
    announcement = await charges.claim(BOT, name)
    assert announcement is not None and announcement.step == "announce_refund"
    assert await charges.settle(announcement, refund=ANNOUNCED)
    assert name not in await charges.due(BOT, limit=10)
    day = datetime.fromtimestamp(PAID_AT, timezone.utc).strftime("%Y-%m-%d")
    assert (await charges.tallies(BOT, [day]))[0][f"{facts.get('stage') or ''}:count"] > 0
    charges.leases.close()


async def test_stored_invoices_are_made_once_on_a_cluster(engine: LedgerEngine) -> None:
    invoices = StoredInvoices(engine)
    common = {"issued": PAID_AT, "forget_at": PAID_AT + 600, "key": "order 7", "content": "c", "single": True}

    made = await asyncio.gather(
        *(invoices.create(BOT, {**common, "invoice": f"{number:018x}"}, ttl=600) for number in range(10))
    )

    assert len({one["invoice"] for one in made}) == 1
    invoice_id = await invoices.id_of_key(BOT, "order 7")
    assert invoice_id is not None and invoice_id == made[0]["invoice"]
    paid_by = await asyncio.gather(
        *(invoices.note_payment(BOT, invoice_id, BUYER + number, f"ref-{number}") for number in range(10))
    )
    assert len({record["paid"] for record in paid_by if record is not None}) == 1


async def test_scripts_survive_a_script_flush_on_every_node(engine: LedgerEngine, cluster: RedisCluster) -> None:
    charges, facts = Charges(engine), paid("stxFlush", BUYER + 400)
    held = await charges.claim_delivery(BOT, facts)
    assert held is not None
    for node in cluster.nodes:
        with node.client() as direct:
            direct.script_flush()

    assert await charges.settle(held, state=DELIVERED)
    assert await charges.claim_delivery(BOT, facts) is None
