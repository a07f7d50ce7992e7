"""Subscriptions over months in the sandbox: lost updates, stages that are gone, limits of one for each."""

from __future__ import annotations

from typing import Any

import pytest
from aiogram import Dispatcher

from aiogram_neonpay import NeonPay, PaymentStage, neonpay_router
from aiogram_neonpay.sandbox import Clock
from aiogram_neonpay.testing import BotSandbox, BotUser, SandboxOptions

pytestmark = pytest.mark.asyncio

CLUB = PaymentStage("Club", "The members' club", 10, subscription=True, access="club")


class Club:
    """A bot in the sandbox, and one person in its club."""

    def __init__(self, stage: PaymentStage) -> None:
        self.pay: NeonPay = neonpay_router({"club": stage})
        self.dp = Dispatcher()
        self.dp.include_router(self.pay)
        self.told: list[tuple[str, float]] = []
        self.sandbox = BotSandbox(self.dp, SandboxOptions(clock=Clock(1_800_000_000, running=False)))

    def listen(self, *names: str) -> Club:
        for name in names:
            getattr(self.pay, name).register(self.hear)
        return self

    async def hear(self, event: Any) -> None:
        days = (self.sandbox.clock.now() - 1_800_000_000) / 86400
        self.told.append((type(event).__name__, round(days, 2)))

    async def join(self, person: BotUser) -> str | None:
        return (await person.pay(link=await self.pay.create_link("club", user_id=person.id))).error


async def test_lost_renewals_are_told_and_no_end_before_them() -> None:
    club = Club(CLUB).listen("subscription_started", "subscription_renewed", "subscription_expired")
    async with club.sandbox as sandbox:
        alice = sandbox.user("Alice", stars=30)
        await club.join(alice)
        sandbox.faults.add_update("successful_payment", drop=True)
        await sandbox.advance(days=100)

        kinds = [kind for kind, _ in club.told]
        assert kinds == ["SubscriptionStarted", *["SubscriptionRenewed"] * 2, "SubscriptionExpired"]
        assert club.told[-1] == ("SubscriptionExpired", 91.0)


async def test_renewals_of_a_stage_that_is_gone_with_its_handlers_are_delivered_by_the_access_they_give() -> None:
    club = Club(CLUB).listen("unmatched", "stuck")
    async with club.sandbox as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await club.join(alice)
        club.pay.remove_payment_stage("club")
        await sandbox.advance(days=30)

        [renewed, _] = await club.pay.history(alice.id)
        assert renewed.delivered and club.told == [] and await club.pay.stuck_payments() == []
        assert await club.pay.access(alice.id, "club") is not None


async def test_one_for_each_means_one_subscription_at_a_time() -> None:
    club = Club(PaymentStage("Club", "One for each", 10, subscription=True, access="club", per_user=1))
    async with club.sandbox as sandbox:
        alice = sandbox.user("Alice", stars=100)
        for _ in range(3):
            assert await club.join(alice) is None
            assert await club.join(alice) == "You have this already. No Stars were charged."
            alice.cancel_subscription()
            await sandbox.advance(days=31)
        assert alice.balance == 70


async def test_the_seat_of_a_subscription_that_ended_is_free_again_once() -> None:
    club = Club(PaymentStage("Club", "One seat", 10, subscription=True, access="club", stock=1)).listen(
        "subscription_expired"
    )
    async with club.sandbox as sandbox:
        alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob", stars=100)
        assert await club.join(alice) is None
        assert await club.join(bob) == "This is sold out. No Stars were charged."
        await sandbox.advance(days=30)
        alice.cancel_subscription()
        await sandbox.advance(days=31)
        assert await club.join(bob) is None
        assert await club.join(alice) == "This is sold out. No Stars were charged."

        await sandbox.advance(days=20)  # a refund of what has ended frees no second seat
        [_, first] = await club.pay.history(alice.id)
        await club.pay.refund(str(first.transaction_id))
        await sandbox.settle()
        assert await club.join(alice) == "This is sold out. No Stars were charged."
        [first] = await club.pay.history(bob.id)
        await club.pay.refund(str(first.transaction_id))  # a refund of one that runs does, and its end no second time
        await sandbox.settle()
        assert await club.join(alice) is None
        await club.pay.cancel_subscription(bob.id, "club")
        await sandbox.advance(days=1)
        assert await club.pay.stock_left("club") == 0
