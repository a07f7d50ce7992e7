"""Invoices and the buttons that lead to them."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import sentence

__all__ = ["SELLING"]

SELLING = (
    # Translators: Button under an invoice. Telegram draws the star as its own icon: keep it.
    sentence("pay_button", "Pay {amount} ⭐"),
    # Translators: Button that opens a subscription's payment window; it is charged every 30 days. Keep the star.
    sentence("subscribe_button", "Subscribe: {amount} ⭐ a month"),
    # Translators: Shown over the chat when a button leads to something that cannot be sold now.
    sentence("unavailable", "This is not available at the moment."),
)
