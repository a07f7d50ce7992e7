"""Draws the pictures of the README: the demo in the sandbox's page, on a desktop and on a phone.

Usage: python docs/screenshots.py (needs playwright and Chromium)
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright, expect

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for examples.*

from aiogram_neonpay.sandbox import Clock, Sandbox, serve_dispatcher
from examples import demo, shop

IMAGES = Path(__file__).resolve().parent / "images"
INSTALLED = Path("/usr/bin/chromium")
CHROMIUM = INSTALLED if INSTALLED.exists() else None  # else the one playwright has downloaded
SIZES = {"desktop": (1280, 720), "phone": (390, 720)}
NOON = 1_800_014_400


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name).last.click()


async def draw(browser: Browser, width: str) -> None:
    shop.random = random.Random(7)  # the same goods in every picture
    sandbox = Sandbox(seed=7, clock=Clock(NOON, running=False))
    async with serve_dispatcher(demo.build_dispatcher(), name="Corner shop", sandbox=sandbox) as running:
        size = SIZES[width]
        page = await browser.new_page(
            viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce", color_scheme="light"
        )
        await page.goto(running.server.url)
        await press(page, "Start")
        await press(page, "Night city postcard")
        await press(page, "Pay 15 Stars")
        await press(page, "Confirm and Pay 15 Stars")
        await expect(page.get_by_role("log").get_by_text("Thank you! Receipt").last).to_be_visible()
        await press(page, "Fortune cookie")
        await expect(page.get_by_role("button", name="Pay 1 Star", exact=True)).to_be_visible()
        if width == "phone":
            await press(page, "Pay 1 Star")
            await expect(page.get_by_role("dialog")).to_contain_text("Balance after")
        await page.evaluate("const log = document.getElementById('scroll'); log.scrollTop = log.scrollHeight")
        await expect(page.get_by_role("status", name="News")).to_be_empty(timeout=15_000)
        await page.screenshot(path=IMAGES / f"{width}.png")
        await page.close()


async def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for width in SIZES:
            await draw(browser, width)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
