"""The bots of docs/small-bots.md are whole: each sells, delivers and has the length that the page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiogram_neonpay.testing import BotSandbox
from tests.docs.pages import ROOT, blocks

pytestmark = pytest.mark.asyncio

IMPORTS, DONATE, SHOP, CLUB = blocks(ROOT / "docs" / "small-bots.md")


@pytest.fixture(autouse=True)
def its_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # of bot.db


def bot_of(code: str, lines: int) -> BotSandbox:
    assert sum(1 for line in code.splitlines() if line.strip()) == lines
    names: dict[str, Any] = {}
    exec(IMPORTS.code + code, names)
    return BotSandbox(names["dp"])


async def test_the_donate_button_takes_any_amount() -> None:
    async with bot_of(DONATE.code, 9) as sandbox:
        ivan = sandbox.user("Ivan", stars=100, language_code="ru")
        await ivan.send("/donate")
        await ivan.tap("Другая сумма")
        await ivan.send("21")
        assert (await ivan.pay()).ok and ivan.balance == 79
        assert ivan.messages()[-1].text == "Thank you!"
        assert await sandbox.dispatcher["neonpay"].stuck_payments(bot=sandbox.bot) == []


async def test_the_shop_has_ten_products_in_three_pages() -> None:
    async with bot_of(SHOP.code, 10) as sandbox:
        alice = sandbox.user("Alice", stars=100)
        await alice.send("/shop")
        pages = []
        for _ in range(3):
            pages.append([row[0] for row in alice.messages()[-1].buttons[:-1]])
            if len(pages) < 3:
                await alice.tap("›")
        assert [len(page) for page in pages] == [4, 4, 2]
        assert len({name for page in pages for name in page}) == 10
        await alice.tap("Tale 10")
        assert (await alice.pay()).ok
        assert alice.messages()[-1].text == "Here is your tale10"


async def test_the_club_opens_to_members_as_long_as_they_pay() -> None:
    async with bot_of(CLUB.code, 9) as sandbox:
        dana = sandbox.user("Dana", stars=150, language_code="az")
        await dana.send("/club")
        assert dana.messages()[-1].text == "Members only."
        await dana.tap("ayda 100 ⭐")
        assert (await dana.pay()).ok
        await dana.send("/club")
        assert dana.messages()[-1].text == "Come in."
        assert await sandbox.dispatcher["neonpay"].stuck_payments(bot=sandbox.bot) == []
