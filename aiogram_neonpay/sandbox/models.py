"""Owns the values that describe the sandbox's world: people, bots, chats, messages, invoices, charges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class Person:
    """Someone with a Telegram account and Stars on it."""

    id: int
    first_name: str
    username: str
    language_code: str | None
    stars: int
    last_name: str | None = None
    history: list[PersonRow] = field(default_factory=list)

    def as_user(self) -> Json:
        """Return the Bot API `User` object."""
        user: Json = {"id": self.id, "is_bot": False, "first_name": self.first_name}
        if self.last_name:
            user["last_name"] = self.last_name
        user["username"] = self.username
        if self.language_code:
            user["language_code"] = self.language_code
        return user


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One change of a person's balance; ``amount`` is negative when Stars left."""

    amount: int
    date: int
    title: str
    charge_id: str | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One row of a bot's Star transactions; sale and refund share the id and differ in direction.

    ``amount`` (whole Stars) and ``nanostars`` (billionths of a Star beside them) are positive in both
    directions. ``kind`` is ``sale``, ``refund``, ``chargeback`` or the kind it was added under; ``user_id``
    and ``payload`` are ``None`` where no person or no invoice is concerned. ``partner`` is the Bot API
    `TransactionPartner` of rows that are neither sale nor refund, ``affiliate`` the `AffiliateInfo`.
    """

    id: str
    amount: int
    date: int
    outgoing: bool
    user_id: int | None
    payload: str | None
    subscription_period: int | None = None
    nanostars: int = 0
    kind: str = "sale"
    partner: Json | None = None
    affiliate: Json | None = None


@dataclass(frozen=True, slots=True)
class Affiliate:
    """Somebody who earns ``per_mille`` thousandths of what a bot sells."""

    user_id: int
    per_mille: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """What somebody can pay for: content of an invoice message, a link or an inline result."""

    bot_id: int
    title: str
    description: str
    payload: str
    currency: str
    amount: int
    start_parameter: str = ""
    photo_url: str | None = None
    subscription_period: int | None = None
    slug: str | None = None


@dataclass(slots=True)
class Charge:
    """One successful payment; ``renews`` is the id of the first charge of the subscription it renews."""

    id: str
    bot_id: int
    user_id: int
    invoice: Invoice
    date: int
    update_id: int | None = None
    update_message: Json | None = None
    subscription_until: int | None = None
    refunded: bool = False
    affiliate: Affiliate | None = None
    paid_media: PaidMedia | None = None
    renews: str | None = None


@dataclass(slots=True, eq=False)
class Subscription:
    """What one person pays a bot for again and again. It shows how things stand now, and changes with them.

    ``charges`` are the ids of its payments, oldest first. ``started`` and ``expiration_date``, the end of the period
    that is paid for, are Unix seconds. ``canceled`` tells that it will not be renewed, ``canceled_by_bot`` that the
    person may not re-enable it, ``failed`` that its last renewal could not be charged, ``over`` that it has ended.
    """

    bot_id: int
    user_id: int
    invoice: Invoice
    started: int
    expiration_date: int
    charges: list[str]
    canceled: bool = False
    canceled_by_bot: bool = False
    failed: bool = False
    over: bool = False

    @property
    def state(self) -> str:
        """``active``; ``canceled``, its paid period running on; ``failed``, a renewal unpaid; or ``expired``."""
        if self.over:
            return "failed" if self.failed else "expired"
        if self.canceled:
            return "canceled"
        return "failed" if self.failed else "active"

    @property
    def can_be_restored(self) -> bool:
        """Whether the person may re-enable it now."""
        return self.canceled and not self.canceled_by_bot and not self.over

    @property
    def first_charge_id(self) -> str:
        """The id of its first payment, by which the bot cancels it."""
        return self.charges[0]

    @property
    def payload(self) -> str:
        """What the bot wrote into the invoice."""
        return self.invoice.payload

    @property
    def title(self) -> str:
        """The title of the invoice."""
        return self.invoice.title

    @property
    def price(self) -> int:
        """What each period costs, in Stars."""
        return self.invoice.amount

    @property
    def period(self) -> int:
        """How long each period is, in seconds."""
        assert self.invoice.subscription_period is not None
        return self.invoice.subscription_period


@dataclass(slots=True)
class PaidMedia:
    """Media that a bot sells, shared by a message and its forwarded copies.

    ``media`` are the Bot API `PaidMedia` objects that the seller and the buyers see, ``previews`` those that
    everybody else sees; ``buyers`` are the charge ids of those who have paid, by user id.
    """

    bot_id: int
    stars: int
    payload: str
    media: list[Json]
    previews: list[Json]
    buyers: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Message:
    """A message in a chat; ``body`` is the Bot API `Message` object, the rest is what clients know besides."""

    chat: Chat
    id: int
    order: int
    body: Json
    bot_id: int | None = None
    invoice: Invoice | None = None
    reply_keyboard: Json | None = None
    charge_id: str | None = None
    inline_message_id: str | None = None
    paid_media: PaidMedia | None = None
    reactions: dict[int, list[Json]] = field(default_factory=dict)


@dataclass(slots=True)
class Chat:
    """A private chat of one person with one bot, or a group."""

    id: int
    type: str
    title: str
    bot_ids: list[int]
    member_ids: list[int]
    started: bool = True
    blocked: bool = False
    messages: dict[int, Message] = field(default_factory=dict)
    action: tuple[str, float] | None = None
    pinned: list[int] = field(default_factory=list)

    @property
    def is_private(self) -> bool:
        """Whether this is a person's own chat with a bot."""
        return self.type == "private"


