"""Owns reading the parameters of a Bot API call: everything is a string, as on Telegram's own server.

Source: `get_integer_arg` and `to_bool` of tdlib/telegram-bot-api, `JsonBuilder` and `HttpReader` of tdlib/td.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.files import Upload

#: How many objects and arrays may lie in each other (`DEFAULT_MAX_DEPTH`).
JSON_DEPTH = 100
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_TRUE = frozenset({"true", "yes", "1"})


def decode(written: str | bytes) -> Any:
    """Decode JSON as Telegram takes it: nested up to :data:`JSON_DEPTH`, and without NaN and infinities.

    :raises ValueError: for anything else.
    """
    try:
        value = json.loads(written, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level, depth = [value], 0
    while level:
        if depth > JSON_DEPTH:
            raise ValueError("nested too deeply")
        depth += 1
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        level = inner
    return value


def _finite(written: str) -> float:
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(f"{written} is no number")
    return number


class Parameters:
    """The parameters of one call, from a query string, a form or a JSON body alike.

    ``files`` are those that came with it, by the names of their parts.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.files = {name: value for name, value in values.items() if isinstance(value, Upload)}
        self._values = {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in values.items()
            if value is not None and name not in self.files
        }

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def text(self, name: str) -> str:
        """Return the parameter as it was written, or an empty string."""
        return self._values.get(name, "")

    def required(self, name: str) -> str:
        """Return a parameter that must not be empty.

        :raises ApiError: 400 ``parameter "name" is required``.
        """
        value = self.text(name)
        if not value:
            raise refuse(f'parameter "{name}" is required')
        return value

    def integer(self, name: str, default: int = 0, low: int | None = None, high: int | None = None) -> int:
        """Return a whole number, silently clamped to its range; what follows the digits is passed over.

        Text that does not begin with a number reads as 0.
        """
        written = self.text(name)
        value = default
        if written:
            number = _NUMBER.match(written)
            value = int(number[0]) if number else 0
        if low is not None:
            value = max(low, value)
        if high is not None:
            value = min(high, value)
        return value

    def boolean(self, name: str) -> bool:
        """Return ``True`` for ``true``, ``yes`` and ``1`` in any case, ``False`` for everything else."""
        return self.text(name).strip().lower() in _TRUE

    def json(self, name: str, complaint: str) -> Any:
        """Return a parameter that holds JSON, or ``None`` when it is missing or empty.

        :raises ApiError: 400 with ``complaint`` when it cannot be parsed.
        """
        written = self.text(name)
        if not written:
            return None
        try:
            return decode(written)
        except ValueError:
            raise refuse(complaint) from None

    def given(self) -> list[str]:
        """Return the names of all parameters; not of files that others refer to with ``attach://``."""
        referred = "\n".join(self._values.values())
        loose = [name for name in self.files if f"attach://{name}" not in referred]
        return [*self._values, *loose]

    def recorded(self) -> dict[str, Any]:
        """Return the parameters for the record of calls: nested JSON decoded, of files the name and the size."""
        decoded: dict[str, Any] = {
            name: {"file_name": file.name, "file_size": len(file.content)} for name, file in self.files.items()
        }
        for name, value in self._values.items():
            decoded[name] = value
            if value[:1] in "[{":
                try:
                    decoded[name] = decode(value)
                except ValueError:
                    continue
        return decoded
