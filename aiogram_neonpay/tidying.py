"""After a payment: its invoice and prompts are put away or turned into a receipt, and the buyer is thanked.

All of it comes after the charge is settled and none of it can fail a delivery. Deleting what is gone already does
nothing, so it may be done twice.
"""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

from aiogram import Bot
from aiogram.exceptions import AiogramError
from aiogram.types import Message

from aiogram_neonpay.events import answer
from aiogram_neonpay.ledger.traces import Trace, Traces
from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage

__all__ = ["Tidier"]

logger = logging.getLogger("aiogram_neonpay")


class Saying(NamedTuple):
    """What is said to a buyer, and how: an author's text in the bot's own parse mode, ours in none."""

    text: str
    options: dict[str, Any]


class Tidier:
    """Tidies up after the payments of one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def is_wanted(self, stage: PaymentStage | None) -> bool:
        """Whether invoices of a stage are to be tidied away, so that their messages must be known."""
        return self._way(stage) != "keep"

    def _way(self, stage: PaymentStage | None) -> str:
        return self._shop.tidy if stage is None or stage.tidy is None else stage.tidy

    def _thanks(self, stage: PaymentStage | None, language: str | None) -> Saying | None:
        own = None if stage is None else stage.thank_you
        wanted = self._shop.thank_you if own is None else own
        if wanted is True:
            return Saying(self._shop.texts.get("thank_you", language), {"parse_mode": None})
        return Saying(wanted, {}) if wanted else None

    async def note(self, bot: Bot, invoice_id: str, shown: Message, prompts: Sequence[int]) -> None:
        """Note the messages of an invoice that is one buyer's; a storage that fails costs only the tidying."""
        messages = [shown.message_id, *prompts]
        try:
            await Traces(self._shop.engine).put(
                bot.id, invoice_id, shown.chat.id, messages, is_text=shown.text is not None
            )
        except Exception:
            logger.exception("the messages of invoice %s will not be tidied away", invoice_id)

    def after(self, bot: Bot, payment: PaymentResult, language: str | None) -> Coroutine[Any, Any, None] | None:
        """Return what is to be done after a delivery, or ``None``."""
        way = self._way(payment.stage)
        renews = payment.is_recurring and not payment.is_first_recurring
        if renews or payment.is_media:  # neither has an invoice message
            way = "keep"
        receipt = self._receipt(payment, language) if way == "receipt" else None
        thanks = self._thanks(payment.stage, language)
        if way == "keep" and thanks is None:
            return None
        return self._tidy(bot, payment, way, receipt, thanks)

    def _receipt(self, payment: PaymentResult, language: str | None) -> str:
        say = self._shop.texts.get
        title = payment.stage.title if payment.stage is not None else payment.stage_id
        stars = say("stars", language, n=payment.amount)
        return say("receipt", language, title=title, stars=stars, reference=payment.reference)

    async def _tidy(
        self, bot: Bot, payment: PaymentResult, way: str, receipt: str | None, thanks: Saying | None
    ) -> None:
        trace = None
        if way != "keep" and payment.invoice_id:
            try:
                trace = await Traces(self._shop.engine).get(bot.id, payment.invoice_id)
            except Exception:
                logger.exception("payment %s: the messages of its invoice are not known", payment.reference)
        if trace is not None and await self._put_away(bot, payment, trace, receipt):
            receipt = None
        for saying in (None if receipt is None else Saying(receipt, {"parse_mode": None}), thanks):
            if saying is not None:
                await answer(bot, payment.user_id, f"payment {payment.reference}", saying.text, saying.options)

    async def _put_away(self, bot: Bot, payment: PaymentResult, trace: Trace, receipt: str | None) -> bool:
        """Delete the messages of an invoice; return whether one of them was made the receipt instead."""
        first, *others = trace.messages
        is_receipt = False
        if receipt is not None and trace.is_text and trace.chat_id == payment.user_id:
            is_receipt = await self._try(
                payment, bot.edit_message_text(receipt, chat_id=trace.chat_id, message_id=first, parse_mode=None)
            )
        for message_id in others if is_receipt else trace.messages:
            await self._try(payment, bot.delete_message(trace.chat_id, message_id))
        return is_receipt

    async def _try(self, payment: PaymentResult, call: Coroutine[Any, Any, Any]) -> bool:
        try:
            await call
        except AiogramError as error:
            logger.info("payment %s: a message was not tidied away (%s)", payment.reference, error)
            return "message is not modified" in str(error)
        return True
