"""Filters for plain message handlers."""

from __future__ import annotations

from typing import Any

from aiogram.filters import Filter
from aiogram.types import Message

from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.stages import check_stage_id

__all__ = ["PaidStage"]


class PaidStage(Filter):
    """Passes service messages of payments of these stages; with no ids, of any stage of ours.

    ::

        @router.message(PaidStage("premium"))
        async def thanks(message: Message, payment: PaymentResult) -> None: ...
    """

    def __init__(self, *stage_ids: str) -> None:
        self.stage_ids = frozenset(check_stage_id(stage_id) for stage_id in stage_ids)

    async def __call__(self, message: Message, payment: PaymentResult | None = None, **_: Any) -> bool:
        """Tell whether the message reports such a payment."""
        if payment is None or message.successful_payment is None or payment.stage_id is None:
            return False
        return not self.stage_ids or payment.stage_id in self.stage_ids
