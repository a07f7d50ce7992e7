"""The examples as programs: started, used over HTTP, interrupted."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
PROGRAMS = ["minimal", "donations", "shop", "subscription", "demo"]
OURS = ("BOT_TOKEN", "DEMO_DB", "REDIS_URL", "SHOP_DATABASE")


class Program:
    """An example that runs, and the page it printed the address of."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.address = ""
        self.events: Iterator[bytes] = iter(())
        self.stack = ExitStack()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def wait_for_address(self) -> None:
        while (line := self.lines.get(timeout=PATIENCE)) is not None:
            if found := re.search(r"http://[\w.]+:\d+", line):
                self.address = found.group()
                self.listen()
                return
        raise AssertionError(f"it ended without an address: {self.process.communicate()[1]}")

    def listen(self) -> None:
        """Open the stream of events; it ends with the program."""
        stream = urllib.request.urlopen(f"{self.address}/sandbox/api/events", timeout=PATIENCE)
        self.stack.enter_context(stream)
        self.events = (line for line in stream if line.startswith(b"data: "))

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.address + path, timeout=PATIENCE) as response:
            body: bytes = response.read()
            return body

    def act(self, path: str, **body: object) -> Any:
        """Do something as a person of the sandbox, as its page does."""
        request = urllib.request.Request(
            f"{self.address}/sandbox/api/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return json.load(response)

    def alice(self) -> int:
        people = json.loads(self.get("/sandbox/api/state"))["users"]
        return int(next(person["id"] for person in people if person["name"] == "Alice"))

    def send(self, text: str) -> None:
        self.act(f"users/{self.alice()}/send", text=text)

    def message(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until Alice's chat has such a message of the bot."""
        alice = self.alice()
        while True:
            chat = json.loads(self.get(f"/sandbox/api/users/{alice}/messages?chat_id={alice}"))
            found = [item for item in chat["messages"] if item["author"]["id"] != alice and wanted(item)]
            if found:
                newest: dict[str, Any] = found[-1]
                return newest
            next(self.events)

    def interrupt(self) -> str:
        """Press Ctrl-C; return what it wrote to its log."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextmanager
def running(name: str, folder: Path, **environment: str) -> Iterator[Program]:
    """Start an example in a folder, where it keeps its files."""
    inherited = {key: value for key, value in os.environ.items() if key not in OURS}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / f"{name}.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
    ) as process:
        program = Program(process)
        try:
            yield program
        finally:
            process.kill()
            program.stack.close()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Program]]:
    """All examples, started at once: most of a start is importing."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(running(name, tmp_path_factory.mktemp(name))) for name in PROGRAMS}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_prints_an_address_serves_the_page_and_stops_cleanly_on_ctrl_c(
    name: str, programs: dict[str, Program]
) -> None:
    program = programs[name]
    program.wait_for_address()
    assert b"<!doctype html>" in program.get("/").lower()
    program.send("/start")
    assert program.message(lambda message: True)
    log = program.interrupt()
    assert program.process.returncode == 0
    assert "Traceback" not in log


def text_has(text: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: text in (message.get("text") or "")


@pytest.mark.slow
@pytest.mark.parametrize("place", [pytest.param("Redis", marks=pytest.mark.redis), "demo.db", "a file of its own"])
def test_the_demo_remembers_purchases_over_a_restart(
    place: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = {}
    if place == "Redis":
        redis_server: RedisServer = request.getfixturevalue("redis_server")
        settings["REDIS_URL"] = redis_server.url
    elif place != "demo.db":
        settings["DEMO_DB"] = str(tmp_path / "own.db")
    with running("demo", tmp_path, **settings) as program:
        program.wait_for_address()
        program.send("/donate")
        program.message(text_has("How much?"))
        program.act(f"users/{program.alice()}/tap", button="Give 10")
        invoice = program.message(lambda message: bool(message.get("invoice")))
        alice = program.alice()
        form = program.act(f"users/{alice}/form", message_id=invoice["id"], chat_id=alice)
        receipt = program.act(f"users/{alice}/pay", form_id=form["form_id"])
        assert receipt["ok"], receipt
        program.message(text_has("Thank you for 10"))
        program.send("/status")
        reference = program.message(text_has("Donation, 10 ⭐"))["text"].split()[-1]
        program.interrupt()
    with running("demo", tmp_path, **settings) as program:
        program.wait_for_address()
        program.send("/status")
        program.message(text_has(f"Donation, 10 ⭐\n{reference}"))
        program.send(f"/refund {reference}")  # Redis remembers the charge, the new sandbox has never heard of it
        program.message(text_has("CHARGE_NOT_FOUND. Asking again will not help"))
        log = program.interrupt()
    assert program.process.returncode == 0
    assert "kept in memory" not in log
    files = {
        "Redis": {"demo-shop.db"},
        "demo.db": {"demo.db", "demo-shop.db"},
        "a file of its own": {"own.db", "own-shop.db"},
    }
    assert {path.name for path in tmp_path.iterdir()} == files[place]
    if place == "Redis":
        with redis_server.client() as client:
            assert any(key.startswith("np:") for key in client.scan_iter())
