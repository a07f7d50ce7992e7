"""One worker of a stall on Redis, a process of its own: it is told what to do, one line of JSON each.

Run as ``python -m tests.proof.stall <redis url>``. ``open`` begins anew, with a bot. ``die`` makes it end, without
another word, in the middle of the next payment: when the stock has been taken and the charge is not settled.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from typing import Any

from aiogram import Dispatcher
from aiogram.fsm.storage.redis import RedisStorage
from aiogram.methods import AnswerPreCheckoutQuery

from aiogram_neonpay import PaymentCompleted, PaymentStage, neonpay_router
from tests.telegram import RecordingBot, paid, pre_checkout

__all__ = ["STAGES", "main"]

STAGES = {
    "print": PaymentStage("Print", "One of seven", 50, stock=7),
    "ticket": PaymentStage("Ticket", "Two for each", 20, per_user=2),
}


class Stall:
    def __init__(self, url: str, bot_id: int) -> None:
        self.bot = RecordingBot(f"{bot_id}:TEST-TOKEN")
        self.pay = neonpay_router(STAGES, bot=self.bot, secret="a secret of all workers")
        self.dispatcher = Dispatcher(storage=RedisStorage.from_url(url))
        self.dispatcher.include_router(self.pay)
        self.dies = False
        self.pay.completed.register(self.deliver)

    async def deliver(self, event: PaymentCompleted) -> None:
        if self.dies:
            os._exit(7)

    async def invoices(self, stage_id: str, users: list[int]) -> list[str]:
        made = []
        for user in users:
            await self.pay.send_payment(user, stage_id)
            made.append(self.bot.payload())
        return made

    async def check_out(self, stage_id: str, tries: list[tuple[int, str]]) -> list[int]:
        """Let people try to pay, all at once; return who may."""
        price = STAGES[stage_id].price or 0
        queries = {f"{os.getpid()}.{place}": user for place, (user, _) in enumerate(tries)}
        await asyncio.gather(
            *(
                self.dispatcher.feed_raw_update(self.bot, _named(pre_checkout(payload, price, user), name))
                for name, (user, payload) in zip(queries, tries, strict=True)
            )
        )
        answers = {call.pre_checkout_query_id: call.ok for call in self.bot.sent(AnswerPreCheckoutQuery)}
        return [user for name, user in queries.items() if answers[name]]

    async def take(self, stage_id: str, user: int, payload: str, charge: str) -> None:
        update = paid(payload, STAGES[stage_id].price or 0, user)
        update["message"]["successful_payment"]["telegram_payment_charge_id"] = charge
        await self.dispatcher.feed_raw_update(self.bot, update)

    async def obey(self, order: dict[str, Any]) -> Any:
        what = order["do"]
        if what == "invoices":
            return await self.invoices(order["stage"], order["users"])
        if what == "check out":
            return await self.check_out(order["stage"], order["tries"])
        if what == "die":
            self.dies = True
        elif what == "pay":
            await self.take(order["stage"], order["user"], order["payload"], order["charge"])
        elif what == "go on":
            return await self.pay.run_due()
        elif what == "left":
            return await self.pay.stock_left(order["stage"])
        elif what == "payment":
            payment = await self.pay.get_payment(order["charge"])
            return None if payment is None else [payment.delivered, str(payment.status), payment.attempt]
        return None


def _named(update: dict[str, Any], name: str) -> dict[str, Any]:
    update["pre_checkout_query"]["id"] = name
    return update


async def main() -> None:
    logging.disable()
    stall: Stall | None = None
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order, answer = json.loads(line), None
        if order["do"] == "open":
            stall = Stall(sys.argv[1], order["bot"])
        else:
            assert stall is not None
            answer = await stall.obey(order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
