"""The values a bot author meets."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError
from datetime import datetime, timezone
from typing import Any

import pytest
from aiogram import Bot
from aiogram.types import Chat, Message, RefundedPayment, SuccessfulPayment, User

from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.events import PaymentCompleted, PaymentUnmatched
from aiogram_neonpay.filters import PaidStage
from aiogram_neonpay.models import InvoiceLink, InvoiceStatus, PaymentResult, PaymentStatus

TOKEN = "42:AAH-this-is-the-token-of-the-bot-000"
FIELDS: dict[str, Any] = {
    "user_id": 7,
    "amount": 25,
    "stage_id": "premium",
    "transaction_id": "stx",
    "reference": "0" * 17,
}


# PaymentStatus


def test_statuses_are_those_of_neonpay_and_two_more() -> None:
    assert {status.name: status.value for status in PaymentStatus} == {
        "PENDING": "pending",
        "COMPLETED": "completed",
        "CANCELLED": "cancelled",
        "FAILED": "failed",
        "REFUNDED": "refunded",
    }


@pytest.mark.parametrize("status", PaymentStatus)
def test_a_status_reads_as_its_value(status: PaymentStatus) -> None:
    assert status == status.value
    assert f"{status}" == str(status) == json.loads(json.dumps(status)) == status.value
    assert PaymentStatus(status.value) is status


# InvoiceLink


def test_an_invoice_link_is_a_str_with_its_invoice_id() -> None:
    link = InvoiceLink("https://t.me/$abc", "0f" * 9)

    assert isinstance(link, str)
    assert link == "https://t.me/$abc" and f"{link}" == "https://t.me/$abc"
    assert json.dumps({"url": link}) == '{"url": "https://t.me/$abc"}'
    assert link in {"https://t.me/$abc"}
    assert link.invoice_id == "0f" * 9


# PaymentResult


def test_a_payment_says_the_least_by_itself() -> None:
    payment = PaymentResult(7, 25)

    assert (payment.currency, payment.status) == ("XTR", PaymentStatus.COMPLETED)
    assert (payment.recipient_id, payment.attempt, payment.recovered, payment.is_ours) == (7, 1, False, True)
    assert (payment.transaction_id, payment.stage, payment.metadata) == (None, None, {})


def test_a_payment_is_read_as_in_neonpays_documents() -> None:
    payment = PaymentResult(
        user_id=7, amount=25, currency="XTR", status=PaymentStatus.COMPLETED, transaction_id="stx", metadata={"a": 1}
    )

    assert payment.transaction_id == payment.telegram_payment_charge_id == "stx"
    assert payment.metadata == {"a": 1}


def test_what_was_bought_may_be_for_somebody_else() -> None:
    assert PaymentResult(7, 25, recipient_id=8).recipient_id == 8


def test_a_payment_cannot_be_changed_and_shares_nothing() -> None:
    payment = PaymentResult(7, 25)
    with pytest.raises(FrozenInstanceError):
        payment.amount = 1  # type: ignore[misc]
    payment.metadata["mine"] = 1

    assert PaymentResult(7, 25).metadata == {}
    assert copy.deepcopy(payment) == pickle.loads(pickle.dumps(payment)) == payment


def test_an_event_is_a_payment_with_its_bot_and_shows_neither_token_nor_message() -> None:
    event = PaymentCompleted(**FIELDS, bot=Bot(TOKEN))

    assert isinstance(event, PaymentResult)
    assert event.payment == PaymentResult(**FIELDS)
    assert type(event.payment) is PaymentResult
    assert TOKEN not in repr(event) and "bot=" not in repr(event)
    assert PaymentUnmatched(**FIELDS, bot=Bot(TOKEN), reason="bad_token").reason == "bad_token"


def test_an_invoice_that_nobody_paid_has_no_payment() -> None:
    status = InvoiceStatus("0" * 18, PaymentStatus.PENDING)

    assert (status.delivered, status.payment) == (False, None)


# PaidStage


def service_message(paid: bool = True) -> Message:
    common: dict[str, Any] = {
        "currency": "XTR",
        "total_amount": 25,
        "invoice_payload": "x",
        "telegram_payment_charge_id": "stx",
    }
    return Message(
        message_id=1,
        date=datetime.fromtimestamp(0, timezone.utc),
        chat=Chat(id=7, type="private"),
        from_user=User(id=7, is_bot=False, first_name="Alice"),
        successful_payment=SuccessfulPayment(**common, provider_payment_charge_id="") if paid else None,
        refunded_payment=None if paid else RefundedPayment(**common),
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("stage_ids", "stage_id", "passes"),
    [
        ((), "premium", True),
        (("premium",), "premium", True),
        (("sticker", "premium"), "premium", True),
        (("sticker",), "premium", False),
        ((), None, False),
        (("premium",), None, False),
    ],
)
async def test_paid_stage_passes_payments_of_its_stages(
    stage_ids: tuple[str, ...], stage_id: str | None, passes: bool
) -> None:
    payment = PaymentResult(7, 25, stage_id=stage_id)

    assert await PaidStage(*stage_ids)(service_message(), payment=payment) is passes


@pytest.mark.asyncio
async def test_paid_stage_passes_nothing_else() -> None:
    payment = PaymentResult(7, 25, stage_id="premium")

    assert await PaidStage()(service_message()) is False
    assert await PaidStage()(service_message(paid=False), payment=payment) is False


@pytest.mark.parametrize("stage_id", ["", "a b", 5, None])
def test_paid_stage_checks_its_ids(stage_id: Any) -> None:
    with pytest.raises(ValidationError, match=r"^stage_id: "):
        PaidStage(stage_id)
