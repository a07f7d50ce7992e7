"""``purchases_dialog``: what somebody has bought, with receipts, and their subscriptions."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from aiogram.fsm.state import StatesGroup
from aiogram.types import CallbackQuery
from aiogram_dialog import Dialog, DialogManager, Window
from aiogram_dialog.api.internal import TextWidget
from aiogram_dialog.widgets.kbd import Button, Cancel, Column, Row, Select
from aiogram_dialog.widgets.text import Format

from aiogram_neonpay.dialogs.parts import (
    Buttons,
    Teller,
    assemble,
    check_page,
    check_states,
    date_of,
    switch,
)
from aiogram_neonpay.dialogs.states import PurchasesStates
from aiogram_neonpay.dialogs.subscriptions import Subscriptions, subscription_windows
from aiogram_neonpay.dialogs.texts import PhraseText, as_text
from aiogram_neonpay.models import PaymentResult, PaymentStatus

__all__ = ["purchases_dialog"]

PAGE, REFERENCE = "page", "reference"
"""Where the dialog's data hold the page and the receipt that are looked at."""


def _title(payment: PaymentResult) -> str:
    return payment.stage.title if payment.stage is not None else payment.stage_id or ""


def _status(payment: PaymentResult) -> str:
    """Return the key of the phrase that tells how a payment stands."""
    if payment.status is PaymentStatus.REFUNDED:
        return "receipt_refunded"
    if payment.status is PaymentStatus.FAILED:
        return "receipt_waiting"
    return "receipt_paid" if payment.delivered else "receipt_underway"


class _Purchases:
    """Gives the windows of somebody's purchases their data."""

    def __init__(self, per_page: int) -> None:
        self._per_page = per_page

    async def purchases(self, teller: Teller) -> dict[str, Any]:
        """Return a page of payments."""
        page = int(teller.data.get(PAGE, 0))
        payments = await teller.neonpay.history(
            teller.user_id, limit=self._per_page + 1, offset=page * self._per_page, bot=teller.bot
        )
        shown = payments[: self._per_page]
        lines = [{"id": payment.reference, "text": self._line(teller, payment)} for payment in shown if payment.is_ours]
        return {
            "payments": lines,
            "heading": teller.say("purchases_title" if lines or page else "purchases_empty"),
            "has_newer": page > 0,
            "has_older": len(payments) > self._per_page,
            "has_subscriptions": bool(await teller.neonpay.list_subscriptions(teller.user_id, bot=teller.bot)),
        }

    def _line(self, teller: Teller, payment: PaymentResult) -> str:
        return f"{_title(payment)} — {payment.amount} ⭐, {date_of(teller, payment.timestamp)}"

    async def receipt(self, teller: Teller) -> dict[str, Any]:
        """Return what is to be told of one payment."""
        reference = teller.data.get(REFERENCE)
        payment = None
        if reference:
            payment = await teller.neonpay.get_payment(reference, user_id=teller.user_id, bot=teller.bot)
        if payment is None or payment.user_id != teller.user_id:  # a button can be forged
            sorry = teller.say("unavailable")
            return {"payment": None, "title": sorry, "stars": "", "date": "", "status": "", "reference": ""}
        return {
            "payment": payment,
            "title": _title(payment),
            "stars": teller.stars(payment.amount),
            "date": date_of(teller, payment.timestamp),
            "status": teller.say(_status(payment)),
            "reference": payment.reference,
        }


async def _newer(callback: CallbackQuery, widget: Any, manager: DialogManager) -> None:
    manager.dialog_data[PAGE] = max(0, int(manager.dialog_data.get(PAGE, 0)) - 1)


async def _older(callback: CallbackQuery, widget: Any, manager: DialogManager) -> None:
    manager.dialog_data[PAGE] = int(manager.dialog_data.get(PAGE, 0)) + 1


def purchases_dialog(
    *,
    per_page: int = 5,
    buttons: Buttons = (),
    receipt_buttons: Buttons = (),
    text: str | TextWidget | None = None,
    receipt_text: str | TextWidget | None = None,
    windows: Sequence[Window] = (),
    states: type[StatesGroup] = PurchasesStates,
    **dialog_options: Any,
) -> Dialog:
    """Return a dialog with what somebody bought: ``await dialog_manager.start(PurchasesStates.purchases)``.

    Payments in pages, the newest first, a receipt for each, and the buyer's subscriptions, to cancel and restore; those
    alone: ``PurchasesStates.subscriptions``. Everybody sees their own.

    :param per_page: 1-50 payments on a page.
    :param buttons: more buttons under the list.
    :param receipt_buttons: more buttons under a receipt, such as one that leads to support; its number is in
        ``dialog_data["reference"]``.
    :param text: instead of the heading, with ``{heading}``.
    :param receipt_text: instead of the receipt, with ``{title}``, ``{stars}``, ``{date}``, ``{status}``,
        ``{reference}`` and ``{payment}``.
    :param windows: windows that take the place of those with the same state; they get the same data.
    :param states: a group with states of the same names.
    :param dialog_options: further options of aiogram-dialog's ``Dialog``.
    :raises ConfigurationError: for a group that lacks a state, or something that is no window.
    :raises ValidationError: naming the parameter, its limit and the value.
    """
    check_states(states, PurchasesStates)
    group: Any = states
    purchases = _Purchases(check_page(per_page))

    async def open_receipt(callback: CallbackQuery, widget: Any, manager: DialogManager, reference: str) -> None:
        manager.dialog_data[REFERENCE] = reference
        await manager.switch_to(group.receipt)

    list_window = Window(
        as_text("{heading}" if text is None else text),
        Column(
            Select(
                Format("{item[text]}"),
                id="payment",
                item_id_getter=itemgetter("id"),
                items="payments",
                on_click=open_receipt,
            )
        ),
        Row(
            Button(PhraseText("newer_button"), id="newer", on_click=_newer, when="has_newer"),
            Button(PhraseText("older_button"), id="older", on_click=_older, when="has_older"),
        ),
        switch("subscriptions_button", "subscriptions", group.subscriptions, when="has_subscriptions"),
        *buttons,
        Cancel(PhraseText("close_button"), id="close"),
        state=group.purchases,
        parse_mode=None,
    )
    receipt_window = Window(
        Format("{title}") if receipt_text is None else as_text(receipt_text),
        *([Format("\n{stars}\n{date}\n{status}", when="payment")] if receipt_text is None else []),
        PhraseText("receipt_number", when="payment"),
        *receipt_buttons,
        switch("back_button", "back", group.purchases),
        state=group.receipt,
        parse_mode=None,
    )
    subscriptions = Subscriptions()
    return assemble(
        [list_window, receipt_window, *subscription_windows(group)],
        windows,
        {
            "purchases": purchases.purchases,
            "receipt": purchases.receipt,
            "subscriptions": subscriptions.all,
            "subscription": subscriptions.one,
            "cancel": subscriptions.one,
        },
        dialog_options,
    )
