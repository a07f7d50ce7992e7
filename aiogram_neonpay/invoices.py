"""Making and sending invoices: messages, links and inline results, each with a signed payload."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiogram import Bot
from aiogram.types import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQueryResultArticle,
    InputInvoiceMessageContent,
    LabeledPrice,
    Message,
    MessageEntity,
)

from aiogram_neonpay.checks import check_metadata, check_stage_id, is_text
from aiogram_neonpay.discounts import Discount, Discounts
from aiogram_neonpay.errors import InvoiceError, StageNotFoundError, ValidationError
from aiogram_neonpay.ledger.invoices import RETENTION
from aiogram_neonpay.ledger.subscriptions import PERIOD
from aiogram_neonpay.models import CURRENCY
from aiogram_neonpay.payload import InvoiceToken, dump_metadata, metadata_room, new_invoice_id
from aiogram_neonpay.promo import in_capitals
from aiogram_neonpay.sending import calling_telegram, send_once
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage
from aiogram_neonpay.tidying import Tidier

__all__ = ["Offer", "Seller"]

STORED_FOR = 30 * 86400
"""Seconds after which a stored invoice expires unless ``expires_in`` says otherwise."""
MAX_USER_ID = (1 << 52) - 1
"""Telegram's identifiers have at most 52 significant bits (Bot API ``User``)."""
TEN_YEARS = 10 * 365 * 86400
"""Seconds for which what is stored of paid media is kept: they never expire, and are bought at any time."""
MAX_KEY = 256
"""Characters of an idempotency key. Ours."""

_OURS = ("payload", "prices", "currency", "provider_token", "subscription_period")
_MESSAGE_OPTIONS = frozenset(inspect.signature(Bot.send_invoice).parameters) - {"self", "chat_id", *_OURS}
_TEXT_OPTIONS = frozenset(inspect.signature(Bot.send_message).parameters) & _MESSAGE_OPTIONS
_RESULT_OPTIONS = frozenset(InlineQueryResultArticle.model_fields) - {"type", "id", "input_message_content"}
_LINK_OPTIONS = frozenset(inspect.signature(Bot.create_invoice_link).parameters) - {"self", *_OURS}


@dataclass(frozen=True)
class Offer:
    """What a selling call asks for, before it becomes an invoice.

    :ivar buyer: the user it is made for, or ``None`` for whoever pays.
    :ivar bound: whether only that user may pay.
    :ivar media: whether paid media are sold instead of an invoice.
    :ivar promo: a promo code, in capitals; whatever somebody typed, there may be none of this name.
    :ivar gift: whether it is bought for somebody else.
    :ivar invoice_id: the id of the invoice, if it was chosen before (:func:`new_invoice_id`).
    """

    stage_id: str
    buyer: int | None = None
    bound: bool = False
    amount: int | None = None
    metadata: dict[str, Any] | None = None
    key: str | None = None
    single_use: bool = False
    track: bool = False
    expires_in: float | None = None
    media: bool = False
    promo: str | None = None
    gift: bool = False
    invoice_id: str | None = None

    def __post_init__(self) -> None:
        check_stage_id(self.stage_id)
        check_user_id("user_id", self.buyer)
        if self.bound and self.buyer is None:
            raise ValidationError("buyer_only", "needs a user_id to bind the invoice to", True)
        if self.key is not None and (not isinstance(self.key, str) or not 1 <= len(self.key) <= MAX_KEY):
            raise ValidationError("key", f"must be a string of 1-{MAX_KEY} characters", self.key)
        if self.key is not None and not is_text(self.key):
            raise ValidationError("key", "must be text that UTF-8 can carry", self.key)
        if self.promo is not None:
            object.__setattr__(self, "promo", in_capitals("promo", self.promo))
        for name in ("single_use", "track", "bound", "gift"):
            if not isinstance(getattr(self, name), bool):
                field = "buyer_only" if name == "bound" else name
                raise ValidationError(field, "must be True or False", getattr(self, name))
        if self.expires_in is not None:
            seconds = self.expires_in
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 1 <= seconds <= TEN_YEARS:
                raise ValidationError("expires_in", "must be 1 second to 10 years, in seconds", seconds)
        object.__setattr__(self, "metadata", check_metadata("metadata", self.metadata))


