"""The pre-checkout decision: approve what was offered and nothing else, and answer in time whatever hangs.

Telegram waits 10 seconds (Bot API ``answerPreCheckoutQuery``). The deadline here is a timer that starts when the update
arrives, outside every handler, filter, middleware and storage of the bot.
"""

from __future__ import annotations

import asyncio
import logging
from copy import deepcopy
from typing import Any

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError
from aiogram.types import PreCheckoutQuery, Update

from aiogram_neonpay.errors import RejectPayment
from aiogram_neonpay.events import CheckoutDeclined
from aiogram_neonpay.feed import Feed
from aiogram_neonpay.hooks import Next, stepping_round_isolation
from aiogram_neonpay.limits import Limits
from aiogram_neonpay.models import CURRENCY, Checkout
from aiogram_neonpay.news import News
from aiogram_neonpay.opencheckout import OpenCheckout
from aiogram_neonpay.passage import Passage
from aiogram_neonpay.payload import InvoiceToken
from aiogram_neonpay.routers import payment_routers
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage
from aiogram_neonpay.way import Way

__all__ = ["CHECKOUT", "Cashier"]

logger = logging.getLogger("aiogram_neonpay")

DEADLINE = 8.0
"""Seconds from the arrival of a query to our last word; Telegram's ten, less the way there and back."""
CHECKOUT = "neonpay_checkout"
"""Key under which an open checkout travels in aiogram's handler data."""


class Declined(Exception):
    """Why a checkout is declined: a reason code, and the buyer's sentence if it is not the usual one."""

    def __init__(self, reason: str, text: str | None = None) -> None:
        self.reason = reason
        self.text = text
        super().__init__(reason)


