"""Asks a buyer in the chat for an amount, through the bot's own FSM, and sells what they answer.

While somebody is asked, their FSM state is :data:`ASKING`; what it was before stands in the state's data and is put
back when they have answered or given up, or the question is too old. Messages of others, commands and whatever is no
answer go to the bot's own handlers.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import Bot
from aiogram.enums import ChatType, MessageEntityType
from aiogram.exceptions import TelegramAPIError
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State
from aiogram.types import (
    CallbackQuery,
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    Message,
    MessageEntity,
    ReplyParameters,
)

from aiogram_neonpay.buttons import StopTap
from aiogram_neonpay.errors import NeonPayError, ValidationError
from aiogram_neonpay.hooks import Gate
from aiogram_neonpay.invoices import Offer, Seller
from aiogram_neonpay.ledger.base import new_nonce
from aiogram_neonpay.places import place_of
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import PaymentStage

__all__ = ["ASKED_FOR", "ASKING", "AmountGate", "limits_in", "number_in"]

logger = logging.getLogger("aiogram_neonpay")

ASKING = State("amount", group_name="neonpay")
"""The FSM state of who is asked for an amount."""
KEY = "neonpay_amount"
"""Where the question stands in the state's data."""
ASKED_FOR = 600.0
"""Seconds for which an answer counts."""
_REACTION = "neonpay_reaction"
"""Key under which the check hands over what is to be done."""
_NUMBER = re.compile(r"\+?(\d{1,3}(?:[ \u00a0\u202f]\d{3})*|\d{1,15})\s*⭐?\ufe0f?")
_COMMAND = re.compile(r"/(\w+)(?:@(\w+))?(?:\s|$)")

Question = dict[str, Any]
Reaction = Callable[[Message, dict[str, Any]], Awaitable[None]]


