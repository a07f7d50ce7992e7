"""From Telegram's messages to ledger records, and from ledger records to payments."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from copy import deepcopy
from datetime import datetime, timezone
from typing import Any, TypeVar

from aiogram import Bot
from aiogram.types import (
    Chat,
    Message,
    RefundedPayment,
    StarTransaction,
    SuccessfulPayment,
    TransactionPartnerUser,
    User,
)

from aiogram_neonpay.ledger.base import CHARGE, RecordKey
from aiogram_neonpay.ledger.charges import DELIVERED, STUCK, UNMATCHED, is_refunded, reason_of, reference_of
from aiogram_neonpay.ledger.leases import in_log as named
from aiogram_neonpay.models import CURRENCY, PaymentResult, PaymentStatus, Subscription, SubscriptionState
from aiogram_neonpay.payload import InvoiceToken
from aiogram_neonpay.stages import PaymentStage

P = TypeVar("P", bound=PaymentResult)

GIFT_SECRET = 12
"""Random bytes in the link of a gift: 16 characters."""

__all__ = [
    "buyer_of_refund",
    "facts_of",
    "facts_of_row",
    "foreign_payment",
    "in_log",
    "names_of",
    "offer_of",
    "paid_message",
    "payment_of",
    "recipient_of",
    "refunded_message",
    "status_of",
    "subscription_of",
    "user_of",
]


def buyer_of_refund(chat: Chat) -> User:
    """Return the buyer of a refund: its message comes from the bot, and the buyer is its chat (aiogram issue 1692)."""
    return User(
        id=chat.id,
        is_bot=False,
        first_name=chat.first_name or "",
        last_name=chat.last_name,
        username=chat.username,
    )


def user_of(record: dict[str, Any]) -> User:
    """Return the buyer of a recorded charge; their names are kept until it is delivered."""
    person: dict[str, Any] = (record.get("carrier") or {}).get("from") or {"first_name": ""}
    return User(id=record["user"], is_bot=False, **person)


def recipient_of(record: dict[str, Any]) -> User:
    """Return who gets what a recorded charge paid for: whoever opened it if it is a gift, else the buyer."""
    opener = record.get("opener")
    return user_of(record) if opener is None else User(id=record["recipient"], is_bot=False, **opener)


def in_log(bot: Bot, reference: str, record: dict[str, Any]) -> str:
    """Name a charge for the person who reads the log."""
    return named(RecordKey(bot.id, CHARGE, reference), record)


def facts_of(
    message: Message, paid: SuccessfulPayment | RefundedPayment, user: User, token: InvoiceToken | None
) -> dict[str, Any]:
    """Return what the ledger keeps of a charge.

    ``carrier`` is what the message is made of once more for another attempt. The raw update is not kept: it is large
    and says nothing more.
    """
    facts: dict[str, Any] = {
        "charge": paid.telegram_payment_charge_id,
        "user": user.id,
        "chat": message.chat.id,
        "amount": paid.total_amount,
        "currency": paid.currency,
        "at": int(message.date.timestamp()),
        "carrier": {"id": message.message_id, "payload": paid.invoice_payload, "from": names_of(user)},
    }
    if message.business_connection_id:
        facts["carrier"]["business"] = message.business_connection_id
    if message.chat.type != "private":
        facts["carrier"]["chat"] = {"id": message.chat.id, "type": message.chat.type, "title": message.chat.title}
    facts.update(offer_of(token, paid.total_amount, paid.currency))
    if isinstance(paid, SuccessfulPayment) and paid.is_recurring:
        facts["recurring"] = "first" if paid.is_first_recurring else "again"
        facts["paid_until"] = paid.subscription_expiration_date
    return facts


def facts_of_row(row: StarTransaction, partner: TransactionPartnerUser, token: InvoiceToken | None) -> dict[str, Any]:
    """Return what the ledger keeps of a charge that is known from a row of Telegram's ledger alone."""
    payload = partner.invoice_payload or getattr(partner, "paid_media_payload", None) or ""
    facts: dict[str, Any] = {
        "charge": row.id,
        "user": partner.user.id,
        "chat": partner.user.id,
        "amount": row.amount,
        "currency": CURRENCY,
        "at": int(row.date.timestamp()),
        "carrier": {"id": 0, "payload": payload, "from": names_of(partner.user)},
    }
    if partner.subscription_period:
        # First payments and renewals look alike here (Bot API ``TransactionPartnerUser``).
        facts["recurring"] = "row"
        facts["period"] = int(partner.subscription_period)
    return {**facts, **offer_of(token, row.amount, CURRENCY)}


def offer_of(token: InvoiceToken | None, amount: int, currency: str) -> dict[str, Any]:
    """Return what the ledger keeps of the invoice behind a charge, with ``doubt``: why it cannot be what was offered.

    Telegram let nobody pay anything else, so a doubt is news.
    """
    if token is None:
        return {"doubt": "bad_token"}
    facts: dict[str, Any] = {"stage": token.stage_id, "invoice": token.invoice_id or None}
    if token.stored:
        facts["stored"] = True
    if token.metadata_json:
        facts["metadata"] = token.metadata
    if token.gift:
        # Whoever shows it may open the gift. Recorded with the charge, it outlives every change of a key.
        facts["gift"] = urlsafe_b64encode(os.urandom(GIFT_SECRET)).decode()
    if amount != token.amount or currency != CURRENCY:
        facts["doubt"] = "wrong_amount"
    return facts


