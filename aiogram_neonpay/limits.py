"""Limits of what is sold: so many in all, so many for each buyer, exact however many checkouts come at once.

A checkout is approved only with a share kept for it, for a quarter of an hour or until its answer has failed. A payment
takes that share; one that comes later takes a free one; if there is none, the stage says what to do. With them go the
uses of promo codes.
"""

from __future__ import annotations

from typing import Any

from aiogram import Bot

from aiogram_neonpay.discounts import Discounts
from aiogram_neonpay.ledger.charges import Claim
from aiogram_neonpay.ledger.shares import give_back_own, hold_own, let_go_own, take_own
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
        if stage.per_user is not None and not await self._hold_own(bot, user_id, stage_id, stage.per_user, who):
            return "owned" if stage.per_user == 1 else "limit_reached"
        if stage.stock is not None and not await self._shop.stocks.hold(bot.id, stage_id, stage.stock, who):
            await self._let_go_own(bot, user_id, stage_id, who)
            return "sold_out"
        if discounted is not None:
            reason = await self._discounts.hold(bot, user_id, discounted, who)
            if reason is not None:
                await self.let_go(bot, user_id, stage_id, stage, invoice_id)
                return reason
        return None

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

    async def _hold_own(self, bot: Bot, user_id: int, stage_id: str, per_user: int, who: str) -> bool:
        now, kept = self._shop.clock(), False

        def hold(known: Body) -> Body | None:
            nonlocal kept
            fields = hold_own(known, stage_id, per_user, who, now)
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
        if body.get("promo") is not None:
            await self._discounts.take(bot, claim, who)
        return True

    async def _take(self, bot: Bot, claim: Claim, stage: PaymentStage, who: str) -> bool:
        body = claim.body
        if body.get("took"):
            return True
        stage_id, anyway = body["stage"], stage.oversold == "deliver"
        if stage.per_user is not None and not await self._take_own(bot, claim, stage.per_user, who, anyway):
            await self.let_go(bot, body["user"], stage_id, stage, body.get("invoice") or "")
            return False
        if stage.stock is not None:
            taken = await self._shop.stocks.take(bot.id, stage_id, stage.stock, who, claim.key.name, anyway=anyway)
            if not taken:
                await self.give_back(bot, claim)
                return False
            claim.notes["took"] = body["took"] = True
        return True

    async def _take_own(self, bot: Bot, claim: Claim, per_user: int, who: str, anyway: bool) -> bool:
        body, ref, now, taken = claim.body, claim.key.name, self._shop.clock(), False

        def take(known: Body) -> Body | None:
            nonlocal taken
            fields, taken = take_own(known, body["stage"], per_user, who, ref, now, anyway=anyway)
            return fields

        await self._shop.buyers.change(bot.id, body["user"], take)
        return taken

    async def noted(self, bot: Bot, claim: Claim) -> None:
        """Let what is counted forget a charge whose own record says by now what it took."""
        if claim.body.get("took"):
            await self._shop.stocks.forget(bot.id, claim.body["stage"], claim.key.name)
        if claim.body.get("promo_used"):
            await self._discounts.noted(bot, claim)

    async def give_back(self, bot: Bot, claim: Claim) -> None:
        """Return the shares of a charge that is refunded."""
        body, ref = claim.body, claim.key.name
        stage_id = body.get("stage")
        if stage_id is None:
            return
        if body.get("took"):
            await self._shop.stocks.give_back(bot.id, stage_id, ref)
        await self._shop.buyers.change(bot.id, body["user"], lambda known: give_back_own(known, stage_id, ref))
        await self._discounts.give_back(bot, claim)


def _who(user_id: int, invoice_id: str) -> str:
    return f"{user_id}.{invoice_id}"
