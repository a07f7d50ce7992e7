"""Paid media in the ledger: one charge for each message and buyer, and Telegram's own id of it once that is known.

Telegram's update of such a sale names a payload and a buyer: no charge, no amount, no date (Bot API
``PaidMediaPurchased``). So the charge goes by an id of ours, made of the invoice and the buyer, and stays under it for
ever. Telegram's id stands in its ledger alone. Whoever reads it there writes it down, as an alias.
"""

from __future__ import annotations

import hashlib
from typing import Any

from aiogram import Bot
from aiogram.exceptions import AiogramError, TelegramRetryAfter
from aiogram.types import StarTransaction, TransactionPartnerUser, User

from aiogram_neonpay.errors import RefundError
from aiogram_neonpay.ledger.base import CHARGE, RecordKey
from aiogram_neonpay.ledger.charges import reference_of
from aiogram_neonpay.models import CURRENCY
from aiogram_neonpay.payload import InvoiceToken, claimed
from aiogram_neonpay.records import names_of, offer_of
from aiogram_neonpay.shop import Shop

__all__ = ["MediaSales", "as_media", "charge_of_media", "facts_of_purchase", "media_payload_of"]

AGE = 25 * 3600.0
"""Seconds by which the row of a sale may be older than its update, which Telegram keeps for 24 hours."""

Facts = dict[str, Any]


def charge_of_media(payload: str, user_id: int) -> str:
    """Return our id of the charge of paid media: ``media:``, the invoice's id and the buyer's."""
    token = claimed(payload)
    if token is None:
        return f"media:{hashlib.sha256(payload.encode('utf-8', 'surrogatepass')).hexdigest()[:18]}:{user_id}"
    return f"media:{token.invoice_id}:{user_id}"


def media_payload_of(partner: TransactionPartnerUser) -> str | None:
    """Return the payload of the paid media that a row of Telegram's ledger is about."""
    payload: str | None = getattr(partner, "paid_media_payload", None)
    return payload


def facts_of_purchase(user: User, payload: str, token: InvoiceToken | None, at: int) -> Facts:
    """Return what the ledger keeps of paid media that were sold, as far as the update tells."""
    said = token or claimed(payload)
    amount = 0 if said is None else said.amount
    return {
        "charge": charge_of_media(payload, user.id),
        "user": user.id,
        "chat": user.id,
        "amount": amount,
        "currency": CURRENCY,
        "at": at,
        "media": True,
        "carrier": {"id": 0, "payload": payload, "from": names_of(user)},
        **offer_of(token, amount, CURRENCY),
    }


def as_media(facts: Facts, *, again: bool = False) -> Facts:
    """Return what is known of a charge with Telegram's id as what the ledger keeps of paid media.

    :param again: it is not the first sale of these media to this buyer, and goes by Telegram's id.
    """
    charge = facts["charge"] if again else charge_of_media(facts["carrier"]["payload"], facts["user"])
    return {**facts, "charge": charge, "real": facts["charge"], "media": True}


class MediaSales:
    """Finds and keeps Telegram's ids of the paid media that one shop has sold."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def attach(self, bot: Bot, name: str, charge: str, user_id: int) -> Facts | None:
        """Note Telegram's id of a charge, and let it be found by that; safe to repeat.

        :return: the record, or ``None`` if there is none. Its ``real`` is another id if it had one.
        """
        key = RecordKey(bot.id, CHARGE, name)
        record = await self._shop.charges.change(
            key, lambda known: None if known.get("real") else {"real": charge}, keep_due=True
        )
        is_its_own = reference_of(charge, user_id) == name
        if not is_its_own and (record is None or record.get("real") == charge):
            await self._shop.charges.put_alias(bot.id, name, charge, user_id)
        return record

    async def facts_of_refund(self, bot: Bot, facts: Facts) -> Facts:
        """Return what the ledger keeps of a refund of which a message told, whose payload is that of paid media."""
        token = claimed(facts["carrier"]["payload"])
        if token is None or not token.media:
            return facts
        first = as_media(facts)
        name = reference_of(first["charge"], facts["user"])
        record = await self.attach(bot, name, facts["charge"], facts["user"])
        return first if record is None or record.get("real") == facts["charge"] else as_media(facts, again=True)

    async def charge_of(self, bot: Bot, body: Facts) -> str:
        """Return Telegram's id of a charge; for paid media it may have to be looked for in Telegram's ledger.

        :raises RefundError: when Telegram does not show it yet.
        """
        if not body.get("media"):
            return str(body["charge"])
        if body.get("real"):
            return str(body["real"])
        try:
            charge = await self._look_for(bot, body)
        except TelegramRetryAfter as error:
            raise RefundError(
                f"the refund waits: Telegram asks to try again in {error.retry_after} s", retry_after=error.retry_after
            ) from error
        except AiogramError as error:
            raise RefundError(
                f"Telegram's ledger, which alone has the id of this sale, cannot be read ({type(error).__name__}): the "
                "refund is recorded and sent when it can"
            ) from error
        if charge is None:
            raise RefundError(
                "Telegram's ledger does not show the sale yet: the refund is recorded and sent when it does"
            )
        await self.attach(bot, reference_of(body["charge"], body["user"]), charge, body["user"])
        return charge

    async def _look_for(self, bot: Bot, body: Facts) -> str | None:
        from aiogram_neonpay.transactions import Pages  # few bots sell media, and fewer refund them

        state = await self._shop.readings.open(bot.id, self._shop.clock(), keep=False)
        pages = Pages(bot, max(0.0, body["at"] - AGE), state.get("hint", 0), patient=False)
        while rows := await pages.next():
            for row in rows:
                if _sale_of(row) == body["charge"]:
                    return row.id
        return None


def _sale_of(row: StarTransaction) -> str | None:
    """Return our id of the charge of paid media that a row tells of."""
    if not isinstance(row.source, TransactionPartnerUser):
        return None
    payload = media_payload_of(row.source)
    return charge_of_media(payload, row.source.user.id) if payload else None
