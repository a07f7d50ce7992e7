"""What a webhook may answer, and where it may be: nothing of it stops the pushing, or runs what Telegram would not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.sandbox.conftest import Stand
from tests.sandbox.test_webhooks import Hook, hook

__all__ = ["hook"]

NEST = "[" * 100_000


async def sent(stand: Stand) -> list[str]:
    """Wait until the update is confirmed and its reply run; return what the bot has written."""
    assert await stand.sandbox.world.arrivals.until(lambda: stand.sandbox.pending_updates() == 0, 5)
    return [message.text for message in stand.alice.messages() if message.from_bot]


@pytest.mark.asyncio
async def test_a_redirect_is_a_failure_and_not_followed(stand: Stand, hook: Hook) -> None:
    async def elsewhere() -> web.Response:
        return web.Response(status=307, headers={"Location": hook.url})

    hook.answers = [elsewhere]
    await stand.bot.set_webhook(hook.url)
    await stand.alice.send("hello")
    first, _ = await hook.next()
    again, _ = await hook.next()
    assert first["update_id"] == again["update_id"]
    info = await stand.bot.get_webhook_info()
    assert info.last_error_message == "Wrong response from the webhook: 307 Temporary Redirect"


@pytest.mark.asyncio
async def test_a_reply_that_comes_in_pieces_is_run(stand: Stand, hook: Hook) -> None:
    body = b'{"method": "sendMessage", "chat_id": %d, "text": "%s"}' % (stand.alice.id, b"x" * 4000)

    async def pieces() -> web.Response:
        async def body_in_pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 500):
                yield body[start : start + 500]
                await asyncio.sleep(0)

        return web.Response(body=body_in_pieces(), content_type="application/json")

    hook.answers = [pieces]
    await stand.bot.set_webhook(hook.url)
    await stand.alice.send("hello")
    assert await sent(stand) == ["x" * 4000]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "reply",
    [
        {"body": NEST.encode(), "content_type": "application/json"},
        {"body": b'{"method": "sendMessage", "text": "' + b"x" * 2_000_000 + b'"}', "content_type": "application/json"},
        {"body": b"\xff\xfe", "content_type": "application/json"},
        {"body": b"no parts", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"body": b"--x\r\n" + b"A: b\r\n" * 1000, "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        {"body": b"--x", "headers": {"Content-Type": "multipart/form-data"}},
        {"body": b'{"method": ["sendMessage"]}', "content_type": "application/json"},
    ],
)
async def test_a_reply_that_cannot_be_read_is_still_a_200(
    stand: Stand, hook: Hook, reply: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    async def answer() -> web.Response:
        return web.Response(**reply)  # type: ignore[arg-type]

    hook.answers = [answer]
    await stand.bot.set_webhook(hook.url)
    await stand.alice.send("hello")
    await stand.alice.send("and again")
    assert await sent(stand) == []
    assert [(await hook.next())[0]["message"]["text"] for _ in range(2)] == ["hello", "and again"]
    assert caplog.records == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/", "http://[::1", "http://", "ftp://a.b/", "http://:80/", "http"]
)
async def test_an_address_that_leads_nowhere_is_refused(stand: Stand, url: str) -> None:
    reply = await stand.sandbox.call(stand.token, "setWebhook", {"url": url})
    assert reply.body["description"] == "Bad Request: bad webhook: An HTTPS URL must be provided for webhook"


@pytest.mark.asyncio
@pytest.mark.parametrize("url", [f"http://{'a' * 300}.invalid/", "http://..invalid/", "http://127.0.0.1:1/"])
async def test_an_address_that_does_not_answer_is_tried_again_in_peace(
    stand: Stand, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "asyncio")
    await stand.bot.set_webhook(f"{url}{stand.token}")
    await stand.alice.send("hello")
    bot = stand.sandbox.world.bots[7000000001]

    def failed() -> bool:
        return bot.webhook is not None and bot.webhook.last_error_message is not None

    assert await stand.sandbox.world.arrivals.until(failed, 5)
    assert stand.sandbox.pending_updates() == 1
    assert stand.token not in caplog.text


@pytest.mark.asyncio
async def test_setting_the_same_webhook_again_changes_nothing(stand: Stand, hook: Hook) -> None:
    async def setting(**changes: object) -> str:
        stand.sandbox.clock.advance(seconds=2)
        reply = await stand.sandbox.call(stand.token, "setWebhook", {"url": hook.url, **changes})
        return str(reply.body["description"])

    assert await setting() == "Webhook was set"
    assert await setting() == "Webhook is already set"
    assert await setting(max_connections=3) == "Webhook was set"
    assert await setting(max_connections=3, secret_token="x") == "Webhook was set"
    assert await setting(max_connections=3, secret_token="x", drop_pending_updates=True) == "Webhook was set"
