"""Keyboard widgets that sell: a tap is answered with an invoice, and the payment leads back to the dialog."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiogram.fsm.state import State
from aiogram.types import CallbackQuery, InlineKeyboardButton, Message
from aiogram_dialog import DialogManager
from aiogram_dialog.api.internal import ButtonVariant, RawKeyboard, TextWidget
from aiogram_dialog.api.protocols import DialogProtocol
from aiogram_dialog.widgets.common import WhenCondition
from aiogram_dialog.widgets.common.items import ItemsGetterVariant
from aiogram_dialog.widgets.kbd import Button, Counter, Select
from aiogram_dialog.widgets.text import Format

from aiogram_neonpay.checks import check_amount, check_metadata, check_text
from aiogram_neonpay.dialogs.sale import neonpay_of, sell, whole
from aiogram_neonpay.dialogs.texts import PhraseText, PriceText, StageId, as_text, checked_stage_id, stage_in
from aiogram_neonpay.errors import ConfigurationError, ValidationError
from aiogram_neonpay.events import PaymentCompleted
from aiogram_neonpay.stages import PaymentStage, stage_code

__all__ = ["Buy", "DonateCounter", "OnPaid", "ShownStage", "StageSelect"]

OnPaid = Callable[[PaymentCompleted, Any, DialogManager], Awaitable[Any]]
"""What is called when something was paid: with the payment, the widget that sold it and the manager of its stack."""

LONGEST_ID = 40
"""Bytes of a stage id that fit into Telegram's 64 beside what aiogram-dialog puts before them."""
ROW = 3
"""Buttons with amounts side by side."""
MOST_DONATED = 10_000
"""Stars up to which a counter goes unless told otherwise; Telegram's own bound is not documented."""


class ShownStage(NamedTuple):
    """A stage in a list."""

    id: str
    stage: PaymentStage


def stages_on_sale(data: Mapping[str, Any], category: str | None = None) -> list[ShownStage]:
    """Return what is for sale, in the catalog's order.

    :param data: a window's data, or those of a line in it.
    """
    data = whole(data)
    if "middleware_data" not in data:  # in a preview, where there is no bot
        return [ShownStage("stage", PaymentStage("Stage", "What is sold", 25, category=category))]
    known = neonpay_of(data["middleware_data"]).list_payment_stages().items()
    return [
        ShownStage(stage_id, stage)
        for stage_id, stage in known
        if stage.on_sale and (category is None or stage.category == category)
    ]


def stage_button(stage_id: str) -> str:
    """Return what a button carries of a stage id: all of it, or its code where that is too long."""
    return stage_id if len(stage_id) <= LONGEST_ID else f"~{stage_code(stage_id)}"


def stage_of_button(carried: str, manager: DialogManager) -> str:
    """Return the stage id that a button carries."""
    if not carried.startswith("~"):
        return carried
    known = neonpay_of(manager.middleware_data).list_payment_stages()
    return next((stage_id for stage_id in known if stage_code(stage_id) == carried[1:]), carried)


