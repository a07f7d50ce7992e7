"""Owns what fault rules see of a Bot API call: which chat it goes to, and whom it is about."""

from __future__ import annotations

from aiogram_neonpay.sandbox.faults.rules import Subject
from aiogram_neonpay.sandbox.parameters import Parameters
from aiogram_neonpay.sandbox.payments import Payments
from aiogram_neonpay.sandbox.world import World


def call_subject(world: World, payments: Payments, bot_id: int, method: str, parameters: Parameters) -> Subject:
    """Describe a call. An answer to a query is about the person who asked, though it names only the query."""
    chat_id = parameters.integer("chat_id") or None
    people = {
        chat_id if chat_id is not None and chat_id > 0 else None,
        parameters.integer("user_id") or None,
        payments.payer_of(parameters.text("pre_checkout_query_id")),
        _asker(world, parameters),
    }
    return Subject((method,), bot_id, chat_id, frozenset(person for person in people if person is not None))


def _asker(world: World, parameters: Parameters) -> int | None:
    tapped = world.callbacks.get(parameters.text("callback_query_id"))
    asked = world.inline_queries.get(parameters.text("inline_query_id"))
    return tapped.user_id if tapped else asked.user_id if asked else None
