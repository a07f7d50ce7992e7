"""The typed events that payment handlers receive."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from aiogram import Bot
from aiogram.exceptions import AiogramError
from aiogram.types import Message, User

from aiogram_neonpay.models import PaymentResult, Subscription
from aiogram_neonpay.stages import PaymentStage

__all__ = [
    "AnyEvent",
    "CheckoutDeclined",
    "MediaSold",
    "PaymentCompleted",
    "PaymentEvent",
    "PaymentRefunded",
    "PaymentStuck",
    "PaymentUnmatched",
    "SubscriptionCanceled",
    "SubscriptionEvent",
    "SubscriptionExpired",
    "SubscriptionFailed",
    "SubscriptionRenewed",
    "SubscriptionRestored",
    "SubscriptionStarted",
    "kinds_of",
]

logger = logging.getLogger("aiogram_neonpay")


async def answer(bot: Bot, chat_id: int, about: str, text: str, options: dict[str, Any]) -> Message | None:
    """Send a message that must not fail what it belongs to: whatever goes wrong at Telegram is logged."""
    try:
        return await bot.send_message(chat_id, text, **options)
    except AiogramError as error:
        logger.warning("%s: the answer to chat %s was not sent (%s)", about, chat_id, type(error).__name__)
        return None


@dataclass(frozen=True)
class PaymentEvent(PaymentResult):
    """A payment with the bot it belongs to; every field of :class:`PaymentResult` is its own.

    :ivar bot: the bot that was paid.
    :ivar message: the service message behind the event, or ``None`` when there was none.
    """

    bot: Bot = field(kw_only=True, repr=False, compare=False)
    message: Message | None = field(default=None, kw_only=True, repr=False, compare=False)

    @property
    def payment(self) -> PaymentResult:
        """The payment without the bot, safe to keep."""
        fields = {name: getattr(self, name) for name in PaymentResult.__dataclass_fields__}
        fields["metadata"] = deepcopy(self.metadata)  # what one handler does with it is not for the others to see
        return PaymentResult(**fields)

    async def answer(self, text: str, **options: Any) -> Message | None:
        """Write to the buyer's private chat (Bot API ``sendMessage``; ``options`` are its parameters).

        It never fails a delivery: a buyer who cannot be reached is logged and gives ``None``.
        """
        return await answer(self.bot, self.user_id, f"payment {self.reference}", text, options)


class PaymentCompleted(PaymentEvent):
    """A charge to deliver to :attr:`recipient_id`: to the buyer, or to whoever has opened it if it is a gift.

    Handlers run at least once each; :attr:`attempt` tells which run this is.
    """

    async def answer(self, text: str, **options: Any) -> Message | None:
        """Write to the recipient's private chat, which is the buyer's unless it is a gift.

        It never fails a delivery: who cannot be reached is logged and gives ``None``.
        """
        chat = self.user_id if self.recipient_id is None else self.recipient_id
        return await answer(self.bot, chat, f"payment {self.reference}", text, options)


class MediaSold(PaymentCompleted):
    """Paid media that somebody bought: Telegram has shown them already, and what else goes with it is to be delivered.

    Telegram's id of the charge is not known yet, so :attr:`transaction_id` is an id of ours: of the message that was
    sold and its buyer, and for ever the same. :attr:`message` is ``None``.
    """


class PaymentRefunded(PaymentEvent):
    """A charge whose Stars went back, by the bot or from elsewhere; :attr:`status` is REFUNDED."""


@dataclass(frozen=True)
class PaymentUnmatched(PaymentEvent):
    """A charge that could not be matched to a delivery; it is kept, listed and waits for a person.

    :ivar reason: ``"no_handler"`` (nothing in the bot heard it), ``"bad_token"`` (its payload claims to be ours, but no
        key of this bot signed it), or ``"wrong_amount"`` (what was paid is not what its invoice offered).
    """

    reason: str = field(default="no_handler", kw_only=True)


@dataclass(frozen=True)
class PaymentStuck(PaymentEvent):
    """A charge that cannot go on without a person; it is kept, listed and waits.

    ``await pay.redeliver(event.reference)`` has it delivered again, ``await pay.refund(event.reference)`` gives the
    Stars back.

    :ivar reason: ``"attempts"`` (every attempt to deliver it failed), ``"buyer_unreachable"`` (the buyer blocked the
        bot in the middle of the delivery), ``"refund_refused"`` (Telegram refuses its refund),
        ``"refund_delayed"`` (Telegram has not confirmed its refund after eight requests; it is sent on), or
        ``"refund_unheard"`` (it is refunded, but every attempt of the refund's handlers failed).
    :ivar error: what went wrong last, as ``Type: message``.
    """

    reason: str = field(default="attempts", kw_only=True)
    error: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class CheckoutDeclined:
    """A checkout of one of our invoices that was declined; no Star moved.

    :ivar user: who wanted to pay.
    :ivar reason: a stable code: ``bad_token``, ``wrong_currency``, ``wrong_amount``, ``wrong_buyer``, ``expired``,
        ``stage_not_found``, ``not_on_sale``, ``cancelled``, ``already_paid``, ``owned``, ``limit_reached``,
        ``sold_out``, ``promo_ended``, ``promo_used_up``, ``promo_already_used``, ``rejected`` (a validator),
        ``check_failed`` (a validator raised something else), ``interrupted`` (the bot stopped the query on its way)
        or ``too_slow`` (the deadline came first).
    :ivar text: the sentence the buyer saw.
    :ivar stage_id: what was to be sold, when the payload could be read.
    """

    bot: Bot = field(repr=False, compare=False)
    user: User
    reason: str
    text: str
    amount: int
    currency: str
    stage_id: str | None = None
    stage: PaymentStage | None = None
    invoice_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def user_id(self) -> int:
        """Who wanted to pay."""
        return self.user.id

    async def answer(self, text: str, **options: Any) -> Message | None:
        """Write to the buyer's private chat; a buyer who cannot be reached is logged and gives ``None``."""
        return await answer(self.bot, self.user_id, f"declined checkout of {self.stage_id}", text, options)


@dataclass(frozen=True)
class SubscriptionStarted(PaymentCompleted):
    """The first charge of a subscription, to deliver like any other payment.

    :ivar subscription: the subscription that it began.
    """

    subscription: Subscription = field(kw_only=True)


@dataclass(frozen=True)
class SubscriptionRenewed(PaymentCompleted):
    """A further charge of a subscription, which Telegram made by itself.

    :ivar subscription: the subscription, with its new end.
    """

    subscription: Subscription = field(kw_only=True)


@dataclass(frozen=True)
class SubscriptionEvent:
    """What became of a subscription without a charge.

    :ivar user: whose it is.
    :ivar subscription: the subscription as it is now.
    :ivar attempt: which attempt to tell this is, from 1.
    """

    bot: Bot = field(repr=False, compare=False)
    user: User
    subscription: Subscription
    attempt: int = 1

    @property
    def user_id(self) -> int:
        """Whose subscription it is."""
        return self.user.id

    @property
    def stage_id(self) -> str:
        """What is sold."""
        return self.subscription.stage_id

    @property
    def stage(self) -> PaymentStage | None:
        """What is sold, as the catalog knows it now."""
        return self.subscription.stage

    @property
    def amount(self) -> int:
        """Whole Stars of the last charge."""
        return self.subscription.amount

    @property
    def metadata(self) -> dict[str, Any]:
        """What the seller attached to its invoice."""
        return self.subscription.metadata

    async def answer(self, text: str, **options: Any) -> Message | None:
        """Write to the buyer's private chat; a buyer who cannot be reached is logged and gives ``None``."""
        return await answer(self.bot, self.user_id, f"subscription {self.subscription.id}", text, options)


class SubscriptionCanceled(SubscriptionEvent):
    """It will not be charged again; what is paid runs to its end. ``subscription.canceled_by`` tells who it was."""


class SubscriptionRestored(SubscriptionEvent):
    """The buyer has resumed it: Telegram will charge again."""


class SubscriptionFailed(SubscriptionEvent):
    """Telegram could not charge for the next period, such as for lack of Stars."""


class SubscriptionExpired(SubscriptionEvent):
    """The paid period has ended without a renewal, and the time of grace with it."""


AnyEvent = PaymentEvent | CheckoutDeclined | SubscriptionEvent


def kinds_of(event: AnyEvent) -> tuple[type[AnyEvent], ...]:
    """Return the kinds of handlers an event is offered to, one kind after another."""
    kind = type(event)
    return (kind, PaymentCompleted) if kind in (SubscriptionStarted, SubscriptionRenewed, MediaSold) else (kind,)
