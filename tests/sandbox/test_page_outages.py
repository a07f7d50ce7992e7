"""What the page says when the bot or the sandbox stops, and that it recovers: in a real browser."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pytest
from playwright.async_api import Browser, expect

from aiogram_neonpay.sandbox import Sandbox, SandboxServer, serve_dispatcher
from aiogram_neonpay.sandbox.http import listening
from tests.sandbox.browsing import opened, visiting
from tests.sandbox.shop import make_shop

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser]

NOT_LISTENING = re.compile(r"^Neon Shop is not listening: no getUpdates for \d+ s and no webhook\. ")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "PATIENCE", 0.5)


async def test_a_stopped_bot_is_noticed_and_so_is_its_return(browser: Browser) -> None:
    dispatcher = make_shop()
    async with (
        serve_dispatcher(dispatcher, name="Neon Shop") as running,
        opened(browser, running.server.url, "phone") as (page, troubles),
    ):
        connection = page.get_by_role("status", name="Connection")
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.get_by_role("log")).to_contain_text("Welcome to the")
        await expect(connection).to_be_empty()

        await dispatcher.stop_polling()
        await expect(connection).to_have_text(NOT_LISTENING)
        await page.get_by_role("textbox", name="Message").fill("/donate")
        await page.keyboard.press("Enter")

        again = asyncio.create_task(
            dispatcher.start_polling(running.bot, handle_signals=False, close_bot_session=False)
        )
        await expect(page.get_by_role("log")).to_contain_text("How much?")
        await expect(connection).to_be_empty()
        await dispatcher.stop_polling()
        await again
        assert troubles == []


async def test_a_webhook_that_nobody_answers_is_named(browser: Browser, unused_tcp_port: int) -> None:
    sandbox = Sandbox()
    token = sandbox.create_bot("neon_shop_bot", name="Neon Shop")
    alice = sandbox.create_user("Alice")
    await sandbox.call(token, "setWebhook", {"url": f"http://127.0.0.1:{unused_tcp_port}/hook"})
    async with SandboxServer(sandbox) as server, opened(browser, server.url, "desktop") as (page, _):
        connection = page.get_by_role("status", name="Connection")
        await expect(page.get_by_role("button", name="Start", exact=True)).to_be_visible()
        await expect(connection).to_be_empty()
        await alice.send("/start")
        await expect(connection).to_have_text("Neon Shop does not take its updates: Connection refused.")
        await sandbox.call(token, "deleteWebhook")
        await expect(connection).to_have_text(NOT_LISTENING)


async def test_a_stopped_sandbox_is_noticed_and_so_is_another_one_at_its_address(browser: Browser) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with serve_dispatcher(make_shop(), name="Neon Shop") as running:
            port = running.server.port
            page, troubles = await stack.enter_async_context(opened(browser, running.server.url, "phone"))
            await page.get_by_role("button", name="Start", exact=True).click()
            await expect(page.get_by_role("log")).to_contain_text("Welcome to the")
        connection = page.get_by_role("status", name="Connection")
        await expect(connection).to_have_text("The sandbox has stopped; reconnecting…")

        # A new world: the people are the same, and have not met the bot.
        async with serve_dispatcher(make_shop(), name="Neon Shop", port=port) as fresh:
            assert fresh.server.port == port
            await expect(connection).to_be_empty()
            await expect(page.get_by_role("log")).not_to_contain_text("Welcome to the")
            await page.get_by_role("button", name="Start", exact=True).click()
            await expect(page.get_by_role("log")).to_contain_text("Welcome to the")
            assert fresh.users["Alice"].messages()
        assert all("net::ERR" in trouble for trouble in troubles)


async def test_a_restart_of_the_same_world_shows_it_again(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        running, page = visit.running, visit.page
        await visit.press("Start")
        await visit.says("Welcome to the")
        field = page.get_by_role("textbox", name="Message")
        await field.fill("half a sentence")
        port = running.server.port
        await running.server.stop()
        connection = page.get_by_role("status", name="Connection")
        await expect(connection).to_have_text("The sandbox has stopped; reconnecting…")
        await running.users["Alice"].send("meanwhile")
        again = SandboxServer(running.sandbox, port=port)
        await again.start()
        await expect(connection).to_be_empty()
        await visit.says("meanwhile")
        await expect(field).to_have_value("half a sentence")
        await again.stop()
        visit.troubles.clear()
        visit.requests.clear()
