"""Owns what becomes of a call whose client hangs up: it has been made, and has its effect."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import LostReply
from aiogram_neonpay.sandbox.methods import Reply


class Line:
    """The line on which clients call a sandbox, with a socket or without."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._running: set[asyncio.Task[Reply | None]] = set()

    async def call(self, token: str, method: str, values: Mapping[str, Any]) -> Reply | None:
        """Make a call; ``None`` when a fault takes its answer, and the line is cut.

        Cancelling this ends a long poll, which waits for nobody then; any other call goes on.
        """
        if method.lower() == "getupdates":
            return await self._answer(token, method, values)
        task = asyncio.ensure_future(self._answer(token, method, values))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait for the calls that are still on their way."""
        if self._running:
            await asyncio.wait(self._running)

    async def _answer(self, token: str, method: str, values: Mapping[str, Any]) -> Reply | None:
        try:
            return await self._sandbox.call(token, method, values)
        except LostReply:
            return None
