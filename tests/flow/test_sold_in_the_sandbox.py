"""Paid media and next states against a Telegram that keeps its own ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiogram import Dispatcher, F
from aiogram.filters import Command
from aiogram.fsm.context import FSMContext
from aiogram.fsm.scene import Scene, SceneRegistry, on
from aiogram.types import BufferedInputFile, InputPaidMediaPhoto, Message

from aiogram_neonpay import (
    MediaSold,
    NeonPay,
    PaymentRefunded,
    PaymentStage,
    PaymentStatus,
    RejectPayment,
    neonpay_router,
)
from aiogram_neonpay.sandbox import Rules
from aiogram_neonpay.sandbox.images import plain_png
from aiogram_neonpay.testing import BotSandbox, BotUser
from aiogram_neonpay.testing.options import SandboxOptions

pytestmark = pytest.mark.asyncio


class Address(Scene, state="address"):
    """Asks where to send a print of the photos."""

    @on.message.enter()
    async def ask(self, message: Message) -> None:
        await message.answer("Where shall we send the print?")

    @on.message(F.text)
    async def take(self, message: Message, state: FSMContext) -> None:
        data = await state.get_data()
        await self.wizard.exit()
        await message.answer(f"{data['payment']['stage_id']} goes to {message.text}")


class Studio:
    """A bot that sells photos."""

    def __init__(self) -> None:
        self.pay = neonpay_router(
            {
                "photos": PaymentStage("Photos", "Photos of the sea", 20),
                "print": PaymentStage("Print", "With a print", 30, next_state=Address),
            }
        )
        self.dp = Dispatcher()
        self.dp.include_router(self.pay)
        SceneRegistry(self.dp).add(Address)
        self.sold: list[MediaSold] = []
        self.rejects = False
        self.dp.message(Command("photos", "print"))(self.show)
        self.pay.media_sold(self.deliver)
        self.pay.refunded(self.withdraw)

    async def show(self, message: Message, neonpay: NeonPay) -> None:
        photo = InputPaidMediaPhoto(media=BufferedInputFile(plain_png(40, 30, (0, 0, 90)), "sea.png"))
        await neonpay.answer_paid_media(message, (message.text or "")[1:], [photo], metadata={"post": 1})

    async def deliver(self, event: MediaSold) -> None:
        self.sold.append(event)
        if self.rejects:
            raise RejectPayment("not for sale after all")
        await event.answer("Enjoy the photos")

    async def withdraw(self, event: PaymentRefunded) -> None:
        await event.answer("Your Stars are back")


@pytest.fixture
def studio() -> Studio:
    return Studio()


@pytest_asyncio.fixture(params=["a refund is told", "a refund is silent"])
async def sandbox(studio: Studio, request: pytest.FixtureRequest) -> AsyncIterator[BotSandbox]:
    rules = Rules(polling_brake=False, media_refund_message=request.param == "a refund is told")
    async with BotSandbox(studio.dp, SandboxOptions(rules=rules)) as sandbox:
        yield sandbox


@pytest.fixture
def alice(sandbox: BotSandbox) -> BotUser:
    return sandbox.user("Alice", stars=100)


def said(person: BotUser) -> list[Any]:
    return [message.text for message in person.messages()]


async def test_media_are_unlocked_heard_once_and_found_by_telegrams_charge_id(
    studio: Studio, sandbox: BotSandbox, alice: BotUser
) -> None:
    await alice.send("/photos")
    receipt = await alice.unlock()
    await sandbox.repeat_update(receipt)
    assert said(alice).count("Enjoy the photos") == 1
    (event,) = studio.sold
    assert (event.amount, event.metadata, event.transaction_id != receipt.transaction_id) == (20, {"post": 1}, True)

    await sandbox.advance(hours=1)
    found = await studio.pay.get_payment(str(receipt.transaction_id), bot=sandbox.bot)
    assert found is not None and found.transaction_id == event.transaction_id
    report = await studio.pay.reconcile(bot=sandbox.bot)
    assert report.is_clean and report.foreign == 0 and len(studio.sold) == 1


async def test_a_sale_whose_update_is_lost_is_recovered(studio: Studio, sandbox: BotSandbox, alice: BotUser) -> None:
    await alice.send("/photos")
    sandbox.faults.add_update("purchased_paid_media", drop=True)
    await alice.unlock()
    assert not studio.sold
    await sandbox.advance(hours=1)

    assert [event.recovered for event in studio.sold] == [True]
    assert "Enjoy the photos" in said(alice)


async def test_a_refund_is_sent_before_the_charge_id_was_heard_of_and_told_once(
    studio: Studio, sandbox: BotSandbox, alice: BotUser
) -> None:
    await alice.send("/photos")
    await alice.unlock()
    refunded = await studio.pay.refund(str(studio.sold[0].reference), bot=sandbox.bot)
    await sandbox.settle()
    await sandbox.advance(hours=1)

    assert (refunded.status, alice.balance) == (PaymentStatus.REFUNDED, 100)
    assert said(alice).count("Your Stars are back") == 1
    assert sandbox.sandbox.bot_balance() == 0


async def test_a_refund_by_another_program_is_told_once(studio: Studio, sandbox: BotSandbox, alice: BotUser) -> None:
    await alice.send("/photos")
    receipt = await alice.unlock()
    await sandbox.refund(receipt)
    await sandbox.advance(hours=1)

    assert said(alice).count("Your Stars are back") == 1
    (payment,) = await studio.pay.history(alice.id, bot=sandbox.bot)
    assert payment.status is PaymentStatus.REFUNDED


async def test_a_handler_that_rejects_the_sale_gives_the_stars_back(
    studio: Studio, sandbox: BotSandbox, alice: BotUser
) -> None:
    studio.rejects = True
    await alice.send("/photos")
    await alice.unlock()
    await sandbox.advance(hours=1)

    assert alice.balance == 100
    assert said(alice).count("Your Stars are back") == 1 and len(studio.sold) == 1


async def test_a_buyer_of_media_enters_the_scene_of_its_stage(sandbox: BotSandbox, alice: BotUser) -> None:
    await alice.send("/print")
    await alice.unlock()
    await alice.send("Main Street 1")

    assert said(alice)[-4:] == [
        "Where shall we send the print?",
        "Enjoy the photos",
        "Main Street 1",
        "print goes to Main Street 1",
    ]
