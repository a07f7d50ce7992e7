"""Events made by hand: as a handler gets them, and able to answer without a network."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import get_args

import pytest
from aiogram.types import User

from aiogram_neonpay import (
    CheckoutDeclined,
    MediaSold,
    PaymentCompleted,
    PaymentRefunded,
    PaymentStage,
    PaymentStatus,
    PaymentStuck,
    PaymentUnmatched,
    SubscriptionCanceled,
    SubscriptionRenewed,
    SubscriptionState,
    ValidationError,
)
from aiogram_neonpay.events import AnyEvent, PaymentEvent
from aiogram_neonpay.ledger.charges import reference_of
from aiogram_neonpay.testing import answers, make_event


def subclasses(kind: type[AnyEvent]) -> list[type[AnyEvent]]:
    return [kind, *(found for child in kind.__subclasses__() for found in subclasses(child))]


KINDS: list[type[AnyEvent]] = [found for kind in get_args(AnyEvent) for found in subclasses(kind)]


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_every_event_can_be_made_and_answered(kind: type[AnyEvent]) -> None:
    event = make_event(kind, stage_id="premium")
    assert type(event) is kind and event.stage_id == "premium"
    assert event.stage is not None and event.stage.title == "premium"
    message = await event.answer("Premium is on")
    assert message is not None and message.text == "Premium is on"
    assert answers(event) == ["Premium is on"]


def test_what_is_not_given_is_as_in_a_real_payment() -> None:
    event = make_event(PaymentCompleted, stage_id="premium", user_id=42, amount=25)
    assert (event.user_id, event.recipient_id, event.chat_id, event.currency) == (42, 42, 42, "XTR")
    assert event.transaction_id and len(event.transaction_id) > 128
    assert event.reference == reference_of(event.transaction_id, 42)
    assert event.timestamp is not None and event.timestamp.tzinfo is timezone.utc
    assert (event.attempt, event.is_ours, event.status, event.metadata) == (1, True, PaymentStatus.COMPLETED, {})
    other = make_event(PaymentCompleted, stage_id="premium")
    assert other.transaction_id != event.transaction_id
    assert event.stage is not None and event.stage.price == 25


def test_what_is_given_is_kept() -> None:
    stage = PaymentStage("Premium", "30 days", 25, payload={"days": 30, "plan": "a"})
    moment = datetime(2027, 1, 1, tzinfo=timezone.utc)
    event = make_event(
        PaymentCompleted, stage_id="premium", stage=stage, metadata={"plan": "b"}, attempt=3, timestamp=moment
    )
    assert (event.stage, event.amount, event.attempt, event.timestamp) == (stage, 25, 3, moment)
    assert event.metadata == {"days": 30, "plan": "b"}


def test_each_kind_stands_where_it_would() -> None:
    assert make_event(PaymentRefunded).status is PaymentStatus.REFUNDED
    assert make_event(PaymentStuck, reason="attempts", error="ValueError: x").status is PaymentStatus.FAILED
    assert make_event(PaymentUnmatched, stage=None).reason == "no_handler"
    declined = make_event(CheckoutDeclined, stage_id="premium", user_id=42, reason="expired")
    assert (declined.user_id, declined.reason, declined.currency) == (42, "expired", "XTR")
    buyer = User(id=5, is_bot=False, first_name="Zoe")
    assert make_event(CheckoutDeclined, user=buyer).user is buyer


def test_it_is_at_hand_beside_the_events() -> None:
    from aiogram_neonpay import make_event as the_same

    assert the_same is make_event


def test_wrong_words_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"amuont: is no field of PaymentCompleted \(did you mean 'amount'\?\)"):
        make_event(PaymentCompleted, amuont=5)
    with pytest.raises(ValidationError, match="event_class: must be a payment event"):
        make_event(dict)  # type: ignore[type-var]
    with pytest.raises(
        ValidationError, match="stage: must be a PaymentStage; what it is sold as is stage_id; got 'gold'"
    ):
        make_event(PaymentCompleted, stage="gold")
    with pytest.raises(ValidationError, match="user_id"):
        make_event(PaymentCompleted, user_id=-1)
    with pytest.raises(ValidationError, match="amount"):
        make_event(PaymentCompleted, amount=0)
    assert issubclass(PaymentCompleted, PaymentEvent)


def test_events_of_subscriptions_come_with_theirs() -> None:
    renewed = make_event(SubscriptionRenewed, stage_id="club", amount=100)
    assert (renewed.is_recurring, renewed.is_first_recurring) == (True, False)
    assert renewed.subscription.expires_at == renewed.subscription_expires_at
    assert (renewed.subscription.amount, renewed.subscription.stage_id) == (100, "club")
    canceled = make_event(SubscriptionCanceled, stage_id="club", user_id=42)
    assert (canceled.user_id, canceled.subscription.state) == (42, SubscriptionState.CANCELED)


def test_sold_media_say_so_and_have_no_charge_id_of_telegrams() -> None:
    event = make_event(MediaSold, stage_id="photos", amount=50)

    assert (event.is_media, event.telegram_payment_charge_id, event.amount) == (True, None, 50)
    assert event.transaction_id and event.reference
