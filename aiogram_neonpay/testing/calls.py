"""The Bot API calls that a bot has made, by method, with their parameters as attributes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Optional, overload

from aiogram import methods
from aiogram.methods import TelegramMethod
from pydantic import ConfigDict, TypeAdapter, ValidationError

from aiogram_neonpay.sandbox import Call, Sandbox

__all__ = ["CallList", "RecordedCall", "RecordedCalls"]

_METHODS: dict[str, type[TelegramMethod[Any]]] = {
    kind.__api_method__: kind
    for kind in vars(methods).values()
    if isinstance(kind, type) and issubclass(kind, TelegramMethod) and kind is not TelegramMethod
}
_ATTRIBUTES = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): name for name in _METHODS}


class RecordedCall:
    """One call; the parameters that it was made with are attributes: ``call.title``, ``call.reply_markup``.

    They have the types that aiogram gives them. A parameter that the method has and the call did not is ``None``.

    :ivar raw: the call as the sandbox recorded it.
    """

    def __init__(self, call: Call) -> None:
        self.raw = call

    @property
    def method(self) -> str:
        """The method's name in the Bot API, such as ``sendInvoice``."""
        return self.raw.method

    @property
    def params(self) -> dict[str, Any]:
        """The parameters that were sent, as they were written."""
        return dict(self.raw.params)

    @property
    def result(self) -> Any:
        """What the sandbox answered; ``None`` when it refused."""
        return self.raw.result

    @property
    def error(self) -> str | None:
        """Why it was refused, or that it got no answer; ``None`` when it succeeded."""
        return self.raw.error

    @property
    def ok(self) -> bool:
        """Whether the call had its effect."""
        return self.raw.error is None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "raw":  # asked for before __init__, as copy and pickle do
            raise AttributeError(name)
        kind = _METHODS.get(self.method)
        known = {} if kind is None else kind.model_fields
        if name in self.raw.params:
            value = self.raw.params[name]
            return value if name not in known else _typed(value, known[name].annotation)
        if name in known:
            return None
        raise AttributeError(f"{self.method} has no parameter {name!r}{_meant(name, known)}")

    def __repr__(self) -> str:
        written = ", ".join(f"{name}={value!r}" for name, value in self.raw.params.items())
        refused = f" -> {self.error}" if self.error else ""
        return f"{self.method}({written}){refused}"


class CallList(Sequence[RecordedCall]):
    """Calls, oldest first."""

    def __init__(self, calls: Sequence[RecordedCall], name: str) -> None:
        self._calls = calls
        self._name = name

    @property
    def last(self) -> RecordedCall:
        """The newest of them.

        :raises AssertionError: when there is none.
        """
        if not self._calls:
            raise AssertionError(f"the bot has not called {self._name}")
        return self._calls[-1]

    @overload
    def __getitem__(self, index: int) -> RecordedCall: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[RecordedCall]: ...

    def __getitem__(self, index: int | slice) -> RecordedCall | Sequence[RecordedCall]:
        return self._calls[index]

    def __len__(self) -> int:
        return len(self._calls)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self._calls))


class RecordedCalls(CallList):
    """Every call of a sandbox's bots; ``calls.send_invoice`` are those of one method.

    ``getUpdates`` is recorded only where it failed.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._forgotten = 0
        self._name = "anything"

    @property
    def _calls(self) -> Sequence[RecordedCall]:  # type: ignore[override]
        kept = self._sandbox.calls
        first = self._sandbox.world.calls.made - len(kept)
        return [RecordedCall(call) for call in kept[max(0, self._forgotten - first) :]]

    def clear(self) -> None:
        """Forget the calls made so far."""
        self._forgotten = self._sandbox.world.calls.made

    def __getattr__(self, name: str) -> CallList:
        if name.startswith("_"):
            raise AttributeError(name)
        method = _ATTRIBUTES.get(name)
        if method is None:
            raise AttributeError(f"there are no calls named {name!r}{_meant(name, _ATTRIBUTES)}")
        return CallList([call for call in self._calls if call.method == method], method)


def _meant(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(known)) or 'none'}"


def _typed(value: Any, annotation: Any) -> Any:
    """Return a parameter as aiogram types it; what was sent, where that says nothing."""
    if isinstance(value, str):
        # Everything travels as text. A number is one where the method takes numbers, also where it takes text as well.
        for kind in (int, float, bool):
            if kind in _members(annotation):
                try:
                    return TypeAdapter(kind).validate_python(value)
                except ValidationError:
                    continue
        return value
    try:
        return _adapter(annotation).validate_python(value)
    except ValidationError:
        return value


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    """Return what reads values of this type. Files and aiogram's ``Default`` are types that pydantic does not know."""
    return TypeAdapter(Optional[annotation], config=ConfigDict(arbitrary_types_allowed=True))  # noqa: UP045


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the types of a union, however deep."""
    inner = getattr(annotation, "__args__", ())
    if not inner or isinstance(annotation, type):
        yield annotation
    for item in inner:
        yield from _members(item)
