"""Payment events made by hand, for handlers that a test calls directly."""

from __future__ import annotations

import dataclasses
import difflib
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from aiogram import Bot
from aiogram.types import User

from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.events import (
    AnyEvent,
    CheckoutDeclined,
    MediaSold,
    PaymentCompleted,
    PaymentEvent,
    PaymentRefunded,
    PaymentStuck,
    PaymentUnmatched,
    SubscriptionCanceled,
    SubscriptionEvent,
    SubscriptionExpired,
    SubscriptionFailed,
    SubscriptionRenewed,
    SubscriptionStarted,
)
from aiogram_neonpay.ledger.charges import reference_of
from aiogram_neonpay.ledger.subscriptions import PERIOD
from aiogram_neonpay.models import CURRENCY, PaymentStatus, Subscription, SubscriptionState
from aiogram_neonpay.sandbox import Sandbox, SandboxSession
from aiogram_neonpay.sandbox.ids import IdSource
from aiogram_neonpay.stages import PaymentStage
from aiogram_neonpay.testing.calls import RecordedCalls

__all__ = ["answers", "make_event"]

E = TypeVar("E", bound=AnyEvent)

USER_ID = 1_000_001
"""Who pays when the test does not say."""
_STATUS = {
    PaymentCompleted: PaymentStatus.COMPLETED,
    PaymentRefunded: PaymentStatus.REFUNDED,
    PaymentUnmatched: PaymentStatus.FAILED,
    PaymentStuck: PaymentStatus.FAILED,
}
_STATES = {
    SubscriptionCanceled: SubscriptionState.CANCELED,
    SubscriptionFailed: SubscriptionState.FAILED,
    SubscriptionExpired: SubscriptionState.EXPIRED,
}
_ids = IdSource()


class EventBot(Bot):
    """A bot whose Telegram is a sandbox of its own.

    :ivar calls: what it was made to say.
    """

    def __init__(self, user: User, recipient_id: int | None) -> None:
        sandbox = Sandbox()
        super().__init__(sandbox.create_bot("test_bot"), session=SandboxSession(sandbox))
        sandbox.create_user(
            user.full_name, user_id=user.id, language_code=user.language_code, username=user.username, started=True
        )
        if recipient_id not in (None, user.id):
            sandbox.create_user("Bob", user_id=recipient_id, started=True)
        self.calls = RecordedCalls(sandbox)


def make_event(event_class: type[E], *, stage_id: str | None = None, **fields: Any) -> E:
    """Return an event as a handler gets it, for calling that handler directly.

    What is not given is filled in: a buyer, a charge id of Telegram's length and its reference, the present, and, for
    a ``stage_id``, a stage. ``event.answer`` needs no network; :func:`answers` returns what was said, and
    ``event.bot.calls`` all calls, unless a ``bot`` is given.

    :param event_class: :class:`PaymentCompleted`, :class:`PaymentRefunded`, :class:`CheckoutDeclined` or a sibling.
    :param stage_id: what was sold.
    :param fields: fields of the event, such as ``amount=``, ``user_id=``, ``metadata=``, ``stage=``, ``attempt=``.
    :raises ValidationError: for a class that is no event, and for a field that it does not have.
    """
    kinds = (PaymentEvent, CheckoutDeclined, SubscriptionEvent)
    if not isinstance(event_class, type) or not issubclass(event_class, kinds):
        raise ValidationError("event_class", "must be a payment event, such as PaymentCompleted", event_class)
    known = {field.name for field in dataclasses.fields(event_class)} | {"user_id"}
    if issubclass(event_class, SubscriptionEvent):
        known |= {"amount", "metadata", "stage"}
    for name in fields:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
            raise ValidationError(name, f"is no field of {event_class.__name__} ({hint})", fields[name])
    user = fields.get("user") or _user(fields.get("user_id", USER_ID))
    stage: PaymentStage | None = fields.get("stage")
    if stage is not None and not isinstance(stage, PaymentStage):
        raise ValidationError("stage", "must be a PaymentStage; what it is sold as is stage_id", stage)
    price = stage.price if stage is not None else None
    amount: int = fields.setdefault("amount", 5 if price is None else price)
    if isinstance(amount, bool) or not isinstance(amount, int) or amount < 1:
        raise ValidationError("amount", "must be whole Stars, 1 or more", amount)
    if stage is None and stage_id is not None and "stage" not in fields:
        fields["stage"] = stage = PaymentStage(stage_id[:32], f"A stage made for a test: {stage_id}", amount)
    given = dict(stage.payload or {}) if stage is not None else {}
    fields["metadata"] = {**given, **fields.get("metadata", {})}
    fields.setdefault("bot", EventBot(user, fields.get("recipient_id")))
    if issubclass(event_class, (SubscriptionEvent, SubscriptionStarted, SubscriptionRenewed)):
        known_as = fields.setdefault("subscription", _subscription(event_class, user, stage_id, fields))
        if not issubclass(event_class, SubscriptionEvent):
            fields.setdefault("is_recurring", True)
            fields.setdefault("is_first_recurring", issubclass(event_class, SubscriptionStarted))
            fields.setdefault("subscription_expires_at", known_as.expires_at)
    if issubclass(event_class, SubscriptionEvent):
        told = {name: fields[name] for name in ("bot", "subscription", "attempt") if name in fields}
        return event_class(user=user, **told)
    return event_class(**_defaults(event_class, user, fields), stage_id=stage_id)


