"""What a payment gives besides its delivery: access, and a place in a subscription.

All of it stands in the buyer's record and is known there by the charge's reference, so it may be given as often as an
attempt to deliver is repeated. It is given before handlers run, and taken back before the news of a refund is told.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from aiogram import Bot

from aiogram_neonpay.checks import check_seconds
from aiogram_neonpay.errors import DeliveryError
from aiogram_neonpay.ledger import access
from aiogram_neonpay.ledger.charges import DELIVER, DELIVERED, Claim, next_step
from aiogram_neonpay.ledger.subscriptions import EARLY, Joined, applied, gap_before, news_with, refunded, turn, turned
from aiogram_neonpay.models import Subscription
from aiogram_neonpay.records import names_of, offer_of, subscription_of, user_of
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage

__all__ = ["AGAIN", "Entitlements", "Given", "charges_to_give"]

FIRST, AGAIN, ROW = "first", "again", "row"
"""A charge of a subscription: its first, a renewal, or one from a row of Telegram's ledger, which does not say."""
RECENT = 50
"""Charges of a buyer among which those of subscriptions are looked for that wait for their delivery."""
REMEMBERED = 24
"""Charges of a buyer that were refunded before they were delivered and are remembered, so that they give nothing."""
PATIENCE = 5.0
"""Seconds, for each attempt so far, that a charge found late waits for an earlier one."""

Body = dict[str, Any]


class Given(NamedTuple):
    """What a charge has given.

    :ivar subscription: the one it belongs to, if it is of one.
    :ivar waits: seconds after which to try again to deliver it, when news of before it are to be told first.
    """

    subscription: Subscription | None = None
    waits: float | None = None


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

    async def waits(self, bot: Bot, claim: Claim) -> float | None:
        """Return after how many seconds to try again to deliver a renewal, when something else is to be told first.

        That is news of its subscription from before it, and renewals that were missed in a long absence and are found
        in Telegram's ledger. What a charge gives is given at once.
        """
        body = claim.body
        recovered = bool(body.get("recovered"))
        if body.get("recurring") is None or (body["recurring"] == FIRST and not recovered):
            return None
        buyer = await self._shop.buyers.read(bot.id, body["user"])
        news = _news_before(buyer, claim)
        late = recovered or _follows_a_gap(buyer, claim)
        if not news and not late:
            return None
        is_read = recovered or not late or await self._shop.is_read(bot, body["at"] - EARLY)
        earlier = [known for known in await _waiting(self._shop, bot, body["user"]) if _precedes(known, body)]
        if is_read and not earlier and not news:
            return None
        if not recovered or all("sub" in known for known in earlier):
            await self.recognise(bot, claim)
            if body.get("doubt") is None:
                await self.give(bot, claim, await self._shop.stage_of(body))
        return PATIENCE * float(max([1, *(known["attempts"] for known in earlier)]))

    def _read_again(self, bot: Bot, claim: Claim) -> None:
        """Read the payload of a payment once more: its key may be among ``previous_secrets`` by now."""
        body = claim.body
        _, token = self._shop.read_payload(bot, body["carrier"]["payload"], body["amount"])
        if token is not None:
            claim.notes.update({"doubt": None, **offer_of(token, body["amount"], body["currency"])})
            body.update(claim.notes)

    async def give(self, bot: Bot, claim: Claim, stage: PaymentStage | None) -> Given:
        """Give what a charge gives."""
        body, ref = claim.body, claim.key.name
        recurring = body.get("recurring")
        if recurring is None and (stage is None or stage.access is None):
            return Given()
        now, joined, gave = self._shop.clock(), None, False

        def give(known: Body) -> Body:
            nonlocal joined, gave
            if ref in known.get("back", ()):
                raise DeliveryError(ref, "it was refunded while its worker stood still")
            fields, joined = self._given(known, body, ref, stage, now)
            gave = "access" in fields
            return {"who": names_of(user_of(body)), **fields}

        buyer = await self._shop.buyers.change(bot.id, body["user"], give)
        if gave:
            claim.notes["gave"] = body["gave"] = True
        if joined is None:
            return Given()
        notes = {"sub": joined.id, "paid_until": int(joined.until)}
        claim.notes.update(notes)
        body.update(notes)
        found = subscription_of(joined.id, body["user"], buyer["subs"][joined.id], stage)
        return Given(found, PATIENCE if _news_before(buyer, claim) else None)

    def _given(
        self, known: Body, body: Body, ref: str, stage: PaymentStage | None, now: float
    ) -> tuple[Body, Joined | None]:
        """Return the fields of a buyer's record that a charge changes, and its place in a subscription."""
        fields: Body = {}
        joined: Joined | None = None
        name = None if stage is None else stage.access
        item: Body | None = None
        if body.get("recurring") is not None:
            title = body["stage"] if stage is None else stage.title
            joined = applied(known.get("subs", {}), ref, {**_charge_of(body), "title": title, "access": name})
            fields["subs"] = joined.subscriptions
            fields["news"] = news_with(known, joined, ref)
            fields.update(_with_early_news(known, joined, _charge_of(body)["payload"], now))
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
        return fields, joined

    async def take_back(self, bot: Bot, claim: Claim) -> None:
        """Take back what a refunded charge gave, and no more.

        Where it was not delivered, a worker that stood still meanwhile may yet try to: then the refund is remembered.
        """
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
            if body["state"] != DELIVERED and ref not in known.get("back", ()):
                fields["back"] = [*known.get("back", ()), ref][-REMEMBERED:]
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
        "until": body.get("paid_until"),
        "period": body.get("period"),
        "stage": body.get("stage"),
        "invoice": body.get("invoice"),
        "metadata": body.get("metadata") or {},
        "title": "",
        "access": None,
    }


