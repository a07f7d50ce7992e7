"""What a buyer reads once a payment was delivered."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import sentence

__all__ = ["RECEIPTS"]

RECEIPTS = (
    # Translators: A receipt. {title}: the product; {stars}: a number of Stars; {reference}: the payment's number.
    sentence("receipt", "Paid: {title}, {stars}\nPayment {reference}"),
    # Translators: Sent to a buyer after everything has gone well.
    sentence("thank_you", "Thank you for your purchase!"),
)
