from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from aiogram_neonpay.sandbox.http import listening
from tests.sandbox.conftest import Stand
from tests.sandbox.paying import approved


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any silence at all is trouble."""
    monkeypatch.setattr(listening, "PATIENCE", 1e-9)


async def asked(stand: Stand, path: str) -> Any:
    async with aiohttp.ClientSession() as client, client.get(f"{stand.server.url}/sandbox/api/{path}") as response:
        return await response.json()


async def trouble(stand: Stand) -> Any:
    return (await asked(stand, "state"))["bots"][0]["trouble"]


async def coming_trouble(stand: Stand) -> Any:
    """Look until there is trouble."""

    async def look() -> Any:
        while (found := await trouble(stand)) is None:
            pass
        return found

    return await asyncio.wait_for(look(), 10)


@pytest.mark.asyncio
async def test_a_bot_that_is_killed_while_it_waits_does_not_listen(stand: Stand) -> None:
    poll = next(iter(stand.sandbox.world.bots.values())).poll
    assert (await trouble(stand))["kind"] == "silent"
    async with aiohttp.ClientSession() as client:
        url = f"{stand.server.url}/bot{stand.token}/getUpdates"
        asking = asyncio.ensure_future(client.get(url, params={"timeout": "50"}))
        assert await stand.sandbox.world.arrivals.until(lambda: poll.active, 5)
        assert await trouble(stand) is None
        asking.cancel()
    silence = await coming_trouble(stand)
    assert silence["kind"] == "silent" and silence["seconds"] > 0


@pytest.mark.asyncio
async def test_a_webhook_is_in_trouble_while_it_refuses_and_no_longer(stand: Stand) -> None:
    status = 500

    async def take(request: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        await stand.bot.set_webhook(f"http://127.0.0.1:{runner.addresses[0][1]}/hook")
        assert await trouble(stand) is None
        await stand.alice.send("hello")
        refusal = "Wrong response from the webhook: 500 Internal Server Error"
        assert await coming_trouble(stand) == {"kind": "webhook", "error": refusal}
        status = 200
        stand.sandbox.clock.advance(minutes=5)
        assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 0, 5)
        assert await trouble(stand) is None
    finally:
        await runner.cleanup()


@pytest.mark.asyncio
async def test_one_star_in_the_list_of_chats_is_one_star(stand: Stand) -> None:
    async def preview() -> Any:
        return (await asked(stand, f"users/{stand.alice.id}/chats"))["chats"][0]["last"]["text"]

    await stand.invoice(1)
    receipt = await approved(stand, stand.alice.pay())
    assert await preview() == "Payment of 1 Star"
    stand.sandbox.refund(receipt)
    assert await preview() == "Refund of 1 Star"
    stand.alice.top_up(2000)
    await stand.invoice(1500)
    await approved(stand, stand.alice.pay())
    assert await preview() == "Payment of 1,500 Stars"
