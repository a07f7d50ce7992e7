"""The methods of ``NeonPay`` that sell paid media."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from aiogram import Bot
from aiogram.types import CallbackQuery, InputPaidMedia, Message

from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.invoices import Offer
from aiogram_neonpay.media import MediaSeller
from aiogram_neonpay.membership import Membership
from aiogram_neonpay.places import place_of

__all__ = ["Gallery"]

logger = logging.getLogger("aiogram_neonpay")


class Gallery(Membership):
    """Sells photos and videos that are shown to whoever pays for them."""

    _media_seller: MediaSeller

    async def send_paid_media(
        self,
        chat_id: int | str,
        stage_id: str,
        media: Sequence[InputPaidMedia],
        *,
        amount: int | None = None,
        metadata: dict[str, Any] | None = None,
        key: str | None = None,
        bot: Bot | None = None,
        **send_paid_media_options: Any,
    ) -> Message:
        """Send photos and videos that are blurred until somebody pays for them (Bot API ``sendPaidMedia``).

        Whoever sees the message may buy them, once each. Telegram asks nobody before it sells them, so limits of the
        stage, ``on_sale`` from then on, and validators do not apply, and nothing expires. Sales come to ``media_sold``.
        In a channel the Stars go to the channel, and the bot does not hear of sales.

        :param chat_id: where to show them: a user's id for their private chat, or any chat.
        :param stage_id: what is sold; its price is what the media cost, 1-25,000 Stars.
        :param media: 1-10 of aiogram's ``InputPaidMediaPhoto`` and ``InputPaidMediaVideo``.
        :param amount: whole Stars, for a stage without a price.
        :param metadata: comes back in every sale, over the stage's ``payload``; at most 8192 bytes of JSON.
        :param key: makes the call idempotent: the same key sends the message once.
        :param bot: which bot sells; needed only outside handlers when several are known.
        :param send_paid_media_options: further parameters of Bot API ``sendPaidMedia``, such as ``caption``.
        :raises StageNotFoundError: for a stage that is not in the catalog.
        :raises InvoiceError: when Telegram refuses, the stage is not on sale or a subscription, or the key was used
            otherwise.
        :raises ValidationError: naming the parameter, its limit and the value.
        """
        acting = self._acting(bot)
        if isinstance(chat_id, bool) or not isinstance(chat_id, (int, str)):
            raise ValidationError("chat_id", "must be a chat id (int) or a @username (str)", chat_id)
        offer = Offer(stage_id, None, amount=amount, metadata=metadata, key=key, media=True)
        message = await self._media_seller.send(acting, chat_id, offer, media, send_paid_media_options)
        self._hear_of_sales()
        return message

    async def answer_paid_media(
        self,
        event: Message | CallbackQuery,
        stage_id: str,
        media: Sequence[InputPaidMedia],
        *,
        amount: int | None = None,
        metadata: dict[str, Any] | None = None,
        key: str | None = None,
        bot: Bot | None = None,
        **send_paid_media_options: Any,
    ) -> Message:
        """Send paid media to where a message or a tap came from, chat and topic.

        Parameters and errors are those of :meth:`send_paid_media`.
        """
        place = place_of(event)
        return await self.send_paid_media(
            place.chat_id,
            stage_id,
            media,
            amount=amount,
            metadata=metadata,
            key=key,
            bot=bot or event.bot,
            **{**place.options(), **send_paid_media_options},
        )

    def _hear_of_sales(self) -> None:
        """Have aiogram ask for the update from now on, and say so if it has not until now."""
        dispatcher = self._shop.dispatcher
        if self.purchased_paid_media.handlers or dispatcher is None:
            return
        if "purchased_paid_media" not in dispatcher.resolve_used_update_types():
            logger.warning(
                "paid media were sent, but no handler of media_sold was there when the bot started, so Telegram may "
                "not have been asked to tell of their sales: reconciliation finds them, later. Register one"
            )
        self._ask_for_purchases()
