"""What one buyer may have of something limited, counted in their own record: held, taken by a payment, given back.

Each function gives the fields of the record that change, or ``None``. ``over`` names charges that count no more.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiogram_neonpay.ledger.stock import HOLD, held, put_hold, take_hold

__all__ = ["give_back_own", "hold_own", "let_go_own", "owned", "take_own"]

Body = dict[str, Any]


def owned(known: Body, name: str, over: Collection[str] = ()) -> list[str]:
    """Return the charges by which the buyer has something."""
    return [ref for ref in known.get("bought", {}).get(name, []) if ref not in over]


def hold_own(
    known: Body, name: str, limit: int, who: str, now: float, *, over: Collection[str] = (), seconds: float = HOLD
) -> Body | None:
    """Keep a share for a checkout, if there is one."""
    holds = known.get("holds", {})
    mine = holds.get(name, {})
    if len(owned(known, name, over)) + held(mine, now) >= limit:
        return None
    return {"holds": {**holds, name: put_hold(mine, who, now, seconds)}}


def let_go_own(known: Body, name: str, who: str, now: float) -> Body | None:
    """Give up a share that was kept."""
    left, had = take_hold(known.get("holds", {}).get(name, {}), who, now)
    return {"holds": _with(known.get("holds", {}), name, left)} if had else None


def take_own(
    known: Body, name: str, limit: int, who: str, ref: str, now: float, *, anyway: bool, over: Collection[str] = ()
) -> tuple[Body | None, bool]:
    """Take a share for a charge, once: the one that was kept, or a free one; return whether it has one.

    :param anyway: take one even when there is none.
    """
    mine = owned(known, name, over)
    if ref in mine:
        return None, True
    if ref in known.get("back", ()):  # it was refunded while its worker stood still
        return None, False
    left, had = take_hold(known.get("holds", {}).get(name, {}), who, now)
    if not anyway and not had and len(mine) + held(left, now) >= limit:
        return None, False
    holds = _with(known.get("holds", {}), name, left)
    return {"bought": {**known.get("bought", {}), name: [*mine, ref]}, "holds": holds}, True


def give_back_own(known: Body, name: str, ref: str) -> Body | None:
    """Return the share of a refunded charge."""
    mine = known.get("bought", {}).get(name, [])
    if ref not in mine:
        return None
    return {"bought": _with(known["bought"], name, [other for other in mine if other != ref])}


def _with(known: Body, name: str, value: Any) -> Body:
    """Return a dictionary with a value, or without it when it is empty."""
    others = {other: item for other, item in known.items() if other != name}
    return {**others, name: value} if value else others
