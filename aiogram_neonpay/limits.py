"""Limits of what is sold: so many in all, so many for each buyer, exact however many checkouts come at once.

A checkout is approved only with a share kept for it, for a quarter of an hour or until its answer has failed. A payment
takes that share; one that comes later takes a free one; if there is none, the stage says what to do.
"""

from __future__ import annotations

from typing import Any

from aiogram import Bot

from aiogram_neonpay.ledger.charges import Claim
from aiogram_neonpay.ledger.stock import held, put_hold, take_hold
from aiogram_neonpay.ledger.subscriptions import EXPIRED
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage

__all__ = ["Limits"]

Body = dict[str, Any]


class Limits:
    """Keeps, takes and returns shares of what is limited in one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    # At a checkout

    async def hold(self, bot: Bot, user_id: int, stage_id: str, stage: PaymentStage, invoice_id: str) -> str | None:
        """Keep a share for a checkout.

        :return: ``None``, or why there is none: ``owned``, ``limit_reached``, ``sold_out``.
        """
        who = _who(user_id, invoice_id)
        if stage.per_user is not None and not await self._hold_own(bot, user_id, stage_id, stage, who):
            return "owned" if stage.per_user == 1 else "limit_reached"
        if stage.stock is None:
            return None
        is_held = False
        try:
            is_held = await self._shop.stocks.hold(bot.id, stage_id, stage.stock, who)
        finally:
            if not is_held and stage.per_user is not None:
                await self._let_go_own(bot, user_id, stage_id, who)
        return None if is_held else "sold_out"

    async def let_go(self, bot: Bot, user_id: int, stage_id: str, stage: PaymentStage, invoice_id: str) -> None:
        """Give up what was kept for a checkout that was not approved after all."""
        who = _who(user_id, invoice_id)
        if stage.stock is not None:
            await self._shop.stocks.let_go(bot.id, stage_id, who)
        if stage.per_user is not None:
            await self._let_go_own(bot, user_id, stage_id, who)

    async def _hold_own(self, bot: Bot, user_id: int, stage_id: str, stage: PaymentStage, who: str) -> bool:
        now, kept, per_user = self._shop.clock(), False, stage.per_user or 0

        def hold(known: Body) -> Body | None:
            nonlocal kept
            holds = known.get("holds", {})
            mine = holds.get(stage_id, {})
            kept = len(_owned(known, stage_id, stage)) + held(mine, now) < per_user
            return {"holds": {**holds, stage_id: put_hold(mine, who, now)}} if kept else None

        await self._shop.buyers.change(bot.id, user_id, hold)
        return kept

    async def _let_go_own(self, bot: Bot, user_id: int, stage_id: str, who: str) -> None:
        now = self._shop.clock()

        def let_go(known: Body) -> Body | None:
            left, had = take_hold(known.get("holds", {}).get(stage_id, {}), who, now)
            return {"holds": _with(known.get("holds", {}), stage_id, left)} if had else None

        await self._shop.buyers.change(bot.id, user_id, let_go)

    # At a payment

    async def take(self, bot: Bot, claim: Claim, stage: PaymentStage | None) -> bool:
        """Take a share for a charge; ``False`` when there is none and the stage wants such a charge refunded."""
        if stage is None or not stage.is_limited or claim.body.get("took"):
            return True
        body = claim.body
        stage_id, anyway = body["stage"], stage.oversold == "deliver"
        who = _who(body["user"], body.get("invoice") or "")
        if stage.per_user is not None and not await self._take_own(bot, claim, stage, who, anyway):
            await self.let_go(bot, body["user"], stage_id, stage, body.get("invoice") or "")
            return False
        if stage.stock is not None:
            ref = claim.key.name
            taken, crowd = await self._shop.stocks.take(bot.id, stage_id, stage.stock, who, ref, anyway=anyway)
            if crowd:
                await self._tidy(bot, stage_id, crowd)
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
            bought = known.get("bought", {})
            mine = _owned(known, stage_id, stage)
            taken = ref in mine
            if taken or ref in known.get("back", ()):  # the latter when it was refunded while its worker stood still
                return None
            left, had = take_hold(known.get("holds", {}).get(stage_id, {}), who, now)
            taken = anyway or had or len(mine) + held(left, now) < per_user
            if not taken:
                return None
            holds = _with(known.get("holds", {}), stage_id, left)
            return {"bought": {**bought, stage_id: [*mine, ref]}, "holds": holds}

        await self._shop.buyers.change(bot.id, body["user"], take)
        return taken

    async def _tidy(self, bot: Bot, stage_id: str, refs: list[str]) -> None:
        """Let the stock forget the charges whose own records say by now what they took."""
        bodies = await self._shop.charges.read(bot.id, refs)
        known = {ref for ref, body in zip(refs, bodies, strict=True) if body is None or body.get("took")}
        if known:
            await self._shop.stocks.forget(bot.id, stage_id, known)

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

        def give_back(known: Body) -> Body | None:
            mine = known.get("bought", {}).get(stage_id, [])
            if ref not in mine:
                return None
            return {"bought": _with(known["bought"], stage_id, [other for other in mine if other != ref])}

        await self._shop.buyers.change(bot.id, body["user"], give_back)


def _who(user_id: int, invoice_id: str) -> str:
    return f"{user_id}.{invoice_id}"


def _owned(known: Body, stage_id: str, stage: PaymentStage) -> list[str]:
    """Return what a buyer has of a stage; a subscription, known by its first charge, is had until it ends."""
    mine: list[str] = known.get("bought", {}).get(stage_id, [])
    if not stage.subscription:
        return mine
    over = {ref for ref, sub in known.get("subs", {}).items() if sub["state"] == EXPIRED}
    return [ref for ref in mine if ref not in over]


def _with(known: Body, name: str, value: Any) -> Body:
    """Return a dictionary with a value, or without it when it is empty."""
    others = {other: item for other, item in known.items() if other != name}
    return {**others, name: value} if value else others
