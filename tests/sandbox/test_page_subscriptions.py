"""Months of a subscription on the page, in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.sandbox.browsing import WIDTHS, Visit, visiting
from tests.sandbox.gallery import make_gallery

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser]
MONTH = "Move the clock forward by 30 days"


async def subscribe(visit: Visit) -> None:
    await visit.running.users["Alice"].send("/club")
    await visit.press("Join the club")
    await visit.page.get_by_role("button", name="Subscribe for 200 Stars / month").click()
    await visit.says("You subscribed to")


async def skip_a_month(visit: Visit) -> None:
    await visit.inspect()
    await visit.press(MONTH)
    await expect(visit.page.get_by_role("group", name="The sandbox's clock")).not_to_have_attribute("aria-busy", "true")
    if visit.phone:
        await visit.press("Close the inspector")


async def open_club(visit: Visit) -> Locator:
    await visit.page.get_by_label("More").click()
    await visit.press("Subscriptions")
    await visit.page.get_by_role("dialog").get_by_role("button", name="Club").click()
    return visit.page.get_by_role("dialog")


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_subscription_is_begun_renewed_canceled_and_ends(browser: Browser, width: str) -> None:
    async with visiting(browser, width, router=make_gallery()) as visit:
        alice, page = visit.running.users["Alice"], visit.page
        await visit.running.users["Alice"].send("/club")
        await visit.press("Join the club")
        sheet = page.get_by_role("dialog")
        await expect(sheet.get_by_role("heading")).to_have_text("Confirm your subscription")
        await expect(sheet).to_contain_text("every month, until you cancel")
        await page.get_by_role("button", name="Subscribe for 200 Stars / month").click()
        await visit.says("You subscribed to")
        assert alice.balance == 300

        await skip_a_month(visit)
        await visit.says("was renewed for")
        assert alice.balance == 100

        sheet = await open_club(visit)
        await expect(sheet).to_contain_text("Next charge")
        await expect(sheet).to_contain_text("Payments2")
        await visit.press("Cancel subscription")
        await expect(page.get_by_role("status", name="News")).to_have_text("Club: will not be renewed")
        await skip_a_month(visit)
        sheet = await open_club(visit)
        await expect(sheet).to_contain_text("It is over. Only the bot's link begins another.")
        await expect(sheet.get_by_role("button", name="Cancel subscription")).to_have_count(0)
        await visit.press("All subscriptions")
        await expect(sheet.get_by_role("heading", name="Ended")).to_be_visible()
        await visit.press("Done")
        assert alice.balance == 100


async def test_a_canceled_subscription_is_renewed_again_by_the_keyboard(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        keys, alice = visit.page.keyboard, visit.running.users["Alice"]
        await subscribe(visit)
        alice.cancel_subscription()
        await visit.page.get_by_label("More").focus()
        await keys.press("Enter")
        await visit.page.get_by_role("button", name="Subscriptions", exact=True).focus()
        await keys.press("Enter")
        line = visit.page.get_by_role("dialog").get_by_role("button", name="Club")
        await expect(line).to_contain_text("canceled, ends on")
        await line.focus()
        await keys.press("Enter")
        await expect(visit.page.get_by_role("button", name="Renew again")).to_be_focused()
        await keys.press("Enter")
        await expect(visit.page.get_by_role("status", name="News")).to_have_text("Club: renews again")
        assert alice.subscriptions()[0].state == "active"


async def test_a_person_who_will_be_short_is_warned_and_tops_up(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        page, alice = visit.page, visit.running.users["Alice"]
        notice = page.get_by_role("status", name="Subscriptions")
        await subscribe(visit)
        await expect(notice).to_be_empty()
        await skip_a_month(visit)
        await expect(notice).to_contain_text("100 more Stars needed")
        await notice.get_by_role("button", name="Top up").click()
        await page.get_by_role("button", name="Top up 100 Stars").click()
        await expect(notice).to_be_empty()
        assert alice.balance == 200


async def test_a_charge_that_failed_says_what_to_do(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        page = visit.page
        await subscribe(visit)
        await skip_a_month(visit)
        await visit.says("was renewed for")
        await skip_a_month(visit)
        notice = page.get_by_role("status", name="Subscriptions")
        await expect(notice).to_contain_text("Club could not be renewed")
        await notice.get_by_role("button", name="Details").click()
        await expect(page.get_by_role("dialog")).to_contain_text("Only the bot's link begins another.")
        await page.keyboard.press("Escape")
        subscribers = page.get_by_role("tabpanel", name="Money")
        await expect(subscribers).to_contain_text("not paid since")


async def test_what_the_bot_has_canceled_cannot_be_renewed_by_the_person(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        await subscribe(visit)
        alice = visit.running.users["Alice"]
        charge = alice.subscriptions()[0].first_charge_id
        await visit.running.bot.edit_user_star_subscription(alice.id, charge, is_canceled=True)
        sheet = await open_club(visit)
        await expect(sheet).to_contain_text("The bot has ended this.")
        await expect(sheet.get_by_role("button", name="Renew again")).to_have_count(0)
        await expect(sheet.get_by_role("button", name="Cancel subscription")).to_have_count(0)


async def test_the_receipt_of_a_subscription_leads_to_it(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        await subscribe(visit)
        await visit.page.get_by_role("log").get_by_role("button", name="You subscribed to").click()
        sheet = visit.page.get_by_role("dialog")
        await expect(sheet).to_contain_text("Paid until")
        await sheet.get_by_role("button", name="Subscriptions").click()
        await expect(sheet.get_by_role("button", name="Club")).to_contain_text("next charge on")


async def test_a_renewal_long_before_the_end_of_a_jump_still_reaches_the_bot(browser: Browser) -> None:
    async with visiting(browser, "desktop", router=make_gallery()) as visit:
        await subscribe(visit)
        visit.running.sandbox.clock.advance(days=20)
        await skip_a_month(visit)  # renewed after 10 of its days, 20 before the clock stands still
        await visit.says("was renewed for")
        await expect(visit.page.get_by_role("log").get_by_text("Thank you, it is yours")).to_have_count(2)
