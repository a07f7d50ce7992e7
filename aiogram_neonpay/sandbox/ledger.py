"""Owns the movement of Stars: sales, refunds, top-ups, and the rows that record them."""

from __future__ import annotations

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.models import Charge, Invoice, Json, LedgerRow, Person, PersonRow
from aiogram_neonpay.sandbox.rules import (
    GUESS_BOT_TOO_POOR,
    GUESS_FOREIGN_CHARGE,
    GUESS_UNKNOWN_CHARGE,
)
from aiogram_neonpay.sandbox.world import BotAccount, World


def top_up(world: World, person: Person, stars: int) -> None:
    """Give a person Stars, as if bought in Telegram."""
    person.stars += stars
    person.history.append(PersonRow(stars, world.clock.date(), "Top-up"))
    world.feed.publish("ledger")
    world.changed.notify()


def sell(world: World, bot: BotAccount, person: Person, invoice: Invoice) -> Charge:
    """Move an invoice's Stars from the person to the bot and record the charge. The caller checked the balance."""
    date = world.clock.date()
    charge = Charge(world.ids.charge_id(), bot.id, person.id, invoice, date)
    if invoice.subscription_period:
        charge.subscription_until = date + invoice.subscription_period
    person.stars -= invoice.amount
    person.history.append(PersonRow(-invoice.amount, date, invoice.title, charge.id))
    bot.balance += invoice.amount
    bot.ledger.append(_row(charge, date, outgoing=False))
    world.charges[charge.id] = charge
    world.feed.publish("ledger")
    return charge


def give_back(world: World, bot: BotAccount, user_id: int, charge_id: str) -> Charge:
    """Move a charge's Stars back to the payer and record the refund.

    :raises ApiError: 400 CHARGE_NOT_FOUND (a guess), CHARGE_ALREADY_REFUNDED, BALANCE_TOO_LOW (a guess).
    """
    charge = world.charges.get(charge_id)
    if charge is None or charge.bot_id != bot.id:
        raise refuse(GUESS_UNKNOWN_CHARGE)
    if charge.user_id != user_id:
        raise refuse(GUESS_FOREIGN_CHARGE)
    if charge.refunded:
        raise refuse("CHARGE_ALREADY_REFUNDED")
    amount = charge.invoice.amount
    if bot.balance < amount and not world.rules.balance_below_zero:
        raise refuse(GUESS_BOT_TOO_POOR)
    charge.refunded = True
    date = world.clock.date()
    person = world.people[user_id]
    person.stars += amount
    person.history.append(PersonRow(amount, date, f"Refund: {charge.invoice.title}", charge.id))
    bot.balance -= amount
    bot.ledger.append(_row(charge, date, outgoing=True))
    world.feed.publish("ledger")
    return charge


def transaction_json(world: World, row: LedgerRow) -> Json:
    """Return the Bot API `StarTransaction` of one row."""
    partner: Json = {
        "type": "user",
        "transaction_type": "invoice_payment",
        "user": world.people[row.user_id].as_user(),
        "invoice_payload": row.payload,
    }
    if row.subscription_period:
        partner["subscription_period"] = row.subscription_period
    side = "receiver" if row.outgoing else "source"
    return {"id": row.id, "amount": row.amount, "date": row.date, side: partner}


def _row(charge: Charge, date: int, *, outgoing: bool) -> LedgerRow:
    invoice = charge.invoice
    return LedgerRow(
        charge.id, invoice.amount, date, outgoing, charge.user_id, invoice.payload, invoice.subscription_period
    )
