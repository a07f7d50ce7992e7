"""What charges add to the counters of their days, for reports."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

from aiogram_neonpay.ledger.base import Tally

__all__ = ["day_of", "sale_of", "tally_of"]

COUNTABLE = 1 << 52
"""Stars. No charge has more; one that claims to have must not fail the counters of a storage, which end at 64 bits."""


def day_of(moment: float) -> str:
    """Return the day under which a moment is counted: UTC, as ``2026-11-23``."""
    return _day(int(moment // 86400))


@lru_cache(maxsize=16)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86400, timezone.utc).strftime("%Y-%m-%d")


def tally_of(body: dict[str, Any], day: str, counts: dict[str, int]) -> Tally | None:
    """Return what a charge adds to the counters of a day: nothing, if a counter cannot hold it."""
    if abs(body["amount"]) > COUNTABLE:
        return None
    stage = body.get("stage") or ""
    return Tally(day, {f"{stage}:{name}": number for name, number in counts.items()})


def sale_of(body: dict[str, Any], *, refunded: bool) -> dict[str, int]:
    """Return the counters of a charge that is recorded, which may be refunded already."""
    sold = {"count": 1, "stars": body["amount"]}
    return {**sold, "refunds": 1, "returned": body["amount"]} if refunded else sold
