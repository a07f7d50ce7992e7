"""A bot that sells, its Telegram and its buyer, so that processes may die and others go on with what they left."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError
from aiogram.fsm.storage.memory import SimpleEventIsolation
from aiogram.methods import GetMe, RefundStarPayment, TelegramMethod
from aiogram.types import User

from aiogram_neonpay import (
    NeonPay,
    PaymentCompleted,
    PaymentRefunded,
    PaymentResult,
    PaymentStage,
    RejectPayment,
    neonpay_router,
)
from aiogram_neonpay.ledger.charges import LEASE, Charges, next_step, reference_of
from aiogram_neonpay.payload import InvoiceToken, Signer
from tests.proof.model import day_of
from tests.proof.places import Place
from tests.proof.points import Points
from tests.telegram import ALICE, BOB, RecordingBot, RecordingSession, paid, refunded, text

__all__ = ["STORIES", "Journal", "Process", "Story", "World"]

STARTED = 1_800_000_000.0
PRICE = 25
RETRIES = (1.0, 10.0, 30.0)
A_WHILE = LEASE + 1
"""Seconds: a lease has ended, and every pause between attempts."""
ROUNDS = 12

_charges = itertools.count(1)


@dataclass(frozen=True)
class Story:
    """What is to become of a payment.

    :ivar handler: what its typed handler does: ``grants``, ``rejects``, ``refunds`` or ``fails``.
    :ivar listener_fails: how many times the listener fails first.
    :ivar then: what follows: the owner's ``refund``, or one made ``elsewhere``.
    :ivar is_gift: whether somebody else opens what was paid, and it is delivered to them.
    :ivar is_way_clear: whether nothing of the bot stands between the update and the handlers.
    """

    name: str
    handler: str = "grants"
    listener_fails: int = 0
    then: str | None = None
    is_way_clear: bool = True
    state: str = "delivered"
    is_gift: bool = False

    @property
    def is_refunded(self) -> bool:
        return self.then is not None or self.handler in ("rejects", "refunds")


STORIES = {
    story.name: story
    for story in (
        Story("delivered"),
        Story("delivered past middlewares", is_way_clear=False),
        Story("delivered at the second attempt", listener_fails=1),
        Story("rejected", handler="rejects", state="rejected"),
        Story("refunded by the owner", then="refund"),
        Story("refunded by its own handler", handler="refunds"),
        Story("refunded elsewhere", then="elsewhere", is_way_clear=False),
        Story("stuck", handler="fails", state="stuck"),
        Story("a gift that is refunded by the owner", is_gift=True, then="refund", is_way_clear=False),
    )
}


class Journal:
    """What happened outside the process, in a file: a death of the process takes nothing of it back."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, kind: str, charge: str) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps([kind, charge]) + "\n")

    def count(self, kind: str, charge: str) -> int:
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return lines.count(json.dumps([kind, charge]))


