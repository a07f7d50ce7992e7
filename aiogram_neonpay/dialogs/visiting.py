"""What a payment does in the stack that it was led back to: ``on_paid``, then the dialog is shown."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from typing import Any

from aiogram import Bot
from aiogram.fsm.state import State
from aiogram.types import User
from aiogram_dialog import Dialog, DialogManager, ShowMode
from aiogram_dialog.api.entities import Context
from aiogram_dialog.api.internal import CONTEXT_KEY

from aiogram_neonpay.dialogs.sale import sold
from aiogram_neonpay.dialogs.wayback import KEY, WayBack, code_of
from aiogram_neonpay.dialogs.widgets import Buy, DonateCounter, OnPaid, StageSelect
from aiogram_neonpay.events import PaymentCompleted
from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.states import in_state

__all__ = ["PAYMENT", "Seller", "Visit"]

logger = logging.getLogger("aiogram_neonpay")

PAYMENT = "payment"
"""Where the payment stands in ``dialog_data``."""
Seller = Buy | StageSelect | DonateCounter


@dataclass(eq=False)
class Visit:
    """One payment on its way back to a dialog.

    :ivar seller: the widget that sold it; ``None`` when the program has no such widget any more.
    :ivar dialog: the dialog of that widget.
    :ivar made: whether the stack was there to be visited.
    :ivar delivered: whether ``on_paid`` has returned.
    :ivar error: what it raised.
    """

    payment: PaymentResult
    bot: Bot
    user: User
    way: WayBack
    seller: Seller | None = None
    dialog: Dialog | None = None
    made: bool = False
    delivered: bool = False
    error: Exception | None = None

    @property
    def on_paid(self) -> OnPaid | None:
        """What is to be called."""
        return None if self.seller is None else self.seller.on_paid

    @property
    def renews(self) -> bool:
        """Whether Telegram charged it by itself, with nobody looking."""
        return self.payment.is_recurring and not self.payment.is_first_recurring

    async def make(self, manager: DialogManager) -> None:
        """Tell the dialog that is open in a stack, and show it; the delivery does not hang on what is shown."""
        self.made = True
        manager.show_mode = self._show_mode
        open_now = _context(manager)
        is_home = open_now is not None and code_of(open_now.state.group) == self.way.group
        again = is_home and self._is_known(manager)
        if is_home and not self.renews:
            manager.dialog_data[PAYMENT] = self._in_dialog()
            sold(manager.dialog_data)
        context, moved_to = open_now, None
        if self.on_paid is not None:
            context = open_now if is_home else self._open_for_a_while(manager)
            before = None if context is None else context.state
            try:
                await self._call(self.on_paid, manager)
            finally:
                is_there = _context(manager) is context
                if is_there and not is_home and context is not None:
                    manager.current_stack().intents.pop()
                    manager.middleware_data[CONTEXT_KEY] = open_now
            if not is_there:
                return  # on_paid went to another dialog, which has been shown
            if context is not None and before is not None and context.state != before:
                moved_to = context.state
                if self.renews:
                    context.state = before  # the buyer looks at the window of before
        if self.renews or (again and not self.delivered):
            return
        try:
            await self._show(manager, context, moved_to, is_home=is_home)
        except Exception:
            logger.exception("payment %s: the dialog could not be shown to its buyer", self.payment.reference)

    async def _call(self, on_paid: OnPaid, manager: DialogManager) -> None:
        fields = {name: getattr(self.payment, name) for name in PaymentResult.__dataclass_fields__}
        fields["metadata"] = self._metadata
        try:
            result: Any = on_paid(PaymentCompleted(**fields, bot=self.bot), self.seller, manager)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            self.error = error
            raise
        self.delivered = True

    def _open_for_a_while(self, manager: DialogManager) -> Context | None:
        """Open the dialog above what is open, unseen, so that ``on_paid`` finds its data wherever the buyer is."""
        if self.dialog is None:
            return None
        context = manager.current_stack().push(self.dialog.states()[0], None)
        context.dialog_data[PAYMENT] = self._in_dialog()
        manager.middleware_data[CONTEXT_KEY] = context
        return context

    async def _show(
        self, manager: DialogManager, context: Context | None, moved_to: State | None, *, is_home: bool
    ) -> None:
        state = moved_to or (None if self.seller is None else self.seller.paid_state)
        if state is not None:
            if is_home and context is not None and state.group == context.state.group:
                await manager.switch_to(state)
            else:
                told = {PAYMENT: self._in_dialog()}
                await manager.start(state, told, show_mode=ShowMode.NO_UPDATE)
                manager.show_mode = self._show_mode
                # What on_paid wrote for a dialog that was not open goes to the one that is.
                manager.dialog_data.update(told if is_home or context is None else context.dialog_data)
        if manager.has_context():
            await manager.show()

    @property
    def _show_mode(self) -> ShowMode:
        """In a private chat below the service message, elsewhere where the dialog is."""
        return ShowMode.DELETE_AND_SEND if self.way.chat == self.user.id else ShowMode.EDIT

    def _is_known(self, manager: DialogManager) -> bool:
        """Whether the dialog was told of this payment by an earlier attempt."""
        known = manager.dialog_data.get(PAYMENT)
        return isinstance(known, dict) and known.get("transaction_id") == self.payment.transaction_id

    @property
    def _metadata(self) -> dict[str, Any]:
        """The metadata as the seller gave them."""
        return {name: value for name, value in self.payment.metadata.items() if name != KEY}

    def _in_dialog(self) -> dict[str, Any]:
        """Return what a dialog's data hold of the payment: nothing that JSON cannot carry."""
        title = self.payment.stage.title if self.payment.stage is not None else self.payment.stage_id
        return {**in_state(self.payment), "title": title, "metadata": self._metadata}


def _context(manager: DialogManager) -> Context | None:
    """Return what is open in a stack."""
    return manager.current_context() if manager.has_context() else None
