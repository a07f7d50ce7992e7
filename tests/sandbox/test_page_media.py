"""What is no text on the page, in a real browser: media, paid media, replies, forwards, links, inline mode, sharing."""

from __future__ import annotations

import pytest
from aiogram.types import LabeledPrice
from playwright.async_api import Browser, FilePayload, expect

from aiogram_neonpay.sandbox.images import plain_png
from tests.sandbox.browsing import WIDTHS, Visit, visiting
from tests.sandbox.gallery import make_gallery

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser]
LOADED = "images => images.length && images.every(image => image.complete && image.naturalWidth > 0)"


async def said(visit: Visit, text: str) -> None:
    await visit.running.users["Alice"].send(text)


@pytest.mark.parametrize("width", WIDTHS)
async def test_paid_media_are_veiled_until_they_are_bought(browser: Browser, width: str) -> None:
    async with visiting(browser, width, router=make_gallery()) as visit:
        page, alice = visit.page, visit.running.users["Alice"]
        await said(visit, "/paid")
        unlock = page.get_by_role("button", name="Unlock 2 media for 20 Stars")
        await expect(unlock).to_be_visible()
        await expect(page.locator(".veiled")).to_have_count(2)
        await expect(page.get_by_role("log").locator("img")).to_have_count(0)
        await unlock.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog")).to_contain_text("The bot is not asked before you are charged")
        await page.keyboard.press("Enter")
        await visit.says("You have bought the pair")
        await expect(page.locator(".veiled")).to_have_count(0)
        assert await page.get_by_role("log").locator("img").evaluate_all(LOADED)
        await expect(page.get_by_role("log")).to_contain_text("Bought for 20 Stars")
        assert (alice.balance, visit.running.sandbox.bot_balance()) == (480, 20)


