"""The rules of a buyer's subscriptions: which one a charge belongs to, how it goes on, when it ends.

Telegram tells little: a renewal repeats the payload of the first invoice under a charge of its own, and the
``subscription`` update (Bot API 10.2) has nothing but user, payload and state. So each subscription remembers its
first charge for ever, the payload's digest and the end of what is paid; a renewal goes to the one whose end it meets.

=============  ===================================================================================================
``active``     Telegram charges at the end of the period
``failed``     the last charge failed, such as for lack of Stars
``canceled``   paid to the end of the period, and no further; ``by`` the ``user`` or the ``bot``
``expired``    the end has come without a renewal
=============  ===================================================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

from aiogram_neonpay.ledger.base import new_nonce

__all__ = [
    "EARLY",
    "EXPIRED",
    "PERIOD",
    "Joined",
    "applied",
    "digest_of",
    "end_of",
    "ended",
    "gap_before",
    "goes_on",
    "is_awaited",
    "news_with",
    "refunded",
    "turn",
    "turned",
]

PERIOD = 2_592_000
"""Seconds of a period. Bot API ``createInvoiceLink``, parameter ``subscription_period``."""
ACTIVE, FAILED, CANCELED, EXPIRED = "active", "failed", "canceled", "expired"

STATES = {"canceled": CANCELED, "restored": ACTIVE, "failed": FAILED, "expired": EXPIRED}
"""What each piece of news makes of a subscription."""
REMEMBERED = 24
"""Charges of a subscription that are recognised when they come again."""
KEPT = 50
"""Subscriptions of one buyer; the oldest of those that have ended are forgotten first."""
EARLY = 3 * 86400
"""Seconds round the end of a period in which a charge is taken for its renewal when nothing else tells."""

Subscriptions = dict[str, dict[str, Any]]
"""By the reference of the first charge known."""


def digest_of(payload: str) -> str:
    """Return what a payload is remembered by."""
    return hashlib.sha256(payload.encode("utf-8", "surrogatepass")).hexdigest()[:24]


class Joined(NamedTuple):
    """Where a charge has found its place.

    :ivar subscriptions: all of the buyer's, changed.
    :ivar id: the one it belongs to.
    :ivar is_first: whether it began it.
    :ivar until: end of the period that it paid for, Unix seconds.
    """

    subscriptions: Subscriptions
    id: str
    is_first: bool
    until: float


def applied(subscriptions: Mapping[str, dict[str, Any]], ref: str, charge: Mapping[str, Any]) -> Joined:
    """Put a charge to the subscription it belongs to; one that was put there before changes nothing.

    :param charge: ``charge`` (Telegram's id), ``at``, ``amount``, ``payload``, ``recurring`` (``first``, ``again``, or
        ``row`` when it is not known which), ``until`` and ``period`` (or ``None``), and what a new subscription
        remembers: ``stage``, ``invoice``, ``metadata``, ``title``, ``access``.
    """
    for name, known in subscriptions.items():
        if ref in (ends := _charged(known)):
            return Joined(dict(subscriptions), name, name == ref, ends[ref])
    at, period = float(charge["at"]), float(charge["period"] or PERIOD)
    renewed = _renewed(subscriptions, charge)
    if renewed is None:
        # A renewal of which no first payment is known goes on from here: its first charge was before our time.
        until = float(charge["until"] or at + period)
        first = charge["charge"] if charge["recurring"] != "again" else None
        begun = {
            **{name: charge[name] for name in ("stage", "invoice", "metadata", "title", "access", "amount")},
            "payload": digest_of(charge["payload"]),
            "first": first,
            "since": at,
            "until": until,
            "state": ACTIVE,
            "paid": {ref: until},
        }
        return Joined(_tidied({**subscriptions, ref: begun}), ref, charge["recurring"] != "again", until)
    known = subscriptions[renewed]
    until = float(charge["until"] or max(_end_before(known, at), at) + period)
    paid = dict([*known["paid"].items(), (ref, until)][-REMEMBERED:])
    after = {**known, "until": max(known["until"], until), "paid": paid}
    if until > known["until"]:
        after["amount"] = charge["amount"]
        after.pop("refunded", None)
        # What was cancelled after this charge stays so, though the charge is heard of later.
        if known["state"] != CANCELED or at > known.get("turned", 0.0):
            after["state"] = ACTIVE
            after.pop("by", None)
    return Joined({**subscriptions, renewed: after}, renewed, False, until)


def _renewed(subscriptions: Mapping[str, dict[str, Any]], charge: Mapping[str, Any]) -> str | None:
    """Return the subscription that a charge goes on with; ``None``: it begins one."""
    if charge["recurring"] == "first":
        return None
    payload, at = digest_of(charge["payload"]), float(charge["at"])
    same = [name for name, known in subscriptions.items() if known["payload"] == payload]
    if charge["recurring"] == "row":
        same = [name for name in same if _continues(subscriptions[name], at)]
    return min(same, key=lambda name: abs(_end_before(subscriptions[name], at) - at), default=None)


def gap_before(subscriptions: Mapping[str, dict[str, Any]], charge: Mapping[str, Any]) -> bool:
    """Whether a renewal comes so late that others must have been missed before it, or that it failed for days."""
    name = _renewed(subscriptions, charge)
    return name is not None and float(charge["at"]) > _end_before(subscriptions[name], float(charge["at"])) + EARLY


def _continues(known: Mapping[str, Any], at: float) -> bool:
    """Whether a charge, of which it is not known whether it was the first, falls where a renewal is missing."""
    end = _end_before(known, at)
    if at < end - EARLY or (known["state"] == EXPIRED and end == _end_before(known, inf) and at > end + EARLY):
        return False
    following = min((until for until in _charged(known).values() if until > end), default=None)
    return following is None or following - PERIOD >= end + PERIOD - EARLY


def _end_before(known: Mapping[str, Any], at: float) -> float:
    """Return the end of what was charged before; charges may be heard of in another order than they were made."""
    ends = [float(until) for until in _charged(known).values()]
    return max((until for until in ends if until <= at + EARLY), default=max(ends))


def _charged(known: Mapping[str, Any]) -> dict[str, float]:
    """Return the ends of all periods that Telegram has charged for, those given back among them."""
    return {**known["paid"], **known.get("back", {})}


def refunded(subscriptions: Mapping[str, dict[str, Any]], ref: str, now: float) -> Subscriptions:
    """Take back the period that a charge paid for; Telegram goes on charging unless it is cancelled as well.

    Where it was the last one, no renewal is waited for: it has come, and was given back.
    """
    changed = dict(subscriptions)
    for name, known in subscriptions.items():
        if ref in known["paid"]:
            paid = {other: until for other, until in known["paid"].items() if other != ref}
            before = max(paid.values(), default=min(known["since"], now))
            back = dict([*known.get("back", {}).items(), (ref, known["paid"][ref])][-REMEMBERED:])
            changed[name] = {**known, "paid": paid, "until": before, "back": back}
            if before < known["until"]:
                changed[name]["refunded"] = now
    return changed


def turned(subscriptions: Mapping[str, dict[str, Any]], payload: str, state: str, now: float) -> tuple[str, str] | None:
    """Return which subscription the ``subscription`` update means, and what became of it; ``None``: nothing new.

    Of several with one payload it is the one that ends last: Telegram does not say which. A charge fails at the end of
    a period, so a failure that is heard of when the next period is paid was overtaken by the charge that paid it.

    :param state: ``canceled``, ``active`` or ``failed`` (Bot API ``BotSubscriptionUpdated``).
    """
    digest = digest_of(payload)
    from_states = {CANCELED: (ACTIVE, FAILED), ACTIVE: (CANCELED, FAILED), FAILED: (ACTIVE,)}[state]
    meant = [name for name, known in subscriptions.items() if known["payload"] == digest]
    meant = [name for name in meant if subscriptions[name]["state"] in from_states]
    if state == FAILED:
        meant = [name for name in meant if float(subscriptions[name]["until"]) <= now + EARLY]
    if not meant:
        return None
    kind = {CANCELED: "canceled", ACTIVE: "restored", FAILED: "failed"}[state]
    return max(meant, key=lambda name: float(subscriptions[name]["until"])), kind


def turn(buyer: Mapping[str, Any], sub_id: str, kind: str, *, by: str, now: float) -> dict[str, Any]:
    """Return the fields of a buyer's record in which a subscription has turned, with the news of that.

    :param kind: one of ``STATES``.
    :param by: who cancelled it, ``user`` or ``bot``.
    :param now: when that was heard; what it changes is no older.
    """
    before = buyer["subs"][sub_id]
    after = {**before, "state": STATES[kind], "turned": now}
    after.pop("by", None)
    if kind == "canceled":
        after["by"] = by
    return {"subs": {**buyer["subs"], sub_id: after}, "news": [*buyer.get("news", []), _news(kind, sub_id, before)]}


def _news(kind: str, sub_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return a piece of news; it waits for the handlers of the last charge before it."""
    return {"id": new_nonce(), "kind": kind, "sub": sub_id, "after": next(reversed(known["paid"]), None), "tells": 0}


