"""Owns the record of the Bot API calls made so far: as many of the newest as memory allows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from aiogram_neonpay.sandbox.models import Call
from aiogram_neonpay.sandbox.rules import CALL_BYTES_KEPT, CALLS_KEPT

#: What a value costs beside the characters in it, in bytes; a rough figure.
_OVERHEAD = 64


class CallRecord:
    """The newest calls, oldest first; ``made`` counts those forgotten too."""

    def __init__(self) -> None:
        self.made = 0
        self._calls: deque[Call] = deque()
        self._weights: deque[int] = deque()
        self._weight = 0

    def add(self, call: Call) -> None:
        """Record a call, and forget the oldest if there are too many or they are too large."""
        weight = _weight(call.params) + _weight(call.result)
        self._calls.append(call)
        self._weights.append(weight)
        self._weight += weight
        self.made += 1
        while len(self._calls) > CALLS_KEPT or (self._weight > CALL_BYTES_KEPT and len(self._calls) > 1):
            self._calls.popleft()
            self._weight -= self._weights.popleft()

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def __reversed__(self) -> Iterator[Call]:
        return reversed(self._calls)


def _weight(value: Any) -> int:
    weight, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        weight += _OVERHEAD
        if isinstance(item, str):
            weight += len(item)
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return weight
