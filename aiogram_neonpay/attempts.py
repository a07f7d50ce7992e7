"""One attempt to have one event heard: who may hear it, who did, and what went wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiogram import Router
from aiogram.dispatcher.event.bases import SkipHandler
from aiogram.types import TelegramObject

from aiogram_neonpay.errors import DeliveryError
from aiogram_neonpay.events import AnyEvent, PaymentCompleted, PaymentEvent, kinds_of
from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.observers import ListenerObserver, PaymentHandler, PaymentObserver
from aiogram_neonpay.passage import Passage
from aiogram_neonpay.routers import PaymentRouter, payment_routers

__all__ = ["ATTEMPT", "PLAIN", "TYPED", "Attempt"]

ATTEMPT = "neonpay_attempt"
"""Key under which an attempt travels in aiogram's handler data."""
TYPED, PLAIN = "typed", "plain"
"""Names of the delivering handlers among what succeeded; listeners go by their own."""


@dataclass(eq=False, slots=True)
class Attempt:
    """What hooks on the way of an update note about the event it carries.

    :ivar listened: whether listeners need not hear it: they have, or it is not for them.
    :ivar candidates: observers with a typed handler that might take the event, judged without waiting for anything.
    :ivar done: what succeeded in earlier attempts and is not called again.
    :ivar plain: whether plain message handlers may hear it.
    :ivar before_plain: whether typed handlers run just before a plain one instead of in its place.
    :ivar reached: whether the update came past the root's filters and outer middlewares.
    :ivar succeeded: what returned in this attempt.
    :ivar unhandled: whether the bot's handlers, all of them, left it alone.
    :ivar stopped: whether a middleware kept it from an ear that was to hear it.
    :ivar is_listening: whether listeners are hearing it, or were cut off in the middle of that.
    :ivar entering: what is to be done once, behind the bot's root middlewares and before any handler.
    :ivar result: what the typed handler returned.
    :ivar error: what the delivering handler, or something round it, raised.
    :ivar listener_error: the first thing a listener raised. It is kept apart, because raising it on the spot would
        undo what the delivering handler wrote in the same session.
    """

    root: Router
    event: AnyEvent
    done: frozenset[str] = frozenset()
    plain: bool = True
    before_plain: bool = False
    listened: bool = False
    reached: bool = False
    succeeded: set[str] = field(default_factory=set)
    unhandled: bool = False
    stopped: bool = False
    is_listening: bool = False
    entering: Callable[[TelegramObject, dict[str, Any]], Awaitable[None]] | None = None
    result: Any = None
    error: Exception | None = None
    listener_error: Exception | None = None
    routers: list[PaymentRouter] = field(init=False)
    candidates: list[PaymentObserver] = field(init=False)
    _payment: PaymentResult | None = None

    @property
    def payment(self) -> PaymentResult:
        """What listeners and plain handlers get: the payment without the bot, safe to keep."""
        if self._payment is None:
            assert isinstance(self.event, PaymentEvent)
            self._payment = self.event.payment
        return self._payment

    @property
    def is_handled(self) -> bool:
        """Whether a handler that delivers has returned, now or in an earlier attempt."""
        return not {TYPED, PLAIN}.isdisjoint(self.succeeded) or not {TYPED, PLAIN}.isdisjoint(self.done)

    @property
    def is_delivered(self) -> bool:
        """Whether what was meant to hear the event has returned, now or in an earlier attempt.

        Listeners are the delivery only if no handler took it, and no middleware in front of one.
        """
        if self.error is not None or self.listener_error is not None:
            return False
        if self.stopped or self.is_listening or not self.reached:
            return False
        return self.is_handled or (self.unhandled and bool(self.succeeded or self.done))

    def note(self, error: Exception) -> None:
        """Remember what was raised round a handler, such as by a commit: what ran inside may be undone."""
        if self.error is None:
            self.error = error
            self.succeeded.clear()

    def __post_init__(self) -> None:
        self.routers = payment_routers(self.root)
        event = self.event
        self.candidates = [
            observer
            for kind in kinds_of(event)
            for router in self.routers
            if (observer := router.payment_observers[kind]).might_take(event)
        ]

    async def enter(self, carrier: TelegramObject, data: dict[str, Any]) -> None:
        """Do what comes before all handlers."""
        entering, self.entering = self.entering, None
        if entering is not None:
            await entering(carrier, data)

    async def run_typed(self, carrier: TelegramObject, name: str, data: dict[str, Any]) -> bool:
        """Give the event to the first typed handler in the tree that matches; return whether one took it."""
        if TYPED in self.done:
            return True
        if isinstance(self.event, PaymentEvent) and self.event.metadata and self.has_listeners():
            # Taken now: what a handler does with the metadata is not for listeners to see.
            self._payment = self.event.payment
        for observer in self.candidates:
            passage = Passage()
            try:
                await observer.run(passage, self.event, carrier, name, self.root, data)
            except Exception as error:
                self.error = error
                raise
            if passage.error is not None or passage.returned or passage.stopped:
                self.error, self.stopped = passage.error, passage.stopped
                if passage.returned and passage.error is None:
                    self.succeeded.add(TYPED)
                    self.result = passage.result
                return True
        return False

    async def has_taker(self, name: str, data: dict[str, Any]) -> bool:
        """Whether a typed handler takes the event, as far as can be told before entering any middleware."""
        for observer in self.candidates:
            if await observer.would_take(self.event, name, self.root, data):
                return True
        return False

    async def run_listeners(self, carrier: TelegramObject, name: str, data: dict[str, Any]) -> None:
        """Let every listener hear the payment once in this attempt; one that raises stops none of the others."""
        if not self.has_listeners():
            return
        self.listened = self.is_listening = True
        data = {**data, "payment": self.payment}
        for place, router in enumerate(self.routers):
            for handler in router.on_payment.registered:
                # The place in the tree tells apart listeners that go by one name, made by one function.
                listener = f"{place}/{handler.name}"
                wanted = handler.refunds or isinstance(self.event, PaymentCompleted)
                if listener not in self.done and wanted and handler.might_take(self.payment):
                    await self._run_listener(router.on_payment, handler, listener, carrier, name, data)
        self.is_listening = False

    async def _run_listener(
        self,
        observer: ListenerObserver,
        handler: PaymentHandler,
        listener: str,
        carrier: TelegramObject,
        name: str,
        data: dict[str, Any],
    ) -> None:
        passage = Passage()
        try:
            await observer.run(passage, handler, self.payment, carrier, name, self.root, data)
        except SkipHandler:
            return
        except Exception as error:
            passage.note(error)
        if passage.stopped:
            why = f"a middleware kept the listener {listener} from hearing it"
            passage.note(DeliveryError(self.payment.reference or "", why))
        if passage.error is not None:
            self.listener_error = self.listener_error or passage.error
        elif passage.returned:
            self.succeeded.add(listener)

    def has_listeners(self) -> bool:
        """Whether some listener has yet to hear the payment."""
        if self.listened:
            return False
        for router in self.routers:  # noqa: SIM110 - for every payment, and a generator costs more
            if router.on_payment.registered:
                return True
        return False
