"""The methods of ``NeonPay`` about promo codes and gifts."""

from __future__ import annotations

from aiogram import Bot

from aiogram_neonpay.discounts import Discounts
from aiogram_neonpay.errors import PaymentNotFoundError, ValidationError
from aiogram_neonpay.gallery import Gallery
from aiogram_neonpay.invoices import check_user_id
from aiogram_neonpay.models import Gift
from aiogram_neonpay.promo import PromoCode, PromoUsage, check_promo_code, promo_from, terms_of

__all__ = ["Promotions"]

MOST_GIFTS = 100


class Promotions(Gallery):
    """Makes promo codes, and tells what became of gifts."""

    async def create_promo(
        self, code: str, promo: PromoCode, replace: bool = False, *, bot: Bot | None = None
    ) -> PromoCode:
        """Make a promo code; it is kept in the ledger, so every worker knows it at once.

        A code that is replaced, or removed and made again, goes on counting its uses: take a new name for a new offer.

        :param code: 1-32 ASCII letters, digits, ``_`` or ``-``; small and capital letters are the same.
        :raises ValidationError: for a bad code, something that is no :class:`PromoCode`, or a code in use without
            ``replace``.
        """
        code = self._own_code(code)
        if not isinstance(promo, PromoCode):
            raise ValidationError("promo", "must be a PromoCode", promo)
        if not await self._shop.promo_codes.create(self._acting(bot).id, code, terms_of(promo), replace=replace):
            raise ValidationError("code", "is in use: pass replace=True to change it", code)
        return promo

    async def get_promo(self, code: str, *, bot: Bot | None = None) -> PromoCode | None:
        """Return a promo code that may be used, in its period, or ``None``."""
        promo, is_valid = await Discounts(self._shop).find(self._acting(bot), check_promo_code("code", code))
        return promo if is_valid else None

    async def list_promos(self, *, bot: Bot | None = None) -> dict[str, PromoCode]:
        """Return all promo codes by code: those of ``neonpay_router(promos=)``, and those that were made since."""
        kept = await self._shop.promo_codes.all(self._acting(bot).id)
        return {**{code: promo_from(terms) for code, terms in kept.items()}, **self._shop.promos}

    async def remove_promo(self, code: str, *, bot: Bot | None = None) -> bool:
        """Let a promo code be used no more; ``False`` if there was none.

        Invoices that were issued with it are honoured as long as their use is reserved, up to an hour.
        """
        return await self._shop.promo_codes.remove(self._acting(bot).id, self._own_code(code))

    async def get_promo_usage(self, code: str, *, bot: Bot | None = None) -> PromoUsage | None:
        """Return how often a promo code was used; ``None`` for one that never was there."""
        return await Discounts(self._shop).usage(self._acting(bot), check_promo_code("code", code))

    def _own_code(self, code: str) -> str:
        code = check_promo_code("code", code)
        if code in self._shop.promos:
            raise ValidationError("code", "is one of neonpay_router(promos=...): change it there", code)
        return code

    async def get_gift(self, payment_id: str, *, user_id: int | None = None, bot: Bot | None = None) -> Gift | None:
        """Return the gift that a payment bought, with its link; ``None`` if it bought none.

        :param payment_id: its ``transaction_id`` or ``reference``.
        :raises PaymentNotFoundError: when the ledger does not know it.
        """
        if not isinstance(payment_id, str) or not payment_id:
            raise ValidationError("payment_id", "must be a transaction_id or a reference", payment_id)
        check_user_id("user_id", user_id)
        acting = self._acting(bot)
        found = await self._shop.charges.find(acting.id, payment_id, user_id)
        if found is None:
            raise PaymentNotFoundError(payment_id)
        return await self._installation.gifts.get(acting, found[0].name, found[1])

    async def list_gifts(self, user_id: int, *, limit: int = 20, bot: Bot | None = None) -> list[Gift]:
        """Return the gifts that somebody has bought, the newest first, opened or not, for a screen of theirs.

        Payments are read 100 at a time until there are enough: its cost grows with how many of them are no gifts.

        :param limit: 1-100.
        """
        check_user_id("user_id", user_id, required=True)
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MOST_GIFTS:
            raise ValidationError("limit", f"must be 1-{MOST_GIFTS}", limit)
        return await self._installation.gifts.of(self._acting(bot), user_id, limit)
