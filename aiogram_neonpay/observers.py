"""Where handlers of payment events are registered and matched: aiogram's observers, for events that are not updates.

They are kept out of ``Router.observers``: every name in there is sent to Telegram as an allowed update.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from aiogram import Router
from aiogram.dispatcher.event.bases import UNHANDLED, SkipHandler
from aiogram.dispatcher.event.handler import CallbackType, FilterObject, HandlerObject
from aiogram.dispatcher.middlewares.manager import MiddlewareManager
from aiogram.filters import Filter
from aiogram.fsm.state import State
from aiogram.types import TelegramObject
from magic_filter import MagicFilter

from aiogram_neonpay.checks import check_stage_id
from aiogram_neonpay.errors import ConfigurationError
from aiogram_neonpay.passage import Passage, compose, middlewares_between, outer_middlewares_of

__all__ = ["CheckObserver", "ListenerObserver", "PaymentHandler", "PaymentObserver"]

F_ = TypeVar("F_", bound=Callable[..., Any])


@dataclass
class PaymentHandler(HandlerObject):
    """A registered handler with the stage ids it names.

    :ivar stage_ids: the stages it is for; empty for all.
    :ivar is_judged_at_once: whether stage ids and ``F`` expressions are all its filters.
    :ivar name: stable over restarts, so that progress can be recorded: module, qualified name and an ordinal.
    """

    stage_ids: frozenset[str] = frozenset()
    name: str = ""
    refunds: bool = False
    first: str = field(init=False, default="")
    is_judged_at_once: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        parameters = [*inspect.signature(inspect.unwrap(self.callback)).parameters.values()]
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self.is_judged_at_once = all(item.magic is not None for item in self.filters or ())
        # The event comes by position, whatever its parameter is called; ``payment`` is injected by name as well.
        self.first = parameters[0].name if parameters and parameters[0].kind in positional else ""

    async def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the handler with the event, and with what it asks for by name."""
        kwargs.pop(self.first, None)
        result = await super().call(*args, **kwargs)
        # An object with an asynchronous __call__, or a lambda round a coroutine function, has not run yet.
        return await result if inspect.iscoroutine(result) else result

    def might_take(self, event: Any) -> bool:
        """Whether the event passes what can be judged at once: stage ids, and ``F`` expressions before other filters.

        An expression that cannot be evaluated, perhaps because a filter before it should have refused, is a maybe.
        """
        if self.stage_ids and event.stage_id not in self.stage_ids:
            return False
        if not self.filters:
            return True
        for item in self.filters:
            if item.magic is None:
                return True
            try:
                if not item.magic.resolve(event):
                    return False
            except Exception:
                return True
        return True

    async def check(self, *args: Any, **kwargs: Any) -> tuple[bool, dict[str, Any]]:
        """Evaluate the filters as aiogram does, but ``F`` expressions here instead of in a thread (20 times faster)."""
        event = args[0]
        if self.stage_ids and event.stage_id not in self.stage_ids:
            return False, kwargs
        for item in self.filters or ():
            result = item.magic.resolve(event) if item.magic is not None else await item.call(event, **kwargs)
            if not result:
                return False, kwargs
            if isinstance(result, dict):
                kwargs.update(result)
        return True, kwargs


