"""A year in a town whose people belong to the club: they come, go, pay, run out of Stars, and are paid back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from aiogram.fsm.storage.base import BaseStorage

from aiogram_neonpay import NeonPayError, NoAccessError
from aiogram_neonpay.sandbox import Clock, Rules, Sandbox, SandboxUser
from aiogram_neonpay.sandbox.models import Subscription
from tests.proof.year.club import DAY, Journal, Worker

__all__ = ["Said", "Town"]

START = 1_800_000_000
HOUR = 3600
DEEDS = 30
"""What one person does in a year."""
OUTAGE = 0.03
"""Share of the days on which the bot goes down."""
OUTAGES = (2 * HOUR, 5 * HOUR, 20 * HOUR, 30 * HOUR, 60 * HOUR, 100 * HOUR, 40 * 24 * HOUR)
SETTLING = (*[1] * 8, *[7] * 6, 0.02)
"""Hours after which all that failed has been tried again, again and again, and what waited for a reading is done."""
ROUNDS = 60


class Said(NamedTuple):
    """A turn of a subscription, as Telegram told it or as the bot asked for it.

    :ivar heard: whether the bot got to know.
    """

    payload: str
    kind: str
    at: float
    heard: float | None


class Grant(NamedTuple):
    """Days of the club that a person gave."""

    user_id: int
    at: float
    days: int


class Town:
    """The sandbox, the workers, and everything that was done.

    :ivar said: the turns of all subscriptions, in order.
    :ivar uses: pictures that were drawn: who, when.
    """

    def __init__(self, people: int, seed: int, storages: list[BaseStorage], *, share: float = 0.15) -> None:
        self.dice = random.Random(seed)
        self.sandbox = Sandbox(seed, clock=Clock(START, running=False), rules=Rules(polling_brake=False))
        self.token = self.sandbox.create_bot("club_bot")
        self.journal = Journal(self.sandbox, seed, share)
        self.people = [
            self.sandbox.create_user(f"Person{number}", stars=self.dice.choice([150, 600, 3000]), started=True)
            for number in range(people)
        ]
        self._storages = storages
        self.workers: list[Worker] = []
        self.down_until = 0.0
        self.said: list[Said] = []
        self.fed: set[int] = set()
        self.grants: list[Grant] = []
        self.revoked: list[tuple[int, float]] = []
        self.uses: list[tuple[int, float]] = []
        self._offset = 0
        self._next_out: float | None = None

    @property
    def now(self) -> float:
        return self.sandbox.clock.now()

    @property
    def is_up(self) -> bool:
        return bool(self.workers)

    @property
    def worker(self) -> Worker:
        return self.dice.choice(self.workers)

    # The bot

    async def start(self) -> None:
        self.workers = [Worker(self.sandbox, self.token, storage, self.journal) for storage in self._storages]
        for worker in self.workers:
            await worker.start()

    async def stop(self) -> None:
        workers, self.workers = self.workers, []
        for worker in workers:
            await worker.stop()

    async def live(self, *, reads: bool = False) -> None:
        """Let the bot do everything that it can do now.

        :param reads: whether it is time for a worker to read Telegram's own ledger.
        """
        for _ in range(ROUNDS):
            updates = await self._updates()
            await asyncio.gather(*(self.worker.feed(update) for update in updates))
            if updates:
                continue
            if reads:
                await self.worker.read_ledger()
                reads = False
            done = await asyncio.gather(*(worker.go_on() for worker in self.workers))
            if not any(done):
                return
        raise AssertionError("the bot does not come to rest")

    async def _updates(self) -> list[dict[str, Any]]:
        params = {"offset": self._offset, "timeout": 0, "limit": 100}
        reply = await self.sandbox.call(self.token, "getUpdates", params)
        updates: list[dict[str, Any]] = reply.body["result"]
        for update in updates:
            self._offset = update["update_id"] + 1
            self.fed.add(update["update_id"])
            if turned := update.get("subscription"):
                self._hear(turned["invoice_payload"], turned["state"])
        return updates

    def _hear(self, payload: str, state: str) -> None:
        kind = {"canceled": "canceled", "active": "restored", "failed": "failed"}[state]
        for place, said in enumerate(self.said):
            # What is older than a day is lost.
            if (said.payload, said.kind, said.heard) == (payload, kind, None) and said.at >= self.now - DAY:
                self.said[place] = said._replace(heard=self.now)
                return
        # Only Telegram knows when a renewal failed: at the end of the period.
        self.said.append(Said(payload, kind, self.now, self.now))

    # Time

    async def year(self, look: Callable[[], Awaitable[None]]) -> None:
        """Live for twelve months; at the end of each, when everything is done, somebody looks at it."""
        await self.start()
        for _ in range(12):
            for _ in range(30):
                await self.day()
            await self.settle()
            await look()
        await self.stop()

    async def day(self) -> None:
        slots = sorted(self.dice.uniform(0, DAY) for _ in range(self._number_of_deeds()))
        begin = self.now
        if self.is_up and self.dice.random() < OUTAGE:
            await self.stop()
            self.down_until = self.now + self.dice.choices(OUTAGES, [4, 4, 3, 3, 2, 1, 0.3])[0]
        for moment in [*slots, float(DAY)]:
            await self.wait_until(begin + moment)
            if moment < DAY:
                await self.deed()

    def _number_of_deeds(self) -> int:
        expected = len(self.people) * DEEDS / 365
        return int(expected) + (self.dice.random() < expected % 1)

    async def wait_until(self, moment: float) -> None:
        while self.now < moment:
            step = min(moment - self.now, self.dice.choice([6 * HOUR, 12 * HOUR, 20 * HOUR]))
            self.sandbox.clock.advance(seconds=step)
            if not self.is_up and self.now >= self.down_until:
                await self.start()
            if self.is_up:
                await self.live(reads=self.dice.random() < 0.5)

    async def settle(self) -> None:
        """Wait until the bot is there and has done what it could not do at once."""
        self.down_until = min(self.down_until, self.now)
        for hours in SETTLING:
            await self.wait_until(self.now + hours * HOUR)

    # What people do

    async def deed(self) -> None:
        person = self.dice.choice(self.people)
        deeds = [self.cancel, self.restore, self.top_up, self.refund_elsewhere]
        weights = [3.0, 2.0, 5.0, 0.7]
        if self.is_up:
            deeds += [self.subscribe, self.buy, self.cancel_by_bot, self.restore_by_bot, self.refund, self.draw]
            deeds += [self.grant, self.revoke]
            weights += [8.0, 5.0, 1.5, 2.0, 1.0, 5.0, 1.0, 0.2]
        await self.dice.choices(deeds, weights)[0](person)

    async def subscribe(self, person: SandboxUser) -> None:
        if len([sub for sub in person.subscriptions() if not sub.over]) < 2:
            await self._pay(person, self.dice.choice(["club", "club", "gold"]))

    async def buy(self, person: SandboxUser) -> None:
        await self._pay(person, self.dice.choice(["pass", "pack"]))

    async def _pay(self, person: SandboxUser, stage_id: str) -> None:
        link = await self.worker.pay.create_link(stage_id, user_id=person.id)
        paying = asyncio.ensure_future(person.pay(link=link))
        while not paying.done():
            for update in await self._updates():
                await self.worker.feed(update)
            await asyncio.sleep(0)
        assert paying.result().ok or paying.result().code == "BALANCE_TOO_LOW"
        if self.dice.random() < 0.1 and person.subscriptions():
            await self.cancel(person)  # at once, while the payment is on its way
        await self.live()

    def _one(self, person: SandboxUser, fits: Callable[[Subscription], bool]) -> Subscription | None:
        found = [sub for sub in person.subscriptions() if fits(sub)]
        return self.dice.choice(found) if found else None

    async def cancel(self, person: SandboxUser) -> None:
        if sub := self._one(person, lambda sub: not sub.over and not sub.canceled):
            person.cancel_subscription(sub)
            self.said.append(Said(sub.payload, "canceled", self.now, None))

    async def restore(self, person: SandboxUser) -> None:
        if sub := self._one(person, lambda sub: sub.can_be_restored and sub.expiration_date > self.now):
            person.restore_subscription(sub)
            self.said.append(Said(sub.payload, "restored", self.now, None))

    async def cancel_by_bot(self, person: SandboxUser) -> None:
        if sub := self._one(person, lambda sub: not sub.over and not sub.canceled_by_bot):
            self._spoil("editUserStarSubscription")
            await self._ask(self.worker.pay.cancel_subscription(transaction_id=self.dice.choice(sub.charges)))
            assert sub.canceled_by_bot
            self.said.append(Said(sub.payload, "canceled", self.now, self.now))

    async def restore_by_bot(self, person: SandboxUser) -> None:
        if sub := self._one(person, lambda sub: not sub.over and sub.canceled_by_bot):
            await self._ask(self.worker.pay.restore_subscription(transaction_id=sub.charges[0]))

    async def _ask(self, asking: Awaitable[Any]) -> None:
        try:
            await asking
        except NeonPayError:
            await self.live()
            self.sandbox.clock.advance(seconds=60)  # sent again until Telegram answers
        await self.live()

    async def top_up(self, person: SandboxUser) -> None:
        person.top_up(self.dice.choice([50, 200, 1000]))

    def _charge(self, person: SandboxUser) -> str | None:
        charges = self.sandbox.world.charges.values()
        recent = [c.id for c in charges if c.user_id == person.id and not c.refunded and c.date > self.now - 50 * DAY]
        return self.dice.choice(recent) if recent else None

    async def refund(self, person: SandboxUser) -> None:
        charge = self._charge(person)
        if charge is not None and await self.worker.pay.get_payment(charge) is not None:
            self._spoil("refundStarPayment")
            await self._ask(self.worker.pay.refund(charge, reason="asked for"))

    async def refund_elsewhere(self, person: SandboxUser) -> None:
        if charge := self._charge(person):
            self.sandbox.refund(charge, notify=self.dice.random() < 0.5)

    def _spoil(self, method: str) -> None:
        if self.dice.random() < 0.3:
            self.sandbox.faults.add(method, error=502, times=1)

    async def draw(self, person: SandboxUser) -> None:
        access = await self.worker.pay.access(person.id, "pictures")
        if access is None:
            return
        fails = self.dice.random() < 0.3
        try:
            async with access.use():
                if fails:
                    raise LookupError("no ink")
            self.uses.append((person.id, self.now))
        except NoAccessError:
            raise AssertionError("access that was there a moment ago is gone") from None
        except LookupError:
            pass

    async def grant(self, person: SandboxUser) -> None:
        days = self.dice.choice([3, 14])
        await self.worker.pay.grant_access(person.id, "club", access_for=days * DAY, reason="a present")
        self.grants.append(Grant(person.id, self.now, days))

    async def revoke(self, person: SandboxUser) -> None:
        await self.settle()
        await self.worker.pay.revoke_access(person.id, "club", reason="rude")
        self.revoked.append((person.id, self.now))
        self.sandbox.clock.advance(seconds=1)  # charges are dated in whole seconds
