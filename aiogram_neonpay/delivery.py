"""From a payment update to a settled charge: record, claim, let the bot hear it, settle.

Every step is written down before the next begins, so that a process may die at any of them: an unrecorded payment is
still Telegram's to send again, a recorded one is the ledger's to deliver.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Literal, TypeVar

from aiogram import Bot
from aiogram.dispatcher.middlewares.user_context import EVENT_CONTEXT_KEY, EVENT_FROM_USER_KEY, EventContext
from aiogram.types import Message, RefundedPayment, SuccessfulPayment, Update

from aiogram_neonpay.attempts import Attempt
from aiogram_neonpay.entitlements import AGAIN, Entitlements
from aiogram_neonpay.errors import DeliveryError
from aiogram_neonpay.events import (
    MediaSold,
    PaymentCompleted,
    PaymentEvent,
    PaymentRefunded,
    SubscriptionRenewed,
    SubscriptionStarted,
)
from aiogram_neonpay.failures import is_cancelled, rejection_of
from aiogram_neonpay.feed import Feed
from aiogram_neonpay.gifts import Gifts
from aiogram_neonpay.hooks import Next
from aiogram_neonpay.ledger.base import buyer_name
from aiogram_neonpay.ledger.charges import ANNOUNCED, DELIVERED, Claim
from aiogram_neonpay.limits import Limits
from aiogram_neonpay.mediasales import MediaSales
from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.news import News
from aiogram_neonpay.outages import Outages
from aiogram_neonpay.outcomes import Outcomes
from aiogram_neonpay.records import buyer_of_refund, facts_of, foreign_payment, payment_of
from aiogram_neonpay.refunds import delivering
from aiogram_neonpay.retries import Retries
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage
from aiogram_neonpay.states import prepare
from aiogram_neonpay.tidying import Tidier
from aiogram_neonpay.way import Way
from aiogram_neonpay.worker import Worker

__all__ = ["Delivery", "Propagate"]

logger = logging.getLogger("aiogram_neonpay")

E = TypeVar("E", bound=PaymentEvent)

Propagate = Literal["unhandled", "always"]

ENDS_OF_PROCESS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""After these there is no time to write anything down. Whatever else is raised is a failed attempt, though it may be no
``Exception``, such as a panic in another language."""
CRASHES = 3
"""By how many a charge whose process died in every attempt outlives its schedule: an attempt may have died early."""