class AmountGate(Gate):
    """Handler 0 of the root's ``message`` observer, for messages of people who are asked."""

    def __init__(self, shop: Shop, seller: Seller) -> None:
        super().__init__(self._take, _REACTION)
        self._shop = shop
        self._seller = seller

    # The question

    async def ask(self, query: CallbackQuery, stage_id: str, stage: PaymentStage, data: dict[str, Any]) -> bool:
        """Ask who tapped a button how much they want to pay; ``False`` where nobody can be asked."""
        bot: Bot = data["bot"]
        state: FSMContext | None = data.get("state")
        place = place_of(query)
        if state is None or _is_elsewhere(query):
            return False
        before = await self._open(state)
        question = {
            "id": new_nonce(),
            "stage": stage_id,
            "user": query.from_user.id,
            "chat": place.chat_id,
            "until": self._shop.clock() + ASKED_FOR,
            "was": await state.get_state() if before is None else before["was"],
        }
        # The state first: a question that nobody waits for the answer of would be worse than a silent state.
        await state.update_data({KEY: question})
        await state.set_state(ASKING)
        try:
            message = await self._send_question(query, stage, place.private, place.chat_id, place.options(), bot)
        except BaseException:
            await self._put_back(state, question)
            raise
        if place.private and (now := await self._open(state)) is not None and now["id"] == question["id"]:
            await state.update_data({KEY: {**question, "message": message.message_id}})
        return True

    async def _send_question(
        self, query: CallbackQuery, stage: PaymentStage, private: bool, chat_id: int, options: dict[str, Any], bot: Bot
    ) -> Message:
        user = query.from_user
        key, limits = limits_in(stage, "ask_amount")
        asks = self._say(key, user.language_code, **limits)
        text = f"{stage.title}\n\n{asks}"
        entities = [MessageEntity(type=MessageEntityType.BOLD, offset=0, length=_units(stage.title))]
        if private:
            cancel = InlineKeyboardButton(
                text=self._say("cancel_button", user.language_code), callback_data=StopTap().pack()
            )
            markup: Any = InlineKeyboardMarkup(inline_keyboard=[[cancel]])
        else:
            # A bot in a group may see nothing but replies; the mention makes the reply that of one person.
            mark = "\u2063"
            before, _, after = self._say("ask_in_group", user.language_code, name=mark).partition(mark)
            start = _units(f"{text}\n\n{before}")
            text = f"{text}\n\n{before}{user.full_name}{after}"
            mention = MessageEntityType.TEXT_MENTION
            entities.append(MessageEntity(type=mention, offset=start, length=_units(user.full_name), user=user))
            markup = self._force_reply(user.language_code)
        return await bot.send_message(chat_id, text, entities=entities, parse_mode=None, reply_markup=markup, **options)

    def _force_reply(self, language: str | None) -> ForceReply:
        return ForceReply(selective=True, input_field_placeholder=self._say("amount_placeholder", language)[:64])

    # Its end

    async def stop(self, query: CallbackQuery, data: dict[str, Any]) -> str | None:
        """End the question of who tapped Cancel under it; return what is to be said over the chat."""
        bot: Bot = data["bot"]
        language = query.from_user.language_code
        question = await self.give_up(query.from_user.id, data)
        if question is not None:
            await self._is_first(bot, question)
        try:
            if query.message is not None:
                chat_id, message_id = query.message.chat.id, query.message.message_id
                if question is None:
                    await _take_buttons(bot, chat_id, message_id)
                else:
                    text = self._say("given_up", language)
                    await bot.edit_message_text(text, chat_id=chat_id, message_id=message_id, parse_mode=None)
        except TelegramAPIError as error:
            logger.info("a question for an amount could not be edited (%s)", error.message)
        return self._say("nothing_to_cancel", language) if question is None else None

    async def give_up(self, user_id: int, data: dict[str, Any]) -> Question | None:
        """Put the state back of somebody who is asked, and return what they were asked."""
        state: FSMContext | None = data.get("state")
        if state is None or data.get("raw_state") != ASKING.state:
            return None
        question = await self._open(state)
        if question is None or question["user"] != user_id:
            return None
        await self._put_back(state, question)
        return question

    async def _open(self, state: FSMContext) -> Question | None:
        """Return the question that somebody is asked."""
        if await state.get_state() != ASKING.state:
            return None
        question = (await state.get_data()).get(KEY)
        return question if isinstance(question, dict) else None

    async def _put_back(self, state: FSMContext, question: Question) -> None:
        """Make the state what it was, unless somebody has changed it since."""
        if await state.get_state() != ASKING.state:
            return
        data = await state.get_data()
        data.pop(KEY, None)
        await state.set_data(data)
        await state.set_state(question["was"])

    # The answer

    async def check(self, *args: Any, **kwargs: Any) -> tuple[bool, dict[str, Any]]:
        """Tell whether a message is for us, which costs nothing for people who are not asked."""
        if kwargs.get("raw_state") != ASKING.state:
            return False, kwargs
        reaction = await self._reaction(args[0], kwargs)
        return reaction is not None, {**kwargs, _REACTION: reaction}

    async def _take(self, message: Message, data: dict[str, Any]) -> None:
        await data[_REACTION](message, data)

    async def _reaction(self, message: Message, data: dict[str, Any]) -> Reaction | None:
        """Return what is to be done with a message of somebody in our state; nothing if the bot may have it."""
        state: FSMContext = data["state"]
        question = await self._open(state)
        if question is None:  # the bot has changed the data: the state alone means nothing
            await state.set_state(None)
            return None
        if message.from_user is None or message.text is None or message.sender_chat is not None:
            return None
        if (message.from_user.id, message.chat.id) != (question["user"], question["chat"]):
            return None
        amount = number_in(message.text)
        if self._shop.clock() > question["until"]:
            await self._put_back(state, question)
            return None if amount is None else self._on_late
        if amount is not None:
            return self._on_amount
        if message.text.startswith("/"):
            return self._on_cancel if await _is_cancel(message.text, data["bot"]) else None
        bot: Bot = data["bot"]
        answered = message.reply_to_message
        is_to_us = answered is not None and answered.from_user is not None and answered.from_user.id == bot.id
        return self._on_wrong if is_to_us or message.chat.type == ChatType.PRIVATE else None

    async def _on_late(self, message: Message, data: dict[str, Any]) -> None:
        await self._reply(message, "amount_late")

    async def _on_cancel(self, message: Message, data: dict[str, Any]) -> None:
        await self._close(message, data)
        await self._reply(message, "given_up")

    async def _on_wrong(self, message: Message, data: dict[str, Any]) -> None:
        question = await self._open(data["state"])
        stage = None if question is None else await self._stage(question["stage"])
        await self._reply(message, "amount_wrong", again=True, lowest=1 if stage is None else stage.min_price)

    async def _on_amount(self, message: Message, data: dict[str, Any]) -> None:
        bot: Bot = data["bot"]
        question = await self._open(data["state"])
        amount = number_in(message.text or "")
        if question is None or amount is None:
            return  # answered by another worker meanwhile
        stage = await self._stage(question["stage"])
        if stage is None or not stage.on_sale or stage.price is not None:
            await self._close(message, data)
            await self._reply(message, "not_on_sale" if stage is not None and not stage.on_sale else "stage_not_found")
            return
        try:
            stage.amount_for(amount)
        except ValidationError:
            key, limits = limits_in(stage, "amount_limits")
            await self._reply(message, key, again=True, **limits)
            return
        if not await self._close(message, data):
            return
        place = place_of(message)
        offer = Offer(question["stage"], question["user"], bound=not place.private, amount=amount)
        language = None if message.from_user is None else message.from_user.language_code
        try:
            prompts = [question["message"], message.message_id] if "message" in question else []
            await self._seller.send(bot, place.chat_id, offer, place.options(), language, prompts)
        except NeonPayError as error:
            logger.warning("an amount of %s Stars could not be answered with an invoice: %s", amount, error)
            await self._reply(message, "try_again")

    async def _stage(self, stage_id: str) -> PaymentStage | None:
        try:
            return await self._shop.catalog.get(stage_id)
        except Exception:
            logger.exception("the stage loader failed for %s", stage_id)
            return None

    async def _close(self, message: Message, data: dict[str, Any]) -> bool:
        """End the question, and take the Cancel button off it; ``False`` when another worker has ended it."""
        state: FSMContext = data["state"]
        question = await self._open(state)
        if question is None or not await self._is_first(data["bot"], question):
            return False
        await self._put_back(state, question)
        if "message" in question:
            try:
                await _take_buttons(data["bot"], message.chat.id, question["message"])
            except TelegramAPIError as error:
                logger.info("the Cancel button could not be taken off (%s)", error.message)
        return True

    async def _is_first(self, bot: Bot, question: Question) -> bool:
        """Whether nobody else has ended this question; the button that asked it is free again."""
        try:
            return (await self._shop.taps.take(bot.id, question["user"], f"amount:{question['id']}"))[0]
        except Exception:
            logger.exception("whether a question was answered before could not be found out; it is answered")
            return True

    async def _reply(self, message: Message, key: str, *, again: bool = False, **values: Any) -> None:
        """Say something to who wrote a message; in a group, to them alone."""
        language = None if message.from_user is None else message.from_user.language_code
        private = message.chat.type == ChatType.PRIVATE
        to = None if private else ReplyParameters(message_id=message.message_id, allow_sending_without_reply=True)
        markup = self._force_reply(language) if again and not private else None
        await message.answer(
            self._say(key, language, **values), parse_mode=None, reply_parameters=to, reply_markup=markup
        )

    def _say(self, key: str, language: str | None, **values: Any) -> str:
        return self._shop.texts.get(key, language, **values)


