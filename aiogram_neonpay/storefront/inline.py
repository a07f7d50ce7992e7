"""``inline_router``: inline queries answered with invoices from the catalog."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiogram import Bot, Router
from aiogram.exceptions import TelegramAPIError
from aiogram.types import (
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InlineQuery,
    InlineQueryResultArticle,
    InputTextMessageContent,
    MessageEntity,
)

from aiogram_neonpay.checks import check_stage_id, check_text
from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.errors import ConfigurationError, NeonPayError, StageNotFoundError, ValidationError
from aiogram_neonpay.stages import PaymentStage

__all__ = ["inline_router"]

logger = logging.getLogger("aiogram_neonpay")

MOST_RESULTS = 50
"""Results of one answer (Bot API ``answerInlineQuery``)."""
MOST_QUERY = 256
"""Characters of an inline query (Bot API ``InlineQuery``)."""
LONGEST_CACHE = 86400

Find = Callable[[str], Awaitable[Sequence[str]]]
"""Gives the ids of the stages that fit what somebody typed, the best first."""


def inline_router(
    *,
    prefix: str = "",
    stages: Sequence[str] | None = None,
    category: str | None = None,
    find: Find | None = None,
    per_page: int = 20,
    cache_time: int = 60,
    buyer_only: bool = False,
    ref: bool = False,
) -> Router:
    """Return a router that answers inline queries with invoices: ``@shop_bot mug`` in any chat offers the mugs.

    Inline mode is turned on at @BotFather (``/setinline``). Every stage on sale is offered unless told otherwise. A
    stage without a price is offered when the query has a number, at so many Stars: ``@shop_bot donate 50``.
    Subscriptions, which Telegram sells through links alone, become a message with a button that leads to the bot.

    :param prefix: answer only queries that begin with it, and search for what follows; others are left to the bot.
    :param stages: ids of the stages to offer, in this order; of those the query's words choose.
    :param category: offer only stages of this category.
    :param find: the search, instead of ours: given what was typed, it returns stage ids, the best first; for catalogs
        that an async loader keeps.
    :param per_page: 1-50 results at a time; Telegram asks for more when somebody scrolls.
    :param cache_time: seconds for which Telegram may show the same results, and so the same prices, again.
    :param buyer_only: only whoever asked may pay; by default whoever sees the message may, any number of times.
    :param ref: put the id of whoever asked into ``metadata["ref"]`` of the payment.
    :raises ValidationError: naming the parameter, its limit and the value.
    :raises ConfigurationError: for ``find`` together with ``stages`` or ``category``.
    """
    if not isinstance(prefix, str) or len(prefix) >= MOST_QUERY:
        raise ValidationError("prefix", f"must be text of less than {MOST_QUERY} characters", prefix)
    if stages is not None:
        if isinstance(stages, str) or not isinstance(stages, Sequence):
            raise ValidationError("stages", "must be a list of stage ids", stages)
        stages = [check_stage_id(stage_id) for stage_id in stages]
    if category is not None:
        check_text("category", category, 64)
    if find is not None and not callable(find):
        raise ConfigurationError(f"find must be an async function (text) -> list of stage ids, not {find!r:.60}")
    if find is not None and (stages is not None or category is not None):
        raise ConfigurationError("find= chooses the stages itself: leave out stages= and category=")
    _check_whole("per_page", per_page, 1, MOST_RESULTS)
    _check_whole("cache_time", cache_time, 0, LONGEST_CACHE)
    for name, value in (("buyer_only", buyer_only), ("ref", ref)):
        if not isinstance(value, bool):
            raise ValidationError(name, "must be True or False", value)
    counter = InlineCounter(prefix, stages, category, find, per_page, cache_time, buyer_only, ref)
    router = Router(name="neonpay-inline")
    router.inline_query.register(counter.answer, counter.is_meant)
    return router


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValidationError(name, f"must be a whole number from {least} to {most}", value)


@dataclass(frozen=True)
class InlineCounter:
    """Serves inline queries; its fields are the parameters of :func:`inline_router`."""

    prefix: str
    stages: Sequence[str] | None
    category: str | None
    find: Find | None
    per_page: int
    cache_time: int
    buyer_only: bool
    ref: bool

    async def is_meant(self, query: InlineQuery) -> bool:
        """Whether a query is for the shop."""
        return query.query.casefold().startswith(self.prefix.casefold())

    async def answer(self, query: InlineQuery, neonpay: NeonPay, bot: Bot) -> None:
        """Answer a query with a page of results."""
        typed = query.query[len(self.prefix) :].strip()
        ids = list(await self.find(typed)) if self.find is not None else self._search(neonpay, typed)
        amount = _number_in(typed)
        begin = int(query.offset) if query.offset.isdecimal() else 0
        results: list[InlineQueryResultArticle] = []
        for stage_id in dict.fromkeys(ids[begin : begin + self.per_page]):
            try:
                result = await self._result(neonpay, bot, query, stage_id, amount)
            except NeonPayError as error:
                logger.warning("stage %r is not offered inline: %s", stage_id, error)
                continue
            if result is not None:
                results.append(result)
        more = begin + self.per_page
        personal = self.buyer_only or self.ref or any(result.reply_markup for result in results)
        try:
            await query.answer(
                results,  # type: ignore[arg-type]
                cache_time=self.cache_time,
                is_personal=personal,
                next_offset=str(more) if more < len(ids) else None,
            )
        except TelegramAPIError as error:
            logger.info("an inline query was answered too late (%s)", error.message)

    def _search(self, neonpay: NeonPay, typed: str) -> list[str]:
        """Return the stages on offer in which all words occur, those with them in the title first."""
        known = neonpay.list_payment_stages()
        words = _folded(typed).split()
        amount = _number_in(typed)
        found: list[tuple[bool, str]] = []
        for stage_id in known if self.stages is None else self.stages:
            stage = known.get(stage_id)
            if stage is None or not stage.on_sale or (self.category is not None and stage.category != self.category):
                continue
            if stage.price is None and amount is None:
                continue
            wanted = words if stage.price is not None else [word for word in words if word != str(amount)]
            title = _folded(stage.title)
            anywhere = f"{title} {_folded(stage.description)} {_folded(stage.category or '')} {stage_id.casefold()}"
            if all(word in anywhere for word in wanted):
                found.append((not all(word in title for word in wanted), stage_id))
        return [stage_id for _, stage_id in sorted(found, key=lambda item: item[0])]

    async def _result(
        self, neonpay: NeonPay, bot: Bot, query: InlineQuery, stage_id: str, amount: int | None
    ) -> InlineQueryResultArticle | None:
        """Return the result for a stage, or ``None`` where the buyer says the price and has typed none."""
        stage = await neonpay.load_stage(stage_id)
        if stage is None:
            raise StageNotFoundError(stage_id)
        asker = query.from_user
        wanted = amount if stage.price is None else None
        try:
            price = stage.amount_for(wanted)
        except ValidationError:  # somebody is typing: half a number is nothing to warn of
            return None
        title = f"{stage.title} · {price} ⭐"
        if stage.subscription:
            ref = asker.id if self.ref else None
            link = await neonpay.create_start_link(stage_id, ref=ref, amount=wanted, bot=bot)
            label = neonpay.texts.get("subscribe_button", asker.language_code, amount=price)
            return _leading(stage, stage_id, title, label, link)
        return await neonpay.create_inline_result(
            stage_id,
            id=stage_id,
            user_id=asker.id if self.buyer_only else None,
            amount=wanted,
            metadata={"ref": asker.id} if self.ref else None,
            bot=bot,
            title=title,
        )


def _number_in(text: str) -> int | None:
    """Return the first whole number of what was typed."""
    found = (word for word in text.split() if word.isascii() and word.isdecimal() and len(word) <= 12)
    number = next(found, None)
    return None if number is None else int(number)


def _folded(text: str) -> str:
    """Return text as it is compared: without case, accents and the dots of Turkic letters."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).replace("ı", "i")


def _leading(stage: PaymentStage, stage_id: str, title: str, label: str, link: str) -> InlineQueryResultArticle:
    """Return a result whose message leads to the bot."""
    return InlineQueryResultArticle(
        id=stage_id,
        title=title,
        description=stage.description,
        thumbnail_url=stage.photo_url,
        input_message_content=InputTextMessageContent(
            message_text=f"{stage.title}\n\n{stage.description}",
            entities=[MessageEntity(type="bold", offset=0, length=len(stage.title.encode("utf-16-le")) // 2)],
            parse_mode=None,
        ),
        reply_markup=InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text=label, url=link)]]),
    )
