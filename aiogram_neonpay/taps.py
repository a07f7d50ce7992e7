"""Answers taps on keyboards of ours, before any callback handler of the bot could swallow them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramBadRequest, TelegramForbiddenError
from aiogram.types import CallbackQuery, InlineKeyboardButton, InlineKeyboardMarkup, Message

from aiogram_neonpay.amounts import AmountGate, limits_in
from aiogram_neonpay.buttons import ItemTap, PageTap, StageTap, StopTap, label_of, read_tap, shop_rows
from aiogram_neonpay.errors import BuyerUnreachableError, NeonPayError, ValidationError
from aiogram_neonpay.hooks import Gate
from aiogram_neonpay.invoices import Offer, Seller
from aiogram_neonpay.ledger.base import CHARGE, RecordKey
from aiogram_neonpay.ledger.taps import WINDOW
from aiogram_neonpay.payload import new_invoice_id
from aiogram_neonpay.places import place_of
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage

__all__ = ["TapGate"]

logger = logging.getLogger("aiogram_neonpay")

PATIENCE = 2.0
"""Seconds to wait for the storage to say whether a tap is the second one; after that it is answered all the same."""

NEWEST = 5
"""Charges of a buyer among which that of a tap within the last seconds is looked for."""

Rows = list[list[InlineKeyboardButton]]


class TapGate(Gate):
    """Handler 0 of the root's ``callback_query`` observer."""

    def __init__(self, shop: Shop, seller: Seller, amounts: AmountGate) -> None:
        super().__init__(self._take, "")
        self._shop = shop
        self._seller = seller
        self._amounts = amounts

    async def check(self, *args: Any, **kwargs: Any) -> tuple[bool, dict[str, Any]]:
        """Tell whether a button of ours was tapped."""
        return read_tap(args[0].data or "") is not None, kwargs

    async def _take(self, query: CallbackQuery, data: dict[str, Any]) -> None:
        tap = read_tap(query.data or "")
        says: str | None
        if isinstance(tap, PageTap):
            says = await self._turn(query, tap, data["bot"])
        elif isinstance(tap, StopTap):
            says = await self._amounts.stop(query, data)
        else:
            assert tap is not None
            says = await self._sell(query, tap, data)
        try:
            await query.answer(says, show_alert=says is not None)
        except TelegramAPIError as error:
            logger.info("a tap was answered too late (%s)", error.message)

    # Selling

    async def _sell(self, query: CallbackQuery, tap: StageTap, data: dict[str, Any]) -> str | None:
        """Answer a button that sells; return what is to be said over the chat."""
        bot: Bot = data["bot"]
        stage_id, stage = await self._stage_of(tap)
        if stage is None or not stage.on_sale:
            if isinstance(tap, ItemTap):
                await self._refresh(query, bot)
            return self._say("not_on_sale" if stage is not None else "stage_not_found", query)
        amount = tap.amount if stage.price is None else None
        if amount is not None:
            try:
                stage.amount_for(amount)
            except ValidationError:
                key, limits = limits_in(stage, "amount_limits")
                return self._say(key, query, **limits)
        asks = stage.price is None and amount is None
        invoice_id = new_invoice_id(self._shop.clock())
        is_mine, record = await self._is_first(query, bot, invoice_id)
        if not is_mine:
            return None if asks else self._say("invoice_there", query)
        try:
            if asks:
                is_asked = await self._amounts.ask(query, stage_id, stage, data)
                return None if is_asked else self._say("unavailable", query)
            await self._amounts.give_up(query.from_user.id, data)
            place = place_of(query)
            bound = not place.private
            offer = Offer(stage_id, place.buyer, bound=bound, amount=amount, invoice_id=invoice_id)
            await self._seller.send(bot, place.chat_id, offer, place.options(), query.from_user.language_code)
        except (NeonPayError, TelegramAPIError) as error:
            logger.warning("a tap on %r could not be answered: %s", query.data, error)
            await self._let_again(query, bot, record)
            is_shut_out = isinstance(error, (BuyerUnreachableError, TelegramForbiddenError))
            return self._say("start_first" if is_shut_out else "try_again", query)
        except BaseException:
            await self._let_again(query, bot, record)
            raise
        if stage.price is None or tap.amount in (None, stage.price):
            return None
        if isinstance(tap, ItemTap):
            await self._refresh(query, bot)
        return self._say("price_changed", query, title=stage.title, amount=stage.price)

    async def _stage_of(self, tap: StageTap) -> tuple[str, PaymentStage | None]:
        catalog = self._shop.catalog
        stage_id = catalog.by_code(tap.stage[1:]) if tap.stage.startswith("~") else tap.stage
        if not stage_id:
            return "", None
        try:
            return stage_id, await catalog.get(stage_id)
        except Exception:
            logger.exception("the stage loader failed for %s", stage_id)
            return stage_id, None

    # Double taps

    async def _is_first(self, query: CallbackQuery, bot: Bot, invoice_id: str) -> tuple[bool, dict[str, Any] | None]:
        """Whether a tap is not the second of two on the same button, unless the invoice of the first was paid.

        A storage that does not answer keeps nobody from buying: two invoices are better than none.
        """
        try:
            return await asyncio.wait_for(self._take_tap(query, bot, invoice_id), PATIENCE)
        except Exception:
            logger.exception("whether a button was tapped twice could not be found out; the tap is answered")
            return True, None

    async def _take_tap(self, query: CallbackQuery, bot: Bot, invoice_id: str) -> tuple[bool, dict[str, Any] | None]:
        user_id, message, taps = query.from_user.id, query.message, self._shop.taps
        where = query.inline_message_id if message is None else f"{message.chat.id}:{message.message_id}"
        what = f"{where}:{query.data}"
        is_mine, record = await taps.take(bot.id, user_id, what, invoice_id=invoice_id)
        if is_mine or not await self._is_paid(bot, user_id, record["invoice"]):
            return is_mine, record
        return await taps.take(bot.id, user_id, what, invoice_id=invoice_id, over=record)

    async def _is_paid(self, bot: Bot, user_id: int, invoice_id: str) -> bool:
        """Whether one of the buyer's newest charges paid an invoice."""
        names = await self._shop.engine.history(bot.id, user_id, limit=NEWEST, offset=0)
        rows = await self._shop.engine.read([RecordKey(bot.id, CHARGE, name) for name in names])
        return any(row is not None and row.body.get("invoice") == invoice_id for row in rows)

    async def _let_again(self, query: CallbackQuery, bot: Bot, record: dict[str, Any] | None) -> None:
        """Let a tap that was not answered be made again at once, not only after a while."""
        if record is None:
            return
        try:
            await self._shop.taps.give_back(bot.id, query.from_user.id, record)
        except Exception:
            logger.exception("a tap that failed is not taken again for %g s", WINDOW)

    # Pages

    async def _turn(self, query: CallbackQuery, tap: PageTap, bot: Bot) -> str | None:
        """Show another page of a catalog in place of the one there is."""
        language = query.from_user.language_code
        page = shop_rows(self._shop.catalog.all(), self._shop.texts, language, tap)
        if not page:
            return self._say("nothing_on_sale", query)
        shown = _rows_of(query)
        ours = [at for at, row in enumerate(shown) if _is_ours(row)]
        rows = [*shown[: ours[0]], *page, *shown[ours[-1] + 1 :]] if ours else page
        await self._show(query, bot, shown, rows)
        return None

    async def _refresh(self, query: CallbackQuery, bot: Bot) -> None:
        """Bring the products of a page up to date: what is gone goes, titles and prices are those of now."""
        shown, rows = _rows_of(query), []
        for row in shown:
            buttons = [fresh for button in row if (fresh := self._renewed(button, query)) is not None]
            if buttons:
                rows.append(buttons)
        await self._show(query, bot, shown, rows)

    def _renewed(self, button: InlineKeyboardButton, query: CallbackQuery) -> InlineKeyboardButton | None:
        tap = read_tap(button.callback_data or "")
        if not isinstance(tap, ItemTap):
            return button
        catalog = self._shop.catalog
        stage_id = catalog.by_code(tap.stage[1:]) if tap.stage.startswith("~") else tap.stage
        stage = catalog.known(stage_id)
        if stage_id is None or stage is None or not stage.on_sale:
            return None
        text = label_of(stage, self._shop.texts, query.from_user.language_code)
        return InlineKeyboardButton(text=text, callback_data=ItemTap.data(stage_id, stage.price))

    async def _show(self, query: CallbackQuery, bot: Bot, shown: Rows, rows: Rows) -> None:
        if rows == shown:
            return
        message = query.message
        where: dict[str, Any] = {"inline_message_id": query.inline_message_id}
        if message is not None:
            where = {"chat_id": message.chat.id, "message_id": message.message_id}
            if isinstance(message, Message) and message.business_connection_id is not None:
                where["business_connection_id"] = message.business_connection_id
        try:
            await bot.edit_message_reply_markup(**where, reply_markup=InlineKeyboardMarkup(inline_keyboard=rows))
        except TelegramBadRequest as error:
            if "not modified" not in error.message:  # another tap has shown this page meanwhile
                logger.warning("the page of a catalog could not be turned (%s)", error.message)
        except TelegramAPIError as error:
            logger.warning("the page of a catalog could not be turned (%s)", error.message)

    def _say(self, key: str, query: CallbackQuery, **values: Any) -> str:
        return self._shop.texts.get(key, query.from_user.language_code, **values)


def _rows_of(query: CallbackQuery) -> Rows:
    """Return the keyboard under the message of a tap, as far as Telegram shows it to the bot."""
    message = query.message
    if not isinstance(message, Message) or message.reply_markup is None:
        return []
    return [list(row) for row in message.reply_markup.inline_keyboard]


def _is_ours(row: list[InlineKeyboardButton]) -> bool:
    return any(isinstance(read_tap(button.callback_data or ""), (ItemTap, PageTap)) for button in row)
