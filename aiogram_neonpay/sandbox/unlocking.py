"""Owns buying paid media: no pre-checkout, a row in the ledger, an update only for media with a payload.

Sources: core.telegram.org/api/paid-media; Bot API, PaidMediaPurchased.
"""

from __future__ import annotations

from aiogram_neonpay.sandbox import ledger
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.models import Charge, Invoice, Message, Person, Receipt
from aiogram_neonpay.sandbox.rules import STARS
from aiogram_neonpay.sandbox.updates import QueuedUpdate
from aiogram_neonpay.sandbox.world import World

ALREADY_PAID = "MEDIA_ALREADY_PAID"
TOO_POOR = "BALANCE_TOO_LOW"
#: What a person's history calls such a purchase.
TITLE = "Paid media"


def buy_media(world: World, person: Person, message: Message) -> Receipt:
    """Pay for the media of a message, at once and without asking the bot.

    :raises SandboxError: for a message with nothing to buy.
    """
    paid = message.paid_media
    if paid is None:
        raise SandboxError(f"the message {message.id} holds no paid media")
    if person.id in paid.buyers:
        return Receipt(False, ALREADY_PAID, None, paid.stars, ALREADY_PAID)
    if person.stars < paid.stars:
        return Receipt(False, TOO_POOR, None, paid.stars, TOO_POOR)
    bot = world.bots[paid.bot_id]
    invoice = Invoice(bot.id, TITLE, "", paid.payload, STARS, paid.stars)
    charge = ledger.sell(world, bot, person, invoice, paid)
    paid.buyers[person.id] = charge.id
    if paid.payload:
        _tell(world, charge)
    world.announce(message)
    return Receipt(True, None, charge.id, paid.stars)


def _tell(world: World, charge: Charge) -> None:
    person, bot = world.people[charge.user_id], world.bots[charge.bot_id]

    def remember(update: QueuedUpdate) -> None:
        charge.update_id, charge.update_message = update.id, update.content

    content = {"from": person.as_user(), "paid_media_payload": charge.invoice.payload}
    world.update(bot, "purchased_paid_media", content, lane=f"paid_media:{person.id}", queued=remember)
