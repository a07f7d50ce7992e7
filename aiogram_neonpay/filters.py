"""Filters: for plain message handlers, and for handlers of what only some people may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiogram import Bot
from aiogram.filters import Filter
from aiogram.types import Message, TelegramObject, User

from aiogram_neonpay.checks import check_access_name, check_stage_id
from aiogram_neonpay.errors import ConfigurationError
from aiogram_neonpay.models import PaymentResult

if TYPE_CHECKING:
    from aiogram_neonpay.membership import Membership

__all__ = ["HasAccess", "PaidStage"]


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


class HasAccess(Filter):
    """Passes events of people who have an access, and injects it as ``access``; one read of the storage.

    ::

        @router.message(Command("draw"), HasAccess("pictures"))
        async def draw(message: Message, access: Access) -> None: ...

    It works on any event that comes from a person. An event without one, such as a channel's post, does not pass.

    :param name: as in ``PaymentStage(access=...)``.
    """

    def __init__(self, name: str) -> None:
        self.name = check_access_name("name", name)

    async def __call__(
        self,
        event: TelegramObject,
        neonpay: Membership | None = None,
        bot: Bot | None = None,
        event_from_user: User | None = None,
        **_: Any,
    ) -> bool | dict[str, Any]:
        """Tell whether the person behind the event has the access.

        :raises ConfigurationError: when the dispatcher has no NeonPay.
        """
        if neonpay is None:
            raise ConfigurationError("HasAccess needs the NeonPay of the dispatcher: call dp.include_router(pay)")
        if event_from_user is None:
            return False
        access = await neonpay.access(event_from_user.id, self.name, bot=bot)
        return False if access is None else {"access": access}
