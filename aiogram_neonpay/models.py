"""The values a bot author meets: payments, their status, invoices and checkouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from aiogram import Bot
from aiogram.types import PreCheckoutQuery, User

from aiogram_neonpay.stages import PaymentStage

__all__ = [
    "CURRENCY",
    "Checkout",
    "Gift",
    "InvoiceLink",
    "InvoiceStatus",
    "LegacyInvoice",
    "PaymentResult",
    "PaymentStatus",
    "Subscription",
    "SubscriptionState",
]

CURRENCY = "XTR"
"""Telegram Stars; amount 1 is one Star. Bot API ``sendInvoice``, parameter ``currency``."""


class PaymentStatus(str, Enum):
    """Where a payment or a stored invoice stands."""

    PENDING = "pending"
    """Offered, not paid."""
    COMPLETED = "completed"
    """Paid: the Stars are in the bot's balance."""
    CANCELLED = "cancelled"
    """The invoice was cancelled or expired before anyone paid."""
    FAILED = "failed"
    """Paid, but what was sold could not be delivered; it waits for a person."""
    REFUNDED = "refunded"
    """The Stars went back to the buyer."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class PaymentResult:
    """One charge.

    :ivar user_id: who paid.
    :ivar amount: whole Stars (for invoices of others: the smallest units of ``currency``).
    :ivar currency: ``XTR`` for ours.
    :ivar status: COMPLETED once paid, delivered or not, REFUNDED afterwards, FAILED while it waits for a person.
    :ivar stage: what was sold as the catalog knows it now; ``None`` when the stage was removed or is not ours.
    :ivar transaction_id: Telegram's charge id: long, opaque, different for every charge: the key for your tables. For
        paid media it is an id of ours, because Telegram does not tell its own when it sells them.
    :ivar timestamp: when Telegram dated the payment, UTC.
    :ivar metadata: the stage's ``payload`` updated with the invoice's own metadata.
    :ivar recipient_id: who gets what was bought: the buyer, or whoever opened it if it is a gift; ``None`` for a gift
        that nobody has opened.
    :ivar reference: 17 characters that stand for the charge in this bot, short enough for buttons and commands.
    :ivar stage_id: id of what was sold; ``None`` for invoices that are not ours.
    :ivar chat_id: the private chat with the buyer, where Telegram reports payments.
    :ivar invoice_id: the invoice that was paid; one invoice can be paid more than once.
    :ivar is_ours: whether the invoice was made by this plugin for this bot.
    :ivar attempt: which delivery attempt this is, from 1.
    :ivar delivered: whether what was meant to hear the payment has returned; false while a delivery is on its way.
    :ivar recovered: whether it was found in Telegram's ledger instead of arriving as an update.
    :ivar reason: why it waits for a person, as in the events ``stuck`` and ``unmatched``; ``None`` if it does not.
    :ivar error: what went wrong last, if it waits for a person.
    :ivar is_recurring: whether the charge belongs to a subscription (Bot API ``SuccessfulPayment``).
    :ivar is_first_recurring: whether it is the first one of that subscription.
    :ivar subscription_expires_at: end of the paid period, UTC.
    :ivar is_media: whether paid media were sold instead of an invoice.
    :ivar media_charge_id: Telegram's charge id of paid media, once it was found in Telegram's ledger.
    :ivar is_gift: whether it was bought for somebody else.
    :ivar promo: the promo code that it was bought with, in capitals.
    :ivar full_price: what it would have cost without the code, in Stars; ``amount`` if there was none.
    """

    user_id: int
    amount: int
    currency: str = CURRENCY
    status: PaymentStatus = PaymentStatus.COMPLETED
    stage: PaymentStage | None = None
    transaction_id: str | None = None
    timestamp: datetime | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    recipient_id: int | None = field(default=None, kw_only=True)
    reference: str | None = field(default=None, kw_only=True)
    stage_id: str | None = field(default=None, kw_only=True)
    chat_id: int | None = field(default=None, kw_only=True)
    invoice_id: str | None = field(default=None, kw_only=True)
    is_ours: bool = field(default=True, kw_only=True)
    attempt: int = field(default=1, kw_only=True)
    delivered: bool = field(default=False, kw_only=True, compare=False)
    recovered: bool = field(default=False, kw_only=True)
    reason: str | None = field(default=None, kw_only=True, compare=False)
    error: str | None = field(default=None, kw_only=True, compare=False)
    is_recurring: bool = field(default=False, kw_only=True)
    is_first_recurring: bool = field(default=False, kw_only=True)
    subscription_expires_at: datetime | None = field(default=None, kw_only=True)
    is_media: bool = field(default=False, kw_only=True)
    media_charge_id: str | None = field(default=None, kw_only=True, compare=False)
    is_gift: bool = field(default=False, kw_only=True)
    promo: str | None = field(default=None, kw_only=True)
    full_price: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.recipient_id is None and not self.is_gift:
            object.__setattr__(self, "recipient_id", self.user_id)
        if self.full_price is None:
            object.__setattr__(self, "full_price", self.amount)

    @property
    def telegram_payment_charge_id(self) -> str | None:
        """Telegram's own id of the charge: :attr:`transaction_id`, but for paid media :attr:`media_charge_id`."""
        return self.media_charge_id if self.is_media else self.transaction_id


