"""Owns the methods that sell for Stars, move them and read them."""

from __future__ import annotations

from aiogram_neonpay.sandbox import ledger
from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.invoices import check_amounts, check_with_telegram, make_invoice, read_invoice
from aiogram_neonpay.sandbox.keyboards import check_pay_buttons, read_markup
from aiogram_neonpay.sandbox.methods.context import Context, ensure_not_blocked
from aiogram_neonpay.sandbox.methods.messages import post
from aiogram_neonpay.sandbox.models import Invoice, Json
from aiogram_neonpay.sandbox.rules import TRANSACTIONS_LIMIT


def send_invoice(context: Context) -> Json:
    """Write an invoice into a private chat or a group."""
    draft = read_invoice(context.parameters)
    markup = read_markup(context.parameters)
    chat = context.known_chat()
    total = check_amounts(draft)
    ensure_not_blocked(chat)
    check_with_telegram(draft, total, context.world.rules, as_link=False)
    check_pay_buttons(markup, for_invoice=True)
    invoice = make_invoice(draft, total, context.bot.id)
    return post(context, chat, {"invoice": invoice_json(invoice)}, markup, invoice).body


def create_invoice_link(context: Context) -> str:
    """Make a link that anybody may pay, any number of times."""
    draft = read_invoice(context.parameters)
    if context.parameters.text("business_connection_id"):
        raise refuse("BUSINESS_CONNECTION_INVALID")  # the sandbox has no business accounts
    total = check_amounts(draft)
    check_with_telegram(draft, total, context.world.rules, as_link=True)
    slug = context.world.ids.slug()
    context.world.links[slug] = make_invoice(draft, total, context.bot.id, slug)
    return f"https://t.me/${slug}"


def answer_pre_checkout_query(context: Context) -> bool:
    """Vote on a payment, within 10 seconds of the query."""
    parameters = context.parameters
    ok = parameters.boolean("ok")
    error = "" if ok else parameters.required("error_message")
    context.payments.answer(context.bot, parameters.text("pre_checkout_query_id"), ok, error)
    return True


def refund_star_payment(context: Context) -> bool:
    """Give a payment back in full."""
    user_id = _user_id(context)
    charge_id = context.parameters.required("telegram_payment_charge_id")
    context.payments.refund(context.bot, user_id, charge_id)
    return True


def edit_user_star_subscription(context: Context) -> bool:
    """Stop a subscription's renewals, or let the person re-enable them; left out, ``is_canceled`` is false."""
    parameters = context.parameters
    user_id = _user_id(context)
    charge_id = parameters.text("telegram_payment_charge_id")  # an empty one reaches Telegram, and is refused there
    context.payments.subscriptions.edit(context.bot, user_id, charge_id, parameters.boolean("is_canceled"))
    return True


def get_star_transactions(context: Context) -> Json:
    """Return the bot's transactions, oldest first."""
    offset = context.parameters.integer("offset", 0, 0)
    limit = context.parameters.integer("limit", TRANSACTIONS_LIMIT, 1, TRANSACTIONS_LIMIT)
    rows = context.bot.ledger[offset : offset + limit]
    return {"transactions": [ledger.transaction_json(context.world, row) for row in rows]}


def get_my_star_balance(context: Context) -> Json:
    """Return the bot's balance as a `StarAmount`."""
    return ledger.balance_json(context.bot)


def invoice_json(invoice: Invoice) -> Json:
    """Return the Bot API `Invoice`; payload and photo are not in it."""
    return {
        "title": invoice.title,
        "description": invoice.description,
        "start_parameter": invoice.start_parameter,
        "currency": invoice.currency,
        "total_amount": invoice.amount,
    }


def _user_id(context: Context) -> int:
    user_id = context.parameters.integer("user_id")
    if user_id <= 0:
        raise refuse("invalid user_id specified")
    return user_id
