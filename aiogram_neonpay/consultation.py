"""The command ``doctor``: finds the program's dispatcher and bot, and prints what the doctor says."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from typing import Any, TextIO

from aiogram import Bot, Dispatcher
from aiogram.utils.token import TokenValidationError

from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.diagnosis import Diagnosis

__all__ = ["consult"]


class _Unusable(Exception):
    """What was named cannot be examined."""


def consult(program: str, bot: str | None, *, out: TextIO, err: TextIO) -> int:
    """Examine a program and print what was found.

    :param program: ``module:name`` of its Dispatcher or NeonPay.
    :param bot: ``module:name`` of its Bot; ``None`` makes one from the environment's ``BOT_TOKEN``.
    :return: 0 when nothing severe was found, 1 when something was, 2 when there is nothing to examine.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        pay, own = _neonpay(_named(program)), _bot(bot)
    except _Unusable as error:
        print(f"aiogram_neonpay doctor: {error}", file=err)
        return 2
    diagnosis = asyncio.run(_examine(pay, own))
    print(diagnosis, file=out)
    return 0 if diagnosis.is_healthy else 1


def _named(name: str) -> Any:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise _Unusable(f"{name!r} names nothing: write module:name, such as bot:dp for dp in bot.py")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise _Unusable(f"the module {module!r} cannot be imported from here ({error})") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise _Unusable(f"{module!r} has no {attribute!r}")
        found = getattr(found, part)
    return found


def _neonpay(found: Any) -> NeonPay:
    if isinstance(found, Dispatcher):
        pay = found.workflow_data.get("neonpay")
        if not isinstance(pay, NeonPay):
            raise _Unusable(
                "the dispatcher has no NeonPay: dp.include_router(pay) must run at the import of the module"
            )
        return pay
    if not isinstance(found, NeonPay):
        raise _Unusable(f"it must be a Dispatcher or a NeonPay, not {type(found).__name__}")
    return found


def _bot(name: str | None) -> Bot:
    if name is not None:
        found = _named(name)
        if not isinstance(found, Bot):
            raise _Unusable(f"{name} is no aiogram Bot but {type(found).__name__}")
        return found
    token = os.environ.get("BOT_TOKEN")
    if not token:
        raise _Unusable("there is no bot: name one with --bot module:name, or put its token into BOT_TOKEN")
    try:
        return Bot(token)
    except TokenValidationError as error:
        raise _Unusable("BOT_TOKEN holds no token of a bot") from error


async def _examine(pay: NeonPay, bot: Bot) -> Diagnosis:
    try:
        return await pay.doctor(bot)
    finally:
        await bot.session.close()
