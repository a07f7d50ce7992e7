"""From Telegram's messages to ledger records, and from ledger records to payments."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime, timezone
from typing import Any, TypeVar

from aiogram.types import Chat, Message, RefundedPayment, SuccessfulPayment, User

from aiogram_neonpay.ledger.charges import ANNOUNCED, REFUNDED, STUCK, UNMATCHED, reference_of
from aiogram_neonpay.models import PaymentResult, PaymentStatus
from aiogram_neonpay.payload import InvoiceToken
from aiogram_neonpay.stages import PaymentStage

P = TypeVar("P", bound=PaymentResult)

__all__ = ["buyer_of_refund", "facts_of", "foreign_payment", "payment_of", "user_of"]


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
    """Return the buyer of a recorded charge; the ledger keeps no names."""
    return User(id=record["user"], is_bot=False, first_name="")


def facts_of(
    message: Message, paid: SuccessfulPayment | RefundedPayment, user_id: int, token: InvoiceToken | None
) -> dict[str, Any]:
    """Return what the ledger keeps of a charge. The raw update is not kept: it is large and says nothing more."""
    facts: dict[str, Any] = {
        "charge": paid.telegram_payment_charge_id,
        "user": user_id,
        "chat": message.chat.id,
        "amount": paid.total_amount,
        "currency": paid.currency,
        "at": int(message.date.timestamp()),
    }
    if token is None:
        facts["payload"] = paid.invoice_payload
        return facts
    facts["stage"] = token.stage_id
    facts["invoice"] = token.invoice_id
    if token.stored:
        facts["stored"] = True
    if token.metadata_json:
        facts["metadata"] = token.metadata
    if isinstance(paid, SuccessfulPayment) and paid.is_recurring:
        facts["recurring"] = "first" if paid.is_first_recurring else "again"
        facts["paid_until"] = paid.subscription_expiration_date
    return facts


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
    payment = object.__new__(kind)
    # Every payment is made here, and the __init__ of a frozen dataclass sets twenty fields one slow call at a time.
    # A test compares this with what __init__ makes.
    vars(payment).update(
        user_id=record["user"],
        amount=record["amount"],
        currency=record["currency"],
        status=_status(record),
        stage=stage,
        transaction_id=record["charge"],
        timestamp=datetime.fromtimestamp(record["at"], timezone.utc),
        metadata=metadata,
        recipient_id=record["user"],
        reference=reference,
        stage_id=record.get("stage"),
        chat_id=record.get("chat"),
        invoice_id=record.get("invoice"),
        is_ours=True,
        attempt=record["attempts"] or 1,
        recovered=False,
        is_recurring=recurring is not None,
        is_first_recurring=recurring == "first",
        subscription_expires_at=_moment(record.get("paid_until")),
        **fields,
    )
    return payment


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


def _status(record: dict[str, Any]) -> PaymentStatus:
    if record.get("refund") in (REFUNDED, ANNOUNCED):
        return PaymentStatus.REFUNDED
    if record["state"] in (UNMATCHED, STUCK):
        return PaymentStatus.FAILED
    return PaymentStatus.COMPLETED


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)
