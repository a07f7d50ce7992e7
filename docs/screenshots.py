"""Draws the pictures of the documents: the demo in the sandbox's page, on a desktop and on a phone, light and dark.

Usage: python docs/screenshots.py [name ...] (needs playwright and Chromium)
"""

from __future__ import annotations

import asyncio
import random
import struct
import sys
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiogram import Bot, Dispatcher, F, Router
from aiogram.filters import Command
from aiogram.types import (
    BufferedInputFile,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputPaidMediaPhoto,
    LabeledPrice,
    Message,
    PaidMediaPurchased,
    PreCheckoutQuery,
)
from playwright.async_api import Browser, Page, async_playwright, expect

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for examples.*

from aiogram_neonpay import NeonPay, admin_router, catalog_keyboard, support_router
from aiogram_neonpay.sandbox import Clock, RunningSandbox, Sandbox, serve_dispatcher
from examples import demo, dialog_shop, donations, shop

IMAGES = Path(__file__).resolve().parent / "images"
INSTALLED = Path("/usr/bin/chromium")
CHROMIUM = INSTALLED if INSTALLED.exists() else None  # else the one playwright has downloaded
SIZES = {"desktop": (1280, 720), "phone": (390, 720)}
NOON = 1_800_014_400


@dataclass
class Scene:
    """A page that is about to be drawn, and the world behind it."""

    page: Page
    running: RunningSandbox

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name).last.click()

    async def says(self, text: str) -> None:
        await expect(self.page.get_by_role("log").get_by_text(text).last).to_be_visible()

    async def buy_a_postcard(self) -> None:
        await self.press("Start")
        await self.press("Night city postcard")
        await self.press("Pay 15 Stars")
        await self.press("Confirm and Pay 15 Stars")
        await self.says("Thank you! Receipt")


async def desktop(scene: Scene) -> None:
    await scene.buy_a_postcard()
    await scene.press("Fortune cookie")
    await expect(scene.page.get_by_role("button", name="Pay 1 Star", exact=True)).to_be_visible()


async def phone(scene: Scene) -> None:
    await desktop(scene)
    await scene.press("Pay 1 Star")
    await expect(scene.page.get_by_role("dialog")).to_contain_text("Balance after")


async def media(scene: Scene) -> None:
    alice = scene.running.users["Alice"]
    await alice.send("/prints")
    await alice.unlock()
    await scene.says("Thank you, the prints are yours")
    await alice.send("/prints")
    await expect(scene.page.get_by_role("button", name="Unlock")).to_be_visible()


async def subscription(scene: Scene) -> None:
    await scene.running.users["Alice"].send("/club")
    await scene.press("Join")
    await scene.press("Subscribe for 200 Stars / month")
    await scene.says("You subscribed to")
    scene.running.sandbox.clock.advance(days=30)
    await scene.says("was renewed for")
    await scene.page.get_by_label("More").click()
    await scene.press("Subscriptions")
    await scene.page.get_by_role("dialog").get_by_role("button", name="Night drives").click()


async def shelf(scene: Scene) -> None:
    await scene.running.users["Alice"].send("/shop")
    await scene.press(">")
    await expect(scene.page.get_by_role("button", name="Crane")).to_be_visible()


async def tale(scene: Scene) -> None:
    await shelf(scene)
    await scene.press("Crane")
    await scene.press("Buy: 5")
    await scene.press("Pay 5 Stars")
    await scene.press("Confirm and Pay 5 Stars")
    await scene.says("Thank you! Crane is paid")


async def faults(scene: Scene) -> None:
    await scene.buy_a_postcard()
    faults = scene.running.sandbox.faults
    faults.add("sendInvoice", error=429, retry_after=3, times=1)
    faults.add("refundStarPayment", error=502, when="after")
    faults.add_update("successful_payment", repeat=1)
    await scene.press("Fortune cookie")
    await (
        scene.page.get_by_role("dialog").get_by_role("button", name="OK").click()
    )  # the shop says that there is no invoice
    await scene.page.get_by_role("tab", name="Faults").click()
    await expect(scene.page.get_by_role("list", name="Faults")).to_contain_text("struck 1 of 1, over")


