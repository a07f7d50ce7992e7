"""Keyboards: buttons within Telegram's limits, whatever the stage is called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiogram_neonpay import neonpay_router
from aiogram_neonpay.buttons import ItemTap, PageTap, StageTap, read_tap
from aiogram_neonpay.checks import MAX_AMOUNT
from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.keyboards import buy_keyboard, catalog_keyboard, donate_keyboard, subscription_keyboard
from aiogram_neonpay.stages import Catalog, PaymentStage

CALLBACK_DATA = 64
"""Bytes. Bot API ``InlineKeyboardButton``."""

stage_ids = st.text("abcXYZ019_-.", min_size=1, max_size=64)


def buttons(amounts: Any = (1, 10, 50), **options: Any) -> list[tuple[str, str]]:
    keyboard = donate_keyboard(amounts, **options)
    return [(button.text, button.callback_data or "") for row in keyboard.inline_keyboard for button in row]


@given(stage_ids, st.integers(1, MAX_AMOUNT))
def test_a_button_fits_and_leads_back_to_its_stage_and_amount(stage_id: str, amount: int) -> None:
    ((_, data),) = buttons([amount], stage_id=stage_id)
    assert 1 <= len(data.encode()) <= CALLBACK_DATA

    tap = StageTap.unpack(data)

    catalog = Catalog({stage_id: PaymentStage("Donate", "Thank you", None)})
    found = catalog.by_code(tap.stage[1:]) if tap.stage.startswith("~") else tap.stage
    assert (found, tap.amount) == (stage_id, amount)


@pytest.mark.parametrize("length", [1, 42, 43, 44, 64])
def test_a_stage_is_named_by_its_id_as_long_as_that_fits(length: int) -> None:
    stage_id = "s" * length

    tap = StageTap.unpack(buttons([MAX_AMOUNT], stage_id=stage_id)[0][1])

    assert tap.stage == (stage_id if length <= 43 else tap.stage)
    assert tap.stage.startswith("~") == (length > 43)


def test_buttons_are_in_order_and_in_rows_of_three() -> None:
    keyboard = donate_keyboard([1, 5, 10, 25, 50])

    assert [[button.text for button in row] for row in keyboard.inline_keyboard] == [
        ["1 ⭐", "5 ⭐", "10 ⭐"],
        ["25 ⭐", "50 ⭐"],
    ]
    assert StageTap.unpack(buttons()[0][1]) == StageTap(stage="donate", amount=1)


@pytest.mark.parametrize("amounts", [[7], (7,), range(7, 8)])
def test_any_sequence_of_amounts_will_do(amounts: Any) -> None:
    assert buttons(amounts)[0][0] == "7 ⭐"


def test_a_hundred_buttons_are_the_most() -> None:
    assert len(buttons(range(1, 101))) == 100
    with pytest.raises(ValidationError, match="amounts: must be a list of 1-100"):
        donate_keyboard(range(1, 102))


@pytest.mark.parametrize("amounts", [[], "10", b"10", 10, None, {10}, iter([10])])
def test_only_lists_of_amounts_are_taken(amounts: Any) -> None:
    with pytest.raises(ValidationError, match="amounts: must be a list of 1-100 whole numbers of Stars; got"):
        donate_keyboard(amounts)


@pytest.mark.parametrize("amount", [0, -1, True, 1.5, "10", None, MAX_AMOUNT + 1])
def test_every_amount_is_checked(amount: Any) -> None:
    with pytest.raises(ValidationError, match=r"^amounts: ") as caught:
        donate_keyboard([5, amount])
    assert repr(amount) in str(caught.value)


def test_an_amount_given_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"amounts: must not repeat; got \[5, 10, 5\]"):
        donate_keyboard([5, 10, 5])


@pytest.mark.parametrize("stage_id", ["", "a b", "a:b", "я", "x" * 65, None])
def test_the_stage_id_is_checked(stage_id: Any) -> None:
    with pytest.raises(ValidationError, match=r"^stage_id: "):
        donate_keyboard([5], stage_id=stage_id)


def test_labels_may_be_given_by_amount_or_in_order() -> None:
    by_amount = [text for text, _ in buttons(labels={10: "Ten", 1: "One"})]
    in_order = [text for text, _ in buttons(labels=["a", "b", "c"])]

    assert by_amount == ["One", "Ten", "50 ⭐"]
    assert in_order == ["a", "b", "c"]


@pytest.mark.parametrize("labels", ["abc", ["a"], ["a", "b", "c", "d"], []])
def test_labels_in_order_are_one_for_each_amount(labels: Any) -> None:
    with pytest.raises(ValidationError, match="labels: must be 3 texts, one for each amount"):
        buttons(labels=labels)


def test_labels_are_for_amounts_of_the_keyboard() -> None:
    with pytest.raises(ValidationError, match=r"labels: must be for amounts of the keyboard; got \[3, 2\]"):
        buttons(labels={3: "Three", 10: "Ten", 2: "Two"})


@pytest.mark.parametrize("label", ["", " ", "a\x00b", "x" * 65, 5, None, b"Ten"])
def test_a_label_is_text_that_can_be_shown(label: Any) -> None:
    with pytest.raises(ValidationError, match=r"^labels: "):
        buttons(labels={10: label})
    with pytest.raises(ValidationError, match=r"^labels: "):
        buttons(labels=["a", label, "c"])


def test_a_custom_amount_has_a_row_of_its_own() -> None:
    assert buttons(custom=True)[-1] == ("Other amount", "neonpay:donate:")
    assert buttons(custom="As you like", stage_id="x" * 64)[-1][0] == "As you like"
    assert len(buttons(range(1, 100), custom=True)) == 100
    with pytest.raises(ValidationError, match="amounts: must be a list of 1-99"):
        donate_keyboard(range(1, 101), custom=True)
    with pytest.raises(ValidationError, match="custom: must not be blank"):
        donate_keyboard([1], custom=" ")


@settings(max_examples=25)
@given(stage_ids, st.one_of(st.none(), st.integers(1, MAX_AMOUNT)), st.text("abü", min_size=1, max_size=64))
def test_every_button_of_a_catalog_fits_and_leads_back(stage_id: str, price: int | None, category: str) -> None:
    stages = {stage_id: PaymentStage("A", "d", price, category=category), "-": PaymentStage("B", "d", 2)}
    for number in range(100):
        stages.setdefault(f"{number}", PaymentStage("C", "d", 3))
    pay = neonpay_router(stages)
    rows = catalog_keyboard(pay, per_page=50).inline_keyboard
    taps = [read_tap(button.callback_data or "") for row in rows for button in row]

    assert max(len((button.callback_data or "").encode()) for row in rows for button in row) <= CALLBACK_DATA
    assert len(taps) <= 100
    assert all(isinstance(tap, (ItemTap, PageTap)) for tap in taps)
    first = next(tap for tap in taps if isinstance(tap, ItemTap))
    assert first.amount == stages[next(iter(stages))].price


@pytest.mark.parametrize("per_page", [0, 51, True, 2.0, "3", None])
def test_the_size_of_pages_is_checked(per_page: Any) -> None:
    with pytest.raises(ValidationError, match="per_page: must be a whole number from 1 to 50; got"):
        catalog_keyboard(neonpay_router({}), per_page=per_page)


def test_a_shop_with_nothing_in_it_has_no_buttons() -> None:
    assert catalog_keyboard(neonpay_router({})).inline_keyboard == []
    off = PaymentStage("Off", "d", 1, on_sale=False)
    assert catalog_keyboard(neonpay_router({"off": off})).inline_keyboard == []


@pytest.mark.parametrize(
    ("stage_ids", "labels", "wrong"),
    [
        ((), None, "stage_ids: must be 1-100 ids of stages"),
        (tuple(map(str, range(101))), None, "stage_ids: must be 1-100 ids of stages"),
        (("a", "b", "a"), None, "stage_ids: must not repeat"),
        (("a b",), None, "stage_id: must be"),
        (("a", "b"), ["A"], "labels: must be 2 texts, one for each stage id"),
        (("a",), {"b": "B"}, "labels: must be for stage ids of the keyboard"),
        (("a",), {"a": ""}, "labels: must not be blank"),
    ],
)
def test_what_a_buy_keyboard_is_made_of_is_checked(stage_ids: Any, labels: Any, wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        buy_keyboard(*stage_ids, labels=labels)


@pytest.mark.parametrize(
    "data",
    ["neonpay", "npitem", "neonpay:a", "neonpay:a:b", "neonpay:a:1:2", "nppage:x", "npstop:1", "np:a:1", "", "np"],
)
def test_other_peoples_buttons_are_no_buttons_of_ours(data: str) -> None:
    assert read_tap(data) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda language: donate_keyboard([5], language=language),
        lambda language: buy_keyboard("a", neonpay=neonpay_router({"a": PaymentStage("A", "d", 5)}), language=language),
        lambda language: catalog_keyboard(neonpay_router({"a": PaymentStage("A", "d", 5)}), language=language),
        lambda language: subscription_keyboard("a", language=language),
    ],
)
def test_a_language_is_named_by_its_code(make: Any) -> None:
    with pytest.raises(ValidationError, match=r"language: must be a language code.*; got 5"):
        make(5)
    assert make("ru-RU").inline_keyboard


@pytest.mark.parametrize("make", [catalog_keyboard, lambda shop: buy_keyboard("a", neonpay=shop)])
@pytest.mark.parametrize("shop", [5, "neonpay", {"a": PaymentStage("A", "d", 5)}])
def test_what_is_no_shop_is_refused(make: Any, shop: Any) -> None:
    with pytest.raises(ValidationError, match="neonpay: must be the NeonPay of the bot"):
        make(shop)


async def load(stage_id: str) -> PaymentStage | None:
    return None


@pytest.mark.parametrize("make", [buy_keyboard, subscription_keyboard])
def test_a_button_that_could_not_be_led_back_to_a_loaders_stage_is_refused(make: Any) -> None:
    shop = neonpay_router(load)
    assert make("x" * 43, neonpay=shop).inline_keyboard
    with pytest.raises(ValidationError, match=r"stage_id: must be at most 43 bytes .*loader knows, has 44; got 'xxx"):
        make("x" * 44, neonpay=shop)

    shop.create_payment_stage("x" * 44, PaymentStage("Long", "d", 5, subscription=True))
    assert make("x" * 44, neonpay=shop).inline_keyboard
