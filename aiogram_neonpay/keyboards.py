"""Inline keyboards whose buttons the plugin answers with an invoice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiogram.filters.callback_data import CallbackData
from aiogram.types import InlineKeyboardMarkup
from aiogram.utils.keyboard import InlineKeyboardBuilder

from aiogram_neonpay.checks import check_amount, check_stage_id, check_text
from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.stages import stage_code

__all__ = ["TAP_PREFIX", "StageTap", "donate_keyboard"]

TAP_PREFIX = "neonpay"
_LONGEST_ID = 43
"""Bytes of a stage id that fit beside prefix and amount in Telegram's 64 bytes of callback data."""
_ROW = 3


class StageTap(CallbackData, prefix=TAP_PREFIX):
    """What a button of ours carries: the stage, by its id or, when that is too long, by ``~`` and its code."""

    stage: str
    amount: int

    @classmethod
    def of(cls, stage_id: str, amount: int) -> StageTap:
        """Return the data for a button that sells ``amount`` Stars of a stage."""
        return cls(stage=stage_id if len(stage_id) <= _LONGEST_ID else "~" + stage_code(stage_id), amount=amount)


def donate_keyboard(
    amounts: Sequence[int],
    *,
    stage_id: str = "donate",
    labels: Mapping[int, str] | Sequence[str] | None = None,
) -> InlineKeyboardMarkup:
    """Return a keyboard with a button for each amount; a tap is answered with an invoice of that many Stars.

    The stage needs ``price=None``: ``PaymentStage(title="Donate", description="...", price=None)``. In a group the
    invoice is for whoever taps.

    :param amounts: whole Stars, at least one amount, without repeats.
    :param stage_id: the stage to sell.
    :param labels: button texts by amount, or in the order of ``amounts``; ``"10 ⭐"`` for those not given.
    :raises ValidationError: for amounts or labels that cannot be shown.
    """
    check_stage_id(stage_id)
    if isinstance(amounts, (str, bytes)) or not isinstance(amounts, Sequence) or not 1 <= len(amounts) <= 100:
        raise ValidationError("amounts", "must be a list of 1-100 whole numbers of Stars", amounts)
    for amount in amounts:
        check_amount("amounts", amount)
    if len(set(amounts)) != len(amounts):
        raise ValidationError("amounts", "must not repeat", list(amounts))
    if labels is None:
        texts: dict[int, str] = {}
    elif isinstance(labels, Mapping):
        strange = [amount for amount in labels if amount not in amounts]
        if strange:
            raise ValidationError("labels", "must be for amounts of the keyboard", strange)
        texts = dict(labels)
    else:
        if isinstance(labels, str) or not isinstance(labels, Sequence) or len(labels) != len(amounts):
            raise ValidationError("labels", f"must be {len(amounts)} texts, one for each amount", labels)
        texts = dict(zip(amounts, labels, strict=True))
    builder = InlineKeyboardBuilder()
    for amount in amounts:
        label = check_text("labels", texts.get(amount, f"{amount} ⭐"), 64)
        builder.button(text=label, callback_data=StageTap.of(stage_id, amount))
    return InlineKeyboardMarkup(inline_keyboard=builder.adjust(_ROW).export())
