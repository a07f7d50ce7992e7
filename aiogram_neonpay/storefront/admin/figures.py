"""What admins read of money: balance, reports, and what a reading of Telegram's ledger found."""

from __future__ import annotations

from collections.abc import Sequence

from aiogram_neonpay.findings import Finding, ReconcileReport
from aiogram_neonpay.reports import Report, ReportRow
from aiogram_neonpay.storefront.admin.buttons import AdminTap, Keyboard
from aiogram_neonpay.storefront.admin.pages import Page, Say
from aiogram_neonpay.wording import Code, Lines, plain

__all__ = ["SPANS", "balance_page", "reconcile_page", "report_page"]

SPANS = (1, 7, 30)
"""Days of the reports that buttons ask for."""
ROWS = 15
"""Lines of a report on one page."""
FOUND = 10
"""Findings of each kind that are shown."""


def balance_page(say: Say, stars: int | None) -> Page:
    """Return what the bot owns; ``None`` where Telegram cannot be asked."""
    lines = Lines().add(
        say("admin_balance_unknown") if stars is None else say("admin_balance", stars=say("stars", n=stars))
    )
    return lines.content()


def report_page(say: Say, report: Report, days: int, by_day: bool, page: int) -> Page:
    """Return what was sold and refunded: a line for each stage, or for each day."""
    lines = Lines().add(say("admin_report", first=report.first, last=report.last), bold=True)
    lines.add(say("admin_report_paid", payments=report.payments, stars=report.stars))
    lines.add(say("admin_report_refunded", refunds=report.refunds, stars=report.returned)).add("")
    groups: dict[str, list[ReportRow]] = {}
    for row in report.rows:
        groups.setdefault(str(row.day) if by_day else row.stage_id or "?", []).append(row)
    names = sorted(groups, reverse=True) if by_day else sorted(groups, key=lambda name: (-_stars(groups[name]), name))
    for name in names[page * ROWS : (page + 1) * ROWS]:
        rows = groups[name]
        paid, back = sum(row.payments for row in rows), sum(row.returned for row in rows)
        lines.add(plain(name, 64), f"  {_stars(rows)} ⭐ ({paid})", f"  −{back} ⭐" if back else "")
    if not names:
        lines.add(say("admin_none"))
    here = AdminTap(do="days" if by_day else "stages", id=str(days), page=page)
    other = AdminTap(do="stages" if by_day else "days", id=str(days))
    keyboard = Keyboard(say).pages(here, len(names) > (page + 1) * ROWS)
    keyboard.row(("admin_by_stage_button" if by_day else "admin_by_day_button", other))
    keyboard.row(*((f"admin_days_{span}_button", AdminTap(do=here.do, id=str(span))) for span in SPANS))
    return {**lines.content(), "reply_markup": keyboard.markup()}


def _stars(rows: Sequence[ReportRow]) -> int:
    return sum(row.stars for row in rows)


def reconcile_page(say: Say, report: ReconcileReport) -> Page:
    """Return what a reading of Telegram's ledger found."""
    lines = Lines().add(say("admin_reconciled_clean" if report.is_clean else "admin_reconciled"), bold=True)
    lines.add(say("admin_reconciled_rows", rows=report.rows, since=f"{report.since:%Y-%m-%d %H:%M}"))
    _add_found(say, lines, "admin_reconciled_payments", report.recovered_count, report.recovered)
    _add_found(say, lines, "admin_reconciled_refunds", report.refunded_count, report.refunded)
    _add_found(say, lines, "admin_reconciled_amounts", report.differing_count, report.differing)
    lines.add(say("admin_reconciled_waiting", n=report.waiting))
    if report.balance is not None:
        lines.add(say("admin_balance", stars=say("stars", n=report.balance)))
    if report.drift:
        lines.add(say("admin_reconciled_drift", stars=f"{report.drift:+}"))
    return lines.content()


def _add_found(say: Say, lines: Lines, key: str, count: int, shown: Sequence[Finding]) -> None:
    lines.add(say(key, n=count))
    for finding in shown[:FOUND]:
        recorded = "" if finding.recorded is None else f" ≠ {finding.recorded} ⭐"
        stage = plain(finding.stage_id or "?", 64)
        lines.add("• ", Code(finding.reference), f"  {finding.amount} ⭐{recorded}  {stage}  ", str(finding.user_id))
    if count > FOUND:
        lines.add("…")
