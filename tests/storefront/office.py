"""A shop with an admin, in a sandbox: what happens to its payments is up to the test."""

from __future__ import annotations

from typing import Any

from aiogram import Dispatcher, Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from aiogram_neonpay import Alerts, NeonPay, PaymentCompleted, PaymentStage, admin_router, neonpay_router
from aiogram_neonpay.testing import BotSandbox, BotUser

ADMIN, OTHER_ADMIN, STRANGER = 501, 502, 503


class Office:
    """A shop whose deliveries fail as long as the test wants.

    :ivar broken: what the delivering handler raises.
    :ivar passed: what reached the bot's own handlers: texts and callback data.
    """

    def __init__(self, alerts: int | Alerts | None = None, **options: Any) -> None:
        self.broken: Exception | None = None
        self.passed: list[str] = []
        self.pay: NeonPay = neonpay_router(
            {
                "premium": PaymentStage("Premium", "30 days of premium", 25, access="premium"),
                "sticker": PaymentStage("Sticker", "One custom sticker", 5),
                "orphan": PaymentStage("Orphan", "Nobody delivers this", 7),
            },
            retries=(60.0,),
            alerts=alerts,
        )
        self.pay.completed("premium", "sticker")(self.deliver)
        self.dp = Dispatcher()
        self.dp.include_routers(self.pay, admin_router(options.pop("admins", [ADMIN, OTHER_ADMIN]), **options))
        others = Router()
        others.message.register(self.buy, Command("buy"))
        others.message.register(self.take)
        others.callback_query.register(self.take_tap)
        others.channel_post.register(self.take)
        others.business_message.register(self.take)
        self.dp.include_router(others)

    async def deliver(self, event: PaymentCompleted) -> None:
        if self.broken is not None:
            raise self.broken

    async def buy(self, message: Message, neonpay: NeonPay) -> None:
        _, stage_id, *more = (message.text or "").split()
        await neonpay.answer_payment(message, stage_id, track="tracked" in more)

    async def take(self, message: Message) -> None:
        self.passed.append(message.text or "")

    async def take_tap(self, query: CallbackQuery) -> None:
        self.passed.append(query.data or "")


async def sell(buyer: BotUser, stage_id: str = "premium", *more: str) -> str:
    """Let somebody buy; return the charge."""
    await buyer.send(" ".join(["/buy", stage_id, *more]))
    receipt = await buyer.pay()
    assert receipt.ok and receipt.transaction_id
    return receipt.transaction_id


async def sell_stuck(office: Office, sandbox: BotSandbox, buyer: BotUser) -> str:
    """Let somebody buy what cannot be delivered, until its last attempt has failed."""
    office.broken = ZeroDivisionError("no stickers left")
    charge = await sell(buyer, "sticker")
    await sandbox.advance(minutes=2)
    return charge


def words(user: BotUser) -> str:
    """Return the bot's newest message to somebody."""
    return [message.text for message in user.messages() if message.from_bot][-1]


def taps(user: BotUser) -> dict[str, str]:
    """Return the buttons under the bot's newest message: what each carries by its text."""
    raw = [message.raw for message in user.messages() if message.from_bot][-1]
    rows = raw.get("reply_markup", {}).get("inline_keyboard", [])
    return {button["text"]: button.get("callback_data", "") for row in rows for button in row}
