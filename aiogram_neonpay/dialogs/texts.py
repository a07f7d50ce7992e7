"""Text widgets: the package's own sentences in the buyer's language, and prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiogram_dialog import DialogManager
from aiogram_dialog.api.internal import TextWidget
from aiogram_dialog.widgets.common import WhenCondition
from aiogram_dialog.widgets.text import Format, Text

from aiogram_neonpay.checks import check_stage_id
from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.dialogs.sale import language_of, neonpay_of
from aiogram_neonpay.errors import ConfigurationError, ValidationError
from aiogram_neonpay.phrases import PHRASES
from aiogram_neonpay.stages import PaymentStage

__all__ = ["PhraseText", "PriceText", "StageId", "as_text", "checked_stage_id", "price_of", "stage_in"]

StageId = str | TextWidget
"""A stage's id, or a text widget that renders it: ``Format("{dialog_data[stage_id]}")``."""


def as_text(text: str | TextWidget) -> TextWidget:
    """Return a text widget; a string is a format, as it is in a window.

    :raises ConfigurationError: for anything else.
    """
    if isinstance(text, str):
        return Format(text)
    if not isinstance(text, TextWidget):
        raise ConfigurationError(f"a text must be a string or a text widget of aiogram-dialog, not {text!r:.60}")
    return text


def checked_stage_id(stage_id: StageId) -> StageId:
    """Refuse what cannot be a stage's id."""
    return stage_id if isinstance(stage_id, TextWidget) else check_stage_id(stage_id)


class PhraseText(Text):
    """A sentence of the package, in the buyer's language; replaced through ``neonpay_router(texts=...)``.

    :param key: the phrase's, such as ``"unavailable"``; its placeholders are filled from the window's data.
    :raises ValidationError: when there is no such phrase.
    """

    def __init__(self, key: str, when: WhenCondition = None) -> None:
        super().__init__(when=when)
        if key not in PHRASES:
            raise ValidationError("key", "must be that of a phrase: see docs/texts.md", key)
        self.key = key

    async def _render_text(self, data: dict[str, Any], manager: DialogManager) -> str:
        if manager.is_preview():
            return PHRASES[self.key].english
        values = {name: value for name, value in data.items() if isinstance(name, str)}
        return neonpay_of(manager.middleware_data).texts.get(self.key, language_of(manager.middleware_data), **values)


class PriceText(Text):
    """What a stage costs, in the buyer's language: ``25 ⭐``, ``25 ⭐ a month``, or that the buyer chooses.

    :param stage_id: the stage, or a text widget that renders its id; in a ``StageSelect`` and in the windows of the
        ready shop it goes without saying.
    """

    def __init__(self, stage_id: StageId | None = None, when: WhenCondition = None) -> None:
        super().__init__(when=when)
        self.stage_id = None if stage_id is None else checked_stage_id(stage_id)

    async def _render_text(self, data: dict[str, Any], manager: DialogManager) -> str:
        if manager.is_preview():
            return "25 ⭐"
        neonpay = neonpay_of(manager.middleware_data)
        if isinstance(self.stage_id, TextWidget):
            stage = neonpay.get_payment_stage(await self.stage_id.render_text(data, manager))
        elif self.stage_id is not None:
            stage = neonpay.get_payment_stage(self.stage_id)
        else:
            stage = stage_in(data)
        language = language_of(manager.middleware_data)
        return neonpay.texts.get("unavailable", language) if stage is None else price_of(neonpay, stage, language)


def stage_in(data: Mapping[str, Any]) -> PaymentStage | None:
    """Return the stage that a window or a line of a list is about."""
    for known in (data.get("item"), data.get("stage")):
        stage = getattr(known, "stage", known)
        if isinstance(stage, PaymentStage):
            return stage
    outer = data.get("data")  # in a line of a list, what the window has
    return stage_in(outer) if isinstance(outer, Mapping) else None


def price_of(neonpay: NeonPay, stage: PaymentStage, language: str | None) -> str:
    """Return what a stage costs."""
    if stage.price is None:
        return neonpay.texts.get("price_chosen", language)
    if stage.subscription:
        return neonpay.texts.get("price_monthly", language, amount=stage.price)
    return f"{stage.price} ⭐"  # which Telegram draws as its own icon
