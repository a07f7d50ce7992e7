"""Puts the plugin on a dispatcher, keeps it in place, and takes it through start-up and shutdown."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from aiogram import Bot, Dispatcher, Router
from aiogram.dispatcher.event.handler import HandlerObject
from aiogram.fsm.storage.base import BaseStorage
from aiogram.types import Message, Update

from aiogram_neonpay.amounts import AmountGate
from aiogram_neonpay.attempts import ATTEMPT
from aiogram_neonpay.checkout import CHECKOUT, Cashier
from aiogram_neonpay.delivery import Delivery, Propagate
from aiogram_neonpay.doctor import Doctor
from aiogram_neonpay.errors import ConfigurationError
from aiogram_neonpay.feed import DRAIN, Feed
from aiogram_neonpay.following import Following
from aiogram_neonpay.gifts import Gifts, opens_gift
from aiogram_neonpay.hooks import Gate, Next, PassingIsolation, place_first, place_update_hook
from aiogram_neonpay.invoices import Seller
from aiogram_neonpay.ledger.base import buyer_name
from aiogram_neonpay.ledger.charges import DELIVER, Claim
from aiogram_neonpay.links import START_LINK, Links, StartLink, start_parameter
from aiogram_neonpay.news import News
from aiogram_neonpay.outages import Outages
from aiogram_neonpay.purchases import Purchases
from aiogram_neonpay.reconcile import Reconciler
from aiogram_neonpay.refunds import CLAIM, Refunds
from aiogram_neonpay.retries import Retries
from aiogram_neonpay.routers import PaymentRouter, observers_of, payment_routers
from aiogram_neonpay.serving import serving
from aiogram_neonpay.shop import Clock, Shop
from aiogram_neonpay.subscriptions import Subscriptions
from aiogram_neonpay.taps import TapGate
from aiogram_neonpay.timing import Timing
from aiogram_neonpay.way import Way
from aiogram_neonpay.worker import Worker

if TYPE_CHECKING:
    from aiogram_neonpay.alerts import Alerter, Alerts
    from aiogram_neonpay.core import NeonPay

__all__ = ["Installation", "companions"]

logger = logging.getLogger("aiogram_neonpay")

companions: list[Callable[[PaymentRouter, Dispatcher], None]] = []
"""What joins every dispatcher that sells as it begins to: optional parts of the package, added when they are imported.
Called again and again: at start-up and, without one, at the first update."""


class UpdateHook:
    """Outer middleware of all updates: the first to see a payment, a refund or a checkout, and the last."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._shop = installation.shop
        self._feed = installation.feed
        self._pay = installation.pay

    def __call__(self, handler: Next, event: Update, data: dict[str, Any]) -> Awaitable[Any]:
        """Record and carry what is ours; let everything else pass, at no cost while there is only one bot."""
        serving.set((self._pay, data))
        if not self._feed.has_context:
            self._feed.remember(data)
            self.installation.join()
        message = event.message
        if message is not None:
            if (
                message.successful_payment is not None
                or message.refunded_payment is not None
                or ATTEMPT in data
                or CLAIM in data
            ):
                return self.installation.on_payment_message(handler, event, message, data)
            if message.text is not None and message.text.startswith("/start"):
                came_by = start_parameter(message.text)
                if came_by is not None:
                    return self.installation.on_start_link(handler, event, came_by, data)
            if opens_gift(message.text):
                return self.installation.on_gift_link(handler, event, message, data)
        elif event.pre_checkout_query is not None:
            query = event.pre_checkout_query
            is_ours, token = self._shop.read_payload(
                data["bot"], query.invoice_payload, query.total_amount, query.currency
            )
            if is_ours:
                self.installation.wrap_isolation()
                return self.installation.cashier.on_query(handler, event, token, data)
        elif event.business_message is not None:
            message = event.business_message
            if message.successful_payment is not None or message.refunded_payment is not None:
                return self.installation.on_payment_message(handler, event, message, data)
        elif event.purchased_paid_media is not None:
            return self.installation.on_purchased(handler, event, data)
        elif getattr(event, "subscription", None) is not None:  # Bot API 10.2, aiogram 3.30
            return self.installation.on_subscription(handler, event, data)
        if self._shop.only_bot is data["bot"]:
            return handler(event, data)
        return self._with_bot_in_hand(handler, event, data)

    async def _with_bot_in_hand(self, handler: Next, update: Update, data: dict[str, Any]) -> Any:
        token = self._shop.take_in_hand(data["bot"])
        try:
            return await handler(update, data)
        finally:
            self._shop.put_down(token)


