"""Owns the movement of Stars: sales, refunds, chargebacks, top-ups, and the rows that record them."""

from __future__ import annotations

import bisect

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.models import Affiliate, Charge, Invoice, Json, LedgerRow, PaidMedia, Person, PersonRow
from aiogram_neonpay.sandbox.rules import (
    GUESS_BOT_TOO_POOR,
    GUESS_CHARGED_BACK,
    GUESS_FOREIGN_CHARGE,
    GUESS_UNKNOWN_CHARGE,
    Rules,
)
from aiogram_neonpay.sandbox.world import BotAccount, World

#: Nanostars in a Star.
NANO = 1_000_000_000


def top_up(world: World, person: Person, stars: int) -> None:
    """Give a person Stars, as if bought in Telegram."""
    person.stars += stars
    person.history.append(PersonRow(stars, world.clock.date(), "Top-up"))
    world.feed.publish("ledger")
    world.changed.notify()


def sell(
    world: World, bot: BotAccount, person: Person, invoice: Invoice, paid_media: PaidMedia | None = None
) -> Charge:
    """Move an invoice's Stars from the person to the bot and record the charge. The caller checked the balance.

    :param paid_media: what was bought, if it was no invoice.
    """
    charge = make_charge(world, invoice, person.id, world.clock.date(), bot.affiliate)
    charge.paid_media = paid_media
    person.stars -= invoice.amount
    person.history.append(PersonRow(-invoice.amount, charge.date, invoice.title, charge.id))
    record(bot, sale_row(world, charge))
    world.feed.publish("ledger")
    return charge


def make_charge(
    world: World,
    invoice: Invoice,
    user_id: int,
    date: int,
    affiliate: Affiliate | None = None,
    charge_id: str | None = None,
) -> Charge:
    """Make a charge known, with a new id or a given one. No Stars move yet."""
    charge = Charge(charge_id or world.ids.charge_id(), invoice.bot_id, user_id, invoice, date, affiliate=affiliate)
    if invoice.subscription_period:
        charge.subscription_until = date + invoice.subscription_period
    world.charges[charge.id] = charge
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
    date = world.clock.date()
    row = refund_row(world, charge, date)
    if in_nanostars(bot) < row.amount * NANO + row.nanostars and not world.rules.balance_below_zero:
        raise refuse(GUESS_BOT_TOO_POOR)
    charge.refunded = True
    person, amount = world.people[user_id], charge.invoice.amount
    person.stars += amount
    person.history.append(PersonRow(amount, date, f"Refund: {charge.invoice.title}", charge.id))
    record(bot, row)
    world.feed.publish("ledger")
    return charge


def charge_back(world: World, charge: Charge, *, shown: bool) -> None:
    """Take a charge's Stars from the bot because a store gave the buyer's money back; below zero if need be.

    The buyer's Stars stay as they are, and no update tells the bot. All of it, the row included, is a guess.

    :param shown: whether a row records it, in the form of a refund's.
    :raises ApiError: 400 CHARGE_ALREADY_REFUNDED (a guess).
    """
    if charge.refunded:
        raise refuse(GUESS_CHARGED_BACK)
    charge.refunded = True
    bot = world.bots[charge.bot_id]
    row = refund_row(world, charge, world.clock.date(), kind="chargeback")
    if shown:
        record(bot, row)
    else:
        _move(bot, row)
    world.feed.publish("ledger")


def sale_row(world: World, charge: Charge) -> LedgerRow:
    """Return the row of a charge."""
    return _row(world, charge, charge.date, outgoing=False, kind="sale")


def refund_row(world: World, charge: Charge, date: int, kind: str = "refund") -> LedgerRow:
    """Return the row of a charge's refund."""
    return _row(world, charge, date, outgoing=True, kind=kind)


def record(bot: BotAccount, row: LedgerRow, *, in_order: bool = True) -> None:
    """Move a row's Stars and write it down: behind the rows of its date, or at the end."""
    _move(bot, row)
    enter(bot, row, in_order=in_order)


