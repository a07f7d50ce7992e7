"""Telegram's own ledger of a bot (Bot API ``getStarTransactions``), read from a date on in constant memory.

It is in chronological order, oldest first, and addressed by offset alone. An offset is no place to remember: Telegram
may drop old rows, and show others late. So reading begins at a date, found by bisection.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiogram import Bot
from aiogram.exceptions import ClientDecodeError, TelegramNetworkError, TelegramRetryAfter, TelegramServerError
from aiogram.methods import TelegramMethod
from aiogram.types import StarTransaction
from pydantic import ValidationError

__all__ = ["PAGE", "Pages", "key_of", "moment_of", "rows_at"]

PAGE = 100
"""Rows of one request. Bot API ``getStarTransactions``, parameter ``limit``."""
PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds to wait after each failure of one request, unless Telegram says how long."""
LONGEST_PAUSE = 60
"""Seconds. Who is to wait longer leaves it to the next reading."""


def key_of(row: StarTransaction) -> tuple[str, bool]:
    """Return what tells a row from all others: its id, and whether Stars went out. A refund has the sale's id."""
    return row.id, row.receiver is not None


def moment_of(row: StarTransaction) -> float:
    """Return the date of a row as Unix seconds."""
    return row.date.timestamp()


class Pages:
    """Reads rows from a date on, page by page; none twice, and none passed over because others moved.

    :param start: Unix seconds: the first page begins at or before the first row of that date.
    :param hint: an offset near which that row may be.
    :param patient: whether short failures are waited out.
    :ivar first: the offset at which the first page began; ``None`` before it is read.
    :ivar offset: the offset of the row that follows what was read.
    :ivar is_over: whether nothing followed the last page when it was read.
    """

    def __init__(self, bot: Bot, start: float, hint: int = 0, *, patient: bool = True) -> None:
        self._bot = bot
        self._start = start
        self._patient = patient
        self.first: int | None = None
        self.offset = hint
        self.is_over = False
        self._last: StarTransaction | None = None
        self._recent: dict[tuple[str, bool], float] = {}

    async def next(self) -> list[StarTransaction]:
        """Return the rows that follow; after the end those that came since.

        :raises TelegramAPIError: when Telegram does not answer, for as long as it is waited for.
        """
        if self.first is None:
            self.first = self.offset = await self._find(self._start, self.offset)
        while True:
            # One row of overlap shows whether rows were dropped or appeared late meanwhile, which moves all others.
            overlap = 0 if self._last is None else 1
            rows = await self._rows_at(self.offset - overlap, PAGE)
            if self._last is not None and (not rows or key_of(rows[0]) != key_of(self._last)):
                self.offset, self._last = await self._find(moment_of(self._last), self.offset), None
                continue
            self.is_over = len(rows) < PAGE
            page = rows[overlap:]
            fresh = [row for row in page if key_of(row) not in self._recent]
            if page:
                self.offset += len(page)
                self._last = page[-1]
                self._remember(page)
            if fresh or self.is_over:
                return fresh

    def _remember(self, page: list[StarTransaction]) -> None:
        """Keep the keys of what may be seen again when the place is looked for anew: a page before the last second."""
        self._recent.update((key_of(row), moment_of(row)) for row in page)
        last = moment_of(page[-1])
        for key, moment in list(self._recent.items())[: -3 * PAGE]:
            if moment < last:
                del self._recent[key]

    async def _find(self, start: float, hint: int) -> int:
        """Return an offset before which every row is older than ``start``, less than a page before one that is not."""
        low, high = 0, 0  # rows before low are older than start; the row at high is not, or does not exist
        if hint > 0 and await self._is_older(hint, start):
            low = hint + 1
        elif hint > 0:
            high = hint
        if not high:
            step = PAGE
            while await self._is_older(low + step, start):
                low, step = low + step + 1, 2 * step
            high = low + step
        while high - low >= PAGE:
            middle = (low + high) // 2
            if await self._is_older(middle, start):
                low = middle + 1
            else:
                high = middle
        return low

    async def _is_older(self, offset: int, start: float) -> bool:
        rows = await self._rows_at(offset, 1)
        return bool(rows) and moment_of(rows[0]) < start

    async def _rows_at(self, offset: int, limit: int) -> list[StarTransaction]:
        """Return up to ``limit`` rows (1-100) from an offset on; one request of many may fail for a while."""
        for pause in PAUSES if self._patient else ():
            try:
                return await rows_at(self._bot, offset, limit)
            except TelegramRetryAfter as error:
                if error.retry_after > LONGEST_PAUSE:
                    raise
                await asyncio.sleep(error.retry_after)
            except (TelegramServerError, TelegramNetworkError):
                await asyncio.sleep(pause)
        return await rows_at(self._bot, offset, limit)


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
