"""A price book: what things cost in money, turned into Stars at a rate that may change while the bot runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from aiogram_neonpay.checks import MAX_AMOUNT, check_count, check_stage_id, check_text
from aiogram_neonpay.errors import ConfigurationError, ValidationError

__all__ = ["Money", "PriceBook"]

Money = Decimal | int | str
"""An exact amount: ``"4.99"``, ``Decimal("4.99")`` or ``5``; a ``float`` is none."""
MAX_STEP = 10_000
LONGEST_CURRENCY = 16
"""Characters. Ours; an ISO 4217 code has three."""


class PriceBook:
    """Prices of stages in a currency of the author's; what ``neonpay_router(prices=...)`` takes.

    A price is turned into Stars when it is shown and when an invoice is issued, rounded up, so that nothing is sold for
    less than the book says. An issued invoice keeps its Stars: they stand in its signed payload.

    :param prices: the price of each stage, by id; those stages have ``price=None``.
    :param star: what one Star is worth in that currency.
    :param currency: what prices are in, for those who show them; nothing is computed from it.
    :param step: prices are rounded up to multiples of this many Stars, 1-10,000.
    :raises ValidationError: naming the field, the limit and the value.
    :raises ConfigurationError: when ``prices`` is no dictionary.
    """

    def __init__(self, prices: Mapping[str, Money], *, star: Money, currency: str = "USD", step: int = 1) -> None:
        if not isinstance(prices, Mapping):
            raise ConfigurationError(
                'prices must be a dict of amounts by stage id, such as {"premium": "4.99"}, '
                f"not {type(prices).__name__}"
            )
        self.currency = check_text("currency", currency, LONGEST_CURRENCY)
        if step is None:
            raise ValidationError("step", f"must be a whole number from 1 to {MAX_STEP}", step)
        check_count("step", step, MAX_STEP)
        self.step = step
        self._star = _money("star", star)
        self._prices: dict[str, Decimal] = {}
        for stage_id, price in prices.items():
            self.set_price(stage_id, price)

    @property
    def star(self) -> Decimal:
        """What one Star is worth. Setting it changes every price from then on, in this process.

        :raises ValidationError: for a bad amount, or one at which something would cost too much; nothing changes then.
        """
        return self._star

    @star.setter
    def star(self, value: Money) -> None:
        star = _money("star", value)
        for stage_id, price in self._prices.items():
            self._in_stars(f"star (for {stage_id!r})", price, star)
        self._star = star

    @property
    def prices(self) -> dict[str, Decimal]:
        """A copy of the book, in its currency."""
        return dict(self._prices)

    def set_price(self, stage_id: str, price: Money) -> None:
        """Enter or change the price of a stage; issued invoices keep theirs.

        :raises ValidationError: for a bad id, or for what is no exact positive amount.
        """
        check_stage_id(stage_id)
        name = f"prices[{stage_id!r}]"
        exact = _money(name, price)
        self._in_stars(name, exact, self._star)
        self._prices[stage_id] = exact

    def quote(self, stage_id: str) -> int | None:
        """Return what a stage costs now, in whole Stars; ``None`` if it is not in the book."""
        price = self._prices.get(stage_id)
        return None if price is None else self._in_stars("prices", price, self._star)

    def _in_stars(self, name: str, price: Decimal, star: Decimal) -> int:
        stars = math.ceil(Fraction(price) / Fraction(star) / self.step) * self.step
        if stars > MAX_AMOUNT:
            raise ValidationError(name, f"must be at most {MAX_AMOUNT} Stars, is {stars}", str(price))
        return stars


def _money(name: str, value: object) -> Decimal:
    """Return an exact positive amount."""
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, str)):
        raise ValidationError(name, 'must be exact, such as "4.99" or Decimal("4.99") (a float is not)', value)
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise ValidationError(name, 'must be a number, such as "4.99"', value) from None
    if not amount.is_finite() or amount <= 0:
        raise ValidationError(name, "must be more than 0", value)
    if not -12 <= amount.adjusted() <= 15:
        raise ValidationError(name, "must be between 0.000000000001 and 9,999,999,999,999,999", value)
    return amount
