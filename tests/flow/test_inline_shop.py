"""Inline mode: whoever types the bot's name in a chat finds what it sells, and anybody there can buy it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiogram import Dispatcher, Router
from aiogram.types import InlineQuery, InlineQueryResultArticle, InputTextMessageContent, Update, User

from aiogram_neonpay import (
    ConfigurationError,
    PaymentResult,
    PaymentStage,
    ValidationError,
    inline_router,
    neonpay_router,
)
from aiogram_neonpay.testing import BotSandbox

pytestmark = pytest.mark.asyncio

STAGES = {
    "pack": PaymentStage("Pack 100", "A hundred pictures, with a mug", 100, category="art"),
    "mug": PaymentStage("Mug", "For tea", 30, category="things", photo_url="https://example.com/mug.png"),
    "donate": PaymentStage("Donate", "As you like", None, min_price=5, max_price=500),
    "club": PaymentStage("Club", "By the month", 40, subscription=True),
    "hidden": PaymentStage("Hidden mug", "Not now", 5, on_sale=False),
    "qizil": PaymentStage("Qızıl İncə Ёлка", "Şirin", 9),
}


class Scene:
    """Alice, Bob and a group with both, and what was paid."""

    def __init__(self, sandbox: BotSandbox, paid: list[PaymentResult]) -> None:
        self.sandbox, self.paid = sandbox, paid
        self.alice = sandbox.user("Alice", stars=500)
        self.bob = sandbox.user("Bob", stars=500)
        self.group = sandbox.sandbox.create_group("Friends", [self.alice, self.bob])

    async def found(self, text: str) -> list[str]:
        return [result["id"] for result in await self.alice.inline(text)]

    async def share(self, text: str, stage_id: str) -> None:
        await self.alice.inline(text)
        await self.alice.send_inline(stage_id, chat=self.group)


@asynccontextmanager
async def shop(*routers: Router, stages: Any = STAGES) -> AsyncIterator[Scene]:
    pay = neonpay_router(stages)
    dp = Dispatcher()
    dp.include_routers(pay, *routers)
    paid: list[PaymentResult] = []

    @pay.on_payment
    async def hear(result: PaymentResult) -> None:
        paid.append(result)

    async with BotSandbox(dp) as sandbox:
        yield Scene(sandbox, paid)


async def test_a_query_is_answered_with_invoices_that_anybody_in_the_chat_can_pay() -> None:
    async with shop(inline_router()) as scene:
        results = await scene.alice.inline("mug")
        assert [result["id"] for result in results] == ["mug", "pack"]
        assert [result["title"] for result in results] == ["Mug · 30 ⭐", "Pack 100 · 100 ⭐"]
        assert results[0]["thumbnail_url"] == "https://example.com/mug.png"
        await scene.alice.send_inline("mug", chat=scene.group)
        assert (await scene.bob.pay(chat=scene.group)).ok and (await scene.alice.pay(chat=scene.group)).ok
        assert [paid.user_id for paid in scene.paid] == [scene.bob.id, scene.alice.id]
        call = scene.sandbox.calls.answer_inline_query.last
        assert (call.cache_time, call.is_personal, call.next_offset) == (60, False, None)


async def test_words_are_found_in_any_case_with_or_without_their_marks() -> None:
    async with shop(inline_router()) as scene:
        assert await scene.found("") == ["pack", "mug", "club", "qizil"]
        assert await scene.found("TEA mug") == ["mug"]
        assert await scene.found("things") == ["mug"]
        assert await scene.found("pack 100") == ["pack"]
        for text in ("QIZIL", "qizil", "qızıl", "incə", "İNCƏ", "sirin", "елка", "ЁЛКА"):
            assert await scene.found(text) == ["qizil"], text
        assert await scene.found("nothing like it") == []


async def test_a_donation_is_offered_at_the_amount_that_was_typed() -> None:
    async with shop(inline_router()) as scene:
        for text in ("donate", "donate 4", "donate 501", "donate 99999999999999"):
            assert await scene.found(text) == [], text
        (result,) = await scene.alice.inline("50 donate")
        assert result["title"] == "Donate · 50 ⭐"
        await scene.alice.send_inline("donate")
        assert (await scene.alice.pay()).amount == 50


async def test_a_subscription_becomes_a_message_that_leads_to_the_bot() -> None:
    async with shop(inline_router(ref=True)) as scene:
        await scene.share("club", "club")
        await scene.bob.tap("Subscribe: 40 ⭐ a month", chat=scene.group)
        assert (await scene.bob.pay()).ok
        assert scene.paid[0].metadata == {"ref": scene.alice.id} and scene.paid[0].is_first_recurring


async def test_whoever_shared_it_comes_back_as_the_ref() -> None:
    async with shop(inline_router(ref=True)) as scene:
        await scene.share("mug", "mug")
        assert scene.sandbox.calls.answer_inline_query.last.is_personal is True
        assert (await scene.bob.pay(chat=scene.group)).ok
        assert scene.paid[0].metadata == {"ref": scene.alice.id}


async def test_the_results_may_be_for_whoever_asked() -> None:
    async with shop(inline_router(buyer_only=True, cache_time=0)) as scene:
        await scene.share("mug", "mug")
        assert not (await scene.bob.pay(chat=scene.group)).ok and (await scene.alice.pay(chat=scene.group)).ok
        assert scene.sandbox.calls.answer_inline_query.last.is_personal is True


async def test_an_author_chooses_what_is_offered() -> None:
    async with shop(inline_router(stages=["qizil", "mug", "gone"], prefix="buy ")) as scene:
        assert await scene.found("buy ") == ["qizil", "mug"]
        assert await scene.found("BUY tea") == ["mug"]


async def test_what_does_not_begin_with_the_prefix_is_the_bots() -> None:
    own = Router()

    @own.inline_query()
    async def answer(query: InlineQuery) -> None:
        content = InputTextMessageContent(message_text="Mine")
        await query.answer([InlineQueryResultArticle(id="own", title="Mine", input_message_content=content)])

    async with shop(inline_router(prefix="buy", category="art"), own) as scene:
        assert await scene.found("weather") == ["own"]
        assert await scene.found("buy") == ["pack"]


async def test_a_search_of_the_authors_own_serves_a_catalog_in_a_database() -> None:
    asked: list[str] = []

    async def load(stage_id: str) -> PaymentStage | None:
        return STAGES.get(stage_id)

    async def find(text: str) -> list[str]:
        asked.append(text)
        return ["mug", "hidden", "gone", "donate", "mug", "pack"]

    async with shop(inline_router(find=find), stages=load) as scene:
        assert await scene.found("  something ") == ["mug", "pack"]
        assert await scene.found("7") == ["mug", "donate", "pack"]
        assert asked == ["something", "7"]
        assert scene.sandbox.errors == []


async def test_an_amount_that_is_not_for_sale_is_not_offered_and_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    async with shop(inline_router()) as scene:
        for typed in ("donate", "donate 0", "donate 999999999999"):
            assert await scene.found(typed) == []
        assert await scene.found("donate 50") == ["donate"]
    assert [record.message for record in caplog.records if "not offered" in record.message] == []


async def test_more_is_given_as_somebody_scrolls() -> None:
    async with shop(inline_router(per_page=3)) as scene:
        assert await scene.found("") == ["pack", "mug", "club"]
        call = scene.sandbox.calls.answer_inline_query.last
        assert call.next_offset == "3"
        # The sandbox's people do not scroll: these are the queries that would follow.
        person = User(id=scene.alice.id, is_bot=False, first_name="Alice")
        for offset, ids in (("3", ["qizil"]), ("x", ["pack", "mug", "club"]), ("99", [])):
            query = InlineQuery(id="1", from_user=person, query="", offset=offset)
            await scene.sandbox.dispatcher.feed_update(scene.sandbox.bot, Update(update_id=1, inline_query=query))
            call = scene.sandbox.calls.answer_inline_query.last
            assert [result.id for result in call.results] == ids
            assert call.next_offset == ("3" if offset == "x" else None)
        assert scene.sandbox.errors == []  # Telegram does not know these queries: that is no failure


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"prefix": "x" * 256}, ValidationError),
        ({"stages": "mug"}, ValidationError),
        ({"stages": ["a b"]}, ValidationError),
        ({"category": ""}, ValidationError),
        ({"per_page": 51}, ValidationError),
        ({"cache_time": -1}, ValidationError),
        ({"ref": 1}, ValidationError),
        ({"find": "mug"}, ConfigurationError),
        ({"find": print, "stages": ["mug"]}, ConfigurationError),
    ],
)
async def test_options_that_mean_nothing_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        inline_router(**options)
