"""The timeline of a payment, put together from its record, its invoice's id and, if that is stored, its invoice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from aiogram import Bot

from aiogram_neonpay.ledger.charges import PAID
from aiogram_neonpay.ledger.trail import HEAD
from aiogram_neonpay.shop import Shop

__all__ = ["TimelineEntry", "timeline_of"]


CLOCKS_DIFFER = 5
"""Seconds by which this machine's clock may be ahead of Telegram's."""


@dataclass(frozen=True)
class TimelineEntry:
    """Something that happened to a payment.

    :ivar at: when, UTC, in whole seconds; ``None`` where the ledger did not write it down.
    :ivar what: ``issued``, ``approved`` (stored invoices only) or ``paid``; a step that a worker began: ``deliver``,
        ``send_refund``, ``announce_refund``; what came of it: ``delivered``, ``failed``, ``cancelled`` (the handler
        was cut off), ``unmatched``, ``stuck``, ``rejected`` (refunded instead), ``refunded``, ``announced`` (the
        handlers of the refund have returned), ``refund_refused``, ``refund_delayed``, ``refund_unheard``; what people
        did: ``requested`` (a refund), ``redelivery``, ``dismissed``; ``recorded`` (found in Telegram's ledger, or
        written down late); ``omitted`` (of a long timeline the middle is not kept; ``detail`` tells how many entries).
    :ivar worker: the process that began a step, as ``host:process id``.
    :ivar detail: why, or what went wrong, at most 120 characters.
    """

    at: datetime | None
    what: str
    worker: str | None = None
    detail: str | None = None


async def timeline_of(shop: Shop, bot: Bot, record: dict[str, Any]) -> tuple[TimelineEntry, ...]:
    """Return the timeline of a recorded charge, oldest first; one more read if its invoice is stored."""
    entries = []
    invoice_id, renews = record.get("invoice"), record.get("recurring") == "again"
    if invoice_id:
        entries.append(TimelineEntry(_moment(int(invoice_id[:8], 16)), "issued"))  # an id begins with its time
    if invoice_id and record.get("stored") and not renews:  # nobody is asked before a renewal
        entries += _approved(await shop.invoices.get(bot.id, invoice_id), record)
    entries.append(TimelineEntry(_moment(record["at"]), "paid"))
    return (*entries, *_since(record))


def _approved(invoice: dict[str, Any] | None, record: dict[str, Any]) -> Iterator[TimelineEntry]:
    """Yield the checkout that led to a payment: the buyer's last one before it."""
    known = () if invoice is None else invoice.get("approved", ())
    moments = [at for at, user_id in known if user_id == record["user"] and at <= record["at"] + CLOCKS_DIFFER]
    if moments:
        yield TimelineEntry(_moment(moments[-1]), "approved")


def _since(record: dict[str, Any]) -> Iterator[TimelineEntry]:
    """Yield what happened to a charge once it was known."""
    trail = record.get("trail")
    if trail is None:  # recorded before trails were kept
        for what in (record["state"], record.get("refund")):
            if what not in (None, PAID):
                yield TimelineEntry(None, what)
        return
    for number, (at, what, *more) in enumerate(trail):
        if number == HEAD and (cut := record.get("trail_cut")):
            yield TimelineEntry(None, "omitted", detail=str(cut))
        worker, detail = [*more, None, None][:2]
        yield TimelineEntry(_moment(at), what, worker or None, detail)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
