"""The inspector in a real browser: both ledgers, breaking things, the clock, light and dark."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from tests.sandbox.browsing import WIDTHS, Visit, visiting

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser]


async def open_tab(visit: Visit, name: str) -> None:
    if not await visit.page.get_by_role("tab", name=name).is_visible():
        await visit.inspect()
    await visit.page.get_by_role("tab", name=name).click()


async def leave(visit: Visit) -> None:
    if visit.phone:
        await visit.press("Close the inspector")


@pytest.mark.parametrize("width", WIDTHS)
async def test_flood_control_is_ordered_strikes_once_and_is_counted(browser: Browser, width: str) -> None:
    async with visiting(browser, width) as visit:
        page, alice = visit.page, visit.running.users["Alice"]
        await open_tab(visit, "Faults")
        await page.get_by_label("What goes wrong").select_option("Flood control (429)")
        await page.get_by_label("Method").fill("sendMessage")
        await page.get_by_label("Wait to ask for, seconds").fill("7")
        await page.get_by_label("Whom it is about").select_option("Alice")
        await visit.press("Add fault")
        rule = page.get_by_role("list", name="Faults").get_by_role("listitem")
        await expect(rule).to_contain_text("1. sendMessage: 429, retry after 7 s")
        await expect(rule).to_contain_text("about Alice; strikes once, has met nothing yet")
        await expect(page.get_by_role("tab", name="Faults 1 active")).to_be_visible()

        await alice.send("/start")
        await expect(rule).to_contain_text("struck 1 of 1, over")
        assert [m.text for m in alice.messages()] == ["/start"]
        await page.get_by_role("tab", name="Activity").click()
        await visit.press("Failed")
        failed = page.get_by_role("tabpanel", name="Activity").locator("details")
        await expect(failed).to_contain_text("Too Many Requests: retry after 7")
        await expect(failed).to_contain_text("fault 1")

        await page.get_by_role("tab", name="Faults").click()
        await visit.press("Remove fault 1")
        await expect(page.get_by_text("Nothing is broken")).to_be_visible()
        assert len(visit.running.sandbox.faults) == 0
        await alice.send("/start")
        await leave(visit)
        await visit.says("Welcome to the")


async def test_a_lost_payment_update_leaves_the_money_in_both_ledgers_and_the_bot_in_the_dark(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        page = visit.page
        await open_tab(visit, "Faults")
        await page.get_by_label("What goes wrong").select_option("Update lost")
        await page.get_by_label("Update", exact=True).select_option("successful_payment")
        await page.get_by_label("How often").select_option("every time")
        await visit.press("Add fault")
        await expect(page.get_by_role("list", name="Faults")).to_contain_text("successful_payment: lost")
        await visit.press("Start")
        await visit.press("Premium")
        await visit.press("Pay 25 Stars")
        await visit.press("Confirm and Pay 25 Stars")
        await visit.says("You paid")
        await expect(page.get_by_role("list", name="Faults")).to_contain_text("struck 1 of 1 met")
        await page.get_by_role("tab", name="Money").click()
        line = page.get_by_role("list", name="Both ledgers, newest first").get_by_role("listitem")
        await expect(line).to_contain_text("Alice: −25 Stars")
        await expect(line).to_contain_text("Neon Shop: +25 Stars")
        assert "Thank you, it is yours" not in [m.text for m in visit.running.users["Alice"].messages()]


async def test_every_fault_of_the_form_is_taken_by_the_sandbox(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        page = visit.page
        await open_tab(visit, "Faults")
        names = await page.get_by_label("What goes wrong").locator("option").all_inner_texts()
        assert names.pop() == "Person blocks the bot"
        for count, name in enumerate(names, 1):
            await page.get_by_label("What goes wrong").select_option(name)
            await visit.press("Add fault")
            await expect(page.get_by_role("list", name="Faults").get_by_role("listitem")).to_have_count(count)
        rules = [rule.as_json() for rule in visit.running.sandbox.faults]
        assert [rule.get("method") or rule["update"] for rule in rules] == [
            *["sendMessage"] * 6, "*", *["successful_payment"] * 4,
        ]  # fmt: skip
        assert [rule.get("when") for rule in rules[:6]] == ["before", "before", "after", "before", "after", "after"]
        await visit.press("Remove all")
        await expect(page.get_by_text("Nothing is broken")).to_be_visible()


async def test_a_wrong_method_is_named_and_kept_in_the_form(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await open_tab(visit, "Faults")
        await visit.page.get_by_label("Method").fill("sendMoney")
        await visit.press("Add fault")
        await expect(visit.page.get_by_role("status", name="News")).to_contain_text("not 'sendMoney'")
        await expect(visit.page.get_by_label("Method")).to_have_value("sendMoney")
        assert all("400" in trouble for trouble in visit.troubles)
        visit.troubles.clear()


async def test_a_person_blocks_the_bot_and_unblocks_it_among_the_faults(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await visit.press("Start")
        await open_tab(visit, "Faults")
        await visit.page.get_by_label("What goes wrong").select_option("Person blocks the bot")
        await visit.press("Block")
        await expect(visit.page.get_by_role("list", name="Faults")).to_contain_text("Alice has blocked Neon Shop")
        await expect(visit.page.get_by_role("button", name="Restart bot")).to_be_visible()
        await visit.press("Unblock")
        await expect(visit.page.get_by_text("Nothing is broken")).to_be_visible()


async def test_both_ledgers_tell_who_paid_what_and_what_only_one_side_knows(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        running = visit.running
        for name in ("Alice", "Bob"):
            await running.users[name].send("/donate")
            await running.users[name].tap("⭐ 10")
            await running.users[name].pay()
        running.users["Alice"].top_up(50)
        book = visit.page.get_by_role("list", name="Both ledgers, newest first").get_by_role("listitem")
        await expect(book).to_have_count(3)
        top_up, bobs, alices = (book.filter(has_text=text) for text in ("Top-up", "Bob, ", "Alice: −10 Stars"))
        await expect(top_up).not_to_contain_text("Neon Shop")
        await expect(bobs).to_contain_text("Neon Shop: +10 Stars")
        await expect(bobs).not_to_contain_text("Alice")
        await expect(alices).to_contain_text("Neon Shop: +10 Stars")


async def test_the_clock_is_stopped_moved_and_let_run(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        page, clock = visit.page, visit.running.sandbox.clock
        await visit.press("Stop the clock")
        await expect(page.locator("#clock-now")).to_contain_text("stopped")
        before = clock.now()
        await visit.press("Move the clock forward by 1 h")
        await visit.press("Move the clock forward by 30 days")
        moved = pytest.approx(before + 3600 + 30 * 86400, abs=0.01)
        await expect(page.locator("#clock")).not_to_have_attribute("aria-busy", "true")
        assert clock.now() == moved
        await visit.press("Move the clock to a moment")
        year = int((await page.get_by_label("To this moment").input_value())[:4]) + 1
        await page.get_by_label("To this moment").fill(f"{year}-03-04T05:06")
        await page.keyboard.press("Enter")
        await expect(page.locator("#clock-now")).to_have_text("March 4, 05:06:00, stopped")
        await visit.press("Move the clock to a moment")
        await page.get_by_label("To this moment").fill("2001-01-01T00:00")
        await visit.press("Move")
        await expect(page.get_by_role("status", name="News")).to_contain_text("The clock cannot go back")
        await visit.press("Let the clock run")
        await expect(page.locator("#clock-now")).not_to_contain_text("stopped")
        assert clock.running


async def test_the_colours_are_chosen_on_the_page_and_remembered(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        page = visit.page
        ground = "getComputedStyle(document.body).backgroundColor"
        light = await page.evaluate(ground)
        await visit.press("Colours: system")
        await visit.press("Colours: light")
        await expect(page.get_by_role("button", name="Colours: dark")).to_be_focused()
        dark = await page.evaluate(ground)
        assert dark != light
        await page.reload()
        await expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
        assert await page.evaluate(ground) == dark
        await page.emulate_media(color_scheme="dark")
        await visit.press("Colours: dark")
        assert await page.evaluate(ground) == dark


async def test_json_opens_branch_by_branch_with_the_keyboard(browser: Browser) -> None:
    async with visiting(browser, "desktop") as visit:
        await visit.running.users["Alice"].send("/start")
        await visit.says("Welcome to the")
        await open_tab(visit, "Activity")
        panel = visit.page.get_by_role("tabpanel", name="Activity")
        line = panel.locator("summary").filter(has_text=re.compile("sendMessage"))
        await line.focus()
        await visit.page.keyboard.press("Enter")
        await expect(panel.locator(".json-key", has_text="reply_markup").first).to_be_visible()
        branch = panel.locator(".json summary").filter(has_text="result")
        await expect(branch).to_be_visible()
        await branch.focus()
        await visit.page.keyboard.press("Enter")
        await expect(panel.locator(".json-key", has_text="message_id")).to_be_hidden()
