"""What admins read of payments and people: each page is a message with its buttons."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from aiogram_neonpay.access import Access, AccessChange
from aiogram_neonpay.models import PaymentResult, PaymentStatus, Subscription
from aiogram_neonpay.storefront.admin.buttons import AdminTap, Keyboard
from aiogram_neonpay.timeline import TimelineEntry
from aiogram_neonpay.wording import REASONS, Code, Lines, plain, reason_text

__all__ = [
    "LISTED",
    "Page",
    "Say",
    "access_page",
    "payment_page",
    "sold",
    "stuck_page",
    "timeline_page",
    "user_page",
]

Say = Callable[..., str]
Page = dict[str, Any]
"""Parameters of ``sendMessage`` and ``editMessageText``."""

LISTED = 8
"""Payments on one page."""
ENTRIES = 12
"""Entries of a timeline on one page."""
HELD = 10
"""Accesses and subscriptions on one page."""


def payment_page(say: Say, payment: PaymentResult, notice: str | None = None) -> Page:
    """Return everything about a payment, with what can be done.

    :param notice: what was just done, above it.
    """
    reference = payment.reference or ""
    lines = Lines()
    if notice is not None:
        lines.add(notice).add("")
    lines.add(sold(say, payment), bold=True)
    lines.add(say("admin_reference"), " ", Code(reference))
    lines.add(say("admin_charge"), " ", Code(plain(payment.telegram_payment_charge_id or "-", 400)))
    lines.add(say("admin_buyer"), " ", Code(str(payment.user_id)))
    if payment.timestamp is not None:
        lines.add(say("admin_paid"), " ", _moment(payment.timestamp))
    lines.add(say("admin_status"), " ", _status(say, payment))
    if payment.error:
        lines.add(say("admin_error"), " ", plain(payment.error, 300))
    if payment.subscription_expires_at is not None:
        lines.add(say("admin_paid_until"), " ", _moment(payment.subscription_expires_at))
    if payment.metadata:
        lines.add(say("admin_metadata"), " ", plain(json.dumps(payment.metadata, ensure_ascii=False), 600))
    keyboard = Keyboard(say)
    keyboard.row(
        ("admin_timeline_button", AdminTap(do="time", id=reference)),
        ("admin_buyer_button", AdminTap(do="user", id=str(payment.user_id))),
    )
    deeds = []
    if payment.status is not PaymentStatus.REFUNDED:
        deeds.append(("admin_refund_button", AdminTap(do="refund", id=reference)))
    if not payment.delivered and (payment.status is not PaymentStatus.REFUNDED or payment.reason == "refund_unheard"):
        deeds.append(("admin_redeliver_button", AdminTap(do="again", id=reference)))
    if payment.reason == "refund_unheard" or (payment.reason == "refund_refused" and payment.delivered):
        deeds.append(("admin_dismiss_button", AdminTap(do="dismiss", id=reference)))
    if deeds:
        keyboard.row(*deeds)
    return {**lines.content(), "reply_markup": keyboard.markup()}


def timeline_page(say: Say, payment: PaymentResult, entries: Sequence[TimelineEntry], page: int) -> Page:
    """Return what happened to a payment."""
    reference = payment.reference or ""
    lines = Lines().add(sold(say, payment), bold=True).add(Code(reference)).add("")
    for entry in entries[page * ENTRIES : (page + 1) * ENTRIES]:
        moment = "…" if entry.at is None else f"{entry.at:%Y-%m-%d %H:%M:%S}"
        if entry.what == "omitted":
            words = say("timeline_omitted", n=int(entry.detail or 0))
        else:
            words = say(f"timeline_{entry.what}") if entry.what in WHATS else plain(entry.what, 40)
            words += f" ({entry.worker})" if entry.worker else ""
            words += f": {_why(say, entry.detail)}" if entry.detail else ""
        lines.add(moment, "  ", words)
    keyboard = Keyboard(say).pages(AdminTap(do="time", id=reference, page=page), len(entries) > (page + 1) * ENTRIES)
    keyboard.row(("admin_back_button", AdminTap(do="pay", id=reference)))
    return {**lines.content(), "reply_markup": keyboard.markup()}


def _why(say: Say, detail: str) -> str:
    """Return the detail of an entry, which may begin with the reason why a payment waits."""
    reason, colon, rest = detail.partition(": ")
    return plain(reason_text(say, reason) + colon + rest, 200) if reason in REASONS else plain(detail, 120)


def user_page(say: Say, user_id: int, payments: Sequence[PaymentResult], page: int) -> Page:
    """Return a page of somebody's payments.

    :param payments: those of the page, and one more if there is a further page.
    """
    lines = Lines().add(say("admin_payments_of", user=user_id), bold=True)
    keyboard = _listed(say, lines, payments, AdminTap(do="user", id=str(user_id), page=page))
    keyboard.row(("admin_access_button", AdminTap(do="access", id=str(user_id))))
    return {**lines.content(), "reply_markup": keyboard.markup()}


def stuck_page(say: Say, payments: Sequence[PaymentResult], page: int) -> Page:
    """Return a page of what waits for a person; see :func:`user_page`."""
    lines = Lines().add(say("admin_waiting"), bold=True)
    keyboard = _listed(say, lines, payments, AdminTap(do="stuck", page=page))
    return {**lines.content(), "reply_markup": keyboard.markup()}


def _listed(say: Say, lines: Lines, payments: Sequence[PaymentResult], here: AdminTap) -> Keyboard:
    if not payments:
        lines.add(say("admin_none"))
    shown, first = payments[:LISTED], here.page * LISTED + 1
    for number, payment in enumerate(shown, first):
        paid = "" if payment.timestamp is None else f"{payment.timestamp:%Y-%m-%d %H:%M}  "
        lines.add("").add(f"{number}. ", paid, sold(say, payment))
        waits = here.do == "stuck" and payment.reason is not None
        status = reason_text(say, payment.reason or "") if waits else _status(say, payment)
        lines.add(Code(payment.reference or ""), "  ", plain(status, 160))
        if here.do == "stuck":
            lines.add(
                say("admin_user", user=payment.user_id), f": {plain(payment.error, 120)}" if payment.error else ""
            )
    taps = [AdminTap(do="pay", id=payment.reference or "") for payment in shown]
    return Keyboard(say).choices(taps, first).pages(here, len(payments) > LISTED)


def access_page(
    say: Say,
    user_id: int,
    accesses: Sequence[Access],
    subscriptions: Sequence[Subscription],
    changes: Sequence[AccessChange],
    page: int,
) -> Page:
    """Return what somebody has, and what people have granted and revoked."""
    items = [_access(say, access) for access in accesses]
    items += [_subscription(say, subscription) for subscription in subscriptions]
    items += [_change(say, change) for change in changes]
    lines = Lines().add(say("admin_access_of", user=user_id), bold=True)
    for item in items[page * HELD : (page + 1) * HELD] or [say("admin_none")]:
        lines.add("• ", item)
    keyboard = Keyboard(say).pages(AdminTap(do="access", id=str(user_id), page=page), len(items) > (page + 1) * HELD)
    keyboard.row(("admin_back_button", AdminTap(do="user", id=str(user_id))))
    return {**lines.content(), "reply_markup": keyboard.markup()}


def _access(say: Say, access: Access) -> str:
    until = say("admin_for_ever") if access.expires_at is None else say("admin_until", date=_moment(access.expires_at))
    left = [] if access.left is None else [say("uses", n=access.left)]
    return " · ".join([plain(access.name, 64), until, *left, say(f"admin_source_{access.source}")])


def _subscription(say: Say, subscription: Subscription) -> str:
    stars = say("stars", n=subscription.amount)
    until = say("admin_until", date=_moment(subscription.expires_at))
    return " · ".join([plain(subscription.stage_id, 64), stars, say(f"admin_sub_{subscription.state}"), until])


def _change(say: Say, change: AccessChange) -> str:
    reason = [plain(change.reason, 200)] if change.reason else []
    return " · ".join([_moment(change.at), say(f"admin_did_{change.did}"), plain(change.name, 64), *reason])


def sold(say: Say, payment: PaymentResult) -> str:
    """Return what was sold for how much."""
    return f"{say('stars', n=payment.amount)} · {plain(payment.stage_id or '?', 64)}"


def _status(say: Say, payment: PaymentResult) -> str:
    if payment.reason is not None:
        return say("admin_status_waits", reason=reason_text(say, payment.reason))
    if payment.status is PaymentStatus.REFUNDED:
        return say("admin_status_refunded")
    return say("admin_status_delivered" if payment.delivered else "admin_status_open", n=payment.attempt)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


WHATS = frozenset(
    {
        "announce_refund",
        "announced",
        "approved",
        "cancelled",
        "deliver",
        "delivered",
        "dismissed",
        "failed",
        "issued",
        "paid",
        "recorded",
        "redelivery",
        "refund_delayed",
        "refund_refused",
        "refund_unheard",
        "refunded",
        "rejected",
        "requested",
        "send_refund",
        "stuck",
        "unmatched",
    }
)
"""What happens to a payment: each has its phrase."""
