"""What the plugin puts on the root router, and why each piece sits where it does.

========================================  ================================================================
``update`` outer, after aiogram's user    sees every update before FSM, its lock and the bot's middlewares
context: :class:`UpdateHook`              can drop it: records payments, starts checkout deadlines
``message`` handler 0, while a payment    after all of the bot's root middlewares: typed handlers
passes: :class:`PaymentGate`
``message`` inner 0, likewise:            keeps plain handlers that are not meant for payments away from
:class:`PlainHandlerJudge`                them, and sees what the others do
``message`` outer, last, likewise:        lets listeners hear what no handler took
:class:`LastEar`
``pre_checkout_query`` handler 0          decides checkouts of ours before any handler of the bot
``callback_query`` handler 0              answers taps on our keyboards
events isolation                          lets checkouts of ours pass its lock; a lock that cannot be released is
                                          no failure of what was delivered under it
========================================  ================================================================
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from inspect import iscoroutine
from typing import Any

from aiogram import Dispatcher, Router
from aiogram.dispatcher.event.bases import UNHANDLED, CancelHandler, SkipHandler
from aiogram.dispatcher.event.handler import HandlerObject
from aiogram.dispatcher.event.telegram import TelegramEventObserver
from aiogram.dispatcher.middlewares.manager import MiddlewareManager
from aiogram.dispatcher.middlewares.user_context import UserContextMiddleware
from aiogram.fsm.storage.base import BaseEventIsolation, StorageKey
from aiogram.fsm.storage.memory import DisabledEventIsolation
from aiogram.types import Message, TelegramObject

from aiogram_neonpay.attempts import ATTEMPT, PLAIN, TYPED, Attempt
from aiogram_neonpay.passage import compose, middlewares_of

__all__ = [
    "Gate",
    "LastEar",
    "MessageHooks",
    "PassingIsolation",
    "keeping_outcome",
    "place_first",
    "stepping_round_isolation",
]

logger = logging.getLogger("aiogram_neonpay")

Next = Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]]

stepping_round_isolation: ContextVar[bool] = ContextVar("neonpay_stepping_round_isolation", default=False)
"""Set while a checkout of ours is on its way: an answer that waits for a lock comes too late."""
keeping_outcome: ContextVar[bool] = ContextVar("neonpay_keeping_outcome", default=False)
"""Set while an attempt is on its way to the lock: what was done under it counts, whether it can be released or not."""


class PassingIsolation(BaseEventIsolation):
    """The bot's own events isolation, whose lock checkouts of ours do not wait for.

    A lock in Redis ends by itself, after 60 seconds unless told otherwise, and releasing it then raises
    (``redis.asyncio.lock.Lock``, ``LockNotOwnedError``), as it does while Redis is away. The handlers have returned by
    then: to call that a failed attempt would be to deliver again, at every attempt of a handler that is slower.
    """

    def __init__(self, isolation: BaseEventIsolation) -> None:
        self.isolation = isolation

    def lock(self, key: StorageKey) -> AbstractAsyncContextManager[None]:  # type: ignore[override]
        """Return the lock of the bot's isolation, or one that is always free."""
        if stepping_round_isolation.get():
            # One free pass: what the checkout's handlers start is isolated as ever.
            stepping_round_isolation.set(False)
            return nullcontext()
        if type(self.isolation) is not DisabledEventIsolation and keeping_outcome.get():
            keeping_outcome.set(False)
            return self._lock_and_keep(key)
        return self.isolation.lock(key)

    @asynccontextmanager
    async def _lock_and_keep(self, key: StorageKey) -> AsyncIterator[None]:
        """Lock; of an attempt that was made under the lock, its own outcome is all that is raised."""
        made = False
        failure: BaseException | None = None
        try:
            async with self.isolation.lock(key):
                try:
                    yield
                except BaseException as error:
                    failure = error
                    raise
                finally:
                    made = True
        except Exception as error:
            if not made or error is failure:
                raise
            logger.error(
                "bot %s: the isolation lock of user %s could not be released after an attempt (%s: %s); what the "
                "attempt did counts all the same. Give the isolation a timeout longer than the slowest handler",
                *(key.bot_id, key.user_id, type(error).__name__, error),
            )
        if failure is not None:
            raise failure

    async def close(self) -> None:
        """Close the bot's isolation."""
        await self.isolation.close()

    def __getattr__(self, name: str) -> Any:
        if name == "isolation":  # asked for before __init__, as copy and pickle do
            raise AttributeError(name)
        return getattr(self.isolation, name)


def place_first(observer: TelegramEventObserver, handler: HandlerObject) -> None:
    """Make a handler the first of an observer, wherever it is now.

    The list is replaced, never changed: aiogram walks it across waiting.
    """
    handlers = observer.handlers
    if not handlers or handlers[0] is not handler:
        observer.handlers = [handler, *(other for other in handlers if other is not handler)]


