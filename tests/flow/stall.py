"""A bot that sells what there is not enough of."""

from __future__ import annotations

from typing import Any

from aiogram import Dispatcher
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import AnswerPreCheckoutQuery

from aiogram_neonpay import PaymentCompleted, PaymentStage, neonpay_router
from tests.flow.clock import Clock
from tests.telegram import ALICE, RecordingBot, paid, pre_checkout

__all__ = ["QUARTER", "STAGES", "Stall"]

STAGES = {
    "print": PaymentStage("Print", "One of three prints", 50, stock=3),
    "ticket": PaymentStage("Ticket", "One for each", 20, per_user=1),
    "pair": PaymentStage("Pair", "Two for each, ten in all", 5, per_user=2, stock=10),
    "pass": PaymentStage("Pass", "The way in", 7, access="pass"),
    "many": PaymentStage("Many", "A hundred", 1, stock=100),
    "more": PaymentStage("More", "One, or a few more", 5, stock=1, oversold="deliver"),
}
QUARTER = 900


class Stall:
    def __init__(self, bot: RecordingBot, clock: Clock, storage: MemoryStorage | None = None) -> None:
        self.bot, self.clock, self.storage = bot, clock, storage or MemoryStorage()
        self.pay = neonpay_router(STAGES, bot=bot, clock=clock)
        self.dp = Dispatcher(storage=self.storage)
        self.dp.include_router(self.pay)
        self.delivered: list[str | None] = []
        self.pay.completed.register(self.deliver)

    async def deliver(self, event: PaymentCompleted) -> None:
        self.delivered.append(event.transaction_id)

    async def invoice(self, stage_id: str, user_id: int = ALICE) -> str:
        await self.pay.send_payment(user_id, stage_id)
        return self.bot.payload()

    async def check_out(self, stage_id: str, payload: str, user_id: int = ALICE, **fields: Any) -> str | None:
        """Try to pay; return why not."""
        price = STAGES[stage_id].price
        assert price is not None
        await self.dp.feed_raw_update(self.bot, pre_checkout(payload, price, user_id, **fields))
        answer = self.bot.sent(AnswerPreCheckoutQuery)[-1]
        return None if answer.ok else answer.error_message

    async def pay_for(self, stage_id: str, payload: str, user_id: int = ALICE) -> dict[str, Any]:
        price = STAGES[stage_id].price
        assert price is not None
        bought = paid(payload, price, user_id)
        await self.dp.feed_raw_update(self.bot, bought)
        return bought

    async def buy(self, stage_id: str, user_id: int = ALICE) -> dict[str, Any]:
        payload = await self.invoice(stage_id, user_id)
        assert await self.check_out(stage_id, payload, user_id) is None
        return await self.pay_for(stage_id, payload, user_id)
