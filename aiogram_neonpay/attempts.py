"""One attempt to have one event heard: who may hear it, who did, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiogram import Router
from aiogram.dispatcher.event.bases import UNHANDLED
from aiogram.types import TelegramObject

from aiogram_neonpay.events import AnyEvent, PaymentCompleted, PaymentEvent
from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.observers import PaymentObserver
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
    :ivar entered: whether a plain handler was chosen, and its middlewares entered.
    :ivar error: what the delivering handler raised.
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
    entered: bool = False
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

    def is_delivered(self, response: Any) -> bool:
        """Whether what was meant to hear the event has returned, now or in an earlier attempt.

        :param response: what aiogram's chain of handlers returned: listeners are the delivery only if no handler, and
            no middleware in front of one, took the update.
        """
        if self.error is not None or self.listener_error is not None or not self.reached:
            return False
        if TYPED in self.succeeded or PLAIN in self.succeeded or TYPED in self.done or PLAIN in self.done:
            return True
        return response is UNHANDLED and not self.entered and bool(self.succeeded or self.done)

    def __post_init__(self) -> None:
        self.routers = payment_routers(self.root)
        kind, event = type(self.event), self.event
        self.candidates = [
            observer for router in self.routers if (observer := router.payment_observers[kind]).might_take(event)
        ]

    async def run_typed(self, carrier: TelegramObject, name: str, data: dict[str, Any]) -> bool:
        """Give the event to the first typed handler in the tree that matches; return whether one took it."""
        if TYPED in self.done:
            return True
        for observer in self.candidates:
            try:
                result = await observer.run(self.event, carrier, name, self.root, data)
            except Exception as error:
                self.error = error
                raise
            if result is not UNHANDLED:
                self.succeeded.add(TYPED)
                return True
        return False

    async def run_listeners(self, carrier: TelegramObject, name: str, data: dict[str, Any]) -> None:
        """Let every listener hear the payment once in this attempt; one that raises stops none of the others."""
        if not self.has_listeners():
            return
        self.listened = True
        data = {**data, "payment": self.payment}
        for router in self.routers:
            observer = router.on_payment
            for handler in observer.registered:
                if handler.name in self.done or not (handler.refunds or isinstance(self.event, PaymentCompleted)):
                    continue
                try:
                    if await observer.run(handler, self.payment, carrier, name, self.root, data):
                        self.succeeded.add(handler.name)
                except Exception as error:
                    self.listener_error = self.listener_error or error

    def has_listeners(self) -> bool:
        """Whether some listener has yet to hear the payment."""
        if self.listened:
            return False
        for router in self.routers:  # noqa: SIM110 - for every payment, and a generator costs more
            if router.on_payment.registered:
                return True
        return False
