"""What became of stored invoices, and cancelling them."""

from __future__ import annotations

from typing import Any

from aiogram import Bot

from aiogram_neonpay.checks import is_text
from aiogram_neonpay.discounts import Discounts
from aiogram_neonpay.errors import InvoiceError, InvoiceNotFoundError, ValidationError
from aiogram_neonpay.ledger.charges import DELIVERED, REJECTED
from aiogram_neonpay.ledger.invoices import CANCELLED, OPEN
from aiogram_neonpay.models import InvoiceStatus, PaymentStatus
from aiogram_neonpay.shop import Shop

__all__ = ["Tracker"]


class Tracker:
    """Answers for the stored invoices of one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._discounts = Discounts(shop)

    async def cancel(self, bot: Bot, invoice_id: str | None, key: str | None) -> bool:
        """Cancel an invoice; ``False`` when it was paid or cancelled before."""
        record = await self._find(bot, invoice_id, key)
        if record.get("media"):
            raise InvoiceError(
                "paid media cannot be cancelled, Telegram asks nobody before it sells them: delete the message"
            )
        done = False

        def change(known: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal done
            done = not known.get("paid") and known["state"] == OPEN
            return {"state": CANCELLED} if done else None

        await self._shop.invoices.change(bot.id, record["invoice"], change)
        if done:
            await self._discounts.release(bot, record)
        return done

    async def status(self, bot: Bot, invoice_id: str | None, key: str | None, user_id: int | None) -> InvoiceStatus:
        """Return what became of an invoice, or of one user's payment of it."""
        record = await self._find(bot, invoice_id, key)
        invoice = record["invoice"]
        reference = await self._shop.invoices.charge_of(bot.id, record, user_id)
        found = None if reference is None else await self._shop.charges.find(bot.id, reference)
        if found is None:
            over = record["state"] == CANCELLED or record["expires"] <= self._shop.clock()
            return InvoiceStatus(invoice, PaymentStatus.CANCELLED if over else PaymentStatus.PENDING)
        charge = found[1]
        payment = await self._shop.payment(charge, found[0].name)
        rejected = charge["state"] == REJECTED and payment.status is PaymentStatus.COMPLETED
        status = PaymentStatus.FAILED if rejected else payment.status
        return InvoiceStatus(invoice, status, charge["state"] == DELIVERED, payment)

    async def _find(self, bot: Bot, invoice_id: str | None, key: str | None) -> dict[str, Any]:
        name = invoice_id if key is None else key
        if (invoice_id is None) == (key is None) or not isinstance(name, str):
            raise ValidationError("invoice_id", "or key=, one of the two, must be given, as a string", name)
        if not is_text(name):
            raise ValidationError("invoice_id" if key is None else "key", "must be text that can be written", name)
        invoices = self._shop.invoices
        found = invoice_id if key is None else await invoices.id_of_key(bot.id, key)
        record = None if found is None else await invoices.get(bot.id, str(found))
        if record is None or not record.get("tracked", False):
            what = f"key {key!r}" if key is not None else f"id {invoice_id!r}"
            raise InvoiceNotFoundError(
                f"no stored invoice has the {what}. Plain invoices are not stored: make it with track=True (or key=, "
                "single_use=True). Stored ones are forgotten 30 days after they expire"
            )
        return record
