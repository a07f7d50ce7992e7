"""Keeps aiogram bots that are not in the sandbox from calling Telegram while a test runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import PRODUCTION, TEST
from aiogram.methods import TelegramMethod
from aiogram.methods.base import TelegramType

from aiogram_neonpay.sandbox import SandboxError

__all__ = ["kept_home"]


@contextmanager
def kept_home() -> Iterator[None]:
    """Refuse calls to Telegram itself: a bot that a module made would reach real people with its real token."""
    call = AiohttpSession.make_request

    async def make_request(
        self: AiohttpSession, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        if self.api in (PRODUCTION, TEST):
            raise SandboxError(
                f"a Bot that is not in the sandbox (id {bot.id}) was to call {method.__api_method__} at Telegram: let "
                "a fixture neonpay_options return SandboxOptions(bot=...) with it, or let the handler use the bot that "
                "aiogram gives it"
            )
        return await call(self, bot, method, timeout=timeout)

    with patch.object(AiohttpSession, "make_request", make_request):
        yield
