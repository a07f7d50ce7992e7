"""A person at the page: Chromium, a shop in plain aiogram, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from aiogram import Router
from playwright.async_api import Browser, Page, expect

from aiogram_neonpay.sandbox import RunningSandbox, serve_dispatcher
from tests.sandbox.shop import make_shop

INSTALLED = Path("/usr/bin/chromium")
CHROMIUM = INSTALLED if INSTALLED.exists() else None  # else the one playwright has downloaded
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE = 30_000
"""Milliseconds after which something does not come any more, however busy the machine is."""
WIDTHS = {"desktop": (1440, 900), "phone": (390, 844)}

expect.set_options(timeout=PATIENCE)


@dataclass
class Visit:
    """A page open on a running sandbox, and what went wrong in it."""

    page: Page
    running: RunningSandbox
    phone: bool
    troubles: list[str]
    requests: list[str] = field(default_factory=list)

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).last.click()

    async def says(self, text: str) -> None:
        await expect(self.page.get_by_role("log").get_by_text(text).last).to_be_visible()

    async def inspect(self) -> None:
        if self.phone:
            await self.press("Inspector: balances and activity")


@contextlib.asynccontextmanager
async def opened(
    browser: Browser, url: str, width: str, *, touch: bool = False
) -> AsyncIterator[tuple[Page, list[str]]]:
    """Open a page; give it together with the errors it meets."""
    size = WIDTHS[width]
    page = await browser.new_page(
        viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce", has_touch=touch, is_mobile=touch
    )
    page.set_default_timeout(PATIENCE)
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
    await page.goto(url)
    yield page, troubles
    await page.close()


@contextlib.asynccontextmanager
async def visiting(
    browser: Browser, width: str, *, touch: bool = False, router: Router | None = None
) -> AsyncIterator[Visit]:
    """Open the page of a running shop; at the end it has met no errors, and stayed on this machine.

    :param router: what the shop does beside selling.
    """
    dispatcher = make_shop()
    if router is not None:
        dispatcher.include_router(router)
    async with (
        serve_dispatcher(dispatcher, name="Neon Shop", group="Club") as running,
        opened(browser, running.server.url, width, touch=touch) as (page, troubles),
    ):
        visit = Visit(page, running, width == "phone", troubles)
        page.on("request", lambda request: visit.requests.append(request.url))
        yield visit
        wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide, "the page scrolls sideways"
        assert visit.troubles == []
        assert [url for url in visit.requests if not url.startswith(running.server.url)] == []
