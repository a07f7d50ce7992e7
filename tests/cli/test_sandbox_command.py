"""``python -m aiogram_neonpay sandbox``, as somebody at a terminal meets it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from aiogram_neonpay.cli import main
from tests.redis_server import has_redis

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "aiogram_neonpay", "sandbox"]


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_what_was_asked_for_and_stops_cleanly(stop: signal.Signals) -> None:
    options = ["--port", "0", "--bot", "first_bot", "--bot", "@second_bot", "--user", "Zoe:50:pt-br", "--group", "Club"]
    options += ["--seed", "7", "--clock", "2027-01-31T12:00:00Z", "--stopped"]
    redis = has_redis() and stop is signal.SIGTERM
    with subprocess.Popen(
        [*COMMAND, *options, *(["--redis"] if redis else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        printed = ""
        while "Ctrl-C stops it" not in printed:
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            printed += line
        try:
            page = re.search(r"open: (http://127\.0\.0\.1:\d+)/", printed)
            assert page is not None and "These tokens open nothing but this sandbox" in printed
            bases = re.findall(r"Bot API +(\S+)", printed)
            names = [ask(f"{base}getMe")["result"]["username"] for base in bases]
            assert names == ["first_bot", "second_bot"]
            state = ask(f"{page[1]}/sandbox/api/state")
            assert state["now"] == 1_801_396_800
            (zoe,) = state["users"]
            assert (zoe["name"], zoe["stars"], zoe["language_code"]) == ("Zoe", 50, "pt-br")
            chats = ask(f"{page[1]}/sandbox/api/users/{zoe['id']}/chats")
            assert "Club" in json.dumps(chats)
            if redis:
                address = re.search(r"redis://\S+", printed)
                assert address is not None
                with Redis.from_url(address[0]) as client:
                    assert client.ping() and client.dbsize() == 0
        finally:
            process.send_signal(stop)
            _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    if redis:
        assert address is not None
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", int(address[0].split(":")[2][:-2]))):
            pass


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "70000"], "a port is a whole number from 0 to 65535, not '70000'"),
        (["--port", "-1"], "a port is a whole number from 0 to 65535, not '-1'"),
        (["--bot", "shop"], "ends in 'bot'; not 'shop'"),
        (["--bot", "a_bot", "--bot", "@a_bot"], "there are two bots named 'a_bot'"),
        (["--user", "Zoe"], "a person is NAME:STARS or NAME:STARS:LANGUAGE"),
        (["--user", "Zoe:-5"], "not 'Zoe:-5'"),
        (["--user", "Zoe:5:!"], "a language is a code such as en or pt-br, not '!'"),
        (["--user", "Zoe:5", "--user", "Zoe:6"], "there are two people named 'Zoe'"),
        (["--clock", "tomorrow"], "a time is written as 2027-01-31 or 2027-01-31T12:00:00Z, not 'tomorrow'"),
        (["--seed", "x"], "invalid int value: 'x'"),
    ],
)
def test_arguments_without_sense_are_refused_by_name(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sandbox", *options])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_a_public_address_needs_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "--host", "0.0.0.0", "--port", "0"]) == 1
    assert "add --allow-public" in capsys.readouterr().err


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["sandbox", "--port", str(port)]) == 1
    assert f"port {port} of 127.0.0.1 is in use: choose another with --port" in capsys.readouterr().err


def test_a_missing_redis_server_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["sandbox", "--port", "0", "--redis"]) == 1
    assert "there is no redis-server on PATH" in capsys.readouterr().err


def test_without_a_command_the_commands_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "run a stand-in for Telegram's servers" in capsys.readouterr().out