@dataclass(frozen=True)
class Gift:
    """Something that was bought for somebody else.

    :ivar payment: the payment for it; its ``recipient_id`` is who has opened it.
    :ivar link: the address that opens it, for one person, once.
    :ivar opened_at: when that was, UTC; ``None`` while nobody has.
    """

    payment: PaymentResult
    link: str = field(repr=False)
    opened_at: datetime | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether somebody may open it yet."""
        return self.opened_at is None and self.payment.status is not PaymentStatus.REFUNDED


class SubscriptionState(str, Enum):
    """Where a subscription stands."""

    ACTIVE = "active"
    """Telegram charges again at the end of the paid period."""
    FAILED = "failed"
    """The last charge failed, such as for lack of Stars; a renewal makes it active again."""
    CANCELED = "canceled"
    """Paid to the end of the period, and no further."""
    EXPIRED = "expired"
    """The paid period ended without a renewal."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Subscription:
    """What somebody pays for by the month.

    :ivar id: 17 characters: the reference of its first payment, or of the first one that the plugin has seen.
    :ivar amount: whole Stars of the last charge.
    :ivar stage: what was sold as the catalog knows it now; ``None`` when the stage was removed.
    :ivar expires_at: end of the paid period, UTC.
    :ivar started_at: its first payment, UTC.
    :ivar canceled_by: ``"user"``, ``"bot"``, or ``None`` while it is not cancelled.
    :ivar transaction_id: Telegram's id of the first charge, which cancelling needs; ``None`` if that was before our
        time.
    :ivar access: the name of the access it gives.
    """

    id: str
    user_id: int
    stage_id: str
    state: SubscriptionState
    amount: int
    expires_at: datetime
    started_at: datetime
    stage: PaymentStage | None = None
    canceled_by: str | None = None
    transaction_id: str | None = None
    access: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def is_renewing(self) -> bool:
        """Whether Telegram will charge again by itself."""
        return self.state in (SubscriptionState.ACTIVE, SubscriptionState.FAILED)


class InvoiceLink(str):
    """The address of an invoice, with the invoice's id.

    :ivar invoice_id: 18 hexadecimal digits; accepted by ``invoice_status`` and ``cancel_invoice`` for stored invoices.
    """

    __slots__ = ("invoice_id",)
    invoice_id: str

    def __new__(cls, url: str, invoice_id: str) -> InvoiceLink:
        """Return the address with its invoice id."""
        link = super().__new__(cls, url)
        link.invoice_id = invoice_id
        return link

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return str(self), self.invoice_id


@dataclass(frozen=True)
class LegacyInvoice:
    """What an invoice that was made before the plugin came was for.

    :ivar stage_id: what was sold.
    :ivar metadata: comes back in the payment, over the stage's ``payload``.
    """

    stage_id: str
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class InvoiceStatus:
    """What became of a stored invoice.

    :ivar status: PENDING, COMPLETED, REFUNDED, CANCELLED (cancelled or expired), or FAILED (paid, waits for a person).
    :ivar delivered: whether the handlers of its payment have returned.
    :ivar payment: the payment, or ``None`` while there is none.
    """

    invoice_id: str
    status: PaymentStatus
    delivered: bool = False
    payment: PaymentResult | None = None


@dataclass(frozen=True)
class Checkout:
    """A payment about to be approved or declined; validators judge it.

    :ivar user: who is about to pay.
    :ivar amount: whole Stars, already found equal to what was offered.
    :ivar query: the update behind it (Bot API ``PreCheckoutQuery``).
    :ivar promo: the promo code that it is bought with, in capitals.
    :ivar is_gift: whether it is bought for somebody else.
    """

    bot: Bot = field(repr=False)
    user: User
    stage: PaymentStage
    stage_id: str
    amount: int
    currency: str
    metadata: Mapping[str, Any]
    invoice_id: str
    query: PreCheckoutQuery = field(repr=False)
    promo: str | None = None
    is_gift: bool = False

    @property
    def user_id(self) -> int:
        """Who is about to pay."""
        return self.user.id
