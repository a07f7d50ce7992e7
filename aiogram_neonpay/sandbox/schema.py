"""Owns what the published Bot API consists of: its methods, their parameters, and the kinds of update.

The data is ``schema.json`` beside this module; ``scripts/create_schema.py`` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

_DATA: dict[str, Any] = json.loads(files("aiogram_neonpay.sandbox").joinpath("schema.json").read_text(encoding="utf-8"))
#: The version of the Bot API that the data describes.
VERSION: str = _DATA["version"]
#: The parameters of every method, by its published name.
PARAMETERS: dict[str, frozenset[str]] = {name: frozenset(given) for name, given in _DATA["methods"].items()}
#: Every kind of update, by the field of `Update` that holds it.
UPDATE_KINDS: frozenset[str] = frozenset(_DATA["updates"])
_NAMES = {name.lower(): name for name in PARAMETERS}


def published_name(method: str) -> str | None:
    """Return how the Bot API spells a method, given in any case; ``None`` when it has no such method."""
    return _NAMES.get(method.lower())


def unknown_parameters(method: str, given: Iterable[str]) -> tuple[str, ...]:
    """Return the names that a published method does not have, in the order given; Telegram ignores them."""
    known = PARAMETERS.get(method)
    return () if known is None else tuple(name for name in given if name not in known)
