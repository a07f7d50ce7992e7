from __future__ import annotations

import asyncio

import pytest
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import (
    InlineQueryResultArticle,
    InlineQueryResultUnion,
    InputInvoiceMessageContent,
    InputTextMessageContent,
    LabeledPrice,
)

from tests.sandbox.conftest import Stand
from tests.sandbox.paying import approved


def invoice_result(amount: int = 5) -> InlineQueryResultArticle:
    return InlineQueryResultArticle(
        id="invoice",
        title="Sticker",
        input_message_content=InputInvoiceMessageContent(
            title="Sticker",
            description="One sticker",
            payload="inline-1",
            currency="XTR",
            prices=[LabeledPrice(label="x", amount=amount)],
        ),
    )


@pytest.mark.asyncio
async def test_an_invoice_sent_through_inline_mode_is_paid_in_a_group(stand: Stand) -> None:
    group = stand.sandbox.create_group("Club", [stand.alice, stand.bob])
    asking = asyncio.ensure_future(stand.alice.inline("sticker"))
    query = (await stand.update("inline_query")).inline_query
    assert query is not None and query.query == "sticker"
    text = InlineQueryResultArticle(id="t", title="T", input_message_content=InputTextMessageContent(message_text="hi"))
    results: list[InlineQueryResultUnion] = [invoice_result(), text]
    await stand.bot.answer_inline_query(query.id, results)
    assert [result["id"] for result in await asking] == ["invoice", "t"]
    sent = await stand.alice.send_inline("invoice", chat=group)
    assert (sent.amount, sent.sender_id) == (5, stand.alice.id)
    receipt = await approved(stand, stand.bob.pay())
    assert receipt.ok
    assert stand.sandbox.transactions()[0].payload == "inline-1"


@pytest.mark.asyncio
async def test_each_inline_result_is_checked_like_an_invoice(stand: Stand) -> None:
    asking = asyncio.ensure_future(stand.alice.inline("x"))
    query = (await stand.update("inline_query")).inline_query
    assert query is not None
    with pytest.raises(TelegramBadRequest, match="total price must be positive"):
        await stand.bot.answer_inline_query(query.id, [invoice_result(0)])
    stand.sandbox.clock.advance(seconds=30)
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await stand.bot.answer_inline_query(query.id, [invoice_result()])
    asking.cancel()
