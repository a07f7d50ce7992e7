"""The page in a real browser: what people do on it."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.sandbox.browsing import WIDTHS, visiting
from tests.sandbox.shop import HOSTILE

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser]


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_person_buys_is_declined_and_is_refunded(browser: Browser, width: str) -> None:
    async with visiting(browser, width) as visit:
        alice = visit.running.users["Alice"]
        await visit.press("Start")
        await visit.press("Premium")
        await visit.press("Pay 25 Stars")
        await expect(visit.page.get_by_role("dialog")).to_contain_text("Balance after")
        await visit.page.get_by_role("button", name="Confirm and Pay 25 Stars").click()
        await visit.says("Thank you, it is yours")
        await visit.says("Paid on")
        assert (alice.balance, visit.running.sandbox.bot_balance()) == (475, 25)
        await visit.press("Receipt")
        await expect(visit.page.get_by_role("dialog")).to_contain_text("stx")
        await visit.press("Done")

        await visit.press("Mug")
        await visit.press("Pay 40 Stars")
        await visit.page.get_by_role("button", name="Confirm and Pay 40 Stars").click()
        await expect(visit.page.get_by_role("alert")).to_have_text("Mugs are sold out until Friday")
        await visit.press("OK")
        assert alice.balance == 475

        await visit.inspect()
        await visit.press("Refund 25 Stars to Alice for Premium")
        await visit.says("Your Stars are back")
        await expect(visit.page.get_by_role("tabpanel", name="Money")).to_contain_text("Refund: Premium")
        assert (alice.balance, visit.running.sandbox.bot_balance()) == (500, 0)


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_short_person_taps_donate_and_tops_up_on_the_way(browser: Browser, width: str) -> None:
    async with visiting(browser, width) as visit:
        dana = visit.running.users["Dana"]
        if visit.phone:
            await visit.press("People and chats")
        await visit.page.get_by_role("button", name="Dana").click()
        await visit.press("Start")
        await visit.press("Commands of the bot")
        await visit.page.get_by_role("button", name="/donate Support the author").click()
        await visit.press("⭐ 10")
        await visit.press("Pay 10 Stars")
        await expect(visit.page.get_by_role("heading", name="5 more Stars needed")).to_be_visible()
        assert visit.running.sandbox.transactions() == []
        await visit.page.get_by_role("button", name="+10 Stars").click()
        await visit.page.get_by_role("button", name="Confirm and Pay 10 Stars").click()
        await visit.says("Thank you, it is yours")
        assert dana.balance == 5


async def test_an_invoice_link_in_a_group_is_paid_by_whoever_taps_it(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        running, page = visit.running, visit.page
        await running.users["Alice"].send("/link", chat=running.group)
        await page.get_by_role("button", name="Bob").click()
        await page.get_by_role("navigation", name="Chats").get_by_role("button", name="Club").click()
        await visit.says("Tickets for all")
        await visit.press("Get a ticket")
        await page.get_by_role("button", name="Confirm and Pay 3 Stars").click()
        await expect(page.get_by_role("status", name="News")).to_contain_text("Paid: Ticket for 3 Stars")
        await page.get_by_role("navigation", name="Chats").get_by_role("button", name="Neon Shop").click()
        await visit.says("Thank you, it is yours")
        assert running.users["Bob"].balance == 97


async def test_a_new_person_is_added_and_blocks_the_bot(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        page = visit.page
        await visit.press("New person")
        await page.get_by_label("Name").fill("Carol <b>")
        await page.get_by_label("Stars").fill("77")
        await visit.press("Add")
        await expect(page.get_by_role("button", name="Carol <b> 77 Stars")).to_have_attribute("aria-pressed", "true")
        await visit.press("Start")
        await visit.says("Welcome to the")
        await page.get_by_label("More").click()
        await visit.press("Block the bot")
        await visit.press("Restart bot")
        await expect(page.get_by_role("textbox", name="Message")).to_be_visible()


async def test_the_keyboard_alone_is_enough(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        keys = visit.page.keyboard
        await visit.page.get_by_role("button", name="Start", exact=True).focus()
        await keys.press("Enter")
        field = visit.page.get_by_role("textbox", name="Message")
        await field.focus()
        await keys.type("/donate")
        await keys.press("Enter")
        await visit.page.get_by_role("button", name="⭐ 1", exact=True).focus()
        await keys.press("Enter")
        await visit.page.get_by_role("button", name="Pay 1 Star", exact=True).focus()
        await keys.press("Enter")
        sheet = visit.page.get_by_role("dialog")
        await expect(sheet.get_by_role("button", name="Confirm and Pay")).to_be_focused()
        await keys.press("Escape")
        await expect(sheet).to_be_hidden()
        assert visit.running.users["Alice"].balance == 500
        await keys.press("Enter")
        await expect(sheet.get_by_role("button", name="Confirm and Pay")).to_be_focused()
        await keys.press("Enter")
        await visit.says("Thank you, it is yours")


async def test_text_of_bots_is_shown_and_never_run(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await visit.press("Start")
        await visit.says(HOSTILE)
        assert await visit.page.title() == "Stars sandbox"
        await expect(visit.page.get_by_role("log").locator("strong", has_text="shop")).to_be_visible()


async def test_a_silent_bot_costs_the_payer_nothing(browser: Browser) -> None:
    async with visiting(browser, "phone") as visit:
        await visit.press("Start")
        await visit.press("Ghost")
        await visit.press("Pay 7 Stars")
        await visit.page.get_by_role("button", name="Confirm and Pay 7 Stars").click()
        await expect(visit.page.get_by_text("Waiting for the bot")).to_be_visible()
        await visit.page.keyboard.press("Escape")
        await expect(visit.page.get_by_text("Waiting for the bot")).to_be_visible()
        visit.running.sandbox.clock.advance(seconds=10)
        await expect(visit.page.get_by_role("alert")).to_contain_text("did not answer within 10 seconds")
        assert visit.running.users["Alice"].balance == 500
        await visit.press("OK")
