"""What is sold: payment stages, checked against Telegram's limits, and the catalog that holds them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from aiogram_neonpay.errors import ConfigurationError, ValidationError

__all__ = [
    "Catalog",
    "PaymentStage",
    "StageLoader",
    "StageSource",
    "check_access_name",
    "check_amount",
    "check_metadata",
    "check_seconds",
    "check_stage_id",
    "check_text",
]

MAX_TITLE = 32
"""Characters. Bot API ``sendInvoice``, parameter ``title``."""
MAX_DESCRIPTION = 255
"""Characters. Bot API ``sendInvoice``, parameter ``description``."""
MAX_START_PARAMETER = 64
"""Characters of ``A-Z a-z 0-9 _ -``. Telegram's deep-linking rules."""
MAX_AMOUNT = 999_999_999_999
"""The generic cap of Telegram's own server code on one labeled price; what Stars really allow, Telegram says."""
MAX_STAGE_ID = 64
"""Bytes. Ours: the id travels in the 128-byte invoice payload."""
MAX_SUBSCRIPTION = 10_000
"""Stars a month. Bot API ``createInvoiceLink``, parameter ``subscription_period``."""
MAX_ACCESS = 64
"""Characters of the name of an access. Ours."""
LONGEST_ACCESS = 100 * 365 * 86400
"""Seconds: a hundred years. Ours; for ever is ``access_for=None``."""
MAX_STOCK = 10_000
"""Things of one stage. Ours: one record counts them."""
MAX_PER_USER = 1_000
MAX_USES = 1_000_000
MAX_DEPTH = 32
"""Levels of dictionaries and lists in metadata. Ours."""
MAX_METADATA = 8192
"""Bytes of compact JSON. Ours: metadata lives in one record of the storage."""

_STAGE_ID = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_START_PARAMETER = re.compile(r"[A-Za-z0-9_\-]{1,64}")


def check_text(name: str, value: object, limit: int) -> str:
    """Return ``value`` if it is text of 1 to ``limit`` characters that Telegram will show.

    :raises ValidationError: for other types, blanks, control characters and overlong text.
    """
    if not isinstance(value, str):
        raise ValidationError(name, "must be a string", value)
    if not value.strip():
        raise ValidationError(name, "must not be blank", value)
    if len(value) > limit:
        raise ValidationError(name, f"must be 1-{limit} characters, has {len(value)}", value)
    for character in value:
        code = ord(character)
        if (code < 32 and character != "\n") or 0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF:
            raise ValidationError(name, f"must not contain the control character U+{code:04X}", value)
    return value


def check_amount(name: str, value: object, *, at_least: int = 1, at_most: int | None = None) -> int:
    """Return ``value`` if it is a whole number of Stars within the limits.

    :raises ValidationError: for other types (``True`` is no price) and numbers out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError(name, "must be a whole number of Stars (int)", value)
    if value < at_least:
        raise ValidationError(name, f"must be at least {at_least} Star{'s' * (at_least != 1)}", value)
    top = MAX_AMOUNT if at_most is None else min(at_most, MAX_AMOUNT)
    if value > top:
        raise ValidationError(name, f"must be at most {top} Star{'s' * (top != 1)}", value)
    return value


def check_access_name(name: str, value: object) -> str:
    """Return ``value`` if it can name an access: 1-64 characters of text.

    :raises ValidationError: otherwise.
    """
    return check_text(name, value, MAX_ACCESS)


def check_seconds(name: str, value: object) -> int | None:
    """Return a span as whole seconds, from a ``timedelta`` or a number of seconds; ``None`` for ``None``.

    :raises ValidationError: unless it is 1 second to 100 years.
    """
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 1 <= seconds <= LONGEST_ACCESS:
        raise ValidationError(name, "must be a timedelta or seconds, from 1 second to 100 years", value)
    return int(seconds)


def check_count(name: str, value: object, at_most: int) -> None:
    """Refuse what is no whole number from 1 to ``at_most``; ``None`` passes.

    :raises ValidationError: otherwise.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= at_most:
        raise ValidationError(name, f"must be a whole number from 1 to {at_most}", value)


