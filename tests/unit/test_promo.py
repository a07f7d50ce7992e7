"""Promo codes as values: what they take off, and what is refused at construction."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogram_neonpay import ConfigurationError, PromoCode, PromoError, ValidationError, neonpay_router
from aiogram_neonpay.promo import check_promo_code, promo_from, terms_of

NOW = datetime(2027, 1, 15, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("promo", "full", "price"),
    [
        (PromoCode(percent=20), 25, 20),
        (PromoCode(percent=10), 5, 4),  # 4.5: in the buyer's favour
        (PromoCode(percent=99), 3, 1),
        (PromoCode(stars=5), 25, 20),
        (PromoCode(stars=500), 25, 1),
        (PromoCode(percent=50), 1, 1),
    ],
)
def test_a_code_takes_off_whole_stars_and_leaves_one(promo: PromoCode, full: int, price: int) -> None:
    assert promo.price(full) == price


@given(st.integers(1, 10**11), st.integers(1, 99), st.integers(1, 10**11))
def test_no_price_reaches_zero_or_grows(full: int, percent: int, stars: int) -> None:
    for promo in (PromoCode(percent=percent), PromoCode(stars=stars)):
        assert 1 <= promo.price(full) <= full


@pytest.mark.parametrize(
    ("fields", "field", "limit"),
    [
        ({}, "percent", "one of the two"),
        ({"percent": 10, "stars": 5}, "percent", "one of the two"),
        ({"percent": 100}, "percent", "1 to 99"),
        ({"percent": 0}, "percent", "1 to 99"),
        ({"percent": 12.5}, "percent", "1 to 99"),
        ({"percent": True}, "percent", "1 to 99"),
        ({"stars": 0}, "stars", "at least 1"),
        ({"stars": 5, "total": 0}, "total", "1 to 10000"),
        ({"stars": 5, "total": 10_001}, "total", "1 to 10000"),
        ({"stars": 5, "per_user": 1_001}, "per_user", "1 to 1000"),
        ({"stars": 5, "stages": "premium"}, "stages", "a list"),
        ({"stars": 5, "stages": []}, "stages", "1-100"),
        ({"stars": 5, "stages": ["no space"]}, "stage_id", "letters"),
        ({"stars": 5, "ends_at": NOW.replace(tzinfo=None)}, "ends_at", "time zone"),
        ({"stars": 5, "starts_at": 12}, "starts_at", "time zone"),
        ({"stars": 5, "starts_at": NOW, "ends_at": NOW}, "ends_at", "after starts_at"),
    ],
)
def test_a_bad_field_is_refused_by_name(fields: dict[str, Any], field: str, limit: str) -> None:
    with pytest.raises(ValidationError, match=limit) as refused:
        PromoCode(**fields)
    assert refused.value.field == field


def test_a_code_is_kept_in_capitals() -> None:
    assert check_promo_code("promo", " Summer-20\n") == "SUMMER-20"  # as somebody typed it
    for bad in ("", "A" * 33, "ЛЕТО", "a b", "ß", None, 5):
        with pytest.raises(ValidationError, match=r"promo: must be (1-32 ASCII|a string)"):
            check_promo_code("promo", bad)


def test_a_period_begins_and_ends_to_the_second() -> None:
    promo = PromoCode(percent=5, starts_at=NOW, ends_at=NOW + HOUR)
    at = NOW.timestamp()

    assert promo.period(at - 1) == "not_started"
    assert promo.period(at) is promo.period(at + 3599) is None
    assert promo.period(at + 3600) == "ended"


def test_a_code_is_for_everything_but_subscriptions_unless_it_names_them() -> None:
    assert PromoCode(percent=5).is_for("premium", subscription=False)
    assert not PromoCode(percent=5).is_for("club", subscription=True)
    assert PromoCode(percent=5, stages=["club"]).is_for("club", subscription=True)
    assert not PromoCode(percent=5, stages=["club"]).is_for("premium", subscription=False)


@pytest.mark.parametrize(
    "promo",
    [
        PromoCode(percent=5),
        PromoCode(stars=5, stages=("a", "b"), total=7, per_user=2, starts_at=NOW, ends_at=NOW + HOUR),
    ],
)
def test_the_ledger_gives_back_what_it_was_given(promo: PromoCode) -> None:
    assert promo_from(terms_of(promo)) == promo


def test_codes_of_the_program_are_checked_when_it_starts() -> None:
    for bad in (["A"], {"A": 5}, {"a": PromoCode(percent=5), "A": PromoCode(percent=6)}):
        with pytest.raises(ConfigurationError):
            neonpay_router({}, promos=bad)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        neonpay_router({}, promos={"Ü": PromoCode(percent=5)})


def test_the_error_says_what_to_do() -> None:
    error = PromoError("SUMMER", "ended", "It is over.")

    assert (error.code, error.reason, error.text) == ("SUMMER", "ended", "It is over.")
    assert "error.text" in str(error)