class _Registrar:
    """Registers handlers by stage ids beside aiogram filters, with or without parentheses.

    Used as aiogram's own observers are: ``filter``, ``middleware``, ``outer_middleware``, ``register``, decorator.
    """

    def __init__(self, router: Router, event_name: str) -> None:
        self.router = router
        self.event_name = event_name
        self.registered: list[PaymentHandler] = []
        self.middleware = MiddlewareManager()
        self.outer_middleware = MiddlewareManager()
        self._filters: list[FilterObject] = []

    def filter(self, *filters: CallbackType) -> None:
        """Add filters for all handlers here.

        :raises ConfigurationError: for what is no filter.
        """
        self._check_filters(filters)
        self._filters.extend(FilterObject(item) for item in filters)

    def register(
        self, callback: CallbackType, *filters: Any, flags: dict[str, Any] | None = None, refunds: bool = False
    ) -> CallbackType:
        """Register a handler (``aiogram.dispatcher.event.telegram.TelegramEventObserver.register``).

        :param filters: stage ids as strings, and aiogram filters.
        :raises ConfigurationError: for a handler that cannot be called, or what is no filter.
        :raises ValidationError: for a malformed stage id.
        """
        if not callable(callback):
            raise ConfigurationError(f"{self.event_name}: a handler must be callable, not {type(callback).__name__}")
        flags = {} if flags is None else flags
        stage_ids = frozenset(check_stage_id(item) for item in filters if isinstance(item, str))
        others = [item for item in filters if not isinstance(item, str)]
        self._check_filters(others)
        for item in others:
            if isinstance(item, Filter):
                item.update_handler_flags(flags=flags)
        name = _name_of(callback)
        ordinal = sum(item.name.partition("#")[0] == name for item in self.registered)
        handler = PaymentHandler(
            callback=callback,
            filters=[FilterObject(item) for item in others],
            flags=flags,
            stage_ids=stage_ids,
            name=f"{name}#{ordinal}",
            refunds=refunds,
        )
        self.registered.append(handler)
        return callback

    def _check_filters(self, filters: Iterable[Any]) -> None:
        """Refuse what would fail only when somebody has paid, such as a list of stage ids."""
        for item in filters:
            if not isinstance(item, MagicFilter) and not callable(item):
                raise ConfigurationError(
                    f"{self.event_name}: a filter must be a filter of aiogram, or a stage id as a string of its own, "
                    f"not {item!r:.60}"
                )

    @overload
    def __call__(self, condition: Callable[..., Awaitable[bool]] | Callable[..., bool], /) -> Callable[[F_], F_]: ...

    @overload
    def __call__(self, callback: F_, /) -> F_: ...

    @overload
    def __call__(
        self,
        *filters: str | Filter | MagicFilter | Callable[..., Any],
        flags: dict[str, Any] | None = None,
        refunds: bool = False,
    ) -> Callable[[F_], F_]: ...

    def __call__(self, *filters: Any, flags: dict[str, Any] | None = None, refunds: bool = False) -> Any:
        """Decorate a handler, which is returned unchanged: ``@pay.completed``, ``@pay.completed("id", F.amount > 9)``.

        A lone function is taken for the handler; a lambda, or a function annotated ``-> bool``, for a filter.

        :param refunds: for listeners: hear REFUNDED payments as well as COMPLETED ones.
        """
        if len(filters) == 1 and flags is None and not refunds and _is_handler(filters[0]):
            return self.register(filters[0])

        def decorate(callback: CallbackType) -> CallbackType:
            return self.register(callback, *filters, flags=flags, refunds=refunds)

        return decorate

    def named_stages(self) -> Iterable[str]:
        """Return every stage id that handlers here name."""
        for handler in self.registered:
            yield from handler.stage_ids

    async def passes_root(self, event: Any, data: dict[str, Any]) -> bool:
        """Whether the event passes ``observer.filter(...)``; what those filters return is added to ``data``."""
        for item in self._filters:
            result = item.magic.resolve(event) if item.magic is not None else await item.call(event, **data)
            if not result:
                return False
            if isinstance(result, dict):
                data.update(result)
        return True


