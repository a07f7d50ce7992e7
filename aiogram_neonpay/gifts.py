"""Gifts: paid by one person, opened by another through a link, delivered to whoever opens it first.

The link names the charge and the secret that was recorded with it, so it outlives restarts and changes of the bot's
token. To open it is one atomic change of the charge; the delivery that follows is like any other.
"""

from __future__ import annotations

import logging
import re
from datetime import datetime, timezone
from hmac import compare_digest
from typing import Any
from urllib.parse import quote

from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, User
from aiogram.utils.deep_linking import create_deep_link

from aiogram_neonpay.events import answer
from aiogram_neonpay.ledger.base import CHARGE, RecordKey
from aiogram_neonpay.ledger.charges import PAID, STUCK, WRAPPED, Claim, is_refunded, reference_of
from aiogram_neonpay.models import Gift
from aiogram_neonpay.outcomes import Outcomes
from aiogram_neonpay.records import names_of, user_of
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage
from aiogram_neonpay.worker import Worker

__all__ = ["Gifts", "opens_gift"]

logger = logging.getLogger("aiogram_neonpay")

COMMAND = "/start gift_"
_LINK = re.compile(r"/start gift_([0-9a-f]{17})([A-Za-z0-9_-]{16})")
PAGE = 100
"""Payments that are read at a time where only gifts are wanted."""

Body = dict[str, Any]


def opens_gift(text: str | None) -> bool:
    """Whether a message may have come through the link of a gift."""
    return text is not None and text.startswith(COMMAND)


class Gifts:
    """Gives the buyers of one shop links, and those who open them what was bought."""

    def __init__(self, shop: Shop, worker: Worker) -> None:
        self._shop = shop
        self._worker = worker

    async def wrap(self, bot: Bot, claim: Claim, stage: PaymentStage | None, outcomes: Outcomes) -> None:
        """Send the buyer of a gift its link, and settle the charge until somebody opens it.

        A process that dies in between sends the same link again.
        """
        body = claim.body
        buyer = user_of(body)
        link = await self.link(bot, claim.key.name, body)
        say, language = self._shop.texts.get, buyer.language_code
        title = body["stage"] if stage is None else stage.title
        share = f"https://t.me/share/url?url={quote(link, safe='')}"
        button = InlineKeyboardButton(text=say("gift_share_button", language), url=share)
        try:
            await bot.send_message(
                buyer.id,
                say("gift_bought", language, title=title, link=link),
                parse_mode=None,
                reply_markup=InlineKeyboardMarkup(inline_keyboard=[[button]]),
            )
        except (TelegramForbiddenError, TelegramBadRequest) as error:
            logger.warning(
                "%s: the link of the gift was not sent (%s): list_gifts() has it", claim.in_log, error.message
            )
        await outcomes.settle(bot, claim, state=WRAPPED, counted=True)

    async def link(self, bot: Bot, reference: str, body: Body) -> str:
        """Return the address that opens a gift."""
        return create_deep_link(str((await bot.me()).username), "start", f"gift_{reference}{body['gift']}")

    async def open(self, bot: Bot, text: str, opener: User) -> None:
        """Open a gift for who came through its link, if they are the first, and have it delivered; tell all others."""
        found = _LINK.fullmatch(text)
        outcome = "gift_gone"
        if found is not None:
            try:
                outcome = await self._open(bot, found[1], found[2], opener)
            except Exception:
                # If it was written all the same, the worker finds it, and the link says so when it is tapped again.
                logger.exception("bot %s: the gift %s could not be opened", bot.id, found[1])
                outcome = "unavailable"
        if outcome == "opened":
            assert found is not None
            self._worker.wake(bot, found[1])
            return
        about = f"a gift's link (user {opener.id})"
        await answer(bot, opener.id, about, self._shop.texts.get(outcome, opener.language_code), {"parse_mode": None})

    async def _open(self, bot: Bot, reference: str, secret: str, opener: User) -> str:
        """Write down who opens a gift; return ``opened``, or the key of the sentence that says why they do not."""
        outcome = "gift_gone"

        def change(known: Body) -> Body | None:
            nonlocal outcome
            outcome = _refusal(known, secret, opener.id) or "opened"
            if outcome != "opened":
                return None
            person = {"recipient": opener.id, "opener": names_of(opener), "opened": int(self._shop.clock())}
            return {**person, "state": PAID, "attempts": 0, "tried": 0, "reason": None}

        await self._shop.charges.change(RecordKey(bot.id, CHARGE, reference), change)
        return outcome

    # Reading

    async def get(self, bot: Bot, reference: str, body: Body) -> Gift | None:
        """Return the gift of a recorded charge, or ``None`` when it is none."""
        if "gift" not in body:
            return None
        opened = body.get("opened")
        return Gift(
            await self._shop.payment(body, reference),
            await self.link(bot, reference, body),
            None if opened is None else datetime.fromtimestamp(opened, timezone.utc),
        )

    async def of(self, bot: Bot, user_id: int, limit: int) -> list[Gift]:
        """Return the newest gifts that somebody has bought."""
        found: list[Gift] = []
        read = 0
        while True:
            page = await self._shop.charges.history(bot.id, user_id, limit=PAGE, offset=read)
            read += PAGE
            for body in page:
                gift = await self.get(bot, reference_of(body["charge"], user_id), body)
                if gift is not None:
                    found.append(gift)
                    if len(found) == limit:
                        return found
            if len(page) < PAGE:
                return found


def _refusal(known: Body, secret: str, user_id: int) -> str | None:
    """Return the key of the sentence for who may not open a gift; ``None`` for who may."""
    if "gift" not in known or not compare_digest(known["gift"], secret) or is_refunded(known):
        return "gift_gone"
    if "recipient" in known:
        return "gift_yours" if known["recipient"] == user_id else "gift_opened"
    if known.get("refund") or known.get("doubt") or known["state"] not in (PAID, WRAPPED, STUCK):
        return "gift_gone"
    return "gift_own" if known["user"] == user_id else None
