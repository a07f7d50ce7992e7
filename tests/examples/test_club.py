"""The club of ``examples/subscription.py``: joining, being let in, leaving, coming back, and the end."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from aiogram_neonpay.testing import BotSandbox, BotUser

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[BotSandbox]:
    """The example afresh: its router belongs to one dispatcher."""
    example = importlib.reload(importlib.import_module("examples.subscription"))
    async with BotSandbox(example.build_dispatcher()) as sandbox:
        yield sandbox


def last(user: BotUser) -> str:
    return user.messages()[-1].text


async def join(user: BotUser, sandbox: BotSandbox) -> None:
    await user.send("/start")
    await user.tap("Join")
    button = sandbox.calls.send_message.last.reply_markup.inline_keyboard[0][0]
    assert (await user.pay(link=button.url)).ok


async def test_members_are_let_in_and_pay_again_every_month(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice", stars=250)
    await alice.send("/owls")
    assert last(alice) == "This is for those who have it."
    await join(alice, sandbox)
    assert last(alice).startswith("Welcome, owl!")
    await alice.send("/owls")
    assert "You are one of us until" in last(alice)

    await sandbox.advance(days=30)
    assert last(alice).startswith("Another month") and alice.balance == 50
    await sandbox.advance(days=30)
    assert last(alice).startswith("Telegram could not charge you")
    await sandbox.advance(days=1)
    assert last(alice) == "Your time among owls is over."
    await alice.send("/owls")
    assert last(alice) == "This is for those who have it."


async def test_a_member_cancels_restores_and_resumes(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice", stars=250)
    await join(alice, sandbox)
    await alice.send("/mine")
    assert "100 ⭐ again on" in last(alice)
    await alice.tap("Cancel")
    assert last(alice).startswith("Cancelled. The club is open to you until")
    await alice.send("/mine")
    assert "cancelled, paid until" in last(alice)
    assert "resume it in Telegram" in (await alice.tap("Restore") or "")
    alice.restore_subscription()
    await sandbox.settle()
    assert last(alice) == "Good to have you back!"
    await alice.tap("Cancel")
    await sandbox.advance(days=30)
    assert last(alice) == "Your time among owls is over." and alice.balance == 150
    assert await alice.tap("Cancel") == "There is nothing to cancel."


async def test_wishes_are_counted(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice", stars=250)
    await alice.send("/start")
    await alice.tap("wishes")
    assert (await alice.pay()).ok and last(alice) == "It is yours. /mine"
    for left in ("3 left", "2 left", "1 left"):
        await alice.send("/mine")
        assert left in last(alice)
        await alice.send("/wish")
        assert last(alice).startswith("The moon is late")
    await alice.send("/wish")
    assert last(alice) == "This is for those who have it."
    await alice.tap("My membership")
    assert last(alice) == "You have nothing yet."
