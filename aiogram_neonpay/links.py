"""Deep links that open a stage: what a ``start`` parameter carries, and the invoice for whoever comes by one.

A parameter has at most 64 characters of ``A-Z a-z 0-9 _ -`` (Bot API, deep linking). It holds everything itself, sealed
so that nobody but the bot can write one; what is too long is kept in the storage under a name that nobody guesses.

==================  ==========  ==========================================================
parameter           characters  content
==================  ==========  ==========================================================
``np1-``                     4  ours, complete
seal                         8  keyed hash over the rest
content, base64url     up to 52  stage, ref, promo code and amount, with tabs between them
``np1_``                     4  ours, kept in the storage
name                        24  keyed hash over the content
==================  ==========  ==========================================================
"""

from __future__ import annotations

import logging
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError
from aiogram.types import Message
from aiogram.utils.deep_linking import create_deep_link

from aiogram_neonpay.checks import check_stage_id, check_text
from aiogram_neonpay.errors import NeonPayError, PromoError, StageNotFoundError, ValidationError
from aiogram_neonpay.invoices import Offer, Seller
from aiogram_neonpay.places import place_of
from aiogram_neonpay.promo import check_promo_code
from aiogram_neonpay.shop import Shop

__all__ = ["START_LINK", "Links", "StartLink", "start_parameter"]

logger = logging.getLogger("aiogram_neonpay")

START_LINK = "start_link"
"""Under which name handlers get the link by which somebody came."""
MAX_REF = 64
"""Characters. Ours."""
LARGEST_REF = 1 << 63
_COMPLETE, _KEPT = "np1-", "np1_"
_SEAL, _SEAL_TEXT = 6, 8
_NAME = 18
_ROOM = 64 - len(_COMPLETE) - _SEAL_TEXT
_NUMBER = "\x01"
"""Before a ref that is a number; no text that is taken holds it."""
_START = re.compile(r"/start(?:@(\w+))?\s+(np1[-_][A-Za-z0-9_-]{1,60})\s*")


@dataclass(frozen=True)
class StartLink:
    """What a deep link of ours says; handlers of the ``/start`` that it causes get it injected as ``start_link``.

    :ivar stage_id: what it opens.
    :ivar ref: whoever or whatever brought the buyer, as it was given to ``create_start_link``.
    :ivar promo: the promo code that it applies.
    :ivar amount: whole Stars, for a stage without a price.
    """

    stage_id: str
    ref: str | int | None = None
    promo: str | None = None
    amount: int | None = None

    def __post_init__(self) -> None:
        check_stage_id(self.stage_id)
        if isinstance(self.ref, int) and not isinstance(self.ref, bool):
            if not -LARGEST_REF <= self.ref < LARGEST_REF:
                raise ValidationError("ref", "must be a number of at most 64 bits", self.ref)
        elif self.ref is not None:
            check_text("ref", self.ref, MAX_REF)
        if self.promo is not None:
            object.__setattr__(self, "promo", check_promo_code("promo", self.promo))

    def dump(self) -> str:
        """Return the text that a parameter carries."""
        ref = f"{_NUMBER}{self.ref}" if isinstance(self.ref, int) else self.ref or ""
        parts = (self.stage_id, ref, self.promo or "", "" if self.amount is None else str(self.amount))
        return "\t".join(parts).rstrip("\t")

    @classmethod
    def load(cls, text: str) -> StartLink:
        """Return the link that a text of :meth:`dump` says."""
        stage_id, ref, promo, amount = (text.split("\t") + [""] * 3)[:4]
        return cls(
            stage_id,
            int(ref[1:]) if ref.startswith(_NUMBER) else ref or None,
            promo or None,
            int(amount) if amount else None,
        )


def start_parameter(text: str) -> tuple[str | None, str] | None:
    """Return whom a ``/start`` with a parameter of ours is addressed to, if anybody, and the parameter."""
    found = _START.fullmatch(text)
    return None if found is None else (found[1], found[2])


class Links:
    """Makes the deep links of one shop, and opens them."""

    def __init__(self, shop: Shop, seller: Seller) -> None:
        self._shop = shop
        self._seller = seller

    async def create(self, bot: Bot, link: StartLink, *, group: bool) -> str:
        """Return the address of a link, after keeping what does not fit into it."""
        stage = await self._shop.catalog.get(link.stage_id)
        if stage is None:
            raise StageNotFoundError(link.stage_id)
        stage.amount_for(link.amount)
        username = (await bot.me()).username
        assert username is not None  # a bot has one
        kind = "startgroup" if group else "start"
        return create_deep_link(username, kind, await self._parameter(bot, link))  # type: ignore[arg-type]

    async def _parameter(self, bot: Bot, link: StartLink) -> str:
        content = link.dump()
        signer = self._shop.signer(bot)
        text = urlsafe_b64encode(content.encode()).decode().rstrip("=")
        if len(text) <= _ROOM:
            return _COMPLETE + signer.seal(text, _SEAL) + text
        name = signer.seal(content, _NAME)
        await self._shop.links.put(bot.id, name, content)
        return _KEPT + name

    async def find(self, bot: Bot, parameter: str) -> StartLink | str:
        """Return what a parameter stands for, or the key of what to say instead."""
        try:
            return await self._read(bot, parameter) or "link_invalid"
        except Exception:
            # The bot's own handlers get the message all the same.
            logger.exception("bot %s: a deep link could not be read", bot.id)
            return "unavailable"

    async def _read(self, bot: Bot, parameter: str) -> StartLink | None:
        rest = parameter[len(_COMPLETE) :]
        if parameter.startswith(_KEPT):
            content = await self._shop.links.get(bot.id, rest)
            return None if content is None else StartLink.load(content)
        seal, text = rest[:_SEAL_TEXT], rest[_SEAL_TEXT:]
        if not self._shop.signer(bot).is_sealed(text, seal, _SEAL):
            return None
        return StartLink.load(urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())

    async def open(self, bot: Bot, link: StartLink | str, message: Message) -> None:
        """Send the invoice that a link leads to, to where it was opened; whatever goes wrong is said or logged."""
        language = message.from_user.language_code if message.from_user is not None else None
        if isinstance(link, str):
            await self._say(message, self._shop.texts.get(link, language))
            return
        try:
            place = place_of(message)
            stage = await self._shop.catalog.get(link.stage_id)
            offer = Offer(
                link.stage_id,
                place.buyer,
                bound=place.buyer is not None and not place.private,
                # A stage that has got a price since is sold at that.
                amount=link.amount if stage is not None and stage.price is None else None,
                metadata=None if link.ref is None else {"ref": link.ref},
                promo=link.promo,
            )
            try:
                await self._seller.send(bot, place.chat_id, offer, place.options(), language)
            except PromoError as error:
                await self._say(message, error.text)
                await self._seller.send(bot, place.chat_id, replace(offer, promo=None), place.options(), language)
        except NeonPayError as error:
            logger.warning("a deep link to stage %r was not answered with an invoice: %s", link.stage_id, error)
            await self._say(message, self._shop.texts.get("unavailable", language))

    async def _say(self, message: Message, text: str) -> None:
        try:
            await message.answer(text, parse_mode=None)
        except TelegramAPIError as error:
            logger.info("chat %s: nothing could be said about a deep link (%s)", message.chat.id, error.message)
