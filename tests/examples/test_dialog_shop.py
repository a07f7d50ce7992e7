"""The shop of ``examples/dialog_shop.py``: ten tales in three pages, the club, donations and receipts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from aiogram_neonpay.testing import BotSandbox, BotUser
from examples import dialog_shop

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[BotSandbox]:
    async with BotSandbox(dialog_shop.build_dispatcher()) as sandbox:
        yield sandbox


def shown(user: BotUser) -> tuple[str, list[str]]:
    message = user.messages()[-1]
    return message.text, [button for row in message.buttons for button in row]


@pytest.mark.parametrize(
    ("language", "question", "below", "buy", "thanks"),
    [
        (
            "en",
            "What would you like?",
            ["Tale club — 40 ⭐ a month", "Donate", "My purchases", "Close"],
            "Buy: 5 ⭐",
            "Thank you! Whale is paid: 5 Stars.",
        ),
        (
            "ru",
            "Что вы хотите купить?",
            ["Tale club — 40 ⭐ в месяц", "Поддержать", "Мои покупки", "Закрыть"],
            "Купить: 5 ⭐",
            "Спасибо! Оплачено: Whale, 5 звёзд.",
        ),
        (
            "az",
            "Nə almaq istəyirsiniz?",
            ["Tale club — ayda 40 ⭐", "Dəstək ol", "Aldıqlarım", "Bağla"],
            "Al: 5 ⭐",
            "Təşəkkür edirik! Ödənildi: Whale, 5 ulduz.",
        ),
    ],
)
async def test_a_tale_is_bought_on_the_third_page(
    sandbox: BotSandbox, language: str, question: str, below: list[str], buy: str, thanks: str
) -> None:
    reader = sandbox.user("Reader", stars=100, language_code=language)
    await reader.send("/start")
    text, buttons = shown(reader)
    assert text == question
    assert sum(button.endswith("5 ⭐") for button in buttons) == 4
    assert buttons[4:] == ["1/3", ">", "3", *below]
    await reader.tap(">")
    assert shown(reader)[1][4:] == ["1", "<", "2/3", ">", "3", *below]
    await reader.tap(">")
    assert shown(reader)[1] == ["Snail — 5 ⭐", "Whale — 5 ⭐", "1", "<", "3/3", *below]
    await reader.tap("Whale")
    await reader.tap(buy)
    assert (await reader.pay()).ok
    assert reader.messages()[-2].text == dialog_shop.TALES["whale"]
    assert shown(reader)[0].startswith(thanks)


async def test_support_answers_while_the_shop_is_open(sandbox: BotSandbox) -> None:
    reader = sandbox.user("Reader", stars=100, language_code="ru")
    await reader.send("/shop")
    await reader.send("/paysupport")
    assert "@tale_shop" in reader.messages()[-1].text
    await reader.send("/terms")
    assert reader.messages()[-1].text.startswith("Условия продажи")


async def test_members_see_no_invitation_and_every_tale(sandbox: BotSandbox) -> None:
    reader = sandbox.user("Reader", stars=100)
    await reader.send("/tales")
    await reader.send("/shop")
    await reader.tap("Tale club")
    assert (await reader.pay()).ok
    text, buttons = shown(reader)
    assert text == "What would you like?"
    assert buttons[-3:] == ["Donate", "My purchases", "Close"]
    await reader.send("/tales")
    assert reader.messages()[-1].text.count("\n\n") == 9


async def test_a_donation_leads_back_to_the_shop(sandbox: BotSandbox) -> None:
    reader = sandbox.user("Reader", stars=100)
    await reader.send("/shop")
    await reader.tap("Donate")
    await reader.tap("50 ⭐")
    await reader.pay()
    assert shown(reader)[0] == "Thank you for 50 Stars!"
    await reader.tap("Close")
    assert shown(reader)[0] == "What would you like?"
    await reader.tap("My purchases")
    assert shown(reader)[1][0].startswith("Donation — 50 ⭐")
