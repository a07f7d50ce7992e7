"""The bot of the run: it sells a stage for every way in which a delivery can go, and writes down what it does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiogram import Bot, Dispatcher, F, Router
from aiogram.filters import Command, CommandObject
from aiogram.fsm.storage.base import BaseEventIsolation, BaseStorage
from aiogram.types import Message, TelegramObject

from aiogram_neonpay import (
    Checkout,
    NeonPay,
    PaymentCompleted,
    PaymentRefunded,
    PaymentResult,
    PaymentStage,
    PaymentStuck,
    PaymentUnmatched,
    RejectPayment,
    neonpay_router,
)
from tests.chaos.journal import Journal

__all__ = ["GOODS", "REFUNDED", "RETRIES", "Goods", "build", "stages"]

Next = Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]]

RETRIES = (0.3, 0.5, 1.0, 1.0, 2.0, 2.0)
REFUNDED = "refunded"
NOTE = "заметка " * 40


class Goods(NamedTuple):
    """What is sold.

    :ivar price: Stars, different for every stage.
    :ivar heard_by: the handlers that must have returned before the stage is delivered.
    :ivar often: how often buyers choose it.
    """

    price: int
    heard_by: frozenset[str]
    often: int = 2


GOODS = {
    "typed": Goods(1, frozenset({"typed", "listener of typed"}), 4),
    "flaky": Goods(2, frozenset({"flaky", "listener of flaky", "second listener of flaky"}), 4),
    "doomed": Goods(3, frozenset({"doomed"})),
    "reject": Goods(4, frozenset({"reject"})),
    "slow": Goods(5, frozenset({"slow"}), 3),
    "heard": Goods(6, frozenset({"listener of heard"})),
    "plain": Goods(7, frozenset({"plain"}), 3),
    "unheard": Goods(8, frozenset(), 1),
    "single": Goods(9, frozenset({"single"}), 4),
    "stored": Goods(10, frozenset({"stored"})),
    "selfrefund": Goods(11, frozenset({"selfrefund"})),
    "chatty": Goods(12, frozenset({"chatty"}), 3),
}


def stages() -> dict[str, PaymentStage]:
    return {name: PaymentStage(name.title(), f"what is {name}", goods.price) for name, goods in GOODS.items()}


class Luck:
    """Chance that falls the same way for one charge in one attempt, whichever process throws the dice."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of(self, payment: PaymentResult, what: str, *, each_attempt: bool = True) -> random.Random:
        attempt = payment.attempt if each_attempt else 0
        return random.Random(f"{self._seed} {what} {payment.transaction_id} {attempt}")

    def fails(self, payment: PaymentResult, what: str, probability: float) -> None:
        if self.of(payment, what).random() < probability:
            raise RuntimeError(f"bad luck of {what}")


def build(
    storage: BaseStorage,
    bot: Bot,
    clock: Callable[[], float] | None,
    journal: Journal,
    *,
    seed: int,
    isolation: BaseEventIsolation | None,
    middlewares: bool,
) -> tuple[Dispatcher, NeonPay]:
    """Return the bot's program: the dispatcher and the shop on it.

    :param middlewares: put middlewares on the way that stop payments, and that fail round their handlers.
    """
    dispatcher = Dispatcher(storage=storage, events_isolation=isolation)
    pay = neonpay_router(stages(), bot=bot, clock=clock, retries=RETRIES, reconcile_every=60)
    luck = Luck(seed)
    dispatcher.include_routers(_counter(journal), pay)
    _add_typed(pay, journal, luck)
    _add_listeners(pay, journal, luck)
    _add_news(pay, journal, luck)
    if middlewares:
        _add_middlewares(dispatcher)
    return dispatcher, pay


def _add_typed(pay: NeonPay, journal: Journal, luck: Luck) -> None:
    @pay.completed("typed")
    async def typed(event: PaymentCompleted) -> None:
        with journal.running("typed", event):
            await event.answer("Here you are")

    @pay.completed("flaky")
    async def flaky(event: PaymentCompleted) -> None:
        with journal.running("flaky", event):
            await asyncio.sleep(luck.of(event, "pause").random() / 10)
            luck.fails(event, "flaky", 0.4)

    @pay.completed("doomed")
    async def doomed(event: PaymentCompleted) -> None:
        with journal.running("doomed", event):
            if luck.of(event, "doom", each_attempt=False).random() < 0.5:
                raise RuntimeError("this one never works")

    @pay.completed("reject")
    async def reject(event: PaymentCompleted) -> None:
        with journal.running("reject", event):
            luck.fails(event, "reject", 0.2)
            if luck.of(event, "rejection", each_attempt=False).random() < 0.5:
                raise RejectPayment("not for you")

    @pay.completed("slow")
    async def slow(event: PaymentCompleted) -> None:
        with journal.running("slow", event):
            await asyncio.sleep(luck.of(event, "slow").uniform(0.2, 1.5))
            luck.fails(event, "slowness", 0.2)

    @pay.completed("single", "stored")
    async def stored(event: PaymentCompleted) -> None:
        with journal.running(event.stage_id or "", event):
            await asyncio.sleep(luck.of(event, "stored").random() / 20)
            luck.fails(event, "stored", 0.2)

    @pay.completed("selfrefund")
    async def selfrefund(event: PaymentCompleted, neonpay: NeonPay) -> None:
        with journal.running("selfrefund", event):
            if luck.of(event, "selfrefund", each_attempt=False).random() < 0.6:
                assert event.transaction_id is not None
                await neonpay.refund(event.transaction_id, "sold out")

    @pay.completed("chatty")
    async def chatty(event: PaymentCompleted, bot: Bot) -> None:
        with journal.running("chatty", event):
            await bot.send_message(event.user_id, "Here you are, and listen well")