class Installation:
    """The plugin on one dispatcher."""

    def __init__(
        self,
        pay: NeonPay,
        shop: Shop,
        seller: Seller,
        links: Links,
        retries: Retries,
        reconcile_every: float | None,
        propagate: Propagate,
        alerts: int | str | Alerts | None = None,
    ) -> None:
        self.pay = pay
        self.shop = shop
        self.feed = Feed()
        news = News(shop, self.feed)
        self.refunds = Refunds(shop, self.feed, news)
        self.subscriptions = Subscriptions(shop, news, retries)
        self.worker = Worker(shop, self.feed, self.refunds, self.subscriptions)
        self.gifts = Gifts(shop, self.worker)
        self.reconciler = Reconciler(shop, self.worker, reconcile_every)
        shop.is_read = self.reconciler.is_read
        self.doctor = Doctor(shop, self.feed)
        self._alerter: Alerter | None = None
        if alerts is not None:
            self._alerter = _alerter(shop, self.feed, alerts)
            news.on_event, self.reconciler.on_report = self._alerter.on_event, self._alerter.on_report
        self._update_hook = UpdateHook(self)
        way = Way(self._update_hook)
        self.outages = Outages(shop, self.feed, self.worker)
        self.delivery = Delivery(shop, self.feed, news, self.worker, self.outages, way, retries, propagate)
        self.purchases = Purchases(shop, self.feed, self.delivery)
        self.cashier = Cashier(shop, self.feed, way, news)
        self._checkout_gate = Gate(self.cashier.decide, CHECKOUT)
        self._links = links
        self._following: Following | None = None
        self._amount_gate = AmountGate(shop, seller)
        self._tap_gate = TapGate(shop, seller, self._amount_gate)

    @contextmanager
    def rehearsing(self, clock: Clock, timing: Timing, storage: BaseStorage) -> Iterator[None]:
        """Serve another clock and an empty ledger for a while: see :meth:`Shop.rehearsing`."""
        with self.shop.rehearsing(clock, timing, storage):
            self.feed.forget()
            try:
                yield
            finally:
                self.feed.forget()

    def is_taken(self, root: Router) -> bool:
        """Whether a dispatcher has another NeonPay already."""
        return isinstance(root, Dispatcher) and any(
            isinstance(item, UpdateHook) and item.installation is not self for item in root.update.outer_middleware[:]
        )

    def refuse_second(self, dispatcher: Dispatcher) -> None:
        """Refuse to stand beside another one.

        :raises ConfigurationError: when the dispatcher has a NeonPay already.
        """
        if self.is_taken(dispatcher):
            raise ConfigurationError(
                "this dispatcher has a NeonPay already: put all stages into one, and use PaymentRouter for "
                "payment handlers in other modules"
            )

    def install(self, dispatcher: Dispatcher) -> None:
        """Put every hook in its place; may be repeated.

        :raises ConfigurationError: when the dispatcher has a NeonPay already.
        """
        self.refuse_second(dispatcher)
        self.shop.dispatcher = dispatcher
        dispatcher.workflow_data.setdefault("neonpay", self.pay)
        place_update_hook(dispatcher, self._update_hook)
        place_first(dispatcher.pre_checkout_query, self._checkout_gate)
        place_first(dispatcher.callback_query, self._tap_gate)
        self.listen_for_amounts()
        self.wrap_isolation()
        shutdown = dispatcher.shutdown.handlers
        if not any(handler.callback == self.on_shutdown for handler in shutdown):
            # First of all: the next one closes the storage.
            shutdown.insert(0, HandlerObject(callback=self.on_shutdown))

    def join(self) -> None:
        """Let optional parts of the package see the dispatcher, now that everything of the bot is on it."""
        assert self.shop.dispatcher is not None
        for companion in companions:
            companion(self.pay, self.shop.dispatcher)

    def listen_for_amounts(self) -> None:
        """Look at messages for answers to questions for an amount, once there is a stage that may ask; that costs."""
        dispatcher = self.shop.dispatcher
        if dispatcher is not None and self.shop.catalog.may_ask_for_amounts:
            place_first(dispatcher.message, self._amount_gate)

    def wrap_isolation(self) -> None:
        """Let checkouts pass the bot's isolation, whichever it has by now."""
        assert self.shop.dispatcher is not None
        fsm = self.shop.dispatcher.fsm
        if not isinstance(fsm.events_isolation, PassingIsolation):
            fsm.events_isolation = PassingIsolation(fsm.events_isolation)

    async def on_payment_message(self, handler: Next, update: Update, message: Message, data: dict[str, Any]) -> Any:
        """Carry a message that tells of money."""
        token = self.shop.take_in_hand(data["bot"])
        try:
            if CLAIM in data:
                claim: Claim = data.pop(CLAIM)
                if claim.step != DELIVER:
                    return await self.delivery.announce(claim, handler, update, message, data)
                self.purchases.restore(data["bot"], claim, data)
                return await self.delivery.deliver(claim, handler, update, message, data)
            if ATTEMPT in data:
                return await self.delivery.carry_own(data[ATTEMPT], handler, update, data)
            if message.successful_payment is not None:
                return await self.delivery.on_paid(handler, update, message, message.successful_payment, data)
            assert message.refunded_payment is not None
            return await self.delivery.on_refunded(handler, update, message, message.refunded_payment, data)
        finally:
            self.shop.put_down(token)

    async def on_start_link(
        self, handler: Next, update: Update, came_by: tuple[str | None, str], data: dict[str, Any]
    ) -> Any:
        """Let the bot's own handlers have a ``/start`` that came by a deep link of ours, then send its invoice."""
        bot: Bot = data["bot"]
        addressed, parameter = came_by
        if addressed is not None and addressed.lower() != ((await bot.me()).username or "").lower():
            return await handler(update, data)
        token = self.shop.take_in_hand(bot)
        try:
            link = await self._links.find(bot, parameter)
            opening = partial(self._links.open, bot, link)
            shown = link if isinstance(link, StartLink) else None
            return await self._follower().carry(handler, update, opening, {**data, START_LINK: shown})
        finally:
            self.shop.put_down(token)

    async def on_gift_link(self, handler: Next, update: Update, message: Message, data: dict[str, Any]) -> Any:
        """Let the bot greet who comes through the link of a gift, then give it to them, unless it keeps them out."""
        opener = message.from_user
        if opener is None or message.chat.type != "private":
            return await handler(update, data)
        bot: Bot = data["bot"]
        token = self.shop.take_in_hand(bot)

        async def open_gift(message: Message) -> None:
            await self.gifts.open(bot, message.text or "", opener)

        try:
            return await self._follower().carry(handler, update, open_gift, data)
        finally:
            self.shop.put_down(token)

    def _follower(self) -> Following:
        assert self.shop.dispatcher is not None
        if self._following is None:
            self._following = Following(self.shop.dispatcher)
        return self._following

    async def on_purchased(self, handler: Next, update: Update, data: dict[str, Any]) -> Any:
        """Carry the news that paid media were sold."""
        token = self.shop.take_in_hand(data["bot"])
        try:
            return await self.purchases.on_purchased(handler, update, data)
        finally:
            self.shop.put_down(token)

    async def on_subscription(self, handler: Next, update: Update, data: dict[str, Any]) -> Any:
        """Write down what became of a subscription, have it told, and let the bot's own handlers have the update."""
        bot: Bot = data["bot"]
        told = update.subscription
        token = self.shop.take_in_hand(bot)
        try:
            if told is not None and await self.subscriptions.on_update(
                bot, told.user, told.invoice_payload, told.state
            ):
                self.worker.wake(bot, buyer_name(told.user.id))
            return await handler(update, data)
        finally:
            self.shop.put_down(token)

    async def on_startup(self, bot: Bot | None = None, bots: tuple[Bot, ...] = (), **data: Any) -> None:
        """Check the program before it sells; part of the dispatcher's start-up.

        :raises ConfigurationError: for a storage that cannot keep payments, or a handler of a stage that is not sold.
        """
        if bots:
            data["bots"] = bots
        self.feed.remember(data)
        for item in (*bots, bot):
            if item is not None:
                self.shop.meet(item)
        await self.check()
        if self.shop.dispatcher is not None:
            await self.reconciler.open()
            self.worker.start()
            self.reconciler.start()
            self.doctor.start()
            if self._alerter is not None:
                self._alerter.start()

    async def check(self) -> None:
        """Check the catalog, the handlers and the storage, and repeat the installation."""
        dispatcher = self.shop.dispatcher
        if dispatcher is None:
            return
        self.install(dispatcher)
        self.join()
        if self.shop.catalog.is_static:
            self._check_named_stages(dispatcher)
            self._check_promos()
            self.shop.catalog.check_prices()
        engine = self.shop.engine
        await engine.probe()
        if not engine.durable and self.shop.timing.passes:
            logger.warning(
                "payments are kept in memory: a restart forgets which were delivered, and other processes do not see "
                'them. Give the dispatcher a durable storage: Dispatcher(storage=SQLiteStorage("bot.db")) needs no '
                "server, Dispatcher(storage=RedisStorage.from_url(...)) serves many workers"
            )

    def _check_named_stages(self, dispatcher: Dispatcher) -> None:
        for router in payment_routers(dispatcher):
            for observer in observers_of(router):
                for stage_id in observer.named_stages():
                    if self.shop.catalog.known(stage_id) is None:
                        raise ConfigurationError(
                            f"a handler of {observer.event_name!r} names the stage {stage_id!r}, which is not in the "
                            f"catalog: correct the id, or add the stage to neonpay_router({{...}})"
                        )

    def _check_promos(self) -> None:
        for code, promo in self.shop.promos.items():
            unknown = [stage_id for stage_id in promo.stages or () if self.shop.catalog.known(stage_id) is None]
            if unknown:
                raise ConfigurationError(
                    f"the promo code {code!r} is for stages {unknown} that are not in the catalog: correct the ids, or "
                    "add the stages to neonpay_router({...})"
                )

    async def on_shutdown(self, **_: Any) -> None:
        """Finish what is on its way, before the storage is closed."""
        await self.doctor.stop()
        if self._alerter is not None:
            self._alerter.stop()
        await self.reconciler.stop()
        await self.worker.stop()
        self.outages.close()
        if self.shop.is_open:
            await self.shop.charges.drain(DRAIN)
            await self.shop.buyers.drain(DRAIN)
        await self.feed.drain()


def _alerter(shop: Shop, feed: Feed, alerts: int | str | Alerts) -> Alerter:
    # Imported for those who want alerts: most bots start without.
    from aiogram_neonpay.alerts import Alerter, Alerts

    return Alerter(shop, feed, alerts if isinstance(alerts, Alerts) else Alerts(alerts))
