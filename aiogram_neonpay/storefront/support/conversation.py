"""The buyer's side of the support: pick a payment, write one message, and go back to what was going on before."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from contextlib import suppress
from typing import Any

from aiogram import Bot
from aiogram.enums import ChatType
from aiogram.exceptions import TelegramAPIError
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import CallbackQuery, InlineKeyboardMarkup, Message
from aiogram.utils.deep_linking import create_start_link
from aiogram.utils.keyboard import InlineKeyboardBuilder

from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.models import PaymentResult
from aiogram_neonpay.storefront.support.desk import Desk, title_of
from aiogram_neonpay.storefront.support.taps import SupportTap
from aiogram_neonpay.wording import day_text

__all__ = ["PARAMETER", "Asking", "Conversation", "is_left", "leave"]

logger = logging.getLogger("aiogram_neonpay")

PARAMETER = "paysupport"
"""The ``start`` parameter that begins a conversation: ``https://t.me/<bot>?start=paysupport``."""
SHOWN = 5
"""The newest payments to pick from."""
KEY = "neonpay_support"
"""Where a conversation stands in the state's data."""
HOUR = 3600.0
REMEMBERED = 10_000
"""People whose messages are counted."""


class Asking(StatesGroup):
    """The state of somebody who is asked for their question."""

    question = State()


