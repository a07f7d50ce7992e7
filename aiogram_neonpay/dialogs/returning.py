"""A payment leads its buyer back to the dialog they came from: in the delivery, whichever worker makes it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from aiogram import Bot, Dispatcher, F, Router
from aiogram.dispatcher.event.bases import CancelHandler, SkipHandler
from aiogram.dispatcher.event.handler import FilterObject, HandlerObject
from aiogram.enums import ChatType
from aiogram.types import Chat, User
from aiogram_dialog import Dialog, DialogManager, ShowMode
from aiogram_dialog.api.entities import DIALOG_EVENT_NAME, DialogAction, DialogUpdate, DialogUpdateEvent

from aiogram_neonpay.dialogs import access
from aiogram_neonpay.dialogs.sale import sold
from aiogram_neonpay.dialogs.wayback import KEY, WayBack, code_of, place_of_manager
from aiogram_neonpay.dialogs.widgets import Buy, DonateCounter, StageSelect
from aiogram_neonpay.errors import DeliveryError
from aiogram_neonpay.events import PaymentCompleted
from aiogram_neonpay.installation import companions
from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.routers import PaymentRouter
from aiogram_neonpay.states import in_state

__all__ = ["PAYMENT"]

logger = logging.getLogger("aiogram_neonpay")

PAYMENT = "payment"
"""Where the payment stands in ``dialog_data``, or in ``start_data`` of a dialog that it opened."""
Seller = Buy | StageSelect | DonateCounter


@dataclass(eq=False)
class Return:
    """One payment on its way back to a dialog.

    :ivar seller: the widget that sold it; ``None`` when the program has no such widget any more.
    :ivar done: whether the stack was there to return to.
    :ivar delivered: whether ``on_paid`` has returned.
    :ivar error: what it raised.
    """

    payment: PaymentResult
    bot: Bot
    user: User
    way: WayBack
    seller: Seller | None
    done: bool = False
    delivered: bool = False
    error: Exception | None = field(default=None)

    @property
    def renews(self) -> bool:
        """Whether Telegram charged it by itself, with nobody looking."""
        return self.payment.is_recurring and not self.payment.is_first_recurring

    @property
    def show_mode(self) -> ShowMode:
        """How to show the dialog: in a private chat below the service message, elsewhere where it is."""
        return ShowMode.DELETE_AND_SEND if self.way.chat == self.user.id else ShowMode.EDIT

    async def visit(self, manager: DialogManager) -> None:
        """Tell the dialog that is open in a stack, and show it."""
        self.done = True
        manager.show_mode = self.show_mode
        before = self._where(manager)
        is_home = before is not None and code_of(before[1].group) == self.way.group
        again = False
        if is_home:
            dialog_data = manager.current_context().dialog_data
            known = dialog_data.get(PAYMENT)
            again = isinstance(known, dict) and known.get("transaction_id") == self.payment.transaction_id
            if not self.renews:
                dialog_data[PAYMENT] = in_dialog(self.payment)
                sold(dialog_data)
        if self.seller is not None and self.seller.on_paid is not None:
            try:
                await self.seller.on_paid(self._event(), self.seller, manager)
            except Exception as error:
                self.error = error
                raise
            self.delivered = True
        if not self.renews and not (again and not self.delivered):
            await self._show(manager, before, is_home=is_home)

    async def _show(self, manager: DialogManager, before: Any, *, is_home: bool) -> None:
        """Show the dialog; the payment is delivered whether that works or not."""
        now = self._where(manager)
        if now is not None and (before is None or now[0] != before[0]):
            return  # it was moved to another dialog, which has been shown
        state = None if self.seller is None else self.seller.paid_state
        try:
            if state is not None and now == before:
                if is_home and now is not None and now[1].group == state.group:
                    await manager.switch_to(state)
                else:
                    await manager.start(state, data={PAYMENT: in_dialog(self.payment)})
                    return
            if manager.has_context():
                await manager.show()
        except Exception:
            logger.exception("payment %s: the dialog could not be shown to its buyer", self.payment.reference)

    @staticmethod
    def _where(manager: DialogManager) -> Any:
        """Return which dialog is open in a stack, and at which window."""
        if not manager.has_context():
            return None
        context = manager.current_context()
        return context.id, context.state

    def _event(self) -> PaymentCompleted:
        fields = {name: getattr(self.payment, name) for name in PaymentResult.__dataclass_fields__}
        fields["metadata"] = without_way(self.payment.metadata)
        return PaymentCompleted(**fields, bot=self.bot)


def without_way(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata as the seller gave them."""
    return {name: value for name, value in metadata.items() if name != KEY}


def in_dialog(payment: PaymentResult) -> dict[str, Any]:
    """Return what a dialog's data hold of a payment: nothing that JSON cannot carry."""
    title = payment.stage.title if payment.stage is not None else payment.stage_id
    return {**in_state(payment), "title": title, "metadata": without_way(payment.metadata)}


