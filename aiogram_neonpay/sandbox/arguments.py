"""Owns checking the arguments of the sandbox's own calls, from Python and from the control API alike.

Every refusal is an `ArgumentError` that names the argument, its limits and the value.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from aiogram_neonpay.sandbox.errors import ArgumentError


class HasId(Protocol):
    """What stands for an account or a chat: a `SandboxUser`, a `SandboxGroup`."""

    @property
    def id(self) -> int:
        """The account's or chat's id."""


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Return a whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ArgumentError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
    return value


def duration(name: str, value: Any, longest: float) -> float:
    """Return a number of seconds above 0 and up to ``longest``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= longest:
        raise ArgumentError(f"{name} must be a number of seconds above 0 and up to {longest:g}, not {value!r}")
    return float(value)


def share(name: str, value: Any) -> float:
    """Return a probability from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ArgumentError(f"{name} must be a number from 0 to 1, not {value!r}")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """Return a truth value."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{name} must be true or false, not {value!r}")
    return value


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Return one of the allowed values."""
    options = list(allowed)
    if isinstance(value, bool) or value not in options:
        raise ArgumentError(f"{name} must be one of {', '.join(map(str, options))}, not {value!r}")
    return value


def moment(name: str, value: Any, latest: float) -> int:
    """Return a moment as whole Unix seconds, from Unix seconds or an aware `datetime`, up to ``latest``."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ArgumentError(f"{name} must be a datetime with a time zone, not {value!r}")
        value = value.timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= latest:
        raise ArgumentError(f"{name} must lie between 0 and the sandbox's present, {latest:.0f}, not {value!r}")
    return int(value)


def id_of(name: str, value: Any) -> int:
    """Return the id of an account or chat given as itself or as its id."""
    found = getattr(value, "id", value)
    if isinstance(found, bool) or not isinstance(found, int):
        raise ArgumentError(f"{name} must be an id or what has one, not {value!r}")
    return found