def news_with(buyer: Mapping[str, Any], joined: Joined, ref: str) -> list[dict[str, Any]]:
    """Return a buyer's untold news with a charge in its place among them.

    Updates come in any order, and some never do. A renewal of what was cancelled shows that it was resumed between. One
    that was made before a cancellation, and is heard of after it, is told before it all the same.
    """
    news: list[dict[str, Any]] = list(buyer.get("news", []))
    before, after = buyer.get("subs", {}).get(joined.id), joined.subscriptions[joined.id]
    if before is None or before["state"] != CANCELED or after["until"] <= before["until"]:
        return news
    if after["state"] == ACTIVE:
        return [*news, _news("restored", joined.id, before)]
    last = next((item for item in reversed(news) if item["sub"] == joined.id), None)
    return [{**item, "after": ref} if item is last else item for item in news]


def end_of(known: Mapping[str, Any], grace: float) -> float | None:
    """Return when a subscription is to be looked at for its end, Unix seconds; ``None``: it has ended."""
    if known["state"] == EXPIRED:
        return None
    if "refunded" in known:
        return max(float(known["until"]), float(known["refunded"]))
    return float(known["until"]) + (grace if is_awaited(known) else 0.0)


def is_awaited(known: Mapping[str, Any]) -> bool:
    """Whether a renewal is to come, and may be late."""
    return known["state"] in (ACTIVE, FAILED) and "refunded" not in known


def goes_on(known: Mapping[str, Any], now: float) -> bool:
    """Whether Telegram may charge for it again: after a refund it does, though what was paid has ended."""
    return known["state"] != EXPIRED or max(_charged(known).values()) > now


def ended(subscriptions: Mapping[str, dict[str, Any]], now: float, grace: float) -> list[str]:
    """Return the subscriptions whose end has come without a renewal, in the order of their ends."""
    over = [
        (moment, name)
        for name, known in subscriptions.items()
        if (moment := end_of(known, grace)) is not None and moment <= now
    ]
    return [name for _, name in sorted(over)]


def _tidied(subscriptions: Subscriptions) -> Subscriptions:
    over = [name for name, known in subscriptions.items() if known["state"] == EXPIRED]
    for name in sorted(over, key=lambda name: float(subscriptions[name]["until"]))[: len(subscriptions) - KEPT]:
        del subscriptions[name]
    return subscriptions
