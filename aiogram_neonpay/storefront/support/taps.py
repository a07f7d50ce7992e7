"""What the buttons of the support carry."""

from __future__ import annotations

from aiogram.filters.callback_data import CallbackData

__all__ = ["SupportTap"]


class SupportTap(CallbackData, prefix="neonpay_support"):
    """A button of the support.

    :ivar action: ``about`` a payment or none, write ``back`` about it, or ``cancel``.
    :ivar reference: the payment's.
    """

    action: str
    reference: str = ""
