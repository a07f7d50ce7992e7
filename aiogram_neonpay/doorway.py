"""The methods of ``NeonPay`` about the ways into the shop from outside: deep links."""

from __future__ import annotations

from aiogram import Bot

from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.gallery import Gallery
from aiogram_neonpay.links import Links, StartLink
from aiogram_neonpay.stages import PaymentStage

__all__ = ["Doorway"]


class Doorway(Gallery):
    """Makes the links by which people come."""

    _links: Links

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
