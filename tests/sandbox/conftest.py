"""A sandbox on a free port, a real aiogram bot that talks to it, and helpers the tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.types import LabeledPrice, Message, Update

from aiogram_neonpay.sandbox import Clock, Rules, Sandbox, SandboxServer, SandboxUser

if TYPE_CHECKING:
    from playwright.async_api import Browser

START = 1_800_000_000


class QuickSession(AiohttpSession):
    """A session that closes at once; aiogram's own waits a quarter of a second for TLS, which is not used here."""

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


@dataclass
class Stand:
    """One bot, two people and everything around them."""

    sandbox: Sandbox
    server: SandboxServer
    token: str
    bot: Bot
    alice: SandboxUser
    bob: SandboxUser
    offset: int = 0

    async def updates(self, timeout: int = 5) -> list[Update]:
        """Take what waits, waiting for the first update, and confirm it."""
        found = await self.bot.get_updates(offset=self.offset, timeout=timeout)
        if found:
            self.offset = found[-1].update_id + 1
            await self.bot.get_updates(offset=self.offset, timeout=0)
        return found

    async def update(self, kind: str) -> Update:
        """Take updates until one of this kind comes."""
        while True:
            for update in await self.updates():
                if getattr(update, kind) is not None:
                    return update

    async def invoice(self, amount: int = 25, payload: str = "order-1", chat_id: int | None = None) -> Message:
        """Send an invoice, to Alice unless said otherwise."""
        return await self.bot.send_invoice(
            chat_id or self.alice.id,
            title="Premium",
            description="30 days",
            payload=payload,
            currency="XTR",
            prices=[LabeledPrice(label="Premium", amount=amount)],
        )


@pytest.fixture
def sandbox() -> Sandbox:
    """A world with a clock that stands still, and no brake on polling."""
    return Sandbox(seed=0, clock=Clock(START, running=False), rules=Rules(polling_brake=False))


@pytest_asyncio.fixture
async def stand(sandbox: Sandbox) -> AsyncIterator[Stand]:
    """A served sandbox, with a bot both people have started."""
    token = sandbox.create_bot("neon_demo_bot", name="Neon Demo")
    alice = sandbox.create_user("Alice", stars=500, started=True)
    bob = sandbox.create_user("Bob", stars=5, language_code="ru", started=True)
    async with (
        SandboxServer(sandbox) as server,
        Bot(token, session=QuickSession(api=server.api)) as bot,
    ):
        yield Stand(sandbox, server, token, bot, alice, bob)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium; most tests here do without it, and without playwright."""
    from playwright.async_api import async_playwright

    from tests.sandbox.browsing import CHROMIUM, FLAGS

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()