class Brake:
    """Counts what people send, so that one of them cannot flood the admins; each process counts for itself.

    :param most: messages of one person in an hour.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._sent: OrderedDict[tuple[int, int], deque[float]] = OrderedDict()

    def is_free(self, bot_id: int, message: Message, user_id: int) -> bool:
        """Whether somebody may send another message now."""
        sent = self._sent.get((bot_id, user_id))
        while sent and sent[0] <= message.date.timestamp() - HOUR:
            sent.popleft()
        return not sent or len(sent) < self._most

    def note(self, bot_id: int, message: Message, user_id: int) -> None:
        """Count a message."""
        who = (bot_id, user_id)
        self._sent.setdefault(who, deque(maxlen=self._most)).append(message.date.timestamp())
        self._sent.move_to_end(who)
        while len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)


class Conversation:
    """Takes questions.

    :param contact: what is named when the admins' chat cannot be reached.
    :param per_hour: messages of one person in an hour.
    """

    def __init__(self, desk: Desk, contact: str | None, per_hour: int) -> None:
        self._desk = desk
        self._contact = contact
        self._brake = Brake(per_hour)

    async def begin(self, message: Message, neonpay: NeonPay, bot: Bot, state: FSMContext) -> None:
        """Answer ``/paysupport``: ask which payment it is about."""
        user = message.from_user
        if user is None:
            return
        say = neonpay.texts.get
        language = user.language_code
        if message.chat.type != ChatType.PRIVATE:
            link = await create_start_link(bot, PARAMETER)
            button = InlineKeyboardBuilder().button(text=say("support_private_button", language), url=link)
            text = say("support_in_private", language)
            await message.reply(text, reply_markup=_markup(button), parse_mode=None)
            return
        if not self._brake.is_free(bot.id, message, user.id):
            await message.answer(say("support_wait", language), parse_mode=None)
            return
        payments = await _payments(neonpay, user.id, bot)
        if not payments:
            text, builder = self._question(neonpay, language, None)
            shown = await message.answer(text, reply_markup=_markup(builder), parse_mode=None)
            await _ask(state, None, shown)
            return
        builder = InlineKeyboardBuilder()
        for payment in payments:
            tap = SupportTap(action="about", reference=payment.reference or "")
            builder.button(text=_label(neonpay, language, payment), callback_data=tap)
        builder.button(text=say("support_other_button", language), callback_data=SupportTap(action="about"))
        builder.button(text=say("support_cancel_button", language), callback_data=SupportTap(action="cancel"))
        await message.answer(say("support_pick", language), reply_markup=_markup(builder), parse_mode=None)

    async def tapped(
        self, query: CallbackQuery, callback_data: SupportTap, neonpay: NeonPay, bot: Bot, state: FSMContext
    ) -> None:
        """Go on with what was picked."""
        language = query.from_user.language_code
        if callback_data.action == "cancel":
            await leave(state)
            await self._show(query, neonpay.texts.get("support_left", language), None, anew=False)
            return
        payment: PaymentResult | None = None
        if callback_data.reference:
            payment = await neonpay.get_payment(callback_data.reference, user_id=query.from_user.id, bot=bot)
            if payment is None or payment.user_id != query.from_user.id:
                await query.answer(neonpay.texts.get("unavailable", language), show_alert=True)
                return
        text, builder = self._question(neonpay, language, payment)
        # The admins' answer stays; the list of payments has done its work.
        shown = await self._show(query, text, _markup(builder), anew=callback_data.action == "back")
        await _ask(state, payment, shown)

    def _question(
        self, neonpay: NeonPay, language: str | None, payment: PaymentResult | None
    ) -> tuple[str, InlineKeyboardBuilder]:
        say = neonpay.texts.get
        builder = InlineKeyboardBuilder()
        builder.button(text=say("support_cancel_button", language), callback_data=SupportTap(action="cancel"))
        if payment is None:
            return say("support_write", language), builder
        return say("support_write_about", language, payment=_label(neonpay, language, payment)), builder

    async def _show(
        self, query: CallbackQuery, text: str, markup: InlineKeyboardMarkup | None, *, anew: bool
    ) -> Message:
        """Put a text in place of the message that was tapped, or below it; return what stands there now."""
        try:
            await query.answer()
        except TelegramAPIError as error:
            logger.info("a tap was answered too late (%s)", error.message)
        if not isinstance(query.message, Message) or anew:
            assert query.bot is not None
            return await query.bot.send_message(query.from_user.id, text, reply_markup=markup, parse_mode=None)
        try:
            await query.message.edit_text(text, reply_markup=markup, parse_mode=None)
        except TelegramAPIError as error:
            logger.info("a message of the support was not edited (%s)", error.message)  # tapped twice
        return query.message

    async def cancel(self, message: Message, neonpay: NeonPay, state: FSMContext) -> None:
        """Answer ``/cancel``."""
        await leave(state)
        language = message.from_user.language_code if message.from_user is not None else None
        await message.answer(neonpay.texts.get("support_left", language), parse_mode=None)

    async def take(self, message: Message, neonpay: NeonPay, bot: Bot, state: FSMContext) -> None:
        """Pass the question on."""
        user = message.from_user
        if user is None:
            return
        say = neonpay.texts.get
        language = user.language_code
        if not self._desk.takes(message):
            await message.answer(say("support_kind", language), parse_mode=None)
            return
        asked: dict[str, Any] = (await state.get_data()).get(KEY) or {}
        if not self._brake.is_free(bot.id, message, user.id):
            await leave(state)
            await message.answer(say("support_wait", language), parse_mode=None)
            return
        self._brake.note(bot.id, message, user.id)
        payment = None
        if asked.get("reference"):
            payment = await neonpay.get_payment(asked["reference"], user_id=user.id, bot=bot)
        try:
            await self._desk.pass_on(message, payment, bot, neonpay.texts)
        except TelegramAPIError as error:
            logger.error(
                "bot %s: a question to the support was not passed on to chat %s (%s): is the bot a member there?",
                *(bot.id, self._desk.chat_id, error.message),
            )
            if self._contact is None:
                text = say("support_failed", language)
            else:
                text = say("support_failed_contact", language, contact=self._contact)
        else:
            text = say("support_sent", language)
        await leave(state)
        await message.answer(text, parse_mode=None)
        if asked.get("shown"):
            with suppress(TelegramAPIError):  # what it cancels is done; that the button is gone already is no news
                await bot.edit_message_reply_markup(chat_id=message.chat.id, message_id=asked["shown"])


async def _ask(state: FSMContext, payment: PaymentResult | None, shown: Message) -> None:
    """Enter the state in which the next message is the question."""
    before = await state.get_state()
    if before == Asking.question.state:
        before = (await state.get_data()).get(KEY, {}).get("before")
    reference = None if payment is None else payment.reference
    await state.update_data({KEY: {"reference": reference, "before": before, "shown": shown.message_id}})
    await state.set_state(Asking.question)


async def leave(state: FSMContext) -> None:
    """Bring somebody back to the state in which they were before."""
    data = await state.get_data()
    asked = data.pop(KEY, None)
    if await state.get_state() == Asking.question.state:
        await state.set_data(data)
        await state.set_state((asked or {}).get("before"))
    elif asked is not None:
        # Another question has been asked since, and will put our state back: Interruption ends it then.
        await state.update_data({KEY: {"left": True, "before": asked.get("before")}})


async def is_left(state: FSMContext) -> bool:
    """Whether somebody in our state has left the conversation already, while they were asked something else."""
    asked = (await state.get_data()).get(KEY)
    return asked is None or "left" in asked


async def _payments(neonpay: NeonPay, user_id: int, bot: Bot) -> list[PaymentResult]:
    """Return what to pick from; nothing while the storage is away: they may ask all the same."""
    try:
        return await neonpay.history(user_id, limit=SHOWN, bot=bot)
    except Exception:
        logger.exception("the payments of user %s could not be read for the support", user_id)
        return []


def _label(neonpay: NeonPay, language: str | None, payment: PaymentResult) -> str:
    def say(key: str, /, **values: Any) -> str:
        return neonpay.texts.get(key, language, **values)

    return f"{title_of(payment)} · {payment.amount} ⭐ · {day_text(say, payment.timestamp)}"


def _markup(builder: InlineKeyboardBuilder) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(inline_keyboard=builder.adjust(1).export())