def place_middleware(manager: MiddlewareManager, middleware: Any, index: int) -> None:
    """Put a middleware at a place among the others, with the manager's own ``register`` and ``unregister``."""
    present = manager[:]
    if not present:
        manager.register(middleware)
        return
    if present[index if index < len(present) else -1] is middleware:
        return
    others = [item for item in present if item is not middleware]
    index = len(others) if index < 0 else index
    wanted = [*others[:index], middleware, *others[index:]]
    for item in present:
        manager.unregister(item)
    for item in wanted:
        manager.register(item)


class Gate(HandlerObject):
    """A handler that stands first and is passed by without a filter, a thread or a copy of the data.

    :param take: called with the event and all of aiogram's handler data.
    :param key: it takes the updates whose data carry this key.
    """

    __hash__ = object.__hash__

    def __init__(self, take: Callable[[Any, dict[str, Any]], Awaitable[Any]], key: str) -> None:
        super().__init__(callback=take)
        self.key = key

    async def call(self, *args: Any, **kwargs: Any) -> Any:
        """Take the update."""
        return await self.callback(args[0], kwargs)

    def __eq__(self, other: object) -> bool:
        return self is other

    async def check(self, *args: Any, **kwargs: Any) -> tuple[bool, dict[str, Any]]:
        """Tell whether the update is one of ours."""
        return self.key in kwargs, kwargs


class PaymentGate(Gate):
    """Handler 0 of an observer of messages: where typed handlers take payments."""

    def __init__(self, name: str) -> None:
        super().__init__(self.take, ATTEMPT)
        self._name = name

    async def check(self, *args: Any, **kwargs: Any) -> tuple[bool, dict[str, Any]]:
        """Take the message if a typed handler might; else leave the bot's inner middlewares to the plain handler.

        They are entered once per handler. Entering them here for nothing would cost a throttle its one free pass,
        and would end a session around listeners with :class:`SkipHandler`.
        """
        attempt: Attempt | None = kwargs.get(ATTEMPT)
        if attempt is None:
            return False, kwargs
        attempt.reached = True
        if not attempt.plain:
            return True, kwargs
        if attempt.before_plain:
            return False, kwargs
        return TYPED in attempt.done or await attempt.has_taker(self._name, kwargs), kwargs

    async def take(self, message: Any, data: dict[str, Any]) -> Any:
        """Let typed handlers have the payment, then listeners."""
        attempt: Attempt = data[ATTEMPT]
        if await attempt.run_typed(message, self._name, data):
            if attempt.error is None and not attempt.stopped and attempt.has_listeners():
                await attempt.run_listeners(message, self._name, data)
            return attempt.result
        if attempt.plain:
            raise SkipHandler
        return None


class PlainHandlerJudge:
    """Inner middleware 0 of an observer of messages: lets only handlers that are meant for payments have them."""

    def __init__(self, root: Router, name: str, gate: PaymentGate) -> None:
        self._root = root
        self._name = name
        self._gate = gate

    def __call__(self, handler: Next, event: TelegramObject, data: dict[str, Any]) -> Awaitable[Any]:
        """Pass what carries no payment, at no cost."""
        if ATTEMPT not in data:
            return handler(event, data)
        return self._judge(event, data)

    async def _judge(self, event: TelegramObject, data: dict[str, Any]) -> Any:
        attempt: Attempt = data[ATTEMPT]
        handler: HandlerObject = data["handler"]
        # The chain that aiogram would call next, composed anew so that what happens inside it is seen.
        around = [item for item in middlewares_of(self._root, self._name) if item is not self]
        if handler is self._gate:
            return await compose(around, self._gate.take, attempt.note)(event, data)
        router: Router = data["event_router"]
        if not attempt.plain or not await self._is_meant(handler, router, event, data):
            raise SkipHandler
        called = False

        async def call(event: TelegramObject, data: dict[str, Any]) -> Any:
            nonlocal called
            called = True
            if PLAIN in attempt.done:
                return None
            try:
                result = await handler.call(event, **data)
                # An object with an asynchronous __call__ has not run yet.
                result = await result if iscoroutine(result) else result
            except (SkipHandler, CancelHandler):
                raise
            except Exception as error:
                attempt.error = error
                raise
            if result is not UNHANDLED:
                attempt.succeeded.add(PLAIN)
            return result

        async def below_root(event: TelegramObject, data: dict[str, Any]) -> Any:
            await run_ears(attempt, event, self._name, data)
            inner = middlewares_of(router, self._name, below=self._root)
            return await compose(inner, call, attempt.note)(event, data)

        result = await compose(around, below_root, attempt.note)(event, {**data, "payment": attempt.payment})
        attempt.stopped = attempt.stopped or not called
        return result

    async def _is_meant(
        self, handler: HandlerObject, router: Router, event: TelegramObject, data: dict[str, Any]
    ) -> bool:
        """Whether a handler matched because of the payment: it asks for it, or refuses the message without it."""
        if "payment" in handler.params or not isinstance(event, Message):  # what is no message is all payment
            return True
        bare = event.model_copy(update={"successful_payment": None, "refunded_payment": None})
        context = {key: value for key, value in data.items() if key not in ("payment", "stage", ATTEMPT)}
        try:
            for item in reversed(tuple(router.chain_head)):
                observer = item.observers.get(self._name)
                if observer is not None:
                    passed, context = await observer.check_root_filters(bare, **context)
                    if not passed:
                        return True
            for condition in handler.filters or ():
                if condition.magic is not None:
                    result = condition.magic.resolve(bare)
                else:
                    result = await condition.call(bare, **context)
                if not result:
                    return True
                if isinstance(result, dict):
                    context.update(result)
        except Exception:
            # A filter that cannot do without the payment refuses the message without it.
            return True
        return False


