"""What a reading of Telegram's own ledger found, and how it is told to people."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["Finding", "Kind", "ReconcileReport"]

SHOWN = 100
"""Findings of each kind that a report holds; the rest is counted."""


@dataclass(frozen=True)
class Finding:
    """One row of Telegram's ledger that ours does not agree with.

    :ivar amount: Stars in Telegram's ledger.
    :ivar recorded: Stars in ours, for amounts that differ.
    """

    reference: str
    user_id: int
    amount: int
    date: datetime
    stage_id: str | None = None
    recorded: int | None = None


@dataclass
class Kind:
    """Findings of one kind: all counted, the first ones kept."""

    count: int = 0
    stars: int = 0
    shown: list[Finding] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if there is room."""
        self.count += 1
        self.stars += finding.amount
        if len(self.shown) < SHOWN:
            self.shown.append(finding)

    def drop(self, reference: str, amount: int) -> None:
        """Take a finding back."""
        self.count -= 1
        self.stars -= amount
        self.shown = [finding for finding in self.shown if finding.reference != reference]


@dataclass(frozen=True)
class ReconcileReport:
    """What a reading of Telegram's ledger found; ``str()`` of it is meant for people.

    :ivar since: rows from this date on were read.
    :ivar rows: how many.
    :ivar foreign: rows that are none of ours: other invoices, gifts, withdrawals, sales before the first start.
    :ivar recovered: payments that were never recorded, the first 100; they are delivered now.
    :ivar recovered_count: how many there were.
    :ivar refunded: refunds made elsewhere, the first 100; they are announced now.
    :ivar refunded_count: how many there were.
    :ivar differing: payments whose amount differs, the first 100; nothing is done about them.
    :ivar differing_count: how many there were.
    :ivar waiting: rows too young to judge: their own update may still come. A later reading looks at them again.
    :ivar balance: Stars of the bot, or ``None`` when Telegram did not tell.
    :ivar drift: Stars by which the balance differs from what the rows since the last reading make of the one before;
        ``None`` when there is nothing to compare with.
    :ivar with_affiliates: rows of which an affiliate got a part, which may explain a drift.
    """

    bot_id: int
    at: datetime
    since: datetime
    dry_run: bool
    rows: int
    foreign: int
    recovered: tuple[Finding, ...]
    recovered_count: int
    recovered_stars: int
    refunded: tuple[Finding, ...]
    refunded_count: int
    refunded_stars: int
    differing: tuple[Finding, ...]
    differing_count: int
    waiting: int
    balance: int | None
    drift: int | None
    with_affiliates: int

    @property
    def is_clean(self) -> bool:
        """Whether both ledgers agree."""
        return not (self.recovered_count or self.refunded_count or self.differing_count or self.drift)

    def __str__(self) -> str:
        done = "would be" if self.dry_run else "are"
        lines = [
            f"Reconciliation of bot {self.bot_id} at {self.at:%Y-%m-%d %H:%M} UTC{' (dry run)' * self.dry_run}",
            f"  read       {self.rows} rows of Telegram's ledger since {self.since:%Y-%m-%d %H:%M}; "
            f"{self.foreign} are none of ours",
            f"  payments   {self.recovered_count} ({self.recovered_stars} Stars) not recorded before {done} delivered",
            *map(_line, self.recovered),
            f"  refunds    {self.refunded_count} ({self.refunded_stars} Stars) made elsewhere {done} announced",
            *map(_line, self.refunded),
            f"  amounts    {self.differing_count} differ; look at them by hand",
            *map(_line, self.differing),
            f"  waiting    {self.waiting} rows are too young to judge: their update may still come",
        ]
        if self.balance is not None:
            told = "nothing to compare with yet"
            if self.drift is not None:
                told = "as the rows say" if not self.drift else f"{self.drift:+} Stars against what the rows say"
            if self.drift and self.with_affiliates:
                told += f" ({self.with_affiliates} rows shared with affiliates may explain it)"
            lines.append(f"  balance    {self.balance} Stars, {told}")
        return "\n".join(lines)


def _line(finding: Finding) -> str:
    recorded = "" if finding.recorded is None else f", recorded as {finding.recorded}"
    stage = finding.stage_id or "(unknown stage)"
    return (
        f"    {finding.date:%Y-%m-%d %H:%M}  payment {finding.reference}  user {finding.user_id}  "
        f"{finding.amount} Stars{recorded}  {stage}"
    )
