"""``PaymentRouter``: an aiogram router whose modules may also handle payment events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiogram import Dispatcher, Router
from aiogram.dispatcher.event.bases import UNHANDLED
from aiogram.dispatcher.event.handler import HandlerObject
from aiogram.dispatcher.event.telegram import TelegramEventObserver
from aiogram.types import TelegramObject

from aiogram_neonpay.events import (
    AnyEvent,
    CheckoutDeclined,
    MediaSold,
    PaymentCompleted,
    PaymentRefunded,
    PaymentStuck,
    PaymentUnmatched,
    SubscriptionCanceled,
    SubscriptionExpired,
    SubscriptionFailed,
    SubscriptionRenewed,
    SubscriptionRestored,
    SubscriptionStarted,
)
from aiogram_neonpay.observers import CheckObserver, ListenerObserver, PaymentObserver

__all__ = ["AskForUpdates", "PaymentRouter", "count_handlers", "observers_of", "payment_routers", "watch_root"]


class PaymentRouter(Router):
    """A router that carries the payment decorators in any module of a bot, with no import of ``pay``.

    Payment events walk the router tree as updates do: depth first, in the order of inclusion.

    :ivar completed: handlers of :class:`PaymentCompleted`; they deliver.
    :ivar refunded: handlers of :class:`PaymentRefunded`.
    :ivar declined: handlers of :class:`CheckoutDeclined`.
    :ivar unmatched: handlers of :class:`PaymentUnmatched`.
    :ivar stuck: handlers of :class:`PaymentStuck`.
    :ivar subscription_started: handlers of :class:`SubscriptionStarted`; they deliver, as ``completed`` does where
        none of these matches.
    :ivar subscription_renewed: handlers of :class:`SubscriptionRenewed`, likewise.
    :ivar subscription_canceled: handlers of :class:`SubscriptionCanceled`.
    :ivar subscription_restored: handlers of :class:`SubscriptionRestored`.
    :ivar subscription_failed: handlers of :class:`SubscriptionFailed`.
    :ivar subscription_expired: handlers of :class:`SubscriptionExpired`.
    :ivar media_sold: handlers of :class:`MediaSold`; they deliver, as ``completed`` does where none of these matches.
        The first one makes aiogram ask Telegram for ``purchased_paid_media``.
    :ivar on_payment: listeners of :class:`PaymentResult`.
    :ivar check: validators of :class:`Checkout`.
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.completed = PaymentObserver(self, "completed")
        self.refunded = PaymentObserver(self, "refunded")
        self.declined = PaymentObserver(self, "declined")
        self.unmatched = PaymentObserver(self, "unmatched")
        self.stuck = PaymentObserver(self, "stuck")
        self.subscription_started = PaymentObserver(self, "subscription_started")
        self.subscription_renewed = PaymentObserver(self, "subscription_renewed")
        self.subscription_canceled = PaymentObserver(self, "subscription_canceled")
        self.subscription_restored = PaymentObserver(self, "subscription_restored")
        self.subscription_failed = PaymentObserver(self, "subscription_failed")
        self.subscription_expired = PaymentObserver(self, "subscription_expired")
        self.media_sold = PaymentObserver(self, "media_sold", self._ask_for_purchases)
        self.on_payment = ListenerObserver(self, "on_payment")
        self.check = CheckObserver(self, "check")
        self.payment_observers: dict[type[AnyEvent], PaymentObserver] = {
            PaymentCompleted: self.completed,
            PaymentRefunded: self.refunded,
            CheckoutDeclined: self.declined,
            PaymentUnmatched: self.unmatched,
            PaymentStuck: self.stuck,
            SubscriptionStarted: self.subscription_started,
            SubscriptionRenewed: self.subscription_renewed,
            SubscriptionCanceled: self.subscription_canceled,
            SubscriptionRestored: self.subscription_restored,
            SubscriptionFailed: self.subscription_failed,
            SubscriptionExpired: self.subscription_expired,
            MediaSold: self.media_sold,
        }

    def _ask_for_purchases(self) -> None:
        """Have aiogram ask Telegram for ``purchased_paid_media``."""
        if not self.purchased_paid_media.handlers:
            self.purchased_paid_media.handlers.append(AskForUpdates())

    async def propagate_event(self, update_type: str, event: TelegramObject, **kwargs: Any) -> Any:
        """Pass updates on as ``aiogram.Router`` does, but at once where nothing here could be interested."""
        observer = self.observers.get(update_type)
        if not self.sub_routers and (observer is None or not _has_ears(observer)):
            return UNHANDLED
        return await super().propagate_event(update_type, event, **kwargs)


class AskForUpdates(HandlerObject):
    """A handler that takes nothing: its presence makes aiogram ask Telegram for updates of its kind."""

    def __init__(self) -> None:
        super().__init__(callback=_nothing)

    async def check(self, *args: Any, **kwargs: Any) -> tuple[bool, dict[str, Any]]:
        """Refuse every update."""
        return False, kwargs


async def _nothing() -> None: ...


def _has_ears(observer: TelegramEventObserver) -> bool:
    """Whether an observer has a handler that may take something, or a middleware that may see it."""
    return len(observer.outer_middleware) > 0 or any(
        type(handler) is not AskForUpdates for handler in observer.handlers
    )


def payment_routers(root: Router) -> list[PaymentRouter]:
    """Return the payment routers from a root down, in the order in which updates walk the tree."""
    found = [root] if isinstance(root, PaymentRouter) else []
    for router in root.sub_routers:
        found += payment_routers(router)
    return found


def observers_of(router: PaymentRouter) -> tuple[PaymentObserver | ListenerObserver | CheckObserver, ...]:
    """Return every observer of payment events on a router."""
    return (*router.payment_observers.values(), router.on_payment, router.check)


def count_handlers(router: PaymentRouter) -> int:
    """Return how many handlers and listeners of payments are registered on a router."""
    return sum(len(observer.registered) for observer in (*router.payment_observers.values(), router.on_payment))


def watch_root(router: Router, found: Callable[[Dispatcher], None]) -> None:
    """Call ``found`` with the dispatcher above a router, now or as soon as the chain of parents ends in one.

    aiogram tells nobody when a router is attached: its one hook is the ``parent_router`` property. So the outermost
    router gets, until it is attached, a subclass of its own class in which that property reports.
    """
    *_, root = router.chain_head
    if isinstance(root, Dispatcher):
        found(root)
    else:
        _watchers_of(root).append(found)


def _watchers_of(root: Router) -> list[Callable[[Dispatcher], None]]:
    """Return who waits for a router to be attached, watching it from now on."""
    waiting: list[Callable[[Dispatcher], None]] | None = getattr(type(root), "_neonpay_watchers", None)
    if waiting is not None:
        return waiting
    plain = type(root)
    watchers: list[Callable[[Dispatcher], None]] = []

    def attach(self: Router, parent: Router) -> None:
        plain.parent_router.__set__(self, parent)  # type: ignore[attr-defined]
        self.__class__ = plain
        for found in watchers:
            watch_root(self, found)

    root.__class__ = type(
        plain.__name__,
        (plain,),
        {
            "__module__": plain.__module__,
            "__qualname__": plain.__qualname__,
            "_neonpay_watchers": watchers,
            "parent_router": property(plain.parent_router.__get__, attach),
        },
    )
    return watchers
