"""A payment leads its buyer back to the dialog they came from: in the delivery, whichever worker makes it."""

from __future__ import annotations

import logging
from typing import Any

from aiogram import Bot, Dispatcher, F, Router
from aiogram.dispatcher.event.bases import CancelHandler, SkipHandler
from aiogram.dispatcher.event.handler import FilterObject, HandlerObject
from aiogram.enums import ChatType
from aiogram.types import Chat, User
from aiogram_dialog import Dialog, DialogManager
from aiogram_dialog.api.entities import DIALOG_EVENT_NAME, DialogAction, DialogUpdate, DialogUpdateEvent

from aiogram_neonpay.dialogs import access
from aiogram_neonpay.dialogs.visiting import Visit
from aiogram_neonpay.dialogs.wayback import KEY, WayBack, code_of, place_of_manager
from aiogram_neonpay.dialogs.widgets import Buy, DonateCounter, StageSelect
from aiogram_neonpay.errors import DeliveryError
from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.routers import PaymentRouter

__all__ = ["Listener", "join"]

logger = logging.getLogger("aiogram_neonpay")


class ReturnEvent(DialogUpdateEvent):
    """Leads a payment to a stack, as aiogram-dialog's own events do; ``data`` is the :class:`Visit`."""


async def is_return(event: DialogUpdateEvent, **_: Any) -> bool:
    """Tell our events from aiogram-dialog's own."""
    return isinstance(event, ReturnEvent)


async def on_return(event: ReturnEvent, dialog_manager: DialogManager | None = None) -> None:
    """Handle :class:`ReturnEvent`, inside everything that stands round handlers of dialogs."""
    if dialog_manager is None:
        return  # the stack is closed to the buyer
    try:
        await event.data.make(dialog_manager)
    except Exception as error:
        # Nothing of the dialog is saved, and the error is told once: where the payment came from.
        raise CancelHandler from error


class Listener:
    """Hears every payment that carries a way back."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def hear(
        self,
        payment: PaymentResult,
        bot: Bot,
        event_from_user: User,
        dialog_manager: DialogManager | None = None,
        aiogd_storage_proxy: object = None,
    ) -> None:
        """Return a payment to its dialog; an ``on_paid`` that has returned is a delivery, nothing else here is.

        :param aiogd_storage_proxy: aiogram-dialog's lock on the default stack, while it is held.
        :raises SkipHandler: when there was no ``on_paid``.
        :raises DeliveryError: when there was no stack to call it with.
        """
        way = WayBack.of(payment.metadata, payment.user_id)
        if way is None:
            raise SkipHandler
        user = event_from_user if event_from_user.id == payment.user_id else _unknown(payment.user_id)
        visit = Visit(payment, bot, user, way)
        self._find_seller(visit)
        if visit.renews and visit.on_paid is None:
            raise SkipHandler
        if dialog_manager is None and aiogd_storage_proxy is not None:
            # On the way to a plain handler below the root: to open the stack from here is to wait for ever.
            raise DeliveryError(
                payment.reference or "", "setup_dialogs was given a router below the dispatcher: call setup_dialogs(dp)"
            )
        here = dialog_manager is not None and place_of_manager(dialog_manager) == (way.stack, way.chat, way.thread)
        if not here:
            await self._send(visit)
        if not visit.made and dialog_manager is not None:
            # aiogram-dialog holds the lock of this stack already: to lead the payment there would wait for ever.
            await visit.make(dialog_manager)
        if visit.error is not None:
            raise visit.error
        if visit.delivered:
            return
        if visit.on_paid is not None:
            raise DeliveryError(payment.reference or "", "no stack of aiogram-dialog could be opened for on_paid")
        raise SkipHandler

    def _find_seller(self, visit: Visit) -> None:
        way = visit.way
        for dialog in dialogs_of(self._dispatcher):
            if code_of(dialog.states_group()) == way.group:
                widget = dialog.find(way.widget)
                if isinstance(widget, (Buy, StageSelect, DonateCounter)):
                    visit.seller, visit.dialog = widget, dialog
                    return
        logger.warning(
            "payment %s was sold by the widget %r of a dialog, which is not there any more: its on_paid is not called",
            *(visit.payment.reference, way.widget),
        )

    async def _send(self, visit: Visit) -> None:
        """Lead a payment to a stack that is not the one in hand, as aiogram-dialog's background managers do."""
        if not self._listen():
            return
        way, user = visit.way, visit.user
        chat = Chat(id=way.chat, type=ChatType.PRIVATE if way.chat == user.id else ChatType.SUPERGROUP)
        event = ReturnEvent(
            from_user=user,
            chat=chat,
            action=DialogAction.UPDATE,
            data=visit,
            intent_id=None,
            stack_id=way.stack,
            thread_id=way.thread,
            business_connection_id=None,
        )
        update = DialogUpdate(aiogd_update=event.as_(visit.bot)).as_(visit.bot)
        try:
            await self._dispatcher.feed_update(
                visit.bot, update, event_from_user=user, event_chat=chat, event_thread_id=way.thread
            )
        except CancelHandler:
            pass
        except Exception:
            if visit.made:
                raise
            # The stack is broken, or its dialog is not there any more: the buyer's own one will do.
            logger.exception("payment %s: its stack %r could not be opened", visit.payment.reference, way.stack)

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