def enter(bot: BotAccount, row: LedgerRow, *, in_order: bool = True) -> None:
    """Write a row down, moving nothing: behind the rows of its date, or at the end."""
    if in_order and bot.ledger and bot.ledger[-1].date > row.date:
        bisect.insort_right(bot.ledger, row, key=lambda other: other.date)
    else:
        bot.ledger.append(row)


def in_nanostars(bot: BotAccount) -> int:
    """Return a bot's balance in nanostars."""
    return bot.balance * NANO + bot.nanostars


def balance_json(bot: BotAccount) -> Json:
    """Return a bot's balance as the Bot API `StarAmount`."""
    amount: Json = {"amount": bot.balance}
    if bot.nanostars:
        amount["nanostar_amount"] = bot.nanostars
    return amount


def transaction_json(world: World, row: LedgerRow) -> Json:
    """Return the Bot API `StarTransaction` of one row."""
    shown: Json = {"id": row.id, "amount": row.amount, "date": row.date}
    if row.nanostars:
        shown["nanostar_amount"] = row.nanostars
    shown["receiver" if row.outgoing else "source"] = row.partner or _payer(world, row)
    return shown


def _payer(world: World, row: LedgerRow) -> Json:
    assert row.user_id is not None
    partner: Json = {
        "type": "user",
        "transaction_type": "invoice_payment",
        "user": world.people[row.user_id].as_user(),
        "invoice_payload": row.payload,
    }
    if row.affiliate:
        partner["affiliate"] = row.affiliate
    if row.subscription_period:
        partner["subscription_period"] = row.subscription_period
    return partner


def _row(world: World, charge: Charge, date: int, *, outgoing: bool, kind: str) -> LedgerRow:
    invoice = charge.invoice
    stars, nanostars = _net(charge, world.rules)
    affiliate = _affiliate_json(world, charge, -1 if outgoing else 1)
    return LedgerRow(
        charge.id,
        stars,
        date,
        outgoing,
        charge.user_id,
        invoice.payload or None,
        invoice.subscription_period,
        nanostars,
        kind,
        partner=_media_buyer(world, charge, charge.paid_media, affiliate) if charge.paid_media else None,
        affiliate=affiliate,
    )


def _media_buyer(world: World, charge: Charge, paid: PaidMedia, affiliate: Json | None) -> Json:
    partner: Json = {"type": "user", "transaction_type": "paid_media_payment"}
    partner["user"] = world.people[charge.user_id].as_user()
    if affiliate:
        partner["affiliate"] = affiliate
    partner["paid_media"] = paid.media
    if paid.payload:
        partner["paid_media_payload"] = paid.payload
    return partner


def _commission(charge: Charge) -> int:
    return 0 if charge.affiliate is None else charge.invoice.amount * NANO * charge.affiliate.per_mille // 1000


def _net(charge: Charge, rules: Rules) -> tuple[int, int]:
    deducted = _commission(charge) if rules.commission_deducted else 0
    return divmod(charge.invoice.amount * NANO - deducted, NANO)


def _affiliate_json(world: World, charge: Charge, sign: int) -> Json | None:
    if charge.affiliate is None:
        return None
    stars, nanostars = divmod(_commission(charge), NANO)
    shown: Json = {
        "affiliate_user": world.people[charge.affiliate.user_id].as_user(),
        "commission_per_mille": charge.affiliate.per_mille,
        "amount": sign * stars,
    }
    if nanostars:
        shown["nanostar_amount"] = sign * nanostars
    return shown


def _move(bot: BotAccount, row: LedgerRow) -> None:
    moved = row.amount * NANO + row.nanostars
    total = in_nanostars(bot) + (-moved if row.outgoing else moved)
    sign = -1 if total < 0 else 1  # both parts have the sign of the whole (Bot API, StarAmount)
    bot.balance, bot.nanostars = (sign * part for part in divmod(abs(total), NANO))
