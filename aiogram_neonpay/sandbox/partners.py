"""Owns the other side of a Star transaction: the Bot API's `TransactionPartner` objects, by kind of row.

Source: `JsonTransactionPartner*` in tdlib/telegram-bot-api.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aiogram_neonpay.sandbox.errors import ArgumentError
from aiogram_neonpay.sandbox.models import Json

RowKind = Literal[
    "withdrawal",
    "reversed_withdrawal",
    "ads",
    "broadcast",
    "commission",
    "paid_media",
    "gift",
    "channel_gift",
    "channel_proceeds",
    "premium",
    "business_transfer",
    "other",
]

_STICKER: Json = {
    "file_id": "sticker",
    "file_unique_id": "sticker",
    "type": "regular",
    "width": 512,
    "height": 512,
    "is_animated": False,
    "is_video": False,
}
_PHOTO: Json = {"type": "photo", "photo": [{"file_id": "p", "file_unique_id": "p", "width": 90, "height": 90}]}
_CHANNEL: Json = {"id": -1_009_000_000_001, "title": "Neon News", "type": "channel"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What may be told of a row besides its amount. ``user`` is a Bot API `User`."""

    amount: int
    date: int
    user: Json | None = None
    payload: str | None = None
    state: str | None = None
    per_mille: int | None = None
    requests: int | None = None
    months: int | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of row: its direction (``None``: either), the details it needs and takes, and its partner."""

    outgoing: bool | None
    needs: frozenset[str]
    takes: frozenset[str]
    partner: Callable[[Details], Json]


def _user(kind: str, **fields: Callable[[Details], object]) -> Callable[[Details], Json]:
    def make(details: Details) -> Json:
        found = {name: value(details) for name, value in fields.items()}
        written = {name: value for name, value in found.items() if value is not None}
        return {"type": "user", "transaction_type": kind, "user": details.user, **written}

    return make


def _gift(details: Details) -> Json:
    return {"id": "5170145012310081615", "sticker": _STICKER, "star_count": details.amount}


def _fragment(details: Details) -> Json:
    if details.state is None:
        return {"type": "fragment"}
    state: Json = {"type": details.state}
    if details.state == "succeeded":
        state |= {"date": details.date, "url": "https://fragment.com/tx/sandbox"}
    return {"type": "fragment", "withdrawal_state": state}


def _commission(details: Details) -> Json:
    sponsor = {} if details.user is None else {"sponsor_user": details.user}
    return {"type": "affiliate_program", "commission_per_mille": details.per_mille, **sponsor}


def _shape(outgoing: bool | None, partner: Callable[[Details], Json], needs: str = "", takes: str = "") -> Shape:
    needed = frozenset(needs.split())
    return Shape(outgoing, needed, needed | frozenset(takes.split()), partner)


SHAPES: dict[str, Shape] = {
    "withdrawal": _shape(True, _fragment, takes="state"),
    "reversed_withdrawal": _shape(False, _fragment),
    "ads": _shape(True, lambda details: {"type": "telegram_ads"}),
    "broadcast": _shape(
        True, lambda details: {"type": "telegram_api", "request_count": details.requests}, needs="requests"
    ),
    "commission": _shape(False, _commission, needs="per_mille", takes="user"),
    "paid_media": _shape(
        False,
        _user(
            "paid_media_payment",
            paid_media=lambda details: [_PHOTO],
            paid_media_payload=lambda details: details.payload,
        ),
        needs="user",
        takes="payload",
    ),
    "gift": _shape(True, _user("gift_purchase", gift=_gift), needs="user"),
    "channel_gift": _shape(True, lambda details: {"type": "chat", "chat": _CHANNEL, "gift": _gift(details)}),
    "channel_proceeds": _shape(False, lambda details: {"type": "chat", "chat": _CHANNEL}),
    "premium": _shape(
        True,
        _user("premium_purchase", premium_subscription_duration=lambda details: details.months),
        needs="user months",
    ),
    "business_transfer": _shape(False, _user("business_account_transfer"), needs="user"),
    "other": _shape(None, lambda details: {"type": "other"}),
}


def describe(kind: str, outgoing: bool | None, details: Details) -> tuple[bool, Json]:
    """Return the direction and the `TransactionPartner` of a row.

    :raises ArgumentError: for an unknown kind, a direction the kind has not, a detail missing or too many.
    """
    shape = SHAPES.get(kind)
    if shape is None:
        raise ArgumentError(f"kind must be one of {', '.join(SHAPES)}, not {kind!r}")
    if shape.outgoing is None and outgoing is None:
        raise ArgumentError(f"outgoing must be given for {kind!r}: such rows go either way")
    if None not in (shape.outgoing, outgoing) and outgoing is not shape.outgoing:
        raise ArgumentError(f"outgoing must be {shape.outgoing} for {kind!r}, not {outgoing}")
    names = ("user", "payload", "state", "per_mille", "requests", "months")
    given = {name for name in names if getattr(details, name) is not None}
    if missing := shape.needs - given:
        raise ArgumentError(f"{', '.join(sorted(missing))} must be given for {kind!r}")
    if surplus := given - shape.takes:
        raise ArgumentError(f"{', '.join(sorted(surplus))} does not go with {kind!r}")
    direction = shape.outgoing if shape.outgoing is not None else bool(outgoing)
    return direction, shape.partner(details)
