"""The server lives through what no good client does: endless bodies, connections that ask for nothing, slow readers."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from aiogram_neonpay.sandbox import Rules, Sandbox, SandboxServer, callrecord, rules, signals, updates, world
from aiogram_neonpay.sandbox.http import connections, control
from aiogram_neonpay.sandbox.http.botapi import BODY_BYTES
from aiogram_neonpay.sandbox.http.logs import SERVER_LOG
from tests.sandbox.conftest import Stand
from tests.sandbox.raw import call
from tests.sandbox.sockets import exchange, head, status

MULTIPART = "multipart/form-data; boundary=b"
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


async def alive(stand: Stand) -> bool:
    """Tell whether the server still serves, on a connection of its own."""
    return await status(stand.server, head("GET", f"/bot{stand.token}/getMe")) == 200


def chunked(parts: Iterator[bytes]) -> Iterator[bytes]:
    for part in parts:
        yield b"%x\r\n%b\r\n" % (len(part), part)


def repeated(first: bytes, again: bytes) -> Iterator[bytes]:
    yield first
    for _ in range(4 * BODY_BYTES // len(again)):
        yield again


ENDLESS: list[tuple[str, bytes, bytes]] = [
    (JSON, b'{"text": "', b"x" * 65536),
    (FORM, b"text=", b"x" * 65536),
    (MULTIPART, b'--b\r\nContent-Disposition: form-data; name="t"\r\n\r\n', b"x" * 65536),
    (MULTIPART, b"", b'--b\r\nContent-Disposition: form-data; name="t"\r\nX-Y: ' + b"y" * 8000 + b"\r\n\r\n\r\n"),
    (MULTIPART, b"--b\r\n", b"X-Y: " + b"y" * 4000 + b"\r\n"),
    (MULTIPART, b"", b"no boundary at all\r\n" * 1000),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "first", "again"), ENDLESS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_body_without_end_is_cut_off(stand: Stand, method: str, kind: str, first: bytes, again: bytes) -> None:
    start = head(method, f"/bot{stand.token}/sendMessage", Content_Type=kind, Transfer_Encoding="chunked")
    answer = await exchange(stand.server, start + b"".join(chunked(repeated(first, again))))
    assert answer.split(b" ")[1] in (b"413", b"400"), answer[:200]
    if again.startswith(b"x"):
        assert b'"error_code": 413, "description": "Request Entity Too Large"' in answer
    assert await alive(stand)


@pytest.mark.asyncio
async def test_the_control_api_says_how_large_a_body_may_be(stand: Stand) -> None:
    body = b'{"text": "' + b"x" * BODY_BYTES + b'"}'
    path = f"/sandbox/api/users/{stand.alice.id}/send"
    answer = await exchange(stand.server, head("POST", path, Content_Type=JSON, Content_Length=str(len(body))) + body)
    assert answer.startswith(b"HTTP/1.1 413") and b"at most 2097152 bytes" in answer


@pytest.mark.asyncio
async def test_a_body_that_unpacks_to_too_much_is_refused(stand: Stand) -> None:
    bomb = gzip.compress(b'{"text": "' + b" " * (64 * BODY_BYTES) + b'"}')
    headers = {"Content_Type": JSON, "Content_Encoding": "gzip", "Content_Length": str(len(bomb))}
    request = head("POST", f"/bot{stand.token}/sendMessage", **headers) + bomb
    assert await status(stand.server, request) in (400, 413)
    packed = gzip.compress(b'{"chat_id": %d, "text": "packed"}' % stand.alice.id)
    request = head("POST", f"/bot{stand.token}/sendMessage", **{**headers, "Content_Length": str(len(packed))}) + packed
    assert await status(stand.server, request) == 200


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, b'{"text": "\xff"}'),
        (FORM, b"text=\xff\xfe"),
        (FORM + "; charset=nonsense", b"text=x"),
        (JSON + "; charset=nonsense", b"{}"),
        ("multipart/form-data", b"--b--"),
        (MULTIPART, b"--b\r\n\r\n"),
        (
            MULTIPART,
            b'--b\r\nContent-Disposition: form-data; name="t"\r\nContent-Transfer-Encoding: x\r\n\r\n1\r\n--b--',
        ),
        (MULTIPART, b"--b\r\nContent-Type: multipart/mixed\r\n\r\n--b--"),
        ("application/octet-stream", b"\0" * 100),
        ("//", b"x"),
    ],
)
async def test_bodies_that_are_not_what_they_say_are_refused(
    stand: Stand, kind: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for path, expected in ((f"/bot{stand.token}/sendMessage", {400}), ("/sandbox/api/clock", {200, 400, 403})):
        request = head("POST", path, Content_Type=kind, Content_Length=str(len(body))) + body
        assert await status(stand.server, request) in expected
        packed = head("POST", path, Content_Type=kind, Content_Length=str(len(body)), Content_Encoding="gzip") + body
        assert await status(stand.server, packed) in {400, 403}
    assert caplog.records == []


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # somebody speaks TLS
    b"GET\r\n\r\n",
    b"GET /bot{token}/getMe\r\n\r\n",
    b"GET /bot{token}/getMe HTTP/9.9\r\n\r\n",
    b"GE\x00T /bot{token}/getMe HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /bot{token}/get\x01Me HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST /bot{token}/getMe HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /bot{token}/getMe HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /bot{token}/getMe HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /bot{token}/getMe HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {token}\x00\r\n\r\n",
    b"GET /bot{token}/getMe HTTP/1.1\r\n: nameless {token}\r\n\r\n",
    b"GET /" + b"x" * 300_000 + b"{token} HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {token}" + b"x" * 300_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: {token}\r\n" * 50_000 + b"\r\n",
]


@pytest.mark.asyncio
@pytest.mark.parametrize("request_", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING])
async def test_garbage_is_no_error_and_puts_no_token_into_the_log(
    stand: Stand, request_: bytes, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(level)
    caplog.set_level(level, SERVER_LOG.name)
    token = stand.token.encode()
    answer = await exchange(stand.server, request_.replace(b"{token}", token))
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"403")
    assert await alive(stand)
    assert stand.token not in caplog.text and stand.token.split(":")[1] not in caplog.text
    assert level == logging.DEBUG or caplog.text == ""


@pytest.mark.asyncio
async def test_an_error_of_the_sandbox_itself_is_logged_without_the_token(
    stand: Stand, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(token: str) -> None:
        raise RuntimeError(f"no bot for bot{token}/getMe")

    monkeypatch.setattr(stand.sandbox.world, "bot_by_token", fail)
    assert await status(stand.server, head("GET", f"/bot{stand.token}/getMe")) == 500
    assert "no bot for bot<token>/getMe" in caplog.text
    assert stand.token not in caplog.text


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/bot{token}/getMe", "/sandbox/api/clock"])
async def test_a_body_that_does_not_come_ends_the_connection(
    stand: Stand, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.05)
    request = head("POST", path.format(token=stand.token), Content_Type=JSON, Content_Length="100") + b"{"
    assert await exchange(stand.server, request) == b""
    assert await alive(stand)


@contextlib.asynccontextmanager
async def crowded(limit: int, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> AsyncIterator[SandboxServer]:
    monkeypatch.setattr(connections, "CONNECTIONS", limit)
    async with SandboxServer(sandbox) as server:
        yield server


@pytest.mark.asyncio
async def test_idle_connections_make_room_and_those_in_use_stay(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice")
    async with crowded(20, monkeypatch, sandbox) as server, aiohttp.ClientSession() as session:
        poll = asyncio.ensure_future(session.get(f"{server.url}/bot{token}/getUpdates", params={"timeout": "20"}))
        assert await sandbox.world.arrivals.until(lambda: sandbox.world.bots[7000000001].poll.active, 5)
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(200)]
        assert await status(server, head("GET", f"/bot{token}/getMe")) == 200
        await alice.send("still there?")
        async with await poll as response:
            assert (await response.json())["result"][0]["message"]["text"] == "still there?"
        assert await idle[0][0].read() == b""  # the oldest had to go
        for _, writer in idle:
            writer.close()


@pytest.mark.asyncio
async def test_when_all_connections_are_in_use_a_new_one_is_sent_away(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.create_bot("neon_demo_bot")
    async with crowded(3, monkeypatch, sandbox) as server, aiohttp.ClientSession() as session:
        streams = [await session.get(f"{server.url}/sandbox/api/events") for _ in range(3)]
        answer = await exchange(server, head("GET", "/"))
        assert answer.startswith(b"HTTP/1.1 503") and b"Retry-After: 1" in answer
        for stream in streams:
            stream.close()
        deadline = asyncio.get_running_loop().time() + 10
        while await status(server, head("GET", "/")) != 200:
            assert asyncio.get_running_loop().time() < deadline


@pytest.mark.asyncio
async def test_a_page_that_does_not_read_is_cut_off(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE", 0.2)
    feed = stand.sandbox.world.feed
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.server.port, limit=1024)
    writer.write(head("GET", "/sandbox/api/events"))
    await reader.readuntil(b"retry: 1000\n\n")
    for _ in range(200):  # more than the system buffers
        feed.publish("noise", text="x" * 100_000)
    assert feed.listeners == 1
    deadline = asyncio.get_running_loop().time() + 10
    while feed.listeners:
        assert await alive(stand) and asyncio.get_running_loop().time() < deadline
    writer.close()


@pytest.mark.asyncio
async def test_a_page_that_lags_too_far_behind_is_let_go(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "FEED_BACKLOG", 50)
    feed = stand.sandbox.world.feed
    async with aiohttp.ClientSession() as session, session.get(f"{stand.server.url}/sandbox/api/events") as stream:
        await stream.content.readuntil(b"\n\n")
        for _ in range(60):
            feed.publish("noise")
        assert feed.listeners == 0
        assert (await stream.read()).count(b"noise") == 50  # and then the end: the page reloads


@pytest.mark.asyncio
async def test_there_are_so_many_streams_and_no_more(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "STREAMS", 2)
    async with aiohttp.ClientSession() as session:
        url = f"{stand.server.url}/sandbox/api/events"
        first, second = await session.get(url), await session.get(url)
        async with session.get(url) as third:
            assert (third.status, await third.json()) == (503, {"error": "there are 2 streams of events already"})
        first.close()
        second.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/users/%C2%B2/send", b'{"text": "x"}'),
        ("POST", "/users/%C2%B2/contact", b"{}"),
        ("GET", "/users/%C2%B2/subscriptions", b""),
        ("POST", f"/users/{'9' * 5000}/send", b'{"text": "x"}'),
        ("POST", "/users/1000001/send", b'{"text": "\\ud800"}'),
        ("POST", "/users", b'{"name": "\\udfff"}'),
        ("POST", "/clock", b'{"seconds": 1e300}'),
        ("POST", "/clock", b'{"seconds": NaN}'),
        ("POST", "/clock", b'{"seconds": 1' + b"0" * 400 + b"}"),
        ("GET", f"/calls?since={'9' * 5000}", b""),
        ("GET", "/calls?limit=%C2%B2", b""),
        ("GET", f"/bots/7000000001/ledger?offset={'9' * 300}", b""),
        ("DELETE", "/faults/%C2%B2", b""),
        ("DELETE", f"/faults/{'9' * 5000}", b""),
    ],
)
async def test_the_control_api_refuses_what_it_cannot_read(stand: Stand, method: str, path: str, body: bytes) -> None:
    headers = {"Content_Type": JSON, "Content_Length": str(len(body))} if body else {}
    answer = await exchange(stand.server, head(method, f"/sandbox/api{path}", **headers) + body)
    assert answer.startswith(b"HTTP/1.1 400"), answer[:300]


@pytest.mark.asyncio
async def test_so_many_updates_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rules.QUEUE_LENGTH == 100_000
    monkeypatch.setattr(updates, "QUEUE_LENGTH", 50)
    sandbox = Sandbox(rules=Rules(polling_brake=False))
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice")
    for number in range(60):
        await alice.send(str(number))
    assert sandbox.pending_updates() == 50
    waiting = (await sandbox.call(token, "getUpdates")).body["result"]
    assert [update["message"]["text"] for update in waiting] == [str(number) for number in range(50)]


@pytest.mark.asyncio
async def test_a_chat_keeps_its_newest_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rules.MESSAGES_KEPT == 10_000
    monkeypatch.setattr(world, "MESSAGES_KEPT", 5)
    sandbox = Sandbox()
    sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice")
    for number in range(8):
        await alice.send(str(number))
    assert [message.text for message in alice.messages()] == ["3", "4", "5", "6", "7"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "value", "kept"), [("CALLS_KEPT", 4, 4), ("CALL_BYTES_KEPT", 60_000, 5)])
async def test_the_newest_calls_are_kept(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, name: str, value: int, kept: int
) -> None:
    monkeypatch.setattr(callrecord, name, value)
    for number in range(9):
        await call(stand.server.url, stand.token, "sendMessage", chat_id=5, text=f"{number}" + "x" * 10_000)
    assert [made.params["text"][0] for made in stand.sandbox.calls] == [str(n) for n in range(9 - kept, 9)]
    assert stand.sandbox.world.calls.made == 9
