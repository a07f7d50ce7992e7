from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from aiogram_neonpay.testing import BotSandbox, BotUser
from tests.storefront.office import ADMIN, OTHER_ADMIN, STRANGER, Office


@pytest.fixture
def office() -> Office:
    return Office()


@pytest_asyncio.fixture
async def sandbox(office: Office) -> AsyncIterator[BotSandbox]:
    async with BotSandbox(office.dp) as sandbox:
        yield sandbox


@pytest_asyncio.fixture
async def alice(sandbox: BotSandbox, office: Office) -> BotUser:
    """A buyer whom the bot may write to."""
    alice = sandbox.user("Alice", stars=1000)
    await alice.send("hello")
    office.passed.clear()
    return alice


@pytest.fixture
def admin(sandbox: BotSandbox) -> BotUser:
    return sandbox.user("Ada", user_id=ADMIN)


@pytest.fixture
def other_admin(sandbox: BotSandbox) -> BotUser:
    return sandbox.user("Olga", user_id=OTHER_ADMIN)


@pytest.fixture
def stranger(sandbox: BotSandbox) -> BotUser:
    return sandbox.user("Sam", user_id=STRANGER)
