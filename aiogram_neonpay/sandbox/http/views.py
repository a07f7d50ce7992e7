"""Owns what the page is shown: people, chats, messages, ledgers as plain JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping

from aiogram_neonpay.sandbox.http.content import content_view, described
from aiogram_neonpay.sandbox.models import Chat, Json, Message, Person, Subscription
from aiogram_neonpay.sandbox.payments import PaymentForm
from aiogram_neonpay.sandbox.transcript import current_keyboard, inline_rows, text_of
from aiogram_neonpay.sandbox.world import BotAccount, World

#: Transactions that are shown unless more are asked for: the page draws all it gets.
TRANSACTIONS_SHOWN = 200
_INLINE_KINDS = ("switch_inline_query", "switch_inline_query_current_chat")
_BUTTON_KINDS = ("pay", "callback_data", "url", "copy_text", "web_app", *_INLINE_KINDS)


def overview(world: World, trouble: Callable[[BotAccount], Json | None], subscriptions: Mapping[int, int]) -> Json:
    """Return everybody, every bot with its balance and its trouble, the time and whether it runs.

    :param subscriptions: how many subscriptions that are not over people have, by their ids.
    """
    return {
        "now": world.clock.now(),
        "running": world.clock.running,
        "users": [
            {**user_view(person), "subscriptions": subscriptions.get(person.id, 0)} for person in world.people.values()
        ],
        "bots": [
            {
                "id": bot.id,
                "name": bot.name,
                "username": bot.username,
                "balance": bot.balance,
                "trouble": trouble(bot),
                "pending_updates": len(bot.queue),
            }
            for bot in world.bots.values()
        ],
    }


def user_view(person: Person) -> Json:
    """Return a person with their balance."""
    name = f"{person.first_name} {person.last_name}" if person.last_name else person.first_name
    return {
        "id": person.id,
        "name": name,
        "username": person.username,
        "language_code": person.language_code or "",
        "stars": person.stars,
    }


def chat_view(world: World, chat: Chat) -> Json:
    """Return a line of the chat list."""
    bot = world.bots[chat.bot_ids[0]] if chat.bot_ids else None
    last = next(reversed(chat.messages.values()), None)
    view: Json = {
        "chat_id": chat.id,
        "bot_id": bot.id if bot and chat.is_private else None,
        "type": chat.type,
        "title": bot.name if bot and chat.is_private else chat.title,
        "subtitle": "bot" if chat.is_private else f"{len(chat.member_ids) + len(chat.bot_ids)} members",
        "started": chat.started,
        "blocked": chat.blocked,
        "order": last.order if last else 0,
    }
    if last:
        view["last"] = {"text": _summary(last), "date": last.body["date"]}
    return view


def conversation(world: World, chat: Chat, person: Person, limit: int) -> Json:
    """Return the newest messages of one chat, with the keyboard and the commands shown below it.

    ``earlier`` counts the messages that are left out.
    """
    earlier = max(0, len(chat.messages) - limit)
    acting = chat.action is not None and chat.action[1] > world.clock.now()
    return {
        "chat": chat_view(world, chat),
        "earlier": earlier,
        "messages": [
            message_view(world, message, person.id)
            for message in itertools.islice(chat.messages.values(), earlier, None)
        ],
        "keyboard": current_keyboard(chat),
        "commands": commands(world, chat, person),
        "action": chat.action[0] if chat.action and acting else None,
        "description": _description(world, chat, person),
    }


def message_view(world: World, message: Message, viewer: int) -> Json:
    """Return a message as the page draws it for a person."""
    body = message.body
    author = body["from"]
    view: Json = {
        "id": message.id,
        "date": body["date"],
        "edited": "edit_date" in body,
        "author": {"id": author["id"], "name": author["first_name"], "is_bot": author["is_bot"]},
        "text": text_of(message),
        "entities": body.get("entities") or body.get("caption_entities", []),
        "rows": [[_button_view(button) for button in row] for row in inline_rows(message)],
    }
    if "via_bot" in body:
        view["via"] = body["via_bot"]["username"]
    if "reply_to_message" in body:
        replied = body["reply_to_message"]
        view["reply_to"] = {
            "id": replied["message_id"],
            "name": replied["from"]["first_name"],
            "text": (replied.get("text") or replied.get("caption") or described(replied))[:120],
        }
    view |= content_view(world, message, viewer)
    if message.invoice:
        invoice = message.invoice
        view["invoice"] = {
            "title": invoice.title,
            "description": invoice.description,
            "amount": invoice.amount,
            "photo_url": invoice.photo_url,
            "receipt": _receipt(world, message),
        }
    for kind in ("successful_payment", "refunded_payment"):
        if kind in body:
            content = body[kind]
            view[kind] = {
                "amount": content["total_amount"],
                "receipt": _receipt(world, message),
                "renewal": "is_recurring" in content and "is_first_recurring" not in content,
            }
    return view


def form_view(form: PaymentForm, world: World) -> Json:
    """Return the sheet a payer confirms."""
    invoice = form.invoice
    return {
        "form_id": form.id,
        "title": invoice.title,
        "description": invoice.description,
        "amount": invoice.amount,
        "photo_url": invoice.photo_url,
        "subscription_period": invoice.subscription_period,
        "bot_name": world.bots[invoice.bot_id].name,
        "balance": world.people[form.user_id].stars,
    }


def subscription_view(world: World, subscription: Subscription) -> Json:
    """Return a subscription as its screen shows it.

    ``until`` is the end of the period that is paid for; ``short`` the Stars that are missing for the next one.
    """
    person, invoice = world.people[subscription.user_id], subscription.invoice
    renews = not subscription.over and not subscription.canceled
    return {
        "charge_id": subscription.first_charge_id,
        "bot_id": subscription.bot_id,
        "bot_name": world.bots[subscription.bot_id].name,
        "user_id": person.id,
        "user_name": person.first_name,
        "title": subscription.title,
        "description": invoice.description,
        "photo_url": invoice.photo_url,
        "payload": subscription.payload,
        "amount": subscription.price,
        "period": subscription.period,
        "state": subscription.state,
        "started": subscription.started,
        "until": subscription.expiration_date,
        "payments": len(subscription.charges),
        "canceled_by_bot": subscription.canceled_by_bot,
        "can_cancel": renews,
        "can_restore": subscription.can_be_restored,
        "short": max(0, subscription.price - person.stars) if renews else 0,
    }


def history(person: Person) -> list[Json]:
    """Return the changes of a person's balance, newest first."""
    return [
        {"amount": row.amount, "date": row.date, "title": row.title, "charge_id": row.charge_id}
        for row in reversed(person.history)
    ]


