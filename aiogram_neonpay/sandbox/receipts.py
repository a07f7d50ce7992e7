"""Owns the service message of a payment: what it holds, where it is shown, and its update."""

from __future__ import annotations

from aiogram_neonpay.sandbox.models import Charge, Json, Message
from aiogram_neonpay.sandbox.rules import GUESS_PROVIDER_CHARGE_ID, Rules
from aiogram_neonpay.sandbox.updates import QueuedUpdate
from aiogram_neonpay.sandbox.world import World


def announce_payment(world: World, charge: Charge, paid: Message | None = None) -> None:
    """Post `successful_payment` into the payer's private chat and send it to the bot.

    :param paid: the invoice message that was paid; in that chat it becomes a receipt.
    """
    bot, person = world.bots[charge.bot_id], world.people[charge.user_id]
    chat = world.private_chat(bot.id, person.id)
    if world.rules.paying_opens_chat:
        chat.started = True
    content = payment_json(charge, world.rules)
    if charge.subscription_until:
        content["is_recurring"] = True
        if charge.renews is None:
            content["is_first_recurring"] = True
        content["subscription_expiration_date"] = charge.subscription_until
    # Also for an invoice paid in a group: the service message comes in the payer's private chat.
    message = world.post(chat, person.as_user(), {"successful_payment": content})
    message.charge_id = charge.id

    def remember(update: QueuedUpdate) -> None:
        charge.update_id, charge.update_message = update.id, update.content

    world.message_update(bot, message, queued=remember)
    if paid is not None and paid.chat is chat and paid.charge_id is None:
        paid.charge_id = charge.id
        world.announce(paid)
    world.announce(message)


def payment_json(charge: Charge, rules: Rules) -> Json:
    """Return what `successful_payment` and `refunded_payment` of a charge have in common."""
    invoice = charge.invoice
    own_id = charge.renews is None or rules.renewal_charge_ids
    return {
        "currency": invoice.currency,
        "total_amount": invoice.amount,
        "invoice_payload": invoice.payload,
        "telegram_payment_charge_id": charge.id if own_id else charge.renews,
        "provider_payment_charge_id": GUESS_PROVIDER_CHARGE_ID,
    }
