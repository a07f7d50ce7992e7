"""A subscription from its first payment to its end: every turn is told once, in order, and access follows."""

from __future__ import annotations

from typing import Any

import pytest
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError, TelegramRetryAfter
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import CreateInvoiceLink, EditUserStarSubscription, SendMessage
from aiogram.types import InlineKeyboardMarkup

from aiogram_neonpay import (
    InvoiceError,
    PaymentCompleted,
    PaymentRefunded,
    PaymentStage,
    SubscriptionCanceled,
    SubscriptionError,
    SubscriptionExpired,
    SubscriptionFailed,
    SubscriptionRenewed,
    SubscriptionRestored,
    SubscriptionStarted,
    SubscriptionState,
    ValidationError,
)
from tests.flow.clock import Clock, settled
from tests.flow.club import DAY, MONTH, STAGES, Club
from tests.telegram import ALICE, BOB, RecordingBot, charge_of, paid, refunded

pytestmark = pytest.mark.asyncio


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def club(bot: RecordingBot, clock: Clock, storage: MemoryStorage) -> Club:
    return Club(bot, clock, storage, grace=DAY).listen()


async def test_the_first_payment_begins_it_and_gives_access_until_its_end(club: Club) -> None:
    first = await club.subscribe()

    [event] = club.told
    assert type(event) is SubscriptionStarted and isinstance(event, PaymentCompleted)
    assert event.is_recurring and event.is_first_recurring and event.metadata == {"level": 1}
    known = event.subscription
    assert (known.state, known.stage_id, known.amount) == (SubscriptionState.ACTIVE, "club", 100)
    assert known.transaction_id == charge_of(first) and known.expires_at == event.subscription_expires_at
    assert await club.pay.list_subscriptions(ALICE) == [known]
    access = await club.pay.access(ALICE, "club")
    assert access is not None and (access.expires_at, access.left, access.source) == (
        known.expires_at,
        None,
        "subscription",
    )
    assert not await club.pay.access(BOB, "club")


async def test_a_link_of_a_subscription_says_for_how_long_it_is(club: Club) -> None:
    await club.subscribe()

    assert club.bot.sent(CreateInvoiceLink)[-1].subscription_period == MONTH


async def test_telegram_is_asked_for_updates_about_subscriptions_only_where_some_may_be_sold(
    bot: RecordingBot, clock: Clock, storage: MemoryStorage
) -> None:
    async def load(stage_id: str) -> PaymentStage | None:
        return None

    plain = Club(bot, clock, storage, stages={"pass": STAGES["pass"]})
    assert "subscription" not in plain.dp.resolve_used_update_types()
    plain.pay.create_payment_stage("club", STAGES["club"])
    assert "subscription" in plain.dp.resolve_used_update_types()
    loading = Club(bot, clock, MemoryStorage(), stages=load)
    assert "subscription" in loading.dp.resolve_used_update_types()


async def test_a_renewal_is_a_payment_of_its_own_and_extends_the_access(club: Club) -> None:
    first = await club.subscribe()
    until = club.clock.now + MONTH
    club.clock.now = until + 60
    renewal = club.charge(until=until + MONTH)
    await club.feed(renewal)
    await club.feed(renewal)

    assert club.kinds == ["SubscriptionStarted", "SubscriptionRenewed"]
    event = club.told[-1]
    assert type(event) is SubscriptionRenewed
    assert event.transaction_id == charge_of(renewal) and event.subscription.transaction_id == charge_of(first)
    assert event.subscription.expires_at.timestamp() == until + MONTH
    access = await club.pay.access(ALICE, "club")
    assert access is not None and access.expires_at == event.subscription.expires_at
    assert len(await club.pay.list_subscriptions(ALICE)) == 1


