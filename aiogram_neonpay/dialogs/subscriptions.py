"""The windows of somebody's subscriptions: how each stands, cancel, restore."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from aiogram.types import CallbackQuery
from aiogram_dialog import DialogManager, Window
from aiogram_dialog.widgets.kbd import Button, Cancel, Column, Select
from aiogram_dialog.widgets.text import Format

from aiogram_neonpay.dialogs.parts import Teller, date_of, switch
from aiogram_neonpay.dialogs.sale import say
from aiogram_neonpay.dialogs.texts import PhraseText
from aiogram_neonpay.errors import SubscriptionError
from aiogram_neonpay.models import Subscription, SubscriptionState

__all__ = ["Subscriptions", "subscription_windows"]

SUBSCRIPTION = "subscription_id"
"""Where the dialog's data hold which one is looked at."""
_TOLD = {
    SubscriptionState.ACTIVE: "subscription_active",
    SubscriptionState.FAILED: "subscription_failed",
    SubscriptionState.CANCELED: "subscription_canceled",
    SubscriptionState.EXPIRED: "subscription_expired",
}


def _title(subscription: Subscription) -> str:
    return subscription.stage.title if subscription.stage is not None else subscription.stage_id


async def _chosen(teller: Teller) -> Subscription | None:
    wanted = teller.data.get(SUBSCRIPTION)
    mine = await teller.neonpay.list_subscriptions(teller.user_id, bot=teller.bot)
    return next((known for known in mine if known.id == wanted), None)


class Subscriptions:
    """Gives the windows their data."""

    async def all(self, teller: Teller) -> dict[str, Any]:
        """Return somebody's subscriptions, the newest first."""
        mine = await teller.neonpay.list_subscriptions(teller.user_id, bot=teller.bot)
        return {
            "subscriptions": [{"id": known.id, "text": _title(known)} for known in mine],
            "heading": teller.say("subscriptions_title" if mine else "subscriptions_empty"),
        }

    async def one(self, teller: Teller) -> dict[str, Any]:
        """Return what is to be told of one subscription."""
        known = await _chosen(teller)
        if known is None:
            nothing = {"subscription": None, "can_cancel": False, "can_restore": False, "can_resume": False}
            return {**nothing, "title": teller.say("unavailable"), "status": "", "until": ""}
        until = date_of(teller, known.expires_at)
        is_canceled = known.state is SubscriptionState.CANCELED
        return {
            "subscription": known,
            "title": _title(known),
            "status": teller.say(_TOLD[known.state], until=until, amount=known.amount),
            "until": until,
            "can_cancel": known.is_renewing,
            "can_restore": is_canceled and known.canceled_by == "bot",
            "can_resume": is_canceled and known.canceled_by != "bot",
        }


async def _cancel(callback: CallbackQuery, widget: Any, manager: DialogManager) -> None:
    await _ask(callback, manager, cancel=True)
    states: Any = manager.current_context().state.group
    await manager.switch_to(states.subscription)


async def _restore(callback: CallbackQuery, widget: Any, manager: DialogManager) -> None:
    await _ask(callback, manager, cancel=False)


async def _ask(callback: CallbackQuery, manager: DialogManager, *, cancel: bool) -> None:
    """Have Telegram cancel or restore what is looked at; it is the buyer's own, whatever a button says."""
    teller = Teller.of(manager)
    known = await _chosen(teller)
    ask = teller.neonpay.cancel_subscription if cancel else teller.neonpay.restore_subscription
    try:
        if known is None:
            await say(callback, teller.say("unavailable"))
            return
        await ask(transaction_id=known.transaction_id or known.id, bot=teller.bot)
    except SubscriptionError as error:
        await say(callback, teller.say("unavailable" if error.is_final else "subscription_later"))
        return
    if not cancel:
        await say(callback, teller.say("subscription_resume"))


def subscription_windows(group: Any) -> list[Window]:
    """Return the windows.

    :param group: the states: ``subscriptions``, ``subscription``, ``cancel`` and ``purchases``.
    """

    async def open_one(callback: CallbackQuery, widget: Any, manager: DialogManager, subscription_id: str) -> None:
        manager.dialog_data[SUBSCRIPTION] = subscription_id
        await manager.switch_to(group.subscription)

    return [
        Window(
            Format("{heading}"),
            Column(
                Select(
                    Format("{item[text]}"),
                    id="subscription",
                    item_id_getter=itemgetter("id"),
                    items="subscriptions",
                    on_click=open_one,
                )
            ),
            switch("purchases_button", "purchases", group.purchases),
            Cancel(PhraseText("close_button"), id="close_subscriptions"),
            state=group.subscriptions,
            parse_mode=None,
        ),
        Window(
            Format("{title}"),
            Format("\n{status}", when="status"),
            PhraseText("subscription_resume", when="can_resume"),
            switch("subscription_cancel_button", "cancel", group.cancel, when="can_cancel"),
            Button(PhraseText("subscription_restore_button"), id="restore", on_click=_restore, when="can_restore"),
            switch("back_button", "to_subscriptions", group.subscriptions),
            state=group.subscription,
            parse_mode=None,
        ),
        Window(
            PhraseText("subscription_sure"),
            Button(PhraseText("subscription_yes_button"), id="yes", on_click=_cancel),
            switch("subscription_no_button", "no", group.subscription),
            state=group.cancel,
            parse_mode=None,
        ),
    ]
