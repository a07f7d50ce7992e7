"""What was sold and refunded, by day and stage, from counters that are kept with every payment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from aiogram import Bot

from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.shop import Shop

__all__ = ["MOST_DAYS", "Report", "ReportRow", "make_report"]

MOST_DAYS = 366


@dataclass(frozen=True)
class ReportRow:
    """One stage on one day.

    :ivar day: UTC.
    :ivar stage_id: ``None`` for charges whose invoice could not be read.
    :ivar payments: how many were paid that day.
    :ivar stars: how many Stars they brought.
    :ivar refunds: how many were refunded that day, whenever they were paid.
    :ivar returned: how many Stars went back.
    """

    day: date
    stage_id: str | None
    payments: int
    stars: int
    refunds: int
    returned: int


@dataclass(frozen=True)
class Report:
    """What one bot sold.

    :ivar rows: newest day first, stages in alphabetical order; days and stages without a sale are left out.
    """

    bot_id: int
    first: date
    last: date
    rows: tuple[ReportRow, ...]

    @property
    def payments(self) -> int:
        """How many charges were paid."""
        return sum(row.payments for row in self.rows)

    @property
    def stars(self) -> int:
        """How many Stars came in."""
        return sum(row.stars for row in self.rows)

    @property
    def refunds(self) -> int:
        """How many charges were refunded."""
        return sum(row.refunds for row in self.rows)

    @property
    def returned(self) -> int:
        """How many Stars went back."""
        return sum(row.returned for row in self.rows)

    def __str__(self) -> str:
        width = max((len(row.stage_id or "(unknown)") for row in self.rows), default=5)
        width = max(width, len("stage"))
        lines = [
            f"Sales from {self.first} to {self.last} (UTC)",
            f"{'day':10}  {'stage':{width}}  {'paid':>6}  {'Stars':>8}  {'refunds':>7}  {'Stars back':>10}",
        ]
        for row in self.rows:
            lines.append(
                f"{row.day}  {row.stage_id or '(unknown)':{width}}  {row.payments:>6}  {row.stars:>8}  "
                f"{row.refunds:>7}  {row.returned:>10}"
            )
        total = f"{self.payments:>6}  {self.stars:>8}  {self.refunds:>7}  {self.returned:>10}"
        lines.append(f"{'total':10}  {'':{width}}  {total}")
        return "\n".join(lines)


async def make_report(shop: Shop, bot: Bot, days: int) -> Report:
    """Return the report of the last days, today included.

    :raises ValidationError: when the days are not 1-366.
    """
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= MOST_DAYS:
        raise ValidationError("days", f"must be 1-{MOST_DAYS}", days)
    last = datetime.fromtimestamp(shop.clock(), timezone.utc).date()
    all_days = [last - timedelta(days=back) for back in range(days)]
    rows = []
    for day, counts in zip(all_days, await shop.charges.tallies(bot.id, [str(day) for day in all_days]), strict=True):
        for stage in sorted({name.rpartition(":")[0] for name in counts}):
            figures = [counts.get(f"{stage}:{name}", 0) for name in ("count", "stars", "refunds", "returned")]
            rows.append(ReportRow(day, stage or None, *figures))
    return Report(bot.id, all_days[-1], last, tuple(rows))
