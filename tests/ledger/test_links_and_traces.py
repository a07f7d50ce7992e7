"""What deep links stand for is kept for ever, and where an invoice is shown for two days, by every engine."""

from __future__ import annotations

import pytest

from aiogram_neonpay.ledger.links import StoredLinks
from aiogram_neonpay.ledger.traces import Trace, Traces
from tests.ledger.engines import Ledger

pytestmark = pytest.mark.asyncio

CONTENT = "a.long.stage\t\x01-7\tкод\t50"


async def test_a_content_is_kept_once_under_its_name(ledger: Ledger) -> None:
    links = StoredLinks(ledger.connect())
    assert await links.get(ledger.bot_id, "name_-1") is None
    for _ in range(2):
        await links.put(ledger.bot_id, "name_-1", CONTENT)
    assert await StoredLinks(ledger.connect()).get(ledger.bot_id, "name_-1") == CONTENT
    assert await links.get(ledger.bot_id + 1, "name_-1") is None


async def test_the_first_trace_of_an_invoice_stays(ledger: Ledger) -> None:
    traces = Traces(ledger.connect())
    assert await traces.get(ledger.bot_id, "a" * 18) is None
    await traces.put(ledger.bot_id, "a" * 18, -100_500, [7, 5], is_text=True)
    await traces.put(ledger.bot_id, "a" * 18, 1, [8], is_text=False)
    assert await Traces(ledger.connect()).get(ledger.bot_id, "a" * 18) == Trace(-100_500, [7, 5], True)
    assert await ledger.invoices().get(ledger.bot_id, "a" * 18) is None