@dataclass
class World:
    """All that outlives a process: Telegram, the storage, the buyer's purse, the time.

    :ivar update: Telegram's message of the payment.
    """

    place: Place
    journal: Journal
    bot_id: int
    now: float = STARTED
    charge: str = ""
    is_gift: bool = False
    update: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.charge = self.charge or f"stx{next(_charges)}"
        issued = f"{int(STARTED):08x}" + "0f" * 5
        signer = Signer(self.bot_id, self.token)
        payload = signer.mint(InvoiceToken(issued, int(STARTED), "premium", PRICE, gift=self.is_gift))
        self.update = paid(payload, PRICE, charge=self.charge)
        self.update["message"]["date"] = int(STARTED)

    @property
    def token(self) -> str:
        return f"{self.bot_id}:TEST"

    def clock(self) -> float:
        return self.now

    def times(self, kind: str) -> int:
        """How often something happened to the charge."""
        return self.journal.count(kind, self.charge)

    async def record(self) -> dict[str, Any] | None:
        """Return what the ledger holds of the charge, seen from outside."""
        found = await self._reader().find(self.bot_id, self.charge, ALICE)
        return None if found is None else found[1]

    def _reader(self) -> Charges:
        return Charges(self.place.engine(self.clock), self.clock)

    async def check(self, story: Story) -> None:
        """Hold the end against what was promised."""
        reader = self._reader()
        body = await self.record()
        assert body is not None, "the charge is lost"
        assert body["state"] in (story.state, "paid") if story.is_refunded else body["state"] == story.state, body
        assert body.get("refund") == ("announced" if story.is_refunded else None), body
        assert next_step(body) is None, body
        history = await reader.history(self.bot_id, ALICE, limit=10, offset=0)
        assert [one["charge"] for one in history] == [self.charge], "a charge is in the history once"
        waiting = await reader.waiting(self.bot_id, limit=10)
        stuck = [self.charge] if body["state"] == "stuck" else []
        assert [one["charge"] for one in waiting] == stuck, "what is stuck, and nothing else, waits for a person"
        assert self.times("refund") == int(story.is_refunded), "Telegram refunds once, or not at all"
        if story.is_refunded:
            assert self.times("announce") >= 1, "the bot hears of its refund"
        if body["state"] == "delivered":
            assert self.times("grant") >= 1 and self.times("listen") >= 1, "what was paid is delivered"
        assert body.get("recipient") == (BOB if story.is_gift else None), "a gift is its opener's"
        assert day_of(self.now) == day_of(STARTED)
        [counted] = await reader.tallies(self.bot_id, [day_of(STARTED)])
        expected = {"premium:count": 1, "premium:stars": PRICE}
        if story.is_refunded:
            expected.update({"premium:refunds": 1, "premium:returned": PRICE})
        if self.place.counts_exactly:
            assert counted == expected, "a sale is counted once, and so is its refund"
        else:
            assert all(number <= expected.get(name, 0) for name, number in counted.items()), "nothing is counted twice"
        self.now += 10 * 86_400
        due = await reader.due(self.bot_id, limit=10)
        assert due == [] or not self.place.counts_exactly, "nothing is left to do"


def _link(body: dict[str, Any], charge: str) -> str:
    """Return what the link of a gift sends."""
    return f"/start gift_{reference_of(charge, ALICE)}{body['gift']}"


