"""Administration while Telegram fails, and orders that are written almost as they should be."""

from __future__ import annotations

from typing import Any

import pytest
from aiogram.methods import SendMessage
from aiogram.types import LinkPreviewOptions

from aiogram_neonpay.storefront.admin.commands import Grant, parse_grant, parse_revoke
from aiogram_neonpay.testing import BotSandbox, BotUser
from tests.storefront.office import ADMIN, Office, sell, words
from tests.telegram import RecordingBot, text

pytestmark = pytest.mark.asyncio

DAY = 86400


# What was confirmed is done, whether or not Telegram shows it


async def test_a_confirmed_refund_is_done_while_messages_cannot_be_edited(
    sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    await admin.send(f"/payrefund {await sell(alice)}")
    sandbox.faults.add("editMessageText", error=500, times=3)
    await admin.tap("Yes, refund")
    assert alice.balance == 1000
    assert sandbox.errors == []
    assert words(admin).startswith("Refunded")


async def test_confirmed_access_is_given_while_telegram_fails_altogether(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    await admin.send(f"/paygrant {alice.id} premium")
    for method in ("editMessageText", "sendMessage"):
        sandbox.faults.add(method, error=429, retry_after=5)
    assert (await admin.tap("Yes, grant") or "") == f"User {alice.id} has the access premium now."
    assert await office.pay.access(alice.id, "premium", bot=sandbox.bot) is not None


async def test_what_was_confirmed_and_failed_is_done_once_by_tapping_again(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await admin.send(f"/paygrant {alice.id} premium x20 late")
    grant, failures = office.pay._access.grant, iter([True])

    async def grant_and_fail(*args: Any) -> Any:
        granted = await grant(*args)
        if next(failures, False):
            raise ConnectionError("the storage is gone")
        return granted

    monkeypatch.setattr(office.pay._access, "grant", grant_and_fail)
    await admin.tap("Yes, grant")
    assert words(admin) == "That did not work: ConnectionError"
    await admin.tap("Yes, grant")
    assert words(admin) == f"User {alice.id} has the access premium now."
    access = await office.pay.access(alice.id, "premium", bot=sandbox.bot)
    assert access is not None and access.left == 20


async def test_reconciling_is_done_though_the_wait_cannot_be_shown(
    office: Office, sandbox: BotSandbox, admin: BotUser
) -> None:
    sandbox.faults.add("sendMessage", error=429, retry_after=1, times=1)
    await admin.send("/payreconcile")
    assert "Telegram's ledger" in words(admin) and sandbox.errors == []


# Orders


@pytest.mark.parametrize(
    ("words", "grant"),
    [
        ("7 club", Grant(7, "club", None, None, None)),
        ("7 club x20 30d late", Grant(7, "club", 30 * DAY, 20, "late")),
        ("7 club 2W X3", Grant(7, "club", 14 * DAY, 3, None)),
        ("7\nclub\n30d\nlate", Grant(7, "club", 30 * DAY, None, "late")),
        ("7 “the club” 12h", Grant(7, "the club", 43200, None, None)),
        ("7 «the club» because", Grant(7, "the club", None, None, "because")),
    ],
)
async def test_a_grant_is_read_as_people_write_it(words: str, grant: Grant) -> None:
    assert parse_grant(words) == grant


@pytest.mark.parametrize(
    "words",
    [
        "7 club 30",
        "7 club 30 days",
        "7 club 30days",
        "7 club 30m",
        "7 club -5d",
        "7 club 1.5d",
        "7 club 30d 7d",
        "7 club x2 x3",
        "7 club x",
        "7 club x-1",
        '7 "the club 30d',
        "7 “the club 30d",
    ],
)
async def test_a_grant_that_might_mean_less_is_never_one_for_ever(words: str) -> None:
    assert parse_grant(words) is None


async def test_a_revocation_with_an_open_quote_is_not_read() -> None:
    assert parse_revoke('7 "the club') is None
    assert parse_revoke("7 “the club” 3 complaints") == (7, "the club", "3 complaints")


async def test_a_reason_may_stand_on_its_own_line(alice: BotUser, admin: BotUser) -> None:
    await admin.send(f"/payrefund {await sell(alice)}\nit was broken")
    assert "Reason: it was broken" in words(admin)


async def test_an_address_in_an_order_is_no_preview_and_turns_no_line_around() -> None:
    office, bot = Office(), RecordingBot()
    await office.dp.feed_raw_update(bot, text("/payrefund charge 7 see\u061c https://example.com", ADMIN))
    question = bot.sent(SendMessage)[-1]
    assert question.text.endswith("Reason: see https://example.com")
    assert isinstance(question.link_preview_options, LinkPreviewOptions)
    assert question.link_preview_options.is_disabled
