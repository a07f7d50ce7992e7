"""Carries questions of buyers to the admins' chat, and answers back.

Nothing is kept between the two: what the bot posts for the admins begins with a line that says whom it is from, about
which payment, and in which message. It works after a restart, in another process, and for as long as the chat exists.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramForbiddenError
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup, Message, ReactionTypeEmoji, ReplyParameters

from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.models import PaymentResult, PaymentStatus
from aiogram_neonpay.storefront.support.taps import SupportTap
from aiogram_neonpay.texts import Texts
from aiogram_neonpay.wording import day_text, reason_text

__all__ = ["Desk"]

logger = logging.getLogger("aiogram_neonpay")

TEXT_UNITS, CAPTION_UNITS = 4096, 1024
"""UTF-16 units (Bot API ``sendMessage``, ``copyMessage``)."""
CAPTIONED = ("photo", "video", "animation", "audio", "document", "voice")
"""What of a message can be copied under a caption of ours."""
ASIDE = "/"
"""How commands begin, and what admins say among themselves: ``//``."""
CARRIED = "👍"
"""The reaction to an answer that has reached the buyer."""
_TAG = re.compile(r"#u(\d{1,16}) #m(\d{1,16})(?: #l(\w{2,16}))?(?: #p([0-9a-f]{17}))?(?!\w)")


@dataclass(frozen=True)
class Desk:
    """Where admins read questions and answer them.

    :ivar chat_id: the admins' chat.
    :ivar thread_id: its topic, if it has topics.
    :ivar language: in which the admins are spoken to.
    """

    chat_id: int
    thread_id: int | None = None
    language: str | None = None

    # From the buyer

    def takes(self, message: Message) -> bool:
        """Whether a message is of a kind that can be passed on."""
        return message.text is not None or any(getattr(message, kind) is not None for kind in CAPTIONED)

    async def pass_on(self, message: Message, payment: PaymentResult | None, bot: Bot, texts: Texts) -> None:
        """Post a buyer's message for the admins, below what is known of the buyer and the payment.

        :raises TelegramAPIError: when their chat cannot be reached.
        """
        tag = _tag(message, payment)
        head = f"{tag}\n{self._facts(message, payment, texts)}"
        if message.text is None:
            caption = message.caption or ""
            whole = f"{head}\n\n{caption}".rstrip()
            fits = _units(whole) <= CAPTION_UNITS
            await bot.copy_message(
                self.chat_id,
                message.chat.id,
                message.message_id,
                message_thread_id=self.thread_id,
                caption=whole if fits else tag,
                parse_mode=None,
            )
            if fits:
                return
            text = caption
        else:
            text = message.text
        for part in _parts(head, tag, text):
            await bot.send_message(self.chat_id, part, message_thread_id=self.thread_id, parse_mode=None)

    def _facts(self, message: Message, payment: PaymentResult | None, texts: Texts) -> str:
        user = message.from_user
        assert user is not None
        name = user.full_name if user.username is None else f"{user.full_name} @{user.username}"
        lines = [texts.get_for("support_from", self.language, name=name, id=user.id)]
        if payment is None:
            lines.append(texts.get_for("support_no_payment", self.language))
        else:
            lines += self._payment(payment, texts)
        return "\n".join([*lines, texts.get_for("support_how", self.language)])

    def _payment(self, payment: PaymentResult, texts: Texts) -> Iterator[str]:
        def say(key: str, /, **values: Any) -> str:
            return texts.get_for(key, self.language, **values)

        moment = payment.timestamp
        yield say(
            "support_payment",
            reference=payment.reference,
            title=title_of(payment),
            stage=payment.stage_id,
            stars=say("stars", n=payment.amount),
            date="" if moment is None else f"{day_text(say, moment)} {moment:%H:%M} UTC",
        )
        if payment.status is PaymentStatus.REFUNDED:
            status = say("payment_refunded")
        elif payment.reason is not None:
            status = say("payment_waiting", reason=reason_text(say, payment.reason))
        else:
            status = say("payment_delivered" if payment.delivered else "payment_on_its_way")
        yield say("support_status", status=status)

    # From the admins

    async def is_answer(self, message: Message, bot: Bot) -> bool:
        """Whether a message is an admin's answer to a question, for the buyer to read."""
        if message.chat.id != self.chat_id:
            return False
        question = message.reply_to_message
        if question is None or question.from_user is None or question.from_user.id != bot.id:
            return False
        if (message.text or message.caption or "").startswith(ASIDE):
            return False
        return _TAG.match(question.text or question.caption or "") is not None

    async def answer(self, message: Message, bot: Bot, neonpay: NeonPay) -> None:
        """Carry an admin's answer to the buyer, as a reply to their question."""
        question = message.reply_to_message
        assert question is not None
        tag = _TAG.match(question.text or question.caption or "")
        assert tag is not None
        buyer, asked = int(tag[1]), int(tag[2])
        back = InlineKeyboardButton(
            text=neonpay.texts.get_for("support_back_button", (tag[3] or "").replace("_", "-")),
            callback_data=SupportTap(action="back", reference=tag[4] or "").pack(),
        )
        try:
            await bot.copy_message(
                buyer,
                message.chat.id,
                message.message_id,
                reply_parameters=ReplyParameters(message_id=asked, allow_sending_without_reply=True),
                reply_markup=InlineKeyboardMarkup(inline_keyboard=[[back]]),
            )
        except TelegramForbiddenError:
            await self._say(message, neonpay.texts.get_for("support_unreachable", self.language))
        except TelegramAPIError as error:
            logger.warning("an answer of the support was not carried to user %s (%s)", buyer, error.message)
            await self._say(message, neonpay.texts.get_for("support_not_carried", self.language))
        else:
            with suppress(TelegramAPIError):  # a group may do without reactions
                await message.react([ReactionTypeEmoji(emoji=CARRIED)])

    async def _say(self, message: Message, text: str) -> None:
        await message.reply(text, parse_mode=None)


def title_of(payment: PaymentResult) -> str:
    """Return how a payment is called: its stage's title, or its id once the stage is gone."""
    return payment.stage.title if payment.stage is not None else payment.stage_id or "?"


def _tag(message: Message, payment: PaymentResult | None) -> str:
    """Return the line that tells whom a question is from; admins can search for any of it."""
    user = message.from_user
    assert user is not None
    tag = f"#u{user.id} #m{message.message_id}"
    if user.language_code:
        tag += f" #l{user.language_code.replace('-', '_')}"
    return tag if payment is None else f"{tag} #p{payment.reference}"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _parts(head: str, tag: str, text: str) -> Iterator[str]:
    """Yield a text below its head, in messages of a size that Telegram takes, each of which can be answered."""
    while True:
        room = TEXT_UNITS - _units(head) - 2
        part = text.encode("utf-16-le")[: 2 * room].decode("utf-16-le", "ignore")
        yield f"{head}\n\n{part}"
        text = text[len(part) :]
        if not text:
            return
        head = tag