class _Sells:
    """What widgets that sell have in common; the parameters are those of :class:`Buy`."""

    widget_id: str | None

    def _sells(
        self,
        stage_id: StageId | None,
        on_paid: OnPaid | None,
        paid_state: State | None,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        if not self.widget_id:
            raise ValidationError("id", "must be given: by it the payment finds the widget", self.widget_id)
        if on_paid is not None and (isinstance(on_paid, State) or not callable(on_paid)):
            raise ConfigurationError(
                f"on_paid must be an async function (event, widget, manager), not {on_paid!r:.60}; the window to show "
                "is paid_state="
            )
        if paid_state is not None and not isinstance(paid_state, State):
            raise ConfigurationError(f"paid_state must be a State of a dialog, not {paid_state!r:.60}")
        self.stage_id = None if stage_id is None else checked_stage_id(stage_id)
        self.on_paid = on_paid
        self.paid_state = paid_state
        self.metadata = check_metadata("metadata", metadata)

    async def sell(
        self, event: CallbackQuery | Message, manager: DialogManager, stage_id: str, amount: int | None = None
    ) -> bool:
        """Send an invoice whose payment comes back to this widget.

        :return: whether there is an invoice; if not, the buyer was told.
        """
        assert self.widget_id is not None
        return await sell(event, manager, self.widget_id, stage_id, amount, self.metadata)


class Buy(_Sells, Button):
    """A button that sells a stage.

    ::

        Buy(Const("Buy"), "premium", id="buy", on_paid=deliver)

    A tap sends the invoice into the chat of the dialog (for a subscription a message with its link); only whoever
    tapped may pay, where others see it. The payment brings the buyer back: the dialog is shown below Telegram's service
    message, with the payment in ``dialog_data["payment"]``. That is so for every stack, in whichever process and
    however late the payment is delivered; a dialog that was closed meanwhile stays closed.

    :param text: on the button; a string is a format, as it is in a window.
    :param stage_id: what is sold, or a text widget that renders its id: ``Format("{dialog_data[stage_id]}")``.
    :param id: the widget's id, unique in its dialog.
    :param on_paid: ``async (event, widget, manager)``, called at least once for each payment before its delivery
        settles; what it raises fails the attempt. It is a delivery: a payment that it took needs no other handler. It
        may move the dialog (``await manager.switch_to(...)``), which is shown afterwards; one that was closed meanwhile
        is there for it all the same. Renewals of a subscription are heard as well (``event.is_recurring``), but leave
        the dialog where it is.
    :param paid_state: the window to show when it was paid. If its dialog is not open any more, it is opened.
    :param metadata: comes back in the payment, over the stage's ``payload``.
    :param options: further options of aiogram-dialog's ``Button``, such as ``style``.
    """

    def __init__(
        self,
        text: str | TextWidget,
        stage_id: StageId,
        id: str = "buy",
        on_paid: OnPaid | None = None,
        when: WhenCondition = None,
        *,
        paid_state: State | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        Button.__init__(self, text=as_text(text), id=id, when=when, **options)
        self._sells(stage_id, on_paid, paid_state, metadata)

    async def _render_keyboard(self, data: dict[str, Any], manager: DialogManager) -> RawKeyboard:
        keyboard = await super()._render_keyboard(data, manager)
        if isinstance(self.stage_id, TextWidget):
            # What a buyer sees is what they buy, so the button carries it.
            stage_id = await self.stage_id.render_text(data, manager)
            button = keyboard[0][0]
            assert isinstance(button, InlineKeyboardButton)
            button.callback_data = self._item_callback_data(stage_button(stage_id))
        return keyboard

    async def _process_own_callback(
        self, callback: CallbackQuery, dialog: DialogProtocol, manager: DialogManager
    ) -> bool:
        if isinstance(self.stage_id, str):
            await self.sell(callback, manager, self.stage_id)
        return True

    async def _process_item_callback(
        self, callback: CallbackQuery, data: str, dialog: DialogProtocol, manager: DialogManager
    ) -> bool:
        if isinstance(self.stage_id, TextWidget):
            await self.sell(callback, manager, stage_of_button(data, manager))
        return True


class StageSelect(_Sells, Select[str]):
    """A button for each stage on sale; a tap sells it, or tells the author which was chosen.

    As aiogram-dialog's ``Select`` it is one row: put it into a ``Column``, or for pages into a ``ScrollingGroup``.

    :param text: on each button, rendered with ``item.id`` and ``item.stage``; title and price when omitted.
    :param id: the widget's id, unique in its dialog.
    :param category: only stages of this category.
    :param stages: the stages instead of the catalog's: a key of the window's data, or whatever else ``Select`` takes as
        items; each a :class:`ShownStage` or another pair of id and :class:`~aiogram_neonpay.PaymentStage`.
    :param on_click: ``async (callback, widget, manager, stage_id)``, called instead of selling.

    ``on_paid``, ``paid_state``, ``metadata``, ``when`` and ``options`` are as in :class:`Buy`.
    """

    def __init__(
        self,
        text: str | TextWidget | None = None,
        id: str = "stages",
        *,
        category: str | None = None,
        stages: ItemsGetterVariant | None = None,
        on_click: Callable[[CallbackQuery, Any, DialogManager, str], Awaitable[Any]] | None = None,
        on_paid: OnPaid | None = None,
        when: WhenCondition = None,
        paid_state: State | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if stages is not None and category is not None:
            raise ConfigurationError("stages= chooses the stages itself: leave out category=")
        if category is not None:
            check_text("category", category, 64)
        if on_click is not None and not callable(on_click):
            raise ConfigurationError(
                f"on_click must be an async function (callback, widget, manager, stage_id), not {on_click!r:.60}"
            )
        items = stages if stages is not None else lambda data: stages_on_sale(data, category)
        Select.__init__(
            self,
            text=as_text(text) if text is not None else Format("{item[1].title} — ") + PriceText(),
            id=id,
            item_id_getter=lambda item: stage_button(item[0]),
            items=items,
            when=when,
            **options,
        )
        self._sells(None, on_paid, paid_state, metadata)
        self.on_stage = on_click

    async def _process_item_callback(
        self, callback: CallbackQuery, data: str, dialog: DialogProtocol, manager: DialogManager
    ) -> bool:
        stage_id = stage_of_button(data, manager)
        if self.on_stage is not None:
            await self.on_stage(callback, self.managed(manager), manager, stage_id)
        else:
            await self.sell(callback, manager, stage_id)
        return True


class DonateCounter(_Sells, Counter):
    """Buttons that choose how many Stars to give, for a stage with ``price=None``: −, the amount, +.

    A tap on the amount sends the invoice. The stage's own ``min_price`` and ``max_price`` are kept.

    :param id: the widget's id, unique in its dialog.
    :param stage_id: the stage, or a text widget that renders its id.
    :param amounts: buttons with amounts of their own, above.
    :param default: whole Stars to begin with.
    :param increment: whole Stars for each tap on + or −.
    :param min_value: smallest amount.
    :param max_value: largest amount.
    :param text: on the button in the middle, a format of ``value``; ``Give 10 ⭐`` in their language when omitted.

    ``on_paid``, ``paid_state``, ``metadata`` and ``when`` are as in :class:`Buy`; ``options`` are those of
    aiogram-dialog's ``Counter``.
    """

    def __init__(
        self,
        id: str = "donate",
        stage_id: StageId = "donate",
        *,
        amounts: Sequence[int] = (),
        default: int = 10,
        increment: int = 10,
        min_value: int = 1,
        max_value: int = MOST_DONATED,
        text: str | TextWidget | None = None,
        on_paid: OnPaid | None = None,
        when: WhenCondition = None,
        paid_state: State | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        check_amount("min_value", min_value)
        check_amount("max_value", max_value, at_least=min_value)
        check_amount("default", default, at_least=min_value, at_most=max_value)
        check_amount("increment", increment)
        if isinstance(amounts, (str, bytes)) or not isinstance(amounts, Sequence):
            raise ValidationError("amounts", "must be a list of whole numbers of Stars", amounts)
        for amount in amounts:
            check_amount("amounts", amount)
        Counter.__init__(
            self,
            id=id,
            text=as_text(text) if text is not None else PhraseText("give_button"),
            min_value=min_value,
            max_value=max_value,
            default=default,
            increment=increment,
            when=when,
            **options,
        )
        self._sells(stage_id, on_paid, paid_state, metadata)
        self.amounts = tuple(amounts)

    async def _render_keyboard(self, data: dict[str, Any], manager: DialogManager) -> RawKeyboard:
        stage_id = self.stage_id if isinstance(self.stage_id, str) else await self._rendered_id(data, manager)
        known = None
        if not manager.is_preview():
            known = neonpay_of(manager.middleware_data).get_payment_stage(stage_id)
        low, high = self.limits(known or stage_in(data))
        value = int(min(max(self.get_value(manager), low), high))
        self.set_widget_data(manager, value)
        rows = await super()._render_keyboard(data, manager)
        for button in rows[0]:
            if isinstance(button, InlineKeyboardButton) and button.callback_data == self._item_callback_data(""):
                # What a buyer sees is what they give, so the button carries it.
                button.callback_data = self._item_callback_data(f"{value}:{stage_button(stage_id)}")
        presets: list[ButtonVariant] = [
            InlineKeyboardButton(
                text=f"{amount} ⭐", callback_data=self._item_callback_data(f"{amount}:{stage_button(stage_id)}")
            )
            for amount in self.amounts
            if low <= amount <= high
        ]
        return [presets[at : at + ROW] for at in range(0, len(presets), ROW)] + rows

    def limits(self, stage: PaymentStage | None) -> tuple[int, int]:
        """Return the smallest and the largest amount of Stars: the widget's and the stage's."""
        low, high = int(self.min), int(self.max)
        if stage is None:
            return low, high
        return max(low, stage.min_price), high if stage.max_price is None else min(high, stage.max_price)

    async def _rendered_id(self, data: dict[str, Any], manager: DialogManager) -> str:
        assert isinstance(self.stage_id, TextWidget)
        return await self.stage_id.render_text(data, manager)

    async def _process_item_callback(
        self, callback: CallbackQuery, data: str, dialog: DialogProtocol, manager: DialogManager
    ) -> bool:
        amount, sells, carried = data.partition(":")
        if not sells:
            return await super()._process_item_callback(callback, data, dialog, manager)
        if amount.isdecimal():
            await self.sell(callback, manager, stage_of_button(carried, manager), int(amount))
        return True
