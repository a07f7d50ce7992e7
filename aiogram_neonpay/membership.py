"""The methods of ``NeonPay`` about what buyers have: access and subscriptions."""

from __future__ import annotations

from datetime import timedelta

from aiogram import Bot

from aiogram_neonpay.access import Access, AccessChange, AccessDesk
from aiogram_neonpay.backoffice import BackOffice
from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.invoices import check_user_id
from aiogram_neonpay.ledger.base import buyer_name
from aiogram_neonpay.models import Subscription

__all__ = ["Membership"]


class Membership(BackOffice):
    """Tells and changes what the buyers of one shop have."""

    _access: AccessDesk

    async def access(self, user_id: int, name: str, *, bot: Bot | None = None) -> Access | None:
        """Return somebody's access, or ``None`` when they have none; one read of the storage.

        :param name: as in ``PaymentStage(access=...)``.
        """
        check_user_id("user_id", user_id, required=True)
        return await self._access.find(self._acting(bot), user_id, name)

    async def list_access(self, user_id: int, *, bot: Bot | None = None) -> list[Access]:
        """Return all that somebody has access to, by name: for a screen of purchases."""
        check_user_id("user_id", user_id, required=True)
        return await self._access.all(self._acting(bot), user_id)

    async def list_access_changes(self, user_id: int, *, bot: Bot | None = None) -> list[AccessChange]:
        """Return what people granted somebody and revoked, with the reasons: the newest 50, newest first."""
        check_user_id("user_id", user_id, required=True)
        return await self._access.changes(self._acting(bot), user_id)

    async def grant_access(
        self,
        user_id: int,
        name: str,
        *,
        access_for: timedelta | float | None = None,
        uses: int | None = None,
        reason: str | None = None,
        key: str | None = None,
        bot: Bot | None = None,
    ) -> Access:
        """Give access by hand, such as a present or what was sold before the plugin came; added to what is there.

        :param access_for: a ``timedelta`` or seconds; for ever when omitted.
        :param uses: makes it counted, 1-1,000,000.
        :param reason: kept with it, at most 500 characters.
        :param key: makes the call idempotent, 1-256 characters.
        :raises ValidationError: naming the parameter, its limit and the value.
        :raises NoAccessError: when the key gave an access before that has ended or was revoked since.
        """
        check_user_id("user_id", user_id, required=True)
        return await self._access.grant(self._acting(bot), user_id, name, access_for, uses, reason, key)

    async def revoke_access(
        self, user_id: int, name: str, *, reason: str | None = None, bot: Bot | None = None
    ) -> bool:
        """Take all of one access from somebody; a later payment, also a renewal, gives it again.

        No Star moves, and a subscription goes on: cancel it as well.

        :return: whether there was something to take.
        """
        check_user_id("user_id", user_id, required=True)
        return await self._access.revoke(self._acting(bot), user_id, name, reason)

    async def list_subscriptions(self, user_id: int, *, bot: Bot | None = None) -> list[Subscription]:
        """Return somebody's subscriptions, the newest first; those that have expired are among them."""
        check_user_id("user_id", user_id, required=True)
        return await self._installation.subscriptions.of(self._acting(bot), user_id)

    async def cancel_subscription(
        self,
        user_id: int | None = None,
        stage_id: str | None = None,
        *,
        transaction_id: str | None = None,
        bot: Bot | None = None,
    ) -> Subscription:
        """Have Telegram charge no further period of a subscription (Bot API ``editUserStarSubscription``).

        What is paid runs to its end, and the buyer cannot resume it before :meth:`restore_subscription`. The request is
        recorded before it is sent, and sent again by a worker if this process dies. ``subscription_canceled`` tells it.

        :param stage_id: with ``user_id``: their running subscription of this stage; of several the one that ends last.
        :param transaction_id: instead of those: any payment of the subscription, or its reference.
        :raises SubscriptionError: when there is none, Telegram refuses (``is_final``), or has not confirmed yet.
        """
        return await self._ask(user_id, stage_id, transaction_id, bot, cancel=True)

    async def restore_subscription(
        self,
        user_id: int | None = None,
        stage_id: str | None = None,
        *,
        transaction_id: str | None = None,
        bot: Bot | None = None,
    ) -> Subscription:
        """Let the buyer resume a subscription that the bot has cancelled; Telegram charges after *they* tap.

        ``subscription_restored`` tells when they have. Parameters and errors are those of :meth:`cancel_subscription`.
        """
        return await self._ask(user_id, stage_id, transaction_id, bot, cancel=False)

    async def _ask(
        self, user_id: int | None, stage_id: str | None, transaction_id: str | None, bot: Bot | None, *, cancel: bool
    ) -> Subscription:
        check_user_id("user_id", user_id)
        if transaction_id is not None and (not isinstance(transaction_id, str) or not transaction_id):
            raise ValidationError("transaction_id", "must be a transaction_id or a reference", transaction_id)
        acting = self._acting(bot)
        found = await self._installation.subscriptions.ask(acting, user_id, stage_id, transaction_id, cancel=cancel)
        if self._shop.dispatcher is not None:
            self._installation.worker.wake(acting, buyer_name(found.user_id))
        return found
