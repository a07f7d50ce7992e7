from __future__ import annotations

import io
import logging
from typing import Any

import aiohttp
import pytest
from aiogram.client.telegram import TelegramAPIServer

from aiogram_neonpay.sandbox import Rules, Sandbox, SandboxServer
from tests.sandbox.conftest import Stand
from tests.sandbox.raw import INVOICE, call


@pytest.mark.asyncio
async def test_a_call_may_be_a_form_json_multipart_or_a_query_string(stand: Stand) -> None:
    url = f"{stand.server.url}/bot{stand.token}/sendInvoice"
    params = {**INVOICE, "chat_id": str(stand.alice.id)}
    multipart = aiohttp.FormData(params, default_to_multipart=True)
    async with aiohttp.ClientSession() as session:
        responses = [
            await session.get(url, params=params),
            await session.post(url, params=params),
            await session.post(url, data=params),
            await session.post(url, json=params),
            await session.post(url, data=multipart),
        ]
        for response in responses:
            assert response.status == 200
            assert (await response.json())["result"]["invoice"]["total_amount"] == 25


@pytest.mark.asyncio
async def test_method_names_have_any_case_and_the_test_environment_its_own_path(stand: Stand) -> None:
    for path in ("getme", "GETME", "test/getMe"):
        status, answer = await call(stand.server.url, stand.token, path)
        assert (status, answer["result"]["username"]) == (200, "neon_demo_bot")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("token", "method", "status", "description"),
    [
        ("7000000001:wrong", "getMe", 401, "Unauthorized"),
        ("nonsense", "getMe", 401, "Unauthorized: invalid token specified"),
        (None, "sendTelepathy", 404, "Not Found: method not found"),
        (None, "sendPoll", 400, "Bad Request: the sandbox does not support sendPoll"),
    ],
)
async def test_wrong_tokens_and_methods(
    stand: Stand, token: str | None, method: str, status: int, description: str
) -> None:
    got, answer = await call(stand.server.url, token or stand.token, method)
    assert (got, answer) == (status, {"ok": False, "error_code": status, "description": description})


@pytest.mark.asyncio
async def test_bodies_that_cannot_be_read_or_are_too_large_are_refused(stand: Stand) -> None:
    url = f"{stand.server.url}/bot{stand.token}/sendMessage"
    form = aiohttp.FormData()
    for number in range(3):
        form.add_field(f"text{number}", "x" * 900_000, content_type="text/plain")
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session:
        for body in (b"{", b"[]", b"\xff"):
            async with session.post(url, data=body, headers=headers) as response:
                assert response.status == 400
        for large in (
            session.post(url, data=io.BytesIO(b'{"text":"' + b"x" * 3_000_000 + b'"}'), headers=headers),
            session.post(url, data=form),
        ):
            async with large as response:
                assert response.status == 413


@pytest.mark.asyncio
async def test_a_429_says_when_to_come_back() -> None:
    sandbox = Sandbox(rules=Rules(polling_brake=True))
    token = sandbox.create_bot("hasty_bot")
    params = {"url": "https://example.com/hook"}
    assert (await sandbox.call(token, "setWebhook", params)).status == 200
    reply = await sandbox.call(token, "setWebhook", params)
    assert (reply.status, reply.body) == (
        429,
        {
            "ok": False,
            "error_code": 429,
            "description": "Too Many Requests: retry after 1",
            "parameters": {"retry_after": 1},
        },
    )


@pytest.mark.asyncio
async def test_calls_are_recorded_with_what_came_of_them(stand: Stand) -> None:
    await stand.invoice(25, "order-7")
    await call(stand.server.url, stand.token, "sendmessage", chat_id=1, text="x")
    await stand.bot.get_updates()
    sent, refused = stand.sandbox.calls
    assert (sent.method, sent.params["payload"], sent.error) == ("sendInvoice", "order-7", None)
    assert sent.params["prices"] == [{"label": "Premium", "amount": 25}]
    assert sent.result["invoice"]["total_amount"] == 25
    assert (refused.method, refused.result, refused.error_code) == ("sendMessage", None, 400)
    assert refused.error == "Bad Request: chat not found"


@pytest.mark.asyncio
async def test_no_token_is_logged(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await call(stand.server.url, stand.token, "getMe")
    await call(stand.server.url, "1:bad", "getMe")
    assert stand.token not in caplog.text


def test_an_address_others_can_reach_needs_a_flag(sandbox: Sandbox) -> None:
    for host in ("0.0.0.0", "192.168.1.5", "::", "example.com"):
        with pytest.raises(ValueError, match="allow_public"):
            SandboxServer(sandbox, host=host)
    SandboxServer(sandbox, host="0.0.0.0", allow_public=True)


@pytest.mark.asyncio
async def test_the_server_gives_aiogram_its_address(stand: Stand) -> None:
    assert stand.server.api == TelegramAPIServer.from_base(stand.server.url)
    assert stand.server.url == f"http://127.0.0.1:{stand.server.port}"


FOREIGN: list[tuple[str, str, dict[str, str], Any]] = [
    ("GET", "/", {"Host": "evil.example"}, None),
    ("GET", "/sandbox/api/state", {"Host": "evil.example"}, None),
    ("GET", "/sandbox/api/state", {"Origin": "https://evil.example"}, None),
    ("GET", "/sandbox/api/state", {"Sec-Fetch-Site": "cross-site"}, None),
    ("GET", "/sandbox/api/events", {"Sec-Fetch-Site": "cross-site"}, None),
    ("POST", "/sandbox/api/clock", {"Origin": "null"}, {"seconds": 5}),
    ("POST", "/sandbox/api/clock", {"Content-Type": "text/plain"}, {"seconds": 5}),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("method", "path", "headers", "body"), FOREIGN)
async def test_other_sites_reach_neither_page_nor_control(
    stand: Stand, method: str, path: str, headers: dict[str, str], body: Any
) -> None:
    before = stand.sandbox.clock.now()
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, stand.server.url + path, headers=headers, data=None if body is None else b'{"seconds": 5}'
        ) as response,
    ):
        assert response.status == 403
    assert stand.sandbox.clock.now() == before


@pytest.mark.asyncio
async def test_bot_clients_may_use_any_host_name(stand: Stand) -> None:
    url = f"{stand.server.url}/bot{stand.token}/getMe"
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Host": "sandbox:80"}) as response:
        assert response.status == 200
