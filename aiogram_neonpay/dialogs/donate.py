"""``donate_dialog``: how many Stars to give, by buttons or written, and thanks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiogram.fsm.state import StatesGroup
from aiogram.types import Message
from aiogram_dialog import Dialog, DialogManager, ShowMode, Window
from aiogram_dialog.api.internal import TextWidget
from aiogram_dialog.widgets.input import TextInput
from aiogram_dialog.widgets.kbd import Cancel

from aiogram_neonpay.amounts import number_in
from aiogram_neonpay.checks import check_stage_id
from aiogram_neonpay.dialogs.parts import Buttons, Teller, assemble, check_states, switch, text_or
from aiogram_neonpay.dialogs.sale import say
from aiogram_neonpay.dialogs.states import DonateStates
from aiogram_neonpay.dialogs.texts import PhraseText
from aiogram_neonpay.dialogs.visiting import PAYMENT
from aiogram_neonpay.dialogs.widgets import MOST_DONATED, DonateCounter, OnPaid
from aiogram_neonpay.errors import ValidationError

__all__ = ["donate_dialog"]


def _whole(text: str) -> int:
    """Return the number of Stars that somebody wrote.

    :raises ValueError: when it is none.
    """
    amount = number_in(text)
    if amount is None:
        raise ValueError(text)
    return amount


def donate_dialog(
    amounts: Sequence[int] = (10, 50, 100),
    *,
    stage_id: str = "donate",
    custom: bool = True,
    default: int = 10,
    increment: int = 10,
    min_value: int = 1,
    max_value: int = MOST_DONATED,
    on_paid: OnPaid | None = None,
    buttons: Buttons = (),
    text: str | TextWidget | None = None,
    paid_text: str | TextWidget | None = None,
    windows: Sequence[Window] = (),
    states: type[StatesGroup] = DonateStates,
    **dialog_options: Any,
) -> Dialog:
    """Return a dialog that takes donations: ``await dialog_manager.start(DonateStates.choose)``.

    The stage needs ``price=None``; its ``min_price`` and ``max_price`` are kept.

    :param amounts: whole Stars, a button each.
    :param custom: whether people may write a number of their own.
    :param default: whole Stars at which the counter begins; ``increment``, ``min_value`` and ``max_value`` as in
        :class:`DonateCounter`.
    :param on_paid: as in :class:`Buy`.
    :param buttons: more buttons under the amounts.
    :param text: instead of the invitation, with ``{least}`` and ``{most}``.
    :param paid_text: instead of the thanks, with ``{n}`` Stars and ``{payment}``.
    :param windows: windows that take the place of those with the same state; they get the same data.
    :param states: a group with states of the same names, for a second such dialog in one bot.
    :param dialog_options: further options of aiogram-dialog's ``Dialog``.
    :raises ConfigurationError: for a group that lacks a state, or something that is no window.
    :raises ValidationError: for amounts that are no numbers of Stars.
    """
    check_stage_id(stage_id)
    check_states(states, DonateStates)
    if not isinstance(custom, bool):
        raise ValidationError("custom", "must be True or False", custom)
    group: Any = states
    counter = DonateCounter(
        "give",
        stage_id,
        amounts=amounts,
        default=default,
        increment=increment,
        min_value=min_value,
        max_value=max_value,
        on_paid=on_paid,
        paid_state=group.paid,
    )

    async def choose(teller: Teller) -> dict[str, Any]:
        least, most = counter.limits(teller.neonpay.get_payment_stage(stage_id))
        return {"least": least, "most": most}

    async def paid(teller: Teller) -> dict[str, Any]:
        start_data = teller.manager.start_data
        payment = teller.data.get(PAYMENT) or (start_data.get(PAYMENT) if isinstance(start_data, dict) else None) or {}
        return {PAYMENT: payment, "n": payment.get("amount", 0)}

    async def give(message: Message, widget: Any, manager: DialogManager, amount: int) -> None:
        teller = Teller.of(manager)
        least, most = counter.limits(teller.neonpay.get_payment_stage(stage_id))
        if not least <= amount <= most:
            await say(message, teller.say("donate_number", least=least, most=most))
        elif await counter.sell(message, manager, stage_id, amount):
            manager.show_mode = ShowMode.NO_UPDATE  # the invoice is what they are to look at

    async def explain(message: Message, widget: Any, manager: DialogManager, error: ValueError) -> None:
        teller = Teller.of(manager)
        least, most = counter.limits(teller.neonpay.get_payment_stage(stage_id))
        await say(message, teller.say("donate_number", least=least, most=most))

    written = [TextInput("written", type_factory=_whole, on_success=give, on_error=explain)] if custom else []
    choose_window = Window(
        text_or(text, "donate_choose" if custom else "donate_choose_only"),
        *written,
        counter,
        *buttons,
        Cancel(PhraseText("close_button"), id="close"),
        state=group.choose,
        parse_mode=None,
    )
    paid_window = Window(
        text_or(paid_text, "donate_thanks"),
        switch("donate_button", "again", group.choose),
        Cancel(PhraseText("close_button"), id="end"),
        state=group.paid,
        parse_mode=None,
    )
    return assemble([choose_window, paid_window], windows, {"choose": choose, "paid": paid}, dialog_options)
