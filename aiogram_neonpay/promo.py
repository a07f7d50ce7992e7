"""Promo codes: what one takes off, for what, for whom, how often and when; checked at construction."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from aiogram_neonpay.checks import check_amount, check_count, check_stage_id
from aiogram_neonpay.errors import ConfigurationError, ValidationError

__all__ = [
    "PromoCode",
    "PromoUsage",
    "check_promo_code",
    "check_promos",
    "in_capitals",
    "is_promo_code",
    "promo_from",
    "terms_of",
]

MAX_CODE = 32
"""Characters of a code. Ours: it has its place in a link beside what is sold."""
MAX_PERCENT = 99
MAX_TOTAL = 10_000
"""Uses of a limited code. Ours: one record counts them."""
MAX_PER_USER = 1_000
MAX_STAGES = 100

_CODE = re.compile(r"[A-Za-z0-9_\-]{1,32}")


@dataclass(frozen=True, kw_only=True)
class PromoCode:
    """What a promo code gives; the code itself is the name under which it is registered.

    A price never falls below 1 Star; what is left of a percentage is rounded down to whole Stars.

    :param percent: how much is taken off, 1-99 percent.
    :param stars: how much is taken off, in whole Stars; one of the two is given.
    :param stages: ids of what it may be used for; ``None``: everything but subscriptions, which it must name.
    :param total: how many payments may use it in all, 1-10,000; ``None``: any number.
    :param per_user: how many payments of one buyer may use it, 1-1,000; ``None``: any number.
    :param starts_at: from when on it may be used, with a time zone.
    :param ends_at: until when it may be used, with a time zone.
    :raises ValidationError: naming the field, the limit and the value.
    """

    percent: int | None = None
    stars: int | None = None
    stages: Sequence[str] | None = None
    total: int | None = None
    per_user: int | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def __post_init__(self) -> None:
        if (self.percent is None) == (self.stars is None):
            raise ValidationError("percent", "or stars must be given, one of the two", self.percent)
        check_count("percent", self.percent, MAX_PERCENT)
        if self.stars is not None:
            check_amount("stars", self.stars)
        check_count("total", self.total, MAX_TOTAL)
        check_count("per_user", self.per_user, MAX_PER_USER)
        if self.stages is not None:
            object.__setattr__(self, "stages", _checked_stages(self.stages))
        for name in ("starts_at", "ends_at"):
            moment = getattr(self, name)
            if moment is not None and (not isinstance(moment, datetime) or moment.tzinfo is None):
                raise ValidationError(name, "must be a datetime with a time zone", moment)
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValidationError("ends_at", f"must be after starts_at, {self.starts_at}", self.ends_at)

    def price(self, full: int) -> int:
        """Return what is left of a price, in whole Stars, at least 1."""
        if self.percent is not None:
            return max(1, full * (100 - self.percent) // 100)
        assert self.stars is not None
        return max(1, full - self.stars)

    def is_for(self, stage_id: str, *, subscription: bool) -> bool:
        """Whether it may be used for a stage."""
        if self.stages is None:
            return not subscription
        return stage_id in tuple(self.stages)

    def period(self, now: float) -> str | None:
        """Return ``"not_started"`` or ``"ended"`` when it may not be used at a moment (Unix seconds)."""
        if self.starts_at is not None and now < self.starts_at.timestamp():
            return "not_started"
        return "ended" if self.ends_at is not None and now >= self.ends_at.timestamp() else None


@dataclass(frozen=True)
class PromoUsage:
    """How often a promo code was used.

    :ivar used: payments that used it, refunded ones not among them.
    :ivar reserved: uses that are kept for issued invoices and for checkouts; only a code with a ``total`` keeps any.
    :ivar left: how many more there are; ``None`` for any number.
    """

    used: int
    reserved: int = 0
    left: int | None = field(default=None)


def in_capitals(name: str, value: object) -> str:
    """Return what a buyer may have typed as a code, in the letters in which codes are kept.

    :raises ValidationError: for what is no text.
    """
    if not isinstance(value, str):
        raise ValidationError(name, "must be a string", value)
    code = value.strip()
    return code.upper() if _CODE.fullmatch(code) else code


def check_promo_code(name: str, value: object) -> str:
    """Return a code as it is kept: in capitals, so that a buyer may type it either way.

    :raises ValidationError: unless it is 1-32 ASCII letters, digits, ``_`` or ``-``.
    """
    code = in_capitals(name, value)
    if not is_promo_code(code):
        raise ValidationError(name, f"must be 1-{MAX_CODE} ASCII letters, digits, '_' or '-'", value)
    return code


def is_promo_code(code: str) -> bool:
    """Whether there can be a code of this name."""
    return _CODE.fullmatch(code) is not None


def check_promos(promos: Mapping[str, PromoCode] | None) -> dict[str, PromoCode]:
    """Return the codes that a program brings with it, by their name in capitals.

    :raises ConfigurationError: for something else than a dictionary of :class:`PromoCode`.
    """
    if promos is None:
        return {}
    if not isinstance(promos, Mapping) or not all(isinstance(promo, PromoCode) for promo in promos.values()):
        raise ConfigurationError('promos must be a dict of PromoCode by code: {"SUMMER": PromoCode(percent=20)}')
    checked = {check_promo_code("promos", code): promo for code, promo in promos.items()}
    if len(checked) < len(promos):
        raise ConfigurationError("promos has a code twice: small and capital letters are the same in a code")
    return checked


def terms_of(promo: PromoCode) -> dict[str, Any]:
    """Return a promo code as the ledger keeps it."""
    moments = {name: getattr(promo, name) for name in ("starts_at", "ends_at")}
    return {
        **{name: getattr(promo, name) for name in ("percent", "stars", "total", "per_user")},
        "stages": None if promo.stages is None else list(promo.stages),
        **{name: None if moment is None else moment.timestamp() for name, moment in moments.items()},
    }


def promo_from(terms: Mapping[str, Any]) -> PromoCode:
    """Return the promo code that the ledger keeps."""
    starts_at, ends_at = (
        None if terms[name] is None else datetime.fromtimestamp(terms[name], timezone.utc)
        for name in ("starts_at", "ends_at")
    )
    what: dict[str, Any] = {name: terms[name] for name in ("percent", "stars", "stages", "total", "per_user")}
    return PromoCode(**what, starts_at=starts_at, ends_at=ends_at)


def _checked_stages(stages: object) -> tuple[str, ...]:
    if isinstance(stages, str) or not isinstance(stages, Iterable):
        raise ValidationError("stages", "must be a list of stage ids, or None", stages)
    checked = tuple(check_stage_id(stage_id) for stage_id in stages)
    if not 1 <= len(checked) <= MAX_STAGES:
        raise ValidationError("stages", f"must be 1-{MAX_STAGES} stage ids, or None", checked)
    return checked
