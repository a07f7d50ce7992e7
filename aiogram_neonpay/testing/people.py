"""People of a test: what they do is over when the bot has come to rest."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from aiogram_neonpay.sandbox import ChatMessage, Receipt, Sandbox, SandboxGroup, SandboxUser
from aiogram_neonpay.sandbox.models import Chat
from aiogram_neonpay.sandbox.presence import PATIENCE

__all__ = ["BotUser"]

U = TypeVar("U", bound=type[SandboxUser])


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


def _between_rests(deed: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(deed)
    async def settled(self: BotUser, *args: Any, **kwargs: Any) -> Any:
        await self._stage.settle()
        done = await deed(self, *args, **kwargs)
        await self._stage.settle()
        return done

    return settled


def _who_waits(kind: U) -> U:
    """Let everything that a person does and awaits, and that the class does not do by itself, end in rest."""
    for name, deed in inspect.getmembers(SandboxUser, inspect.iscoroutinefunction):
        if not name.startswith("_") and name not in vars(kind):
            setattr(kind, name, _between_rests(deed))
    return kind


@_who_waits
class BotUser(SandboxUser):
    """A person who waits: whatever of :class:`SandboxUser` is awaited returns when the bot has come to rest.

    What is not awaited, such as ``block()``, is handled by the bot before the next thing that is.
    """

    def __init__(self, stage: Stage, user: SandboxUser) -> None:
        super().__init__(stage.sandbox.world, stage.sandbox.payments, user.id)
        self._stage = stage
        self._looking = 0

    async def pay(
        self,
        invoice: ChatMessage | Any | None = None,
        *,
        link: str | None = None,
        payload: str | None = None,
        chat: SandboxGroup | int | None = None,
        bot: str | int | None = None,
        timeout: float = PATIENCE,
    ) -> Receipt:
        """Pay the newest invoice message, or the one that is named, and wait until the bot has delivered.

        Where the bot does not answer the checkout, the sandbox's clock moves on to Telegram's deadline of 10 seconds.
        Parameters, result and errors are those of :meth:`SandboxUser.pay`.
        """
        await self._stage.settle()
        deed = super().pay(invoice, link=link, payload=payload, chat=chat, bot=bot, timeout=timeout)
        paying = asyncio.ensure_future(deed)
        try:
            await self._stage.see_through(paying, lambda: self._looking > 0)
        except BaseException:
            paying.cancel()
            await asyncio.gather(paying, return_exceptions=True)
            raise
        return paying.result()

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