def answers(event: AnyEvent) -> list[str]:
    """Return what the handlers of an event made by :func:`make_event` have said to its people, oldest first.

    These are the buyer, and for a gift who has opened it.

    :raises ValidationError: for an event with another bot.
    """
    if not isinstance(event.bot, EventBot):
        raise ValidationError("event", "must come from make_event, with the bot it gives it", type(event.bot).__name__)
    people = (event.user_id, getattr(event, "recipient_id", None))
    return [call.text for call in event.bot.calls.send_message if call.ok and call.chat_id in people]


def _subscription(event_class: type[object], user: User, stage_id: str | None, fields: dict[str, Any]) -> Subscription:
    now = datetime.now(timezone.utc)
    state = next((state for kind, state in _STATES.items() if issubclass(event_class, kind)), SubscriptionState.ACTIVE)
    charge = _ids.charge_id()
    expired = state is SubscriptionState.EXPIRED
    return Subscription(
        id=reference_of(charge, user.id),
        user_id=user.id,
        stage_id=stage_id or "subscription",
        state=state,
        amount=fields["amount"],
        expires_at=now if expired else now + timedelta(seconds=PERIOD),
        started_at=now - timedelta(seconds=PERIOD) if expired else now,
        stage=fields.get("stage"),
        canceled_by="user" if state is SubscriptionState.CANCELED else None,
        transaction_id=charge,
        metadata=fields["metadata"],
    )


def _user(user_id: int) -> User:
    if isinstance(user_id, bool) or not isinstance(user_id, int) or user_id < 1:
        raise ValidationError("user_id", "must be a positive whole number", user_id)
    return User(id=user_id, is_bot=False, first_name="Alice", username="alice", language_code="en")


def _defaults(event_class: type[object], user: User, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an event, with what a real one would have in those that were not given."""
    if issubclass(event_class, CheckoutDeclined):
        fields.pop("user_id", None)
        return {
            "user": user,
            "reason": "rejected",
            "text": "This cannot be bought now.",
            "currency": CURRENCY,
            **fields,
        }
    charge = fields.get("transaction_id") or _ids.charge_id()
    status = next(
        (status for kind, status in _STATUS.items() if issubclass(event_class, kind)), PaymentStatus.COMPLETED
    )
    return {
        "user_id": user.id,
        "status": status,
        "transaction_id": charge,
        "reference": reference_of(charge, user.id),
        "timestamp": datetime.now(timezone.utc),
        "chat_id": user.id,
        **({"is_media": True} if issubclass(event_class, MediaSold) else {}),
        **fields,
    }