class Cashier:
    """Decides checkouts of one shop."""

    def __init__(self, shop: Shop, feed: Feed, way: Way, news: News) -> None:
        self._shop = shop
        self._feed = feed
        self._way = way
        self._news = news
        self._limits = Limits(shop)

    async def on_query(self, handler: Next, update: Update, token: InvoiceToken | None, data: dict[str, Any]) -> Any:
        """Let a query of ours pass through the bot, and see to it that it is answered."""
        query = update.pre_checkout_query
        assert query is not None
        bot: Bot = data["bot"]
        checkout = OpenCheckout(bot, query, token, self._feed, self._shop.timing)
        data[CHECKOUT] = checkout
        try:
            is_at_once = self._decides_at_once(checkout.token) and self._is_way_clear()
        except Exception:
            await self._decline(checkout, Declined("interrupted"))
            raise
        if is_at_once:
            return await self._decide_at_once(checkout, data)
        in_hand = self._shop.take_in_hand(bot)
        timer = self._shop.timing.call_later(DEADLINE, self._on_deadline, checkout)
        passing = stepping_round_isolation.set(True)
        try:
            response = await handler(update, data)
        except Exception:
            await self._decline(checkout, Declined("interrupted"))
            raise
        finally:
            stepping_round_isolation.reset(passing)
            self._shop.put_down(in_hand)
            if checkout.answered:
                timer.cancel()
        if not checkout.answered:
            timer.cancel()
            logger.warning("a checkout was stopped by a middleware or a filter of the bot before it was decided")
            await self._decline(checkout, Declined("interrupted"))
        return response

    async def _decide_at_once(self, checkout: OpenCheckout, data: dict[str, Any]) -> None:
        """Decide where there is nothing to wait for and nobody to ask: no lock, no storage, no timer."""
        try:
            await self._decide(checkout, data, at_once=True)
        except Exception:
            await self._decline(checkout, Declined("interrupted"))
            raise

    def _on_deadline(self, checkout: OpenCheckout) -> None:
        if not checkout.answered:
            logger.error("a checkout was not decided within %s s and is declined", DEADLINE)
            self._feed.spawn(self._decline(checkout, Declined("too_slow")), "the answer to a late checkout")

    async def decide(self, query: PreCheckoutQuery, data: dict[str, Any]) -> None:
        """Decide a query: handler 0 of the root's ``pre_checkout_query`` observer."""
        checkout: OpenCheckout = data[CHECKOUT]
        await self._decide(checkout, data, at_once=self._decides_at_once(checkout.token))

    async def _decide(self, checkout: OpenCheckout, data: dict[str, Any], *, at_once: bool) -> None:
        try:
            token = self._check_token(checkout)
            if at_once:
                self._check_stage(checkout, token, self._shop.catalog.known(token.stage_id))
            else:
                await self._decide_in_time(checkout, token, data)
        except Declined as declined:
            await self._decline(checkout, declined)
            await self._let_go(checkout)
        else:
            await self._approve(checkout)

    async def _approve(self, checkout: OpenCheckout) -> None:
        """Say yes; what was kept is free again if that comes too late or Telegram has surely not taken it."""
        if checkout.answered:
            await self._let_go(checkout)
            return
        try:
            await checkout.approve()
        except TelegramAPIError:
            if not checkout.is_doubtful:
                await self._let_go(checkout)
            raise
        token = checkout.token
        if token is not None and token.stored:  # after the answer, and beside the payment that follows it
            bot, query = checkout.bot, checkout.query
            note = self._shop.invoices.note_approval(bot.id, token.invoice_id, query.from_user.id, self._shop.clock())
            self._feed.spawn(note, f"the note that a checkout of the invoice {token.invoice_id} was approved")

    async def _let_go(self, checkout: OpenCheckout) -> None:
        """Give up what was kept for the buyer."""
        stage, token, buyer = checkout.stage, checkout.token, checkout.query.from_user.id
        if checkout.holds and stage is not None and token is not None:
            checkout.holds = False
            held = (token.stage_id, stage, token.invoice_id, checkout.discounted)
            await self._limits.let_go(checkout.bot, buyer, *held)

    def _decides_at_once(self, token: InvoiceToken | None) -> bool:
        """Whether the token and the catalog of this process tell all there is to know."""
        if token is None:
            return True
        if not self._shop.catalog.is_static or token.stored or self._validators(token.stage_id):
            return False
        stage = self._shop.catalog.known(token.stage_id)
        return stage is None or not stage.is_limited

    def _is_way_clear(self) -> bool:
        dispatcher = self._shop.dispatcher
        return dispatcher is not None and self._way.is_clear(dispatcher, "pre_checkout_query")

    def _check_token(self, checkout: OpenCheckout) -> InvoiceToken:
        token, query = checkout.token, checkout.query
        if token is None:
            raise Declined("bad_token")
        if query.currency != CURRENCY:
            raise Declined("wrong_currency")
        if query.total_amount != token.amount:
            raise Declined("wrong_amount")
        if token.buyer is not None and token.buyer != query.from_user.id:
            raise Declined("wrong_buyer")
        if token.expires_at is not None and token.expires_at <= self._shop.clock():
            raise Declined("expired")
        return token

    def _check_stage(self, checkout: OpenCheckout, token: InvoiceToken, stage: PaymentStage | None) -> PaymentStage:
        checkout.stage = stage
        if stage is None:
            raise Declined("stage_not_found")
        usual = deepcopy(dict(stage.payload)) if stage.payload else {}
        checkout.metadata = {**usual, **token.metadata}
        if not stage.on_sale:
            raise Declined("not_on_sale")
        return stage

    async def _decide_in_time(self, checkout: OpenCheckout, token: InvoiceToken, data: dict[str, Any]) -> None:
        """Decide what needs waiting for in a task, which may hang or ignore its cancellation."""
        task = asyncio.get_running_loop().create_task(self._decide_slowly(checkout, token, data))
        try:
            await self._shop.timing.wait(task, max(0.0, checkout.remaining(DEADLINE)))
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done():
            task.cancel()
            task.add_done_callback(_forget)
            raise Declined("too_slow")
        task.result()

    async def _decide_slowly(self, checkout: OpenCheckout, token: InvoiceToken, data: dict[str, Any]) -> None:
        try:
            loaded = await self._shop.catalog.get(token.stage_id)
        except Exception as error:
            logger.exception("the stage loader failed for %s", token.stage_id)
            raise Declined("check_failed") from error
        stage = self._check_stage(checkout, token, loaded)
        if token.stored:
            await self._check_stored(checkout, token)
        asked = Checkout(
            bot=checkout.bot,
            user=checkout.query.from_user,
            stage=stage,
            stage_id=token.stage_id,
            amount=token.amount,
            currency=checkout.query.currency,
            metadata=checkout.metadata,
            invoice_id=token.invoice_id,
            query=checkout.query,
            promo=None if checkout.discounted is None else checkout.discounted["promo"],
            is_gift=token.gift,
        )
        root = self._shop.dispatcher
        assert root is not None
        for observer, validator in self._validators(token.stage_id):
            try:
                passage = Passage()
                given = {**data, "stage": stage}
                await observer.run(passage, validator, asked, checkout.query, "pre_checkout_query", root, given)
            except Exception as error:
                passage.note(error)
            if isinstance(passage.error, RejectPayment):
                raise Declined("rejected", str(passage.error.reason).strip() or None)
            if passage.error is not None:
                logger.error("the validator %s failed", validator.name, exc_info=passage.error)
                raise Declined("check_failed")
            if passage.stopped or passage.result is False:
                raise Declined("rejected")
        if stage.is_limited or checkout.discounted is not None:
            await self._hold(checkout, token, stage)

    async def _hold(self, checkout: OpenCheckout, token: InvoiceToken, stage: PaymentStage) -> None:
        """Keep for the buyer what is limited."""
        buyer = checkout.query.from_user.id
        wanted = (token.stage_id, stage, token.invoice_id, checkout.discounted)
        holding = asyncio.ensure_future(self._limits.hold(checkout.bot, buyer, *wanted))
        try:
            lacking = await asyncio.shield(holding)
        except asyncio.CancelledError:  # the storage may keep it all the same
            self._feed.spawn(self._let_go_late(checkout, holding), "giving up what was kept for a late checkout")
            raise
        except Exception as error:
            logger.exception("what is left of %s could not be read", token.stage_id)
            raise Declined("check_failed") from error
        if lacking is not None:
            raise Declined(lacking)
        checkout.holds = True

    async def _let_go_late(self, checkout: OpenCheckout, holding: asyncio.Future[str | None]) -> None:
        checkout.holds = await holding is None
        await self._let_go(checkout)

    async def _check_stored(self, checkout: OpenCheckout, token: InvoiceToken) -> None:
        try:
            record = await self._shop.invoices.get(checkout.bot.id, token.invoice_id)
        except Exception as error:
            logger.exception("the stored invoice %s could not be read", token.invoice_id)
            raise Declined("check_failed") from error
        if record is None:
            raise Declined("expired")
        if record["state"] == "cancelled":
            raise Declined("cancelled")
        if record["single"] and record.get("paid"):
            raise Declined("already_paid")
        checkout.metadata.update(record["metadata"] or {})
        checkout.discounted = record if record.get("promo") is not None else None

    def _validators(self, stage_id: str) -> list[tuple[Any, Any]]:
        root = self._shop.dispatcher
        if root is None:
            return []
        return [
            (router.check, validator)
            for router in payment_routers(root)
            for validator in router.check.registered
            if not validator.stage_ids or stage_id in validator.stage_ids
        ]

    async def _decline(self, checkout: OpenCheckout, declined: Declined) -> None:
        if checkout.answered:
            return
        query, token = checkout.query, checkout.token
        usual = self._shop.texts.get(declined.reason, query.from_user.language_code)
        text = declined.text or usual
        await checkout.decline(text, usual)
        logger.info(
            "bot %s: a checkout of %s by user %s was declined: %s",
            checkout.bot.id,
            token.stage_id if token else "an unknown stage",
            query.from_user.id,
            declined.reason,
        )
        event = CheckoutDeclined(
            bot=checkout.bot,
            user=query.from_user,
            reason=declined.reason,
            text=text,
            amount=query.total_amount,
            currency=query.currency,
            stage_id=None if token is None else token.stage_id,
            stage=checkout.stage,
            invoice_id=None if token is None else token.invoice_id,
            metadata=checkout.metadata,
        )
        self._news.tell(checkout.bot, event, query.from_user)


def _forget(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
