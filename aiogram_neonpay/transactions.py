"""Telegram's own ledger of a bot (Bot API ``getStarTransactions``), read from a date on in constant memory.

It is in chronological order, oldest first, and addressed by offset alone. An offset is no place to remember: Telegram
may drop old rows, and show others late. So reading begins at a date, found by bisection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiogram import Bot
from aiogram.exceptions import ClientDecodeError
from aiogram.methods import TelegramMethod
from aiogram.types import StarTransaction
from pydantic import ValidationError

__all__ = ["PAGE", "key_of", "moment_of", "pages_since", "rows_at"]

PAGE = 100
"""Rows of one request. Bot API ``getStarTransactions``, parameter ``limit``."""


def key_of(row: StarTransaction) -> tuple[str, bool]:
    """Return what tells a row from all others: its id, and whether Stars went out. A refund has the sale's id."""
    return row.id, row.receiver is not None


def moment_of(row: StarTransaction) -> float:
    """Return the date of a row as Unix seconds."""
    return row.date.timestamp()


async def pages_since(bot: Bot, start: float, hint: int) -> AsyncIterator[tuple[int, list[StarTransaction]]]:
    """Yield the offset and the rows of every page, beginning at or before the first row dated ``start``.

    :param start: Unix seconds.
    :param hint: an offset near which that row may be.
    """
    offset = await _find(bot, start, hint)
    last: StarTransaction | None = None
    while True:
        # One row of overlap shows whether rows were dropped meanwhile, which moves all others.
        overlap = 0 if last is None else 1
        rows = await rows_at(bot, offset - overlap, PAGE)
        if last is not None and (not rows or key_of(rows[0]) != key_of(last)):
            offset, last = await _find(bot, moment_of(last), offset), None
            continue
        page = rows[overlap:]
        if page:
            yield offset, page
            offset += len(page)
            last = page[-1]
        if len(rows) < PAGE:
            return


async def _find(bot: Bot, start: float, hint: int) -> int:
    """Return an offset before which every row is older than ``start``, less than a page from the first that is not."""
    low, high = 0, 0  # rows before low are older than start; the row at high is not, or does not exist
    if hint > 0 and await _is_older(bot, hint, start):
        low = hint + 1
    elif hint > 0:
        high = hint
    if not high:
        step = PAGE
        while await _is_older(bot, low + step, start):
            low, step = low + step + 1, 2 * step
        high = low + step
    while high - low >= PAGE:
        middle = (low + high) // 2
        if await _is_older(bot, middle, start):
            low = middle + 1
        else:
            high = middle
    return low


async def _is_older(bot: Bot, offset: int, start: float) -> bool:
    rows = await rows_at(bot, offset, 1)
    return bool(rows) and moment_of(rows[0]) < start


async def rows_at(bot: Bot, offset: int, limit: int) -> list[StarTransaction]:
    """Return up to ``limit`` rows (1-100) from an offset on."""
    try:
        return (await bot.get_star_transactions(offset=offset, limit=limit)).transactions
    except ClientDecodeError:
        # One row of a kind that this aiogram does not know would hide the hundred that it is among.
        answer = await bot(_Undecoded(offset=offset, limit=limit))
        return [_row(item, bot) for item in answer["transactions"]]


class _Undecoded(TelegramMethod[dict[str, Any]]):
    """``getStarTransactions`` whose rows are read one by one."""

    __returning__ = dict[str, Any]
    __api_method__ = "getStarTransactions"

    offset: int
    limit: int


def _row(item: dict[str, Any], bot: Bot) -> StarTransaction:
    try:
        return StarTransaction.model_validate(item, context={"bot": bot})
    except ValidationError:
        # Telegram itself shows as `other` whom it has no name for (Bot API, TransactionPartnerOther).
        sides = {side: {"type": "other"} for side in ("source", "receiver") if item.get(side)}
        return StarTransaction.model_validate({**item, **sides}, context={"bot": bot})
