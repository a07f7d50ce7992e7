"""Programs written as NEONPAY's documents write them, with the import root renamed."""

from __future__ import annotations

from typing import Any

import pytest
from aiogram import Dispatcher, Router
from aiogram.methods import SendInvoice, SendMessage
from aiogram.types import Message

from aiogram_neonpay import AiogramAdapter, ConfigurationError, PaymentError, ValidationError
from aiogram_neonpay.core import NeonPay, NeonPayCore, PaymentResult, PaymentStage, PaymentStatus
from aiogram_neonpay.factory import create_neonpay, neonpay_router
from tests.telegram import ALICE, RecordingBot, paid, pre_checkout

pytestmark = pytest.mark.asyncio

STAGE = PaymentStage(title="Premium", description="All features", price=100, photo_url="https://example.com/logo.png")


async def sell(bot: RecordingBot, dp: Dispatcher, pay: NeonPay) -> None:
    success = await pay.send_payment(user_id=ALICE, stage_id="premium")
    assert bool(success)
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), amount=100))
    await dp.feed_raw_update(bot, paid(bot.payload(), amount=100))


async def test_a_listener_is_the_whole_shop(bot: RecordingBot) -> None:
    dp, router = Dispatcher(), Router()

    @router.message()
    async def catch_all(message: Message) -> None:
        raise AssertionError

    neonpay = create_neonpay(bot_instance=bot, dispatcher=dp)
    dp.include_router(router)
    neonpay.create_payment_stage("premium", STAGE)
    heard: list[Any] = []

    @neonpay.on_payment
    async def handle(result: PaymentResult) -> None:
        if result.status == PaymentStatus.COMPLETED and result.stage_id is not None:
            heard.append((result.stage_id.startswith("pre"), result.user_id, result.amount, result.currency))
            await bot.send_message(result.user_id, f"Thank you for {result.stage.title if result.stage else '?'}")

    @neonpay.on_payment
    def count(result: PaymentResult) -> None:
        heard.append("counted")

    await sell(bot, dp, neonpay)
    assert heard == [(True, ALICE, 100, "XTR"), "counted"]
    assert bot.sent(SendMessage)[-1].text == "Thank you for Premium"
    stats = neonpay.get_stats()
    assert (stats["total_stages"], stats["registered_callbacks"], stats["setup_complete"]) == (1, 2, True)
    assert await neonpay.stuck_payments() == []


@pytest.mark.parametrize("manner", ["keywords", "positional", "included later", "adapter"])
async def test_every_manner_of_making_one_sells(bot: RecordingBot, manner: str) -> None:
    dp = Dispatcher()
    if manner == "keywords":
        neonpay = create_neonpay(bot_instance=bot, dispatcher=dp, enable_logging=True, max_stages=3)
    elif manner == "positional":
        neonpay = create_neonpay(bot, dp)
    elif manner == "included later":
        neonpay = create_neonpay(bot)
        dp.include_router(neonpay)
    else:
        neonpay = NeonPayCore(AiogramAdapter(bot, dp), "Thanks!")
    neonpay.create_payment_stage("premium", STAGE)
    neonpay.on_payment(print)
    await neonpay.setup()
    await sell(bot, dp, neonpay)
    await dp.emit_shutdown(bot=bot)
    assert [call.text for call in bot.sent(SendMessage)] == (["Thanks!"] if manner == "adapter" else [])
    assert bool(neonpay)


async def test_a_thank_you_message_is_sent_once_a_payment_was_delivered(bot: RecordingBot) -> None:
    dp = Dispatcher()
    neonpay = create_neonpay(bot, thank_you_message="Thank you!", dispatcher=dp)
    neonpay.create_payment_stage("premium", STAGE)
    await sell(bot, dp, neonpay)
    await dp.emit_shutdown(bot=bot)
    assert bot.sent(SendMessage) == []  # nobody heard it: nothing was delivered
    neonpay.on_payment(print)
    await sell(bot, dp, neonpay)
    await dp.emit_shutdown(bot=bot)
    assert [call.text for call in bot.sent(SendMessage)] == ["Thank you!"]


async def test_a_second_core_beside_the_first_may_exist_but_not_sell(bot: RecordingBot) -> None:
    dp = Dispatcher()
    first = create_neonpay(bot_instance=bot, dispatcher=dp)
    second = NeonPayCore(AiogramAdapter(bot, dp))
    first.create_payment_stage("premium", STAGE)
    second.create_payment_stage("premium", STAGE)
    await first.send_payment(ALICE, "premium")
    with pytest.raises(ConfigurationError, match="never included"):
        await second.send_payment(ALICE, "premium")
    assert len(bot.sent(SendInvoice)) == 1


async def test_failures_raise(bot: RecordingBot) -> None:
    neonpay = create_neonpay(bot_instance=bot, dispatcher=Dispatcher(), max_stages=1)
    with pytest.raises(PaymentError):
        await neonpay.send_payment(ALICE, "missing")
    with pytest.raises(ValidationError):
        PaymentStage("", "Description", -100)
    neonpay.create_payment_stage("premium", STAGE)
    with pytest.raises(ValueError, match="in use"):
        neonpay.create_payment_stage("premium", STAGE)
    with pytest.raises(ValueError, match="max_stages"):
        neonpay.create_payment_stage("second", STAGE)
    with pytest.raises(ConfigurationError, match="aiogram Bot"):
        create_neonpay(bot_instance=object())  # type: ignore[arg-type]
    assert neonpay.get_payment_stage("premium") is STAGE
    assert neonpay.list_payment_stages() == {"premium": STAGE}
    assert (neonpay.remove_payment_stage("premium"), neonpay.remove_payment_stage("premium")) == (True, False)


async def test_a_result_can_be_made_by_hand() -> None:
    result = PaymentResult(user_id=1, amount=100)
    assert (result.status, result.currency, result.stage, result.transaction_id) == (
        PaymentStatus.COMPLETED,
        "XTR",
        None,
        None,
    )
    assert result.metadata == {}
    assert result.recipient_id == 1
    assert {status.value for status in PaymentStatus} == {"pending", "completed", "cancelled", "failed", "refunded"}
    assert isinstance(neonpay_router(), NeonPay)
    assert NeonPayCore is NeonPay
