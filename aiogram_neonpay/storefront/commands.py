"""Adds commands to the menu of a bot, in every language of the texts, and leaves its own commands there."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError
from aiogram.types import BotCommand

from aiogram_neonpay.catalogs import TRANSLATIONS
from aiogram_neonpay.texts import Texts

__all__ = ["add_commands"]

logger = logging.getLogger("aiogram_neonpay")


async def add_commands(bots: Iterable[Bot], texts: Texts, commands: Mapping[str, str]) -> None:
    """Put commands into the menus of bots, behind what is there (Bot API ``setMyCommands``, the default scope).

    A list for one language hides the default list from people who speak it, so a language without a list of its own
    gets a copy of the default one. Menus that hold the commands already are not written. A failure is logged: it is no
    reason not to start.

    :param commands: the key of the description by command.
    """
    for bot in bots:
        try:
            default = await bot.get_my_commands()
            for language in (None, *TRANSLATIONS):
                present = default if language is None else await bot.get_my_commands(language_code=language)
                ours = [
                    BotCommand(command=command, description=texts.get_for(key, language))
                    for command, key in commands.items()
                ]
                kept = [item for item in present or default if item.command not in commands]
                if _said([*kept, *ours]) != _said(present):
                    await bot.set_my_commands([*kept, *ours], language_code=language)
        except TelegramAPIError as error:
            logger.warning("bot %s: its commands were not registered (%s)", bot.id, error.message)


def _said(commands: Iterable[BotCommand]) -> list[tuple[str, str]]:
    """Return what people see of commands; two objects of aiogram are alike only if they came the same way."""
    return [(item.command, item.description) for item in commands]
