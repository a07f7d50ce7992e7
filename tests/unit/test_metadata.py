"""Metadata: what JSON carries comes back, everything else is refused."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogram_neonpay.checks import MAX_METADATA, check_metadata
from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.stages import PaymentStage

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


def refused(value: Any) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        check_metadata("metadata", value)
    assert caught.value.field == "metadata"
    assert str(caught.value).startswith("metadata: must ")
    return caught.value


@given(st.dictionaries(texts, values, max_size=5))
def test_what_json_carries_comes_back_as_it_was(metadata: dict[str, Any]) -> None:
    assert check_metadata("metadata", metadata) == metadata


def test_nothing_is_nothing() -> None:
    assert check_metadata("metadata", None) is None
    assert check_metadata("metadata", {}) == {}


def test_it_is_a_deep_copy() -> None:
    given_: dict[str, Any] = {"tags": ["a"]}
    kept = check_metadata("metadata", given_)
    given_["tags"].append("b")

    assert kept == {"tags": ["a"]}


def test_any_mapping_will_do() -> None:
    assert check_metadata("metadata", MappingProxyType({"a": 1})) == {"a": 1}


@pytest.mark.parametrize("value", [[], [("a", 1)], "a", 5, True, object(), {1}])
def test_only_mappings_are_metadata(value: object) -> None:
    assert refused(value).limit == "must be a dict"


@pytest.mark.parametrize("key", [1, None, True, 1.5, ("a",), b"a"])
def test_keys_are_strings(key: object) -> None:
    error = refused({"a": 1, key: 2})

    assert error.limit == "must have string keys"
    assert error.value == key


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, b"bytes", float("nan"), float("inf"), -float("inf"), 1j, PaymentStage, "\ud800"],
    ids=["an object", "a set", "bytes", "nan", "inf", "-inf", "a complex number", "a class", "half a surrogate pair"],
)
def test_what_json_does_not_carry_is_refused(value: object) -> None:
    assert refused({"a": value}).limit.startswith("must hold only what JSON can carry (")
    assert refused({"a": [{"b": value}]}).limit.startswith("must hold only what JSON can carry (")


def test_what_contains_itself_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["circle"] = circle

    refused(circle)


def test_a_key_with_a_lone_surrogate_is_refused() -> None:
    refused({"\udfff": 1})


@pytest.mark.parametrize("character", ["a", "я", "⭐", "\N{MONEY BAG}", '"'])
def test_the_limit_counts_bytes_of_compact_json(character: str) -> None:
    size = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    count = (MAX_METADATA - len('{"a":""}')) // size
    fitting = {"a": character * count}
    assert check_metadata("metadata", fitting) == fitting

    error = refused({"a": character * (count + 1)})

    bytes_of_json = len('{"a":""}') + size * (count + 1)
    assert error.limit == f"must be at most {MAX_METADATA} bytes of JSON, has {bytes_of_json}"
    assert len(str(error)) < 300, "the message does not quote all of it"


def test_a_stages_payload_is_checked_as_metadata_under_its_own_name() -> None:
    with pytest.raises(ValidationError, match=r"^payload: must have string keys; got 1$"):
        PaymentStage("Premium", "30 days", 25, payload={1: 2})  # type: ignore[dict-item]
    with pytest.raises(ValidationError, match=r"^payload: must be a dict; got 'text'$"):
        PaymentStage("Premium", "30 days", 25, payload="text")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=f"^payload: must be at most {MAX_METADATA} bytes"):
        PaymentStage("Premium", "30 days", 25, payload={"a": "x" * MAX_METADATA})