def _add_listeners(pay: NeonPay, journal: Journal, luck: Luck) -> None:
    @pay.on_payment("typed")
    async def of_typed(payment: PaymentResult) -> None:
        with journal.running("listener of typed", payment):
            pass

    @pay.on_payment("flaky")
    async def of_flaky(payment: PaymentResult) -> None:
        with journal.running("listener of flaky", payment):
            luck.fails(payment, "listener", 0.3)

    @pay.on_payment("flaky")
    async def also_of_flaky(payment: PaymentResult) -> None:
        with journal.running("second listener of flaky", payment):
            luck.fails(payment, "second listener", 0.2)

    @pay.on_payment("heard")
    async def of_heard(payment: PaymentResult) -> None:
        with journal.running("listener of heard", payment):
            luck.fails(payment, "heard", 0.3)


def _add_news(pay: NeonPay, journal: Journal, luck: Luck) -> None:
    @pay.refunded
    async def refunded(event: PaymentRefunded) -> None:
        with journal.running(REFUNDED, event):
            await asyncio.sleep(luck.of(event, "refunded").random() / 20)
            luck.fails(event, "news", 0.1)

    @pay.unmatched
    async def unmatched(event: PaymentUnmatched) -> None:
        journal.note("unmatched", ref=event.reference, reason=event.reason)

    @pay.stuck
    async def stuck(event: PaymentStuck) -> None:
        journal.note("stuck", ref=event.reference, reason=event.reason, error=event.error)

    @pay.check("stored")
    async def judge(checkout: Checkout, neonpay: NeonPay) -> None:
        await neonpay.history(checkout.user_id, limit=1)
        if random.random() < 0.05:
            raise RejectPayment("Not today.")


def _counter(journal: Journal) -> Router:
    """Return the router that sells, and that has a plain handler for payments."""
    router = Router()

    @router.message(Command("buy"))
    async def buy(message: Message, command: CommandObject, neonpay: NeonPay) -> None:
        stage, _, number = (command.args or "").partition(" ")
        options: dict[str, Any] = {"metadata": {"number": number}}
        if stage == "single":
            options |= {"key": f"single {number}", "single_use": True}
        elif stage == "stored":
            options |= {"key": f"stored {number}", "metadata": {"number": number, "note": NOTE}}
        await neonpay.answer_payment(message, stage, **options)

    @router.message(Command("refund"))
    async def refund(message: Message, command: CommandObject, neonpay: NeonPay) -> None:
        reference, _, how = (command.args or "").partition(" ")
        await neonpay.refund(reference, "asked by the buyer", wait=how != "later")

    @router.message(Command("redeliver"))
    async def redeliver(message: Message, command: CommandObject, neonpay: NeonPay) -> None:
        await neonpay.redeliver(command.args or "")

    @router.message(F.successful_payment.total_amount == GOODS["plain"].price)
    async def plain(message: Message, payment: PaymentResult) -> None:
        with journal.running("plain", payment):
            if random.random() < 0.2:
                raise RuntimeError("bad luck of plain")

    @router.message(F.text)
    async def anything_else(message: Message) -> None:
        await message.answer("What?")

    return router


def _add_middlewares(dispatcher: Dispatcher) -> None:
    async def throttle(handler: Next, event: TelegramObject, data: dict[str, Any]) -> Any:
        if "payment" in data and random.random() < 0.1:
            return None
        return await handler(event, data)

    async def session(handler: Next, event: TelegramObject, data: dict[str, Any]) -> Any:
        result = await handler(event, data)
        if "payment" in data and random.random() < 0.1:
            raise RuntimeError("the commit failed")
        return result

    dispatcher.update.outer_middleware(throttle)
    dispatcher.message.middleware(session)
