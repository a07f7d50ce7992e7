"""What the proof found, each alone."""

from __future__ import annotations

import pytest
from aiogram.fsm.storage.memory import MemoryStorage

from aiogram_neonpay.ledger.base import CHARGE, RecordKey
from aiogram_neonpay.ledger.charges import (
    DELIVER,
    REFUNDED,
    REJECTED,
    REQUESTED,
    SEND_REFUND,
    Charges,
    reference_of,
)
from aiogram_neonpay.ledger.memory import MemoryEngine
from tests.ledger.engines import BUYER, paid
from tests.proof.model import LEASE, Fault
from tests.proof.wire import Wire

pytestmark = pytest.mark.asyncio

BOT = 42
KEY = RecordKey(BOT, CHARGE, reference_of("stxCharge", BUYER))


class Shop:
    """Two workers at one ledger, and the time."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        storage = MemoryStorage()
        self.wire = Wire(MemoryEngine(storage, lambda: self.now))
        self.worker = Charges(self.wire, lambda: self.now)
        self.other = Charges(MemoryEngine(storage, lambda: self.now), lambda: self.now)


async def test_a_claim_whose_reply_was_lost_is_one_to_deliver_whatever_others_noted_meanwhile() -> None:
    shop = Shop()
    shop.wire.fault = Fault.REPEATED
    shop.wire.between = lambda: shop.other.change(KEY, lambda known: {"refund": REQUESTED})

    claim = await shop.worker.claim_delivery(BOT, paid())

    assert claim is not None and claim.step == DELIVER
    assert await shop.worker.give_back(claim, delay=43_200.0)
    assert await shop.other.due(BOT, limit=1) == [KEY.name], "the refund does not wait for the next attempt"


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
async def test_a_claim_that_cannot_be_moved_on_is_not_kept_alive(fault: Fault) -> None:
    shop = Shop()
    delivery = await shop.worker.claim_delivery(BOT, paid())
    assert delivery is not None
    await shop.worker.settle(delivery, state=REJECTED, refund=REQUESTED)
    sending = await shop.worker.claim(BOT, KEY.name)
    assert sending is not None and sending.step == SEND_REFUND
    shop.wire.fault = fault
    with pytest.raises(ConnectionError):
        await shop.worker.advance(sending, refund=REFUNDED)

    shop.now += LEASE - 1
    await shop.worker.leases._renew_all()
    shop.now += 1

    assert await shop.worker.claim(BOT, KEY.name) is not None
