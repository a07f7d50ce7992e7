"""Invoices: messages, links, inline results, stored ones; and how Telegram's refusals read."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from aiogram import Dispatcher
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError, TelegramNetworkError, TelegramRetryAfter
from aiogram.methods import AnswerCallbackQuery, CreateInvoiceLink, SendInvoice
from aiogram.types import (
    CallbackQuery,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputInvoiceMessageContent,
    LabeledPrice,
    Message,
    Update,
)

from aiogram_neonpay import (
    BuyerUnreachableError,
    IdempotencyError,
    InvoiceError,
    InvoiceNotFoundError,
    NeonPay,
    PaymentStage,
    PaymentStatus,
    StageNotFoundError,
    ValidationError,
    donate_keyboard,
    neonpay_router,
)
from tests.telegram import ALICE, BOB, GROUP, RecordingBot, charge_of, paid, person, pre_checkout, tap, text

pytestmark = pytest.mark.asyncio

GROUP_CHAT = {"id": GROUP, "type": "supergroup", "title": "Club", "is_forum": True}


def invoice(bot: RecordingBot) -> SendInvoice:
    return bot.sent(SendInvoice)[-1]


async def verdict(bot: RecordingBot, dp: Dispatcher, **fields: Any) -> bool:
    from aiogram.methods import AnswerPreCheckoutQuery

    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), **fields))
    return bot.sent(AnswerPreCheckoutQuery)[-1].ok


@pytest.fixture(autouse=True)
def installed(dp: Dispatcher) -> None:
    """Every test here sells through an installed shop."""


async def test_an_invoice_message_says_what_the_stage_says(bot: RecordingBot) -> None:
    stage = PaymentStage("Title", "Description", 12, "Label", "https://example.org/p.png", None, "start")
    pay = neonpay_router({"one": stage}, bot=bot)
    Dispatcher().include_router(pay)
    message = await pay.send_payment(ALICE, "one")
    assert message.chat.id == ALICE
    sent = invoice(bot)
    assert (sent.chat_id, sent.title, sent.description, sent.currency) == (ALICE, "Title", "Description", "XTR")
    assert sent.prices == [LabeledPrice(label="Label", amount=12)]
    assert (sent.photo_url, sent.start_parameter, sent.provider_token) == ("https://example.org/p.png", "start", None)
    assert len(sent.payload.encode()) <= 128


async def test_any_option_of_the_method_passes_through(bot: RecordingBot, pay: NeonPay) -> None:
    await pay.send_payment(ALICE, "premium", protect_content=True, message_effect_id="5", photo_width=10)
    assert (invoice(bot).protect_content, invoice(bot).message_effect_id, invoice(bot).photo_width) == (True, "5", 10)


@pytest.mark.parametrize("name", ["payload", "prices", "currency", "provider_token", "nonsense"])
async def test_options_that_are_ours_or_unknown_are_refused_by_name(bot: RecordingBot, pay: NeonPay, name: str) -> None:
    options: dict[str, Any] = {name: "x"}
    with pytest.raises(ValidationError, match=name):
        await pay.send_payment(ALICE, "premium", **options)
    with pytest.raises(ValidationError, match=name):
        await pay.create_link("premium", **options)
    assert bot.calls == []


@pytest.mark.parametrize(("name", "value"), [("message_thread_id", "x"), ("photo_width", [1]), ("protect_content", 7)])
async def test_an_option_of_a_wrong_type_is_refused_by_name(
    bot: RecordingBot, pay: NeonPay, name: str, value: Any
) -> None:
    with pytest.raises(ValidationError, match=rf"{name}: is refused: .*; got {re.escape(repr(value))}"):
        await pay.send_payment(ALICE, "premium", key="k", **{name: value})
    assert bot.calls == []


async def test_a_keyboard_gets_its_pay_button_first(bot: RecordingBot, pay: NeonPay) -> None:
    help_ = InlineKeyboardButton(text="Help", callback_data="help")
    own = InlineKeyboardButton(text="Buy now", pay=True)
    await pay.send_payment(ALICE, "premium", reply_markup=InlineKeyboardMarkup(inline_keyboard=[[help_]]))
    rows = invoice(bot).reply_markup.inline_keyboard  # type: ignore[union-attr]
    assert (rows[0][0].text, rows[0][0].pay, rows[1]) == ("Pay 25 ⭐", True, [help_])
    await pay.send_payment(ALICE, "premium", reply_markup=InlineKeyboardMarkup(inline_keyboard=[[help_, own]]))
    assert invoice(bot).reply_markup.inline_keyboard == [[own], [help_]]  # type: ignore[union-attr]
    right = InlineKeyboardMarkup(inline_keyboard=[[own, help_]])
    await pay.send_payment(ALICE, "premium", reply_markup=right)
    assert invoice(bot).reply_markup == right


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"user_id": 0}, "user_id"),
        ({"user_id": -5}, "user_id"),
        ({"user_id": "7"}, "user_id"),
        ({"user_id": True}, "user_id"),
        ({"user_id": 1 << 52}, "user_id"),
        ({"user_id": None}, "user_id"),
        ({"chat_id": 1.5}, "chat_id"),
        ({"amount": 26}, "amount"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": {1: 2}}, "metadata"),
        ({"metadata": {"x": object()}}, "metadata"),
        ({"metadata": {"x": float("nan")}}, "metadata"),
        ({"metadata": {"x": "y" * 9000}}, "metadata"),
        ({"key": ""}, "key"),
        ({"key": "k" * 257}, "key"),
        ({"key": 5}, "key"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": "1h"}, "expires_in"),
        ({"single_use": 1}, "single_use"),
        ({"user_id": None, "chat_id": GROUP, "buyer_only": True}, "buyer_only"),
    ],
)
async def test_bad_input_names_the_field_and_sends_nothing(
    bot: RecordingBot, pay: NeonPay, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        await pay.send_payment(**{"user_id": ALICE, "stage_id": "premium", **arguments})
    assert caught.value.field == field
    assert isinstance(caught.value, ValueError)
    assert bot.calls == []


async def test_an_unknown_stage_and_one_off_sale_are_refused(bot: RecordingBot, pay: NeonPay) -> None:
    with pytest.raises(StageNotFoundError, match="'nope'"):
        await pay.send_payment(ALICE, "nope")
    pay.create_payment_stage("old", PaymentStage("Old", "d", 5, on_sale=False))
    with pytest.raises(InvoiceError, match="not on sale"):
        await pay.send_payment(ALICE, "old")


async def test_open_amounts_are_the_buyers_choice_within_the_stages_range(bot: RecordingBot, pay: NeonPay) -> None:
    await pay.send_payment(ALICE, "donate", amount=77)
    assert invoice(bot).prices[0].amount == 77
    for amount in (None, 0, -1, 1001, 2.5, True, "5"):
        with pytest.raises(ValidationError, match="amount"):
            await pay.send_payment(ALICE, "donate", amount=amount)  # type: ignore[arg-type]


async def test_a_price_that_telegram_refuses_becomes_a_clear_error(bot: RecordingBot, pay: NeonPay) -> None:
    pay.create_payment_stage("dear", PaymentStage("Dear", "d", 10**9))

    def refuse(method: SendInvoice) -> Any:
        raise TelegramBadRequest(method=method, message="Bad Request: CURRENCY_TOTAL_AMOUNT_INVALID")

    bot.answer(SendInvoice, refuse)
    with pytest.raises(InvoiceError, match=r"CURRENCY_TOTAL_AMOUNT_INVALID.*lower the price") as caught:
        await pay.send_payment(ALICE, "dear")
    assert isinstance(caught.value.__cause__, TelegramBadRequest)


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (
            lambda m: TelegramForbiddenError(m, "Forbidden: bot was blocked by the user"),
            BuyerUnreachableError,
            "unblock",
        ),
        (lambda m: TelegramRetryAfter(m, "Too Many Requests", 17), InvoiceError, "wait 17 s"),
        (lambda m: TelegramNetworkError(m, "timeout"), InvoiceError, "may not have been made"),
        (lambda m: TelegramBadRequest(m, "Bad Request: chat not found"), InvoiceError, "never started"),
    ],
)
async def test_every_refusal_says_what_to_do_next(
    bot: RecordingBot, pay: NeonPay, error: Any, kind: type[Exception], says: str
) -> None:
    def refuse(method: SendInvoice) -> Any:
        raise error(method)

    bot.answer(SendInvoice, refuse)
    with pytest.raises(kind, match=says) as caught:
        await pay.send_payment(ALICE, "premium")
    assert bot.token not in str(caught.value)
    assert invoice(bot).payload not in str(caught.value)


# answer_payment


def message_in(bot: RecordingBot, **fields: Any) -> Message:
    update = Update.model_validate(text("/buy", **fields), context={"bot": bot})
    assert update.message is not None
    return update.message


async def test_an_answer_goes_to_the_chat_and_topic_of_the_message(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    await pay.answer_payment(message_in(bot), "premium")
    assert (invoice(bot).chat_id, invoice(bot).message_thread_id) == (ALICE, None)
    assert await verdict(bot, dp, user_id=BOB)  # in the buyer's own chat nothing is bound
    await pay.answer_payment(message_in(bot, chat=GROUP_CHAT, message_thread_id=5, is_topic_message=True), "premium")
    assert (invoice(bot).chat_id, invoice(bot).message_thread_id) == (GROUP, 5)
    assert not await verdict(bot, dp, user_id=BOB)
    assert await verdict(bot, dp, user_id=ALICE)
    await pay.answer_payment(message_in(bot, chat=GROUP_CHAT), "premium", buyer_only=False)
    assert await verdict(bot, dp, user_id=BOB)


async def test_an_answer_to_a_tap_is_for_whoever_tapped(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    def query(**fields: Any) -> CallbackQuery:
        update = Update.model_validate(tap("x", **fields), context={"bot": bot})
        assert update.callback_query is not None
        return update.callback_query

    await pay.answer_payment(query(user_id=BOB, chat=GROUP_CHAT), "premium")
    assert invoice(bot).chat_id == GROUP
    assert not await verdict(bot, dp, user_id=ALICE)
    inline = query(user_id=BOB).model_copy(update={"message": None})
    await pay.answer_payment(inline, "premium")
    assert invoice(bot).chat_id == BOB


async def test_a_message_of_the_bot_itself_names_no_buyer_in_a_group(bot: RecordingBot, pay: NeonPay) -> None:
    own = {**person(42), "is_bot": True}
    await pay.answer_payment(message_in(bot, **{"from": own}), "premium")
    assert invoice(bot).chat_id == ALICE  # in a private chat the chat is the buyer
    with pytest.raises(ValidationError, match="CallbackQuery"):
        await pay.answer_payment(message_in(bot, chat=GROUP_CHAT, **{"from": own}), "premium")
    with pytest.raises(ValidationError, match="event"):
        await pay.answer_payment("hello", "premium", bot=bot)  # type: ignore[arg-type]


# Links and inline results


async def test_a_link_is_a_string_with_the_invoices_id(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    link = await pay.create_link("premium")
    assert isinstance(link, str)
    assert link.startswith("https://t.me/$")
    assert len(link.invoice_id) == 18
    assert await verdict(bot, dp, user_id=BOB)
    bound = await pay.create_link("premium", user_id=ALICE)
    assert bound.invoice_id != link.invoice_id
    assert not await verdict(bot, dp, user_id=BOB)
    await pay.create_link("premium", user_id=ALICE, buyer_only=False)
    assert await verdict(bot, dp, user_id=BOB)


async def test_an_inline_result_carries_an_invoice(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    result = await pay.create_inline_result("premium", user_id=ALICE, description="For you")
    content = result.input_message_content
    assert isinstance(content, InputInvoiceMessageContent)
    assert (result.title, result.description, content.currency) == ("Premium", "For you", "XTR")
    heard: list[Any] = []
    pay.on_payment(heard.append)
    await dp.feed_raw_update(bot, paid(content.payload))
    assert heard[0].stage_id == "premium"


# Stored invoices


async def test_a_key_makes_a_call_idempotent(bot: RecordingBot, pay: NeonPay) -> None:
    first, second = await asyncio.gather(
        pay.send_payment(ALICE, "premium", key="order-1"), pay.send_payment(ALICE, "premium", key="order-1")
    )
    third = await pay.send_payment(ALICE, "premium", key="order-1")
    assert first.message_id == second.message_id == third.message_id
    assert len(bot.sent(SendInvoice)) == 1
    links = {str(await pay.create_link("premium", key="link-1")) for _ in range(2)}
    assert len(links) == 1
    assert len(bot.sent(CreateInvoiceLink)) == 1


@pytest.mark.parametrize(
    "other",
    [{"stage_id": "sticker"}, {"user_id": BOB}, {"metadata": {"a": 1}}, {"single_use": True}, {"chat_id": GROUP}],
)
async def test_the_same_key_with_other_content_is_an_error(
    bot: RecordingBot, pay: NeonPay, other: dict[str, Any]
) -> None:
    await pay.send_payment(ALICE, "premium", key="order-1")
    with pytest.raises(IdempotencyError, match="order-1"):
        await pay.send_payment(**{"user_id": ALICE, "stage_id": "premium", "key": "order-1", **other})


async def test_a_key_keeps_its_invoice_through_a_new_price(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    await pay.create_link("premium", key="order-1")
    pay.create_payment_stage("premium", PaymentStage("Premium", "d", 99), replace=True)
    await pay.create_link("premium", key="order-1")
    assert len(bot.sent(CreateInvoiceLink)) == 1
    assert await verdict(bot, dp, amount=25)


async def test_a_call_that_telegram_refused_can_be_repeated_with_its_key(bot: RecordingBot, pay: NeonPay) -> None:
    failures = [True]

    def flaky(method: SendInvoice) -> Any:
        if failures.pop():
            raise TelegramNetworkError(method, "timeout")

    bot.answer(SendInvoice, flaky)
    with pytest.raises(InvoiceError):
        await pay.send_payment(ALICE, "premium", key="order-1")
    del bot.recorded.answers[SendInvoice]
    await pay.send_payment(ALICE, "premium", key="order-1")
    first, second = bot.sent(SendInvoice)
    assert first.payload == second.payload


async def test_the_fate_of_a_stored_invoice_can_be_asked(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    @pay.completed
    async def grant(event: Any) -> None:
        if event.user_id == ALICE and event.attempt == 1:
            raise ZeroDivisionError

    link = await pay.create_link("premium", track=True)
    status = await pay.invoice_status(link.invoice_id)
    assert (status.status, status.delivered, status.payment) == (PaymentStatus.PENDING, False, None)
    update = paid(bot.payload())
    with pytest.raises(ZeroDivisionError):
        await dp.feed_raw_update(bot, update)
    status = await pay.invoice_status(link.invoice_id)
    assert (status.status, status.delivered) == (PaymentStatus.COMPLETED, False)
    await dp.feed_raw_update(bot, update)
    status = await pay.invoice_status(link.invoice_id)
    assert status.delivered
    assert status.payment is not None
    assert status.payment.transaction_id == charge_of(update)
    assert (await pay.invoice_status(link.invoice_id, user_id=BOB)).status is PaymentStatus.PENDING
    await dp.feed_raw_update(bot, paid(bot.payload(), user_id=BOB, charge="bobs"))
    bobs = (await pay.invoice_status(link.invoice_id, user_id=BOB)).payment
    assert bobs is not None
    assert bobs.transaction_id == "bobs"
    await pay.refund(charge_of(update))
    assert (await pay.invoice_status(link.invoice_id)).status is PaymentStatus.REFUNDED


async def test_a_cancelled_invoice_cannot_be_paid(bot: RecordingBot, pay: NeonPay, dp: Dispatcher) -> None:
    await pay.send_payment(ALICE, "premium", key="order-1")
    assert await verdict(bot, dp)
    assert await pay.cancel_invoice(key="order-1") is True
    assert await pay.cancel_invoice(key="order-1") is False
    assert not await verdict(bot, dp)
    assert (await pay.invoice_status(key="order-1")).status is PaymentStatus.CANCELLED
    with pytest.raises(InvoiceError, match="cancelled"):
        await pay.send_payment(ALICE, "premium", key="order-1")


async def test_a_paid_single_use_invoice_cannot_be_paid_or_cancelled(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    pay.on_payment(print)
    link = await pay.create_link("premium", single_use=True)
    assert await verdict(bot, dp)
    await dp.feed_raw_update(bot, paid(bot.payload()))
    assert not await verdict(bot, dp)
    assert await pay.cancel_invoice(link.invoice_id) is False


async def test_a_plain_invoice_has_no_fate_to_ask_and_the_error_names_the_option(
    bot: RecordingBot, pay: NeonPay
) -> None:
    link = await pay.create_link("premium")
    for call in (pay.invoice_status, pay.cancel_invoice):
        with pytest.raises(InvoiceNotFoundError, match="track=True"):
            await call(link.invoice_id)
        with pytest.raises(InvoiceNotFoundError, match="'order-9'"):
            await call(key="order-9")
        with pytest.raises(ValidationError):
            await call()


# Donations


async def test_a_tap_on_a_donate_button_is_answered_with_an_invoice(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher
) -> None:
    @dp.callback_query()
    async def catch_all(query: CallbackQuery) -> None:
        raise AssertionError("the bot's own handler saw a tap of ours")

    keyboard = donate_keyboard([1, 10, 50], labels={50: "Fifty!"})
    buttons = [button for row in keyboard.inline_keyboard for button in row]
    assert [button.text for button in buttons] == ["1 ⭐", "10 ⭐", "Fifty!"]
    await dp.feed_raw_update(bot, tap(str(buttons[1].callback_data)))
    assert (invoice(bot).chat_id, invoice(bot).prices[0].amount, invoice(bot).title) == (ALICE, 10, "Donate")
    assert bot.sent(AnswerCallbackQuery)[-1].text is None
    await dp.feed_raw_update(bot, tap(str(buttons[2].callback_data), user_id=BOB, chat=GROUP_CHAT))
    assert invoice(bot).chat_id == GROUP
    assert not await verdict(bot, dp, amount=50, user_id=ALICE)
    assert await verdict(bot, dp, amount=50, user_id=BOB)


async def test_a_tap_that_cannot_be_served_is_answered_with_words(bot: RecordingBot, dp: Dispatcher) -> None:
    for data, says in (
        ("neonpay:gone:5", "This product is not sold any more."),
        ("neonpay:~00000000:5", "This product is not sold any more."),
        ("neonpay:donate:5000", "It can be 1 to 1000 ⭐."),
    ):
        await dp.feed_raw_update(bot, tap(data))
        assert bot.sent(AnswerCallbackQuery)[-1].text == says
    assert bot.sent(SendInvoice) == []


async def test_buttons_of_the_bot_that_begin_like_ours_are_left_to_it(bot: RecordingBot, dp: Dispatcher) -> None:
    seen = []

    @dp.callback_query()
    async def mine(query: CallbackQuery) -> None:
        seen.append(query.data)

    for data in ("neonpay", "neonpay:2", "neonpay:donate:x", "np:donate:5"):
        await dp.feed_raw_update(bot, tap(data))
    assert seen == ["neonpay", "neonpay:2", "neonpay:donate:x", "np:donate:5"]


async def test_a_donate_button_carries_a_stage_id_of_any_length(bot: RecordingBot) -> None:
    stage_id = "d" * 64
    pay = neonpay_router({stage_id: PaymentStage("Donate", "d", None)}, bot=bot)
    dp = Dispatcher()
    dp.include_router(pay)
    [[button]] = donate_keyboard([999_999_999_999], stage_id=stage_id).inline_keyboard
    assert len(str(button.callback_data).encode()) <= 64
    await dp.feed_raw_update(bot, tap(str(button.callback_data)))
    assert invoice(bot).prices[0].amount == 999_999_999_999
