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
from typing import Any, NamedTuple

__all__ = ["PERIOD", "Joined", "applied", "digest_of", "ended", "refunded", "turned"]

PERIOD = 2_592_000
"""Seconds of a period. Bot API ``createInvoiceLink``, parameter ``subscription_period``."""
ACTIVE, FAILED, CANCELED, EXPIRED = "active", "failed", "canceled", "expired"

REMEMBERED = 24
"""Charges of a subscription that are recognised when they come again."""
KEPT = 50
"""Subscriptions of one buyer; the oldest of those that have ended are forgotten first."""
EARLY = 3 * 86400
"""Seconds before the end of a period in which a charge is taken for its renewal when nothing else tells."""

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
        ``row`` when it is not known which), ``until`` (or ``None``), and what a new subscription remembers: ``stage``,
        ``invoice``, ``metadata``, ``title``, ``access``.
    """
    for name, known in subscriptions.items():
        if ref in known["paid"]:
            return Joined(dict(subscriptions), name, name == ref, known["paid"][ref])
    payload = digest_of(charge["payload"])
    at = float(charge["at"])
    renewed = None
    if charge["recurring"] != "first":
        same = {name: known for name, known in subscriptions.items() if known["payload"] == payload}
        if charge["recurring"] == "row":
            same = {name: known for name, known in same.items() if at >= known["until"] - EARLY}
        if same:
            renewed = min(same, key=lambda name: abs(same[name]["until"] - at))
    if renewed is None:
        # A renewal of which no first payment is known goes on from here: its first charge was before our time.
        until = float(charge["until"] or at + PERIOD)
        first = charge["charge"] if charge["recurring"] != "again" else None
        begun = {
            **{name: charge[name] for name in ("stage", "invoice", "metadata", "title", "access", "amount")},
            "payload": payload,
            "first": first,
            "since": at,
            "until": until,
            "state": ACTIVE,
            "paid": {ref: until},
        }
        return Joined(_tidied({**subscriptions, ref: begun}), ref, charge["recurring"] != "again", until)
    known = subscriptions[renewed]
    until = float(charge["until"] or max(known["until"], at) + PERIOD)
    paid = dict([*known["paid"].items(), (ref, until)][-REMEMBERED:])
    after = {**known, "until": max(known["until"], until), "state": ACTIVE, "amount": charge["amount"], "paid": paid}
    after.pop("by", None)
    return Joined({**subscriptions, renewed: after}, renewed, False, until)


def refunded(subscriptions: Mapping[str, dict[str, Any]], ref: str, now: float) -> Subscriptions:
    """Take back the period that a charge paid for; Telegram goes on charging unless it is cancelled as well."""
    changed = dict(subscriptions)
    for name, known in subscriptions.items():
        if ref in known["paid"]:
            paid = {other: until for other, until in known["paid"].items() if other != ref}
            before = max(paid.values(), default=min(known["since"], now))
            changed[name] = {**known, "paid": paid, "until": before}
    return changed


def turned(subscriptions: Mapping[str, dict[str, Any]], payload: str, state: str) -> tuple[str, str] | None:
    """Return which subscription the ``subscription`` update means, and what became of it; ``None``: nothing new.

    Of several with one payload it is the one that ends last: Telegram does not say which.

    :param state: ``canceled``, ``active`` or ``failed`` (Bot API ``BotSubscriptionUpdated``).
    """
    digest = digest_of(payload)
    from_states = {CANCELED: (ACTIVE, FAILED), ACTIVE: (CANCELED, FAILED), FAILED: (ACTIVE,)}[state]
    meant = [name for name, known in subscriptions.items() if known["payload"] == digest]
    meant = [name for name in meant if subscriptions[name]["state"] in from_states]
    if not meant:
        return None
    kind = {CANCELED: "canceled", ACTIVE: "restored", FAILED: "failed"}[state]
    return max(meant, key=lambda name: float(subscriptions[name]["until"])), kind


def end_of(known: Mapping[str, Any], grace: float) -> float | None:
    """Return when a subscription is to be looked at for its end, Unix seconds; ``None``: it has ended."""
    if known["state"] == EXPIRED:
        return None
    return float(known["until"]) + (0.0 if known["state"] == CANCELED else grace)


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
