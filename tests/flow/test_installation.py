"""``dp.include_router(pay)`` is the whole installation, in any order and beside anything."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiogram import Bot, Dispatcher, F, Router
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.types import CallbackQuery, Message
from aiogram_dialog import Dialog, DialogManager, StartMode, Window, setup_dialogs
from aiogram_dialog.widgets.input import MessageInput
from aiogram_dialog.widgets.text import Const
from dishka import Provider, Scope, make_async_container
from dishka.integrations.aiogram import FromDishka, inject, setup_dishka

from aiogram_neonpay import (
    ConfigurationError,
    NeonPay,
    PaymentCompleted,
    PaymentResult,
    PaymentRouter,
    PaymentStage,
    neonpay_router,
)
from tests.telegram import ALICE, RecordingBot, paid, pre_checkout, tap, text

pytestmark = pytest.mark.asyncio


class Talk(StatesGroup):
    name = State()


def shop(bot: Bot | None = None, **options: Any) -> NeonPay:
    return neonpay_router({"premium": PaymentStage("Premium", "d", 25)}, bot=bot, **options)


async def sell(bot: RecordingBot, dp: Dispatcher, pay: NeonPay) -> Any:
    await pay.send_payment(ALICE, "premium", bot=bot)
    await dp.feed_raw_update(bot, pre_checkout(bot.payload()))
    update = paid(bot.payload())
    await dp.feed_raw_update(bot, update)
    return update


async def test_a_router_below_one_that_is_attached_later_is_installed(bot: RecordingBot) -> None:
    pay = shop(bot)
    heard: list[Any] = []
    pay.on_payment(heard.append)
    inner, outer = Router(name="inner"), Router(name="outer")
    inner.include_router(pay)
    outer.include_router(inner)
    dp = Dispatcher()

    @dp.message()
    async def catch_all(message: Message) -> None:
        heard.append("swallowed")

    dp.include_router(outer)
    await sell(bot, dp, pay)
    assert [result.stage_id for result in heard] == ["premium"]
    assert type(outer) is Router


async def test_including_it_twice_is_harmless(bot: RecordingBot) -> None:
    pay = shop(bot)
    heard: list[Any] = []
    pay.on_payment(heard.append)
    dp, main = Dispatcher(), Router()
    main.include_router(pay)
    dp.include_router(pay)
    dp.include_router(pay)
    main.include_router(pay)
    dp.include_router(main)
    main.include_router(pay)
    assert [router for router in dp.chain_tail if router is pay] == [pay]
    await sell(bot, dp, pay)
    assert len(heard) == 1


async def test_a_second_shop_under_one_dispatcher_is_refused(bot: RecordingBot) -> None:
    dp, late = Dispatcher(), Router()
    dp.include_router(shop(bot))
    with pytest.raises(ConfigurationError, match="has a NeonPay already"):
        dp.include_router(shop(bot))
    late.include_router(shop(bot))
    with pytest.raises(ConfigurationError, match="has a NeonPay already"):
        dp.include_router(late)


async def test_one_shop_under_two_dispatchers_is_refused(bot: RecordingBot) -> None:
    pay = shop(bot)
    Dispatcher().include_router(pay)
    with pytest.raises(ConfigurationError, match="another dispatcher"):
        Dispatcher().include_router(pay)


async def test_a_sale_through_a_shop_that_was_never_included_is_refused(bot: RecordingBot) -> None:
    pay = shop(bot)
    with pytest.raises(ConfigurationError, match="never included"):
        await pay.send_payment(ALICE, "premium")
    Router().include_router(pay)
    with pytest.raises(ConfigurationError, match="never included"):
        await pay.create_link("premium")
    assert bot.calls == []


async def test_a_process_without_a_dispatcher_sells_with_a_storage_of_its_own(bot: RecordingBot) -> None:
    storage = MemoryStorage()
    back_end = shop(bot, storage=storage)
    link = await back_end.create_link("premium", track=True)
    payload = bot.payload()

    pay = shop()
    heard: list[Any] = []
    pay.on_payment(heard.append)
    dp = Dispatcher(storage=storage)
    dp.include_router(pay)
    update = paid(payload)
    await dp.feed_raw_update(bot, update)
    assert [result.invoice_id for result in heard] == [link.invoice_id]
    assert (await back_end.invoice_status(link.invoice_id)).delivered
    assert [payment.user_id for payment in await back_end.history(ALICE)] == [ALICE]


async def test_allowed_updates_hold_what_payments_need_and_no_name_of_ours(bot: RecordingBot) -> None:
    dp, pay = Dispatcher(), shop(bot)
    pay.completed(lambda event: None)
    pay.on_payment(print)
    dp.include_router(pay)
    assert dp.resolve_used_update_types() == ["callback_query", "message", "pre_checkout_query"]


async def test_neonpay_is_injected_into_every_handler_of_every_router(bot: RecordingBot) -> None:
    pay = shop(bot)
    seen: list[Any] = []
    before, after = Router(), Router()

    @before.message(F.text == "one")
    async def one(message: Message, neonpay: NeonPay) -> None:
        seen.append(neonpay)

    @after.callback_query()
    async def two(query: CallbackQuery, neonpay: NeonPay) -> None:
        seen.append(neonpay)

    dp = Dispatcher()
    dp.include_routers(before, pay, after)
    await dp.feed_raw_update(bot, text("one"))
    await dp.feed_raw_update(bot, tap("two"))
    assert seen == [pay, pay]


async def test_start_up_names_a_handler_of_a_stage_that_is_not_sold(bot: RecordingBot) -> None:
    module, pay, dp = PaymentRouter(), shop(bot), Dispatcher()

    @module.completed("premum")
    async def grant(event: PaymentCompleted) -> None: ...

    dp.include_routers(module, pay)
    with pytest.raises(ConfigurationError, match="'premum'"):
        await dp.emit_startup(bot=bot, dispatcher=dp)


@pytest.mark.parametrize("what", [["premium"], {"premium"}, 5, None, b"premium"])
@pytest.mark.parametrize("name", ["completed", "on_payment", "check"])
async def test_what_is_no_filter_is_refused_before_anybody_has_paid(name: str, what: Any) -> None:
    observer = getattr(PaymentRouter(), name)
    with pytest.raises(ConfigurationError, match=rf"{name}: a filter must be .* string of its own, not"):
        observer(what)(print)
    with pytest.raises(ConfigurationError, match="a filter must be"):
        observer.filter(F.amount > 1, what)


async def test_a_catalog_in_a_database_is_asked_on_a_miss_and_names_no_handler_wrong(bot: RecordingBot) -> None:
    asked: list[str] = []
    price = [25]

    async def load(stage_id: str) -> PaymentStage | None:
        asked.append(stage_id)
        return PaymentStage("Premium", "d", price[0]) if stage_id == "premium" else None

    pay, dp = neonpay_router(load, bot=bot), Dispatcher()
    heard: list[Any] = []

    @pay.completed("premium")
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.stage)

    dp.include_router(pay)
    await dp.emit_startup(bot=bot, dispatcher=dp)
    await sell(bot, dp, pay)
    assert heard == [PaymentStage("Premium", "d", 25)]
    assert set(asked) == {"premium"}
    price[0] = 30
    await pay.send_payment(ALICE, "premium")
    await dp.feed_raw_update(bot, pre_checkout(bot.payload(), amount=30))


async def test_memory_is_warned_about_at_start_up(bot: RecordingBot, caplog: pytest.LogCaptureFixture) -> None:
    dp = Dispatcher()
    dp.include_router(shop(bot))
    await dp.emit_startup(bot=bot, dispatcher=dp)
    assert "payments are kept in memory" in caplog.text


async def test_a_storage_that_cannot_keep_payments_is_refused_at_start_up(bot: RecordingBot) -> None:
    class Forgetful(MemoryStorage):
        async def set_data(self, key: Any, data: Any) -> None: ...

    dp = Dispatcher()
    dp.include_router(shop(bot, storage=Forgetful()))
    with pytest.raises(ConfigurationError, match=r"neonpay_router\(\.\.\., storage=\.\.\.\)"):
        await dp.emit_startup(bot=bot, dispatcher=dp)


async def test_polling_starts_and_stops_with_the_dispatcher(bot: RecordingBot) -> None:
    from aiogram.methods import GetMe, GetUpdates
    from aiogram.types import Update, User

    pay = shop(bot)
    heard: asyncio.Queue[PaymentResult] = asyncio.Queue()
    dp = Dispatcher()
    dp.include_router(pay)
    pay.on_payment(heard.put_nowait)
    await pay.send_payment(ALICE, "premium")
    batches = [[Update.model_validate(paid(bot.payload()), context={"bot": bot})]]

    async def updates(method: GetUpdates) -> list[Update]:
        if batches:
            return batches.pop()
        await asyncio.Event().wait()
        return []

    bot.answer(GetMe, lambda method: User(id=42, is_bot=True, first_name="Bot", username="bot"))
    bot.answer(GetUpdates, updates)
    polling = asyncio.create_task(dp.start_polling(bot, handle_signals=False))
    result = await asyncio.wait_for(heard.get(), 20)
    assert result.stage_id == "premium"
    assert bot.sent(GetUpdates)[0].allowed_updates == ["callback_query", "message", "pre_checkout_query"]
    await dp.stop_polling()
    await polling


# Beside other set-ups


@pytest.mark.parametrize("order", ["before", "after"])
async def test_an_open_dialog_of_aiogram_dialog_does_not_take_a_payment(bot: RecordingBot, order: str) -> None:
    pay, dp = shop(bot), Dispatcher()
    heard: list[Any] = []

    async def on_name(message: Message, widget: Any, manager: DialogManager) -> None:
        heard.append("dialog")

    dialog = Dialog(Window(Const("What is your name?"), MessageInput(on_name), state=Talk.name))

    @dp.message(F.text == "/talk")
    async def start(message: Message, dialog_manager: DialogManager) -> None:
        await dialog_manager.start(Talk.name, mode=StartMode.RESET_STACK)

    @pay.completed
    async def grant(event: PaymentCompleted, dialog_manager: DialogManager) -> None:
        context = dialog_manager.current_context()
        heard.append(context.state)

    if order == "before":
        dp.include_routers(pay, dialog)
        setup_dialogs(dp)
    else:
        dp.include_router(dialog)
        setup_dialogs(dp)
        dp.include_router(pay)
    await dp.feed_raw_update(bot, text("/talk"))
    await sell(bot, dp, pay)
    assert heard == [Talk.name]
    await dp.feed_raw_update(bot, text("Alice"))
    assert heard == [Talk.name, "dialog"]


@pytest.mark.parametrize("order", ["before", "after"])
async def test_handlers_are_injected_by_dishka(bot: RecordingBot, order: str) -> None:
    pay, dp = shop(bot), Dispatcher()
    heard: list[Any] = []
    provider = Provider(scope=Scope.REQUEST)
    provider.provide(lambda: 17, provides=int)
    container = make_async_container(provider)

    @pay.completed
    @inject
    async def grant(event: PaymentCompleted, number: FromDishka[int]) -> None:
        heard.append(number)

    if order == "before":
        dp.include_router(pay)
        setup_dishka(container, dp)
    else:
        setup_dishka(container, dp)
        dp.include_router(pay)
    await sell(bot, dp, pay)
    assert heard == [17]


async def test_fsm_can_be_switched_off(bot: RecordingBot) -> None:
    pay, dp = shop(bot, storage=MemoryStorage()), Dispatcher(disable_fsm=True)
    heard: list[Any] = []
    pay.on_payment(heard.append)
    dp.include_router(pay)
    await sell(bot, dp, pay)
    assert len(heard) == 1


async def test_a_payment_through_a_business_account_is_delivered(bot: RecordingBot) -> None:
    pay, dp = shop(bot), Dispatcher()
    heard: list[Any] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event.user_id)

    dp.include_router(pay)
    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    update["business_message"] = update.pop("message")
    await dp.feed_raw_update(bot, update)
    await dp.feed_raw_update(bot, update)
    assert heard == [ALICE]
    assert "business_message" not in Dispatcher().resolve_used_update_types()


# Several bots


async def test_several_bots_sell_through_one_dispatcher_each_for_itself(bot: RecordingBot) -> None:
    other = RecordingBot("43:OTHER-TOKEN")
    pay, dp = shop(), Dispatcher()
    heard: list[Any] = []

    @dp.message(F.text)
    async def buy(message: Message, neonpay: NeonPay) -> None:
        await neonpay.send_payment(ALICE, "premium")

    @pay.completed
    async def grant(event: PaymentCompleted, bot: Bot) -> None:
        heard.append((event.bot.id, bot.id))

    dp.include_router(pay)
    for seller in (bot, other, bot):
        await dp.feed_raw_update(seller, text("/buy"))
        await dp.feed_raw_update(seller, paid(seller.payload()))
    assert heard == [(42, 42), (43, 43), (42, 42)]
    with pytest.raises(ConfigurationError, match=r"pay\.as_"):
        await pay.send_payment(ALICE, "premium")
    await pay.as_(other).send_payment(ALICE, "premium")
    assert len(await pay.as_(bot).history(ALICE)) == 2
    assert len(await pay.history(ALICE, bot=other)) == 1


async def test_two_bots_with_one_charge_id_keep_separate_ledgers(bot: RecordingBot) -> None:
    other = RecordingBot("43:OTHER-TOKEN")
    pay, dp = shop(), Dispatcher()
    heard: list[Any] = []

    @pay.completed
    async def grant(event: PaymentCompleted, bot: Bot) -> None:
        heard.append(bot.id)

    dp.include_router(pay)
    for seller in (bot, other):
        await pay.send_payment(ALICE, "premium", bot=seller)
        await dp.feed_raw_update(seller, paid(seller.payload(), charge="same"))
    assert heard == [42, 43]
