"""Running a payment while the bot votes on it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiogram_neonpay.sandbox import Receipt
from tests.sandbox.conftest import Stand


async def approved(stand: Stand, payment: Coroutine[Any, Any, Receipt]) -> Receipt:
    """Run a payment; the bot agrees."""
    return await _voted(stand, payment, None)


async def declined(stand: Stand, payment: Coroutine[Any, Any, Receipt], text: str) -> Receipt:
    """Run a payment; the bot declines with this text."""
    return await _voted(stand, payment, text)


async def _voted(stand: Stand, payment: Coroutine[Any, Any, Receipt], text: str | None) -> Receipt:
    task = asyncio.ensure_future(payment)
    query = (await stand.update("pre_checkout_query")).pre_checkout_query
    assert query is not None
    await stand.bot.answer_pre_checkout_query(query.id, ok=text is None, error_message=text)
    return await task
