"""A long absence of the bot: what it missed is told in order, and nothing that was renewed is said to have ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiogram.fsm.storage.base import BaseStorage
from aiogram.fsm.storage.memory import MemoryStorage

from aiogram_neonpay import SQLiteStorage
from tests.proof.year.club import MONTH
from tests.proof.year.town import Town

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_renewals_that_were_missed_together_are_told_in_order(kind: str, tmp_path: Path) -> None:
    storage: BaseStorage = MemoryStorage() if kind == "memory" else SQLiteStorage(tmp_path / "club.db")
    town = Town(1, 1, [storage], share=0.0)
    [person] = town.people
    person.top_up(1000)
    await town.start()
    await town.subscribe(person)
    await town.stop()
    town.sandbox.clock.advance(seconds=3 * MONTH + 3600)
    await town.start()
    for _ in range(4):
        await town.live(reads=True)
        town.sandbox.clock.advance(seconds=120)

    [sub] = person.subscriptions()
    kinds = [(entry.kind, entry.key) for entry in town.journal.entries]
    assert kinds == [
        ("SubscriptionStarted", sub.charges[0]),
        *(("SubscriptionRenewed", charge) for charge in sub.charges[1:]),
    ]
    assert len(sub.charges) == 4
    await town.stop()
    await storage.close()