def ledger(world: World, bot: BotAccount, offset: int = 0, limit: int = TRANSACTIONS_SHOWN) -> Json:
    """Return a bot's balance and a part of its transactions, newest first, ``offset`` rows skipped.

    ``refundable`` tells that a row is a sale whose Stars the bot still has.
    """
    rows: list[Json] = []
    for row in itertools.islice(reversed(bot.ledger), offset, offset + limit):
        charge = world.charges.get(row.id)
        rows.append(
            {
                "id": row.id,
                "kind": row.kind,
                "amount": row.amount,
                "nanostars": row.nanostars,
                "date": row.date,
                "outgoing": row.outgoing,
                "user": world.people[row.user_id].first_name if row.user_id is not None else "Telegram",
                "title": charge.invoice.title if charge else row.kind.replace("_", " ").capitalize(),
                "payload": row.payload or "",
                "refunded": charge is not None and charge.refunded,
                "refundable": row.kind == "sale" and charge is not None and not charge.refunded,
            }
        )
    return {"balance": bot.balance, "total": len(bot.ledger), "transactions": rows}


def bot_view(bot: BotAccount) -> Json:
    """Return how a bot stands: Stars, updates that wait for it, and how it gets them."""
    return {
        "id": bot.id,
        "name": bot.name,
        "username": bot.username,
        "balance": bot.balance,
        "nanostars": bot.nanostars,
        "transactions": len(bot.ledger),
        "pending_updates": len(bot.queue),
        "polling": bot.poll.active,
        "webhook": bot.webhook.url if bot.webhook else None,
    }


def commands(world: World, chat: Chat, person: Person) -> list[Json]:
    """Return the commands a person sees in a chat: the narrowest scope that has any, their language first."""
    kind = "all_private_chats" if chat.is_private else "all_group_chats"
    scopes = ({"type": "chat", "chat_id": chat.id}, {"type": kind}, {"type": "default"})
    shown: list[Json] = []
    for bot_id in chat.bot_ids:
        bot = world.bots[bot_id]
        keys = [
            (json.dumps(scope, sort_keys=True), language)
            for scope in scopes
            for language in (person.language_code or "", "")
        ]
        shown += next((bot.commands[key] for key in keys if bot.commands.get(key)), [])
    return shown


def _receipt(world: World, message: Message) -> Json | None:
    charge = world.charges.get(message.charge_id or "")
    if charge is None:
        return None
    return {
        "charge_id": charge.id,
        "title": charge.invoice.title,
        "description": charge.invoice.description,
        "amount": charge.invoice.amount,
        "date": charge.date,
        "refunded": charge.refunded,
        "subscription_until": charge.subscription_until,
        "subscription_period": charge.invoice.subscription_period,
        "bot_name": world.bots[charge.bot_id].name,
    }


def _description(world: World, chat: Chat, person: Person) -> str:
    """Return what a bot says about itself to those who have not met it, in the person's language if it can."""
    if not chat.is_private:
        return ""
    texts = world.bots[chat.bot_ids[0]].profile.texts
    kind = "description"
    return texts.get((kind, person.language_code or ""), texts.get((kind, ""), ""))


def _button_view(button: Json) -> Json:
    kind = next((name for name in _BUTTON_KINDS if name in button), "")
    view: Json = {"text": button["text"], "kind": kind}
    if kind in _INLINE_KINDS:
        view["query"] = button[kind]
    if kind == "url":
        view["url"] = button["url"]
    if kind == "copy_text":
        view["copy"] = button["copy_text"].get("text", "")
    return view


def _summary(message: Message) -> str:
    body = message.body
    if message.invoice:
        return f"Invoice: {message.invoice.title}"
    if "successful_payment" in body:
        return f"Payment of {_stars(body['successful_payment']['total_amount'])}"
    if "refunded_payment" in body:
        return f"Refund of {_stars(body['refunded_payment']['total_amount'])}"
    return text_of(message) or described(body)


def _stars(amount: int) -> str:
    return f"{amount:,} {'Star' if amount == 1 else 'Stars'}"
