"""Owns how an aiogram bot reaches a sandbox: in this process without a socket, or over HTTP on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.base import BaseSession
from aiogram.exceptions import TelegramEntityTooLarge, TelegramNetworkError
from aiogram.methods import TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import InputFile
from aiohttp import ClientResponseError, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import SandboxError
from aiogram_neonpay.sandbox.files import Upload
from aiogram_neonpay.sandbox.line import Line
from aiogram_neonpay.sandbox.rules import UPLOAD_BYTES


class SandboxSession(BaseSession):
    """A session whose calls go straight to a sandbox: ``Bot(token, session=SandboxSession(sandbox))``.

    Values take the same forms as over HTTP, and what fails fails alike: refusals, timeouts, lost answers.

    :param timeout: how long a call may take, in real seconds.
    """

    def __init__(self, sandbox: Sandbox, *, timeout: float = 60.0) -> None:
        super().__init__(timeout=timeout)
        self._sandbox = sandbox
        self._line = Line(sandbox)

    async def close(self) -> None:
        """Wait for the calls that were made and that nobody waits for."""
        await self._line.drain()

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        """Make a call.

        :raises TelegramEntityTooLarge: for a file above 50 MB.
        :raises TelegramNetworkError: when it takes too long, or a fault takes its answer.
        :raises TelegramAPIError: when the sandbox refuses it.
        """
        files: dict[str, InputFile] = {}
        given = method.model_dump(warnings=False)
        prepared = {name: self.prepare_value(value, bot=bot, files=files) for name, value in given.items()}
        values = {name: value for name, value in prepared.items() if value}
        for name, file in files.items():
            values[name] = upload = await _upload(file, name, bot)
            if len(upload.content) > UPLOAD_BYTES:
                raise TelegramEntityTooLarge(method=method, message="Request Entity Too Large")
        seconds = self.timeout if timeout is None else timeout
        try:
            reply = await asyncio.wait_for(self._line.call(bot.token, method.__api_method__, values), seconds)
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
        """Give a file of the sandbox in pieces.

        :raises aiohttp.ClientResponseError: 404 when there is no such file, as over HTTP.
        """
        _, _, path = urlsplit(url).path.removeprefix("/file/bot").partition("/")
        try:
            content = self._sandbox.download(unquote(path.removeprefix("test/")))
        except SandboxError as error:
            request = RequestInfo(URL(url).with_path("/"), "GET", CIMultiDictProxy(CIMultiDict()))
            raise ClientResponseError(request, (), status=404, message="Not Found") from error
        for start in range(0, len(content), chunk_size):
            yield content[start : start + chunk_size]


class LocalSession(AiohttpSession):
    """aiogram's own session, for a server on this machine: it closes at once, with no TLS to wait for."""

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None and not self._session.closed:
            await self._session.close()


@contextlib.contextmanager
def borrowing(bot: Bot, session: BaseSession) -> Iterator[None]:
    """Let a bot of the author's own call a sandbox; afterwards it is as it was before."""
    before = bot.session, bot._me
    bot.session, bot._me = session, None
    try:
        yield
    finally:
        bot.session, bot._me = before


async def _upload(file: InputFile, name: str, bot: Bot) -> Upload:
    content = b"".join([chunk async for chunk in file.read(bot)])
    return Upload(content, file.filename or name)