class ReturnEvent(DialogUpdateEvent):
    """Leads a payment to a stack, as aiogram-dialog's own events do; ``data`` is the :class:`Return`."""


async def is_return(event: DialogUpdateEvent, **_: Any) -> bool:
    """Tell our events from aiogram-dialog's own."""
    return isinstance(event, ReturnEvent)


async def on_return(event: ReturnEvent, dialog_manager: DialogManager | None = None) -> None:
    """Handle :class:`ReturnEvent`, inside everything that stands round handlers of dialogs."""
    if dialog_manager is None:
        return  # the stack is closed to the buyer
    try:
        await event.data.visit(dialog_manager)
    except Exception as error:
        # Nothing of the dialog is saved, and the error is told once: where the payment came from.
        raise CancelHandler from error


class Listener:
    """Hears every payment that carries a way back."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def hear(
        self, payment: PaymentResult, bot: Bot, event_from_user: User, dialog_manager: DialogManager | None = None
    ) -> None:
        """Return a payment to its dialog; an ``on_paid`` that has returned is a delivery, nothing else here is.

        :raises SkipHandler: when there was no ``on_paid``.
        :raises DeliveryError: when there was no stack to call it with.
        """
        way = WayBack.of(payment.metadata, payment.user_id)
        if way is None:
            raise SkipHandler
        user = event_from_user if event_from_user.id == payment.user_id else _unknown(payment.user_id)
        errand = Return(payment, bot, user, way, self._seller(way))
        if errand.renews and (errand.seller is None or errand.seller.on_paid is None):
            raise SkipHandler
        here = dialog_manager is not None and place_of_manager(dialog_manager) == (way.stack, way.chat, way.thread)
        if not here:
            await self._send(errand)
        if not errand.done and dialog_manager is not None:
            # aiogram-dialog holds the lock of this stack already: to lead the payment there would wait for ever.
            await errand.visit(dialog_manager)
        if errand.error is not None:
            raise errand.error
        if errand.delivered:
            return
        if errand.seller is not None and errand.seller.on_paid is not None:
            raise DeliveryError(payment.reference or "", "no stack of aiogram-dialog could be opened for on_paid")
        raise SkipHandler

    def _seller(self, way: WayBack) -> Seller | None:
        for dialog in dialogs_of(self._dispatcher):
            if code_of(dialog.states_group()) == way.group:
                widget = dialog.find(way.widget)
                if isinstance(widget, (Buy, StageSelect, DonateCounter)):
                    return widget
        logger.warning("a dialog sold with the widget %r, which is not there any more: on_paid is lost", way.widget)
        return None

    async def _send(self, errand: Return) -> None:
        """Lead a payment to a stack that is not the one in hand, as aiogram-dialog's background managers do."""
        if not self._listen():
            return
        way, user = errand.way, errand.user
        chat = Chat(id=way.chat, type=ChatType.PRIVATE if way.chat == user.id else ChatType.SUPERGROUP)
        event = ReturnEvent(
            from_user=user,
            chat=chat,
            action=DialogAction.UPDATE,
            data=errand,
            intent_id=None,
            stack_id=way.stack,
            thread_id=way.thread,
            business_connection_id=None,
        )
        update = DialogUpdate(aiogd_update=event.as_(errand.bot)).as_(errand.bot)
        try:
            await self._dispatcher.feed_update(
                errand.bot, update, event_from_user=user, event_chat=chat, event_thread_id=way.thread
            )
        except CancelHandler:
            pass
        except Exception:
            if errand.done:
                raise
            # The stack is broken, or its dialog is not there any more: the buyer's own one will do.
            logger.exception("payment %s: its stack %r could not be opened", errand.payment.reference, way.stack)

    def _listen(self) -> bool:
        """Have our events heard wherever aiogram-dialog's own are, and return whether that is anywhere."""
        heard = False
        for router in self._dispatcher.chain_tail:
            observer = router.observers.get(DIALOG_EVENT_NAME)
            if observer is None or isinstance(router, Dialog):
                continue
            heard = True
            if not any(handler.callback is on_return for handler in observer.handlers):
                own = HandlerObject(callback=on_return, filters=[FilterObject(is_return)])
                observer.handlers = [own, *observer.handlers]
        return heard


def dialogs_of(root: Router) -> list[Dialog]:
    """Return the dialogs below a router."""
    return [router for router in root.chain_tail if isinstance(router, Dialog)]


def _unknown(user_id: int) -> User:
    return User(id=user_id, is_bot=False, first_name="")


def join(pay: PaymentRouter, dispatcher: Dispatcher) -> None:
    """Hear the payments of a shop, and prepare the dialogs of its dispatcher, if it has any; may be repeated."""
    dialogs = dialogs_of(dispatcher)
    for dialog in dialogs:
        access.watch(dialog)
    hears = any(isinstance(getattr(item.callback, "__self__", None), Listener) for item in pay.on_payment.registered)
    if dialogs and not hears:
        pay.on_payment.register(Listener(dispatcher).hear, F.metadata[KEY])


companions.append(join)