class PaymentObserver(_Registrar):
    """Typed handlers of one kind of event on one router: the first that matches handles it.

    :param asked: called at the first registration, where the event needs updates that are not asked for otherwise.
    """

    def __init__(self, router: Router, event_name: str, asked: Callable[[], None] | None = None) -> None:
        super().__init__(router, event_name)
        self._asked = asked

    def register(
        self, callback: CallbackType, *filters: Any, flags: dict[str, Any] | None = None, refunds: bool = False
    ) -> CallbackType:
        """Register a handler (``aiogram.dispatcher.event.telegram.TelegramEventObserver.register``).

        :param filters: stage ids as strings, and aiogram filters.
        :raises ConfigurationError: for a handler that cannot be called.
        :raises ValidationError: for a malformed stage id.
        """
        registered = super().register(callback, *filters, flags=flags, refunds=refunds)
        if self._asked is not None:
            self._asked()
        return registered

    def might_take(self, event: Any) -> bool:
        """Whether some handler here might take the event, judged without waiting for anything."""
        for handler in self.registered:  # noqa: SIM110 - for every payment, and a generator costs more
            if handler.might_take(event):
                return True
        return False

    async def would_take(self, event: Any, name: str, root: Router, data: dict[str, Any]) -> bool:
        """Whether some handler here takes the event, as far as can be told before entering any middleware."""
        for handler in self.registered:
            if handler.might_take(event):
                if handler.is_judged_at_once or self._filters or len(self.outer_middleware):
                    return True
                if outer_middlewares_of(self.router, name, below=root) or (await handler.check(event, **data))[0]:
                    return True
        return False

    async def run(
        self, passage: Passage, event: Any, carrier: TelegramObject, name: str, root: Router, data: dict[str, Any]
    ) -> None:
        """Give the event to the first handler that matches, inside the middlewares of ``name`` here.

        :param passage: notes what happens.
        :param carrier: the update's own object (the service message), which those middlewares expect.
        """
        data = {**data, "event_router": self.router}
        outer, inner = middlewares_between(root, self.router, name)
        if inner or outer or self._filters or len(self.middleware) or len(self.outer_middleware):
            await self._run_inside(passage, inner, outer, event, carrier, data)
        else:
            await self._first_match(passage, event, data, lambda handler, data: passage.call(handler, event, data))

    async def _first_match(
        self,
        passage: Passage,
        event: Any,
        data: dict[str, Any],
        call: Callable[[PaymentHandler, dict[str, Any]], Awaitable[Any]],
    ) -> Any:
        passage.arrived = True
        for handler in self.registered:
            matched, found = handler.might_take(event), data
            if matched and handler.filters:
                matched, found = await handler.check(event, **data)
            if matched:
                passage.chosen = True
                try:
                    return await call(handler, {**found, "handler": handler})
                except SkipHandler:
                    continue
        return UNHANDLED

    async def _run_inside(
        self,
        passage: Passage,
        inner: list[Any],
        outer: list[Any],
        event: Any,
        carrier: TelegramObject,
        data: dict[str, Any],
    ) -> None:
        """Run inside middlewares of two kinds: the message's, which expect the carrier, and our own."""

        async def call(handler: PaymentHandler, data: dict[str, Any]) -> Any:
            async def invoke(event: Any, data: dict[str, Any]) -> Any:
                return await passage.call(handler, event, data)

            async def in_inner(_: TelegramObject, data: dict[str, Any]) -> Any:
                return await compose(self.middleware[:], invoke, passage.note)(event, data)

            return await compose(inner, in_inner, passage.note)(carrier, data)

        async def in_own_outer(event: Any, data: dict[str, Any]) -> Any:
            if await self.passes_root(event, data):
                return await self._first_match(passage, event, data, call)
            passage.arrived = True
            return UNHANDLED

        async def in_outer(_: TelegramObject, data: dict[str, Any]) -> Any:
            return await compose(self.outer_middleware[:], in_own_outer, passage.note)(event, data)

        await compose(outer, in_outer, passage.note)(carrier, data)


class _EveryOne(_Registrar):
    """Handlers that are all asked, each by itself."""

    async def run(
        self,
        passage: Passage,
        handler: PaymentHandler,
        event: Any,
        carrier: TelegramObject,
        name: str,
        root: Router,
        data: dict[str, Any],
    ) -> None:
        """Call one handler if it matches, inside the middlewares of ``name`` here and then our own."""

        async def ask(event: Any, data: dict[str, Any]) -> Any:
            matched = False
            if await self.passes_root(event, data):
                matched, data = await handler.check(event, **data)
            passage.arrived = True
            return await passage.call(handler, event, data) if matched else UNHANDLED

        async def in_own(_: TelegramObject, data: dict[str, Any]) -> Any:
            own = [*self.outer_middleware[:], *self.middleware[:]]
            return await compose(own, ask, passage.note)(event, data)

        outer, inner = middlewares_between(root, self.router, name)
        around = [*outer, *inner]
        data = {**data, "event_router": self.router, "handler": handler}
        await compose(around, in_own, passage.note)(carrier, data)


class ListenerObserver(_EveryOne):
    """Listeners: every one that matches hears every payment, and none ends anything for the others."""


class CheckObserver(_EveryOne):
    """Validators of checkouts: every one that matches must agree."""


def _name_of(callback: CallbackType) -> str:
    function = inspect.unwrap(callback)
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__qualname__"):
        function = type(function)
    return f"{function.__module__}:{function.__qualname__}"


def _is_handler(candidate: Any) -> bool:
    if isinstance(candidate, (str, Filter, MagicFilter, State)) or not callable(candidate):
        return False
    function = inspect.unwrap(candidate)
    if getattr(function, "__name__", "") == "<lambda>":
        return False
    return getattr(function, "__annotations__", {}).get("return") not in (bool, "bool")
