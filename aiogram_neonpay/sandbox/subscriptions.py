"""Owns the life of subscriptions: renewals on the clock, failed ones, cancelling and re-enabling, the silent end.

One timer per subscription waits for the end of the period that is paid for, so that a clock that jumps a year
renews everybody's in the order of time, each at its own moment. Source: Bot API (BotSubscriptionUpdated,
editUserStarSubscription) and core.telegram.org/api/subscriptions; guesses are switches of `Rules`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from aiogram_neonpay.sandbox import ledger
from aiogram_neonpay.sandbox.checkouts import Checkout, Checkouts
from aiogram_neonpay.sandbox.errors import SandboxError, refuse
from aiogram_neonpay.sandbox.models import Charge, Invoice, Receipt, Subscription
from aiogram_neonpay.sandbox.receipts import announce_payment
from aiogram_neonpay.sandbox.rules import GUESS_SUBSCRIPTION_OVER
from aiogram_neonpay.sandbox.world import BotAccount, World


class Subscriptions:
    """All subscriptions of one world, those that are over included."""

    def __init__(self, world: World, checkouts: Checkouts) -> None:
        self._world = world
        self._checkouts = checkouts
        self._all: list[Subscription] = []
        self._by_charge: dict[str, Subscription] = {}

    def begin(self, charge: Charge) -> Subscription:
        """Begin a subscription with its first payment."""
        assert charge.subscription_until is not None
        subscription = Subscription(
            charge.bot_id, charge.user_id, charge.invoice, charge.date, charge.subscription_until, [charge.id]
        )
        self._all.append(subscription)
        self._by_charge[charge.id] = subscription
        self._wait(subscription)
        self._changed(subscription)
        return subscription

    # --- finding ---

    def of(self, *, user_id: int | None = None, bot_id: int | None = None) -> list[Subscription]:
        """Return the subscriptions of a person, to a bot, or all, in the order in which they began."""
        return [
            subscription
            for subscription in self._all
            if user_id in (None, subscription.user_id) and bot_id in (None, subscription.bot_id)
        ]

    def running(self) -> Counter[int]:
        """Return how many subscriptions people have that are not over, by their ids."""
        return Counter(subscription.user_id for subscription in self._all if not subscription.over)

    def pick(
        self,
        user_id: int,
        wanted: Subscription | Receipt | str | None,
        payload: str | None,
        fits: Callable[[Subscription], bool],
    ) -> Subscription:
        """Return the subscription of a person that is meant.

        :param wanted: itself, a receipt or a charge id of it; ``None`` means the only one that ``fits``.
        :param payload: only those with this payload.
        :raises SandboxError: when there is none, or several.
        """
        if isinstance(wanted, Subscription):
            found = [wanted] if wanted.user_id == user_id else []
        elif wanted is not None:
            charge_id = wanted if isinstance(wanted, str) else wanted.transaction_id or ""
            named = self._by_charge.get(charge_id)
            found = [named] if named is not None and named.user_id == user_id else []
        else:
            found = [item for item in self.of(user_id=user_id) if fits(item)]
        found = [item for item in found if payload in (None, item.payload)]
        name = self._world.people[user_id].first_name
        if not found:
            raise SandboxError(f"{name} has no such subscription")
        if len(found) > 1:
            raise SandboxError(f"{name} has {len(found)} such subscriptions: say which one, by a charge id of it")
        return found[0]

    # --- what the person does ---

    def cancel(self, subscription: Subscription) -> None:
        """Cancel as the person: it will not be renewed, and the paid period runs on.

        :raises SandboxError: when it is over or canceled already.
        """
        if subscription.over or subscription.canceled:
            raise SandboxError(f"the subscription to {subscription.title!r} is {subscription.state} already")
        self._stop(subscription)
        self._tell(subscription, "canceled")

    def restore(self, subscription: Subscription) -> None:
        """Re-enable as the person: the next period will be charged at the end of this one.

        :raises SandboxError: when it is not canceled, its period has ended, or the bot has canceled it.
        """
        title = subscription.title
        if subscription.over or self._has_ended(subscription):
            raise SandboxError(f"the subscription to {title!r} is over: only its link begins another")
        if not subscription.canceled:
            raise SandboxError(f"the subscription to {title!r} is not canceled but {subscription.state}")
        if subscription.canceled_by_bot:
            raise SandboxError(
                f"the bot has canceled the subscription to {title!r}: it cannot be re-enabled until the bot calls "
                "editUserStarSubscription with is_canceled=false"
            )
        subscription.canceled = False
        self._tell(subscription, "active")

    # --- what the bot does ---

    def edit(self, bot: BotAccount, user_id: int, charge_id: str, canceled: bool) -> None:
        """Cancel as the bot, which bars the person from re-enabling; or lift the bar, which resumes nothing.

        :raises ApiError: 400 CHARGE_ID_INVALID, USER_ID_INVALID.
        """
        subscription = self._by_charge.get(charge_id)
        if subscription is None or subscription.bot_id != bot.id:
            raise refuse("CHARGE_ID_INVALID")
        if charge_id != subscription.first_charge_id and not self._world.rules.renewal_ids_edit:
            raise refuse("CHARGE_ID_INVALID")
        if subscription.user_id != user_id:
            raise refuse("USER_ID_INVALID")
        if subscription.over:
            raise refuse(GUESS_SUBSCRIPTION_OVER)
        if not canceled:
            subscription.canceled_by_bot = False
            self._changed(subscription)
            return
        stops = not subscription.canceled
        subscription.canceled_by_bot = True
        self._stop(subscription)
        if stops and self._world.rules.bot_cancel_updates:
            self._tell(subscription, "canceled")

    def end_with(self, charge: Charge) -> None:
        """End the subscription that a charge has paid for, if there is one."""
        subscription = self._by_charge.get(charge.id)
        if subscription is not None and not subscription.over:
            self._end(subscription)

    # --- what time does ---

    def _wait(self, subscription: Subscription, seconds: float = 0.0) -> None:
        # Never cancelled: what has become of the subscription is looked at when the moment comes.
        moment = subscription.expiration_date + seconds
        self._world.clock.call_at(moment, partial(self._come_due, subscription))

    def _come_due(self, subscription: Subscription) -> None:
        if subscription.over:
            return
        if subscription.canceled:
            self._end(subscription)
            return
        bot, person = self._world.bots[subscription.bot_id], self._world.people[subscription.user_id]
        if person.stars >= subscription.price and self._world.rules.renewal_asks:
            self._checkouts.ask(bot, person, self._renewal(subscription), partial(self._voted, subscription))
        else:
            self._charge(subscription)

    def _voted(self, subscription: Subscription, checkout: Checkout) -> None:
        if subscription.over:
            return
        if subscription.canceled:
            self._end(subscription)
        elif checkout.vote:
            self._charge(subscription)
        else:
            self._fail(subscription)

    def _charge(self, subscription: Subscription) -> None:
        world = self._world
        bot, person = world.bots[subscription.bot_id], world.people[subscription.user_id]
        if person.stars < subscription.price:
            self._fail(subscription)
            return
        charge = ledger.sell(world, bot, person, self._renewal(subscription))
        charge.renews = subscription.first_charge_id
        begins = charge.date if subscription.failed else subscription.expiration_date
        charge.subscription_until = subscription.expiration_date = begins + subscription.period
        subscription.failed = False
        subscription.charges.append(charge.id)
        self._by_charge[charge.id] = subscription
        self._wait(subscription)
        announce_payment(world, charge)
        self._changed(subscription)

    def _fail(self, subscription: Subscription) -> None:
        passed = self._world.clock.now() - subscription.expiration_date
        retry = next((seconds for seconds in self._world.rules.renewal_retries if seconds > passed), None)
        news = not subscription.failed
        subscription.failed = True
        if retry is None:
            subscription.over = True
        else:
            self._wait(subscription, retry)
        if news:
            self._tell(subscription, "failed")
        else:
            self._changed(subscription)

    def _stop(self, subscription: Subscription) -> None:
        subscription.canceled = True
        if self._has_ended(subscription):  # a failed one that was to be tried again: nothing is left to run on
            subscription.failed = False
            subscription.over = True
        self._changed(subscription)

    def _end(self, subscription: Subscription) -> None:
        subscription.over = True  # and nobody is told
        self._changed(subscription)

    def _has_ended(self, subscription: Subscription) -> bool:
        return self._world.clock.now() >= subscription.expiration_date

    def _renewal(self, subscription: Subscription) -> Invoice:
        if self._world.rules.renewal_payloads:
            return subscription.invoice
        return replace(subscription.invoice, payload="")

    def _tell(self, subscription: Subscription, state: str) -> None:
        world = self._world
        bot, person = world.bots[subscription.bot_id], world.people[subscription.user_id]
        content = {"user": person.as_user(), "invoice_payload": subscription.payload, "state": state}
        # How long Telegram keeps this kind, and in which order to messages, is not known.
        world.update(bot, "subscription", content, lane=f"subscription:{person.id}")
        self._changed(subscription)

    def _changed(self, subscription: Subscription) -> None:
        self._world.feed.publish("subscriptions", user_id=subscription.user_id, bot_id=subscription.bot_id)
        self._world.changed.notify()