def check_stage_id(value: object) -> str:
    """Return ``value`` if it can name a stage: 1-64 bytes of ASCII letters, digits, ``_ - .``.

    :raises ValidationError: otherwise.
    """
    if not isinstance(value, str):
        raise ValidationError("stage_id", "must be a string", value)
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > MAX_STAGE_ID:
        raise ValidationError("stage_id", f"must be 1-{MAX_STAGE_ID} bytes, has {size}", value)
    if not _STAGE_ID.fullmatch(value):
        raise ValidationError("stage_id", f"must be 1-{MAX_STAGE_ID} ASCII letters, digits, '_', '-' or '.'", value)
    return value


def check_metadata(name: str, value: object) -> dict[str, Any] | None:
    """Return a JSON-clean copy of a metadata dictionary, or ``None`` for ``None``.

    :raises ValidationError: when it is no ``dict`` with string keys, holds what JSON cannot carry, or is larger than
        8192 bytes of JSON.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValidationError(name, "must be a dict", value)
    _check_nesting(name, value, MAX_DEPTH)
    try:
        text = json.dumps(dict(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(name, f"must hold only what JSON can carry ({error})", value) from error
    if size > MAX_METADATA:
        raise ValidationError(name, f"must be at most {MAX_METADATA} bytes of JSON, has {size}", value)
    copy: dict[str, Any] = json.loads(text)
    return copy


def _check_nesting(name: str, value: object, levels: int) -> None:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValidationError(name, "must have string keys", key)
    if not isinstance(value, (Mapping, list, tuple)):
        return
    if not levels:
        raise ValidationError(name, f"must not be nested deeper than {MAX_DEPTH} levels", "...")
    for item in value.values() if isinstance(value, Mapping) else value:
        _check_nesting(name, item, levels - 1)


@dataclass(frozen=True)
class PaymentStage:
    """One thing that is sold.

    :param title: product name, 1-32 characters (Bot API ``sendInvoice``).
    :param description: product description, 1-255 characters (Bot API ``sendInvoice``).
    :param price: whole Stars, at least 1; ``None`` lets the buyer choose: every selling call then takes ``amount=``.
    :param label: the line of the price portion, not blank (Bot API ``LabeledPrice``).
    :param photo_url: http(s) address of a product photo.
    :param payload: a dictionary that comes back in ``PaymentResult.metadata`` of every payment of this stage.
    :param start_parameter: 1-64 characters ``A-Z a-z 0-9 _ -``: forwarded copies of the invoice become deep links
        with this parameter (Bot API ``sendInvoice``); without it copies can be paid by whoever sees them.
    :param category: a name by which keyboards group stages.
    :param access: the name of what a buyer may do from then on, 1-64 characters; several stages may give the same.
    :param access_for: how long one payment gives it, a ``timedelta`` or seconds; ``None``: for ever, or for the paid
        period of a subscription. Bought again while it runs, it is extended.
    :param uses: how often it may be used, 1-1,000,000; packs add up.
    :param subscription: sold by the month, through a link, at most 10,000 Stars (Bot API ``createInvoiceLink``).
    :param stock: how many there are in all, 1-10,000.
    :param per_user: how many one buyer may have, 1-1,000.
    :param oversold: what to do with a payment that comes when nothing is left: ``"refund"`` or ``"deliver"``.
    :param on_sale: ``False`` declines every checkout, of invoices sent earlier too.
    :param min_price: smallest amount a buyer may choose when ``price`` is ``None``.
    :param max_price: largest such amount; ``None`` leaves the upper bound to Telegram.
    :param provider_token: empty, as Telegram wants it for Stars; accepted because NEONPAY's documents pass it.
    :raises ValidationError: naming the field, the limit and the value.

    How large a one-off price may be is not documented, so no cap is made up here: Telegram's refusal arrives as an
    :class:`~aiogram_neonpay.InvoiceError` when the invoice is made.
    """

    title: str
    description: str
    price: int | None
    label: str = "Payment"
    photo_url: str | None = None
    payload: Mapping[str, Any] | None = field(default=None, hash=False)
    start_parameter: str | None = None
    category: str | None = field(default=None, kw_only=True)
    access: str | None = field(default=None, kw_only=True)
    access_for: timedelta | int | None = field(default=None, kw_only=True)
    uses: int | None = field(default=None, kw_only=True)
    subscription: bool = field(default=False, kw_only=True)
    stock: int | None = field(default=None, kw_only=True)
    per_user: int | None = field(default=None, kw_only=True)
    oversold: Literal["refund", "deliver"] = field(default="refund", kw_only=True)
    on_sale: bool = field(default=True, kw_only=True)
    min_price: int = field(default=1, kw_only=True)
    max_price: int | None = field(default=None, kw_only=True)
    provider_token: str = field(default="", kw_only=True, repr=False)

    def __post_init__(self) -> None:
        check_text("title", self.title, MAX_TITLE)
        check_text("description", self.description, MAX_DESCRIPTION)
        check_text("label", self.label, 1_000)
        if self.price is not None:
            check_amount("price", self.price)
        if self.photo_url is not None and (
            not isinstance(self.photo_url, str)
            or not re.fullmatch(r"https?://[^\s\x00-\x1f\ud800-\udfff]+", self.photo_url)
        ):
            raise ValidationError("photo_url", "must be an http or https address", self.photo_url)
        object.__setattr__(self, "payload", check_metadata("payload", self.payload))
        if self.start_parameter is not None and (
            not isinstance(self.start_parameter, str) or not _START_PARAMETER.fullmatch(self.start_parameter)
        ):
            raise ValidationError(
                "start_parameter",
                f"must be 1-{MAX_START_PARAMETER} characters of A-Z, a-z, 0-9, '_' or '-'",
                self.start_parameter,
            )
        if self.category is not None:
            check_text("category", self.category, 64)
        for name in ("on_sale", "subscription"):
            if not isinstance(getattr(self, name), bool):
                raise ValidationError(name, "must be True or False", getattr(self, name))
        self._check_access()
        self._check_limits()
        check_amount("min_price", self.min_price)
        if self.max_price is not None:
            check_amount("max_price", self.max_price, at_least=self.min_price)
        if self.provider_token != "":
            raise ValidationError("provider_token", "must be empty: Telegram Stars have no provider", "...")

    def _check_access(self) -> None:
        if self.access is not None:
            check_access_name("access", self.access)
        check_seconds("access_for", self.access_for)
        check_count("uses", self.uses, MAX_USES)
        for name in ("access_for", "uses"):
            if getattr(self, name) is not None and self.access is None:
                raise ValidationError(name, "needs the name of an access: PaymentStage(..., access=...)", None)
        if not self.subscription:
            return
        for name in ("access_for", "uses"):
            if getattr(self, name) is not None:
                raise ValidationError(
                    name, "must be left out: a subscription gives access for the paid period", getattr(self, name)
                )
        for name in ("price", "max_price"):
            if (amount := getattr(self, name)) is not None:
                check_amount(name, amount, at_most=MAX_SUBSCRIPTION)

    def _check_limits(self) -> None:
        check_count("stock", self.stock, MAX_STOCK)
        check_count("per_user", self.per_user, MAX_PER_USER)
        if self.oversold not in ("refund", "deliver"):
            raise ValidationError("oversold", 'must be "refund" or "deliver"', self.oversold)

    @property
    def is_limited(self) -> bool:
        """Whether there is only so much of it, in all or for one buyer."""
        return self.stock is not None or self.per_user is not None

    def amount_for(self, amount: int | None) -> int:
        """Return what an invoice of this stage costs, in Stars.

        :param amount: the buyer's choice; required when the stage has no price, refused when it has another one.
        :raises ValidationError: when it is missing, out of the stage's range, or contradicts the price.
        """
        if self.price is None:
            if amount is None:
                raise ValidationError("amount", "is required for a stage without a price", amount)
            top = MAX_SUBSCRIPTION if self.subscription and self.max_price is None else self.max_price
            return check_amount("amount", amount, at_least=self.min_price, at_most=top)
        if amount is not None and check_amount("amount", amount) != self.price:
            raise ValidationError(
                "amount",
                f"must be left out: the stage costs {self.price} Stars (price=None lets the buyer choose)",
                amount,
            )
        return self.price


StageLoader = Callable[[str], Awaitable[PaymentStage | None]]
"""Gives the stage with an id, or ``None``: a catalog kept in a database."""
StageSource = Mapping[str, PaymentStage] | StageLoader | None


class Catalog:
    """The stages on sale: those registered in this process, then those a loader knows.

    A loader is asked at every use, so that a change in its database is seen by every worker at once.
    """

    def __init__(self, source: StageSource = None, *, max_stages: int | None = None) -> None:
        self._max_stages = max_stages
        self._stages: dict[str, PaymentStage] = {}
        self._loader: StageLoader | None = None
        if source is None:
            return
        if isinstance(source, Mapping):
            for stage_id, stage in source.items():
                self.add(stage_id, stage)
        elif callable(source):
            self._loader = source
        else:
            raise ConfigurationError(
                "stages must be a dict of PaymentStage or an async function (stage_id) -> PaymentStage | None, "
                f"not {type(source).__name__}"
            )

    @property
    def is_static(self) -> bool:
        """Whether every stage is known without asking a loader."""
        return self._loader is None

    @property
    def may_hold_subscriptions(self) -> bool:
        """Whether a stage is sold by the month, or may be: what a loader knows is not known here."""
        return self._loader is not None or any(stage.subscription for stage in self._stages.values())

    def add(self, stage_id: str, stage: PaymentStage, *, replace: bool = False) -> None:
        """Register a stage.

        :raises ValidationError: for a bad id, something that is no stage, or an id in use without ``replace``.
        """
        check_stage_id(stage_id)
        if not isinstance(stage, PaymentStage):
            raise ValidationError(f"stage {stage_id!r}", "must be a PaymentStage", stage)
        if stage_id in self._stages and not replace:
            raise ValidationError("stage_id", "is in use already (pass replace=True to change the stage)", stage_id)
        if self._max_stages is not None and len(self._stages) >= self._max_stages and stage_id not in self._stages:
            raise ValidationError("max_stages", f"allows {self._max_stages} stages in the catalog", stage_id)
        self._stages[stage_id] = stage

    def remove(self, stage_id: str) -> bool:
        """Forget a registered stage; ``False`` if there was none."""
        return self._stages.pop(stage_id, None) is not None

    def known(self, stage_id: str | None) -> PaymentStage | None:
        """Return the stage if it is registered in this process."""
        return self._stages.get(stage_id or "")

    async def get(self, stage_id: str) -> PaymentStage | None:
        """Return the stage, asking the loader when this process does not know it.

        :raises ConfigurationError: when the loader returns something else than a stage.
        """
        stage = self._stages.get(stage_id)
        if stage is not None or self._loader is None:
            return stage
        loaded = await self._loader(stage_id)
        if loaded is not None and not isinstance(loaded, PaymentStage):
            raise ConfigurationError(
                f"the stage loader returned {type(loaded).__name__} for {stage_id!r}, not a PaymentStage or None"
            )
        return loaded

    def all(self) -> dict[str, PaymentStage]:
        """Return a copy of what is registered in this process, in order."""
        return dict(self._stages)

    def __len__(self) -> int:
        return len(self._stages)

    def by_code(self, code: str) -> str | None:
        """Return the id of the registered stage with this short code (see :func:`stage_code`)."""
        return next((stage_id for stage_id in self._stages if stage_code(stage_id) == code), None)


def stage_code(stage_id: str) -> str:
    """Return eight characters that stand for a stage id where Telegram leaves little room, such as callback data."""
    return hashlib.sha256(stage_id.encode()).hexdigest()[:8]
