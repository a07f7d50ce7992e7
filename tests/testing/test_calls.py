"""Recorded calls, read as the aiogram methods they were."""

from __future__ import annotations

from typing import Any

import pytest
from aiogram import Bot, methods
from aiogram.methods import TelegramMethod
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, LabeledPrice, LinkPreviewOptions

from aiogram_neonpay.sandbox import Call, Sandbox, SandboxSession
from aiogram_neonpay.testing import RecordedCall, RecordedCalls

pytestmark = pytest.mark.asyncio


class Stand:
    def __init__(self) -> None:
        sandbox = Sandbox(seed=0)
        self.alice = sandbox.create_user("Alice", user_id=123)
        self.bot = Bot(sandbox.create_bot("a_bot"), session=SandboxSession(sandbox))
        sandbox.world.private_chat(self.bot.id, 123).started = True
        self.calls = RecordedCalls(sandbox)


@pytest.fixture
def stand() -> Stand:
    return Stand()


async def test_parameters_are_attributes_with_aiograms_types(stand: Stand) -> None:
    keyboard = InlineKeyboardMarkup(
        inline_keyboard=[
            [InlineKeyboardButton(text="Pay", pay=True)],
            [InlineKeyboardButton(text="No", callback_data="no")],
        ]
    )
    await stand.bot.send_invoice(
        123, "Title", "About", "12345", "XTR", [LabeledPrice(label="It", amount=5)], reply_markup=keyboard
    )
    call = stand.calls.send_invoice.last
    assert (call.chat_id, call.title, call.payload, call.currency) == (123, "Title", "12345", "XTR")
    assert call.prices == [LabeledPrice(label="It", amount=5)]
    assert call.reply_markup.inline_keyboard[1][0].callback_data == "no"
    assert call.photo_url is None
    assert call.ok and call.error is None and call.result["invoice"]["total_amount"] == 5
    assert call.method == "sendInvoice" and call.params["title"] == "Title"


async def test_numbers_and_truths_are_not_text_but_text_is(stand: Stand) -> None:
    await stand.bot.send_message(123, "42", disable_notification=True, message_thread_id=7)
    call = stand.calls.send_message.last
    assert (call.chat_id, call.text, call.disable_notification, call.message_thread_id) == (123, "42", True, 7)
    await stand.bot.get_me()
    assert [call.method for call in stand.calls] == ["sendMessage", "getMe"]


async def test_parameters_that_a_bot_may_have_a_default_for_are_read_as_well(stand: Stand) -> None:
    await stand.bot.send_message(
        123, "<b>42</b>", parse_mode="HTML", link_preview_options=LinkPreviewOptions(is_disabled=True)
    )
    call = stand.calls.send_message.last
    assert (call.parse_mode, call.protect_content) == ("HTML", None)
    assert isinstance(call.link_preview_options, LinkPreviewOptions) and call.link_preview_options.is_disabled


@pytest.mark.parametrize("value", ["42", "true", {"a": 1}, [1], None], ids=repr)
async def test_every_parameter_of_every_method_can_be_read(value: Any) -> None:
    kinds = [getattr(methods, name) for name in methods.__all__]
    kinds = [kind for kind in kinds if issubclass(kind, TelegramMethod) and kind is not TelegramMethod]
    assert len(kinds) > 100
    for kind in kinds:
        for name in kind.model_fields:
            call = RecordedCall(Call(1, kind.__api_method__, {name: value}, True, None, None, 0.0))
            getattr(call, name)


async def test_calls_are_a_list(stand: Stand) -> None:
    for text in ("one", "two", "three"):
        await stand.bot.send_message(123, text)
    said = stand.calls.send_message
    assert (len(said), bool(said), said[0].text, [call.text for call in said[1:]]) == (3, True, "one", ["two", "three"])
    assert [call.text for call in said] == ["one", "two", "three"]
    assert stand.calls.last.text == "three" and len(stand.calls) == 3
    assert not stand.calls.send_invoice
    stand.calls.clear()
    assert not stand.calls.send_message and not stand.calls
    await stand.bot.send_message(123, "four")
    assert [call.text for call in stand.calls.send_message] == ["four"]
    assert repr(stand.calls.send_message.last) == "sendMessage(chat_id='123', text='four')"


async def test_a_refused_call_says_why(stand: Stand) -> None:
    stand.alice.block()
    with pytest.raises(Exception, match="blocked"):
        await stand.bot.send_message(123, "hello")
    assert stand.calls.send_message.last.error == "Forbidden: bot was blocked by the user"
    assert not stand.calls.send_message.last.ok


async def test_misspelt_names_are_refused_with_a_hint(stand: Stand) -> None:
    with pytest.raises(AttributeError, match=r"no calls named 'send_invoce'; did you mean 'send_invoice'\?"):
        _ = stand.calls.send_invoce
    with pytest.raises(AssertionError, match="the bot has not called sendInvoice"):
        _ = stand.calls.send_invoice.last
    await stand.bot.send_message(123, "hello")
    with pytest.raises(AttributeError, match=r"sendMessage has no parameter 'txt'; did you mean 'text'\?"):
        _ = stand.calls.send_message.last.txt
