"""``NeonPay``: the router that is included and the service that is called; it wires the parts and holds no rules."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiogram import Bot, Dispatcher, Router
from aiogram.fsm.storage.base import BaseStorage
from aiogram.types import CallbackQuery, InaccessibleMessage, Message

from aiogram_neonpay.access import AccessDesk
from aiogram_neonpay.adapters import AiogramAdapter
from aiogram_neonpay.checks import check_prompts
from aiogram_neonpay.delivery import Propagate
from aiogram_neonpay.doorway import Doorway
from aiogram_neonpay.errors import ConfigurationError, ValidationError
from aiogram_neonpay.installation import Installation
from aiogram_neonpay.invoices import Offer, Seller, check_user_id
from aiogram_neonpay.ledger.buyers import GRACE
from aiogram_neonpay.links import Links
from aiogram_neonpay.media import MediaSeller
from aiogram_neonpay.models import InvoiceStatus, PaymentResult, PaymentStatus
from aiogram_neonpay.places import place_of
from aiogram_neonpay.promo import PromoCode
from aiogram_neonpay.reconcile import RECONCILE_EVERY
from aiogram_neonpay.retries import RETRIES, Retries
from aiogram_neonpay.routers import AskForUpdates, count_handlers, payment_routers, watch_root
from aiogram_neonpay.shop import Clock, Legacy, Shop
from aiogram_neonpay.stages import Catalog, PaymentStage, StageSource, Tidy
from aiogram_neonpay.texts import Replaced
from aiogram_neonpay.tracking import Tracker

if TYPE_CHECKING:
    from aiogram_neonpay.alerts import Alerts
    from aiogram_neonpay.prices import PriceBook

__all__ = ["NeonPay", "NeonPayCore", "PaymentResult", "PaymentStage", "PaymentStatus"]

logger = logging.getLogger("aiogram_neonpay")


class NeonPay(Doorway):
    """Sells stages for Telegram Stars; make one with :func:`~aiogram_neonpay.neonpay_router`.

    ``dp.include_router(pay)`` is the whole installation. Handlers get it injected as ``neonpay``.

    :ivar texts: the plugin's sentences in the reader's language, the author's where they were replaced.
    """

    def __init__(
        self,
        stages: StageSource | AiogramAdapter = None,
        thank_you_message: str | bool | None = None,
        *,
        bot: Bot | None = None,
        storage: BaseStorage | None = None,
        secret: str | None = None,
        previous_secrets: Sequence[str] = (),
        clock: Clock | None = None,
        texts: Replaced | None = None,
        propagate: Propagate = "unhandled",
        retries: Sequence[float] = RETRIES,
        reconcile_every: float | None = RECONCILE_EVERY,
        legacy: Legacy | None = None,
        grace: float = GRACE,
        tidy: Tidy = "keep",
        max_stages: int | None = None,
        promos: Mapping[str, PromoCode] | None = None,
        prices: PriceBook | None = None,
        alerts: int | str | Alerts | None = None,
    ) -> None:
        super().__init__(name="neonpay")
        adapter = stages if isinstance(stages, AiogramAdapter) else None
        stages = None if isinstance(stages, AiogramAdapter) else stages
        bot = bot if adapter is None else adapter.bot
        if propagate not in ("unhandled", "always"):
            raise ValidationError("propagate", 'must be "unhandled" or "always"', propagate)
        self._shop = Shop(
            Catalog(stages, max_stages=max_stages, prices=prices),
            bot=bot,
            storage=storage,
            secret=secret,
            previous_secrets=previous_secrets,
            clock=clock,
            texts=texts,
            legacy=legacy,
            grace=grace,
            tidy=tidy,
            thank_you=thank_you_message,
            promos=promos,
        )
        self._access = AccessDesk(self._shop)
        self._seller = Seller(self._shop)
        self._media_seller = MediaSeller(self._shop, self._seller)
        self._links = Links(self._shop, self._seller)
        self._tracker = Tracker(self._shop)
        self._installation = Installation(
            self,
            self._shop,
            self._seller,
            self._links,
            Retries(retries),
            reconcile_every,
            propagate,
            alerts,
        )
        self._bot: Bot | None = None
        self.thank_you_message = thank_you_message
        self.texts = self._shop.texts
        self.startup.register(self._installation.on_startup)
        for observer in (self.message, self.pre_checkout_query, self.callback_query):
            observer.handlers.append(AskForUpdates())
        self._ask_for_subscriptions()
        if adapter is not None and adapter.dispatcher is not None:
            if self._installation.is_taken(_root(adapter.dispatcher)):
                # NEONPAY's documents make a second core beside the first; it may exist, but not sell.
                logger.warning("the dispatcher of this AiogramAdapter has a NeonPay already: use that one")
            else:
                adapter.dispatcher.include_router(self)

    # Installing

    @property
    def parent_router(self) -> Router | None:
        """The router that includes this one (``aiogram.dispatcher.router.Router``)."""
        return self._parent_router

    @parent_router.setter
    def parent_router(self, router: Router) -> None:
        root = _root(router)
        if self._parent_router is not None:
            current = _root(self._parent_router)
            if root is current:
                return  # included twice under one root: once is enough
            if isinstance(current, Dispatcher):
                watch_root(router, self._refuse_other_root)
                return
            self._parent_router.sub_routers.remove(self)
            self._parent_router = None
        if isinstance(root, Dispatcher):
            self._installation.refuse_second(root)
        Router.parent_router.__set__(self, router)  # type: ignore[attr-defined]
        watch_root(self, self._install_on)

    def _install_on(self, dispatcher: Dispatcher) -> None:
        if _root(self) is dispatcher:  # it may have moved since it was watched
            self._installation.install(dispatcher)

    def _refuse_other_root(self, dispatcher: Dispatcher) -> None:
        if dispatcher is not self._shop.dispatcher:
            raise ConfigurationError(
                "this NeonPay serves another dispatcher: make one with neonpay_router(...) for each dispatcher"
            )

    async def setup(self) -> None:
        """Do what the dispatcher's start-up does, for programs that feed updates themselves; may be repeated."""
        await self._installation.on_startup()

    def as_(self, bot: Bot) -> NeonPay:
        """Return this service acting for one bot: the same catalog, ledger and handlers."""
        self._shop.meet(bot)
        view = copy.copy(self)
        view._bot = bot
        return view

    def _acting(self, bot: Bot | None) -> Bot:
        return self._shop.bot(self._bot if bot is None else bot)

    # The catalog

    def create_payment_stage(self, stage_id: str, stage: PaymentStage, replace: bool = False) -> None:
        """Add a stage to the catalog of this process.

        Re-pricing leaves issued invoices at their amount.

        :raises ValidationError: for a bad id, something that is no stage, or an id in use without ``replace``.
        """
        self._shop.catalog.add(stage_id, stage, replace=replace)
        self._ask_for_subscriptions()
        self._installation.listen_for_amounts()

    def _ask_for_subscriptions(self) -> None:
        """Have aiogram ask for updates about subscriptions, once some may be sold; it knows them since 3.30."""
        observer = self.observers.get("subscription")
        if observer is not None and not observer.handlers and self._shop.catalog.may_hold_subscriptions:
            observer.handlers.append(AskForUpdates())

    def get_payment_stage(self, stage_id: str) -> PaymentStage | None:
        """Return a stage of this process; what a loader knows is not asked for."""
        return self._shop.catalog.known(stage_id)

    def list_payment_stages(self) -> dict[str, PaymentStage]:
        """Return a copy of the stages of this process, in the order in which they were added."""
        return self._shop.catalog.all()

    def remove_payment_stage(self, stage_id: str) -> bool:
        """Stop selling a stage: checkouts of it are declined, payments already made are still delivered."""
        return self._shop.catalog.remove(stage_id)

    # Selling

    async def send_payment(
        self,
        user_id: int | None,
        stage_id: str,
        *,
        chat_id: int | str | None = None,
        amount: int | None = None,
        metadata: dict[str, Any] | None = None,
        key: str | None = None,
        single_use: bool = False,
        track: bool = False,
        expires_in: float | None = None,
        buyer_only: bool | None = None,
        prompts: Sequence[Message | InaccessibleMessage | int] = (),
        promo: str | None = None,
        gift: bool = False,
        bot: Bot | None = None,
        **send_invoice_options: Any,
    ) -> Message:
        """Send an invoice message.

        :param user_id: the buyer; ``None``, with ``chat_id``, sells to whoever pays.
        :param chat_id: where to show it; the buyer's private chat when omitted.
        :param amount: whole Stars, for a stage without a price.
        :param metadata: comes back in the payment, over the stage's ``payload``; at most 8192 bytes of JSON.
        :param key: makes the call idempotent: the same key gives the same invoice, and its message is sent once.
        :param single_use: accept one payment only; a second one, if it slips through, is refunded.
        :param track: store the invoice, so that ``invoice_status`` and ``cancel_invoice`` know it.
        :param expires_in: seconds; without it a stored invoice expires after 30 days, a plain one never.
        :param buyer_only: whether only ``user_id`` may pay; by default so wherever others see the invoice.
        :param prompts: messages of the same chat that led to the invoice; ``tidy=`` deletes them with it.
        :param promo: a promo code, in small or capital letters; a use of it is reserved for the invoice.
        :param gift: bought for somebody else: once paid the buyer gets a link, and who opens it gets what was bought.
        :param bot: which bot sells; needed only outside handlers when several are known.
        :param send_invoice_options: further parameters of Bot API ``sendInvoice``; a keyboard gets its Pay button.
        :raises StageNotFoundError: for a stage that is not in the catalog.
        :raises InvoiceError: when Telegram refuses, the stage is not on sale, or the key was used otherwise.
        :raises PromoError: when the promo code cannot be used; its ``text`` is for the buyer.
        :raises ValidationError: naming the parameter, its limit and the value.
        """
        acting = self._acting(bot)
        check_user_id("user_id", user_id)
        chat = user_id if chat_id is None else chat_id
        if chat is None:
            raise ValidationError("user_id", "may be None only with chat_id=", None)
        if isinstance(chat, bool) or not isinstance(chat, (int, str)):
            raise ValidationError("chat_id", "must be a chat id (int) or a @username (str)", chat)
        bound = (user_id is not None and chat != user_id) if buyer_only is None else buyer_only
        offer = Offer(
            stage_id, user_id, bound, amount, metadata, key, single_use, track, expires_in, promo=promo, gift=gift
        )
        return await self._seller.send(acting, chat, offer, send_invoice_options, prompts=check_prompts(prompts))

    async def answer_payment(
        self,
        event: Message | CallbackQuery,
        stage_id: str,
        *,
        amount: int | None = None,
        metadata: dict[str, Any] | None = None,
        key: str | None = None,
        single_use: bool = False,
        track: bool = False,
        expires_in: float | None = None,
        buyer_only: bool | None = None,
        prompts: Sequence[Message | InaccessibleMessage | int] = (),
        promo: str | None = None,
        gift: bool = False,
        bot: Bot | None = None,
        **send_invoice_options: Any,
    ) -> Message:
        """Send an invoice to where a message or a tap came from, as aiogram's ``Message.answer_invoice`` does.

        Buyer, chat and topic come from the event; in a group only that buyer may pay, unless ``buyer_only=False``.
        Parameters and errors are those of :meth:`send_payment`.
        """
        place = place_of(event)
        acting = self._acting(bot or event.bot)
        bound = (place.buyer is not None and not place.private) if buyer_only is None else buyer_only
        offer = Offer(
            stage_id, place.buyer, bound, amount, metadata, key, single_use, track, expires_in, promo=promo, gift=gift
        )
        language = event.from_user.language_code if event.from_user is not None else None
        options = {**place.options(), **send_invoice_options}
        return await self._seller.send(acting, place.chat_id, offer, options, language, check_prompts(prompts))

    # Stored invoices

    async def cancel_invoice(
        self, invoice_id: str | None = None, *, key: str | None = None, bot: Bot | None = None
    ) -> bool:
        """Cancel a stored invoice: its checkouts are declined from now on.

        :return: ``False`` when it was paid or cancelled before.
        :raises InvoiceError: for an invoice that is not stored, naming the option to add.
        """
        return await self._tracker.cancel(self._acting(bot), invoice_id, key)

    async def invoice_status(
        self,
        invoice_id: str | None = None,
        *,
        key: str | None = None,
        user_id: int | None = None,
        bot: Bot | None = None,
    ) -> InvoiceStatus:
        """Return what became of a stored invoice: the word to trust, for Mini Apps and web pages.

        :param user_id: ask for this user's payment of an invoice that several may pay.
        :raises InvoiceError: for an invoice that is not stored, naming the option to add.
        """
        return await self._tracker.status(self._acting(bot), invoice_id, key, user_id)

    def get_stats(self) -> dict[str, Any]:
        """Return figures of this process: ``total_stages``, ``registered_callbacks``, ``setup_complete``."""
        root = self._shop.dispatcher
        routers = payment_routers(self if root is None else root)
        return {
            "total_stages": len(self._shop.catalog),
            "registered_callbacks": sum(count_handlers(router) for router in routers),
            "setup_complete": root is not None,
        }


NeonPayCore = NeonPay
"""The name that NEONPAY's documents use."""


def _root(router: Router) -> Router:
    *_, root = router.chain_head
    return root
