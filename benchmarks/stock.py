"""Payments to fill a ledger with: as many as wished, the same ones whenever they are asked for."""

from __future__ import annotations

import collections
import datetime as dt
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiogram_neonpay import NeonPay
from aiogram_neonpay.ledger.charges import reference_of
from benchmarks.stub import PRICE

DAYS = 29
"""Over which they are spread; a report shows 30."""
FIRST_BUYER = 5_000_000_000
PAGE = 20


@dataclass(frozen=True)
class Stock:
    """Numbered payments, in order of time; each buyer comes round again after all others.

    :ivar buyers: how many people bought them.
    """

    count: int
    buyers: int
    end: int = field(default_factory=lambda: int(time.time()) - 600)

    def charge(self, number: int) -> str:
        return f"stf{number:0120d}"

    def buyer(self, number: int) -> int:
        return FIRST_BUYER + number % self.buyers

    def at(self, number: int) -> int:
        return self.end - DAYS * 86400 + number * DAYS * 86400 // self.count

    def day(self, number: int) -> str:
        return str(self.moment(number).date())

    def moment(self, number: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.at(number), dt.timezone.utc)

    def reference(self, number: int) -> str:
        return reference_of(self.charge(number), self.buyer(number))

    def by_day(self) -> dict[str, int]:
        return collections.Counter(map(self.day, range(self.count)))

    def varied(self, genuine: str, number: int) -> str:
        """Return the record of a payment: a genuine one with everything changed that differs between two sales."""
        return varied(json.loads(genuine), self.changes(number))

    def changes(self, number: int) -> dict[str, Any]:
        """Return what differs between the record of a payment and a genuine one."""
        buyer, digest = self.buyer(number), self.reference(number)[1:]
        return {
            "charge": self.charge(number),
            "user": buyer,
            "chat": buyer,
            "at": self.at(number),
            "invoice": f"{self.at(number):08x}{digest[:10]}",
            "holder": digest[::-1],
            "n": digest,
        }

    async def check(self, pay: NeonPay, others: int) -> None:
        """Check that the plugin reads all this in the ledger.

        :param others: how many further payments are there.
        """
        last = self.count - 1
        page = await pay.history(self.buyer(last), limit=PAGE)
        expected = list(range(last, -1, -self.buyers))[:PAGE]
        assert [payment.reference for payment in page] == [self.reference(number) for number in expected]
        for number in (0, self.count // 2, last):
            for found in (await pay.get_payment(self.reference(number)), await pay.get_payment(self.charge(number))):
                assert found is not None and found.delivered and found.stage_id == "premium"
                assert (found.transaction_id, found.user_id) == (self.charge(number), self.buyer(number))
                assert found.amount == PRICE and found.timestamp == self.moment(number)
        report = await pay.report()
        assert report.payments == self.count + others, f"{report.payments} of {self.count + others} are reported"
        assert report.stars == PRICE * report.payments and not await pay.stuck_payments()
        assert not await pay.run_due()


def varied(genuine: dict[str, Any], changes: dict[str, Any]) -> str:
    return json.dumps({**genuine, **changes}, separators=(",", ":"))


def batches(numbers: range, size: int) -> Iterator[range]:
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]
