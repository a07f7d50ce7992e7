"""The English of every sentence that people read, a module for each part; the other languages are gettext catalogs.

Babel reads the calls of ``sentence`` and ``counted`` from the source, each with the comment before it (``make texts``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from aiogram_neonpay.phrases.checkout import CHECKOUT
from aiogram_neonpay.phrases.dialogs import DIALOGS
from aiogram_neonpay.phrases.keyboards import KEYBOARDS
from aiogram_neonpay.phrases.numbers import NUMBERS
from aiogram_neonpay.phrases.phrase import Phrase
from aiogram_neonpay.phrases.selling import SELLING

__all__ = ["PHRASES", "Phrase"]

_PARTS = (
    CHECKOUT,
    DIALOGS,
    KEYBOARDS,
    NUMBERS,
    SELLING,
)

PHRASES: Mapping[str, Phrase] = MappingProxyType({phrase.key: phrase for part in _PARTS for phrase in part})
"""Every phrase by its key."""