def limits_in(stage: PaymentStage, key: str) -> tuple[str, dict[str, Any]]:
    """Return the key and the values of a sentence about the smallest and the largest amount that a buyer may choose."""
    if stage.highest is None:
        return f"{key}_open", {"lowest": stage.min_price}
    return key, {"lowest": stage.min_price, "highest": stage.highest}


def number_in(text: str) -> int | None:
    """Return the number of Stars that somebody wrote, such as ``1 000`` or ``77 ⭐``; ``None`` for anything else."""
    found = _NUMBER.fullmatch(text.strip())
    return None if found is None else int(re.sub(r"\s", "", found[1]))


def _is_elsewhere(query: CallbackQuery) -> bool:
    """Whether the states of where a button was tapped are not those of where its question could be answered."""
    message = query.message
    if message is None:
        return False
    is_business = isinstance(message, Message) and message.business_connection_id is not None
    return is_business or message.chat.type == ChatType.CHANNEL


async def _is_cancel(text: str, bot: Bot) -> bool:
    command = _COMMAND.match(text)
    if command is None or command[1].lower() != "cancel":
        return False
    return command[2] is None or command[2].lower() == ((await bot.me()).username or "").lower()


async def _take_buttons(bot: Bot, chat_id: int, message_id: int) -> None:
    await bot.edit_message_reply_markup(chat_id=chat_id, message_id=message_id, reply_markup=None)


def _units(text: str) -> int:
    """Return the length of a text as Telegram counts it, in UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2
