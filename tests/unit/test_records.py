"""Payments made from ledger records."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timezone
from typing import Any

import pytest

from aiogram_neonpay import PaymentCompleted, PaymentRefunded, PaymentResult, PaymentStage, PaymentUnmatched
from aiogram_neonpay.records import payment_of
from tests.telegram import RecordingBot

RECORD = {
    "user": 7,
    "chat": 7,
    "amount": 25,
    "currency": "XTR",
    "charge": "stx1",
    "at": 1_700_000_000,
    "state": "paid",
    "attempts": 2,
    "stage": "premium",
    "invoice": "a" * 18,
    "metadata": {"color": "red"},
    "recurring": "first",
    "paid_until": 1_702_592_000,
}


@pytest.mark.parametrize(
    ("kind", "extra"),
    [(PaymentResult, {}), (PaymentCompleted, {}), (PaymentRefunded, {}), (PaymentUnmatched, {"reason": "bad_token"})],
)
def test_a_payment_of_a_record_is_what_its_class_would_make(kind: type[PaymentResult], extra: dict[str, Any]) -> None:
    stage = PaymentStage("Premium", "d", 25, payload={"days": 30})
    more = {} if kind is PaymentResult else {"bot": RecordingBot(), "message": None, **extra}
    made = payment_of(RECORD, "7abc", stage, kind, **more)
    expected = kind(
        7,
        25,
        stage=stage,
        transaction_id="stx1",
        timestamp=datetime.fromtimestamp(1_700_000_000, timezone.utc),
        metadata={"days": 30, "color": "red"},
        reference="7abc",
        stage_id="premium",
        chat_id=7,
        invoice_id="a" * 18,
        attempt=2,
        is_recurring=True,
        is_first_recurring=True,
        subscription_expires_at=datetime.fromtimestamp(1_702_592_000, timezone.utc),
        **more,
    )
    assert vars(made) == vars(expected)
    assert set(vars(made)) == {field.name for field in fields(kind)}
    assert made == expected
    assert repr(made) == repr(expected)