def _with_early_news(known: Body, joined: Joined, payload: str, now: float) -> Body:
    """Turn a new subscription into what Telegram said of it before its first payment was heard."""
    digest = joined.subscriptions[joined.id]["payload"]
    states = known.get("early", {}).get(digest)
    if states is None:
        return {}
    early = {other: said for other, said in known["early"].items() if other != digest}
    fields: Body = {"subs": joined.subscriptions, "early": early}
    for state in states:
        found = turned({joined.id: fields["subs"][joined.id]}, payload, state, now)
        if found is not None:
            fields.update(turn({**known, **fields}, *found, by="user", now=now))
    return fields


def _news_before(buyer: Body, claim: Claim) -> bool:
    """Whether something of before a renewal is yet to be told of its subscription."""
    subs, ref = buyer.get("subs", {}), claim.key.name
    sub_id = applied(subs, ref, _charge_of(claim.body)).id
    return any(item["sub"] == sub_id and item.get("after") != ref for item in buyer.get("news", ()))


def _follows_a_gap(buyer: Body, claim: Claim) -> bool:
    """Whether renewals must have been missed before this one; that is noted, for it fills the gap itself."""
    if "sub" not in claim.body and gap_before(buyer.get("subs", {}), _charge_of(claim.body)):
        claim.notes["late"] = claim.body["late"] = True
    return bool(claim.body.get("late"))


def _precedes(known: Body, body: Body) -> bool:
    return bool(known["at"] < body["at"]) and _charge_of(known)["payload"] == _charge_of(body)["payload"]


async def charges_to_give(shop: Shop, bot: Bot, user_id: int) -> bool:
    """Whether a charge of a subscription is recorded that has not given yet what it gives."""
    return any("sub" not in known for known in await _waiting(shop, bot, user_id))


async def _waiting(shop: Shop, bot: Bot, user_id: int) -> list[Body]:
    """Return the records of a buyer's charges of subscriptions that are yet to be delivered."""
    recent = await shop.charges.history(bot.id, user_id, limit=RECENT, offset=0)
    return [known for known in recent if known.get("recurring") is not None and next_step(known) == DELIVER]
