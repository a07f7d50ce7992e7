"""People of a test: what they do is over when the bot has come to rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol, TypeVar

from aiogram_neonpay.sandbox import ChatMessage, Receipt, Sandbox, SandboxGroup, SandboxUser
from aiogram_neonpay.sandbox.models import Chat
from aiogram_neonpay.sandbox.presence import PATIENCE

__all__ = ["BotUser"]

T = TypeVar("T")


class Stage(Protocol):
    """What people need of the sandbox they live in."""

    sandbox: Sandbox

    @property
    def errors(self) -> list[Exception]:
        """What the bot's handlers raised."""

    async def settle(self) -> None:
        """Wait until nothing is going on."""

    async def outlast(self, condition: Callable[[], bool]) -> bool:
        """Wait until a condition holds, or nothing is going on that could make it hold."""

    async def see_through(self, paying: asyncio.Future[Any], looking: Callable[[], bool]) -> None:
        """Wait for the end of a payment; where nobody answers its checkout, time passes."""


class BotUser(SandboxUser):
    """A person who waits: ``send``, ``tap`` and ``pay`` return when the bot's handlers have."""

    def __init__(self, stage: Stage, user: SandboxUser) -> None:
        super().__init__(stage.sandbox.world, stage.sandbox.payments, user.id)
        self._stage = stage
        self._looking = 0

    async def send(
        self, text: str, *, chat: SandboxGroup | int | None = None, bot: str | int | None = None
    ) -> ChatMessage:
        """Write a message, and wait until the bot has handled it."""
        return await self._and_settle(partial(super().send, text, chat=chat, bot=bot))

    async def tap(
        self,
        button: str,
        *,
        chat: SandboxGroup | int | None = None,
        message: ChatMessage | None = None,
        timeout: float = PATIENCE,
    ) -> str | None:
        """Tap a button whose text contains ``button`` (in any case), and wait until the bot has handled it.

        Parameters, result and errors are those of :meth:`SandboxUser.tap`.
        """
        return await self._and_settle(partial(super().tap, button, chat=chat, message=message, timeout=timeout))

    async def pay(
        self,
        invoice: ChatMessage | Any | None = None,
        *,
        link: str | None = None,
        payload: str | None = None,
        chat: SandboxGroup | int | None = None,
        timeout: float = PATIENCE,
    ) -> Receipt:
        """Pay the newest invoice message, or the one that is named, and wait until the bot has delivered.

        Where the bot does not answer the checkout, the sandbox's clock moves on to Telegram's deadline of 10 seconds.
        Parameters, result and errors are those of :meth:`SandboxUser.pay`.
        """
        await self._stage.settle()
        paying = asyncio.ensure_future(super().pay(invoice, link=link, payload=payload, chat=chat, timeout=timeout))
        try:
            await self._stage.see_through(paying, lambda: self._looking > 0)
        except BaseException:
            paying.cancel()
            await asyncio.gather(paying, return_exceptions=True)
            raise
        return paying.result()

    async def inline(self, text: str = "", *, bot: str | int | None = None, timeout: float = PATIENCE) -> list[Any]:
        """Type an inline query, wait until the bot has handled it, and return the results it offers."""
        return await self._and_settle(partial(super().inline, text, bot=bot, timeout=timeout))

    async def send_inline(
        self, result_id: str, *, chat: SandboxGroup | int | None = None, bot: str | int | None = None
    ) -> ChatMessage:
        """Send one result of the last inline query into a chat, and wait until the bot has handled that."""
        return await self._and_settle(partial(super().send_inline, result_id, chat=chat, bot=bot))

    async def _and_settle(self, deed: Callable[[], Awaitable[T]]) -> T:
        await self._stage.settle()
        done = await deed()
        await self._stage.settle()
        return done

    async def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        self._looking += 1
        try:
            return await self._stage.outlast(condition)
        finally:
            self._looking -= 1

    def _last_words(self, chats: list[Chat]) -> str:
        errors = self._stage.errors
        raised = f"; a handler raised {type(errors[-1]).__name__}: {errors[-1]}" if errors else ""
        return super()._last_words(chats) + raised