async def test_a_payment_without_a_handler_of_its_own_goes_to_completed(
    bot: RecordingBot, clock: Clock, storage: MemoryStorage
) -> None:
    club = Club(bot, clock, storage)
    club.pay.completed.register(club.hear)
    await club.subscribe()
    club.clock.now += MONTH
    await club.feed(club.charge())

    assert club.kinds == ["SubscriptionStarted", "SubscriptionRenewed"]
    assert [payment.delivered for payment in await club.pay.history(ALICE)] == [True, True]


async def test_its_end_is_told_once_after_the_time_of_grace(club: Club) -> None:
    await club.subscribe()
    await club.later(MONTH + DAY - 1)
    assert club.kinds == ["SubscriptionStarted"] and await club.has_access()
    await club.later(1)
    await club.later(DAY)

    assert club.kinds == ["SubscriptionStarted", "SubscriptionExpired"]
    event = club.told[-1]
    assert type(event) is SubscriptionExpired
    assert (event.user_id, event.stage_id, event.subscription.state) == (ALICE, "club", SubscriptionState.EXPIRED)
    assert not await club.has_access()


async def test_what_was_cancelled_ends_without_a_time_of_grace(club: Club) -> None:
    await club.subscribe()
    await club.turn("canceled")
    await club.turn("canceled")
    await club.pay.run_due()
    await club.later(MONTH - 1)
    assert await club.has_access()
    await club.later(1)

    assert club.kinds == ["SubscriptionStarted", "SubscriptionCanceled", "SubscriptionExpired"]
    canceled = club.told[1]
    assert type(canceled) is SubscriptionCanceled and canceled.subscription.canceled_by == "user"
    assert not await club.has_access()


async def test_cancel_and_restore_by_the_user_are_told_in_order(club: Club) -> None:
    await club.subscribe()
    for state in ("canceled", "active"):
        await club.turn(state)
    club.clock.now += MONTH
    await club.turn("failed")
    await club.pay.run_due()
    await club.feed(club.charge())

    assert club.kinds == [
        "SubscriptionStarted",
        "SubscriptionCanceled",
        "SubscriptionRestored",
        "SubscriptionFailed",
        "SubscriptionRenewed",
    ]
    assert type(club.told[2]) is SubscriptionRestored and type(club.told[3]) is SubscriptionFailed
    [known] = await club.pay.list_subscriptions(ALICE)
    assert known.is_renewing and known.state is SubscriptionState.ACTIVE


