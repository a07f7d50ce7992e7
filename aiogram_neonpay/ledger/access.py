"""The rules of access: what a buyer's grants of one name add up to.

A grant comes from a charge, from a period of a subscription, or from a person, and is known by its reference, so that
applying it twice is applying it once. Time is added to time that still runs; a refund makes the sum what it would be
had that charge never been paid. Counted access (``uses``) adds up; its oldest grant is used first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

__all__ = ["Standing", "grant", "revoke", "standing", "take_back", "use", "use_back"]

Grants = list[dict[str, Any]]
"""Of one name, in the order of ``at``: ``ref``, ``at`` (Unix seconds), ``why``; then ``for`` (seconds; ``None``: for
ever), or ``sub`` and ``until`` for a period of a subscription; ``uses`` and ``used`` when counted; ``off`` once taken
back."""

FORGOTTEN = 30 * 86400.0
"""Seconds after its end for which a grant is still known by its reference."""
LONG = 100
"""Grants of one name above which those whose time is over are added up into one."""


class Standing(NamedTuple):
    """What somebody may do at one moment.

    :ivar expires_at: Unix seconds; ``None``: never.
    :ivar left: how often it may still be used; ``None``: as often as they like.
    :ivar source: ``"purchase"``, ``"subscription"`` or ``"granted"``.
    """

    expires_at: float | None
    left: int | None
    source: str


def standing(grants: Iterable[dict[str, Any]], now: float, grace: float = 0.0) -> Standing | None:
    """Return what the grants add up to, or ``None`` when they allow nothing.

    :param grace: seconds for which a period of a subscription holds beyond its end, because its renewal may be late.
    """
    active = [item for item in grants if not item.get("off")]
    ever = next((item for item in active if _is_for_ever(item)), None)
    if ever is not None:
        return Standing(None, None, ever["why"])
    end, source = _end_of(active)
    if end > now or (source == "subscription" and end + grace > now):
        return Standing(end, None, source)
    counted = [item for item in active if "uses" in item and _counts(item, now)]
    left = sum(item["uses"] - item["used"] for item in counted)
    if not left:
        return None
    ends = [item["at"] + item["for"] for item in counted if item["for"] is not None]
    return Standing(max(ends) if len(ends) == len(counted) else None, left, counted[-1]["why"])


def _end_of(active: Iterable[dict[str, Any]]) -> tuple[float, str]:
    """Return when the time that is not counted ends, and where the last of it came from."""
    end, source = 0.0, ""
    periods: dict[str, float] = {}
    for item in active:
        if "uses" in item:
            continue
        if "until" in item:
            # A period of a subscription has an end of its own; what else runs beyond its beginning is added to it.
            begin = max(item["at"], periods.get(item["sub"], 0.0))
            end = item["until"] + max(0.0, end - begin)
            periods[item["sub"]] = item["until"]
        elif "end" in item:
            end = max(end, item["end"])
        else:
            end = max(end, item["at"]) + item["for"]
        source = item["why"]
    return end, source


def _counts(item: dict[str, Any], now: float) -> bool:
    """Whether something is left of a counted grant."""
    return item["used"] < item["uses"] and (item["for"] is None or item["at"] + item["for"] > now)


def grant(grants: Grants, item: dict[str, Any], now: float) -> Grants:
    """Return the grants with one more, unless its reference is known."""
    if any(known["ref"] == item["ref"] for known in grants):
        return grants
    kept = _tidied(grants, now)
    return sorted([*kept, item], key=lambda known: float(known["at"]))


def take_back(grants: Grants, ref: str) -> Grants:
    """Return the grants without what one reference gave; what was used of it stays used."""
    return [{**item, "off": True} if item["ref"] == ref else item for item in grants]


def revoke(grants: Grants) -> Grants:
    """Return the grants with all of them taken back."""
    return [{**item, "off": True} for item in grants]


def use(grants: Grants, now: float, times: int) -> tuple[Grants, list[tuple[str, int]]] | None:
    """Return the grants with so many uses fewer, and of which references they were; ``None`` when too few are left."""
    changed, taken = [], []
    for item in grants:
        if times and not item.get("off") and "uses" in item and _counts(item, now):
            share = min(times, item["uses"] - item["used"])
            times -= share
            taken.append((item["ref"], share))
            item = {**item, "used": item["used"] + share}
        changed.append(item)
    return None if times else (changed, taken)


def use_back(grants: Grants, taken: Iterable[tuple[str, int]]) -> Grants:
    """Return the grants with uses given back."""
    shares = dict(taken)
    return [
        {**item, "used": max(0, item["used"] - shares[item["ref"]])} if item["ref"] in shares else item
        for item in grants
    ]


def _tidied(grants: Grants, now: float) -> Grants:
    """Return the grants without those that cannot matter any more."""
    end, _ = _end_of(item for item in grants if not item.get("off"))
    ended = end + FORGOTTEN <= now and not any(_is_for_ever(item) for item in grants)

    def matters(item: dict[str, Any]) -> bool:
        if "uses" in item:
            return _counts(item, now) or item["at"] + (item["for"] or 0.0) + FORGOTTEN > now
        return not ended

    kept = [item for item in grants if matters(item)]
    if len(kept) <= LONG:
        return kept
    half = len(kept) // 2
    old = [item for item in kept[:half] if not item.get("off") and "uses" not in item]
    past, source = _end_of(old)
    if not old or past > now or any(_is_for_ever(item) for item in old):
        return kept
    sum_of_old = {"ref": "", "at": old[0]["at"], "end": past, "why": source}
    return [sum_of_old, *(item for item in kept[:half] if "uses" in item and not item.get("off")), *kept[half:]]


def _is_for_ever(item: dict[str, Any]) -> bool:
    return not item.get("off") and "uses" not in item and "for" in item and item["for"] is None
