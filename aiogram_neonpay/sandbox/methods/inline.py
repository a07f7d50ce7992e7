"""Owns inline mode: checking a bot's results, and sending one of them as a message."""

from __future__ import annotations

from typing import Any

from aiogram_neonpay.sandbox.errors import SandboxError, refuse
from aiogram_neonpay.sandbox.invoices import check_amounts, check_with_telegram, make_invoice, read_inline_invoice
from aiogram_neonpay.sandbox.keyboards import check_pay_buttons, parse_markup
from aiogram_neonpay.sandbox.methods.context import Context
from aiogram_neonpay.sandbox.methods.messages import text_fields
from aiogram_neonpay.sandbox.methods.stars import invoice_json
from aiogram_neonpay.sandbox.models import Chat, InlineQuery, Invoice, Json, Message, Person
from aiogram_neonpay.sandbox.parameters import Parameters
from aiogram_neonpay.sandbox.rules import CHOSEN_RETENTION, INLINE_RESULTS, INLINE_RETENTION, Rules
from aiogram_neonpay.sandbox.world import World


def answer_inline_query(context: Context) -> bool:
    """Store the results of an inline query once each of them has been checked."""
    query = context.world.inline_queries.get(context.parameters.text("inline_query_id"))
    results = context.parameters.json("results", "can't parse inline query results JSON object")
    if not isinstance(results, list):
        raise refuse("Expected an Array of inline query results")
    if len(results) > INLINE_RESULTS:
        raise refuse("Too many inline query results specified")
    for result in results:
        read_result(result, context.bot.id, context.world.rules)
    if len({result["id"] for result in results}) != len(results):
        raise refuse("RESULT_ID_DUPLICATE")
    now = context.world.clock.now()
    if query is None or query.bot_id != context.bot.id or now - query.created >= INLINE_RETENTION:
        raise refuse("QUERY_ID_INVALID")
    query.results = results
    context.world.changed.notify()
    return True


def read_result(result: Any, bot_id: int, rules: Rules) -> tuple[Json, Invoice | None]:
    """Return the message fields and the invoice of one result.

    Results are articles with a text or an invoice; other kinds of content are not in the sandbox yet.

    :raises ApiError: 400 for a result Telegram would refuse, or one the sandbox lacks.
    """
    if not isinstance(result, dict):
        raise refuse("Inline query result must be an object")
    if not result.get("type"):
        raise refuse("can't parse inline query result: Can't find field \"type\"")
    if result["type"] != "article":
        raise refuse(f"the sandbox does not support inline results of type {result['type']}")
    if not isinstance(result.get("id"), str) or not 1 <= len(result["id"].encode()) <= 64:
        raise refuse("RESULT_ID_INVALID")
    content = result.get("input_message_content")
    if not isinstance(content, dict):
        raise refuse("Input message content is not specified")
    markup = parse_markup(result.get("reply_markup"))
    fields: Json = {}
    invoice = None
    if "payload" in content and not content.get("message_text"):
        draft = read_inline_invoice(content)
        total = check_amounts(draft)
        check_with_telegram(draft, total, rules, as_link=False)
        invoice = make_invoice(draft, total, bot_id)
        fields["invoice"] = invoice_json(invoice)
    elif content.get("message_text"):
        fields.update(text_fields(Parameters({**content, "text": content["message_text"]})))
    else:
        raise refuse("the sandbox does not support this kind of inline message content")
    check_pay_buttons(markup, for_invoice=invoice is not None)
    if markup.inline is not None:
        fields["reply_markup"] = markup.inline
    return fields, invoice


def send_result(world: World, person: Person, chat: Chat, query: InlineQuery, result_id: str) -> Message:
    """Send one result of an inline query into a chat, as the person who asked.

    :raises SandboxError: when the query has no such result or the person is not in the chat.
    """
    result = next((item for item in query.results or [] if item["id"] == result_id), None)
    if result is None:
        raise SandboxError(f"the inline query has no result {result_id!r}")
    if person.id not in chat.member_ids:
        raise SandboxError(f"{person.first_name} is not in the chat {chat.title}")
    bot = world.bots[query.bot_id]
    fields, invoice = read_result(result, bot.id, world.rules)
    message = world.post(chat, person.as_user(), {"via_bot": bot.as_user(), **fields}, bot_id=bot.id)
    message.invoice = invoice
    message.inline_message_id = world.ids.inline_message_id()
    for bot_id in chat.bot_ids:
        world.message_update(world.bots[bot_id], message)
    chosen: Json = {"result_id": result_id, "from": person.as_user(), "query": query.text}
    if "reply_markup" in fields:
        chosen["inline_message_id"] = message.inline_message_id
    world.update(bot, "chosen_inline_result", chosen, lane=f"chosen:{person.id}", lifetime=CHOSEN_RETENTION)
    world.announce(message)
    return message
