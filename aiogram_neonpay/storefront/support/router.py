"""``support_router``: the commands that Telegram asks of sellers, and the way to their support."""

from __future__ import annotations

from typing import Any

from aiogram import Bot, F, Router
from aiogram.enums import ChatType
from aiogram.filters import Command, CommandStart, StateFilter
from aiogram.types import Message

from aiogram_neonpay.checks import check_count, check_text
from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.errors import ConfigurationError, ValidationError
from aiogram_neonpay.storefront.commands import add_commands
from aiogram_neonpay.storefront.support.conversation import PARAMETER, Asking, Conversation
from aiogram_neonpay.storefront.support.desk import Desk
from aiogram_neonpay.storefront.support.interruption import Interruption
from aiogram_neonpay.storefront.support.pages import Page, PageSource
from aiogram_neonpay.storefront.support.taps import SupportTap

__all__ = ["support_router"]

COMMANDS = {"terms": "command_terms", "paysupport": "command_paysupport"}
MOST_PER_HOUR = 100


def support_router(
    *,
    terms: PageSource | None = None,
    paysupport: PageSource | None = None,
    contact: str | None = None,
    chat: int | None = None,
    message_thread_id: int | None = None,
    language: str | None = None,
    per_hour: int = 5,
    commands: bool = False,
) -> Router:
    """Return a router for ``/terms`` and ``/paysupport``, which Telegram asks of every bot that sells.

    With ``chat=``, ``/paysupport`` is a conversation: the buyer picks a payment and writes one message, the chat gets
    it with what is known of the payment, and a reply to it there is carried back. Include the router before those that
    take any text.

    :param terms: what ``/terms`` says: a text, or an async function that is called as a message handler is and returns
        the text, or ``None`` when it has answered by itself. By default the terms of a usual shop, which name the bot
        and its contact.
    :param paysupport: the same for ``/paysupport``, in place of the conversation.
    :param contact: whom buyers can write to: ``"@owner"``, an address.
    :param chat: the id of the chat where questions are answered: a group with the bot in it, or a person's.
    :param message_thread_id: its topic, in a group with topics.
    :param language: in which that chat is spoken to, such as ``"ru"``; English when omitted.
    :param per_hour: how many questions one person may send in an hour, 1-100.
    :param commands: put both commands into the bot's menu at start-up, beside its own, in every language of the texts.
    :raises ConfigurationError: when a buyer would find nobody: without ``contact``, ``chat`` and ``paysupport``.
    :raises ValidationError: naming the parameter, its limit and the value.
    """
    if contact is None and chat is None and paysupport is None:
        raise ConfigurationError(
            'support_router needs somebody to write to: contact="@owner", chat=<id of the admins\' chat>, or '
            "paysupport=<what /paysupport says>"
        )
    if contact is not None:
        check_text("contact", contact, 256)
    if chat is not None and (isinstance(chat, bool) or not isinstance(chat, int) or not chat):
        raise ValidationError("chat", "must be a chat's id (int)", chat)
    if message_thread_id is not None and chat is None:
        raise ValidationError("message_thread_id", "needs the chat that it is a topic of: chat=...", message_thread_id)
    if language is not None:
        check_text("language", language, 35)
    if not isinstance(commands, bool):
        raise ValidationError("commands", "must be True or False", commands)
    check_count("message_thread_id", message_thread_id, 1 << 52)
    check_count("per_hour", per_hour, MOST_PER_HOUR)
    router = Router(name="neonpay-support")
    pages = Pages(terms, paysupport, contact)
    if chat is not None and paysupport is None:
        desk = Desk(chat, message_thread_id, language)
        conversation = Conversation(desk, contact, per_hour)
        asking = StateFilter(Asking.question)
        router.message.outer_middleware(Interruption(router))
        router.message.register(conversation.cancel, asking, Command("cancel"), is_private)
        router.message.register(conversation.begin, Command("paysupport"))
        router.message.register(conversation.begin, CommandStart(deep_link=True, magic=F.args == PARAMETER))
        router.message.register(conversation.take, asking, is_private)
        router.message.register(desk.answer, desk.is_answer)
        router.callback_query.register(conversation.tapped, SupportTap.filter())
    else:
        router.message.register(pages.show_paysupport, Command("paysupport"))
    router.message.register(pages.show_terms, Command("terms"))
    if commands:
        router.startup.register(register_commands)
    return router


async def is_private(message: Message) -> bool:
    """Whether a message was written in the private chat with the bot."""
    return message.chat.type == ChatType.PRIVATE


async def register_commands(neonpay: NeonPay, bot: Bot | None = None, bots: tuple[Bot, ...] = (), **_: Any) -> None:
    """Put the commands of the support into the menus of the bots that start."""
    starting = bots or (() if bot is None else (bot,))
    await add_commands(starting, neonpay.texts, COMMANDS)


class Pages:
    """What the commands say without a conversation."""

    def __init__(self, terms: PageSource | None, paysupport: PageSource | None, contact: str | None) -> None:
        self._terms = None if terms is None else Page("terms", terms)
        self._paysupport = None if paysupport is None else Page("paysupport", paysupport)
        self._contact = contact

    async def show_terms(self, message: Message, neonpay: NeonPay, bot: Bot, **data: Any) -> None:
        """Answer ``/terms``."""
        await self._show("terms", self._terms, message, neonpay, bot, data)

    async def show_paysupport(self, message: Message, neonpay: NeonPay, bot: Bot, **data: Any) -> None:
        """Answer ``/paysupport``."""
        await self._show("paysupport", self._paysupport, message, neonpay, bot, data)

    async def _show(
        self, key: str, page: Page | None, message: Message, neonpay: NeonPay, bot: Bot, data: dict[str, Any]
    ) -> None:
        if page is not None:
            await page.show(message, {**data, "neonpay": neonpay, "bot": bot})
            return
        language = message.from_user.language_code if message.from_user is not None else None
        name = f"@{(await bot.me()).username}"
        text = neonpay.texts.get(key, language, bot=name, contact=self._contact or "/paysupport")
        await message.answer(text, parse_mode=None)
