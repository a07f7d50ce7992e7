"""What a payment gives besides its delivery: access, and a place in a subscription.

All of it stands in the buyer's record and is known there by the charge's reference, so it may be given as often as an
attempt to deliver is repeated. It is given before handlers run, and taken back before the news of a refund is told.
"""

from __future__ import annotations

from typing import Any

from aiogram import Bot

from aiogram_neonpay.checks import check_seconds
from aiogram_neonpay.ledger import access
from aiogram_neonpay.ledger.charges import Claim
from aiogram_neonpay.ledger.subscriptions import applied, refunded
from aiogram_neonpay.models import Subscription
from aiogram_neonpay.records import names_of, offer_of, subscription_of, user_of
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage

__all__ = ["AGAIN", "Entitlements"]

FIRST, AGAIN, ROW = "first", "again", "row"
"""A charge of a subscription: its first, a renewal, or one from a row of Telegram's ledger, which does not say."""

Body = dict[str, Any]


class Entitlements:
    """Gives buyers of one shop what their payments give, and takes it back."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def recognise(self, bot: Bot, claim: Claim) -> None:
        """Find out what was sold with a charge, as far as its payload alone did not tell.

        A renewal may come years later: the keys that signed its payload, and the invoice's record, may be gone.
        """
        body = claim.body
        if body.get("doubt") == "bad_token":
            self._read_again(bot, claim)
        if body.get("recurring") in (None, FIRST) or "sub" in body:
            return
        buyer = await self._shop.buyers.read(bot.id, body["user"])
        joined = applied(buyer.get("subs", {}), claim.key.name, _charge_of(body))
        known = joined.subscriptions[joined.id]
        notes: Body = {"recurring": FIRST if joined.is_first else AGAIN}
        if known["stage"] and joined.id in buyer.get("subs", {}):
            notes["metadata"] = known["metadata"]
            if body.get("doubt") == "bad_token":
                # The first payment of this payload was found genuine, and a payer cannot choose the payload.
                notes.update(doubt=None, stage=known["stage"], invoice=known["invoice"])
        claim.notes.update(notes)
        body.update(notes)

    def _read_again(self, bot: Bot, claim: Claim) -> None:
        """Read the payload of a payment once more: its key may be among ``previous_secrets`` by now."""
        body = claim.body
        _, token = self._shop.read_payload(bot, body["carrier"]["payload"], body["amount"])
        if token is not None:
            claim.notes.update({"doubt": None, **offer_of(token, body["amount"], body["currency"])})
            body.update(claim.notes)

    async def give(self, bot: Bot, claim: Claim, stage: PaymentStage | None) -> Subscription | None:
        """Give what a charge gives; return the subscription that it belongs to."""
        body, ref = claim.body, claim.key.name
        recurring = body.get("recurring")
        if recurring is None and (stage is None or stage.access is None):
            return None
        now = self._shop.clock()

        def give(known: Body) -> Body:
            return {"who": names_of(user_of(body)), **self._given(known, body, ref, stage, now)}

        buyer = await self._shop.buyers.change(bot.id, body["user"], give)
        if stage is not None and stage.access is not None:
            claim.notes["gave"] = body["gave"] = True
        if recurring is None:
            return None
        sub_id = next(name for name, known in buyer["subs"].items() if ref in known["paid"])
        known = buyer["subs"][sub_id]
        notes = {"sub": sub_id, "paid_until": int(known["paid"][ref])}
        claim.notes.update(notes)
        body.update(notes)
        return subscription_of(sub_id, body["user"], known, stage)

    def _given(self, known: Body, body: Body, ref: str, stage: PaymentStage | None, now: float) -> Body:
        """Return the fields of a buyer's record that a charge changes."""
        fields: Body = {}
        name = None if stage is None else stage.access
        item: Body | None = None
        if body.get("recurring") is not None:
            title = body["stage"] if stage is None else stage.title
            joined = applied(known.get("subs", {}), ref, {**_charge_of(body), "title": title, "access": name})
            fields["subs"] = _with_early_news(joined.subscriptions, joined.id, known)
            fields["early"] = {}
            name = name or joined.subscriptions[joined.id]["access"]
            item = {"sub": joined.id, "until": joined.until, "why": "subscription"}
        elif stage is not None and name is not None:
            item = {"for": check_seconds("access_for", stage.access_for), "why": "purchase"}
            if stage.uses is not None:
                item.update(uses=stage.uses, used=0)
        if name is not None and item is not None:
            item = {"ref": ref, "at": float(body["at"]), **item}
            held = known.get("access", {})
            fields["access"] = {**held, name: access.grant(held.get(name, []), item, now)}
        return fields

    async def take_back(self, bot: Bot, claim: Claim) -> None:
        """Take back what a refunded charge gave, and no more."""
        body, ref = claim.body, claim.key.name
        now = self._shop.clock()

        def take(known: Body) -> Body | None:
            fields: Body = {}
            names = [name for name, items in known.get("access", {}).items() if _has(items, ref)]
            if names:
                held = known["access"]
                fields["access"] = {**held, **{name: access.take_back(held[name], ref) for name in names}}
            if any(ref in sub["paid"] for sub in known.get("subs", {}).values()):
                fields["subs"] = refunded(known["subs"], ref, now)
            return fields or None

        await self._shop.buyers.change(bot.id, body["user"], take)


def _has(items: list[Body], ref: str) -> bool:
    return any(item["ref"] == ref and not item.get("off") for item in items)


def _charge_of(body: Body) -> Body:
    """Return what a subscription needs to know of a charge."""
    return {
        "charge": body["charge"],
        "at": body["at"],
        "amount": body["amount"],
        "payload": (body.get("carrier") or {}).get("payload", ""),
        "recurring": body["recurring"],
        "until": body.get("paid_until") or (body["at"] + body["period"] if body.get("period") else None),
        "stage": body.get("stage"),
        "invoice": body.get("invoice"),
        "metadata": body.get("metadata") or {},
        "title": "",
        "access": None,
    }


def _with_early_news(subscriptions: Body, sub_id: str, known: Body) -> Body:
    """Turn a new subscription into what Telegram said of it before its first payment was heard."""
    early = known.get("early", {}).get(subscriptions[sub_id]["payload"])
    if early is None or sub_id in known.get("subs", {}):
        return subscriptions
    turned = {**subscriptions[sub_id], "state": early}
    if early == "canceled":
        turned["by"] = "user"
    return {**subscriptions, sub_id: turned}
