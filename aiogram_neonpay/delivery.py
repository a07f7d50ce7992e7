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
from aiogram.exceptions import TelegramForbiddenError
from aiogram.types import Message, RefundedPayment, SuccessfulPayment, Update, User

from aiogram_neonpay.attempts import ATTEMPT, Attempt
from aiogram_neonpay.errors import DeliveryError, RejectPayment
from aiogram_neonpay.events import PaymentCompleted, PaymentEvent, PaymentRefunded, PaymentUnmatched
from aiogram_neonpay.feed import Feed
from aiogram_neonpay.hooks import Next
from aiogram_neonpay.ledger.charges import ANNOUNCED, DELIVERED, REJECTED, REQUESTED, STUCK, UNMATCHED, Claim
from aiogram_neonpay.models import CURRENCY, PaymentResult
from aiogram_neonpay.payload import InvoiceToken, looks_ours
from aiogram_neonpay.records import buyer_of_refund, facts_of, foreign_payment, payment_of, user_of
from aiogram_neonpay.refunds import Refunds
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage
from aiogram_neonpay.way import Way

__all__ = ["Delivery", "Propagate"]

logger = logging.getLogger("aiogram_neonpay")

E = TypeVar("E", bound=PaymentEvent)

Propagate = Literal["unhandled", "always"]


