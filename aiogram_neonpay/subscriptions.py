"""Subscriptions between their charges: cancelled, restored, failed, expired; charges are payments as any other.

What is to be asked of Telegram, and what is to be told to the bot's handlers, is written into the buyer's record first.
Whichever worker holds that record then does it, in order, until it is done.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError, TelegramNotFound, TelegramRetryAfter
from aiogram.types import User

from aiogram_neonpay.checks import check_stage_id
from aiogram_neonpay.entitlements import charges_to_give
from aiogram_neonpay.errors import NeonPayError, SubscriptionError, ValidationError
from aiogram_neonpay.events import (
    SubscriptionCanceled,
    SubscriptionEvent,
    SubscriptionExpired,
    SubscriptionFailed,
    SubscriptionRestored,
)
from aiogram_neonpay.ledger.buyers import user_of_name
from aiogram_neonpay.ledger.charges import DELIVER, Claim, next_step
from aiogram_neonpay.ledger.subscriptions import STATES, digest_of, end_of, ended, goes_on, is_awaited, turn, turned
from aiogram_neonpay.limits import Limits
from aiogram_neonpay.models import Subscription, SubscriptionState
from aiogram_neonpay.news import News
from aiogram_neonpay.records import subscription_of
from aiogram_neonpay.redaction import redacted
from aiogram_neonpay.retries import Retries, endless_pause
from aiogram_neonpay.shop import Shop

__all__ = ["Subscriptions"]

logger = logging.getLogger("aiogram_neonpay")

EVENTS: dict[str, type[SubscriptionEvent]] = {
    "canceled": SubscriptionCanceled,
    "restored": SubscriptionRestored,
    "failed": SubscriptionFailed,
    "expired": SubscriptionExpired,
}
WAITS_FOR_FIRST = 32
"""Payloads of a buyer of which Telegram said something before their first payment was heard, and how much of each is
kept."""

ASKED_AGAIN = 30.0
"""Seconds after which a worker asks Telegram what the process that began to ask did not live to."""
LATE = 300.0
"""Seconds after an end at which nobody was there on time: a renewal may have been missed as well."""
LOOK_AGAIN = 30.0
"""Seconds after which it is asked again whether one was; and for which one that was overtaken by news is waited for."""
PATIENCE = 5.0
"""Seconds, for each attempt so far, that news waits for a charge which is yet to be delivered."""

Record = dict[str, Any]


class Subscriptions:
    """Keeps the subscriptions of one shop."""

    def __init__(self, shop: Shop, news: News, retries: Retries) -> None:
        self._shop = shop
        self._news = news
        self._retries = retries
        self._limits = Limits(shop)

    async def of(self, bot: Bot, user_id: int) -> list[Subscription]:
        """Return a buyer's subscriptions, the newest first; those that have expired are among them."""
        buyer = await self._shop.buyers.read(bot.id, user_id)
        found = [await self._shown(user_id, name, known) for name, known in buyer.get("subs", {}).items()]
        return sorted(found, key=lambda known: known.started_at, reverse=True)

    async def _shown(self, user_id: int, name: str, known: Record) -> Subscription:
        try:
            stage = await self._shop.stage_of(known)
        except Exception:
            logger.exception("the stage loader failed for subscription %s", name)
            stage = None
        return subscription_of(name, user_id, known, stage)

    # What Telegram tells

    async def on_update(self, bot: Bot, user: User, payload: str, state: str) -> bool:
        """Write down what Telegram says of a subscription (Bot API ``BotSubscriptionUpdated``).

        :return: whether there is something to tell.
        """
        if state not in ("canceled", "active", "failed"):
            logger.warning("bot %s: a subscription of user %s is %r, which is not known", bot.id, user.id, state)
            return False
        is_ours, token = self._shop.read_payload(bot, payload, 0)
        told = False

        def note(known: Record) -> Record | None:
            nonlocal told
            told = False
            now = self._shop.clock()
            found = turned(known.get("subs", {}), payload, state, now)
            if found is not None:
                told = True
                return turn(known, *found, by="user", now=now)
            knows = any(sub["payload"] == digest_of(payload) for sub in known.get("subs", {}).values())
            if knows or not is_ours or token is None:
                return None
            early = known.get("early", {})
            states = [*early.get(digest_of(payload), []), state]
            early = {**early, digest_of(payload): states[-WAITS_FOR_FIRST:]}
            return {"early": dict([*early.items()][-WAITS_FOR_FIRST:])}

        await self._shop.buyers.change(bot.id, user.id, note)
        return told

    # What the bot asks

    async def ask(
        self, bot: Bot, user_id: int | None, stage_id: str | None, payment_id: str | None, *, cancel: bool
    ) -> Subscription:
        """Have Telegram cancel a subscription, or let the buyer resume it; see ``NeonPay.cancel_subscription``."""
        user, sub_id = await self._find(bot, user_id, stage_id, payment_id, cancel=cancel)
        done = False

        def request(known: Record) -> Record | None:
            nonlocal done
            sub = known.get("subs", {}).get(sub_id)
            done = sub is None or _is_so(sub, cancel)
            return None if done else {"asked": {**known.get("asked", {}), sub_id: "cancel" if cancel else "restore"}}

        buyer = await self._shop.buyers.change(bot.id, user, request, delay=ASKED_AGAIN)
        if not done:
            try:
                await self._tell_telegram(bot, user, buyer["subs"][sub_id], cancel)
            except SubscriptionError as error:
                if error.is_final:
                    await self._shop.buyers.change(bot.id, user, lambda known: _without(known, sub_id))
                raise
            buyer = await self._shop.buyers.change(bot.id, user, lambda known: self._answered(known, sub_id, cancel))
        return await self._shown(user, sub_id, buyer["subs"][sub_id])

    async def _find(
        self, bot: Bot, user_id: int | None, stage_id: str | None, payment_id: str | None, *, cancel: bool
    ) -> tuple[int, str]:
        """Return the buyer and the subscription that is meant."""
        if (stage_id is None) == (payment_id is None):
            raise ValidationError("stage_id", "name a stage (with user_id), or a payment by transaction_id", stage_id)
        if payment_id is not None:
            found = await self._shop.charges.find(bot.id, payment_id, user_id)
            if found is None:
                raise SubscriptionError(f"no payment {payment_id[:40]!r} in the ledger of this bot", is_final=True)
            key, body = found
            buyer = await self._shop.buyers.read(bot.id, body["user"])
            names = [name for name, sub in buyer.get("subs", {}).items() if key.name in sub["paid"]]
            if not names and body.get("sub") in buyer.get("subs", {}):
                names = [body["sub"]]
            if not names:
                raise SubscriptionError(f"payment {key.name} belongs to no subscription", is_final=True)
            return body["user"], names[0]
        if user_id is None:
            raise ValidationError("user_id", "is required with a stage", user_id)
        check_stage_id(stage_id)
        subs, now = (await self._shop.buyers.read(bot.id, user_id)).get("subs", {}), self._shop.clock()
        mine = [name for name, sub in subs.items() if sub["stage"] == stage_id and goes_on(sub, now)]
        # Of several it is one that is yet to be asked for; else the answer is what it is already.
        fitting = [name for name in mine if not _is_so(subs[name], cancel)] or mine
        if not fitting:
            raise SubscriptionError(f"user {user_id} has no running subscription of {stage_id!r}", is_final=True)
        return user_id, max(fitting, key=lambda name: float(subs[name]["until"]))

    async def _tell_telegram(self, bot: Bot, user_id: int, sub: Record, cancel: bool) -> None:
        """Ask Telegram (Bot API ``editUserStarSubscription``, which wants the first charge)."""
        charge = sub["first"]
        if charge is None:
            raise SubscriptionError(
                "the first charge of this subscription was made before the plugin came, and Telegram wants its id: "
                "call bot.edit_user_star_subscription with it",
                is_final=True,
            )
        did = "cancelled" if cancel else "restored"
        try:
            await bot.edit_user_star_subscription(
                user_id=user_id, telegram_payment_charge_id=charge, is_canceled=cancel
            )
        except TelegramRetryAfter as error:
            raise SubscriptionError(
                f"Telegram wants a pause of {error.retry_after} s; the subscription will be {did} then",
                retry_after=error.retry_after,
            ) from error
        except (TelegramBadRequest, TelegramForbiddenError, TelegramNotFound) as error:
            raise SubscriptionError(
                f"Telegram refuses: the subscription cannot be {did} ({error.message})", is_final=True
            ) from error
        except Exception as error:
            raise SubscriptionError(
                f"Telegram has not confirmed that the subscription is {did} ({type(error).__name__}: "
                f"{redacted(str(error))}); it is asked again"
            ) from error

    def _answered(self, known: Record, sub_id: str, cancel: bool) -> Record | None:
        """Return what Telegram's yes changes."""
        fields = _without(known, sub_id)
        sub = known["subs"].get(sub_id)
        if sub is None or _is_so(sub, cancel):
            return fields
        if cancel and sub["state"] == SubscriptionState.EXPIRED.value:  # given back, and charged no more
            return {**fields, "subs": {**known["subs"], sub_id: {**sub, "by": "bot"}}}
        if cancel:
            return {**fields, **turn(known, sub_id, "canceled", by="bot", now=self._shop.clock())}
        # The buyer may resume it now; Telegram charges after they tap, and says so then.
        return {**fields, "subs": {**known["subs"], sub_id: {**sub, "by": "user"}}}

    # What is due

    async def go_on(self, bot: Bot, name: str) -> None:
        """Do what is due for a buyer: ask Telegram again, see what has ended, and tell the news."""
        if self._shop.dispatcher is None:
            return  # a process that has one tells the news
        claim = await self._shop.buyers.claim(bot.id, name)
        if claim is None:
            return
        delay: float | None = None
        try:
            delay = await self._do_all(bot, claim, user_of_name(name))
        finally:
            if not claim.lost:
                await self._shop.buyers.let_go(claim, delay=delay)
            self._shop.buyers.leases.let_go(claim)

    async def _do_all(self, bot: Bot, claim: Claim, user_id: int) -> float | None:
        """Return after how many seconds to go on, if something is left."""
        buyers = self._shop.buyers
        for sub_id, what in list(claim.body.get("asked", {}).items()):
            if (pause := await self._ask_again(bot, claim, user_id, sub_id, what)) is not None:
                return pause
        now = self._shop.clock()

        def end(known: Record) -> Record | None:
            fields: Record = {}
            for sub_id in ended(known.get("subs", {}), now, buyers.grace):
                fields.update(turn({**known, **fields}, sub_id, "expired", by="", now=now))
            return fields

        held: float | None = None
        if over := ended(claim.body.get("subs", {}), now, buyers.grace):
            if await self._may_end(bot, claim, user_id, over):
                await buyers.go_on(claim, end)
            else:
                held = LOOK_AGAIN
        while claim.body.get("news") and not claim.lost:
            item = claim.body["news"][0]
            if (pause := await self._waits_for_charge(bot, user_id, claim.body, item)) is not None:
                return pause
            ended_sub = claim.body["subs"].get(item["sub"]) if item["kind"] == "expired" else None
            if ended_sub is not None and await self._limits.free(bot, item["sub"], ended_sub):
                await buyers.go_on(claim, partial(_freed, item["sub"]))
            tells = item["tells"] + 1
            error = await self._tell(bot, claim.body, user_id, item, tells)
            pause = None if error is None else self._retries.pause(tells)
            if error is not None and pause is not None:
                logger.warning(
                    "bot %s: the news that subscription %s of user %s is %s was not taken (%s); again in %.0f s",
                    *(bot.id, item["sub"], user_id, item["kind"], error, pause),
                )
                await buyers.go_on(claim, partial(_counted, item["id"], tells))
                return pause
            if error is not None:
                logger.error(
                    "bot %s: the news that subscription %s of user %s is %s was not taken in %s attempts (%s) and is "
                    "given up",
                    *(bot.id, item["sub"], user_id, item["kind"], tells, error),
                )
            await buyers.go_on(claim, partial(_told, item["id"]))
        return held

    async def _may_end(self, bot: Bot, claim: Claim, user_id: int, over: list[str]) -> bool:
        """Whether it is sure that no renewal of what is over was missed while nobody was there."""
        subs, grace = claim.body["subs"], self._shop.buyers.grace
        moments = [moment for name in over if (moment := end_of(subs[name], grace)) is not None]
        if any(_overtakes(subs[name], self._shop.clock()) for name in over):
            return False
        # On time, a renewal that was lost may be missed as well, where its time of grace is long enough to know that.
        asks = min(moments) + LATE <= self._shop.clock() or (grace > LATE and any(is_awaited(subs[n]) for n in over))
        last = max(float(subs[name]["until"]) for name in over)
        is_read = not asks or await self._shop.is_read(bot, last)
        return is_read and not await charges_to_give(self._shop, bot, user_id)

    async def _waits_for_charge(self, bot: Bot, user_id: int, buyer: Record, item: Record) -> float | None:
        """Return after how many seconds to look again, if the charge before a piece of news is yet to be delivered.

        Of a charge that has not given yet what it gives, it is not known whether it comes before or after.
        """
        if await charges_to_give(self._shop, bot, user_id):
            return PATIENCE
        if item["kind"] == "canceled" and _overtakes(buyer["subs"].get(item["sub"]), self._shop.clock()):
            return LOOK_AGAIN
        if item.get("after") is None:
            return None
        [charge] = await self._shop.charges.read(bot.id, [item["after"]])
        if charge is None or next_step(charge) != DELIVER:
            return None
        return PATIENCE * float(max(1, charge["attempts"]))

    async def _ask_again(self, bot: Bot, claim: Claim, user_id: int, sub_id: str, what: str) -> float | None:
        """Ask Telegram for what was asked before; return a pause if it does not answer."""
        buyers, cancel = self._shop.buyers, what == "cancel"
        sub = claim.body["subs"].get(sub_id)
        try:
            if sub is not None and not _is_so(sub, cancel):
                await self._tell_telegram(bot, user_id, sub, cancel)
        except SubscriptionError as error:
            if not error.is_final:
                tries = claim.body.get("tries", 0) + 1
                await buyers.go_on(claim, lambda known: {"tries": tries})
                return float(error.retry_after) if error.retry_after else endless_pause(tries)
            logger.error("bot %s: subscription %s of user %s: %s", bot.id, sub_id, user_id, error)
            await buyers.go_on(claim, lambda known: _without(known, sub_id))
            return None
        await buyers.go_on(claim, lambda known: self._answered(known, sub_id, cancel))
        return None

    async def _tell(self, bot: Bot, buyer: Record, user_id: int, item: Record, tells: int) -> str | None:
        """Tell one piece of news; return what went wrong."""
        known = buyer["subs"].get(item["sub"])
        if known is None:
            return None
        user = User(id=user_id, is_bot=False, **(buyer.get("who") or {"first_name": ""}))
        shown = await self._shown(user_id, item["sub"], {**known, "state": STATES[item["kind"]]})
        try:
            await self._news.deliver(bot, EVENTS[item["kind"]](bot, user, shown, tells), user)
        except NeonPayError as error:
            return str(error)
        except Exception as error:
            logger.exception("bot %s: a handler of the news of subscription %s failed", bot.id, item["sub"])
            return f"{type(error).__name__}: {redacted(str(error))}"[:200]
        return None


