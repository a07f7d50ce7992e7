"""A shop with an admin, run by several processes that share a ledger; the sandbox is their Telegram, over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from aiogram_neonpay.sandbox import Sandbox, SandboxServer
from aiogram_neonpay.sandbox.models import Call
from aiogram_neonpay.sandbox.users import SandboxUser
from tests.chaos.clock import SharedClock
from tests.chaos.nursery import Nursery
from tests.storefront.office import ADMIN

__all__ = ["PATIENCE", "Branch", "Firm"]

PATIENCE = 60.0
"""Seconds to wait for what a busy machine may take long for."""


class Branch:
    """A process of the shop."""

    def __init__(self, name: str, door: Path) -> None:
        self.name = name
        self.door = door
        self.pid = 0
        self.ended = asyncio.Event()

    def kill(self) -> None:
        """End it as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Wait until it has died."""
        await asyncio.wait_for(self.ended.wait(), PATIENCE)

    async def ask(self, path: str, body: Any = None) -> Any:
        """Send it something through its door; ``None`` if it is dead, or dies over it."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.door)), timeout=timeout) as session,
                session.post(f"http://branch{path}", json=body) as answer,
            ):
                return await answer.json() if answer.status == 200 else {}
        except (aiohttp.ClientError, OSError):
            return None

    async def die_at(self, point: str, when: str = "before", **fields: Any) -> None:
        """Let it end at a point; see ``branch.py``."""
        assert await self.ask("/die", {"point": point, "when": when, "fields": fields}) is not None


class Firm:
    """All of it. Updates go to the branches of ``to`` in turn.

    :ivar to_all: each goes to all of them.
    :ivar repeats: what a branch did not take, or died over, goes to another one, as with webhooks.
    """

    def __init__(self, nursery: Nursery, directory: Path, storage: str) -> None:
        self._nursery = nursery
        self.directory = directory
        self.storage = storage
        self.sandbox = Sandbox()
        self.token = self.sandbox.create_bot("firm_bot")
        self.server = SandboxServer(self.sandbox)
        self.clock = SharedClock(directory / "clock")
        self.branches: dict[str, Branch] = {}
        self.to: list[Branch] = []
        self.to_all = False
        self.repeats = False
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Firm:
        await self.server.start()
        self.admin = self.sandbox.create_user("Ada", started=True, user_id=ADMIN)
        loop = asyncio.get_running_loop()

        def told(report: dict[str, Any]) -> None:
            with suppress(RuntimeError):  # the test is over, and so is its loop
                loop.call_soon_threadsafe(self._told, report)

        self._nursery.listen(str(self.directory), told)
        self._spawn(self._pump())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.sandbox.faults.clear()
        for branch in self.branches.values():
            if not branch.ended.is_set() and branch.pid:
                branch.kill()
                await asyncio.wait_for(branch.ended.wait(), PATIENCE)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.server.stop()

    def _told(self, report: dict[str, Any]) -> None:
        branch = self.branches[report.get("born") or report["died"]]
        if "born" in report:
            branch.pid = report["pid"]
        else:
            branch.ended.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def open(self, *names: str) -> list[Branch]:
        """Start branches, and send updates to them alone."""
        opened = []
        for name in names:
            number = len(self.branches)
            branch = self.branches[f"{number}-{name}"] = Branch(f"{number}-{name}", self.directory / f"{number}.sock")
            spec = {"directory": str(self.directory), "name": branch.name, "door": str(branch.door)}
            self._nursery.start({**spec, "storage": self.storage, "telegram": self.server.url, "token": self.token})
            opened.append(branch)
        await self.until(lambda: all(branch.door.exists() for branch in opened), "the doors")
        for branch in opened:
            while await branch.ask("/die", {}) is None:  # the door is there before somebody stands behind it
                assert not branch.ended.is_set(), self.logs()
                await asyncio.sleep(0.01)
        self.to = opened
        return opened

    async def _pump(self) -> None:
        offset = 0
        async with aiohttp.ClientSession() as session:
            while True:
                query = {"offset": offset, "timeout": 10, "allowed_updates": []}
                async with session.post(f"{self.server.url}/bot{self.token}/getUpdates", json=query) as answer:
                    updates = (await answer.json())["result"]
                for update in updates:
                    offset = update["update_id"] + 1
                    chosen = self.to if self.to_all else [self.to[self._turn % len(self.to)]]
                    self._turn += 1
                    for branch in chosen:
                        self._spawn(self._pass_on(update, branch))

    async def _pass_on(self, update: dict[str, Any], branch: Branch) -> None:
        while await branch.ask("/update", update) is None and self.repeats:
            await asyncio.sleep(0.05)
            branch = next((other for other in self.to if not other.ended.is_set()), branch)

    # What is seen

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for something."""
        end = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < end, f"in vain: {what}"
            await asyncio.sleep(0.01)
        return found

    def journal(self, what: str | None = None) -> list[list[Any]]:
        """Return what the handlers wrote down: what, charge, recipient, process."""
        path = self.directory / "journal"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if what is None or line[0] == what]

    def calls(self, method: str, chat: int | None = None) -> list[Call]:
        """Return what the bot asked of Telegram."""
        found = [call for call in self.sandbox.calls if call.method == method]
        return [call for call in found if chat is None or call.params.get("chat_id") in (chat, str(chat))]

    def words(self, user: SandboxUser | None = None) -> str:
        """Return the bot's newest message to somebody, the admin if nobody is named."""
        texts = [message.text for message in (user or self.admin).messages() if message.from_bot]
        return texts[-1] if texts else ""

    async def told(self, words: str, user: SandboxUser | None = None) -> str:
        """Wait for words in the bot's newest message to somebody."""
        try:
            await self.until(lambda: words in self.words(user), words)
        except AssertionError:
            raise AssertionError(f"{words!r} is not in {self.words(user)!r}") from None
        return self.words(user)

    def buyer(self, name: str = "Alice") -> SandboxUser:
        return self.sandbox.create_user(name, stars=1000, started=True)

    async def sell(self, buyer: SandboxUser, what: str = "/buy premium") -> str:
        """Let somebody buy; return the charge."""
        await buyer.send(what)
        receipt = await buyer.pay(timeout=PATIENCE)
        assert receipt.ok and receipt.transaction_id, receipt
        if self.to and "orphan" not in what:
            await self.until(lambda: [line for line in self.journal() if line[1] == receipt.transaction_id], "delivery")
        return receipt.transaction_id

    def buttons(self) -> list[str]:
        """Return the buttons under the bot's newest message to the admin."""
        message = [message for message in self.admin.messages() if message.from_bot][-1]
        return [button for row in message.buttons for button in row]

    def pages(self, words: str) -> list[str]:
        """Return the bot's messages to the admin that have such words."""
        texts = [message.text for message in self.admin.messages() if message.from_bot]
        return [text for text in texts if words in text]

    def pass_time(self, **span: float) -> None:
        """Let the world be later."""
        self.sandbox.clock.advance(**span)
        self.clock.show(self.sandbox.clock.now())

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.directory.glob("*.log")))