class Delivery:
    """Carries payment messages through the dispatcher and settles them by what happened on the way."""

    def __init__(
        self, shop: Shop, feed: Feed, refunds: Refunds, way: Way, propagate: Propagate, thanks: str | None
    ) -> None:
        self._shop = shop
        self._feed = feed
        self._refunds = refunds
        self._way = way
        self._before_plain = propagate == "always"
        self._thanks = thanks

    async def on_paid(
        self, handler: Next, update: Update, message: Message, paid: SuccessfulPayment, data: dict[str, Any]
    ) -> Any:
        """Record a payment, take the right to deliver it, let the bot hear it, and settle it."""
        bot: Bot = data["bot"]
        user = message.from_user or buyer_of_refund(message.chat)
        if not looks_ours(paid.invoice_payload):
            return await _leave_to_bot(handler, update, data, foreign_payment(message, paid, user.id))
        charges = self._shop.charges
        token = self._shop.signer(bot).verify(paid.invoice_payload)
        claim = await charges.claim_delivery(bot.id, facts_of(message, paid, user.id, token))
        if claim is None:
            logger.info("charge of user %s is settled or in other hands: the repeated update is dropped", user.id)
            return None
        attempt: Attempt | None = None
        try:
            if claim.body.get("stored") and not await self._note_invoice(bot, claim):
                await self._refund_instead(bot, claim, "its single-use invoice was paid before")
                return None
            stage = self._shop.catalog.known(claim.body.get("stage")) or await self._shop.stage_of(claim.body)
            doubt = _doubt(token, paid)
            event: PaymentEvent
            if doubt is None:
                event = _event(PaymentCompleted, bot, claim, stage, message)
            else:
                event = _event(PaymentUnmatched, bot, claim, stage, message, reason=doubt)
            attempt = self._attempt(event, claim.body.get("done", ()), genuine=doubt is None)
            response = await self._way.carry(handler, update, attempt, data)
        except (asyncio.CancelledError, Exception) as error:
            # What ran before the one that raised need not run again. If nothing of ours raised, something round it
            # did, such as a commit, and may have undone all of it.
            await self._failed(claim, error, attempt if attempt is not None and attempt.error is error else None)
            raise
        return await self._conclude(bot, claim, attempt, response)

    async def on_refunded(
        self, handler: Next, update: Update, message: Message, refunded: RefundedPayment, data: dict[str, Any]
    ) -> Any:
        """Record a refund that Telegram tells of, and let the bot hear of it unless it has."""
        bot: Bot = data["bot"]
        buyer = buyer_of_refund(message.chat)
        data[EVENT_FROM_USER_KEY] = buyer
        data[EVENT_CONTEXT_KEY] = EventContext(chat=message.chat, user=buyer)
        if not looks_ours(refunded.invoice_payload):
            return await _leave_to_bot(handler, update, data, foreign_payment(message, refunded, buyer.id))
        token = self._shop.signer(bot).verify(refunded.invoice_payload)
        claim = await self._shop.charges.claim_refund(bot.id, facts_of(message, refunded, buyer.id, token))
        return None if claim is None else await self.announce(claim, handler, update, message, data)

    async def announce(
        self, claim: Claim, handler: Next, update: Update, message: Message, data: dict[str, Any]
    ) -> Any:
        """Let the bot hear of a refund that this worker has claimed, and settle the news."""
        charges = self._shop.charges
        try:
            event = _event(PaymentRefunded, data["bot"], claim, await self._shop.stage_of(claim.body), message)
            attempt = self._attempt(event, claim.body.get("told", ()), genuine=True)
            response = await self._way.carry(handler, update, attempt, data)
        except (asyncio.CancelledError, Exception):
            await charges.give_back(claim)
            raise
        error = attempt.error or attempt.listener_error
        if error is None and (attempt.stopped or not attempt.reached):
            error = DeliveryError(claim.key.name, "the news of its refund was stopped before its handlers")
        if error is not None:
            await charges.give_back(claim, told=sorted({*attempt.done, *attempt.succeeded}))
            raise error
        await charges.settle(claim, refund=ANNOUNCED)
        return response

    async def carry_own(self, attempt: Attempt, handler: Next, update: Update, data: dict[str, Any]) -> Any:
        """Carry an event that the plugin feeds itself."""
        response = await self._way.carry(handler, update, attempt, data)
        if attempt.error is not None:
            raise attempt.error
        return response

    def _attempt(self, event: PaymentEvent, done: Iterable[str], *, genuine: bool) -> Attempt:
        assert self._shop.dispatcher is not None
        return Attempt(
            self._shop.dispatcher,
            event,
            done=frozenset(done),
            plain=genuine,
            before_plain=self._before_plain,
            listened=not genuine,
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
        return not (record["single"] and record["paid"] != claim.key.name)

    async def _conclude(self, bot: Bot, claim: Claim, attempt: Attempt, response: Any) -> Any:
        """Settle a charge by what was seen on the way, not by what the chain of handlers returned."""
        reference = claim.key.name
        if attempt.plain and attempt.is_delivered:
            await self._shop.charges.settle(claim, state=DELIVERED)
            if self._thanks is not None and isinstance(attempt.event, PaymentEvent):
                self._feed.spawn(attempt.event.answer(self._thanks), f"the thank-you of payment {reference}")
            return response
        error: Exception | None = attempt.error or attempt.listener_error
        if isinstance(error, RejectPayment) and not attempt.is_handled:
            await self._refund_instead(bot, claim, error.reason)
            return response
        if error is None and not attempt.plain:
            assert isinstance(attempt.event, PaymentUnmatched)
            await self._set_aside(bot, claim, attempt, attempt.event.reason)
            return response
        if error is None and not attempt.reached:
            error = DeliveryError(reference, "a middleware or filter of the root router stopped it before any handler")
        if error is None and (attempt.stopped or not attempt.unhandled):
            error = DeliveryError(reference, "a middleware stopped it before its handler")
        if error is not None:
            await self._failed(claim, error, attempt)
            raise error
        await self._set_aside(bot, claim, attempt, "no_handler")
        return response

    async def _refund_instead(self, bot: Bot, claim: Claim, reason: str) -> None:
        """End a delivery and ask for the refund in one step, then send it."""
        await self._shop.charges.settle(claim, state=REJECTED, refund=REQUESTED, reason=reason)
        logger.info("payment %s is not delivered but refunded (%s)", claim.key.name, reason)
        self._refunds.start(bot, claim.key.name)

    async def _set_aside(self, bot: Bot, claim: Claim, attempt: Attempt, reason: str) -> None:
        """Keep a charge that nothing could deliver where a person finds it, and say so."""
        reference = claim.key.name
        await self._shop.charges.settle(claim, state=UNMATCHED, reason=reason)
        logger.error("payment %s of %s Stars is unmatched (%s)", reference, claim.body["amount"], reason)
        event = attempt.event
        if isinstance(event, PaymentCompleted):
            fields = {**vars(event), "message": None}
            user = event.message.from_user if event.message is not None else None
            self.tell(bot, PaymentUnmatched(**fields, reason=reason), user or user_of(claim.body))

    def tell(self, bot: Bot, event: Any, buyer: User) -> None:
        """Feed an event to its typed handlers, if there are any, in a task of its own."""
        dispatcher = self._shop.dispatcher
        if dispatcher is None:
            return
        attempt = Attempt(dispatcher, event, plain=False, listened=True)
        if attempt.candidates:
            work = self._feed.event(dispatcher, bot, buyer, int(self._shop.clock()), {ATTEMPT: attempt})
            self._feed.spawn(work, f"the event {type(event).__name__}")

    async def _failed(self, claim: Claim, error: BaseException, attempt: Attempt | None) -> None:
        """Write down a failed attempt and free the charge for the next one."""
        charges, reference = self._shop.charges, claim.key.name
        if isinstance(error, asyncio.CancelledError):
            # Whoever cancelled the handler did not judge it: the attempt does not count.
            await charges.give_back(claim, attempts=claim.body["attempts"] - 1)
            return
        if isinstance(error, TelegramForbiddenError) and getattr(error.method, "chat_id", None) == claim.body["user"]:
            # The buyer blocked the bot: another attempt would repeat what ran before the refused message.
            await charges.settle(claim, state=STUCK, reason="buyer_unreachable", error=_name(error))
            logger.error("payment %s is stuck: the buyer blocked the bot in the middle of the delivery", reference)
            return
        done = sorted({*claim.body.get("done", ()), *(attempt.succeeded if attempt is not None else ())})
        await charges.give_back(claim, error=_name(error), done=done)
        logger.warning("payment %s: attempt %s failed (%s)", reference, claim.body["attempts"], _name(error))


def _doubt(token: InvoiceToken | None, paid: SuccessfulPayment) -> str | None:
    """Return why a payment cannot be what was offered; Telegram let nobody pay anything else, so it is news."""
    if token is None:
        return "bad_token"
    return None if paid.total_amount == token.amount and paid.currency == CURRENCY else "wrong_amount"


def _event(kind: type[E], bot: Bot, claim: Claim, stage: PaymentStage | None, message: Message, **fields: Any) -> E:
    return payment_of(claim.body, claim.key.name, stage, kind, bot=bot, message=message, **fields)


async def _leave_to_bot(handler: Next, update: Update, data: dict[str, Any], payment: PaymentResult) -> Any:
    data["payment"] = payment
    data["stage"] = None
    return await handler(update, data)


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