class _Telegram(RecordingSession):
    """Telegram, as far as the bot can tell: each call is a point."""

    def __init__(self, world: World, points: Points) -> None:
        super().__init__()
        self._world = world
        self._points = points

    async def make_request(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        async def act() -> Any:
            if isinstance(method, RefundStarPayment):
                if self._world.journal.count("refund", method.telegram_payment_charge_id):
                    raise TelegramBadRequest(method, "Bad Request: CHARGE_ALREADY_REFUNDED")
                self._world.journal.add("refund", method.telegram_payment_charge_id)
                return True
            return await super(_Telegram, self).make_request(bot, method, timeout)

        return await self._points.reach(
            f"Telegram's {type(method).__name__}", act, lambda: TelegramNetworkError(method, "no network")
        )


class Process:
    """One process of the bot, from its start to its death."""

    def __init__(self, world: World, story: Story, points: Points, storage: Any) -> None:
        self._world = world
        self._points = points
        self.errors: list[BaseException] = []
        self.bot = RecordingBot(world.token)
        self.bot.session = self.bot.recorded = _Telegram(world, points)
        self.bot.answer(GetMe, lambda _: User(id=world.bot_id, is_bot=True, first_name="Shop", username="shop_bot"))
        self.pay: NeonPay = neonpay_router(
            {"premium": PaymentStage("Premium", "30 days", PRICE)},
            bot=self.bot,
            clock=world.clock,
            retries=RETRIES,
            reconcile_every=None,
        )
        self.dp = Dispatcher(storage=storage, events_isolation=SimpleEventIsolation())
        self.dp.include_router(self.pay)
        if not story.is_way_clear:
            self.dp.message.outer_middleware(_pass_on)
            self.dp.message.middleware(_pass_on)
        self._write_handlers(story)

    def _write_handlers(self, story: Story) -> None:
        world = self._world

        async def effect(kind: str, charge: str | None) -> None:
            async def act() -> None:
                world.journal.add(kind, str(charge))

            await self._points.reach(f"the handler's {kind}", act, lambda: RuntimeError("the shop is on fire"))

        @self.pay.completed
        async def grant(event: PaymentCompleted, bot: Bot, neonpay: NeonPay) -> None:
            await effect("grant", event.transaction_id)
            if story.handler == "fails":
                raise RuntimeError("sold out")
            if story.handler == "rejects":
                raise RejectPayment("sold out")
            if story.handler == "refunds":
                assert event.transaction_id is not None
                await neonpay.refund(event.transaction_id, "sold out")
            await bot.send_message(event.user_id, "Premium is on")

        @self.pay.on_payment
        async def listen(result: PaymentResult) -> None:
            if world.times("a listener's failure") < story.listener_fails:
                world.journal.add("a listener's failure", world.charge)
                raise RuntimeError("no log")
            await effect("listen", result.transaction_id)

        @self.pay.refunded
        async def take_back(event: PaymentRefunded) -> None:
            await effect("announce", event.transaction_id)

    # Living

    async def do(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something in a task of its own, and what it leaves behind; what it raises is kept."""
        with self._never_again(await self._world.record()):
            task = asyncio.ensure_future(work)
            await asyncio.wait([task])
            while tasks := [one for one in self.pay._installation.feed._tasks if not one.done()]:
                await asyncio.wait(tasks)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.errors.append(error)

    @contextmanager
    def _never_again(self, before: dict[str, Any] | None) -> Iterator[None]:
        """See to it that what is settled is not handled again."""
        kinds = []
        if before is not None:
            is_open = before["state"] in ("paid", "wrapped") and not before.get("refund")
            kinds += [] if is_open else ["grant", "listen"]
            kinds += ["announce", "refund"] if before.get("refund") == "announced" else []
        happened = [self._world.times(kind) for kind in kinds]
        yield
        assert [self._world.times(kind) for kind in kinds] == happened, f"it was settled before: {before}"

    async def live(self, story: Story) -> None:
        """Go the way of the payment to its end, or to the point where the blow falls."""
        world = self._world
        await self.do(self.dp.feed_raw_update(self.bot, world.update))
        await self.go_on(story)

    async def go_on(self, story: Story) -> None:
        """Do what is due until nothing is; ask for the refund that the story tells of when it is time."""
        world = self._world
        for _ in range(ROUNDS):
            if self._points.struck:
                return
            body = await world.record()
            if body is not None and body["state"] == "wrapped" and "recipient" not in body:
                await self.do(self.dp.feed_raw_update(self.bot, text(_link(body, world.charge), BOB)))
            elif body is not None and body["state"] == "delivered" and not body.get("refund"):
                await self.end(story)
            elif body is None or next_step(body) is None:
                return
            await self.pass_time()
            await self.do(self.pay.run_due())

    async def end(self, story: Story) -> None:
        """Let the owner, or somebody else, refund what was delivered."""
        if story.then == "refund":
            await self.do(self.pay.refund(self._world.charge, "asked for it"))
        elif story.then == "elsewhere":
            if not self._world.times("refund"):
                self._world.journal.add("refund", self._world.charge)
            await self.do(self.dp.feed_raw_update(self.bot, refunded(self._world.update)))

    async def pass_time(self) -> None:
        """Let a while pass in which a living process renews the leases of what it holds."""
        for _ in range(4):
            self._world.now += A_WHILE / 4
            leases = self.pay._shop.charges.leases
            if leases._timer is not None:
                await leases._renew_all()

    def die(self) -> None:
        """Be gone: nothing is renewed any more."""
        if self.pay._shop.is_open:
            self.pay._shop.charges.leases.close()

    async def recover(self, story: Story, *, impatient: bool) -> None:
        """Go on after somebody's death, until the end; then hear everything once more.

        :param impatient: Telegram repeats the update before the lease of the dead has ended.
        """
        self._points.struck = None
        world = self._world
        if impatient:
            await self.do(self.dp.feed_raw_update(self.bot, world.update))
        await self.pass_time()
        await self.do(self.pay.run_due())
        if await world.record() is None:
            await self.do(self.dp.feed_raw_update(self.bot, world.update))
        await self.go_on(story)
        for _ in range(2):
            await self.do(self.dp.feed_raw_update(self.bot, world.update))
            if story.is_refunded:
                await self.do(self.dp.feed_raw_update(self.bot, refunded(world.update)))
            await self.pass_time()
            await self.do(self.pay.run_due())


async def _pass_on(handler: Any, event: Any, data: dict[str, Any]) -> Any:
    return await handler(event, data)


def journal_at(path: Path, name: str) -> Journal:
    """Return a new journal."""
    path = path / f"{name}.log"
    if path.exists():
        os.unlink(path)
    return Journal(path)
