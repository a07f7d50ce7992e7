"""Owns the methods that say how a bot gets its updates: getUpdates, setWebhook and their kin."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from aiogram_neonpay.sandbox.errors import flood, refuse
from aiogram_neonpay.sandbox.methods.context import Answer, Context
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.polling import BY_WEBHOOK, WEBHOOK_ACTIVE
from aiogram_neonpay.sandbox.rules import (
    POLL_LIMIT,
    POLL_TIMEOUT,
    WEBHOOK_CONNECTIONS,
    WEBHOOK_CONNECTIONS_LIMIT,
)
from aiogram_neonpay.sandbox.world import Webhook

_SECRET = re.compile(r"^[A-Za-z0-9_-]*$")
_SECRET_CHARACTERS = 256
_SECONDS_BETWEEN_SETTINGS = 1.0


async def get_updates(context: Context) -> list[Json]:
    """Answer getUpdates, waiting up to ``timeout`` seconds."""
    bot, parameters = context.bot, context.parameters
    if bot.webhook is not None:
        raise await bot.poll.conflict(WEBHOOK_ACTIVE)
    _keep_allowed_updates(context)
    return await bot.poll.updates(
        parameters.integer("offset"),
        parameters.integer("limit", POLL_LIMIT, 1, POLL_LIMIT),
        parameters.integer("timeout", 0, 0, POLL_TIMEOUT),
    )


def set_webhook(context: Context) -> Answer:
    """Start pushing updates to a URL. Unlike Telegram the sandbox takes plain http and any port."""
    bot, parameters, world = context.bot, context.parameters, context.world
    url = parameters.text("url").strip()
    if not url:
        return delete_webhook(context)
    secret = parameters.text("secret_token")
    if len(secret) > _SECRET_CHARACTERS:
        raise refuse("secret token is too long")
    if not _SECRET.match(secret):
        raise refuse("secret token contains unallowed characters")
    if not _can_be_called(url):
        raise refuse("bad webhook: An HTTPS URL must be provided for webhook")
    now = world.clock.now()
    if world.rules.polling_brake and now < bot.next_webhook_setting:
        raise flood(1)
    bot.next_webhook_setting = now + _SECONDS_BETWEEN_SETTINGS
    _keep_allowed_updates(context)
    dropping = parameters.boolean("drop_pending_updates")
    connections = parameters.integer("max_connections", WEBHOOK_CONNECTIONS, 1, WEBHOOK_CONNECTIONS_LIMIT)
    hook = bot.webhook
    if hook and (hook.url, hook.secret, hook.max_connections) == (url, secret, connections) and not dropping:
        return Answer(True, "Webhook is already set")
    if dropping:
        bot.queue.clear()
    bot.webhook = Webhook(url, secret, connections)
    bot.poll.interrupt(BY_WEBHOOK)
    world.arrivals.notify()
    return Answer(True, "Webhook was set")


def delete_webhook(context: Context) -> Answer:
    """Stop pushing updates."""
    bot = context.bot
    if context.parameters.boolean("drop_pending_updates"):
        bot.queue.clear()
    was_set = bot.webhook is not None
    bot.webhook = None
    context.world.arrivals.notify()
    return Answer(True, "Webhook was deleted" if was_set else "Webhook is already deleted")


def get_webhook_info(context: Context) -> Json:
    """Return where updates go and what went wrong last."""
    bot = context.bot
    hook = bot.webhook
    info: Json = {
        "url": hook.url if hook else "",
        "has_custom_certificate": False,
        "pending_update_count": len(bot.queue),
    }
    if hook:
        if hook.last_error_date is not None:
            info["last_error_date"] = hook.last_error_date
            info["last_error_message"] = hook.last_error_message
        info["max_connections"] = hook.max_connections
    if bot.queue.allowed is not None:
        info["allowed_updates"] = sorted(bot.queue.allowed)
    return info


def _can_be_called(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond 65535, half of an IPv6 address
        return False


def _keep_allowed_updates(context: Context) -> None:
    # Left out, the previous list stays; a list that cannot be read is ignored (Client.cpp).
    if "allowed_updates" not in context.parameters:
        return
    kinds = context.parameters.json("allowed_updates", "can't parse allowed_updates JSON object")
    if isinstance(kinds, list):
        context.bot.queue.allow(kind.lower() for kind in kinds if isinstance(kind, str))
