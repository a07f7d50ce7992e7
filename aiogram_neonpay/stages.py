"""What is sold: payment stages, checked against Telegram's limits, and the catalog that holds them."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from aiogram.fsm.state import State

from aiogram_neonpay.checks import (
    check_access_name,
    check_amount,
    check_count,
    check_metadata,
    check_seconds,
    check_stage_id,
    check_state,
    check_text,
    check_thank_you,
    check_tidy,
)
from aiogram_neonpay.errors import ConfigurationError, ValidationError

if TYPE_CHECKING:
    from aiogram_neonpay.prices import PriceBook

__all__ = [
    "Catalog",
    "PaymentStage",
    "StageLoader",
    "StageSource",
    "Tidy",
]

logger = logging.getLogger("aiogram_neonpay")

MAX_TITLE = 32
"""Characters. Bot API ``sendInvoice``, parameter ``title``."""
MAX_DESCRIPTION = 255
"""Characters. Bot API ``sendInvoice``, parameter ``description``."""
MAX_START_PARAMETER = 64
"""Characters of ``A-Z a-z 0-9 _ -``. Telegram's deep-linking rules."""
MAX_SUBSCRIPTION = 10_000
"""Stars a month. Bot API ``createInvoiceLink``, parameter ``subscription_period``."""
MAX_STOCK = 10_000
"""Things of one stage. Ours: one record counts them."""
MAX_PER_USER = 1_000
MAX_USES = 1_000_000
Tidy = Literal["keep", "delete", "receipt"]
"""What becomes of an invoice message that is paid."""
_START_PARAMETER = re.compile(r"[A-Za-z0-9_\-]{1,64}")


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
    :param next_state: the FSM state that a buyer enters when they have paid: a ``State``, its string, or a ``Scene``
        class; the payment stands in the state's data under ``payment``.
    :param on_sale: ``False`` declines every checkout, of invoices sent earlier too.
    :param min_price: smallest amount a buyer may choose when ``price`` is ``None``.
    :param max_price: largest such amount; ``None`` leaves the upper bound to Telegram.
    :param tidy: what becomes of its invoice once it is paid, ``"keep"``, ``"delete"`` or ``"receipt"``; as the router's
        when omitted.
    :param thank_you: a text that its buyers get once it was delivered, ``True`` for the built-in one, ``False`` for
        none; as the router's when omitted.
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
    next_state: State | str | type[Any] | None = field(default=None, kw_only=True)
    on_sale: bool = field(default=True, kw_only=True)
    min_price: int = field(default=1, kw_only=True)
    max_price: int | None = field(default=None, kw_only=True)
    tidy: Tidy | None = field(default=None, kw_only=True)
    thank_you: str | bool | None = field(default=None, kw_only=True)
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
        check_state("next_state", self.next_state)
        if self.tidy is not None:
            check_tidy(self.tidy)
        check_thank_you(self.thank_you)
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

    @property
    def highest(self) -> int | None:
        """The largest amount that a buyer may choose, in Stars; ``None`` where only Telegram knows it."""
        return MAX_SUBSCRIPTION if self.subscription and self.max_price is None else self.max_price

    def amount_for(self, amount: int | None) -> int:
        """Return what an invoice of this stage costs, in Stars.

        :param amount: the buyer's choice; required when the stage has no price, refused when it has another one.
        :raises ValidationError: when it is missing, out of the stage's range, or contradicts the price.
        """
        if self.price is None:
            if amount is None:
                raise ValidationError("amount", "is required for a stage without a price", amount)
            return check_amount("amount", amount, at_least=self.min_price, at_most=self.highest)
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

    :param prices: gives stages of ``price=None`` their price; they come out of the catalog with it.
    """

    def __init__(
        self, source: StageSource = None, *, max_stages: int | None = None, prices: PriceBook | None = None
    ) -> None:
        self._max_stages = max_stages
        if prices is not None:
            from aiogram_neonpay.prices import PriceBook  # for those who have one

            if not isinstance(prices, PriceBook):
                raise ConfigurationError(f"prices must be a PriceBook, not {type(prices).__name__}")
        self._prices = prices
        self._priced: dict[str, tuple[PaymentStage, int, PaymentStage]] = {}
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

    @property
    def may_ask_for_amounts(self) -> bool:
        """Whether the buyer of a stage chooses its price, or may: what a loader knows is not known here."""
        return self._loader is not None or any(stage.price is None for stage in self.all().values())

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
        self._with_price(stage_id, stage)
        self._stages[stage_id] = stage

    def remove(self, stage_id: str) -> bool:
        """Forget a registered stage; ``False`` if there was none."""
        return self._stages.pop(stage_id, None) is not None

    def known(self, stage_id: str | None) -> PaymentStage | None:
        """Return the stage if it is registered in this process."""
        stage = self._stages.get(stage_id or "")
        return stage if stage is None or self._prices is None else self._with_price(stage_id or "", stage)

    async def get(self, stage_id: str) -> PaymentStage | None:
        """Return the stage, asking the loader when this process does not know it.

        :raises ConfigurationError: when the loader returns something else than a stage, or one that has two prices.
        """
        stage = self.known(stage_id)
        if stage is not None or self._loader is None:
            return stage
        loaded = await self._loader(stage_id)
        if loaded is not None and not isinstance(loaded, PaymentStage):
            raise ConfigurationError(
                f"the stage loader returned {type(loaded).__name__} for {stage_id!r}, not a PaymentStage or None"
            )
        return loaded if loaded is None else self._with_price(stage_id, loaded)

    def all(self) -> dict[str, PaymentStage]:
        """Return a copy of what is registered in this process, in order."""
        if self._prices is None:
            return dict(self._stages)
        return {stage_id: self._with_price(stage_id, stage) for stage_id, stage in self._stages.items()}

    def check_prices(self) -> None:
        """Refuse a price book with prices of what is not sold.

        :raises ConfigurationError: for stages that this process does not know.
        """
        unknown = [name for name in (self._prices.prices if self._prices else ()) if name not in self._stages]
        if unknown:
            raise ConfigurationError(
                f"the price book has prices of {unknown}, which are not in the catalog: correct the ids, or add the "
                "stages to neonpay_router({...})"
            )

    def _with_price(self, stage_id: str, stage: PaymentStage) -> PaymentStage:
        """Return a stage at what the price book says now, if it is in there."""
        price = None if self._prices is None else self._prices.quote(stage_id)
        if price is None:
            return stage
        if stage.price is not None:
            raise ConfigurationError(
                f"stage {stage_id!r} has two prices: {stage.price} Stars, and the one of the price book. Give it "
                "price=None, or take it out of the book"
            )
        source, asked, priced = self._priced.get(stage_id, (None, 0, stage))
        if source != stage or asked != price:
            try:
                priced = replace(stage, price=price)
            except ValidationError as error:
                if source != stage:
                    raise
                logger.error("stage %r keeps its price of %s Stars (%s)", stage_id, priced.price, error)
            self._priced[stage_id] = (stage, price, priced)
        return priced

    def __len__(self) -> int:
        return len(self._stages)

    def by_code(self, code: str) -> str | None:
        """Return the id of the registered stage with this short code (see :func:`stage_code`)."""
        return next((stage_id for stage_id in self._stages if stage_code(stage_id) == code), None)


def stage_code(stage_id: str) -> str:
    """Return eight characters that stand for a stage id where Telegram leaves little room, such as callback data."""
    return hashlib.sha256(stage_id.encode()).hexdigest()[:8]
