"""A shop of ten products in three pages, a members' club, donations and receipts: ready dialogs of aiogram-dialog.

With BOT_TOKEN in the environment it runs on Telegram and keeps everything in dialog_shop.db, or in the file SHOP_DB
names. Without it, it runs in the sandbox; let a buyer on the page speak Russian or Azerbaijani, and every button and
sentence of the dialogs does. What the author wrote stays as it is: the products, and what is said when one is paid.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from aiogram import Bot, Dispatcher
from aiogram.filters import Command
from aiogram.fsm.storage.base import BaseStorage
from aiogram.types import Message
from aiogram_dialog import DialogManager, StartMode, setup_dialogs
from aiogram_dialog.widgets.kbd import Start
from aiogram_dialog.widgets.text import Const

from aiogram_neonpay import (
    HasAccess,
    PaymentCompleted,
    PaymentRouter,
    PaymentStage,
    SQLiteStorage,
    neonpay_router,
    support_router,
)
from aiogram_neonpay.dialogs import (
    Buy,
    DonateStates,
    PhraseText,
    PriceText,
    PurchasesStates,
    ShopStates,
    donate_dialog,
    has_access,
    purchases_dialog,
    shop_dialog,
)
from aiogram_neonpay.sandbox import Sandbox, run_sandbox

TALES = {
    "fox": "The fox asked the moon for a mirror, and got the sea.",
    "owl": "The owl kept the night in a jar and lent it out at dusk.",
    "hare": "The hare was late for its own story, so it began without him.",
    "bear": "The bear slept through the winter and dreamt it, twice.",
    "wolf": "The wolf learnt to howl in a choir and never ate alone again.",
    "crane": "The crane folded itself from paper and flew before it was dry.",
    "otter": "The otter held a river's hand and would not let it go.",
    "raven": "The raven stole a word, and has been saying it ever since.",
    "snail": "The snail moved house every day and was always at home.",
    "whale": "The whale sang a song so long that it met its own beginning.",
}
STAGES = {
    **{name: PaymentStage(name.title(), f"The tale of the {name}", 5, category="Tales") for name in TALES},
    "club": PaymentStage("Tale club", "Every tale, by the month", 40, subscription=True, access="club"),
    "donate": PaymentStage("Donation", "Ink for more tales", None),
}


def build_dispatcher(storage: BaseStorage | None = None, clock: Callable[[], float] | None = None) -> Dispatcher:
    pay, dp = neonpay_router(STAGES, clock=clock), Dispatcher(storage=storage)
    under_the_shelf = [
        Buy(Const("Tale club — ") + PriceText("club"), "club", id="join", when=~has_access("club")),
        Start(PhraseText("donate_open_button"), id="donate", state=DonateStates.choose),
        Start(PhraseText("purchases_button"), id="purchases", state=PurchasesStates.purchases),
    ]
    dp.include_routers(
        support_router(contact="@tale_shop"),  # before the dialogs, which take every message
        teller(),
        shop_dialog(category="Tales", per_page=4, buttons=under_the_shelf),
        donate_dialog(),
        purchases_dialog(),
    )
    dp.include_router(pay)
    setup_dialogs(dp)
    return dp


def teller() -> PaymentRouter:
    """Return who opens the shop and delivers what it sells; the club's access is delivered by itself."""
    router = PaymentRouter(name="teller")

    @router.message(Command("start", "shop"))
    async def shop(message: Message, dialog_manager: DialogManager) -> None:
        await dialog_manager.start(ShopStates.catalog, mode=StartMode.RESET_STACK)

    @router.message(Command("tales"), HasAccess("club"))
    async def read(message: Message) -> None:
        await message.answer("\n\n".join(TALES.values()))

    @router.completed(*TALES)
    async def tell(event: PaymentCompleted) -> None:
        await event.answer(TALES[str(event.stage_id)])

    @router.completed("club", "donate")
    async def thank(event: PaymentCompleted) -> None:
        await event.answer("Welcome: /tales has them all." if event.stage_id == "club" else "The ink is bought.")

    return router


if __name__ == "__main__":
    if token := os.environ.get("BOT_TOKEN"):
        build_dispatcher(SQLiteStorage(os.environ.get("SHOP_DB", "dialog_shop.db"))).run_polling(Bot(token))
    else:
        sandbox = Sandbox()
        run_sandbox(build_dispatcher(clock=sandbox.clock.now), sandbox=sandbox, name="Tale shop")
