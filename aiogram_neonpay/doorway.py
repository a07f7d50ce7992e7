"""The methods of ``NeonPay`` about the ways into the shop from outside: links and inline results."""

from __future__ import annotations

from typing import Any

from aiogram import Bot
from aiogram.types import InlineQueryResultArticle

from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.invoices import Offer, Seller
from aiogram_neonpay.links import Links, StartLink
from aiogram_neonpay.models import InvoiceLink
from aiogram_neonpay.promotions import Promotions
from aiogram_neonpay.stages import PaymentStage

__all__ = ["Doorway"]


class Doorway(Promotions):
    """Makes what people come by."""

    _links: Links
    _seller: Seller

    async def load_stage(self, stage_id: str) -> PaymentStage | None:
        """Return a stage as it is sold now, asking the loader for one that this process does not know."""
        return await self._shop.catalog.get(stage_id)

    async def create_start_link(
        self,
        stage_id: str,
        *,
        ref: str | int | None = None,
        promo: str | None = None,
        amount: int | None = None,
        group: bool = False,
        bot: Bot | None = None,
    ) -> str:
        """Return a deep link to the bot, ``https://t.me/<bot>?start=...``, whose Start is answered with an invoice.

        The bot's own ``/start`` handler runs first, with what the link says as ``start_link``. The link can be passed
        on and opened any number of times; nobody but the bot can write one. What is too long for 64 characters, such as
        a very long stage id, is kept in the storage, for ever and once for each content.

        :param ref: text of 1-64 characters or a number, such as the id of whoever brings the buyer; comes back as
            ``metadata["ref"]`` of the payment.
        :param promo: a promo code that the invoice applies.
        :param amount: whole Stars, for a stage without a price.
        :param group: make a link that adds the bot to a group (``?startgroup=``); the invoice is shown there, for
            whoever opened the link.
        :raises StageNotFoundError: for a stage that is not in the catalog.
        :raises ValidationError: naming the parameter, its limit and the value.
        """
        if not isinstance(group, bool):
            raise ValidationError("group", "must be True or False", group)
        return await self._links.create(self._acting(bot), StartLink(stage_id, ref, promo, amount), group=group)

    async def create_link(
        self,
        stage_id: str,
        *,
        user_id: int | None = None,
        amount: int | None = None,
        metadata: dict[str, Any] | None = None,
        key: str | None = None,
        single_use: bool = False,
        track: bool = False,
        expires_in: float | None = None,
        buyer_only: bool | None = None,
        promo: str | None = None,
        gift: bool = False,
        bot: Bot | None = None,
        **create_invoice_link_options: Any,
    ) -> InvoiceLink:
        """Return the address of an invoice (Bot API ``createInvoiceLink``), a ``str`` with ``invoice_id``.

        :param user_id: the buyer; a link can be passed on, so by default only they may pay. ``None``: anybody.

        The other parameters and errors are those of :meth:`send_payment`.
        """
        acting = self._acting(bot)
        bound = (user_id is not None) if buyer_only is None else buyer_only
        offer = Offer(
            stage_id, user_id, bound, amount, metadata, key, single_use, track, expires_in, promo=promo, gift=gift
        )
        url, invoice_id = await self._seller.link(acting, offer, create_invoice_link_options)
        return InvoiceLink(url, invoice_id)

    async def create_inline_result(
        self,
        stage_id: str,
        *,
        id: str | None = None,
        user_id: int | None = None,
        amount: int | None = None,
        metadata: dict[str, Any] | None = None,
        single_use: bool = False,
        track: bool = False,
        expires_in: float | None = None,
        promo: str | None = None,
        gift: bool = False,
        bot: Bot | None = None,
        **article_options: Any,
    ) -> InlineQueryResultArticle:
        """Return an inline-mode result whose message is an invoice, for ``InlineQuery.answer``.

        :param id: the result's id, 1-64 bytes; the invoice's own when omitted.
        :param user_id: the only user who may pay; whoever sees the message when omitted.
        :param article_options: further fields of Bot API ``InlineQueryResultArticle``.

        The other parameters and errors are those of :meth:`send_payment`.
        """
        acting = self._acting(bot)
        offer = Offer(
            *(stage_id, user_id, user_id is not None, amount, metadata, None, single_use, track, expires_in),
            promo=promo,
            gift=gift,
        )
        return await self._seller.inline_result(acting, offer, id, article_options)