class LastEar:
    """Outer middleware, last, of an observer of messages: listeners hear what no handler took."""

    def __init__(self, root: Router, name: str, gate: PaymentGate) -> None:
        self._root = root
        self._name = name
        self._gate = gate

    def __call__(self, handler: Next, event: TelegramObject, data: dict[str, Any]) -> Awaitable[Any]:
        """Pass what carries no payment, at no cost."""
        if ATTEMPT not in data:
            return handler(event, data)
        return self._after(handler, event, data)

    async def _after(self, handler: Next, event: TelegramObject, data: dict[str, Any]) -> Any:
        attempt: Attempt = data[ATTEMPT]
        try:
            if attempt.entering is not None:
                await attempt.enter(event, data)
            response = await handler(event, data)
        except (SkipHandler, CancelHandler):
            raise
        except Exception as error:
            attempt.note(error)
            raise
        if response is not UNHANDLED or not attempt.reached or not attempt.plain:
            return response
        if attempt.has_listeners() or (attempt.before_plain and attempt.candidates):
            heard = False

            async def hear(event: TelegramObject, data: dict[str, Any]) -> None:
                nonlocal heard
                heard = True
                await run_ears(attempt, event, self._name, data)

            context = {**data, "event_router": self._root, "handler": self._gate}
            del context[ATTEMPT]  # the judge among these middlewares has nothing to judge here
            around = middlewares_of(self._root, self._name)
            await compose(around, hear, attempt.note)(event, context)
            attempt.stopped = attempt.stopped or not heard
        attempt.unhandled = True
        return UNHANDLED


async def run_ears(attempt: Attempt, event: TelegramObject, name: str, data: dict[str, Any]) -> None:
    """Run what hears a payment before a plain handler does."""
    if attempt.before_plain and TYPED not in attempt.succeeded:
        await attempt.run_typed(event, name, data)
    await attempt.run_listeners(event, name, data)


class MessageHooks:
    """The hooks on one of the root's observers of messages.

    They stand only while a payment passes, so that ordinary messages do not pay for them, and so that they come before
    and after whatever others registered meanwhile. aiogram reads lists of middlewares without letting go of the event
    loop, but walks the list of handlers across waiting: that one is never changed, only replaced.
    """

    def __init__(self, root: Router, name: str) -> None:
        self._observer = root.observers[name]
        self._gate = PaymentGate(name)
        self._judge = PlainHandlerJudge(root, name, self._gate)
        self._last = LastEar(root, name, self._gate)
        self._passing = 0

    def __enter__(self) -> None:
        """Let a payment pass: put the hooks up, or back in their places."""
        self._passing += 1
        observer = self._observer
        if not observer.handlers or observer.handlers[0] is not self._gate:
            observer.handlers = [self._gate, *self._others()]
        place_middleware(observer.middleware, self._judge, 0)
        place_middleware(observer.outer_middleware, self._last, -1)

    def __exit__(self, *_: object) -> None:
        """Take the hooks down when no other payment is passing."""
        self._passing -= 1
        if not self._passing:
            self._observer.handlers = self._others()
            self._observer.middleware.unregister(self._judge)
            self._observer.outer_middleware.unregister(self._last)

    def _others(self) -> list[HandlerObject]:
        return [handler for handler in self._observer.handlers if handler is not self._gate]


def place_update_hook(dispatcher: Dispatcher, hook: Any) -> None:
    """Put the update hook directly after aiogram's user context, before FSM and everything of the bot."""
    manager = dispatcher.update.outer_middleware
    others = [item for item in manager[:] if item is not hook]
    index = next((at for at, item in enumerate(others) if isinstance(item, UserContextMiddleware)), -1)
    place_middleware(manager, hook, index + 1)