async def test_a_person_short_of_stars_tops_up_and_sees_the_media(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        await visit.page.get_by_role("button", name="Dana").click()
        await visit.running.users["Dana"].send("/paid")
        await visit.page.get_by_role("button", name="Unlock 2 media").click()
        await expect(visit.page.get_by_role("heading", name="15 more Stars needed")).to_be_visible()
        await visit.page.get_by_role("button", name="+50 Stars").click()
        await visit.press("Confirm and Pay 20 Stars")
        await visit.says("You have bought the pair")
        assert visit.running.users["Dana"].balance == 35


async def test_an_album_is_one_bubble_with_its_caption(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        await said(visit, "/album 4")
        album = visit.page.get_by_role("article").filter(has_text="All of them")
        await expect(album.locator("img")).to_have_count(4)
        await expect(visit.page.get_by_role("article")).to_have_count(2)  # what Alice wrote, and the album
        assert await album.locator("img").evaluate_all(LOADED)


async def test_files_of_every_kind_are_named_and_never_run(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        page = visit.page
        await said(visit, "/files")
        await visit.says("Contact: Carol, +1555")
        for name in ("<b>page</b>.html", "holiday.mp4", "Voice message"):
            await expect(page.get_by_role("log").get_by_text(name)).to_be_visible()
        sticker = page.get_by_role("link", name="Sticker").locator("img")
        await expect(sticker).to_be_visible()
        async with page.expect_download() as saving:
            await page.get_by_role("link", name="page").click()
        assert (await (await saving.value).path()).read_bytes().startswith(b"<script>")
        assert await page.title() == "Stars sandbox"


async def test_a_photo_answers_what_it_was_asked_by(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        await said(visit, "/photo")
        bubble = visit.page.get_by_role("article").last
        await expect(bubble.get_by_role("button", name="Alice /photo")).to_be_visible()
        await expect(bubble.locator("strong", has_text="red")).to_be_visible()
        assert await bubble.locator("img").evaluate_all(LOADED)


async def test_an_edit_is_shown_and_marked(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        await said(visit, "/edit")
        await visit.press("Change it")
        await visit.says("Second words")
        edited = visit.page.get_by_role("article").last
        await expect(edited).to_contain_text("edited")
        text, stamp = edited.locator(".text"), edited.locator(".stamp")
        words = await text.evaluate(
            "node => { const range = document.createRange(); range.selectNodeContents(node); "
            "return [...range.getClientRects()].at(-1).right; }"
        )
        assert words <= ((await stamp.bounding_box()) or {"x": 0})["x"]


async def test_a_reply_is_written_with_the_keyboard_and_can_be_given_up(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        page, keys = visit.page, visit.page.keyboard
        await said(visit, "/find")
        await visit.says("Search")
        menu = page.get_by_role("article").last.get_by_role("button", name="Message menu")
        await menu.focus()
        await keys.press("Enter")
        await expect(page.get_by_role("menuitem", name="Reply")).to_be_focused()
        await keys.press("ArrowDown")
        await expect(page.get_by_role("menuitem", name="Forward")).to_be_focused()
        await keys.press("Escape")
        await expect(menu).to_be_focused()
        await keys.press("Enter")
        await keys.press("Enter")
        await expect(page.get_by_role("textbox", name="Message")).to_be_focused()
        await expect(page.get_by_text("Reply to Neon Shop")).to_be_visible()
        await keys.press("Escape")
        await expect(page.get_by_text("Reply to Neon Shop")).to_be_hidden()
        await menu.click()
        await page.get_by_role("menuitem", name="Reply").click()
        await keys.type("why?")
        await keys.press("Enter")
        await visit.says("You replied to: Search")
        await expect(page.get_by_text("Reply to Neon Shop")).to_be_hidden()
        await expect(page.get_by_role("textbox", name="Message")).to_be_focused()


async def test_an_invoice_is_forwarded_to_a_group_and_paid_there_by_another(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        page = visit.page
        await visit.press("Start")
        await visit.press("Premium")
        await expect(page.get_by_role("button", name="Pay 25 Stars")).to_be_visible()
        await page.get_by_role("article").last.click(button="right")
        await page.get_by_role("menuitem", name="Forward").click()
        await page.get_by_role("dialog").get_by_role("button", name="Club").click()
        await visit.says("Forwarded from")
        await page.get_by_role("button", name="Bob").click()
        await visit.press("Pay 25 Stars")
        await visit.press("Confirm and Pay 25 Stars")
        await expect(page.get_by_role("status", name="News")).to_have_text("Paid: Premium for 25 Stars")
        assert visit.running.users["Bob"].balance == 75


async def test_inline_results_are_found_in_the_message_field_and_sent(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        page = visit.page
        await said(visit, "/find")
        await visit.press("Search here")
        field = page.get_by_role("textbox", name="Message")
        await expect(field).to_have_value("@neon_demo_bot tick")
        result = page.get_by_role("button", name="Ticket tick")
        await expect(result).to_be_visible()
        await expect(page.get_by_role("button", name="Words")).to_be_visible()
        await result.press("Enter")
        await visit.says("via @neon_demo_bot")
        via = await page.get_by_text("via @neon_demo_bot").last.bounding_box()
        card = await page.get_by_role("log").locator(".bubble").last.bounding_box()
        assert via is not None and card is not None and via["x"] >= card["x"] + 11 and via["y"] >= card["y"] + 6
        await expect(field).to_have_value("")
        await visit.press("Pay 3 Stars")
        await visit.press("Confirm and Pay 3 Stars")
        await visit.says("Thank you, it is yours")


async def test_a_link_with_a_start_value_is_opened_by_hand(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        page = visit.page
        await page.get_by_label("More").click()
        await visit.press("Open a link")
        await page.get_by_role("textbox", name="Link").fill("t.me/neon_demo_bot?start=from-a-friend")
        await page.keyboard.press("Enter")
        await visit.says("/start from-a-friend")
        await visit.says("Welcome to the")
        link = await visit.running.bot.create_invoice_link(
            "Tea", "A cup", "tea", "XTR", [LabeledPrice(label="x", amount=2)]
        )
        await page.get_by_label("More").click()
        await visit.press("Open a link")
        await page.get_by_role("textbox", name="Link").fill(link.removeprefix("https://"))
        await page.keyboard.press("Enter")
        await visit.press("Confirm and Pay 2 Stars")
        await visit.says("Thank you, it is yours")
        await page.get_by_label("More").click()
        await visit.press("Open a link")
        await page.get_by_role("textbox", name="Link").fill("javascript:document.title='owned'")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status", name="News")).to_contain_text("leads to nothing in this sandbox")
        assert await page.title() == "Stars sandbox"


async def test_a_person_sends_a_photo_with_a_caption(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        page = visit.page
        await visit.press("Start")
        await visit.press("Attach")
        async with page.expect_file_chooser() as choosing:
            await page.get_by_role("menuitem", name="Photo or file").click()
        picture: FilePayload = {"name": "cat.png", "mimeType": "image/png", "buffer": plain_png(123, 77, (9, 9, 9))}
        await (await choosing.value).set_files(picture)
        await expect(page.get_by_role("heading", name="Send a photo")).to_be_visible()
        await page.get_by_label("Caption").fill("My cat")
        await page.keyboard.press("Enter")
        await visit.says("A photo of 123 pixels: My cat")


async def test_a_keyboard_of_the_bot_shares_a_contact(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        await said(visit, "/share")
        await visit.press("My number")
        await visit.says("A number: +1555")
        await visit.press("Attach")
        await visit.page.get_by_role("menuitem", name="My location").click()
        await visit.says("Location: 40.4093, 49.8671")


async def test_a_bot_is_described_to_those_who_have_not_met_it(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        await expect(visit.page.get_by_role("log")).to_contain_text("This bot sells <b>pictures</b>.\nThey are square.")


async def test_news_in_other_chats_are_marked_until_they_are_read(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        page, running = visit.page, visit.running
        await visit.press("Start")
        await running.users["Bob"].send("/start")
        bob = page.get_by_role("group", name="You are").get_by_role("button", name="Bob")
        await expect(bob).to_have_accessible_name("Bob 100 Stars new messages")
        await bob.click()
        await visit.says("Welcome to the")
        await expect(bob).to_have_accessible_name("Bob 100 Stars")
        await running.users["Bob"].send("Hello, all", chat=running.group)
        club = page.get_by_role("navigation", name="Chats").get_by_role("button", name="Club")
        await expect(club).to_contain_text("new messages")
        await club.click()
        await expect(club).not_to_contain_text("new messages")


async def test_of_a_long_chat_the_newest_messages_are_shown(browser: Browser) -> None:
    async with visiting(browser, "phone") as visit:
        for number in range(305):
            await visit.running.users["Alice"].send(f"number {number}")
        await visit.says("number 304")
        await expect(visit.page.get_by_role("log")).to_contain_text("5 earlier messages are not shown")
        await expect(visit.page.get_by_role("article")).to_have_count(300)


async def test_on_a_touch_screen_the_menus_open_where_they_are_touched(browser: Browser) -> None:
    async with visiting(browser, "phone", touch=True, router=make_gallery()) as visit:
        page = visit.page
        await said(visit, "/photo")
        await page.get_by_role("textbox", name="Message").tap()
        await page.get_by_role("button", name="Attach").tap()
        await page.get_by_role("menuitem", name="My contact").tap()
        await visit.says("A number: +1555")
        picture, menu = page.get_by_role("link", name="Photo"), page.get_by_role("button", name="Message menu")
        beside = (await menu.nth(1).bounding_box(), await picture.bounding_box())
        assert beside[0] and beside[1] and beside[0]["x"] >= beside[1]["x"] + beside[1]["width"]
        assert beside[0]["x"] + beside[0]["width"] <= WIDTHS["phone"][0]
        await menu.nth(1).tap()
        await page.get_by_role("menuitem", name="Reply").tap()
        await expect(page.get_by_text("Reply to Neon Shop")).to_be_visible()