@dataclass(frozen=True)
class Invoice:
    """An offer turned into what Telegram is told."""

    bot: Bot
    stage: PaymentStage
    token: InvoiceToken
    payload: str = field(repr=False)
    stored: dict[str, Any] | None

    def parameters(self) -> dict[str, Any]:
        """Return what ``sendInvoice`` and ``createInvoiceLink`` have in common."""
        return {
            "title": self.stage.title,
            "description": self.stage.description,
            "payload": self.payload,
            "currency": CURRENCY,
            "prices": [LabeledPrice(label=self.stage.label, amount=self.token.amount)],
            "photo_url": self.stage.photo_url,
        }


def check_user_id(name: str, value: object, *, required: bool = False) -> None:
    """Refuse what cannot be a user's id.

    :raises ValidationError: unless it is a positive number of at most 52 bits, or ``None`` where that is allowed.
    """
    if value is None and not required:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_USER_ID:
        raise ValidationError(name, "must be a positive user id (int, at most 52 bits)", value)


class Seller:
    """Makes invoices for the stages of one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._tidier = Tidier(shop)
        self._discounts = Discounts(shop)

    async def send(
        self,
        bot: Bot,
        chat_id: int | str,
        offer: Offer,
        options: dict[str, Any],
        language: str | None = None,
        prompts: Sequence[int] = (),
    ) -> Message:
        """Send an invoice message (Bot API ``sendInvoice``), or for a subscription a message with its link.

        :param prompts: ids of messages of the same chat that led to it, to be tidied away with it.
        """
        _check_options("send_payment", options, _MESSAGE_OPTIONS)
        markup = options.pop("reply_markup", None)
        if markup is not None and not isinstance(markup, InlineKeyboardMarkup):
            raise ValidationError("reply_markup", "must be an InlineKeyboardMarkup", type(markup).__name__)
        asked = {"chat": chat_id, "kind": "message", "markup": markup, **options}
        invoice = await self.make(bot, offer, asked, language)
        once = offer.key is not None
        if invoice.stage.subscription:
            deliver = self._link_message(invoice, chat_id, markup, options, language, keep=once)
        else:
            deliver = self._invoice_message(invoice, chat_id, markup, options, language)
        if once:
            sent = await send_once(self._shop.invoices, bot, invoice.token.invoice_id, deliver)
        else:
            sent = await deliver()
        is_one_buyers = offer.bound or offer.single_use or (offer.buyer is not None and offer.buyer == chat_id)
        if is_one_buyers and self._tidier.is_wanted(invoice.stage):
            await self._tidier.note(bot, invoice.token.invoice_id, sent, prompts)
        return sent

    def _invoice_message(
        self,
        invoice: Invoice,
        chat_id: int | str,
        markup: InlineKeyboardMarkup | None,
        options: dict[str, Any],
        language: str | None,
    ) -> Callable[[], Awaitable[Message]]:
        """Return what sends an invoice."""
        if markup is not None:
            amount = invoice.token.amount
            label = self._shop.texts.get("pay_button", language, amount=amount)
            options["reply_markup"] = _with_pay_button(markup, label)
        if invoice.stage.start_parameter is not None:
            options.setdefault("start_parameter", invoice.stage.start_parameter)
        parameters = {**invoice.parameters(), **options}

        async def deliver() -> Message:
            with calling_telegram(f"the invoice of stage {invoice.token.stage_id!r}"):
                return await invoice.bot.send_invoice(chat_id, **parameters)

        return deliver

    def _link_message(
        self,
        invoice: Invoice,
        chat_id: int | str,
        markup: InlineKeyboardMarkup | None,
        options: dict[str, Any],
        language: str | None,
        *,
        keep: bool,
    ) -> Callable[[], Awaitable[Message]]:
        """Return what sends a message with a link to the invoice: Telegram sells subscriptions through links alone.

        :param keep: remember the link, for the message may have to be sent once more.
        """
        for name in options:
            if name not in _TEXT_OPTIONS:
                raise ValidationError(
                    name, "cannot be passed for a subscription: it is sold by a message with a link", "..."
                )
        stage, amount = invoice.stage, invoice.token.amount
        label = self._shop.texts.get("subscribe_button", language, amount=amount)
        parameters = {
            "text": f"{stage.title}\n\n{stage.description}",
            "entities": [MessageEntity(type="bold", offset=0, length=len(stage.title.encode("utf-16-le")) // 2)],
            "parse_mode": None,
            **options,
        }

        async def deliver() -> Message:
            url = await self._url_of(invoice, {}, keep=keep)
            button = [InlineKeyboardButton(text=label, url=url)]
            rows = [button, *(markup.inline_keyboard if markup is not None else [])]
            with calling_telegram(f"the offer of stage {invoice.token.stage_id!r}"):
                return await invoice.bot.send_message(
                    chat_id, reply_markup=InlineKeyboardMarkup(inline_keyboard=rows), **parameters
                )

        return deliver

    async def link(self, bot: Bot, offer: Offer, options: dict[str, Any]) -> tuple[str, str]:
        """Make an invoice link (Bot API ``createInvoiceLink``) and return it with the invoice's id."""
        _check_options("create_link", options, _LINK_OPTIONS)
        invoice = await self.make(bot, offer, {"kind": "link", **options})
        return await self._url_of(invoice, options, keep=offer.key is not None), invoice.token.invoice_id

    async def _url_of(self, invoice: Invoice, options: dict[str, Any], *, keep: bool) -> str:
        """Return the address of an invoice, made now, or before for the same key."""
        if invoice.stored is not None and "link" in invoice.stored:
            return str(invoice.stored["link"])
        parameters = invoice.parameters()
        if invoice.stage.subscription:
            parameters["subscription_period"] = PERIOD
        with calling_telegram(f"the invoice link of stage {invoice.token.stage_id!r}"):
            url = await invoice.bot.create_invoice_link(**{**parameters, **options})
        if keep:
            kept = await self._shop.invoices.change(
                invoice.bot.id, invoice.token.invoice_id, lambda known: None if "link" in known else {"link": url}
            )
            url = url if kept is None else kept["link"]
        return url

    async def inline_result(
        self, bot: Bot, offer: Offer, result_id: str | None, options: dict[str, Any]
    ) -> InlineQueryResultArticle:
        """Make an inline-mode result whose message is an invoice (Bot API ``InputInvoiceMessageContent``)."""
        _check_options("create_inline_result", options, _RESULT_OPTIONS)
        if result_id is not None and (not isinstance(result_id, str) or not 1 <= len(result_id.encode()) <= 64):
            raise ValidationError("id", "must be a string of 1-64 bytes", result_id)
        invoice = await self.make(bot, offer, {"kind": "inline"})
        stage = invoice.stage
        if stage.subscription:
            raise InvoiceError(
                f"stage {offer.stage_id!r} is a subscription, and Telegram sells those through links alone: put the "
                "address of create_link(...) into a result of your own"
            )
        return InlineQueryResultArticle(
            id=result_id or invoice.token.invoice_id,
            title=options.pop("title", stage.title),
            description=options.pop("description", stage.description),
            thumbnail_url=options.pop("thumbnail_url", stage.photo_url),
            input_message_content=InputInvoiceMessageContent(**invoice.parameters()),
            **options,
        )

    async def make(self, bot: Bot, offer: Offer, where: dict[str, Any], language: str | None = None) -> Invoice:
        """Turn an offer into an invoice with its payload, and store it if it needs to be."""
        stage = await self._shop.catalog.get(offer.stage_id)
        if stage is None:
            raise StageNotFoundError(offer.stage_id)
        if not stage.on_sale:
            raise InvoiceError(f"stage {offer.stage_id!r} is not on sale (on_sale=False)")
        if offer.gift and stage.subscription:
            raise InvoiceError(f"stage {offer.stage_id!r} is a subscription: who pays every month cannot give it away")
        now = self._shop.clock()
        amount = stage.amount_for(offer.amount)
        expires_at = None if offer.expires_in is None else int(now + offer.expires_in)
        room = metadata_room(offer.stage_id, amount, bound=offer.bound, expires=not offer.media)
        attached = dump_metadata(offer.metadata)
        long = len(attached.encode()) > room
        stored = None
        token = InvoiceToken(
            invoice_id=offer.invoice_id or new_invoice_id(now),
            issued_at=int(now),
            stage_id=offer.stage_id,
            amount=amount,
            buyer=offer.buyer if offer.bound else None,
            expires_at=expires_at,
            metadata_json=attached,
            media=offer.media,
            gift=offer.gift,
        )
        discount = None
        if offer.promo is not None and not await self._is_made(bot, offer.key):
            discount = await self._discounts.offer(bot, offer.promo, stage, token, offer.buyer, language)
            token = token._replace(amount=discount.amount)
        if offer.key is not None or offer.single_use or offer.track or long or discount is not None:
            kept_for = TEN_YEARS if offer.media else STORED_FOR
            token = token._replace(stored=True, expires_at=expires_at or int(now + kept_for), metadata_json="")
            stored = await self._store(bot, offer, token, where, discount)
            token = token._replace(
                invoice_id=stored["invoice"],
                issued_at=stored["issued"],
                amount=stored["amount"],
                expires_at=None if offer.media else stored["expires"],
            )
        return Invoice(bot, stage, token, self._shop.signer(bot).mint(token), stored)

    async def _is_made(self, bot: Bot, key: str | None) -> bool:
        """Whether a key has made its invoice: that one is at its price, whatever became of its promo code."""
        made = None if key is None else await self._shop.invoices.id_of_key(bot.id, key)
        return made is not None and await self._shop.invoices.get(bot.id, made) is not None

    async def _store(
        self, bot: Bot, offer: Offer, token: InvoiceToken, where: dict[str, Any], discount: Discount | None
    ) -> dict[str, Any]:
        assert token.expires_at is not None
        ttl = token.expires_at - token.issued_at + RETENTION
        record: dict[str, Any] = {
            "invoice": token.invoice_id,
            "issued": token.issued_at,
            "expires": token.expires_at,
            "forget_at": token.issued_at + ttl,
            "stage": token.stage_id,
            "amount": token.amount,
            "buyer": offer.buyer,
            "bound": offer.bound,
            "single": offer.single_use,
            "media": offer.media,
            "tracked": offer.key is not None or offer.single_use or offer.track,
            "metadata": offer.metadata,
            **({} if discount is None else discount.record()),
        }
        if offer.key is not None:
            asked = {
                **where,
                "stage": offer.stage_id,
                "amount": offer.amount,
                "buyer": offer.buyer,
                "bound": offer.bound,
                "single": offer.single_use,
                "track": offer.track,
                "expires_in": offer.expires_in,
                "metadata": offer.metadata,
                **({} if offer.promo is None else {"promo": offer.promo}),
                **({"gift": True} if offer.gift else {}),
            }
            text = json.dumps(asked, sort_keys=True, default=repr)
            record.update(key=offer.key, content=hashlib.sha256(text.encode()).hexdigest()[:32])
        kept = await self._shop.invoices.create(bot.id, record, ttl=float(ttl))
        if kept.get("state") == "cancelled":
            raise InvoiceError(f"the invoice of key {offer.key!r} was cancelled: use a new key for a new sale")
        if kept["expires"] <= self._shop.clock():
            raise InvoiceError(f"the invoice of key {offer.key!r} has expired: use a new key for a new sale")
        return kept


def _check_options(method: str, options: dict[str, Any], allowed: frozenset[str]) -> None:
    for name in options:
        if name in _OURS:
            raise ValidationError(name, f"is set by {method} itself and cannot be passed", "...")
        if name not in allowed:
            raise ValidationError(name, f"is no option of {method} or of the Bot API method behind it", "...")


def _with_pay_button(markup: InlineKeyboardMarkup, label: str) -> InlineKeyboardMarkup:
    """Return the keyboard with its Pay button first, where Telegram wants it (Bot API ``InlineKeyboardButton``)."""
    rows = markup.inline_keyboard
    if rows and rows[0] and rows[0][0].pay:
        return markup
    pay = next((button for row in rows for button in row if button.pay), None)
    others = [[button for button in row if not button.pay] for row in rows]
    first = pay or InlineKeyboardButton(text=label, pay=True)
    return InlineKeyboardMarkup(inline_keyboard=[[first], *(row for row in others if row)])