def paid_message(record: dict[str, Any]) -> dict[str, Any]:
    """Return what is special of the message that a recorded payment came with, to be fed once more."""
    if record.get("media"):
        return {}  # no message tells of paid media
    carrier = record.get("carrier") or {}
    paid = {
        "currency": record["currency"],
        "total_amount": record["amount"],
        "invoice_payload": carrier.get("payload", ""),
        "telegram_payment_charge_id": record["charge"],
        "provider_payment_charge_id": "",
    }
    if recurring := record.get("recurring"):
        paid["is_recurring"] = True
        paid["subscription_expiration_date"] = record.get("paid_until")
        if recurring == "first":
            paid["is_first_recurring"] = True
    if "recipient" in record:
        return {"successful_payment": paid}  # somebody else is told of it than where it was paid
    fields: dict[str, Any] = {"message_id": carrier.get("id", 0), "successful_payment": paid}
    if chat := carrier.get("chat"):
        fields["chat"] = chat
    if business := carrier.get("business"):
        fields["kind"] = "business_message"
        fields["business_connection_id"] = business
    return fields


def refunded_message(record: dict[str, Any]) -> dict[str, Any]:
    """Return what is special of the message that tells of the refund of a recorded charge."""
    refunded = {
        "currency": record["currency"],
        "total_amount": record["amount"],
        "invoice_payload": (record.get("carrier") or {}).get("payload", ""),
        "telegram_payment_charge_id": record.get("real") or record["charge"],
    }
    return {"refunded_payment": refunded}


def names_of(user: User) -> dict[str, Any]:
    """Return what is kept of a person beside their id."""
    names = {"first_name": user.first_name}
    if user.last_name:
        names["last_name"] = user.last_name
    if user.username:
        names["username"] = user.username
    if user.language_code:
        names["language_code"] = user.language_code
    return names


def payment_of(
    record: dict[str, Any],
    reference: str,
    stage: PaymentStage | None,
    kind: type[P] = PaymentResult,  # type: ignore[assignment]
    **fields: Any,
) -> P:
    """Return the payment that a record tells of.

    :param kind: the class to make: the payment itself, or an event of it.
    :param fields: what that class needs besides.
    """
    # Handlers may do with their copy what they like.
    metadata: dict[str, Any] = deepcopy(dict(stage.payload)) if stage is not None and stage.payload else {}
    if own := record.get("metadata"):
        metadata.update(deepcopy(own))
    recurring = record.get("recurring")
    reason = reason_of(record)
    payment = object.__new__(kind)
    # Every payment is made here, and the __init__ of a frozen dataclass sets twenty fields one slow call at a time.
    # A test compares this with what __init__ makes.
    vars(payment).update(
        {
            "user_id": record["user"],
            "amount": record["amount"],
            "currency": record["currency"],
            "status": status_of(record),
            "stage": stage,
            "transaction_id": record["charge"],
            "timestamp": datetime.fromtimestamp(record["at"], timezone.utc),
            "metadata": metadata,
            "recipient_id": record.get("recipient") if "gift" in record else record["user"],
            "reference": reference,
            "stage_id": record.get("stage"),
            "chat_id": record.get("chat"),
            "invoice_id": record.get("invoice"),
            "is_ours": True,
            "attempt": record["attempts"] or 1,
            "delivered": record["state"] == DELIVERED,
            "recovered": record.get("recovered", False),
            "reason": reason,
            "error": None if reason is None else record.get("error"),
            "is_recurring": recurring is not None,
            "is_first_recurring": recurring == "first",
            "subscription_expires_at": _moment(record.get("paid_until")),
            "is_media": record.get("media", False),
            "media_charge_id": record.get("real"),
            "is_gift": "gift" in record,
            "promo": record.get("promo"),
            "full_price": record.get("full", record["amount"]),
            **fields,
        }
    )
    return payment


def subscription_of(sub_id: str, user_id: int, known: dict[str, Any], stage: PaymentStage | None) -> Subscription:
    """Return the subscription that a buyer's record tells of."""
    payload = deepcopy(dict(stage.payload)) if stage is not None and stage.payload else {}
    return Subscription(
        id=sub_id,
        user_id=user_id,
        stage_id=known["stage"],
        state=SubscriptionState(known["state"]),
        amount=known["amount"],
        expires_at=datetime.fromtimestamp(known["until"], timezone.utc),
        started_at=datetime.fromtimestamp(known["since"], timezone.utc),
        stage=stage,
        canceled_by=known.get("by") if known["state"] == "canceled" else None,
        transaction_id=known["first"],
        access=known["access"],
        metadata={**payload, **deepcopy(known["metadata"])},
    )


def foreign_payment(message: Message, paid: SuccessfulPayment | RefundedPayment, user_id: int) -> PaymentResult:
    """Return a payment of an invoice that is not ours, for handlers to recognise."""
    return PaymentResult(
        user_id,
        paid.total_amount,
        paid.currency,
        PaymentStatus.COMPLETED if isinstance(paid, SuccessfulPayment) else PaymentStatus.REFUNDED,
        transaction_id=paid.telegram_payment_charge_id,
        timestamp=message.date,
        reference=reference_of(paid.telegram_payment_charge_id, user_id),
        chat_id=message.chat.id,
        is_ours=False,
    )


def status_of(record: dict[str, Any]) -> PaymentStatus:
    """Return where a recorded charge stands."""
    if is_refunded(record):
        return PaymentStatus.REFUNDED
    if record["state"] in (UNMATCHED, STUCK):
        return PaymentStatus.FAILED
    return PaymentStatus.COMPLETED


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
