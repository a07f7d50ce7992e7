"""A Telegram that tells of its Star transactions: pages of prepared JSON, read as aiogram reads Telegram's answers."""

from __future__ import annotations

import json
from typing import Any

from aiogram import Bot
from aiogram.methods import GetMyStarBalance, GetStarTransactions, GetWebhookInfo, Response, TelegramMethod

from benchmarks.stock import Stock
from benchmarks.stub import PRICE, StubSession, user

PAGE = 100


class LedgerSession(StubSession):
    """Answers from rows, each of them JSON.

    :ivar requests: how many times it was asked for transactions.
    """

    def __init__(self, rows: list[str]) -> None:
        super().__init__()
        self.rows = rows
        self.requests = 0

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        if isinstance(method, GetStarTransactions):
            self.requests += 1
            offset, limit = method.offset or 0, method.limit or PAGE
            result = f'{{"transactions":[{",".join(self.rows[offset : offset + limit])}]}}'
        elif isinstance(method, GetWebhookInfo):
            result = '{"url":"","has_custom_certificate":false,"pending_update_count":0}'
        elif isinstance(method, GetMyStarBalance):
            result = json.dumps({"amount": PRICE * len(self.rows)})
        else:
            return await super().make_request(bot, method, timeout)
        answer: Response[Any] = self.check_response(bot, method, 200, f'{{"ok":true,"result":{result}}}')
        return answer.result


def row(stock: Stock, number: int, payload: str) -> str:
    """Return the row of a payment in Telegram's ledger."""
    source = {
        "type": "user",
        "transaction_type": "invoice_payment",
        "user": user(stock.buyer(number)),
        "invoice_payload": payload,
    }
    return json.dumps({"id": stock.charge(number), "amount": PRICE, "date": stock.at(number), "source": source})


async def read_bare(bot: Bot) -> int:
    """Read all rows with aiogram alone, and return how many there are."""
    offset = 0
    while True:
        page = (await bot.get_star_transactions(offset=offset, limit=PAGE)).transactions
        offset += len(page)
        if len(page) < PAGE:
            return offset
