"""After a payment the chat is tidy, where the author wants it, and whatever goes wrong there is no one's loss."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiogram import Dispatcher, Router
from aiogram.filters import Command
from aiogram.types import Message

from aiogram_neonpay import NeonPay, PaymentCompleted, PaymentStage, ValidationError, donate_keyboard, neonpay_router
from aiogram_neonpay.ledger.traces import Traces
from aiogram_neonpay.testing import BotSandbox, BotUser

pytestmark = pytest.mark.asyncio

STAGES = {
    "premium": PaymentStage("Premium", "30 days", 25),
    "kept": PaymentStage("Kept", "As it is", 5, tidy="keep", thank_you=False),
    "deleted": PaymentStage("Deleted", "Gone", 5, tidy="delete", thank_you="You are kind"),
    "donate": PaymentStage("Donate", "As you like", None),
    "club": PaymentStage("Club", "By the month", 40, subscription=True),
}


class Scene:
    """A buyer in a shop."""

    def __init__(self, sandbox: BotSandbox, pay: NeonPay) -> None:
        self.sandbox, self.pay = sandbox, pay
        self.alice = sandbox.user("Alice", stars=200)
        self.bot = sandbox.bot

    def seen(self, user: BotUser | None = None) -> list[str]:
        """What the bot has left in the chat, service messages of Telegram apart."""
        return [
            message.text or message.raw.get("invoice", {}).get("title", "?")
            for message in (user or self.alice).messages()
            if message.from_bot
        ]

    async def buy(self, stage_id: str) -> None:
        await self.alice.send(f"/buy {stage_id}")
        assert (await self.alice.pay()).ok


@asynccontextmanager
async def shop(**options: Any) -> AsyncIterator[Scene]:
    pay = neonpay_router(STAGES, **options)
    dp, router = Dispatcher(), Router()
    dp.include_routers(router, pay)

    @router.message(Command("buy"))
    async def buy(message: Message, neonpay: NeonPay) -> None:
        asked = await message.answer("One moment")
        await neonpay.answer_payment(message, (message.text or "").split()[1], prompts=[asked, message.message_id])

    @pay.completed
    async def deliver(event: PaymentCompleted) -> None:
        await event.answer("Here you are")

    async with BotSandbox(dp) as sandbox:
        yield Scene(sandbox, pay)


async def test_by_default_everything_stays_and_nothing_is_stored() -> None:
    async with shop() as scene:
        await scene.buy("premium")
        assert scene.seen() == ["One moment", "Premium", "Here you are"]
        assert not scene.sandbox.calls.delete_message


async def test_the_invoice_and_its_prompts_are_deleted() -> None:
    async with shop(tidy="delete") as scene:
        await scene.buy("premium")
        assert scene.seen() == ["Here you are"]
        assert "/buy premium" not in [message.text for message in scene.alice.messages()]


async def test_a_receipt_takes_their_place() -> None:
    async with shop(tidy="receipt", thank_you=True) as scene:
        await scene.buy("premium")
        (paid,) = await scene.pay.history(scene.alice.id)
        receipt = f"Paid: Premium, 25 Stars\nPayment {paid.reference}"
        assert scene.seen() == ["Here you are", receipt, "Thank you for your purchase!"]


async def test_receipts_and_thanks_speak_the_buyers_language() -> None:
    async with shop(tidy="receipt", thank_you=True) as scene:
        scene.alice = scene.sandbox.user("Alisa", stars=100, language_code="ru")
        await scene.buy("premium")
        assert scene.seen()[1].startswith("Оплачено: Premium, 25 звёзд\nПлатёж ")
        assert scene.seen()[2] == "Спасибо за покупку!"


async def test_the_offer_of_a_subscription_is_edited_into_its_receipt_and_renewals_leave_it_alone() -> None:
    async with shop(tidy="receipt") as scene:
        await scene.buy("club")
        (first, second) = scene.seen()
        assert first.startswith("Paid: Club, 40 Stars\nPayment ") and second == "Here you are"
        assert not [message for message in scene.alice.messages() if message.buttons]
        await scene.sandbox.advance(days=30)
        assert scene.seen() == [first, second, "Here you are"]


async def test_a_stage_may_want_it_otherwise() -> None:
    async with shop(tidy="receipt", thank_you="Thanks") as scene:
        await scene.buy("kept")
        assert scene.seen() == ["One moment", "Kept", "Here you are"]
        await scene.buy("deleted")
        assert scene.seen()[3:] == ["Here you are", "You are kind"]


async def test_an_invoice_for_everybody_stays() -> None:
    async with shop(tidy="delete") as scene:
        bob = scene.sandbox.user("Bob", stars=100)
        group = scene.sandbox.sandbox.create_group("Friends", [scene.alice, bob])
        await scene.pay.send_payment(None, "premium", chat_id=group.id)
        assert (await scene.alice.pay(chat=group)).ok and (await bob.pay(chat=group)).ok
        await scene.pay.send_payment(bob.id, "kept", chat_id=group.id)
        await scene.pay.send_payment(bob.id, "deleted", chat_id=group.id)
        assert (await bob.pay(chat=group)).ok
        titles = [message.raw["invoice"]["title"] for message in group.messages() if "invoice" in message.raw]
        assert titles == ["Premium", "Kept"]


async def test_a_recovered_payment_is_tidied_after_too() -> None:
    async with shop(tidy="receipt") as scene:
        scene.sandbox.faults.add_update("successful_payment", drop=True, times=1)
        await scene.buy("premium")
        assert scene.seen() == ["One moment", "Premium"]
        await scene.sandbox.advance(minutes=20)
        assert scene.seen()[0] == "Here you are" and scene.seen()[1].startswith("Paid: Premium")
        assert len(scene.seen()) == 2


async def test_an_update_that_comes_twice_tidies_once() -> None:
    async with shop(tidy="receipt", thank_you="Thanks") as scene:
        await scene.alice.send("/buy premium")
        receipt = await scene.alice.pay()
        before = scene.seen()
        await scene.sandbox.repeat_update(receipt)
        assert scene.seen() == before and before.count("Thanks") == 1


async def test_the_question_for_an_amount_and_its_answer_go_with_the_invoice() -> None:
    async with shop(tidy="delete") as scene:
        await scene.alice.send("hello")
        keyboard = donate_keyboard([10], custom=True)
        await scene.sandbox.bot.send_message(scene.alice.id, "How much?", reply_markup=keyboard)
        await scene.alice.tap("Other amount")
        await scene.alice.send("17")
        assert len(scene.seen()) == 3
        assert (await scene.alice.pay()).amount == 17
        assert scene.seen() == ["How much?", "Here you are"]
        assert "17" not in [message.text for message in scene.alice.messages()]


async def test_a_gift_is_tidied_after_for_its_buyer_once_it_is_paid() -> None:
    async with shop(tidy="receipt", thank_you=True) as scene:
        await scene.alice.send("hello")
        await scene.pay.send_payment(scene.alice.id, "premium", gift=True)
        assert (await scene.alice.pay()).ok
        gift, receipt, thanks = scene.seen()
        assert gift.startswith("Your gift is paid: Premium") and receipt.startswith("Paid: Premium")
        assert thanks == "Thank you for your purchase!"
        bob = scene.sandbox.user("Bob")
        await bob.open_link(gift.split()[-1])
        assert scene.seen(bob) == ["Here you are"]
        assert scene.seen() == [gift, receipt, thanks]


@pytest.mark.parametrize("method", ["deleteMessage", "sendMessage"])
async def test_what_telegram_refuses_fails_no_delivery(method: str) -> None:
    async with shop(tidy="receipt", thank_you="Thanks") as scene:
        await scene.alice.send("/buy premium")
        scene.sandbox.faults.add(method, error=500)
        assert (await scene.alice.pay()).ok
        (paid,) = await scene.pay.history(scene.alice.id)
        assert paid.delivered and scene.sandbox.errors == []


async def test_a_storage_that_fails_costs_only_the_tidying(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise OSError("the storage is away")

    for name in ("put", "get"):
        async with shop(tidy="receipt") as scene:
            with monkeypatch.context() as patched:
                patched.setattr(Traces, name, fail)
                await scene.buy("premium")
                assert scene.seen()[-2] == "Here you are" and scene.seen()[-1].startswith("Paid: Premium")
                assert "Premium" in scene.seen()


async def test_a_keyed_invoice_that_is_shown_again_is_tidied_once_paid() -> None:
    async with shop(tidy="delete") as scene:
        await scene.alice.send("hello")
        for _ in range(2):
            await scene.pay.send_payment(scene.alice.id, "premium", key="order-1")
        assert scene.seen() == ["Premium"]
        assert (await scene.alice.pay()).ok
        assert scene.seen() == ["Here you are"]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: neonpay_router(tidy="shred"), "tidy"),  # type: ignore[arg-type]
        (lambda: neonpay_router(thank_you=""), "thank_you"),
        (lambda: PaymentStage("A", "B", 1, tidy=True), "tidy"),  # type: ignore[arg-type]
        (lambda: PaymentStage("A", "B", 1, thank_you="x" * 4097), "thank_you"),
    ],
)
async def test_options_that_mean_nothing_are_refused(make: Any, field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        make()
    assert refused.value.field == field


async def test_prompts_are_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shop() as scene:
        with pytest.raises(ValidationError, match="prompts"):
            await scene.pay.send_payment(scene.alice.id, "premium", prompts=["one"])  # type: ignore[list-item]
