"""The way of an event through middlewares to a handler, composed here so that what happens on it is seen.

aiogram's chain tells only what it returned in the end. A middleware may swallow what the handler raised, forget to
return its value, never call it, or fail to commit what it wrote; none of that may count as a delivery.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiogram import Router
from aiogram.dispatcher.event.bases import UNHANDLED, CancelHandler, SkipHandler
from aiogram.dispatcher.event.handler import HandlerObject
from aiogram.dispatcher.event.telegram import TelegramEventObserver

__all__ = ["Call", "Passage", "compose", "middlewares_between", "middlewares_of", "outer_middlewares_of"]

Call = Callable[[Any, dict[str, Any]], Awaitable[Any]]


@dataclass(eq=False, slots=True)
class Passage:
    """What happened to an event on one way.

    :ivar arrived: whether it came past what stands before all handlers there.
    :ivar chosen: whether a handler matched and did not pass it on.
    :ivar returned: whether that handler returned.
    :ivar result: what it returned.
    :ivar error: the first thing that the handler, or a middleware around it, raised.
    """

    arrived: bool = False
    chosen: bool = False
    returned: bool = False
    result: Any = None
    error: Exception | None = None

    @property
    def stopped(self) -> bool:
        """Whether a middleware kept it from a handler that might have taken it."""
        return self.error is None and not self.returned and (self.chosen or not self.arrived)

    def note(self, error: Exception) -> None:
        """Remember the first thing that was raised on the way."""
        self.error = self.error or error

    async def call(self, handler: HandlerObject, event: Any, data: dict[str, Any]) -> Any:
        """Call a handler that matched."""
        self.chosen = True
        try:
            result = await handler.call(event, **data)
        except SkipHandler:
            self.chosen = False
            raise
        except Exception as error:
            self.note(error)
            raise
        if result is UNHANDLED:
            self.chosen = False
        else:
            self.returned, self.result = True, result
        return result


def compose(middlewares: Sequence[Any], innermost: Call, note: Callable[[Exception], None]) -> Call:
    """Return ``innermost`` inside the middlewares, outermost first; what any of them raises is noted."""
    call = innermost
    for middleware in reversed(middlewares):
        call = _layer(middleware, call, note)
    return call


def _layer(middleware: Any, inner: Call, note: Callable[[Exception], None]) -> Call:
    async def layer(event: Any, data: dict[str, Any]) -> Any:
        try:
            return await middleware(inner, event, data)
        except (SkipHandler, CancelHandler):
            raise
        except Exception as error:
            note(error)
            raise

    return layer


def middlewares_of(router: Router, name: str, *, below: Router | None = None) -> list[Any]:
    """Return the inner middlewares that a handler of ``name`` in ``router`` runs inside, outermost first.

    :param below: leave out those of this router and of the routers above it: they ran already.
    """
    return [item for observer in _observers(router, name, below) for item in observer.middleware[:]]


def outer_middlewares_of(router: Router, name: str, *, below: Router) -> list[Any]:
    """Return the outer middlewares on the way from below ``below`` down to ``router``, outermost first."""
    return [item for observer in _observers(router, name, below) for item in observer.outer_middleware[:]]


def middlewares_between(root: Router, router: Router, name: str) -> tuple[list[Any], list[Any]]:
    """Return the outer and the inner middlewares of ``name`` from below ``root`` down to ``router``."""
    outer: list[Any] = []
    inner: list[Any] = []
    for observer in _observers(router, name, root):
        outer += observer.outer_middleware[:]
        inner += observer.middleware[:]
    return outer, inner


def _observers(router: Router, name: str, below: Router | None) -> list[TelegramEventObserver]:
    found: list[TelegramEventObserver] = []
    at: Router | None = router
    while at is not None and at is not below:
        observer = at.observers.get(name)
        if observer is not None:
            found.insert(0, observer)
        at = at.parent_router
    return found
