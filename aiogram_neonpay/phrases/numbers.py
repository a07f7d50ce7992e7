"""Numbers of things, to be put into other sentences or shown alone."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import counted

__all__ = ["NUMBERS"]

NUMBERS = (
    # Translators: A number of Telegram Stars, alone or after a colon: "Price: 25 Stars".
    counted("stars", "{n} Star", "{n} Stars"),
    # Translators: A number of hours, alone or after a colon: "Left: 3 hours".
    counted("hours", "{n} hour", "{n} hours"),
    # Translators: A number of days, alone or after a colon: "Left: 3 days".
    counted("days", "{n} day", "{n} days"),
    # Translators: How often something counted may still be used, alone or after a colon: "Left: 3 uses".
    counted("uses", "{n} use", "{n} uses"),
)
