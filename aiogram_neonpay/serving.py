"""Whose update is being handled: keyboards ask it for titles, prices and the language of the person."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiogram_neonpay.core import NeonPay

__all__ = ["language_in_hand", "neonpay_in_hand", "serving"]

serving: ContextVar[tuple[NeonPay, dict[str, Any]] | None] = ContextVar("neonpay_serving", default=None)
"""The shop that handles the update in hand, and aiogram's data of that update; each update sets its own."""


def neonpay_in_hand() -> NeonPay | None:
    """Return the shop that handles the update; nothing outside of updates."""
    now = serving.get()
    return None if now is None else now[0]


def language_in_hand() -> str | None:
    """Return the language of the person who sent the update."""
    now = serving.get()
    user = None if now is None else now[1].get("event_from_user")
    return None if user is None else str(user.language_code or "") or None
