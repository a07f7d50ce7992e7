"""Other people's clients, unmodified, sell for Stars in the sandbox: each in a process of its own, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aiogram_neonpay.sandbox import Sandbox, SandboxServer
from tests.clients.programs import free_port, grammy_shop, python_shop, running
from tests.clients.visit import Visit

CLIENTS = ["ptb", "telebot_sync", "telebot_async", "grammy"]


def program(client: str, cache: pytest.Cache) -> tuple[list[str], dict[str, str]]:
    """Return the command of a shop and what its environment needs besides."""
    if client == "grammy":
        return grammy_shop(cache.mkdir("grammy"))
    return python_shop(client), {}


@pytest.fixture
def visit() -> Visit:
    """A world as anybody gets it: no seed, a running clock, the default rules."""
    sandbox = Sandbox()
    sandbox.create_bot("shop_bot", name="A shop")
    alice, bob = sandbox.create_user("Alice", stars=500), sandbox.create_user("Bob")
    return Visit(sandbox, alice, bob, sandbox.create_group("Club", [alice, bob]))


@pytest_asyncio.fixture
async def served(visit: Visit) -> AsyncIterator[dict[str, str]]:
    """The world on an address, as the environment of a shop."""
    (bot,) = visit.sandbox.world.bots.values()
    async with SandboxServer(visit.sandbox) as server:
        yield {"SANDBOX_URL": server.url, "BOT_TOKEN": bot.token}


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_shop_sells_and_refunds_by_polling(
    client: str, visit: Visit, served: dict[str, str], pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    assert pytestconfig.cache is not None
    command, environment = program(client, pytestconfig.cache)
    async with running(command, {**environment, **served}, tmp_path / "shop.log"):
        charge_id = await visit.buy_and_be_declined()
        await visit.pay_links()
        await visit.refund(charge_id)
        await visit.be_refused()
        await visit.wait_when_told()
        await visit.read_much()


@pytest.mark.slow
@pytest.mark.asyncio
@pytest.mark.parametrize("client", ["ptb", "grammy"])
async def test_a_shop_sells_and_refunds_behind_a_webhook(
    client: str, visit: Visit, served: dict[str, str], pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    assert pytestconfig.cache is not None
    command, environment = program(client, pytestconfig.cache)
    environment = {**environment, **served, "WEBHOOK_PORT": str(free_port())}
    async with running(command, environment, tmp_path / "shop.log"):
        charge_id = await visit.buy_and_be_declined()
        await visit.pay_links()
        await visit.refund(charge_id)
        await visit.be_typed_to()
