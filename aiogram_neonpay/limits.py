"""Limits of what is sold: so many in all, so many for each buyer, exact however many checkouts come at once.

A checkout is approved only with a share kept for it, for a quarter of an hour or until its answer has failed. A payment
takes that share; one that comes later takes a free one; if there is none, the stage says what to do. With them go the
uses of promo codes.
"""

from __future__ import annotations

from typing import Any

from aiogram import Bot

from aiogram_neonpay.discounts import Discounts, name_of
from aiogram_neonpay.ledger.charges import Claim
from aiogram_neonpay.ledger.shares import give_back_own, hold_own, let_go_own, take_own
from aiogram_neonpay.ledger.subscriptions import EXPIRED
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage

__all__ = ["Limits"]

Body = dict[str, Any]


class Limits:
    """Keeps, takes and returns shares of what is limited in one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._discounts = Discounts(shop)

    # At a checkout

    async def hold(
        self,
        bot: Bot,
        user_id: int,
        stage_id: str,
        stage: PaymentStage,
        invoice_id: str,
        discounted: Body | None = None,
    ) -> str | None:
        """Keep a share for a checkout.

        :param discounted: the stored invoice, if it has a promo code.
        :return: ``None``, or why there is none: ``owned``, ``limit_reached``, ``sold_out``, or a reason of the code.
        """
        who = _who(user_id, invoice_id)
        if stage.per_user is not None and not await self._hold_own(bot, user_id, stage_id, stage, who):
            return "owned" if stage.per_user == 1 else "limit_reached"
        lacking: str | None = "check_failed"
        try:
            lacking = await self._hold_others(bot, user_id, stage_id, stage, who, discounted)
        finally:
            if lacking is not None and stage.per_user is not None:
                await self._let_go_own(bot, user_id, stage_id, who)
        return lacking

    async def _hold_others(
        self, bot: Bot, user_id: int, stage_id: str, stage: PaymentStage, who: str, discounted: Body | None
    ) -> str | None:
        """Keep what is not the buyer's own: of the stock, and a use of the promo code."""
        if stage.stock is not None and not await self._shop.stocks.hold(bot.id, stage_id, stage.stock, who):
            return "sold_out"
        if discounted is None:
            return None
        lacking: str | None = "check_failed"
        try:
            lacking = await self._discounts.hold(bot, user_id, discounted, who)
        finally:
            if lacking is not None and stage.stock is not None:
                await self._shop.stocks.let_go(bot.id, stage_id, who)
        return lacking

    async def let_go(
        self,
        bot: Bot,
        user_id: int,
        stage_id: str,
        stage: PaymentStage,
        invoice_id: str,
        discounted: Body | None = None,
    ) -> None:
        """Give up what was kept for a checkout that was not approved after all."""
        who = _who(user_id, invoice_id)
        if discounted is not None:
            await self._discounts.let_go(bot, user_id, discounted, who)
        if stage.stock is not None:
            await self._shop.stocks.let_go(bot.id, stage_id, who)
        if stage.per_user is not None:
            await self._let_go_own(bot, user_id, stage_id, who)

    async def _hold_own(self, bot: Bot, user_id: int, stage_id: str, stage: PaymentStage, who: str) -> bool:
        now, kept, per_user = self._shop.clock(), False, stage.per_user or 0

        def hold(known: Body) -> Body | None:
            nonlocal kept
            fields = hold_own(known, stage_id, per_user, who, now, over=_over(known, stage))
            kept = fields is not None
            return fields

        await self._shop.buyers.change(bot.id, user_id, hold)
        return kept

    async def _let_go_own(self, bot: Bot, user_id: int, stage_id: str, who: str) -> None:
        now = self._shop.clock()
        await self._shop.buyers.change(bot.id, user_id, lambda known: let_go_own(known, stage_id, who, now))

    # At a payment

    async def take(self, bot: Bot, claim: Claim, stage: PaymentStage | None) -> bool:
        """Take a share for a charge; ``False`` when there is none and the stage wants such a charge refunded."""
        body = claim.body
        who = _who(body["user"], body.get("invoice") or "")
        if stage is not None and stage.is_limited and not await self._take(bot, claim, stage, who):
            if body.get("promo") is not None:
                await self._discounts.let_go(bot, body["user"], body, who)
            return False
        if body.get("promo") is not None and (crowd := await self._discounts.take(bot, claim, who)):
            await self._tidy(bot, name_of(body["promo"]), crowd, "promo_used")
        return True

    async def _take(self, bot: Bot, claim: Claim, stage: PaymentStage, who: str) -> bool:
        body = claim.body
        if body.get("took"):
            return True
        stage_id, anyway = body["stage"], stage.oversold == "deliver"
        if stage.per_user is not None and not await self._take_own(bot, claim, stage, who, anyway):
            await self.let_go(bot, body["user"], stage_id, stage, body.get("invoice") or "")
            return False
        if stage.stock is not None:
            ref = claim.key.name
            taken, crowd = await self._shop.stocks.take(bot.id, stage_id, stage.stock, who, ref, anyway=anyway)
            if crowd:
                await self._tidy(bot, stage_id, crowd, "took")
            if not taken:
                await self.give_back(bot, claim)
                return False
            claim.notes["took"] = body["took"] = True
        return True

    async def _take_own(self, bot: Bot, claim: Claim, stage: PaymentStage, who: str, anyway: bool) -> bool:
        body, ref, now, taken = claim.body, claim.key.name, self._shop.clock(), False
        stage_id, per_user = body["stage"], stage.per_user or 0

        def take(known: Body) -> Body | None:
            nonlocal taken
            over = _over(known, stage)
            fields, taken = take_own(known, stage_id, per_user, who, ref, now, anyway=anyway, over=over)
            return fields

        await self._shop.buyers.change(bot.id, body["user"], take)
        return taken

    async def _tidy(self, bot: Bot, name: str, refs: list[str], note: str) -> None:
        """Let what is counted under a name forget the charges whose own records say by now what they took."""
        bodies = await self._shop.charges.read(bot.id, refs)
        known = {ref for ref, body in zip(refs, bodies, strict=True) if body is None or body.get(note)}
        if known:
            await self._shop.stocks.forget(bot.id, name, known)

    async def free(self, bot: Bot, sub_id: str, sub: Body) -> bool:
        """Return the share of a subscription that has ended, which its first charge took; ``False`` if it has none."""
        if sub.get("free") or sub_id in sub.get("back", {}):
            return False
        [charge] = await self._shop.charges.read(bot.id, [sub_id])
        if charge is None or not charge.get("took"):
            return False
        await self._shop.stocks.give_back(bot.id, charge["stage"], sub_id, took=True)
        return True

    async def give_back(self, bot: Bot, claim: Claim) -> None:
        """Return the shares of a charge that is refunded."""
        body, ref = claim.body, claim.key.name
        stage_id = body.get("stage")
        if stage_id is None:
            return
        buyer = await self._shop.buyers.read(bot.id, body["user"])
        if not buyer.get("subs", {}).get(ref, {}).get("free"):  # else the end of its subscription has returned it
            # A process that died in an attempt may have left no word in the charge's own record.
            await self._shop.stocks.give_back(bot.id, stage_id, ref, took=bool(body.get("took")))
        await self._shop.buyers.change(bot.id, body["user"], lambda known: give_back_own(known, stage_id, ref))
        if (code := await self._promo_of(bot, body)) is not None:
            await self._discounts.give_back(bot, body["user"], code, ref, took=bool(body.get("promo_used")))

    async def _promo_of(self, bot: Bot, body: Body) -> str | None:
        """Return the promo code of a charge, which an attempt that nobody saw the end of left to its invoice to say."""
        code: str | None = body.get("promo")
        if code is None and body.get("stored") and body.get("recurring") != "again":
            invoice = await self._shop.invoices.get(bot.id, body["invoice"])
            code = None if invoice is None else invoice.get("promo")
        return code


def _who(user_id: int, invoice_id: str) -> str:
    return f"{user_id}.{invoice_id}"


def _over(known: Body, stage: PaymentStage) -> set[str]:
    """Return what counts no more: a subscription, known by its first charge, is had until it ends."""
    if not stage.subscription:
        return set()
    return {ref for ref, sub in known.get("subs", {}).items() if sub["state"] == EXPIRED}
