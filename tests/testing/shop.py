"""A shop to test: two stages, a menu, and whatever a test makes of its handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiogram import Dispatcher, F, Router
from aiogram.filters import Command
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from aiogram_neonpay import Checkout, NeonPay, PaymentCompleted, PaymentRefunded, PaymentStage, neonpay_router


class Form(StatesGroup):
    name = State()


class Shop:
    """A dispatcher with its plugin, and hooks for tests.

    :ivar delivering: called by the delivering handler first.
    :ivar checking: called by a validator, if there is one.
    """

    def __init__(self) -> None:
        self.pay = neonpay_router(
            {"premium": PaymentStage("Premium", "30 days", 25), "sticker": PaymentStage("Sticker", "One sticker", 5)}
        )
        self.dp = Dispatcher()
        self.delivering: Callable[[PaymentCompleted], Awaitable[None]] | None = None
        self.checking: Callable[[Checkout], Awaitable[None]] | None = None
        self.seen: list[str] = []
        router = Router()
        self.dp.include_routers(router, self.pay)
        router.message(Command("menu"))(self.menu)
        router.message(Command("premium"))(self.premium)
        router.message(Command("form"))(self.ask)
        router.message(Command("state"))(self.state)
        router.message(Command("break"))(self.fail)
        router.callback_query(F.data == "sticker")(self.sticker)
        router.callback_query(F.data == "silent")(self.silent)
        self.pay.completed(self.deliver)
        self.pay.refunded(self.on_refund)
        self.pay.check("premium")(self.check)

    async def menu(self, message: Message) -> None:
        buttons = [InlineKeyboardButton(text=text.title(), callback_data=text) for text in ("sticker", "silent")]
        await message.answer("Choose", reply_markup=InlineKeyboardMarkup(inline_keyboard=[buttons]))

    async def premium(self, message: Message, neonpay: NeonPay) -> None:
        await neonpay.answer_payment(message, "premium")

    async def sticker(self, query: CallbackQuery, neonpay: NeonPay) -> None:
        await neonpay.answer_payment(query, "sticker")
        await query.answer("There you go")

    async def silent(self, query: CallbackQuery) -> None:
        self.seen.append("silent")

    async def ask(self, message: Message, state: FSMContext) -> None:
        await state.set_state(Form.name)

    async def state(self, message: Message, state: FSMContext) -> None:
        await message.answer(f"state: {await state.get_state()}")

    async def fail(self, message: Message) -> None:
        raise KeyError("broken on purpose")

    async def check(self, checkout: Checkout) -> None:
        if self.checking is not None:
            await self.checking(checkout)

    async def deliver(self, event: PaymentCompleted) -> None:
        if self.delivering is not None:
            await self.delivering(event)
        await event.answer(f"Delivered {event.stage_id}, attempt {event.attempt}")

    async def on_refund(self, event: PaymentRefunded) -> None:
        await event.answer(f"Refunded {event.stage_id}")
