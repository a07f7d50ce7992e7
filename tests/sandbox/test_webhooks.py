from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from aiogram import Dispatcher
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import BufferedInputFile, Message
from aiogram.webhook.aiohttp_server import SimpleRequestHandler
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.sandbox.conftest import Stand
from tests.sandbox.pictures import PHOTO
from tests.sandbox.raw import call


@dataclass
class Hook:
    """A bot's web server that remembers what it got and answers as it is told."""

    url: str = ""
    got: asyncio.Queue[tuple[dict[str, Any], str | None]] = field(default_factory=asyncio.Queue)
    answers: list[Callable[[], Awaitable[web.Response]]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        update = await request.json()
        self.got.put_nowait((update, request.headers.get("X-Telegram-Bot-Api-Secret-Token")))
        return await self.answers.pop(0)() if self.answers else web.Response()

    async def next(self) -> tuple[dict[str, Any], str | None]:
        return await asyncio.wait_for(self.got.get(), 20)


@pytest_asyncio.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    app = web.Application()
    app.router.add_post("/hook", hook.handle)
    async with TestServer(app) as server:
        hook.url = str(server.make_url("/hook"))
        yield hook


async def turn() -> None:
    """Let everything else run once."""
    await asyncio.sleep(0)


def answer(status: int, **kwargs: Any) -> Callable[[], Awaitable[web.Response]]:
    async def make() -> web.Response:
        return web.json_response(status=status, **kwargs) if "data" in kwargs else web.Response(status=status, **kwargs)

    return make


@pytest.mark.asyncio
async def test_updates_are_pushed_with_the_secret_and_confirmed_by_a_200(stand: Stand, hook: Hook) -> None:
    await stand.alice.send("waiting")
    await stand.bot.set_webhook(hook.url, secret_token="s-e_cret")
    update, secret = await hook.next()
    assert (update["message"]["text"], secret) == ("waiting", "s-e_cret")
    await stand.alice.send("second")
    assert (await hook.next())[0]["message"]["text"] == "second"
    assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 0, 5)


@pytest.mark.asyncio
async def test_a_refused_update_is_pushed_again_with_growing_pauses(stand: Stand, hook: Hook) -> None:
    hook.answers = [answer(500), answer(500), answer(502), answer(200)]
    await stand.bot.set_webhook(hook.url)
    await stand.alice.send("hello")
    first, again = await hook.next(), await hook.next()  # at once after the first failure
    assert first == again
    info = await stand.bot.get_webhook_info()
    assert info.pending_update_count == 1
    assert info.last_error_message == "Wrong response from the webhook: 500 Internal Server Error"
    for pause in (2, 4):
        while not stand.sandbox.clock.waiting:  # the pusher has read the refusal and waits
            await turn()
        assert hook.got.empty()
        stand.sandbox.clock.advance(seconds=pause)
        assert (await hook.next())[0]["update_id"] == first[0]["update_id"]
    assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 0, 5)


@pytest.mark.asyncio
async def test_a_failing_chat_holds_up_no_other(stand: Stand, hook: Hook) -> None:
    release = asyncio.Event()

    async def slow() -> web.Response:
        await release.wait()
        return web.Response()

    hook.answers = [slow]
    await stand.bot.set_webhook(hook.url)
    await stand.alice.send("one")
    assert (await hook.next())[0]["message"]["text"] == "one"
    await stand.alice.send("two")
    await stand.bob.send("other chat")
    assert (await hook.next())[0]["message"]["text"] == "other chat"
    release.set()
    assert (await hook.next())[0]["message"]["text"] == "two"


@pytest.mark.asyncio
async def test_a_method_in_the_reply_is_run(stand: Stand, hook: Hook) -> None:
    hook.answers = [answer(200, data={"method": "sendMessage", "chat_id": stand.alice.id, "text": "from the reply"})]
    await stand.bot.set_webhook(hook.url)
    await stand.alice.send("hello")
    assert await stand.sandbox.until(lambda: len(stand.alice.messages()) == 2)
    assert stand.alice.messages()[1].text == "from the reply"


@pytest.mark.asyncio
async def test_aiograms_own_webhook_server_answers_in_the_reply(stand: Stand) -> None:
    dispatcher = Dispatcher()

    @dispatcher.message()
    async def echo(message: Message) -> Any:
        return message.answer(f"echo: {message.text}")

    app = web.Application()
    SimpleRequestHandler(dispatcher, stand.bot, handle_in_background=False, secret_token="x").register(app, "/hook")
    async with TestServer(app) as server:
        await stand.bot.set_webhook(str(server.make_url("/hook")), secret_token="x")
        await stand.alice.send("hello")
        assert await stand.sandbox.until(lambda: len(stand.alice.messages()) == 2)
    assert stand.alice.messages()[1].text == "echo: hello"


@pytest.mark.asyncio
async def test_a_file_may_come_in_the_reply(stand: Stand) -> None:
    dispatcher = Dispatcher()

    @dispatcher.message()
    async def show(message: Message) -> Any:
        return message.answer_photo(BufferedInputFile(PHOTO.content, "photo.png"), caption="Here")

    app = web.Application()
    SimpleRequestHandler(dispatcher, stand.bot, handle_in_background=False).register(app, "/hook")
    async with TestServer(app) as server:
        await stand.bot.set_webhook(str(server.make_url("/hook")))
        await stand.alice.send("hello")
        assert await stand.sandbox.until(lambda: len(stand.alice.messages()) == 2)
    shown = stand.alice.messages()[1]
    assert (shown.text, shown.raw["photo"][-1]["file_size"]) == ("Here", len(PHOTO.content))


@pytest.mark.asyncio
async def test_setting_and_deleting_a_webhook_can_drop_what_waits(stand: Stand, hook: Hook) -> None:
    await stand.alice.send("old")
    await stand.bot.set_webhook(hook.url, drop_pending_updates=True, max_connections=500, allowed_updates=["message"])
    await stand.alice.send("new")
    assert (await hook.next())[0]["message"]["text"] == "new"
    info = await stand.bot.get_webhook_info()
    assert (info.url, info.max_connections, info.allowed_updates) == (hook.url, 100, ["message"])
    _, reply = await call(stand.server.url, stand.token, "deleteWebhook")
    assert reply == {"ok": True, "result": True, "description": "Webhook was deleted"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"url": "ftp://x"}, "bad webhook: An HTTPS URL must be provided for webhook"),
        ({"url": "https://example.com", "secret_token": "a b"}, "secret token contains unallowed characters"),
        ({"url": "https://example.com", "secret_token": "a" * 257}, "secret token is too long"),
    ],
)
async def test_a_wrong_webhook_is_refused(stand: Stand, params: dict[str, Any], text: str) -> None:
    with pytest.raises(TelegramBadRequest, match=text):
        await stand.bot.set_webhook(**params)
