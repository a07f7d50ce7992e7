"""What a run takes place in: Telegram, the bot's processes, its storage, the buyers and the time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession

from aiogram_neonpay import NeonPay, neonpay_router
from aiogram_neonpay.ledger.charges import reference_of
from aiogram_neonpay.sandbox import Sandbox, SandboxServer
from tests.chaos.balancer import Balancer, knock
from tests.chaos.buyers import Buyer
from tests.chaos.clock import SharedClock
from tests.chaos.crew import Crew
from tests.chaos.journal import Journal
from tests.chaos.nursery import Nursery
from tests.chaos.shop import stages
from tests.chaos.stores import Store
from tests.chaos.worker import ANSWER_WITHIN, open_storage

__all__ = ["LEASE_AND_MORE", "MODES", "STORAGES", "Options", "Scene"]

Storage = Literal["redis", "sqlite"]
Mode = Literal["webhook", "polling"]
STORAGES: tuple[Storage, ...] = ("redis", "sqlite")
MODES: tuple[Mode, ...] = ("webhook", "polling")

BUYERS = 12
LEASE_AND_MORE = 61.0
"""Seconds after which the charges of a dead process are free."""
STOP_WITHIN = 30.0


@dataclass(frozen=True)
class Options:
    """What kind of run it is.

    :ivar seed: the schedule of accidents and faults follows from it.
    :ivar seconds: how long people buy.
    :ivar real_time: nobody moves the clock: leases of 60 seconds take as long.
    """

    seed: int
    seconds: float
    storage: Storage
    mode: Mode
    real_time: bool = False


class Scene:
    """Everything of one run.

    :param directory: where processes put journals and logs.
    :ivar office: the shop in a process that has no dispatcher, as a back office has it.
    :ivar story: what accidents happened when.
    :ivar reports: what reconciliations found that were asked for.
    :ivar failures: what went wrong that was not meant to.
    """

    def __init__(
        self,
        options: Options,
        directory: Path,
        nursery: Nursery,
        store: Store,
        sandbox: Sandbox,
        server: SandboxServer,
        balancer: Balancer,
        people: aiohttp.ClientSession,
    ) -> None:
        self.options = options
        self.directory = directory
        self.store = store
        self.sandbox = sandbox
        self.balancer = balancer
        self.dice = random.Random(f"{options.seed} scene")
        self.counts: Counter[str] = Counter()
        self.reports: list[dict[str, object]] = []
        self.failures: list[str] = []
        self.token = sandbox.create_bot("chaos_bot")
        self.clock = SharedClock(directory / "clock")
        self.clock.show(sandbox.clock.now())
        self.story = Journal(directory / "story.jsonl", self.clock)
        isolation = self.dice.choice(["none", "simple", *(["redis"] if options.storage == "redis" else [])])
        spec = {
            "directory": str(directory),
            "telegram": server.url,
            "token": self.token,
            "storage": store.address,
            "seed": options.seed,
            "isolation": isolation,
            "real_time": options.real_time,
            "look_every": None if options.real_time else [0.3, 0.8],
        }
        self.crew = Crew(nursery, spec, directory, options.seed)
        self.crew.listen()
        self.tasks: set[asyncio.Task[None]] = set()
        self._control = f"{server.url}/sandbox/api"
        self._people = people
        self._office_storage = open_storage(store.address)
        self.bot = Bot(self.token, session=AiohttpSession(api=server.api, timeout=ANSWER_WITHIN))
        self.office: NeonPay = neonpay_router(
            stages(),
            bot=self.bot,
            storage=self._office_storage,
            clock=None if options.real_time else self.clock,
            reconcile_every=None,
        )
        self.buyers = [Buyer(sandbox, number, options.seed, self) for number in range(1, BUYERS + 1)]

    async def open_shop(self) -> None:
        """Start the bot's processes and wait until they answer."""
        if self.options.mode == "webhook":
            self.crew.add("webhook")
            self.crew.add("webhook")
            await self.sandbox.call(self.token, "setWebhook", {"url": self.balancer.url})
            self._doors = asyncio.ensure_future(self._keep_doors())
        else:
            self.crew.add("polling")
            self.crew.add("background")
        await self.crew.ready(2)

    async def _keep_doors(self) -> None:
        """Tell the balancer who lives; it learns of a death only after a moment."""
        while True:
            self.balancer.doors = [life.door for life in self.crew.living("webhook")]
            await asyncio.sleep(0.2)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something happen beside everything else."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                self.failures.append(f"the run itself failed: {error!r}")

        task = asyncio.ensure_future(guarded())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def jump(self, seconds: float, *, calm: bool) -> None:
        """Move time forward for everybody; when calm, at a moment at which nobody holds a charge, if there is one."""
        for _ in range(20 if calm else 0):
            if await self.crew.held() == 0:
                break
            await asyncio.sleep(0.05)
        async with self._people.post(f"{self._control}/clock", json={"seconds": seconds}) as answer:
            answer.raise_for_status()
        self.clock.show(self.sandbox.clock.now())
        self.counts["hours that passed"] += round(seconds / 3600)

    async def reconcile(self) -> bool:
        """Have one of the processes reconcile; return whether it did."""
        living = [life for life in self.crew.living() if not life.stalled]
        report = await knock(self.dice.choice(living).door, "POST", "/reconcile") if living else None
        if report is not None:
            self.reports.append(report)
        return report is not None

    # What happens past the bot

    async def refund_elsewhere(self, charge: str, notify: bool) -> None:
        """Refund a charge as another program would; Telegram tells the bot of it, or does not."""
        await self._post("refund", charge_id=charge, notify=notify)

    async def charge_back(self, charge: str) -> None:
        """Let the buyer's app store take the Stars of a charge back."""
        await self._post("chargeback", charge_id=charge)

    async def _post(self, path: str, **body: Any) -> None:
        async with self._people.post(f"{self._control}/{path}", json=body) as answer:
            await answer.read()  # it may have been refunded before: that is an answer as well

    async def refund_from_office(self, charge: str) -> None:
        """Refund a charge from a process that has no dispatcher."""
        with suppress(Exception):  # the storage may be down, the charge not recorded yet, Telegram out of reach
            await self.office.refund(charge)

    # What the ledgers hold

    def names(self) -> list[str]:
        """Return the references of all charges in Telegram's ledger."""
        rows = [row for row in self.sandbox.transactions() if not row.outgoing and row.user_id is not None]
        return [reference_of(row.id, row.user_id or 0) for row in rows]

    async def records(self, names: list[str]) -> list[dict[str, Any] | None]:
        """Return the records of charges."""
        return await self.office._shop.charges.read(self.bot.id, names)

    async def close(self) -> None:
        """End everything, gracefully as far as it goes."""
        for task in [*self.tasks, getattr(self, "_doors", None)]:
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self.crew.close(STOP_WITHIN)
        await self.bot.session.close()
        await self._office_storage.close()
