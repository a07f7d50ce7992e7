"""The states of the ready dialogs: where to start them, and which window to replace."""

from __future__ import annotations

from aiogram.fsm.state import State, StatesGroup

__all__ = ["DonateStates", "PurchasesStates", "ShopStates"]


class ShopStates(StatesGroup):
    """States of :func:`shop_dialog`; it starts at ``catalog``.

    :cvar catalog: the categories, if there are several, and the products.
    :cvar product: the page of one product.
    :cvar paid: thanks, after a payment.
    """

    catalog = State()
    product = State()
    paid = State()


class DonateStates(StatesGroup):
    """States of :func:`donate_dialog`; it starts at ``choose``.

    :cvar choose: how many Stars to give.
    :cvar paid: thanks, after a payment.
    """

    choose = State()
    paid = State()


class PurchasesStates(StatesGroup):
    """States of :func:`purchases_dialog`; it starts at ``purchases`` or at ``subscriptions``.

    :cvar purchases: the list of payments, the newest first.
    :cvar receipt: one of them.
    :cvar subscriptions: the list of subscriptions.
    :cvar subscription: one of them.
    :cvar cancel: whether to cancel it.
    """

    purchases = State()
    receipt = State()
    subscriptions = State()
    subscription = State()
    cancel = State()