@dataclass(slots=True)
class BotProfile:
    """What a bot has told Telegram about itself; texts by their kind and language.

    ``menu_buttons`` are by user id, 0 being the default; ``rights`` by whether they are for channels.
    """

    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    menu_buttons: dict[int, Json] = field(default_factory=dict)
    rights: dict[bool, Json] = field(default_factory=dict)


@dataclass(slots=True)
class CallbackQuery:
    """A tapped inline button that waits for its answer."""

    id: str
    bot_id: int
    user_id: int
    created: float
    answered: bool = False
    text: str | None = None
    alert: bool = False
    url: str | None = None


@dataclass(slots=True)
class InlineQuery:
    """An inline query and, once the bot has answered, its results."""

    id: str
    bot_id: int
    user_id: int
    text: str
    created: float
    results: list[Json] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One recorded Bot API call.

    ``result`` holds the answer, ``error`` the description of a refusal (then ``result`` is ``None``).
    ``time`` is in Unix seconds of the sandbox's clock. Successful ``getUpdates`` calls are not recorded.
    ``fault`` is the number of the fault rule that struck: beside an ``error`` the call had no effect, beside
    a ``result`` it had one, and the bot was not told. ``unknown`` are the parameters that the method does not
    have: Telegram ignores them, so they are most likely misspelt.
    """

    bot_id: int
    method: str
    params: Json
    result: Any
    error: str | None
    error_code: int | None
    time: float
    fault: int | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """How an attempt to pay ended.

    ``error`` is what the payer saw: the bot's own words when it declined, else Telegram's token
    (``BALANCE_TOO_LOW``, ``BOT_PRECHECKOUT_TIMEOUT``, ...); ``code`` is always the token.
    ``transaction_id`` is the charge id, ``None`` when nothing was charged. ``amount`` is in Stars.
    """

    ok: bool
    error: str | None
    transaction_id: str | None
    amount: int
    code: str | None = None
    subscription_expiration_date: int | None = None


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a transcript, as the person sees it.

    ``sender_id`` is the author's account; ``text`` is the caption of media; ``buttons`` are the texts of its
    keyboard, row by row; ``amount`` is the price in Stars of an invoice or of paid media; ``paid`` tells that it
    has become a receipt, or that the person has bought the media; ``raw`` is the Bot API `Message` object.
    """

    id: int
    chat_id: int
    sender_id: int
    from_bot: bool
    text: str
    buttons: tuple[tuple[str, ...], ...]
    amount: int | None
    paid: bool
    raw: Json
