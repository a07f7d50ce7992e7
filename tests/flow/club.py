"""A bot that sells a subscription, and Telegram on the other side of it."""

from __future__ import annotations

from typing import Any

from aiogram import Dispatcher
from aiogram.fsm.storage.memory import MemoryStorage

from aiogram_neonpay import PaymentStage, neonpay_router
from tests.flow.clock import Clock
from tests.telegram import ALICE, RecordingBot, paid, person, update

__all__ = ["DAY", "MONTH", "STAGES", "Club"]

MONTH, DAY = 2_592_000, 86_400
STAGES = {
    "club": PaymentStage("Club", "The members' club", 100, subscription=True, access="club", payload={"level": 1}),
    "pass": PaymentStage("Pass", "Ten days of the club", 40, access="club", access_for=10 * DAY),
}


class Club:
    """A bot that sells a subscription, and Telegram on the other side."""

    def __init__(self, bot: RecordingBot, clock: Clock, storage: MemoryStorage, **options: Any) -> None:
        self.bot, self.clock = bot, clock
        self.pay = neonpay_router(options.pop("stages", STAGES), bot=bot, clock=clock, **options)
        self.dp = Dispatcher(storage=storage)
        self.dp.include_router(self.pay)
        self.told: list[Any] = []
        self.payload = ""

    def listen(self) -> Club:
        pay = self.pay
        for observer in (
            pay.subscription_started,
            pay.subscription_renewed,
            pay.subscription_canceled,
            pay.subscription_restored,
            pay.subscription_failed,
            pay.subscription_expired,
            pay.completed,
            pay.refunded,
        ):
            observer.register(self.hear)
        return self

    async def hear(self, event: Any) -> None:
        self.told.append(event)

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.told]

    def charge(self, *, first: bool = False, until: float | None = None, **fields: Any) -> dict[str, Any]:
        """The message of a charge that Telegram makes now."""
        marks: dict[str, Any] = {"is_recurring": True, **({"is_first_recurring": True} if first else {})}
        end = int(self.clock.now + MONTH if until is None else until)
        made = paid(self.payload, 100, subscription_expiration_date=end, **marks, **fields)
        made["message"]["date"] = int(self.clock.now)
        return made

    async def subscribe(self) -> dict[str, Any]:
        await self.pay.create_link("club", user_id=ALICE)
        self.payload = self.bot.payload()
        first = self.charge(first=True)
        await self.feed(first)
        return first

    async def feed(self, told: dict[str, Any]) -> None:
        await self.dp.feed_raw_update(self.bot, told)

    async def turn(self, state: str, user_id: int = ALICE) -> None:
        """Telegram's `subscription` update."""
        fields = {"user": person(user_id), "invoice_payload": self.payload, "state": state}
        await self.feed(update(subscription=fields))

    async def later(self, seconds: float) -> None:
        self.clock.now += seconds
        await self.pay.run_due()

    async def has_access(self) -> bool:
        return await self.pay.access(ALICE, "club") is not None