class Delivery:
    """Carries payment messages through the dispatcher and settles them by what happened on the way."""

    def __init__(
        self,
        shop: Shop,
        feed: Feed,
        news: News,
        worker: Worker,
        outages: Outages,
        way: Way,
        retries: Retries,
        propagate: Propagate,
    ) -> None:
        self._shop = shop
        self._entitlements = Entitlements(shop)
        self._limits = Limits(shop)
        self._media = MediaSales(shop)
        self._gifts = Gifts(shop, worker)
        self._feed = feed
        self._outcomes = Outcomes(shop, news, worker, outages, retries)
        self._worker = worker
        self._outages = outages
        self._way = way
        self._retries = retries
        self._before_plain = propagate == "always"
        self._tidier = Tidier(shop)

    async def on_paid(
        self, handler: Next, update: Update, message: Message, paid: SuccessfulPayment, data: dict[str, Any]
    ) -> Any:
        """Record a payment and take the right to deliver it, then deliver it."""
        bot: Bot = data["bot"]
        user = message.from_user or buyer_of_refund(message.chat)
        is_ours, token = self._shop.read_payload(bot, paid.invoice_payload, paid.total_amount, paid.currency)
        if not is_ours:
            return await _leave_to_bot(handler, update, data, foreign_payment(message, paid, user.id))
        return await self.begin(facts_of(message, paid, user, token), handler, update, message, data)

    async def begin(
        self, facts: dict[str, Any], handler: Next, update: Update, message: Message, data: dict[str, Any]
    ) -> Any:
        """Record a charge and take the right to deliver it, then deliver it."""
        bot: Bot = data["bot"]
        try:
            claim = await self._shop.charges.claim_delivery(bot.id, facts)
        except Exception as error:
            self._outages.record_later(bot, facts, error)
            raise
        if claim is None:
            logger.info("charge of user %s is settled or in other hands: the update is dropped", facts["user"])
            return None
        try:
            return await self.deliver(claim, handler, update, message, data)
        finally:
            # Whatever went wrong, the charge must not stay in hands that do nothing with it: its lease runs out.
            self._shop.charges.leases.let_go(claim)

    async def deliver(self, claim: Claim, handler: Next, update: Update, message: Message, data: dict[str, Any]) -> Any:
        """Let the bot hear a payment that this worker holds, and settle it."""
        bot: Bot = data["bot"]
        body = claim.body
        if self._retries.pause(body["attempts"] - body.get("tried", 0) - CRASHES) is None:
            # Attempts without an end: the process dies whenever it begins this one.
            await self._outcomes.give_up(
                bot, claim, "attempts", body.get("error") or "the process ended in the last attempt"
            )
            return None
        attempt: Attempt | None = None
        token = delivering.set(claim.key)
        try:
            if (pause := await self._entitlements.waits(bot, claim)) is not None:
                await self._wait(bot, claim, pause)
                return None
            await self._entitlements.recognise(bot, claim)
            renews = body.get("recurring") == AGAIN  # its invoice was paid by the first charge
            if body.get("stored") and not renews and not await self._note_invoice(bot, claim):
                await self._outcomes.refund_instead(bot, claim, "its single-use invoice was paid before")
                return None
            stage = self._shop.catalog.known(body.get("stage")) or await self._shop.stage_of(body)
            doubt = body.get("doubt")
            # Media are sold without asking the bot; a gift was counted when it was paid, maybe years ago.
            limited = doubt is None and not renews and not body.get("media") and not body.get("counted")
            if limited and not await self._limits.take(bot, claim, stage):
                await self._outcomes.refund_instead(bot, claim, "it was sold out")
                return None
            if doubt is not None:
                await self._outcomes.set_aside(bot, claim, stage, doubt)
                return None
            if "gift" in body and not _is_for(body, message):
                await self._keep_gift(bot, claim, stage)
                return None
            event: PaymentEvent
            given = await self._entitlements.give(bot, claim, stage)
            if given.waits is not None:
                await self._wait(bot, claim, given.waits)
                return None
            if given.subscription is None:
                event = _event(MediaSold if body.get("media") else PaymentCompleted, bot, claim, stage, message)
            else:
                kind = SubscriptionRenewed if body["recurring"] == AGAIN else SubscriptionStarted
                event = _event(kind, bot, claim, stage, message, subscription=given.subscription)
            attempt = self._attempt(event, body.get("done", ()))
            prepare(attempt, claim)
            response = await self._way.carry(handler, update, attempt, data)
        except ENDS_OF_PROCESS:
            raise
        except BaseException as error:
            # What ran before the one that raised need not run again. If nothing of ours raised, something round it
            # did, such as a commit, and may have undone all of it.
            await self._outcomes.failed(
                bot, claim, error, attempt if attempt is not None and attempt.error is error else None
            )
            if isinstance(error, asyncio.CancelledError) and not is_cancelled():
                raise DeliveryError(claim.key.name, "something that its handler waited for was cancelled") from error
            raise
        finally:
            delivering.reset(token)
        return await self._conclude(bot, claim, attempt, response)

    async def _keep_gift(self, bot: Bot, claim: Claim, stage: PaymentStage | None) -> None:
        """End the attempt to deliver a gift that is not for who is told of it: the buyer gets its link."""
        if "recipient" not in claim.body:
            buyer: dict[str, Any] = (claim.body.get("carrier") or {}).get("from") or {}
            await self._gifts.wrap(bot, claim, stage, self._outcomes)
            self._tidy(bot, payment_of(claim.body, claim.key.name, stage), buyer)
            return
        # The update of the payment once more, after somebody has opened it: they are told by an update of our own.
        await self._shop.charges.give_back(claim, attempts=claim.body["attempts"] - 1)
        self._worker.wake(bot, claim.key.name)

    async def _wait(self, bot: Bot, claim: Claim, seconds: float) -> None:
        """Leave a charge for later: something of its subscription is to be told before it."""
        await self._shop.charges.give_back(claim, delay=seconds, attempts=claim.body["attempts"] - 1)
        self._worker.wake(bot, buyer_name(claim.body["user"]))
        self._worker.wake(bot, claim.key.name, seconds)

    async def on_refunded(
        self, handler: Next, update: Update, message: Message, refunded: RefundedPayment, data: dict[str, Any]
    ) -> Any:
        """Record a refund that Telegram tells of, and let the bot hear of it unless it has."""
        bot: Bot = data["bot"]
        buyer = buyer_of_refund(message.chat)
        data[EVENT_FROM_USER_KEY] = buyer
        data[EVENT_CONTEXT_KEY] = EventContext(chat=message.chat, user=buyer)
        is_ours, token = self._shop.read_payload(
            bot, refunded.invoice_payload, refunded.total_amount, refunded.currency
        )
        if not is_ours:
            return await _leave_to_bot(handler, update, data, foreign_payment(message, refunded, buyer.id))
        facts = await self._media.facts_of_refund(bot, facts_of(message, refunded, buyer, token))
        claim = await self._shop.charges.claim_refund(bot.id, facts)
        if claim is None:
            return None
        try:
            return await self.announce(claim, handler, update, message, data)
        finally:
            self._shop.charges.leases.let_go(claim)

    async def announce(
        self, claim: Claim, handler: Next, update: Update, message: Message, data: dict[str, Any]
    ) -> Any:
        """Let the bot hear of a refund that this worker has claimed, and settle the news."""
        bot: Bot = data["bot"]
        reference = claim.key.name
        attempt: Attempt | None = None
        response: Any = None
        error: BaseException | None = None
        try:
            await self._entitlements.take_back(bot, claim)
            await self._limits.give_back(bot, claim)
            event = _event(PaymentRefunded, bot, claim, await self._shop.stage_of(claim.body), message)
            attempt = self._attempt(event, claim.body.get("told", ()))
            response = await self._way.carry(handler, update, attempt, data)
            error = attempt.error or attempt.listener_error
        except ENDS_OF_PROCESS:
            raise
        except BaseException as raised:
            error = raised
        if error is None and attempt is not None and (attempt.stopped or attempt.is_listening or not attempt.reached):
            error = DeliveryError(reference, "the news of its refund was stopped before its handlers")
        if error is None:
            await self._outcomes.settle(bot, claim, refund=ANNOUNCED)
            return response
        told = sorted({*claim.body.get("told", ()), *(attempt.succeeded if attempt is not None else ())})
        await self._outcomes.unheard(bot, claim, error, told)
        raise error

    async def carry_own(self, attempt: Attempt, handler: Next, update: Update, data: dict[str, Any]) -> Any:
        """Carry an event that the plugin feeds itself."""
        response = await self._way.carry(handler, update, attempt, data)
        if attempt.error is not None:
            raise attempt.error
        return response

    def _attempt(self, event: PaymentEvent, done: Iterable[str]) -> Attempt:
        assert self._shop.dispatcher is not None
        return Attempt(
            self._shop.dispatcher,
            event,
            done=frozenset(done),
            before_plain=self._before_plain,
        )

    async def _note_invoice(self, bot: Bot, claim: Claim) -> bool:
        """Note the charge at its stored invoice; ``False`` if it was single-use and another charge came first."""
        body = claim.body
        record = await self._shop.invoices.note_payment(bot.id, body["invoice"], body["user"], claim.key.name)
        if record is None:
            logger.warning("payment %s: its stored invoice is forgotten; its metadata is lost", claim.key.name)
            return True
        if record["metadata"]:
            claim.notes["metadata"] = body["metadata"] = record["metadata"]
        if record.get("promo") is not None:
            notes = {"promo": record["promo"], "full": record["full"]}
            claim.notes.update(notes)
            body.update(notes)
        return not (record["single"] and record["paid"] != claim.key.name)

    async def _conclude(self, bot: Bot, claim: Claim, attempt: Attempt, response: Any) -> Any:
        """Settle a charge by what was seen on the way, not by what the chain of handlers returned."""
        reference = claim.key.name
        if attempt.is_delivered:
            await self._delivered(bot, claim, attempt)
            return response
        error: Exception | None = attempt.error or attempt.listener_error
        rejection = None if error is None else rejection_of(error)
        if rejection is not None and not attempt.is_handled:
            await self._outcomes.refund_instead(bot, claim, rejection.reason)
            return response
        if error is None and not attempt.reached:
            error = DeliveryError(reference, "a middleware or filter of the root router stopped it before any handler")
        if error is None and attempt.is_listening:
            error = DeliveryError(reference, "a middleware stopped it before all its listeners had heard it")
        if error is None and (attempt.stopped or not attempt.unhandled):
            error = DeliveryError(reference, "a middleware stopped it before its handler")
        if error is not None:
            await self._outcomes.failed(bot, claim, error, attempt)
            raise error
        if claim.body.get("gave"):  # the access is what was bought
            await self._delivered(bot, claim, attempt)
        else:
            await self._outcomes.set_aside(bot, claim, attempt.event.stage, "no_handler")
        return response

    async def _delivered(self, bot: Bot, claim: Claim, attempt: Attempt) -> None:
        """Settle a charge as delivered, and tidy up."""
        buyer: dict[str, Any] = (claim.body.get("carrier") or {}).get("from") or {}  # before it is dropped
        await self._outcomes.settle(bot, claim, state=DELIVERED, carrier=None)
        assert isinstance(attempt.event, PaymentEvent)
        if "gift" not in claim.body:  # else the buyer's part was over when it was wrapped
            self._tidy(bot, attempt.event, buyer)

    def _tidy(self, bot: Bot, payment: PaymentResult, buyer: dict[str, Any]) -> None:
        tidying = self._tidier.after(bot, payment, buyer.get("language_code"))
        if tidying is not None:
            self._feed.spawn(tidying, f"the tidying after payment {payment.reference}")


def _is_for(body: dict[str, Any], message: Message) -> bool:
    """Whether a message tells of a gift to who has opened it."""
    return "recipient" in body and message.from_user is not None and message.from_user.id == body["recipient"]


def _event(kind: type[E], bot: Bot, claim: Claim, stage: PaymentStage | None, message: Message, **fields: Any) -> E:
    tells = message.successful_payment is not None or message.refunded_payment is not None  # else it is a carrier
    fields["message"] = message if tells else None
    return payment_of(claim.body, claim.key.name, stage, kind, bot=bot, **fields)


async def _leave_to_bot(handler: Next, update: Update, data: dict[str, Any], payment: PaymentResult) -> Any:
    data["payment"] = payment
    data["stage"] = None
    return await handler(update, data)
