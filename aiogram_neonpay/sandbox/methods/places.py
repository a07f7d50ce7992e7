"""Owns the methods that send what is neither text nor file: locations, venues, contacts and dice."""

from __future__ import annotations

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.keyboards import check_pay_buttons, read_markup
from aiogram_neonpay.sandbox.methods.context import Context, ensure_not_blocked
from aiogram_neonpay.sandbox.methods.messages import post
from aiogram_neonpay.sandbox.models import Json

#: The highest value of each kind of dice (Bot API, Dice).
_DICE = {"🎲": 6, "🎯": 6, "🎳": 6, "🏀": 5, "⚽": 5, "🎰": 64}
_LIVE_DETAILS = ("live_period", "heading", "proximity_alert_radius")
_VENUE_DETAILS = ("foursquare_id", "foursquare_type", "google_place_id", "google_place_type")


def send_location(context: Context) -> Json:
    """Write a point on the map; a live one is not updated by itself."""
    location = _location(context)
    numbers = {name: context.parameters.integer(name) for name in _LIVE_DETAILS}
    return _send(context, {"location": location | {name: value for name, value in numbers.items() if value > 0}})


def send_venue(context: Context) -> Json:
    """Write a place: a point with a title and an address."""
    location = _location(context)
    venue: Json = {"location": location, "title": context.parameters.text("title")}
    venue["address"] = context.parameters.text("address")
    for name in ("title", "address"):
        if not venue[name]:
            raise refuse(f"{name} must be non-empty")
    details = {name: context.parameters.text(name) for name in _VENUE_DETAILS}
    venue |= {name: value for name, value in details.items() if value}
    return _send(context, {"location": location, "venue": venue})


def send_contact(context: Context) -> Json:
    """Write somebody's phone number."""
    contact: Json = {
        "phone_number": context.parameters.required("phone_number"),
        "first_name": context.parameters.required("first_name"),
    }
    contact |= {name: context.parameters.text(name) for name in ("last_name", "vcard") if name in context.parameters}
    return _send(context, {"contact": contact})


def send_dice(context: Context) -> Json:
    """Throw a dice; a seed makes its values repeatable."""
    emoji = context.parameters.text("emoji") or "🎲"
    highest = _DICE.get(emoji.replace("\ufe0f", ""))
    if highest is None:
        raise refuse("EMOTICON_INVALID")
    value = min(highest, int(context.world.ids.uniform(1, highest + 1)))
    return _send(context, {"dice": {"emoji": emoji, "value": value}})


def _send(context: Context, content: Json) -> Json:
    markup = read_markup(context.parameters)
    chat = context.known_chat()
    check_pay_buttons(markup, for_invoice=False)
    ensure_not_blocked(chat)
    return post(context, chat, content, markup).body


def _location(context: Context) -> Json:
    location: Json = {}
    for name, furthest in (("latitude", 90.0), ("longitude", 180.0)):
        written = context.parameters.text(name).strip()
        if not written:
            raise refuse(f"{name} is empty")
        try:
            value = float(written)
        except ValueError:
            value = 0.0  # as the server's to_double
        if not -furthest <= value <= furthest:
            raise refuse("wrong location specified")
        location[name] = value
    return location
