"""A payment brings its buyer back to the dialog: delivered by it, shown below the service message, in every stack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiogram import Dispatcher, F, Router
from aiogram.filters import Command
from aiogram.fsm.storage.base import BaseStorage, DefaultKeyBuilder
from aiogram.fsm.storage.memory import SimpleEventIsolation
from aiogram.fsm.storage.redis import RedisStorage
from aiogram.methods import AnswerPreCheckoutQuery, SendInvoice
from aiogram.types import ErrorEvent, Message
from aiogram_dialog import DialogManager, setup_dialogs
from aiogram_dialog.api.exceptions import UnknownState
from aiogram_dialog.test_tools import MockMessageManager

from aiogram_neonpay import PaymentCompleted, RejectPayment, SQLiteStorage
from aiogram_neonpay.dialogs import Buy
from aiogram_neonpay.testing import BotSandbox
from tests.dialogs.stand import Client, Counter, Other, Stand, buy, dispatcher, shop, stand_dialog
from tests.redis_server import RedisServer
from tests.telegram import ALICE, RecordingBot, pre_checkout

pytestmark = pytest.mark.asyncio


@pytest.fixture
def counter() -> Counter:
    return Counter()


def texts(user: Any, **where: Any) -> list[str]:
    return [message.text for message in user.messages(**where) if message.from_bot and message.text]


def last(user: Any, **where: Any) -> str:
    return str(user.messages(**where)[-1].text)


# Where the buyer is brought back to


@pytest.mark.parametrize("command", ["/start", "/new"])
@pytest.mark.parametrize("set_up_first", [True, False], ids=["setup_dialogs first", "setup_dialogs last"])
async def test_the_dialog_is_shown_below_the_service_message(
    counter: Counter, command: str, set_up_first: bool
) -> None:
    dp = dispatcher(shop(), stand_dialog(buy(counter, paid_state=Stand.thanks)), set_up_first=set_up_first)
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send(command)
        await alice.tap("Buy")
        assert (await alice.pay()).ok
        assert last(alice) == "Thanks for Premium, 25 Stars"
        assert "Welcome" not in texts(alice)
        (event,) = counter.heard
        assert (event.user_id, event.stage_id, event.metadata, event.attempt) == (alice.id, "premium", {"days": 30}, 1)
        (payment,) = await dp["neonpay"].history(alice.id)
        assert payment.delivered
        assert not sandbox.errors


async def test_a_dialog_in_a_group_gets_the_payment_that_was_made_in_private(counter: Counter) -> None:
    dp = dispatcher(shop(), stand_dialog(buy(counter, paid_state=Stand.thanks)))
    async with BotSandbox(dp) as sandbox:
        alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob", stars=100)
        group = sandbox.sandbox.create_group("Friends", members=[alice, bob])
        await alice.send("/start", chat=group)
        await alice.tap("Buy", chat=group)
        assert not (await bob.pay(chat=group)).ok  # it is Alice's
        assert (await alice.pay(chat=group)).ok
        assert [event.user_id for event in counter.heard] == [alice.id]
        assert "Thanks for Premium, 25 Stars" in texts(alice, chat=group)
        assert "Thanks for Premium, 25 Stars" not in texts(alice)


async def test_two_stacks_of_one_buyer_are_told_apart(counter: Counter) -> None:
    dp = dispatcher(shop(), stand_dialog(buy(counter, paid_state=Stand.thanks)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/new")
        first = alice.messages()[-1]
        await alice.send("/new")
        await alice.tap("Buy", message=first)
        await alice.pay()
        shown = texts(alice)
        assert shown.count("Welcome") == 1
        assert shown[-1] == "Thanks for Premium, 25 Stars"


async def test_a_dialog_without_on_paid_shows_what_others_delivered() -> None:
    pay = shop()
    told: list[str] = []

    @pay.completed("premium")
    async def deliver(event: PaymentCompleted) -> None:
        told.append(event.stage_id or "")
        await event.answer("Premium is on")

    dp = dispatcher(pay, stand_dialog(buy(paid_state=Stand.thanks)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/start")
        await alice.tap("Buy")
        await alice.pay()
        assert told == ["premium"]
        assert texts(alice)[-2:] == ["Premium is on", "Thanks for Premium, 25 Stars"]


async def test_showing_a_dialog_is_no_delivery() -> None:
    dp = dispatcher(shop(), stand_dialog(buy(paid_state=Stand.thanks)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/start")
        await alice.tap("Buy")
        await alice.pay()
        assert last(alice) == "Thanks for Premium, 25 Stars"
        (waiting,) = await dp["neonpay"].stuck_payments()
        assert waiting.reason == "no_handler"


async def test_access_that_a_stage_gives_is_a_delivery() -> None:
    dp = dispatcher(shop(), stand_dialog(buy(stage_id="pass", paid_state=Stand.thanks)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/start")
        await alice.tap("Buy")
        await alice.pay()
        assert last(alice) == "Thanks for Pass, 10 Stars"
        assert not await dp["neonpay"].stuck_payments()


async def test_on_paid_may_move_the_dialog_itself() -> None:
    async def on_paid(event: PaymentCompleted, widget: Any, manager: DialogManager) -> None:
        assert isinstance(widget, Buy)
        assert manager.dialog_data["payment"]["reference"] == event.reference
        await manager.start(Other.main)

    dp = dispatcher(shop(), stand_dialog(Buy("Buy", "premium", on_paid=on_paid, paid_state=Stand.thanks)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/start")
        await alice.tap("Buy")
        await alice.pay()
        assert texts(alice) == ["Elsewhere"]
        await alice.tap("Cancel")
        assert texts(alice) == ["Welcome"]


@pytest.mark.parametrize("command", ["/start", "/new"])
async def test_a_dialog_that_was_closed_is_opened_at_paid_state_only(counter: Counter, command: str) -> None:
    plain, opening = Buy("Plain", "sticker", id="plain", on_paid=counter.on_paid), buy(counter, paid_state=Stand.thanks)
    dp = dispatcher(shop(), stand_dialog(plain, opening))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        for button, shown in (("Plain", []), ("Buy", ["Thanks for Premium, 25 Stars"])):
            await alice.send(command)
            await alice.tap(button)
            await alice.tap("Leave")
            assert (await alice.pay()).ok
            assert [text for text in texts(alice) if text != "Welcome"] == shown
        assert [event.stage_id for event in counter.heard] == ["sticker", "premium"]


@pytest.mark.parametrize("command", ["/start", "/new"])
async def test_on_paid_finds_its_dialogs_data_also_when_that_was_closed(command: str) -> None:
    attempts: list[int] = []

    async def on_paid(event: PaymentCompleted, widget: Any, manager: DialogManager) -> None:
        manager.dialog_data["payment"]["title"] = f"parcel {event.attempt}"
        attempts.append(event.attempt)
        if len(attempts) == 1:
            raise KeyError("the shelf is stuck")

    dp = dispatcher(shop(), stand_dialog(Buy("Buy", "premium", on_paid=on_paid, paid_state=Stand.thanks)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send(command)
        await alice.tap("Buy")
        await alice.tap("Leave")
        await alice.pay()
        left = texts(alice)
        await sandbox.advance(minutes=5)
        assert attempts == [1, 2]
        assert texts(alice) == [*left, "Thanks for parcel 2, 25 Stars"]


@pytest.mark.parametrize("closed", [False, True])
async def test_on_paid_may_switch_windows_and_need_not_be_asynchronous(closed: bool) -> None:
    heard: list[str | None] = []

    async def on_paid(event: PaymentCompleted, widget: Any, manager: DialogManager) -> None:
        await manager.switch_to(Stand.thanks)

    def note(event: PaymentCompleted, widget: Any, manager: DialogManager) -> Any:
        heard.append(event.stage_id)

    moving = Buy("Buy", "premium", on_paid=on_paid)
    dp = dispatcher(shop(), stand_dialog(moving, Buy("Plain", "sticker", id="plain", on_paid=note)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        for button, shown in (("Plain", [] if closed else ["Welcome"]), ("Buy", ["Thanks for Premium, 25 Stars"])):
            await alice.send("/start")
            await alice.tap(button)
            if closed:
                await alice.tap("Leave")
            await alice.pay()
            assert texts(alice)[-1:] == shown or not shown
        assert heard == ["sticker"]
        assert not sandbox.errors


async def test_a_renewal_that_switches_windows_leaves_the_one_that_is_seen() -> None:
    async def on_paid(event: PaymentCompleted, widget: Any, manager: DialogManager) -> None:
        await manager.switch_to(Stand.thanks)

    dp = dispatcher(shop(), stand_dialog(Buy("Buy", "club", on_paid=on_paid)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/start")
        await alice.tap("Buy")
        await alice.pay()
        await alice.send("/start")
        await sandbox.advance(days=30)
        assert alice.balance == 20
        await alice.tap("Elsewhere")
        assert texts(alice)[-1] == "Elsewhere"


async def test_what_lies_over_the_dialog_stays_below_the_thanks(counter: Counter) -> None:
    dp = dispatcher(shop(), stand_dialog(buy(counter, paid_state=Stand.thanks)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/start")
        await alice.tap("Buy")
        await alice.tap("Elsewhere")
        await alice.pay()
        assert texts(alice)[-1] == "Thanks for Premium, 25 Stars"
        assert len(counter.heard) == 1


async def test_a_dispatcher_with_dialogs_is_played_again_and_again(counter: Counter) -> None:
    dp = dispatcher(shop(), stand_dialog(buy(counter)))
    for played in range(1, 4):
        async with BotSandbox(dp) as sandbox:
            alice = sandbox.user("Alice", stars=100)
            await alice.send("/new")
            await alice.tap("Buy")
            assert (await alice.pay()).ok
            assert len(counter.heard) == played


# In the delivery


@pytest.mark.parametrize("command", ["/start", "/new"])
async def test_an_on_paid_that_raises_is_called_again_until_it_returns(counter: Counter, command: str) -> None:
    counter.fails = 2
    dp = dispatcher(shop(), stand_dialog(buy(counter, paid_state=Stand.thanks)))
    told: list[str] = []

    @dp.errors()
    async def on_error(event: ErrorEvent) -> None:  # a bot that logs and goes on
        told.append(type(event.exception).__name__)

    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send(command)
        await alice.tap("Buy")
        await alice.pay()
        assert not counter.heard and last(alice) != "Thanks for Premium, 25 Stars"
        assert told == ["KeyError"]
        await sandbox.advance(minutes=10)
        assert [event.attempt for event in counter.heard] == [3]
        assert last(alice) == "Thanks for Premium, 25 Stars"
        assert told == ["KeyError", "KeyError"]


@pytest.mark.parametrize("command", ["/start", "/new"])
async def test_a_payment_found_in_telegrams_ledger_brings_the_buyer_back(counter: Counter, command: str) -> None:
    dp = dispatcher(shop(), stand_dialog(buy(counter, paid_state=Stand.thanks)))
    async with BotSandbox(dp) as sandbox:
        sandbox.faults.add_update("successful_payment", drop=True, times=1)
        alice = sandbox.user("Alice", stars=100, language_code="ru")
        await alice.send(command)
        await alice.tap("Buy")
        await alice.pay()
        assert not counter.heard
        await sandbox.advance(minutes=20)
        (event,) = counter.heard
        assert event.recovered
        assert last(alice) == "Thanks for Premium, 25 Stars"


async def restarted(counter: Counter, command: str, open_storage: Callable[[], BaseStorage]) -> None:
    bot, messages = RecordingBot(), MockMessageManager()

    def program() -> Client:
        dialog = stand_dialog(buy(counter, paid_state=Stand.thanks))
        return Client(dispatcher(shop(), dialog, storage=open_storage(), message_manager=messages), messages, bot)

    before = program()
    await before.send(command)
    await before.tap("Buy")
    await before.dp.storage.close()
    after = program()  # no update has told it of a dialog
    update = await after.pay(bot, 25)
    assert after.text == "Thanks for Premium, 25 Stars"
    await after.dp.feed_raw_update(bot, {**update, "update_id": 10**6})
    assert len(counter.heard) == 1
    await after.dp.storage.close()


@pytest.mark.parametrize("command", ["/start", "/new"])
async def test_after_a_restart_a_payment_finds_the_dialog_in_a_file(
    counter: Counter, command: str, tmp_path: Path
) -> None:
    await restarted(counter, command, lambda: SQLiteStorage(tmp_path / "bot.db"))


async def test_after_a_restart_a_payment_finds_the_dialog_in_redis(counter: Counter, redis_server: RedisServer) -> None:
    keys = DefaultKeyBuilder(with_destiny=True)  # as aiogram-dialog asks for
    await restarted(counter, "/new", lambda: RedisStorage.from_url(redis_server.url, key_builder=keys))


async def test_a_locked_buyer_is_not_waited_for_on_another_stack(counter: Counter) -> None:
    dp = dispatcher(shop(), stand_dialog(buy(counter)))
    dp.fsm.events_isolation = SimpleEventIsolation()
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/new")
        await alice.tap("Buy")
        await alice.pay()
        assert len(counter.heard) == 1 and not sandbox.errors


@pytest.mark.parametrize("plain", [False, True])
async def test_dialogs_set_up_below_the_dispatcher_return_or_say_what_to_change(counter: Counter, plain: bool) -> None:
    pay, dp, below = shop(), Dispatcher(), Router()

    @below.message(Command("start"))
    async def start(message: Message, dialog_manager: DialogManager) -> None:
        await dialog_manager.start(Stand.main)

    if plain:
        below.message.register(start, F.successful_payment)
    below.include_router(stand_dialog(buy(counter, paid_state=Stand.thanks)))
    setup_dialogs(below)
    dp.include_routers(below, pay)
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/start")
        await alice.tap("Buy")
        await alice.pay()
        if plain:
            assert "call setup_dialogs(dp)" in str(sandbox.errors[0])
        else:
            assert last(alice) == "Thanks for Premium, 25 Stars" and len(counter.heard) == 1


async def test_an_on_paid_that_rejects_gives_the_stars_back() -> None:
    async def on_paid(event: PaymentCompleted, widget: Any, manager: DialogManager) -> None:
        raise RejectPayment("The last one is gone.")

    dp = dispatcher(shop(), stand_dialog(Buy("Buy", "premium", on_paid=on_paid)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/new")
        await alice.tap("Buy")
        assert (await alice.pay()).ok
        assert alice.balance == 100


async def test_a_stack_whose_dialog_is_gone_is_left_to_aiogram_dialog_and_the_payment_is_kept(counter: Counter) -> None:
    bot, messages = RecordingBot(), MockMessageManager()
    client = Client(dispatcher(shop(), stand_dialog(buy(counter)), message_manager=messages), messages, bot)
    await client.send("/start")
    await client.tap("Buy")
    deployed = dispatcher(shop(), storage=client.dp.storage, message_manager=messages)
    with pytest.raises(UnknownState):
        await Client(deployed, messages, bot).pay(bot, 25)
    (payment,) = await deployed["neonpay"].history(ALICE, bot=bot)
    assert not payment.delivered


async def test_a_buyer_who_cannot_be_written_to_fails_no_delivery(counter: Counter) -> None:
    dp = dispatcher(shop(), stand_dialog(buy(counter, paid_state=Stand.thanks)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/start")
        await alice.tap("Buy")
        alice.block()
        assert (await alice.pay()).ok
        (payment,) = await dp["neonpay"].history(alice.id)
        assert payment.delivered and len(counter.heard) == 1


async def test_a_renewal_is_delivered_and_leaves_the_dialog_alone(counter: Counter) -> None:
    dp = dispatcher(shop(), stand_dialog(buy(counter, "club", paid_state=Stand.thanks)))
    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/start")
        await alice.tap("Buy")
        assert (await alice.pay()).ok
        assert last(alice) == "Thanks for Club, 40 Stars"
        await alice.send("/start")
        await sandbox.advance(days=30)
        assert [event.is_first_recurring for event in counter.heard] == [True, False]
        assert texts(alice)[-1] == "Welcome"


async def test_a_widget_that_is_gone_leaves_the_payment_to_a_person(counter: Counter) -> None:
    bot, messages = RecordingBot(), MockMessageManager()
    pay = shop()
    client = Client(dispatcher(pay, stand_dialog(buy(counter)), message_manager=messages), messages, bot)
    await client.send("/start")
    await client.tap("Buy")
    renamed = Client(
        dispatcher(shop(), stand_dialog(buy(counter, id="other")), message_manager=messages, storage=client.dp.storage),
        messages,
        bot,
    )
    await renamed.pay(bot, 25)
    assert not counter.heard
    (waiting,) = await renamed.dp["neonpay"].stuck_payments(bot=bot)
    assert waiting.reason == "no_handler"


async def test_a_stack_that_is_broken_does_not_keep_on_paid_from_being_called(counter: Counter) -> None:
    bot, messages = RecordingBot(), MockMessageManager()
    client = Client(dispatcher(shop(), stand_dialog(buy(counter)), message_manager=messages), messages, bot)
    await client.send("/new")
    await client.tap("Buy")
    storage = client.dp.storage
    for key, record in list(storage.storage.items()):  # type: ignore[attr-defined]
        if key.destiny.startswith("aiogd:context"):
            record.data.clear()
    await client.pay(bot, 25)
    assert len(counter.heard) == 1


# The invoice


async def test_two_taps_at_once_make_one_invoice_and_a_payment_makes_room_for_another(counter: Counter) -> None:
    bot, messages = RecordingBot(), MockMessageManager()
    client = Client(dispatcher(shop(), stand_dialog(buy(counter)), message_manager=messages), messages, bot)
    await client.send("/start")
    await client.tap("Buy")
    await client.tap("Buy")
    assert len(bot.sent(SendInvoice)) == 1
    await client.pay(bot, 25)
    await client.tap("Buy")
    assert len(bot.sent(SendInvoice)) == 2


async def test_the_way_back_is_signed_with_the_invoice(counter: Counter) -> None:
    bot, messages = RecordingBot(), MockMessageManager()
    client = Client(dispatcher(shop(), stand_dialog(buy(counter)), message_manager=messages), messages, bot)
    await client.send("/start")
    await client.tap("Buy")
    payload = bot.payload()
    await client.dp.feed_raw_update(bot, pre_checkout(payload.replace('"buy"', '"bux"')))
    assert [answer.ok for answer in bot.sent(AnswerPreCheckoutQuery)] == [False]
