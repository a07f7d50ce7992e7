"""Owns pushing updates to webhooks: order, retries, the secret header and methods in the reply.

Source: `WebhookActor` in tdlib/telegram-bot-api.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from aiogram_neonpay.sandbox.core import Sandbox
from aiogram_neonpay.sandbox.errors import LostReply
from aiogram_neonpay.sandbox.http.multipart import TooLarge, read_parts
from aiogram_neonpay.sandbox.parameters import decode
from aiogram_neonpay.sandbox.rules import WEBHOOK_GONE_SECONDS, WEBHOOK_RETRY_AFTER_LIMIT
from aiogram_neonpay.sandbox.updates import QueuedUpdate
from aiogram_neonpay.sandbox.world import BotAccount, Webhook

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"
_NOT_IN_REPLY = frozenset({"deletewebhook", "setwebhook", "close", "logout"})
_LONGEST_PAUSE = (60.0, 120.0)
_REPLY_BYTES = 1024 * 1024


class WebhookPusher:
    """Pushes the updates of every bot that has a webhook.

    Updates of one lane (a chat's messages, a person's pre-checkout queries) go one after another; a failing
    one holds up its lane and no other, and takes none of the bot's connections while it pauses. Any 2xx
    confirms; anything else is tried again at once, then after 2, 4, 8 ... up to a random 60 to 120 seconds of
    sandbox time, until the update expires.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._world = sandbox.world
        #: Why the last attempt failed, by the bot's id, for bots whose last attempt failed.
        self.refusals: dict[int, str] = {}
        self._busy: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._pausing: set[tuple[int, str]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._supervisor: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch the queues."""
        timeout = aiohttp.ClientTimeout(total=self._world.rules.webhook_timeout)
        # No common limit of connections: each bot has its own, max_connections.
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector, trust_env=False)
        self._supervisor = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop at once; unconfirmed updates stay queued."""
        tasks = [task for task in (self._supervisor, *self._busy.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _watch(self) -> None:
        while True:
            for bot in list(self._world.bots.values()):
                self._begin(bot)
            await self._world.arrivals.wait(3600)

    def _begin(self, bot: BotAccount) -> None:
        hook = bot.webhook
        if hook is None:
            return
        busy = {lane for bot_id, lane in self._busy if bot_id == bot.id}
        for update in bot.queue.heads(busy, hook.max_connections - self._connections(bot)):
            key = (bot.id, update.lane)
            task = asyncio.create_task(self._push(bot, hook, update))
            self._busy[key] = task
            task.add_done_callback(lambda _, key=key: self._done(key))  # type: ignore[misc]

    def _connections(self, bot: BotAccount) -> int:
        return sum(1 for key in self._busy if key[0] == bot.id and key not in self._pausing)

    def _done(self, key: tuple[int, str]) -> None:
        self._busy.pop(key, None)
        self._world.arrivals.notify()

    async def _push(self, bot: BotAccount, hook: Webhook, update: QueuedUpdate) -> None:
        attempt = 0
        while bot.webhook is hook and bot.queue.holds(update):
            retry_after = await self._deliver(bot, hook, update)
            if retry_after is None:
                bot.queue.confirm(update)
                return
            attempt += 1
            pause = self._pause(attempt, retry_after)
            if self._world.clock.now() + pause >= update.expires:
                bot.queue.forget(update)  # the next try would fall past the update's expiry
                return
            if pause:
                self._pausing.add((bot.id, update.lane))
                self._world.arrivals.notify()  # a connection is free
                try:
                    await self._wait(pause, bot, hook)
                finally:
                    self._pausing.discard((bot.id, update.lane))

    async def _wait(self, pause: float, bot: BotAccount, hook: Webhook) -> None:
        arrivals = self._world.arrivals
        sleeping = asyncio.ensure_future(self._world.clock.sleep(pause))
        try:
            while not sleeping.done() and bot.webhook is hook:
                bell = asyncio.ensure_future(arrivals.wait(3600))
                await asyncio.wait({sleeping, bell}, return_when=asyncio.FIRST_COMPLETED)
                bell.cancel()
        finally:
            sleeping.cancel()
        while bot.webhook is hook and self._connections(bot) >= hook.max_connections:
            await arrivals.wait(3600)

    def _pause(self, attempt: int, retry_after: float) -> float:
        if retry_after:
            return min(retry_after, WEBHOOK_RETRY_AFTER_LIMIT)
        if attempt == 1:
            return 0.0
        return min(float(2 ** (attempt - 1)), self._world.ids.uniform(*_LONGEST_PAUSE))

    async def _deliver(self, bot: BotAccount, hook: Webhook, update: QueuedUpdate) -> float | None:
        """Try once. ``None`` means accepted; otherwise the seconds the bot asked to be left alone, or 0."""
        assert self._session is not None
        headers = {"Content-Type": "application/json"}
        if hook.secret:
            headers[SECRET_HEADER] = hook.secret
        body = json.dumps(update.as_json(), ensure_ascii=False).encode()
        try:
            # Telegram follows no redirect: anything but 2xx is a failure (WebhookActor.cpp).
            async with self._session.post(hook.url, data=body, headers=headers, allow_redirects=False) as response:
                if 200 <= response.status <= 299:
                    hook.gone_since = None
                    self.refusals.pop(bot.id, None)
                    await self._run_reply(bot, response)
                    return None
                self._failed(bot, hook, f"Wrong response from the webhook: {response.status} {response.reason}")
                self._notice_gone(bot, hook, response.status)
                with contextlib.suppress(ValueError):
                    return max(0.0, float(response.headers.get("Retry-After", "0")))
        except asyncio.TimeoutError:
            self._failed(bot, hook, "Read timeout expired")
        except aiohttp.ClientConnectorError:
            self._failed(bot, hook, "Connection refused")
        except (aiohttp.ClientError, ValueError):  # ValueError: a name that no name server could know
            self._failed(bot, hook, "Webhook connection closed")
        return 0.0

    def _failed(self, bot: BotAccount, hook: Webhook, message: str) -> None:
        hook.last_error_date = self._world.clock.date()
        hook.last_error_message = message
        self.refusals[bot.id] = message

    def _notice_gone(self, bot: BotAccount, hook: Webhook, status: int) -> None:
        now = self._world.clock.now()
        if status != 410:
            hook.gone_since = None
        elif hook.gone_since is None:
            hook.gone_since = now
        elif now > hook.gone_since + WEBHOOK_GONE_SECONDS:
            bot.webhook = None

    async def _run_reply(self, bot: BotAccount, response: aiohttp.ClientResponse) -> None:
        """Run the method in a webhook's reply; its result goes nowhere, as with Telegram."""
        values = await _reply_values(response)
        method = str(values.pop("method", "") or "").lower()
        if method and method not in _NOT_IN_REPLY and not method.startswith("get"):
            with contextlib.suppress(LostReply):  # a fault took an answer that nobody reads
                await self._sandbox.call(bot.token, method, values)


async def _reply_values(response: aiohttp.ClientResponse) -> dict[str, Any]:
    if response.content_type == "multipart/form-data":  # the form aiogram answers in
        try:
            reader = aiohttp.MultipartReader(response.headers, response.content)
            return await read_parts(reader, response.content, _REPLY_BYTES)
        except (TooLarge, ValueError, AssertionError, HttpProcessingError):  # no such form after all
            return {}
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > _REPLY_BYTES:
            return {}
    try:
        values = decode(bytes(content))
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