async def test_news_that_no_handler_takes_is_told_again_and_keeps_its_place(club: Club) -> None:
    fails = 2

    @club.pay.subscription_canceled.outer_middleware
    async def unlucky(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        nonlocal fails
        if fails:
            fails -= 1
            raise RuntimeError("no luck")
        return await handler(event, data)

    await club.subscribe()
    await club.turn("canceled")
    await settled(lambda: fails == 1)
    await club.turn("active")
    await club.later(3)
    assert club.kinds == ["SubscriptionStarted"]
    await club.later(20)

    assert club.kinds == ["SubscriptionStarted", "SubscriptionCanceled", "SubscriptionRestored"]
    assert club.told[1].attempt == 3


async def test_news_of_before_the_first_payment_waits_for_it(club: Club) -> None:
    await club.pay.create_link("club", user_id=ALICE)
    club.payload = club.bot.payload()
    await club.turn("canceled")
    await club.feed(club.charge(first=True))

    [known] = await club.pay.list_subscriptions(ALICE)
    assert (known.state, known.canceled_by) == (SubscriptionState.CANCELED, "user")


async def test_the_bot_cancels_by_the_first_charge_whatever_it_names(club: Club) -> None:
    first = await club.subscribe()
    club.clock.now += MONTH
    renewal = club.charge()
    await club.feed(renewal)

    for how in ({"transaction_id": charge_of(renewal)}, {"user_id": ALICE, "stage_id": "club"}):
        known = await club.pay.cancel_subscription(**how)
        assert (known.state, known.canceled_by) == (SubscriptionState.CANCELED, "bot")
    await club.pay.run_due()

    [asked] = club.bot.sent(EditUserStarSubscription)
    assert (asked.user_id, asked.telegram_payment_charge_id, asked.is_canceled) == (ALICE, charge_of(first), True)
    await club.turn("canceled")  # whether Telegram tells of it as well, no source says
    await club.pay.run_due()
    assert club.kinds.count("SubscriptionCanceled") == 1

    known = await club.pay.restore_subscription(ALICE, "club")
    assert (known.state, known.canceled_by) == (SubscriptionState.CANCELED, "user")
    assert club.kinds.count("SubscriptionRestored") == 0
    await club.turn("active")
    await club.pay.run_due()
    assert club.kinds[-1] == "SubscriptionRestored"


async def test_a_cancellation_that_telegram_did_not_confirm_is_asked_again(club: Club) -> None:
    await club.subscribe()
    answers: list[Any] = [
        TelegramNetworkError(method=SendMessage(chat_id=1, text=""), message="silence"),
        TelegramRetryAfter(method=SendMessage(chat_id=1, text=""), message="flood", retry_after=7),
    ]

    def answer(method: EditUserStarSubscription) -> bool:
        if answers:
            raise answers.pop(0)
        return True

    club.bot.answer(EditUserStarSubscription, answer)
    with pytest.raises(SubscriptionError, match="asked again") as raised:
        await club.pay.cancel_subscription(ALICE, "club")
    assert not raised.value.is_final
    await club.later(31)
    await club.later(8)

    assert club.kinds == ["SubscriptionStarted", "SubscriptionCanceled"]
    assert len(club.bot.sent(EditUserStarSubscription)) == 3


async def test_what_telegram_refuses_changes_nothing(club: Club) -> None:
    await club.subscribe()

    def refuse(method: EditUserStarSubscription) -> bool:
        raise TelegramBadRequest(method=method, message="Bad Request: CHARGE_ID_INVALID")

    club.bot.answer(EditUserStarSubscription, refuse)
    with pytest.raises(SubscriptionError, match="CHARGE_ID_INVALID") as raised:
        await club.pay.cancel_subscription(ALICE, "club")
    await club.later(60)

    assert raised.value.is_final
    assert len(club.bot.sent(EditUserStarSubscription)) == 1
    [known] = await club.pay.list_subscriptions(ALICE)
    assert known.state is SubscriptionState.ACTIVE
    for wrong in ({"user_id": BOB, "stage_id": "club"}, {"transaction_id": "stxNone"}):
        with pytest.raises(SubscriptionError):
            await club.pay.cancel_subscription(**wrong)
    with pytest.raises(ValidationError):
        await club.pay.cancel_subscription()


async def test_a_refunded_renewal_ends_what_it_bought(club: Club) -> None:
    await club.subscribe()
    club.clock.now += MONTH
    renewal = club.charge()
    await club.feed(renewal)
    club.clock.now += 2 * DAY
    await club.feed(refunded(renewal))

    assert type(club.told[-1]) is PaymentRefunded
    assert not await club.has_access()
    await club.pay.run_due()
    assert club.kinds[-1] == "SubscriptionExpired"
    club.clock.now += MONTH - 2 * DAY
    await club.feed(club.charge())
    assert club.kinds[-1] == "SubscriptionRenewed" and await club.has_access()


async def test_a_pass_bought_beside_a_subscription_is_added_to_it(club: Club) -> None:
    await club.subscribe()
    start = club.clock.now
    club.clock.now += 5 * DAY
    await club.pay.send_payment(ALICE, "pass")
    bought = paid(club.bot.payload(), 40)
    bought["message"]["date"] = int(club.clock.now)
    await club.feed(bought)

    access = await club.pay.access(ALICE, "club")
    assert access is not None and access.expires_at is not None
    assert access.expires_at.timestamp() == start + MONTH + 10 * DAY
    club.clock.now = start + MONTH
    await club.feed(club.charge(until=start + 2 * MONTH))
    access = await club.pay.access(ALICE, "club")
    assert access is not None and access.expires_at is not None
    assert access.expires_at.timestamp() == start + 2 * MONTH + 10 * DAY


async def test_renewals_are_delivered_after_the_key_and_the_stage_are_gone(
    bot: RecordingBot, clock: Clock, storage: MemoryStorage
) -> None:
    before = Club(bot, clock, storage, secret="an old secret of the shop").listen()
    await before.pay.create_link("club", user_id=ALICE, metadata={"ref": "x" * 200})
    before.payload = bot.payload()
    await before.feed(before.charge(first=True))

    after = Club(bot, clock, storage, secret="a new secret of the shop", stages={}).listen()
    after.payload = before.payload
    clock.now += MONTH
    await after.feed(after.charge())

    assert after.kinds == ["SubscriptionRenewed"]
    event = after.told[0]
    assert (event.stage_id, event.stage, event.metadata) == ("club", None, {"ref": "x" * 200})
    assert await after.has_access()


async def test_a_forged_renewal_is_unmatched(bot: RecordingBot, clock: Clock, storage: MemoryStorage) -> None:
    club = Club(bot, clock, storage).listen()
    await club.subscribe()
    club.payload = club.payload[:-1] + "x"
    clock.now += MONTH
    await club.feed(club.charge())

    assert club.kinds == ["SubscriptionStarted"]
    assert len(await club.pay.stuck_payments()) == 1


async def test_a_renewal_whose_first_payment_was_before_our_time_begins_here(club: Club) -> None:
    await club.pay.create_link("club", user_id=ALICE)
    club.payload = club.bot.payload()
    await club.feed(club.charge())

    [event] = club.told
    assert type(event) is SubscriptionRenewed and event.subscription.transaction_id is None
    assert await club.has_access()
    with pytest.raises(SubscriptionError, match="before the plugin came"):
        await club.pay.cancel_subscription(ALICE, "club")


async def test_two_subscriptions_of_one_payload_are_renewed_each(club: Club) -> None:
    first = await club.subscribe()
    club.clock.now += 10 * DAY
    second = club.charge(first=True)
    await club.feed(second)
    club.clock.now += 20 * DAY
    await club.feed(club.charge())
    club.clock.now += 10 * DAY
    await club.feed(club.charge())

    renewed = [event.subscription.transaction_id for event in club.told if type(event) is SubscriptionRenewed]
    assert renewed == [charge_of(first), charge_of(second)]


async def test_a_single_use_link_refunds_no_renewal(club: Club) -> None:
    await club.pay.create_link("club", user_id=ALICE, single_use=True)
    club.payload = club.bot.payload()
    await club.feed(club.charge(first=True))
    club.clock.now += MONTH
    await club.feed(club.charge())

    assert club.kinds == ["SubscriptionStarted", "SubscriptionRenewed"]


async def test_a_subscription_is_sent_as_a_message_with_a_link(club: Club) -> None:
    sent = await club.pay.send_payment(ALICE, "club")

    assert sent.chat.id == ALICE
    [message] = club.bot.sent(SendMessage)
    assert message.text.startswith("Club\n\nThe members' club")
    assert isinstance(message.reply_markup, InlineKeyboardMarkup)
    button = message.reply_markup.inline_keyboard[0][0]
    assert button.url is not None and button.url.startswith("https://t.me/") and "100" in button.text
    with pytest.raises(ValidationError, match="photo_width"):
        await club.pay.send_payment(ALICE, "club", photo_width=100)
    with pytest.raises(InvoiceError, match="links alone"):
        await club.pay.create_inline_result("club")


async def test_a_key_sends_the_offer_of_a_subscription_once(club: Club) -> None:
    first = await club.pay.send_payment(ALICE, "club", key="offer-1")
    again = await club.pay.send_payment(ALICE, "club", key="offer-1")

    assert first.message_id == again.message_id
    assert len(club.bot.sent(SendMessage)) == 1 and len(club.bot.sent(CreateInvoiceLink)) == 1


async def test_a_renewal_that_is_refunded_at_once_ends_at_once(club: Club) -> None:
    first = await club.subscribe()
    club.clock.now += MONTH
    renewal = club.charge()
    await club.feed(renewal)
    club.clock.now += 600
    await club.feed(refunded(renewal))

    assert not await club.has_access()
    await club.pay.run_due()
    assert club.kinds[-1] == "SubscriptionExpired"
    # A refund does not cancel: Telegram would charge again, so it can still be cancelled.
    known = await club.pay.cancel_subscription(ALICE, "club")
    await club.pay.run_due()
    [asked] = club.bot.sent(EditUserStarSubscription)
    assert asked.telegram_payment_charge_id == charge_of(first)
    assert known.state is SubscriptionState.EXPIRED and club.kinds[-1] == "SubscriptionExpired"
    club.clock.now += MONTH
    with pytest.raises(SubscriptionError, match="no running"):
        await club.pay.cancel_subscription(ALICE, "club")


async def test_a_present_of_an_hour_does_not_shorten_the_grace(club: Club) -> None:
    await club.subscribe()
    await club.pay.grant_access(ALICE, "club", access_for=3600)
    await club.later(MONTH + 2 * 3600)
    assert await club.has_access()
    await club.later(DAY)
    assert not await club.has_access()


async def test_turns_of_before_the_first_payment_are_told_after_it(club: Club) -> None:
    await club.pay.create_link("club", user_id=ALICE)
    club.payload = club.bot.payload()
    for state in ("canceled", "active", "canceled"):
        await club.turn(state)
    await club.feed(club.charge(first=True))
    await club.pay.run_due()

    assert club.kinds == [
        "SubscriptionStarted",
        "SubscriptionCanceled",
        "SubscriptionRestored",
        "SubscriptionCanceled",
    ]


async def test_what_was_cancelled_after_a_renewal_stays_so_when_that_is_heard_of_later(club: Club) -> None:
    await club.subscribe()
    club.clock.now += MONTH
    renewal = club.charge()
    club.clock.now += 3600
    await club.turn("canceled")
    await club.feed(renewal)

    [known] = await club.pay.list_subscriptions(ALICE)
    assert (known.state, known.expires_at.timestamp()) == (SubscriptionState.CANCELED, club.clock.now - 3600 + MONTH)


async def test_news_waits_for_the_handlers_of_the_charge_before_it(club: Club) -> None:
    fails = 1

    @club.pay.subscription_started.outer_middleware
    async def unlucky(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        nonlocal fails
        if fails:
            fails -= 1
            raise RuntimeError("no luck")
        return await handler(event, data)

    await club.pay.create_link("club", user_id=ALICE)
    club.payload = club.bot.payload()
    with pytest.raises(RuntimeError):
        await club.feed(club.charge(first=True))
    await club.turn("canceled")
    await club.pay.run_due()
    assert club.kinds == []
    await club.later(3)
    await club.later(6)

    assert club.kinds == ["SubscriptionStarted", "SubscriptionCanceled"]


async def test_a_renewal_is_told_after_the_news_before_it_and_gives_its_access_at_once(club: Club) -> None:
    fails = 1

    @club.pay.subscription_restored.outer_middleware
    async def unlucky(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        nonlocal fails
        if fails:
            fails -= 1
            raise RuntimeError("no luck")
        return await handler(event, data)

    await club.subscribe()
    await club.turn("canceled")
    await club.turn("active")
    await club.pay.run_due()
    club.clock.now += MONTH
    await club.feed(club.charge())
    access = await club.pay.access(ALICE, "club")
    assert access is not None and access.expires_at is not None
    assert access.expires_at.timestamp() == club.clock.now + MONTH
    assert club.kinds == ["SubscriptionStarted", "SubscriptionCanceled"]
    await club.later(3)
    await club.later(6)

    assert club.kinds[2:] == ["SubscriptionRestored", "SubscriptionRenewed"]
