from __future__ import annotations

import signal
import socket
import subprocess
import sys

import aiohttp
import pytest
from aiogram import Bot
from aiogram.client.default import DefaultBotProperties

from aiogram_neonpay.sandbox import DemoUser, Sandbox, SandboxError, SandboxServer, serve_dispatcher
from tests.sandbox.shop import make_shop

PROGRAM = """
from aiogram_neonpay.sandbox import run_sandbox
from tests.sandbox.shop import make_shop

run_sandbox(make_shop(), port={port})
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_program_prints_its_address_takes_a_free_port_and_stops_cleanly(stop: signal.Signals) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        program = PROGRAM.format(port=taken.getsockname()[1])
        with subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "\n"
            address = process.stdout.readline()
            assert "http://127.0.0.1:" in address and str(taken.getsockname()[1]) not in address
            process.send_signal(stop)
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.asyncio
async def test_a_dispatcher_is_served_from_the_first_line_of_the_block() -> None:
    async with serve_dispatcher(make_shop(), users=[DemoUser("Zoe", 60)], group="Club") as running:
        zoe = running.users["Zoe"]
        await zoe.send("/donate")
        assert await zoe.tap("50") == "Here is your donation"
        receipt = await zoe.pay()
        assert (receipt.ok, zoe.balance, running.sandbox.bot_balance()) == (True, 10, 50)
        assert running.group is not None and running.group.title == "Club"
    assert running.polling.done()


@pytest.mark.asyncio
async def test_a_programs_own_bot_is_served_under_its_token() -> None:
    own = Bot("123456:of_the_program")
    session = own.session
    async with serve_dispatcher(make_shop(), bot=own) as running:
        assert (running.bot, running.token) == (own, own.token)
        alice = running.users["Alice"]
        await alice.send("/donate")
        assert await alice.tap("50") == "Here is your donation"
        await own.send_message(alice.id, "By name")
        assert alice.messages()[-1].text == "By name"
    assert own.session is session
    with pytest.raises(SandboxError, match="bot_defaults must be left out beside bot"):
        async with serve_dispatcher(make_shop(), bot=own, bot_defaults=DefaultBotProperties()):
            pass


def test_a_token_has_the_form_and_the_id_of_a_bot() -> None:
    sandbox = Sandbox()
    assert sandbox.create_bot("first_bot", token="42:own") == "42:own"
    for token, words in (
        ("42:other", "the id 42 of the token is somebody else's"),
        ("me", "a bot's token is a number"),
    ):
        with pytest.raises(SandboxError, match=words):
            sandbox.create_bot("second_bot", token=token)


@pytest.mark.asyncio
async def test_paying_right_after_asking_waits_for_the_new_invoice() -> None:
    async with serve_dispatcher(make_shop(), users=[DemoUser("Zoe", 60)]) as running:
        zoe = running.users["Zoe"]
        await zoe.send("/donate")
        for amount in ("10", "1"):
            await zoe.tap(f"⭐ {amount}")
            assert (await zoe.pay()).amount == int(amount)


@pytest.mark.asyncio
async def test_the_control_api_plays_a_person() -> None:
    async with (
        serve_dispatcher(make_shop()) as running,
        aiohttp.ClientSession(f"{running.server.url}/sandbox/api/") as session,
    ):

        async def post(path: str, **body: object) -> tuple[int, dict[str, object]]:
            async with session.post(path, json=body) as response:
                return response.status, await response.json()

        _, link_maker = await post("users", name="Carol", stars=30, language_code="ru")
        me = link_maker["id"]
        assert (await post(f"users/{me}/send", text="/start"))[0] == 200
        carol = running.sandbox.user(int(str(me)))
        assert await running.sandbox.until(lambda: len(carol.messages()) == 2)
        message_id = carol.messages()[1].id
        _, tapped = await post(f"users/{me}/tap", message_id=message_id, row=0, column=0)
        assert tapped["text"] == "Here is your premium"
        assert await running.sandbox.until(lambda: len(carol.messages()) == 3)
        _, form = await post(f"users/{me}/form", message_id=carol.messages()[2].id)
        _, receipt = await post(f"users/{me}/pay", form_id=form["form_id"])
        assert receipt["ok"] is True and carol.balance == 5
        assert await post("refund", charge_id=receipt["transaction_id"]) == (200, {"refunded": True})
        assert carol.balance == 30
        status, refused = await post("refund", charge_id=receipt["transaction_id"])
        assert (status, refused["error"]) == (400, "Bad Request: CHARGE_ALREADY_REFUNDED")
        status, refused = await post(f"users/{me}/send", text=5)
        assert (status, refused["error"]) == (400, "the field 'text' must be a string")
        assert (await post("users/1/send", text="x"))[0] == 400


@pytest.mark.asyncio
async def test_the_event_stream_tells_what_happens_and_ends_with_the_server() -> None:
    sandbox = Sandbox()
    sandbox.create_bot("a_bot")
    alice = sandbox.create_user("Alice")
    async with SandboxServer(sandbox) as server, aiohttp.ClientSession() as session:
        stream = await session.get(f"{server.url}/sandbox/api/events")
        assert await stream.content.readline() == b"retry: 1000\n"
        await alice.send("hello")
        seen = b"".join([await stream.content.readline() for _ in range(4)])
        assert b'"type": "update"' in seen and b'"type": "message"' in seen
        await server.stop()
        assert (await stream.content.read()).strip() == b""
