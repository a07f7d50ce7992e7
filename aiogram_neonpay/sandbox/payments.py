"""Owns the path of a payment: form, pre-checkout with its deadline, charge, receipt, refund."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiogram_neonpay.sandbox import ledger
from aiogram_neonpay.sandbox.checkouts import Checkout, Checkouts
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.models import Charge, Invoice, Message, Person, Receipt
from aiogram_neonpay.sandbox.receipts import announce_payment, payment_json
from aiogram_neonpay.sandbox.rules import MESSAGE_RETENTION, PAYMENT_FORM_LIFETIME
from aiogram_neonpay.sandbox.subscriptions import Subscriptions
from aiogram_neonpay.sandbox.world import BotAccount, World

TIMEOUT = "BOT_PRECHECKOUT_TIMEOUT"
DECLINED = "BOT_PRECHECKOUT_FAILED"
TOO_POOR = "BALANCE_TOO_LOW"


@dataclass(slots=True)
class PaymentForm:
    """The sheet a payer sees before confirming; it can be confirmed once, within 10 minutes."""

    id: str
    user_id: int
    invoice: Invoice
    created: float
    message: Message | None = None
    submitted: bool = False


class Payments:
    """All payments of one world; those of a subscription begin its life in ``subscriptions``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._forms: dict[str, PaymentForm] = {}
        self._checkouts = Checkouts(world)
        self.subscriptions = Subscriptions(world, self._checkouts)

    def open_form(self, person: Person, invoice: Invoice, message: Message | None = None) -> PaymentForm:
        """Show a payer the sheet of an invoice; ``message`` is the one it was opened from, if any."""
        now = self._world.clock.now()
        self._forms = {form.id: form for form in self._forms.values() if now - form.created < 2 * PAYMENT_FORM_LIFETIME}
        form = PaymentForm(self._world.ids.form_id(), person.id, invoice, now, message)
        self._forms[form.id] = form
        return form

    async def submit(self, user_id: int, form_id: str) -> Receipt:
        """Confirm a form and wait for the outcome.

        Nothing is sent to the bot when the payer is short of Stars.

        :raises SandboxError: when there is no such form for this person.
        """
        form = self._forms.get(form_id)
        if form is None or form.user_id != user_id:
            raise SandboxError("this payment form does not exist: open the invoice again")
        world, invoice = self._world, form.invoice
        if world.clock.now() - form.created >= PAYMENT_FORM_LIFETIME:
            return _failed(invoice, "FORM_EXPIRED")
        if form.submitted:
            return _failed(invoice, "FORM_SUBMIT_DUPLICATE")
        person, bot = world.people[user_id], world.bots[invoice.bot_id]
        if person.stars < invoice.amount:
            return _failed(invoice, TOO_POOR)
        form.submitted = True
        checkout = await self._ask(bot, person, invoice)
        if checkout.vote is None:
            return _failed(invoice, TIMEOUT)
        if not checkout.vote:
            return _failed(invoice, DECLINED, checkout.error)
        if person.stars < invoice.amount:  # spent elsewhere while the bot was thinking
            return _failed(invoice, TOO_POOR)
        charge = ledger.sell(world, bot, person, invoice)
        announce_payment(world, charge, form.message)
        if invoice.subscription_period:
            self.subscriptions.begin(charge)
        return Receipt(True, None, charge.id, invoice.amount, None, charge.subscription_until)

    def answer(self, bot: BotAccount, query_id: str, ok: bool, error: str) -> None:
        """Take a bot's answer to a pre-checkout query.

        :raises ApiError: 400 for an unknown, late or repeated answer (a guess).
        """
        self._checkouts.answer(bot, query_id, ok, error)

    def payer_of(self, query_id: str) -> int | None:
        """Return whose checkout a pre-checkout query is about, while it waits for its answer."""
        return self._checkouts.payer_of(query_id)

    def refund(self, bot: BotAccount, user_id: int, charge_id: str, *, notify: bool = True) -> Charge:
        """Refund a charge: Stars go back, and the bot's service message says so.

        :param notify: whether the bot gets the update of that message.
        :raises ApiError: as :func:`aiogram_neonpay.sandbox.ledger.give_back`.
        """
        charge = ledger.give_back(self._world, bot, user_id, charge_id)
        if charge.paid_media is not None and not self._world.rules.media_refund_message:
            return charge
        content = payment_json(charge, self._world.rules)
        if not content["provider_payment_charge_id"]:
            del content["provider_payment_charge_id"]
        chat = self._world.private_chat(bot.id, user_id)
        # Outgoing, and yet delivered to the bot: Client.cpp lets this kind through on purpose.
        message = self._world.post(chat, bot.as_user(), {"refunded_payment": content}, bot_id=bot.id)
        message.charge_id = charge.id
        if notify:
            self._world.message_update(bot, message)
        self._world.announce(message)
        for other in chat.messages.values():
            if other.charge_id == charge.id and other is not message:
                self._world.announce(other)
        if self._world.rules.refund_ends_subscription:
            self.subscriptions.end_with(charge)
        return charge

    def repeat(self, charge: Charge) -> None:
        """Deliver a charge's `successful_payment` or `purchased_paid_media` update once more, under its old number."""
        if charge.update_id is None or charge.update_message is None:
            raise SandboxError(
                "the bot never got an update of this charge: it does not ask for the kind, a fault keeps it, the media "
                "have no payload, or the sale was added to the ledger alone"
            )
        bot = self._world.bots[charge.bot_id]
        kind, lane = "message", f"chat:{charge.user_id}"
        if charge.paid_media is not None:
            kind, lane = "purchased_paid_media", f"paid_media:{charge.user_id}"
        content = dict(charge.update_message)
        update = bot.queue.repeat(charge.update_id, kind, content, lifetime=MESSAGE_RETENTION, lane=lane)
        self._world.show_update(bot, update)

    async def _ask(self, bot: BotAccount, person: Person, invoice: Invoice) -> Checkout:
        voted = asyncio.Event()
        checkout = self._checkouts.ask(bot, person, invoice, lambda _: voted.set())
        try:
            await voted.wait()
        finally:
            self._checkouts.forget(checkout)
        return checkout


def _failed(invoice: Invoice, code: str, text: str | None = None) -> Receipt:
    return Receipt(False, text or code, None, invoice.amount, code)