async def activity(scene: Scene) -> None:
    await scene.buy_a_postcard()
    await scene.page.get_by_role("tab", name="Activity").click()
    await scene.page.locator("summary").filter(has_text="pre_checkout_query").click()


async def support(scene: Scene) -> None:
    await scene.buy_a_postcard()
    alice = scene.running.users["Alice"]
    await alice.send("/paysupport")
    await scene.press("Night city postcard · 15 ⭐")
    await scene.says("Write your question in one message")
    await alice.send("The card is lovely, but its back is empty")
    await scene.says("Your message was passed on")
    group = scene.running.group
    assert group is not None
    question = next(message for message in group.messages() if message.from_bot)
    await alice.send("I have written on it for you", chat=group, reply_to=question)
    await expect(scene.page.get_by_role("button", name="Write back")).to_be_visible()


async def administration(scene: Scene) -> None:
    await scene.buy_a_postcard()
    alice = scene.running.users["Alice"]
    await alice.send(f"/payfind {alice.id}")
    await scene.page.get_by_role("log").get_by_role("button", name="1", exact=True).click()
    await expect(scene.page.get_by_role("button", name="Refund").last).to_be_visible()


async def gift(scene: Scene) -> None:
    alice = scene.running.users["Alice"]
    await alice.send("/gift")
    await scene.press("Pay 15 Stars")
    await scene.press("Confirm and Pay 15 Stars")
    await scene.says("start=gift_")


async def inline(scene: Scene) -> None:
    await scene.press("Start")
    field = scene.page.get_by_role("textbox", name="Message")
    await field.fill("@neon_demo_bot night")
    await expect(scene.page.get_by_role("button", name="Night city postcard · 15")).to_be_visible()


async def keyboards(scene: Scene) -> None:
    await scene.running.users["Alice"].send("/shelves")
    await scene.says("On the shelves")
    await scene.press("›")
    await scene.press("Other amount")
    await scene.says("How many Stars?")


Play = Callable[[Scene], Awaitable[None]]
#: What is drawn: how, on what, in which colours, and whether only the inspector.
PICTURES: dict[str, tuple[Play, str, Literal["light", "dark"], bool]] = {
    "desktop": (desktop, "desktop", "light", False),
    "phone": (phone, "phone", "light", False),
    "media": (media, "desktop", "dark", False),
    "subscription": (subscription, "phone", "dark", False),
    "support": (support, "phone", "light", False),
    "inline": (inline, "phone", "light", False),
    "administration": (administration, "desktop", "light", False),
    "gift": (gift, "phone", "dark", False),
    "dialog-catalog": (shelf, "phone", "light", False),
    "dialog-paid": (tale, "phone", "light", False),
    "keyboards": (keyboards, "phone", "light", False),
    "faults": (faults, "desktop", "light", True),
    "activity": (activity, "desktop", "dark", True),
}


def corner_shop() -> Dispatcher:
    """Return the demo with what it does not sell."""
    shop.random = random.Random(7)  # the same goods in every picture
    dispatcher = demo.build_dispatcher()
    dispatcher.include_router(extras())
    return dispatcher


def kept_by_its_buyers() -> Dispatcher:
    """Return the shop with administration for everybody."""
    dispatcher = shop.build_dispatcher()
    dispatcher.include_router(admin_router(F.from_user))
    return dispatcher


#: The bots in the pictures that do not show the demo, with their names.
OTHER_BOTS: dict[Play, tuple[Callable[[], Dispatcher], str]] = {
    shelf: (dialog_shop.build_dispatcher, "Tale shop"),
    tale: (dialog_shop.build_dispatcher, "Tale shop"),
    support: (shop.build_dispatcher, "Corner shop"),
    administration: (kept_by_its_buyers, "Corner shop"),
}


