"""What is said to whoever comes by a deep link."""

from __future__ import annotations

from aiogram_neonpay.phrases.phrase import sentence

__all__ = ["LINKS"]

LINKS = (
    # Translators: Somebody opened a link to a product that is too old, or was altered.
    sentence("link_invalid", "This link does not work any more. Please ask for a new one."),
)
