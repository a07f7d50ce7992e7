"""The state that a buyer enters when they have paid: once for each charge, by the bot's strategy; scenes as well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiogram import Dispatcher, F, Router
from aiogram.exceptions import SceneException
from aiogram.fsm.context import FSMContext
from aiogram.fsm.scene import Scene, SceneRegistry, on
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.memory import MemoryStorage, SimpleEventIsolation
from aiogram.fsm.strategy import FSMStrategy
from aiogram.methods import GetStarTransactions, GetWebhookInfo, SendMessage
from aiogram.types import Message, StarTransaction, StarTransactions, WebhookInfo

from aiogram_neonpay import (
    MediaSold,
    NeonPay,
    PaymentCompleted,
    PaymentResult,
    PaymentStage,
    ValidationError,
    neonpay_router,
)
from tests.flow.clock import Clock
from tests.telegram import ALICE, BOB, RecordingBot, charge_of, paid, person, text, update

pytestmark = pytest.mark.asyncio


class Order(StatesGroup):
    address = State()
    confirm = State()


class Delivery(Scene, state="delivery"):
    """Asks where to send what was bought."""

    entered: list[Any] = []  # noqa: RUF012 - what a scene was told, for the test

    @on.message.enter()
    async def ask(self, message: Message, state: FSMContext, payment: PaymentResult) -> None:
        data = await state.get_data()
        self.entered.append((payment.stage_id, data["payment"]["amount"], message.chat.id))
        await message.answer("Where to?")

    @on.message(F.text)
    async def take(self, message: Message) -> None:
        await self.wizard.exit()
        await message.answer(f"To {message.text}")


class Fresh(Scene, state="fresh", reset_data_on_enter=True):
    """Begins with no data of before."""


class Quiz(Scene, state="quiz"):
    """Clears up when it is left."""

    left: list[str] = []  # noqa: RUF012 - as above

    @on.message.exit()
    async def clear(self, message: Message, state: FSMContext) -> None:
        self.left.append("quiz")
        await state.set_data({})


class Nowhere(Scene, state="nowhere"):
    """Is in no registry."""


@pytest.fixture(autouse=True)
def fresh_scenes() -> None:
    Delivery.entered.clear()
    Quiz.left.clear()


def stage(next_state: Any, **options: Any) -> PaymentStage:
    return PaymentStage("Mug", "A mug", 25, payload={"size": "L"}, next_state=next_state, **options)


class Shop:
    def __init__(self, bot: RecordingBot, next_state: Any, *, stage_options: Any = None, **options: Any) -> None:
        self.bot = bot
        self.clock = Clock()
        self.pay: NeonPay = neonpay_router(
            {"mug": stage(next_state, **(stage_options or {}))}, bot=bot, clock=self.clock, **options.pop("pay", {})
        )
        self.dp = Dispatcher(**options)
        self.dp.include_router(self.pay)

    async def buy(self, user_id: int = ALICE, **options: Any) -> dict[str, Any]:
        await self.pay.send_payment(user_id, "mug", **options)
        sold = paid(self.bot.payload(), user_id=user_id)
        await self.dp.feed_raw_update(self.bot, sold)
        return sold

    def state(self, user_id: int = ALICE, chat_id: int | None = None) -> FSMContext:
        return self.dp.fsm.get_context(self.bot, chat_id or user_id, user_id)

    async def later(self) -> None:
        self.clock.now += 3600
        await self.pay.run_due()


# The argument


@pytest.mark.parametrize("next_state", [None, Order.address, "Order:address", "plain", State("alone"), Delivery])
async def test_a_state_its_string_or_a_scene_is_taken(next_state: Any) -> None:
    assert stage(next_state).next_state is next_state


@pytest.mark.parametrize(
    "next_state", ["", " ", "*", State("*"), State(), 5, object(), int, Order, b"state", "a" * 257]
)
async def test_what_is_no_state_is_refused_when_the_stage_is_made(next_state: Any) -> None:
    with pytest.raises(ValidationError, match="next_state"):
        stage(next_state)


async def test_a_scene_without_a_state_is_refused() -> None:
    class Default(Scene):
        pass

    with pytest.raises(ValidationError, match="must have a name"):
        stage(Default)


# Entering


@pytest.mark.parametrize("way", ["straight", "with middlewares"])
async def test_the_buyer_is_in_the_state_before_handlers_run(bot: RecordingBot, way: str) -> None:
    shop = Shop(bot, Order.address)
    seen: list[Any] = []

    if way != "straight":
        shop.dp.message.middleware(_pass_on)

    @shop.pay.completed(Order.address)
    async def grant(event: PaymentCompleted, state: FSMContext, raw_state: str) -> None:
        seen.append((await state.get_state(), raw_state, await state.get_data()))

    await shop.state().update_data(cart=["mug"])
    sold = await shop.buy(metadata={"colour": "blue"})

    ((state, raw_state, data),) = seen
    assert state == raw_state == "Order:address"
    assert data == {
        "cart": ["mug"],
        "payment": {
            "transaction_id": charge_of(sold),
            "reference": (await shop.pay.history(ALICE))[0].reference,
            "stage_id": "mug",
            "amount": 25,
            "metadata": {"size": "L", "colour": "blue"},
        },
    }
    assert json.loads(json.dumps(data)) == data


@pytest.mark.parametrize("ear", ["listener", "plain", "none"])
async def test_it_is_entered_whatever_hears_the_payment(bot: RecordingBot, ear: str) -> None:
    shop = Shop(bot, "asked", stage_options={"access": "mug"})

    async def hear(*_: Any) -> None: ...

    if ear == "listener":
        shop.pay.on_payment.register(hear)
    elif ear == "plain":
        shop.dp.message.register(hear, F.successful_payment)
    await shop.buy()

    assert await shop.state().get_state() == "asked"
    assert await shop.state(BOB).get_state() is None


async def test_the_next_message_of_the_buyer_meets_the_handlers_of_the_state(bot: RecordingBot) -> None:
    shop = Shop(bot, Order.address)
    seen: list[Any] = []
    shop.pay.on_payment.register(_nothing)

    @shop.dp.message(Order.address, F.text)
    async def take(message: Message, state: FSMContext) -> None:
        data = await state.get_data()
        seen.append((message.text, data["payment"]["stage_id"]))

    await shop.buy()
    await shop.dp.feed_raw_update(bot, text("Main Street 1"))

    assert seen == [("Main Street 1", "mug")]


async def test_plain_handlers_are_judged_by_the_new_state_where_a_typed_one_looked_first(bot: RecordingBot) -> None:
    shop = Shop(bot, Order.address)
    seen: list[str] = []

    async def refuse(_: Any) -> bool:
        return False

    @shop.pay.completed(refuse)
    async def never(event: PaymentCompleted) -> None: ...

    @shop.dp.message(Order.address, F.successful_payment)
    async def thanks(message: Message, raw_state: str) -> None:
        seen.append(raw_state)

    await shop.buy()

    assert seen == ["Order:address"]


async def test_a_handler_may_go_elsewhere_and_a_retry_leaves_that_alone(bot: RecordingBot) -> None:
    shop = Shop(bot, Order.address)
    states: list[Any] = []

    @shop.pay.completed
    async def grant(event: PaymentCompleted, state: FSMContext) -> None:
        states.append(await state.get_state())
        await state.set_state(Order.confirm)
        await state.set_data({})
        if event.attempt == 1:
            raise RuntimeError("the database is down")

    with pytest.raises(RuntimeError):
        await shop.buy()
    await shop.later()

    assert states == ["Order:address", "Order:confirm"]


async def test_a_storage_of_states_that_fails_is_a_failed_attempt_and_the_retry_enters(
    bot: RecordingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(bot, Order.address, pay={"storage": MemoryStorage()})
    shop.pay.on_payment.register(_nothing)

    async def down(*_: Any, **__: Any) -> None:
        raise ConnectionError("the storage is down")

    with monkeypatch.context() as patch:
        patch.setattr(shop.dp.storage, "set_state", down)
        with pytest.raises(ConnectionError):
            await shop.buy()
    assert not (await shop.pay.history(ALICE))[0].delivered
    await shop.state().set_data({})
    await shop.later()

    assert await shop.state().get_state() == "Order:address"
    assert (await shop.pay.history(ALICE))[0].delivered


async def test_every_charge_enters_it_anew(bot: RecordingBot) -> None:
    shop = Shop(bot, Order.address)
    shop.pay.on_payment.register(_nothing)
    await shop.buy()
    await shop.state().set_state(Order.confirm)
    second = await shop.buy()

    assert await shop.state().get_state() == "Order:address"
    assert (await shop.state().get_data())["payment"]["transaction_id"] == charge_of(second)


@pytest.mark.parametrize(
    ("strategy", "chat", "user"),
    [
        (FSMStrategy.USER_IN_CHAT, ALICE, ALICE),
        (FSMStrategy.CHAT, ALICE, ALICE),
        (FSMStrategy.GLOBAL_USER, ALICE, ALICE),
    ],
)
async def test_it_is_the_dispatchers_own_strategy_that_says_whose_state_it_is(
    bot: RecordingBot, strategy: FSMStrategy, chat: int, user: int
) -> None:
    shop = Shop(bot, "asked", fsm_strategy=strategy)
    keys: list[Any] = []

    @shop.pay.completed
    async def grant(event: PaymentCompleted, state: FSMContext) -> None:
        keys.append((state.key.chat_id, state.key.user_id, await state.get_state()))

    await shop.buy()

    assert keys == [(chat, user, "asked")]


@pytest.mark.parametrize("strategy", [FSMStrategy.GLOBAL_USER, FSMStrategy.CHAT, FSMStrategy.USER_IN_CHAT])
async def test_a_bot_with_its_states_switched_off_has_them_set_all_the_same(
    bot: RecordingBot, strategy: FSMStrategy
) -> None:
    shop = Shop(bot, "asked", disable_fsm=True, fsm_strategy=strategy)
    shop.pay.on_payment.register(_nothing)
    await shop.buy()

    assert await shop.state().get_state() == "asked"


async def test_it_is_entered_under_the_buyers_isolation_lock(bot: RecordingBot) -> None:
    shop = Shop(bot, "asked", events_isolation=SimpleEventIsolation())
    shop.pay.on_payment.register(_nothing)
    await shop.buy()
    await shop.buy()

    assert await shop.state().get_state() == "asked"


async def test_a_payment_of_doubt_enters_nothing(bot: RecordingBot) -> None:
    shop = Shop(bot, "asked")
    await shop.pay.send_payment(ALICE, "mug")
    await shop.dp.feed_raw_update(bot, paid(bot.payload(), amount=24))

    assert await shop.state().get_state() is None


async def test_a_recovered_payment_enters_it(bot: RecordingBot) -> None:
    shop = Shop(bot, Order.address)
    shop.pay.on_payment.register(_nothing)
    rows: list[StarTransaction] = []
    bot.answer(GetStarTransactions, lambda method: StarTransactions(transactions=rows[method.offset or 0 :]))
    bot.answer(GetWebhookInfo, lambda _: WebhookInfo(url="", has_custom_certificate=False, pending_update_count=0))
    await shop.pay._shop.readings.open(bot.id, shop.clock())
    await shop.pay.send_payment(ALICE, "mug")
    partner = {
        "type": "user",
        "transaction_type": "invoice_payment",
        "user": person(),
        "invoice_payload": bot.payload(),
    }
    row = {"id": "stxLost", "amount": 25, "date": int(shop.clock.now), "source": partner}
    rows.append(StarTransaction.model_validate(row))
    shop.clock.now += 600
    bot.get_my_star_balance = None  # type: ignore[method-assign,assignment]
    assert (await shop.pay.reconcile()).recovered_count == 1
    await shop.pay.run_due()

    assert await shop.state().get_state() == "Order:address"
    assert (await shop.state().get_data())["payment"]["transaction_id"] == "stxLost"


async def test_a_renewal_leaves_the_state_alone(bot: RecordingBot) -> None:
    shop = Shop(bot, "welcome", stage_options={"subscription": True, "access": "club"})
    shop.pay.on_payment.register(_nothing)
    await shop.pay.create_link("mug", user_id=ALICE)
    month = 2_592_000
    until = int(shop.clock.now + month)
    marks: dict[str, Any] = {"is_recurring": True, "subscription_expiration_date": until}
    await shop.dp.feed_raw_update(bot, paid(bot.payload(), is_first_recurring=True, **marks))
    assert await shop.state().get_state() == "welcome"
    await shop.state().set_state("busy")
    shop.clock.now += month
    marks["subscription_expiration_date"] = until + month
    await shop.dp.feed_raw_update(bot, paid(bot.payload(), **marks))

    assert await shop.state().get_state() == "busy"
    assert len(await shop.pay.history(ALICE)) == 2


async def test_paid_media_enter_it_too(bot: RecordingBot) -> None:
    shop = Shop(bot, Order.address)
    seen: list[Any] = []

    @shop.pay.media_sold
    async def grant(event: MediaSold, state: FSMContext) -> None:
        seen.append((await state.get_state(), (await state.get_data())["payment"]["transaction_id"]))

    await shop.pay.send_payment(ALICE, "mug")
    token = shop.pay._shop.signer(bot).verify(bot.payload())
    assert token is not None
    payload = shop.pay._shop.signer(bot).mint(token._replace(media=True))
    await shop.dp.feed_raw_update(bot, update(purchased_paid_media={"from": person(), "paid_media_payload": payload}))

    assert seen == [("Order:address", f"media:{token.invoice_id}:{ALICE}")]


# Scenes


@pytest.mark.parametrize("registered", ["on the dispatcher", "on a router", "on a router, without a middleware"])
async def test_a_scene_is_entered_by_aiograms_own_machinery(bot: RecordingBot, registered: str) -> None:
    shop = Shop(bot, Delivery)
    home: Router = shop.dp
    if registered != "on the dispatcher":
        home = Router()
        shop.dp.include_router(home)
    SceneRegistry(home).add(Delivery)
    if registered == "on a router":
        shop.dp.message.middleware(_pass_on)
    shop.pay.on_payment.register(_nothing)
    await shop.buy()

    assert Delivery.entered == [("mug", 25, ALICE)]
    assert await shop.state().get_state() == "delivery"
    await shop.dp.feed_raw_update(bot, text("Main Street 1"))
    assert [call.text for call in bot.sent(SendMessage)] == ["Where to?", "To Main Street 1"]
    assert await shop.state().get_state() is None


async def test_a_scene_is_entered_by_a_retry_as_well_if_the_first_attempt_did_not_come_so_far(
    bot: RecordingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(bot, Delivery)
    SceneRegistry(shop.dp).add(Delivery)
    shop.pay.on_payment.register(_nothing)

    def fail(method: SendMessage) -> Any:
        raise RuntimeError("no line")

    bot.answer(SendMessage, fail)
    with pytest.raises(RuntimeError):
        await shop.buy()
    del bot.recorded.answers[SendMessage]
    await shop.later()

    assert len(Delivery.entered) == 2
    assert [call.text for call in bot.sent(SendMessage)] == ["Where to?"] * 2
    assert await shop.state().get_state() == "delivery"


async def test_a_failed_handler_does_not_enter_the_scene_again(bot: RecordingBot) -> None:
    shop = Shop(bot, Delivery)
    SceneRegistry(shop.dp).add(Delivery)
    attempts: list[int] = []

    @shop.pay.completed
    async def grant(event: PaymentCompleted) -> None:
        attempts.append(event.attempt)
        if event.attempt == 1:
            raise RuntimeError("the database is down")

    with pytest.raises(RuntimeError):
        await shop.buy()
    await shop.later()

    assert (attempts, len(Delivery.entered)) == ([1, 2], 1)


async def test_the_scene_that_was_active_is_left_first(bot: RecordingBot) -> None:
    shop = Shop(bot, Delivery)
    SceneRegistry(shop.dp).add(Delivery, Quiz)
    shop.pay.on_payment.register(_nothing)
    await shop.state().set_state("quiz")
    await shop.state().set_data({"score": 3})
    await shop.buy()

    assert (Quiz.left, len(Delivery.entered)) == (["quiz"], 1)
    assert set(await shop.state().get_data()) == {"payment"}


async def test_a_scene_that_begins_with_no_data_has_the_payment_all_the_same(bot: RecordingBot) -> None:
    shop = Shop(bot, Fresh)
    SceneRegistry(shop.dp).add(Fresh)
    shop.pay.on_payment.register(_nothing)
    await shop.state().set_data({"old": True})
    await shop.buy()

    assert await shop.state().get_state() == "fresh"
    assert set(await shop.state().get_data()) == {"payment"}


async def test_a_scene_in_no_registry_has_its_state_set_and_is_warned_of(
    bot: RecordingBot, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(bot, Nowhere)
    registry = SceneRegistry(shop.dp)
    registry.add(Delivery)
    with pytest.raises(SceneException):
        registry.get(Nowhere)
    shop.pay.on_payment.register(_nothing)
    await shop.buy()

    assert await shop.state().get_state() == "nowhere"
    assert (await shop.state().get_data())["payment"]["stage_id"] == "mug"
    assert "in no SceneRegistry" in caplog.text


async def _nothing(_: Any) -> None: ...


async def _pass_on(handler: Any, event: Any, data: dict[str, Any]) -> Any:
    return await handler(event, data)