def extras() -> Router:
    """Return what the demo does not do: sell pictures behind a price, and a club; show its catalog in pages."""
    router = Router()

    @router.message(Command("shelves"))
    async def shelves(message: Message, neonpay: NeonPay) -> None:
        rows = [*catalog_keyboard(neonpay, per_page=3).inline_keyboard, *donations.amounts_keyboard().inline_keyboard]
        await message.answer("On the shelves:", reply_markup=InlineKeyboardMarkup(inline_keyboard=rows))

    @router.message(Command("gift"))
    async def give(message: Message, neonpay: NeonPay) -> None:
        await neonpay.answer_payment(message, "postcard", gift=True)

    @router.message(Command("prints"))
    async def prints(message: Message, bot: Bot) -> None:
        files = [BufferedInputFile(night_city(seed), f"night-{seed}.png") for seed in (3, 8)]
        pair = [InputPaidMediaPhoto(media=file) for file in files]
        await bot.send_paid_media(message.chat.id, 20, list(pair), payload="prints", caption="Two prints, full size")

    @router.purchased_paid_media()
    async def bought(purchase: PaidMediaPurchased, bot: Bot) -> None:
        await bot.send_message(purchase.from_user.id, "Thank you, the prints are yours")

    @router.pre_checkout_query(F.invoice_payload == "club")
    async def admit(query: PreCheckoutQuery) -> None:
        await query.answer(ok=True)

    @router.message(Command("club"))
    async def club(message: Message, bot: Bot) -> None:
        prices = [LabeledPrice(label="A month", amount=200)]
        about = "A mixtape on the first of every month."
        link = await bot.create_invoice_link(
            "Night drives", about, "club", "XTR", prices, subscription_period=2_592_000
        )
        keys = InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text="Join", url=link)]])
        await message.answer("Join the club: a mixtape every month.", reply_markup=keys)

    return router


def night_city(seed: int, width: int = 480, height: int = 360) -> bytes:
    """Draw a PNG of houses at night."""
    dice = random.Random(seed)
    rows = [bytearray(bytes((12 + y // 16, 18 + y // 12, 52 + y // 6)) * width) for y in range(height)]
    for left in range(-20, width, 48):
        top, shade = dice.randrange(60, 220), dice.randrange(8, 24)
        for y in range(top, height):
            for x in range(max(left, 0), min(left + 44, width)):
                rows[y][3 * x : 3 * x + 3] = bytes((shade, shade, shade + 14))
        for y in range(top + 10, height - 14, 20):
            for x in range(left + 6, left + 38, 12):
                if 0 <= x < width - 7 and dice.random() < 0.45:
                    for line in range(y, y + 10):
                        rows[line][3 * x : 3 * x + 21] = bytes((255, 208, dice.randrange(90, 130))) * 7

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    lines = b"".join(b"\0" + bytes(row) for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


async def draw(browser: Browser, name: str) -> None:
    play, size, colours, inspector = PICTURES[name]
    width, height = SIZES[size]
    build, title = OTHER_BOTS.get(play, (corner_shop, "Corner shop"))
    dispatcher = build()
    sandbox = Sandbox(seed=7, clock=Clock(NOON, running=False))
    group = "Support" if name == "support" else None
    async with serve_dispatcher(dispatcher, name=title, sandbox=sandbox, group=group) as running:
        if running.group is not None:
            dispatcher.include_router(support_router(chat=running.group.id))
        page = await browser.new_page(
            viewport={"width": width, "height": height}, reduced_motion="reduce", color_scheme=colours
        )
        await page.goto(running.server.url)
        page.set_default_timeout(10_000)
        await play(Scene(page, running))
        await page.evaluate("const log = document.getElementById('scroll'); log.scrollTop = log.scrollHeight")
        await expect(page.get_by_role("status", name="News")).to_be_empty(timeout=15_000)
        await page.mouse.move(1, 1)
        target = page.locator("#inspector") if inspector else page
        await target.screenshot(path=IMAGES / f"{name}.jpg", type="jpeg", quality=82)
        await page.close()


async def main(names: list[str]) -> None:
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for name in names or PICTURES:
            await draw(browser, name)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