def _overtakes(sub: Record | None, now: float) -> bool:
    """Whether the news that a buyer cancelled may have come before a renewal: what is known to be paid had ended."""
    if sub is None or sub["state"] != SubscriptionState.CANCELED.value or sub.get("by") != "user":
        return False
    return bool(sub["until"] < sub["turned"] and now < sub["turned"] + LOOK_AGAIN)


def _is_so(sub: Record, cancel: bool) -> bool:
    """Whether a subscription is as it was asked to be."""
    by_bot = sub["state"] in ("canceled", "expired") and sub.get("by") == "bot"
    return by_bot if cancel else not by_bot


def _without(known: Record, sub_id: str) -> Record:
    return {"asked": {name: what for name, what in known.get("asked", {}).items() if name != sub_id}, "tries": 0}


def _counted(news_id: str, tells: int, known: Record) -> Record:
    return {"news": [{**item, "tells": tells} if item["id"] == news_id else item for item in known.get("news", [])]}


def _freed(sub_id: str, known: Record) -> Record:
    """Note that the share of a limited stage, which a subscription had, is free again."""
    subs: Record = known.get("subs", {})
    return {"subs": {**subs, sub_id: {**subs[sub_id], "free": True}}} if sub_id in subs else {}


def _told(news_id: str, known: Record) -> Record:
    return {"news": [item for item in known.get("news", []) if item["id"] != news_id]}
