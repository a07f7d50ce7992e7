"""Where the keyboard goes on from on the page, in a real browser: never from the beginning."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.sandbox.browsing import Visit, visiting

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser]


def button(visit: Visit, name: str) -> Locator:
    return visit.page.get_by_role("button", name=name, exact=True).last


async def enter(target: Locator) -> None:
    """Press a control with the keyboard."""
    await target.focus()
    await target.press("Enter")


async def start(visit: Visit) -> None:
    await enter(button(visit, "Start"))
    await visit.says("Welcome to the")


async def test_start_leads_to_the_message_field(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await start(visit)
        await expect(visit.page.get_by_role("textbox", name="Message")).to_be_focused()


async def test_on_a_touch_screen_start_opens_no_keyboard(browser: Browser) -> None:
    async with visiting(browser, "phone", touch=True) as visit:
        await visit.page.get_by_role("button", name="Start", exact=True).tap()
        await visit.says("Welcome to the")
        await expect(visit.page.locator("#scroll")).to_be_focused()


async def test_a_pressed_button_keeps_the_focus_when_its_message_is_drawn_anew(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await start(visit)
        await enter(button(visit, "Premium"))
        await expect(button(visit, "Pay 25 Stars")).to_be_visible()
        await expect(button(visit, "Premium")).to_be_focused()


async def test_a_button_that_goes_away_leaves_the_focus_to_its_message(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await visit.running.users["Alice"].send("/card")
        await enter(button(visit, "Tear up"))
        await expect(button(visit, "Tear up")).to_have_count(0)
        await expect(visit.page.get_by_role("article").last).to_be_focused()


async def test_paying_leads_to_the_receipt(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await start(visit)
        await enter(button(visit, "Premium"))
        await enter(button(visit, "Pay 25 Stars"))
        await enter(button(visit, "Confirm and Pay 25 Stars"))
        await visit.says("Thank you, it is yours")
        await expect(visit.page.get_by_role("dialog")).to_be_hidden()
        await expect(button(visit, "Receipt")).to_be_focused()
        await visit.page.keyboard.press("Enter")
        await expect(button(visit, "Done")).to_be_focused()
        await visit.page.keyboard.press("Enter")
        await expect(button(visit, "Receipt")).to_be_focused()


async def test_a_declined_payment_leads_to_ok_and_back_to_its_invoice(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await start(visit)
        await enter(button(visit, "Mug"))
        await enter(button(visit, "Pay 40 Stars"))
        await enter(button(visit, "Confirm and Pay 40 Stars"))
        await expect(button(visit, "OK")).to_be_focused()
        await visit.page.keyboard.press("Enter")
        await expect(button(visit, "Pay 40 Stars")).to_be_focused()


async def test_a_top_up_on_the_way_leads_on_to_the_confirmation(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await visit.page.get_by_role("button", name="Dana").click()
        await start(visit)
        await enter(button(visit, "Premium"))
        await enter(button(visit, "Pay 25 Stars"))
        await expect(visit.page.get_by_role("button", name="+50 Stars")).to_be_focused()
        await visit.page.keyboard.press("Enter")
        await expect(button(visit, "Confirm and Pay 25 Stars")).to_be_focused()


async def test_a_refund_leads_to_the_sale_it_was(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await start(visit)
        await visit.press("Premium")
        await visit.press("Pay 25 Stars")
        await visit.press("Confirm and Pay 25 Stars")
        await enter(button(visit, "Refund 25 Stars to Alice for Premium"))
        await visit.says("Your Stars are back")
        await expect(visit.page.get_by_role("listitem").filter(has_text="refunded")).to_be_focused()


async def test_choosing_people_chats_and_filters_keeps_the_place(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await start(visit)
        bob = button(visit, "Bob 100 Stars")
        await enter(bob)
        await expect(bob).to_have_attribute("aria-pressed", "true")
        await expect(bob).to_be_focused()
        club = visit.page.get_by_role("navigation", name="Chats").get_by_role("button", name="Club")
        await enter(club)
        await expect(club).to_have_attribute("aria-current", "true")
        await expect(club).to_be_focused()
        await visit.page.get_by_role("tab", name="Activity").click()
        await enter(button(visit, "Calls"))
        await expect(button(visit, "Calls")).to_have_attribute("aria-pressed", "true")
        await expect(button(visit, "Calls")).to_be_focused()


async def test_blocking_and_coming_back_leads_to_the_message_field(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await start(visit)
        await visit.page.get_by_label("More").press("Enter")
        await enter(button(visit, "Block the bot"))
        await expect(visit.page.get_by_label("More")).to_be_focused()
        await enter(button(visit, "Restart bot"))
        await expect(visit.page.get_by_role("textbox", name="Message")).to_be_focused()


@pytest.mark.parametrize(
    ("opener", "inside"), [("Inspector: balances and activity", "Money"), ("People and chats", "")]
)
async def test_a_panel_takes_the_focus_and_gives_it_back(browser: Browser, opener: str, inside: str) -> None:
    async with visiting(browser, "phone") as visit:
        await enter(button(visit, opener))
        first = visit.page.get_by_role("tab", name=inside) if inside else visit.page.get_by_role("button", name="Alice")
        await expect(first.first).to_be_focused()
        await visit.page.keyboard.press("Escape")
        await expect(button(visit, opener)).to_be_focused()
