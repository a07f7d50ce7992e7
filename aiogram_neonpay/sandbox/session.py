"""Owns how an aiogram bot reaches a sandbox: in this process without a socket, or over HTTP on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, cast

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.base import BaseSession
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import InputFile

from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.line import Line


class SandboxSession(BaseSession):
    """A session whose calls go straight to a sandbox: ``Bot(token, session=SandboxSession(sandbox))``.

    Values take the same forms as over HTTP, and what fails fails alike: refusals, timeouts, lost answers.

    :param timeout: how long a call may take, in real seconds.
    """

    def __init__(self, sandbox: Sandbox, *, timeout: float = 60.0) -> None:
        super().__init__(timeout=timeout)
        self._line = Line(sandbox)

    async def close(self) -> None:
        """Wait for the calls that were made and that nobody waits for."""
        await self._line.drain()

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        """Make a call.

        :raises TelegramNetworkError: when it takes too long, or a fault takes its answer.
        :raises TelegramAPIError: when the sandbox refuses it.
        """
        files: dict[str, InputFile] = {}
        given = method.model_dump(warnings=False)
        prepared = {name: self.prepare_value(value, bot=bot, files=files) for name, value in given.items()}
        values = {name: value for name, value in prepared.items() if value}
        try:
            reply = await asyncio.wait_for(
                self._line.call(bot.token, method.__api_method__, values), self.timeout if timeout is None else timeout
            )
        except asyncio.TimeoutError as error:
            raise TelegramNetworkError(method=method, message="Request timeout error") from error
        if reply is None:
            raise TelegramNetworkError(method=method, message="ServerDisconnectedError: Server disconnected")
        response = self.check_response(bot, method, reply.status, json.dumps(reply.body))
        return cast(TelegramType, response.result)

    async def stream_content(
        self,
        url: str,
        headers: dict[str, Any] | None = None,
        timeout: int = 30,
        chunk_size: int = 65536,
        raise_for_status: bool = True,
    ) -> AsyncGenerator[bytes, None]:
        """Refuse: the sandbox keeps no files yet.

        :raises NotImplementedError: always.
        """
        raise NotImplementedError("the sandbox keeps no files: there is nothing to download")
        yield b""


class LocalSession(AiohttpSession):
    """aiogram's own session, for a server on this machine: it closes at once, with no TLS to wait for."""

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None and not self._session.closed:
            await self._session.close()
