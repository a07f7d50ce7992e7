"""The bots that are compared: two written by hand with aiogram alone, and ours."""

from __future__ import annotations

from aiogram import Dispatcher, F
from aiogram.filters import Filter
from aiogram.fsm.storage.base import BaseStorage
from aiogram.methods import CreateInvoiceLink
from aiogram.types import Message, PreCheckoutQuery

from aiogram_neonpay import HasAccess, NeonPay, PaymentCompleted, PaymentResult, PaymentStage, neonpay_router
from benchmarks.measure import FIRST_TALKER, TALKERS, Rig
from benchmarks.stub import PRICE, calls_of, make_bot


class Paid(Filter):
    """The floor's filter: aiogram calls it directly, where an ``F`` expression visits a worker thread."""

    async def __call__(self, message: Message) -> bool:
        return message.successful_payment is not None


def charge_of(message: Message) -> str:
    assert message.successful_payment is not None
    return message.successful_payment.telegram_payment_charge_id


async def approve(query: PreCheckoutQuery) -> None:
    await query.answer(ok=True)


async def order_payload(buyer: int) -> str:
    return f"order-{buyer}"


def floor(storage: BaseStorage | None = None) -> Rig:
    """The fastest router that can be written by hand: it records nothing and approves everything."""
    bot, dispatcher, heard = make_bot(), Dispatcher(storage=storage), list[str]()
    dispatcher.pre_checkout_query.register(approve)

    @dispatcher.message(Paid())
    async def paid(message: Message) -> None:
        heard.append(charge_of(message))

    return Rig(bot, dispatcher, heard, order_payload)


def usual(storage: BaseStorage | None = None) -> Rig:
    """The router of aiogram's own examples: one ``F`` expression, so one visit to a worker thread."""
    bot, dispatcher, heard = make_bot(), Dispatcher(storage=storage), list[str]()
    dispatcher.pre_checkout_query.register(approve)

    @dispatcher.message(F.successful_payment)
    async def paid(message: Message) -> None:
        heard.append(charge_of(message))

    return Rig(bot, dispatcher, heard, order_payload)


def ours(storage: BaseStorage | None = None) -> Rig:
    """This package with a typed handler; tokens verified, everything recorded."""
    rig, pay = _ours(storage)
    heard = rig.heard

    @pay.completed("premium")
    async def paid(event: PaymentCompleted) -> None:
        heard.append(event.transaction_id or "")

    return rig


def ours_plain(storage: BaseStorage | None = None) -> Rig:
    """This package with the usual aiogram handler, which brings the usual visit to a worker thread."""
    rig, _ = _ours(storage)
    heard = rig.heard

    @rig.dispatcher.message(F.successful_payment)
    async def paid(message: Message, payment: PaymentResult) -> None:
        heard.append(payment.transaction_id or "")

    return rig


def _ours(storage: BaseStorage | None) -> tuple[Rig, NeonPay]:
    bot, dispatcher = make_bot(), Dispatcher(storage=storage)
    stage = PaymentStage(title="Premium", description="30 days", price=PRICE)
    pay = neonpay_router({"premium": stage}, bot=bot)
    dispatcher.include_router(pay)

    async def new_payload(buyer: int) -> str:
        await pay.create_link("premium")
        call = calls_of(bot)[-1]
        assert isinstance(call, CreateInvoiceLink)
        return call.payload

    return Rig(bot, dispatcher, [], new_payload), pay


def pay_of(rig: Rig) -> NeonPay:
    pay = rig.dispatcher["neonpay"]
    assert isinstance(pay, NeonPay)
    return pay


async def members(storage: BaseStorage | None = None, *, asks: bool) -> Rig:
    """A bot with ours whose every message is for members, who all have a month of it.

    :param asks: whether the handler has ``HasAccess``.
    """
    rig, pay = _ours(storage)
    heard = rig.heard

    async def hear(message: Message) -> None:
        heard.append(message.text or "")

    rig.dispatcher.message.register(hear, *([HasAccess("pro")] if asks else []))
    for user in range(FIRST_TALKER, FIRST_TALKER + TALKERS):
        await pay.grant_access(user, "pro", access_for=30 * 86_400)
    return rig


def talker(*, with_plugin: bool) -> Rig:
    """A bot that hears ordinary messages, with or without this package beside it."""
    if with_plugin:
        rig, pay = _ours(None)

        @pay.completed("premium")
        async def paid(event: PaymentCompleted) -> None: ...

    else:
        rig = Rig(make_bot(), Dispatcher(), [], order_payload)
    heard = rig.heard

    @rig.dispatcher.message()
    async def hear(message: Message) -> None:
        heard.append(message.text or "")

    return rig
