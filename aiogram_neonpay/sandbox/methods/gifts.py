"""Owns the methods that spend a bot's Stars on people: gifts, of which the sandbox has none, and Premium."""

from __future__ import annotations

from aiogram_neonpay.sandbox import ledger
from aiogram_neonpay.sandbox.entities import parse_text
from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.methods.context import Context
from aiogram_neonpay.sandbox.models import Json, LedgerRow
from aiogram_neonpay.sandbox.partners import Details, describe
from aiogram_neonpay.sandbox.rules import GIFT_TEXT_CHARACTERS, GUESS_GIFT_TEXT_TOO_LONG, PREMIUM_PRICES


def get_available_gifts(context: Context) -> Json:
    """Return the gifts a bot may send: there are none."""
    return {"gifts": []}


def send_gift(context: Context) -> bool:
    """Refuse every gift as Telegram refuses one that does not exist."""
    _check_text(context)
    if "chat_id" in context.parameters:
        context.chat()
    else:
        _user(context)
    raise refuse("STARGIFT_INVALID")


def gift_premium_subscription(context: Context) -> bool:
    """Give somebody Premium for 3, 6 or 12 months out of the bot's Stars. No message says so (a guess)."""
    user_id = _user(context)
    months, stars = context.parameters.integer("month_count"), context.parameters.integer("star_count")
    _check_text(context)
    if months not in PREMIUM_PRICES:
        raise refuse("GIFT_MONTHS_INVALID")
    if stars != PREMIUM_PRICES[months]:
        raise refuse("GIFT_STARS_INVALID")
    world, bot = context.world, context.bot
    if ledger.in_nanostars(bot) < stars * ledger.NANO:
        raise refuse("BALANCE_TOO_LOW")
    date = world.clock.date()
    details = Details(amount=stars, date=date, user=world.people[user_id].as_user(), months=months)
    outgoing, partner = describe("premium", None, details)
    row = LedgerRow(world.ids.charge_id(), stars, date, outgoing, user_id, None, kind="premium", partner=partner)
    ledger.record(bot, row)
    world.feed.publish("ledger")
    return True


def _check_text(context: Context) -> None:
    entities = context.parameters.json("text_entities", "can't parse entities JSON object")
    text, _ = parse_text(context.parameters.text("text"), context.parameters.text("text_parse_mode"), entities)
    if len(text) > GIFT_TEXT_CHARACTERS:
        raise refuse(GUESS_GIFT_TEXT_TOO_LONG)


def _user(context: Context) -> int:
    user_id = context.parameters.integer("user_id")
    if user_id <= 0:
        raise refuse("invalid user_id specified")
    if user_id not in context.world.people:
        raise refuse("user not found")
    return user_id
