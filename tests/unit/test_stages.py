"""A stage is refused at construction when Telegram would refuse it, with the field, the limit and the value."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from aiogram_neonpay.checks import MAX_AMOUNT, check_stage_id
from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.stages import PaymentStage

EMOJI = "\N{MONEY BAG}"
FAMILY = "👨‍👩‍👧"
"""One picture, five characters."""


def stage(**fields: Any) -> PaymentStage:
    return PaymentStage(**{"title": "Premium", "description": "30 days", "price": 25, **fields})


def refused(**fields: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        stage(**fields)
    error = caught.value
    (name,) = fields
    assert error.field == name
    assert str(error).startswith(f"{name}: {error.limit}; got ")
    assert isinstance(error, ValueError)
    return error


# Texts


@pytest.mark.parametrize(("field", "limit"), [("title", 32), ("description", 255), ("category", 64)])
@pytest.mark.parametrize("character", ["a", "я", "⭐", EMOJI])
def test_texts_are_counted_in_characters_not_bytes(field: str, limit: int, character: str) -> None:
    assert getattr(stage(**{field: character * limit}), field) == character * limit

    error = refused(**{field: character * (limit + 1)})

    assert error.limit == f"must be 1-{limit} characters, has {limit + 1}"
    assert error.value == character * (limit + 1)


@pytest.mark.parametrize("field", ["title", "description", "label", "category"])
@pytest.mark.parametrize("value", ["", " ", "\n", "\t\n ", "\u00a0", "\u2003\u3000"])
def test_blank_texts_are_refused(field: str, value: str) -> None:
    error = refused(**{field: value})

    assert error.limit == "must not be blank"
    assert repr(value) in str(error)


@pytest.mark.parametrize("field", ["title", "description", "label", "category"])
@pytest.mark.parametrize("character", ["\x00", "\x07", "\t", "\r", "\x1b", "\x7f", "\x85", "\x9f"])
def test_control_characters_are_refused_by_their_code(field: str, character: str) -> None:
    error = refused(**{field: f"a{character}b"})

    assert error.limit == f"must not contain the control character U+{ord(character):04X}"


@pytest.mark.parametrize("field", ["title", "description", "label", "category"])
@pytest.mark.parametrize("character", ["\ud800", "\udfff"])
def test_lone_surrogates_are_refused(field: str, character: str) -> None:
    error = refused(**{field: f"a{character}b"})

    assert f"U+{ord(character):04X}" in error.limit
    str(error).encode()


@pytest.mark.parametrize("field", ["title", "description", "label", "category"])
@pytest.mark.parametrize("value", [5, True, b"text", ["text"], 1.5, object])
def test_only_strings_are_texts(field: str, value: object) -> None:
    assert refused(**{field: value}).limit == "must be a string"


@pytest.mark.parametrize("field", ["title", "description", "label"])
def test_texts_are_required(field: str) -> None:
    assert refused(**{field: None}).limit == "must be a string"


@pytest.mark.parametrize("value", [FAMILY, "two\nlines", " padded ", "‏עברית‏", "{braces} <b>&amp;"])
def test_texts_that_telegram_shows_are_kept_as_they_are(value: str) -> None:
    assert stage(title=value).title == value


# Prices


@pytest.mark.parametrize("price", [1, 2, 10_000, 10_001, 2_500_000, MAX_AMOUNT])
def test_no_cap_is_made_up_for_prices(price: int) -> None:
    assert stage(price=price).price == price


@pytest.mark.parametrize("price", [True, False, 1.0, 25.5, "25", b"25", [25], float("nan")])
def test_a_price_is_a_whole_number(price: object) -> None:
    error = refused(price=price)

    assert error.limit == "must be a whole number of Stars (int)"
    assert repr(price) in str(error)


@pytest.mark.parametrize("price", [0, -1, -(10**20)])
def test_a_price_is_at_least_one_star(price: int) -> None:
    assert str(refused(price=price)) == f"price: must be at least 1 Star; got {price}"


def test_a_price_is_at_most_what_telegrams_servers_take_in_general() -> None:
    assert str(refused(price=MAX_AMOUNT + 1)) == f"price: must be at most {MAX_AMOUNT} Stars; got {MAX_AMOUNT + 1}"


@pytest.mark.parametrize("field", ["min_price", "max_price"])
@pytest.mark.parametrize("value", [True, 1.5, "1", 0, -1, MAX_AMOUNT + 1])
def test_bounds_of_a_chosen_price_are_prices(field: str, value: object) -> None:
    refused(**{field: value})


def test_the_upper_bound_is_not_below_the_lower_one() -> None:
    with pytest.raises(ValidationError, match="max_price: must be at least 10 Stars; got 9"):
        stage(price=None, min_price=10, max_price=9)
    assert stage(price=None, min_price=10, max_price=10).max_price == 10


# Other fields


@pytest.mark.parametrize("value", ["a", "A-z_0", "x" * 64])
def test_a_start_parameter_of_allowed_characters_is_kept(value: str) -> None:
    assert stage(start_parameter=value).start_parameter == value


@pytest.mark.parametrize("value", ["", "x" * 65, "a b", "a.b", "я", "a\n", "a=b", "⭐", "\ud800", 5, True, b"a"])
def test_other_start_parameters_are_refused(value: object) -> None:
    assert refused(start_parameter=value).limit == "must be 1-64 characters of A-Z, a-z, 0-9, '_' or '-'"


@pytest.mark.parametrize("value", ["https://example.org/a.png", "http://x/y?z=1#я"])
def test_a_photo_is_an_address(value: str) -> None:
    assert stage(photo_url=value).photo_url == value


@pytest.mark.parametrize(
    "value",
    ["", "example.org/a.png", "ftp://x/y", "https://", "https://a b", "https://a\n", "javascript:1", 5, b"https://x"],
)
def test_other_addresses_are_refused(value: object) -> None:
    assert refused(photo_url=value).limit == "must be an http or https address"


@pytest.mark.parametrize("value", [1, 0, "yes", None])
def test_on_sale_is_a_truth_value(value: object) -> None:
    assert refused(on_sale=value).limit == "must be True or False"


def test_a_provider_token_is_refused_without_being_shown() -> None:
    error = refused(provider_token="401643678:TEST:secret")

    assert "Stars have no provider" in str(error)
    assert "secret" not in str(error) and "secret" not in repr(error)
    assert "provider_token" not in repr(stage(provider_token=""))


def test_a_stage_is_written_as_in_neonpays_documents() -> None:
    positional = PaymentStage("Premium", "30 days", 25, "Pay", "https://x/y.png", {"plan": 1}, "start")

    assert positional == PaymentStage(
        title="Premium",
        description="30 days",
        price=25,
        label="Pay",
        photo_url="https://x/y.png",
        payload={"plan": 1},
        start_parameter="start",
    )
    assert stage().label == "Payment"


def test_a_stage_cannot_be_changed_but_a_copy_of_it_is_checked() -> None:
    premium = stage(payload={"plan": 1})
    with pytest.raises(FrozenInstanceError):
        premium.price = 1  # type: ignore[misc]

    assert replace(premium, price=30).price == 30
    with pytest.raises(ValidationError):
        replace(premium, price=0)
    assert premium == stage(payload={"plan": 1}) != stage()
    assert len({premium, stage(payload={"plan": 1})}) == 1


def test_what_is_done_to_a_payload_afterwards_does_not_change_the_stage() -> None:
    payload: dict[str, Any] = {"tags": ["a"]}
    premium = stage(payload=payload)
    payload["tags"].append("b")

    assert premium.payload == {"tags": ["a"]}


# Amounts


def test_a_fixed_price_is_the_amount() -> None:
    assert stage().amount_for(None) == 25
    assert stage().amount_for(25) == 25


@pytest.mark.parametrize("amount", [24, 26, 0, -25, True, "25", 25.0])
def test_an_amount_that_contradicts_the_price_is_refused(amount: Any) -> None:
    with pytest.raises(ValidationError, match=r"^amount: ") as caught:
        stage().amount_for(amount)
    assert repr(amount) in str(caught.value)


def test_a_chosen_amount_is_required_and_kept_within_bounds() -> None:
    donation = stage(price=None, min_price=5, max_price=100)

    assert [donation.amount_for(amount) for amount in (5, 50, 100)] == [5, 50, 100]
    for amount, reason in (
        (None, "is required for a stage without a price"),
        (4, "at least 5 Stars"),
        (101, "at most 100 Stars"),
        (True, "whole number"),
        ("10", "whole number"),
    ):
        with pytest.raises(ValidationError, match=f"^amount: .*{reason}"):
            donation.amount_for(amount)  # type: ignore[arg-type]


def test_without_bounds_any_amount_may_be_chosen() -> None:
    assert stage(price=None).amount_for(1) == 1
    assert stage(price=None).amount_for(MAX_AMOUNT) == MAX_AMOUNT
    with pytest.raises(ValidationError, match=f"at most {MAX_AMOUNT} Stars"):
        stage(price=None).amount_for(MAX_AMOUNT + 1)


# Ids


@pytest.mark.parametrize("value", ["a", "premium", "A.b-c_9", ".", "-", "x" * 64])
def test_a_stage_id_of_allowed_characters_is_kept(value: str) -> None:
    assert check_stage_id(value) == value


@pytest.mark.parametrize("value", ["", "a b", "a\n", "a:b", "a/b", "~a", "я", "⭐", "é", "１", "a\x00", "\ud800"])
def test_other_stage_ids_are_refused(value: str) -> None:
    with pytest.raises(ValidationError, match=r"1-64 ASCII letters, digits, '_', '-' or '.'; got"):
        check_stage_id(value)


@pytest.mark.parametrize(("value", "size"), [("x" * 65, 65), ("я" * 33, 66), ("я" * 64, 128), (EMOJI * 17, 68)])
def test_stage_ids_are_counted_in_bytes(value: str, size: int) -> None:
    with pytest.raises(ValidationError, match=f"stage_id: must be 1-64 bytes, has {size}; got"):
        check_stage_id(value)


@pytest.mark.parametrize("value", [None, 5, True, b"premium", ["premium"]])
def test_only_strings_are_stage_ids(value: object) -> None:
    with pytest.raises(ValidationError, match="stage_id: must be a string; got"):
        check_stage_id(value)
