"""The price book: exact money, whole Stars, and what it refuses."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogram_neonpay import ConfigurationError, PaymentStage, PriceBook, ValidationError, neonpay_router
from aiogram_neonpay.stages import Catalog

PREMIUM = PaymentStage("Premium", "30 days", None)
CLUB = PaymentStage("Club", "By the month", None, subscription=True)


@pytest.mark.parametrize(
    ("price", "star", "step", "stars"),
    [
        ("4.99", "0.013", 1, 384),
        ("1.30", "0.013", 1, 100),
        (Decimal("1.3"), Decimal("0.013"), 1, 100),
        (1, "0.03", 1, 34),
        ("0.001", "0.013", 1, 1),
        ("4.99", "0.013", 50, 400),
        ("5.20", "0.013", 50, 400),
        ("5.2000001", "0.013", 50, 450),
        ("0.001", "0.013", 25, 25),
    ],
)
def test_money_becomes_whole_stars_and_never_less_than_it_is_worth(
    price: Any, star: Any, step: int, stars: int
) -> None:
    book = PriceBook({"premium": price}, star=star, step=step)
    assert book.quote("premium") == stars
    assert book.quote("nothing") is None


MONEY = st.decimals("0.000001", "100000", places=6)


@given(MONEY, MONEY, st.integers(1, 10_000))
def test_a_price_is_the_least_multiple_that_is_enough(price: Decimal, star: Decimal, step: int) -> None:
    stars = PriceBook({"premium": price}, star=star, step=step).quote("premium")
    assert stars is not None
    assert stars % step == 0
    assert stars * Fraction(star) >= Fraction(price) > (stars - step) * Fraction(star)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (4.99, "must be exact, such as"),
        (True, "must be exact, such as"),
        (None, "must be exact, such as"),
        ("", "must be a number"),
        ("4,99", "must be a number"),
        ("$5", "must be a number"),
        ("0", "must be more than 0"),
        (-1, "must be more than 0"),
        ("NaN", "must be more than 0"),
        ("Infinity", "must be more than 0"),
        ("1e-40", "must be between"),
        ("1e40", "must be between"),
    ],
)
def test_what_is_no_exact_amount_is_refused_by_name(value: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=rf"^prices\['premium'\]: {why}"):
        PriceBook({"premium": value}, star="0.013")
    with pytest.raises(ValidationError, match=rf"^star: {why}"):
        PriceBook({"premium": "4.99"}, star=value)


@pytest.mark.parametrize(
    ("fields", "name"), [({"step": 0}, "step"), ({"step": None}, "step"), ({"currency": ""}, "currency")]
)
def test_other_fields_are_checked(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(ValidationError, match=f"^{name}: "):
        PriceBook({"premium": "4.99"}, star="0.013", **fields)


def test_what_is_no_book_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="prices must be a dict of amounts"):
        PriceBook([("premium", "4.99")], star="0.013")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="prices must be a PriceBook, not dict"):
        neonpay_router({"premium": PREMIUM}, prices={"premium": "4.99"})  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="stage_id"):
        PriceBook({"a b": "4.99"}, star="0.013")


def test_a_rate_at_which_something_would_cost_too_much_changes_nothing() -> None:
    book = PriceBook({"premium": "4.99", "house": "1000000"}, star="0.013")
    with pytest.raises(ValidationError, match=r"star \(for 'house'\): must be at most 999999999999 Stars"):
        book.star = "0.0000001"
    assert book.star == Decimal("0.013") and book.quote("premium") == 384
    with pytest.raises(ValidationError, match=r"prices\['premium'\]"):
        book.set_price("premium", "999999999999999")
    assert book.prices == {"premium": Decimal("4.99"), "house": Decimal(1000000)}


def test_stages_come_out_of_the_catalog_at_the_price_of_now() -> None:
    book = PriceBook({"premium": "4.99"}, star="0.013")
    sticker = PaymentStage("Sticker", "One", 5)
    catalog = Catalog({"premium": PREMIUM, "sticker": sticker}, prices=book)
    assert catalog.known("premium") == PaymentStage("Premium", "30 days", 384)
    assert [stage.price for stage in catalog.all().values()] == [384, 5]
    assert not catalog.may_ask_for_amounts
    assert catalog.known("sticker") is sticker
    assert catalog.known("premium") is catalog.known("premium")
    book.star = "0.01"
    assert [stage.price for stage in catalog.all().values()] == [499, 5]
    book.set_price("premium", 5)
    assert [stage.price for stage in catalog.all().values()] == [500, 5]
    catalog.add("premium", PaymentStage("Premium Gold", "30 days", None), replace=True)
    assert catalog.known("premium") == PaymentStage("Premium Gold", "30 days", 500)


def test_a_stage_with_two_prices_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="stage 'premium' has two prices: 25 Stars"):
        Catalog({"premium": PaymentStage("Premium", "30 days", 25)}, prices=PriceBook({"premium": 5}, star=1))


def test_a_stage_that_cannot_have_its_price_is_not_added() -> None:
    catalog = Catalog(prices=PriceBook({"club": "200"}, star="0.013"))
    with pytest.raises(ValidationError, match="price: must be at most 10000 Stars; got 15385"):
        catalog.add("club", CLUB)
    assert catalog.known("club") is None


def test_a_stage_that_cannot_have_its_new_price_keeps_its_old_one_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    book = PriceBook({"club": "100"}, star="0.013")
    catalog = Catalog({"club": CLUB}, prices=book)
    book.set_price("club", 200)
    for _ in range(3):
        stage = catalog.known("club")
        assert stage is not None and stage.price == 7693
    [line] = caplog.messages
    assert line.startswith("stage 'club' keeps its price of 7693 Stars (price: must be at most 10000 Stars; got 15385")
    book.star = "0.02"
    assert catalog.all()["club"].price == 10_000


@pytest.mark.asyncio
async def test_stages_of_a_loader_have_their_price_too() -> None:
    stages = {"premium": PREMIUM, "sticker": PaymentStage("Sticker", "One", 5)}

    async def load(stage_id: str) -> PaymentStage | None:
        return stages.get(stage_id)

    book = PriceBook({"premium": "4.99", "sticker": 1}, star="0.01")
    catalog = Catalog(load, prices=book)
    assert await catalog.get("nothing") is None
    for stars in (499, 250):
        stage = await catalog.get("premium")
        assert stage is not None and stage.price == stars
        book.star = "0.02"
    with pytest.raises(ConfigurationError, match="stage 'sticker' has two prices"):
        await catalog.get("sticker")
