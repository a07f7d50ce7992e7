"""A person in the sandbox who tries the examples, and reads what the bot answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiogram import Dispatcher

from aiogram_neonpay.sandbox import ChatMessage, Receipt, RunningSandbox, SandboxUser, serve_dispatcher


@dataclass
class Visitor:
    """Somebody at the counter of an example."""

    running: RunningSandbox
    user: SandboxUser

    def answers(self, text: str) -> list[ChatMessage]:
        return [message for message in self.user.messages() if message.from_bot and text in message.text]

    async def hears(self, text: str, times: int = 1) -> ChatMessage:
        """Wait for the bot's answer; it must have come so often, and no oftener."""
        await self.running.sandbox.until(lambda: len(self.answers(text)) >= times)
        found = self.answers(text)
        assert len(found) == times, [message.text for message in self.user.messages()]
        return found[-1]

    async def buys(self, button: str) -> Receipt:
        await self.user.tap(button)
        return await self.user.pay()

    async def quiet(self) -> None:
        """Wait until the bot has confirmed every update."""
        assert await self.running.sandbox.until(lambda: self.running.sandbox.pending_updates() == 0)


@asynccontextmanager
async def visiting(dispatcher: Dispatcher, name: str = "Alice") -> AsyncIterator[Visitor]:
    async with serve_dispatcher(dispatcher) as running:
        yield Visitor(running, running.users[name])
