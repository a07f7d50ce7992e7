"""A worker's way to the storage, on which writes fail, arrive twice, or meet somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiogram_neonpay.ledger import LedgerEngine
from aiogram_neonpay.ledger.base import Row, Write
from tests.ledger.engines import Engine, JsonStorage
from tests.proof.model import Fault


class SteppingStorage(JsonStorage):
    """Keeps JSON text and lets go of the event loop at random in every call, but never waits for the clock."""

    async def _wander(self) -> None:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)


class Wire(Engine):
    """Passes everything on, and spoils writes on order.

    :ivar fault: what goes wrong with the next write; ``REPEATED`` spoils all of them, until it is taken back.
    :ivar between: what happens once, after a write that was applied and before it is sent again.
    """

    def __init__(self, engine: LedgerEngine) -> None:
        super().__init__(engine)
        self.fault: Fault | None = None
        self.between: Callable[[], Awaitable[object]] | None = None

    async def write(self, change: Write) -> Row | None:
        fault = self.fault
        if fault is Fault.REPEATED:
            refused = await super().write(change)
            if refused is None and self.between is not None:
                between, self.between = self.between, None
                await between()
            return await super().write(change)
        self.fault = None
        if fault is Fault.BEFORE:
            raise ConnectionError("the write was lost")
        refused = await super().write(change)
        if fault is Fault.AFTER:
            raise ConnectionError("the reply was lost")
        return refused
