"""Promo codes at work: what a sale costs with one, and that none is used more often than it may be.

A use is reserved when the invoice is issued, kept when its checkout is approved, and counted when it is paid. The price
stands in the invoice's signed payload: after the approval nothing about the code is asked any more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from aiogram import Bot

from aiogram_neonpay.errors import PromoError
from aiogram_neonpay.ledger.charges import Claim
from aiogram_neonpay.ledger.shares import give_back_own, hold_own, let_go_own, owned, take_own
from aiogram_neonpay.payload import InvoiceToken
from aiogram_neonpay.promo import PromoCode, PromoUsage, is_promo_code, promo_from
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage

__all__ = ["APPROVED", "RESERVED", "Discount", "Discounts", "name_of"]

RESERVED = 3600.0
"""Seconds for which an issued invoice keeps a use of its code, if it does not expire before."""
APPROVED = 86400.0
"""Seconds for which an approved checkout keeps it: so long Telegram keeps the news of a payment for the bot (Bot API
``getUpdates``). Almost every approved checkout is paid within seconds."""
ANY_NUMBER = 1 << 53

Body = dict[str, Any]


class Discount(NamedTuple):
    """What an invoice keeps of its promo code.

    :ivar amount: what is left of the price.
    :ivar full: the price without the code.
    :ivar until: Unix seconds until which its use is reserved.
    :ivar holder: in whose name.
    """

    code: str
    amount: int
    full: int
    until: float
    holder: str

    def record(self) -> Body:
        """Return what the stored invoice says of it."""
        return {"promo": self.code, "full": self.full, "promo_until": self.until, "promo_for": self.holder}


class Discounts:
    """Applies the promo codes of one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def find(self, bot: Bot, code: str) -> tuple[PromoCode | None, bool]:
        """Return the terms of a code, and whether it may be used: those of a removed one are still known."""
        known = self._shop.promos.get(code)
        if known is not None:
            return known, True
        terms = await self._shop.promo_codes.get(bot.id, code)
        return (None, False) if terms is None else (promo_from(terms), not terms["removed"])

    # When an invoice is issued

    async def offer(
        self,
        bot: Bot,
        code: str,
        stage: PaymentStage,
        token: InvoiceToken,
        buyer: int | None,
        language: str | None,
    ) -> Discount:
        """Return what a sale costs with a code, and reserve a use of it.

        One buyer has one use reserved, however many invoices they ask for.

        :param token: the invoice at its full price.
        :raises PromoError: when it cannot be used.
        """
        promo, is_valid = await self.find(bot, code) if is_promo_code(code) else (None, False)
        now = self._shop.clock()
        reason = "unknown" if promo is None or not is_valid else promo.period(now)
        if promo is None or reason is not None:
            raise self._refusal(code, reason or "unknown", language)
        amount = promo.price(token.amount)
        if not promo.is_for(token.stage_id, subscription=stage.subscription) or amount == token.amount:
            raise self._refusal(code, "not_for_stage", language)
        if promo.per_user is not None and buyer is not None:
            known = await self._shop.buyers.read(bot.id, buyer)
            if len(owned(known, name_of(code))) >= promo.per_user:
                raise self._refusal(code, "already_used", language)
        holder = f"i{token.invoice_id}" if buyer is None else f"u{buyer}"
        seconds = RESERVED if token.expires_at is None else min(RESERVED, max(1.0, token.expires_at - now))
        if promo.total is not None and not await self._shop.stocks.reserve(
            bot.id, name_of(code), promo.total, holder, seconds
        ):
            raise self._refusal(code, "used_up", language)
        return Discount(code, amount, token.amount, now + seconds, holder)

    def _refusal(self, code: str, reason: str, language: str | None) -> PromoError:
        return PromoError(code, reason, self._shop.texts.get(f"promo_{reason}", language))

    async def release(self, bot: Bot, invoice: Body) -> None:
        """Give up what was reserved for an invoice that nobody will pay."""
        if invoice.get("promo") is not None:
            await self._shop.stocks.let_go(bot.id, name_of(invoice["promo"]), invoice["promo_for"])

    # At a checkout

    async def hold(self, bot: Bot, user_id: int, invoice: Body, who: str) -> str | None:
        """Keep a use for a checkout: the reserved one, or a free one.

        While the invoice's use is reserved, the code is not judged anew; later it must still be valid.

        :return: ``None``, or why there is none.
        """
        code, now = invoice["promo"], self._shop.clock()
        promo, is_valid = await self.find(bot, code)
        if promo is None:
            return "promo_ended"
        if now >= invoice["promo_until"] and (not is_valid or promo.period(now) is not None):
            return "promo_ended"
        if promo.per_user is not None and not await self._hold_own(bot, user_id, name_of(code), promo.per_user, who):
            return "promo_already_used"
        lacking: str | None = "promo_used_up"
        try:
            if promo.total is None or await self._hold_use(bot, user_id, invoice, promo.total, who):
                lacking = None
        finally:
            if lacking is not None and promo.per_user is not None:
                await self._let_go_own(bot, user_id, name_of(code), who)
        return lacking

    async def _hold_own(self, bot: Bot, user_id: int, name: str, per_user: int, who: str) -> bool:
        now, kept = self._shop.clock(), False

        def hold(known: Body) -> Body | None:
            nonlocal kept
            fields = hold_own(known, name, per_user, who, now, seconds=APPROVED)
            kept = fields is not None
            return fields

        await self._shop.buyers.change(bot.id, user_id, hold)
        return kept

    async def _hold_use(self, bot: Bot, user_id: int, invoice: Body, total: int, who: str) -> bool:
        """Keep one of all uses: that of the buyer, or of an invoice for everybody, if it is reserved."""
        holder = invoice["promo_for"]
        reserved = holder if holder in (f"u{user_id}", f"i{invoice['invoice']}") else None
        name = name_of(invoice["promo"])
        return await self._shop.stocks.hold(bot.id, name, total, who, seconds=APPROVED, reserved=reserved)

    async def let_go(self, bot: Bot, user_id: int, invoice: Body, who: str) -> None:
        """Give up what was kept for a checkout that was not approved after all."""
        name = name_of(invoice["promo"])
        await self._shop.stocks.let_go(bot.id, name, who)
        await self._let_go_own(bot, user_id, name, who)

    async def _let_go_own(self, bot: Bot, user_id: int, name: str, who: str) -> None:
        now = self._shop.clock()
        await self._shop.buyers.change(bot.id, user_id, lambda known: let_go_own(known, name, who, now))

    # At a payment

    async def take(self, bot: Bot, claim: Claim, who: str) -> list[str]:
        """Count a use for a charge, once; the buyer has paid that price, so nothing is asked any more.

        :return: charges that the count may forget: see :meth:`Stocks.take`.
        """
        body, ref, now = claim.body, claim.key.name, self._shop.clock()
        if body.get("promo_used"):
            return []
        name = name_of(body["promo"])
        promo, _ = await self.find(bot, body["promo"])
        if promo is not None and promo.per_user is not None:
            await self._shop.buyers.change(
                bot.id, body["user"], lambda known: take_own(known, name, 0, who, ref, now, anyway=True)[0]
            )
        taken, crowd = await self._shop.stocks.take(bot.id, name, ANY_NUMBER, who, ref, anyway=True)
        if taken:
            claim.notes["promo_used"] = body["promo_used"] = True
        return crowd

    async def give_back(self, bot: Bot, user_id: int, code: str, ref: str, *, took: bool) -> None:
        """Return the use of a charge that is refunded, once.

        :param took: whether the charge's own record says that it was counted; else the count may still know it.
        """
        name = name_of(code)
        await self._shop.stocks.give_back(bot.id, name, ref, took=took)
        await self._shop.buyers.change(bot.id, user_id, lambda known: give_back_own(known, name, ref))

    # Reading

    async def usage(self, bot: Bot, code: str) -> PromoUsage | None:
        """Return how often a code was used; ``None`` for one that never was there."""
        promo, _ = await self.find(bot, code)
        if promo is None:
            return None
        used, reserved = await self._shop.stocks.usage(bot.id, name_of(code))
        left = None if promo.total is None else max(0, promo.total - used - reserved)
        return PromoUsage(used, reserved, left)


def name_of(code: str) -> str:
    """Return under what the uses of a code are counted; no stage is called so."""
    return f"promo:{code}"
