"""What the page looks like and reads like, in a real browser."""

from __future__ import annotations

import re

import pytest
from aiogram import Router
from aiogram.filters import Command
from aiogram.types import Message
from playwright.async_api import Browser, Locator, expect

from tests.sandbox.browsing import WIDTHS, visiting

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser]

# Height of the gap between a block and the text behind it, in lines.
GAP = """pre => {
    const text = document.createRange();
    text.selectNodeContents(pre.nextSibling);
    const line = [...text.getClientRects()].filter(rect => rect.width > 0)[0];
    return (line.top - pre.getBoundingClientRect().bottom) / parseFloat(getComputedStyle(pre.parentElement).lineHeight);
}"""


async def box(target: Locator) -> dict[str, float]:
    found = await target.bounding_box()
    assert found is not None
    return {"top": found["y"], "bottom": found["y"] + found["height"]}


async def test_one_empty_line_behind_a_block_is_one_line_high(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await visit.running.users["Alice"].send("/card")
        await visit.says("Yours")
        assert 0.9 < await visit.page.get_by_role("log").locator("pre").evaluate(GAP) < 1.6


@pytest.mark.parametrize("width", WIDTHS)
async def test_one_star_is_never_called_stars(browser: Browser, width: str) -> None:
    async with visiting(browser, width) as visit:
        await visit.running.users["Alice"].send("/donate")
        await visit.press("⭐ 1")
        await visit.press("Pay 1 Star")
        await visit.press("Confirm and Pay 1 Star")
        await expect(visit.page.get_by_role("status", name="News")).to_have_text("Paid: Donation for 1 Star")
        await visit.says("Thank you, it is yours")
        await visit.inspect()
        await visit.press("Refund 1 Star to Alice for Donation")
        await expect(visit.page.get_by_role("status", name="News")).to_have_text("1 Star went back to Alice")
        await visit.says("Your Stars are back")
        await expect(visit.page.locator("body")).not_to_contain_text(re.compile(r"\b1 Stars"))


async def test_the_star_emoji_is_drawn_wherever_it_is_written(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await visit.running.users["Alice"].send("/card")
        await visit.says("Yours")
        star = visit.page.locator(".emoji-star")
        await expect(visit.page.get_by_role("log").locator(star)).to_have_count(1)
        await expect(visit.page.get_by_role("navigation", name="Chats").locator(star)).to_have_count(1)
        activity = visit.page.get_by_role("tabpanel", name="Activity")
        await visit.page.get_by_role("tab", name="Activity").click()
        await activity.get_by_text("sendMessage").click()
        await expect(activity.locator(star)).to_have_count(2)  # what was asked, and the answer
        undrawn = await visit.page.evaluate(
            """() => {
                const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
                while (texts.nextNode()) {
                    const node = texts.currentNode;
                    if (node.data.includes("\\u2b50") && !node.parentElement.closest(".unseen")) found.push(node.data);
                }
                return found;
            }"""
        )
        assert undrawn == []


async def test_on_a_phone_news_do_not_cover_the_ledgers(browser: Browser) -> None:
    async with visiting(browser, "phone") as visit:
        await visit.press("Start")
        await visit.press("Premium")
        await visit.press("Pay 25 Stars")
        await visit.press("Confirm and Pay 25 Stars")
        await visit.says("Thank you, it is yours")
        await visit.inspect()
        await visit.press("Refund 25 Stars to Alice for Premium")
        news = visit.page.get_by_text("25 Stars went back to Alice")
        await expect(news).to_be_visible()
        panel = await box(visit.page.get_by_role("tabpanel", name="Money"))
        assert (await box(visit.page.locator(".toast")))["top"] >= panel["bottom"]


async def test_on_a_phone_choosing_a_person_leads_to_their_chat(browser: Browser) -> None:
    async with visiting(browser, "phone") as visit:
        await visit.press("People and chats")
        await visit.page.get_by_role("button", name="Dana").click()
        await expect(visit.page.get_by_role("complementary", name="People and chats")).to_be_hidden()
        await expect(visit.page.locator("#purse")).to_have_text(re.compile("^Dana"))
        await visit.press("Start")
        await visit.says("Welcome to the")


async def test_a_message_that_was_not_sent_stays_in_the_field(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await visit.press("Start")
        field = visit.page.get_by_role("textbox", name="Message")
        await field.fill("kept")
        await visit.page.route("**/send", lambda route: route.abort())
        await field.press("Enter")
        await expect(visit.page.get_by_role("status", name="News")).to_have_text("The sandbox does not answer")
        await expect(field).to_have_value("kept")
        assert all("net::ERR" in trouble for trouble in visit.troubles)
        visit.troubles.clear()


async def test_a_quotation_with_marked_words_is_one_quotation(browser: Browser) -> None:
    router = Router()

    @router.message(Command("quote"))
    async def quote(message: Message) -> None:
        await message.answer("<blockquote>one <b>two <i>three</i></b> four\n/five</blockquote>\nsix", parse_mode="HTML")

    async with visiting(browser, "desktop", router=router) as visit:
        await visit.running.users["Alice"].send("/quote")
        quoted = visit.page.locator(".text blockquote")
        await expect(quoted).to_have_text("one two three four\n/five")
        assert await quoted.count() == 1
        await expect(quoted.locator("strong em")).to_have_text("three")
        await expect(quoted.get_by_role("button", name="/five")).to_be_visible()
        assert await visit.page.locator(".text:has(blockquote)").inner_text() == "one two three four\n/five\nsix"
