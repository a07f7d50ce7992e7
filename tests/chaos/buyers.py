"""People who buy, several at once: they pay invoices once and twice, ask for refunds, and block the bot for a while."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from aiogram_neonpay.ledger.charges import reference_of
from aiogram_neonpay.sandbox import Sandbox, SandboxError, SandboxUser
from aiogram_neonpay.sandbox.models import Message
from tests.chaos.shop import GOODS

__all__ = ["Buyer"]

AT_ONCE = 4
"""Things that one person does at a time."""

PACE = 0.4
"""Seconds between two deeds of one person, in the mean."""


class Others(Protocol):
    """Who else moves the Stars of a charge."""

    async def refund_elsewhere(self, charge: str, notify: bool) -> None: ...
    async def charge_back(self, charge: str) -> None: ...
    async def refund_from_office(self, charge: str) -> None: ...


class Buyer:
    """One person.

    :param others: who refunds charges of theirs without having been asked by the bot.
    :ivar counts: what they did, and how it ended.
    """

    def __init__(self, sandbox: Sandbox, number: int, seed: int, others: Others) -> None:
        self._sandbox = sandbox
        self.user: SandboxUser = sandbox.create_user(f"Buyer {number}", stars=1_000_000, started=True)
        self._dice = random.Random(f"{seed} buyer {number}")
        self._others = others
        self._orders = 0
        self._invoices: list[Message] = []
        self._charges: list[str] = []
        self._seen = 0
        self.counts: Counter[str] = Counter()
        bot_id = next(iter(sandbox.world.bots))
        self._chat = sandbox.world.private_chat(bot_id, self.user.id)

    async def live(self) -> None:
        """Go on until cancelled."""
        deeds: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._order, 10),
            (self._pay_again, 8),
            (self._ask_for_refund, 2),
            (self._be_refunded_elsewhere, 2),
            (self._be_refunded_by_office, 1),
            (self._ask_for_delivery, 2),
            (self._sulk, 1),
        ]
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                [deed] = self._dice.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])
                # Some wait long for a bot that is down; there is more to life.
                running = {task for task in running if not task.done()}
                if len(running) < AT_ONCE:
                    running.add(asyncio.ensure_future(self._do(deed)))
                await asyncio.sleep(self._dice.expovariate(1 / PACE))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _do(self, deed: Callable[[], Awaitable[None]]) -> None:
        with suppress(SandboxError):
            await deed()

    async def _order(self) -> None:
        self._orders += 1
        [stage] = self._dice.choices(list(GOODS), [goods.often for goods in GOODS.values()])
        self._look()
        await self.user.send(f"/buy {stage} {self.user.id}-{self._orders}")
        known = len(self._invoices)
        if not await self._sandbox.until(lambda: self._look() > known, 2.0):
            self.counts["orders without an invoice"] += 1
            return
        invoice = self._invoices[-1]
        times = 2 if self._dice.random() < (0.6 if stage == "single" else 0.1) else 1
        await asyncio.gather(*(self._pay(invoice) for _ in range(times)))

    async def _pay_again(self) -> None:
        if self._invoices:
            await self._pay(self._dice.choice(self._invoices[-8:]))

    async def _pay(self, message: Message) -> None:
        assert message.invoice is not None
        payments = self._sandbox.payments
        form = payments.open_form(self._sandbox.world.people[self.user.id], message.invoice, message)
        receipt = await payments.submit(self.user.id, form.id)
        if not receipt.ok:
            self.counts[f"not paid: {receipt.code}"] += 1
            return
        assert receipt.transaction_id is not None
        self.counts["paid"] += 1
        self._charges.append(receipt.transaction_id)
        if self._dice.random() < 0.03:
            await self._elsewhere(receipt.transaction_id)

    async def _ask_for_refund(self) -> None:
        if charge := self._a_charge():
            how = " later" if self._dice.random() < 0.5 else ""
            for _ in range(self._dice.choice((1, 1, 2))):
                await self.user.send(f"/refund {reference_of(charge, self.user.id)}{how}")
            self.counts["refunds asked for"] += 1

    async def _be_refunded_elsewhere(self) -> None:
        if charge := self._a_charge():
            await self._elsewhere(charge)

    async def _elsewhere(self, charge: str) -> None:
        if self._dice.random() < 0.15:
            await self._others.charge_back(charge)
            self.counts["chargebacks"] += 1
        else:
            await self._others.refund_elsewhere(charge, self._dice.random() < 0.5)
            self.counts["refunds made elsewhere"] += 1

    async def _be_refunded_by_office(self) -> None:
        if charge := self._a_charge():
            self.counts["refunds by a process without a dispatcher"] += 1
            await self._others.refund_from_office(charge)

    async def _ask_for_delivery(self) -> None:
        if charge := self._a_charge():
            await self.user.send(f"/redeliver {reference_of(charge, self.user.id)}")

    async def _sulk(self) -> None:
        """Block the bot for a moment."""
        self.user.block()
        try:
            await asyncio.sleep(self._dice.uniform(0.1, 0.6))
        finally:
            self.user.unblock()

    def _a_charge(self) -> str | None:
        return self._dice.choice(self._charges[-20:]) if self._charges else None

    def _look(self) -> int:
        """Notice new invoices; return how many there are."""
        for number in sorted(number for number in self._chat.messages if number > self._seen):
            self._seen = number
            message = self._chat.messages[number]
            if message.invoice is not None:
                self._invoices.append(message)
        return len(self._invoices)
