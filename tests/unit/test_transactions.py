"""Telegram's ledger stays readable when it holds what this aiogram has no name for."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.exceptions import ClientDecodeError
from aiogram.methods import TelegramMethod
from aiogram.types import TransactionPartnerUser

from aiogram_neonpay.transactions import Pages, key_of, rows_at

pytestmark = pytest.mark.asyncio

ALICE = {"id": 7, "is_bot": False, "first_name": "Alice"}
SALE = {"type": "user", "transaction_type": "invoice_payment", "user": ALICE, "invoice_payload": "order-1"}


class Telegram(BaseSession):
    """Answers every call with one JSON text, decoded as aiogram decodes what it gets."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.content = content
        self.asked: list[str] = []

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        self.asked.append(method.__api_method__)
        return self.check_response(bot, method, 200, self.content).result

    async def close(self) -> None: ...

    async def stream_content(self, *args: Any, **kwargs: Any) -> AsyncGenerator[bytes, None]:
        raise NotImplementedError
        yield b""


def rows(*partners: dict[str, Any]) -> str:
    listed = [{"id": f"stx{number}", "amount": 5, "date": 1_800_000_000, **row} for number, row in enumerate(partners)]
    return json.dumps({"ok": True, "result": {"transactions": listed}})


async def read(session: Telegram) -> list[Any]:
    return await Pages(Bot("42:TEST", session=session), 0).next()


async def test_a_row_of_an_unknown_kind_hides_none_of_its_neighbours() -> None:
    session = Telegram(
        rows({"source": SALE}, {"receiver": {"type": "time_machine", "years": 3}}, {"source": {"kind": "?"}})
    )

    sale, machine, odd = await read(session)

    assert isinstance(sale.source, TransactionPartnerUser) and sale.source.invoice_payload == "order-1"
    assert (key_of(machine), machine.amount, machine.receiver.type) == (("stx1", True), 5, "other")
    assert (key_of(odd), odd.source.type) == (("stx2", False), "other")
    assert set(session.asked) == {"getStarTransactions"}


async def test_rows_that_are_known_are_asked_for_once() -> None:
    session = Telegram(rows({"source": SALE}))

    assert len(await rows_at(Bot("42:TEST", session=session), 0, 100)) == 1
    assert len(session.asked) == 1


async def test_an_answer_that_is_no_json_is_not_taken_for_an_empty_ledger() -> None:
    with pytest.raises(ClientDecodeError):
        await read(Telegram("<html>Bad gateway</html>"))
