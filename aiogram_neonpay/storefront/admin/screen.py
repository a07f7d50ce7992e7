"""Where an admin reads the answer to an order: a new message after a command, the same message after a tap."""

from __future__ import annotations

import logging
from typing import Any

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError
from aiogram.types import CallbackQuery, InlineKeyboardMarkup, Message, User

__all__ = ["Screen"]

logger = logging.getLogger("aiogram_neonpay")

LONGEST_ALERT = 200
"""Characters of an answer to a tap (Bot API ``answerCallbackQuery``)."""


class Screen:
    """The place of one answer.

    :ivar user: the admin.
    :ivar bot: the bot that is administered.
    :ivar again: the buttons under what is shown while it is done, for where it fails.
    """

    def __init__(self, event: Message | CallbackQuery, user: User, bot: Bot) -> None:
        self.user = user
        self.bot = bot
        self.again: InlineKeyboardMarkup | None = None
        self._query = event if isinstance(event, CallbackQuery) else None
        self._source = event if isinstance(event, Message) else event.message
        self._shown = self._source if self._query is not None else None

    async def show(self, page: dict[str, Any]) -> None:
        """Show a page; a later one takes its place.

        What it tells is done already: where Telegram takes no message, it is told over the chat, or logged.
        """
        try:
            await self._put(page)
        except TelegramAPIError as error:
            logger.warning("admin %s was not shown what was done (%s)", self.user.id, error.message)
            await self.end(page["text"][:LONGEST_ALERT])

    async def _put(self, page: dict[str, Any]) -> None:
        if isinstance(self._shown, Message):
            try:
                await self._shown.edit_text(**page)
                return
            except TelegramAPIError as error:
                if "message is not modified" in error.message:
                    return
                # It is too old to be edited, or gone, or Telegram does not edit now.
        if isinstance(self._source, Message):
            self._shown = await self._source.answer(**page)
        elif self._source is not None:
            self._shown = await self.bot.send_message(self._source.chat.id, **page)

    async def begin(self, words: str, again: InlineKeyboardMarkup | None = None) -> None:
        """Say that something is done that takes a while.

        It is done whether or not Telegram shows this: a confirmation is taken by now.

        :param again: what there is to tap meanwhile, should nothing follow.
        """
        self.again = again
        try:
            await self._put({"text": words, "parse_mode": None, "reply_markup": again})
        except TelegramAPIError as error:
            logger.info("admin %s was not told to wait (%s)", self.user.id, error.message)
        else:
            await self.end()

    async def end(self, alert: str | None = None) -> None:
        """Answer the tap, if it is one and was not answered yet.

        :param alert: shown over the chat.
        """
        query, self._query = self._query, None
        if query is not None:
            try:
                await query.answer(alert, show_alert=alert is not None)
            except TelegramAPIError as error:
                logger.info("a tap was answered too late (%s)", error.message)
