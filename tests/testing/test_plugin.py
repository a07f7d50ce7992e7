"""The pytest plugin, run by pytest itself: whatever runs the asynchronous tests, and what it costs those without it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from aiogram_neonpay.sandbox import SandboxError
from aiogram_neonpay.testing import BotSandbox
from tests.redis_server import ALL
from tests.testing.shop import Shop

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "aiogram_neonpay.pytest_plugin"
BEGIN = """
import pytest
from tests.testing.shop import Shop

shop = Shop()  # one for the module, as a program has it
dp = shop.dp


@pytest.fixture
def neonpay_dispatcher():
    return dp


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    yield
    assert not dp.storage.storage and shop.pay._shop.bots == []
    assert not shop.pay._installation.feed.has_context and not shop.pay._installation.feed.tasks
"""
STRICT = "import pytest_asyncio\npytestmark = pytest.mark.asyncio\nfixture = pytest_asyncio.fixture\n"
AUTO = "fixture = pytest.fixture\n"
ANYIO = """
pytestmark = pytest.mark.anyio
fixture = pytest.fixture


@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
TESTS = """
import asyncio


@fixture
async def alice(neonpay_sandbox):
    person = neonpay_sandbox.user("Alice", stars=30)
    await person.send("/premium")
    return person


async def buys(neonpay_sandbox):
    alice = neonpay_sandbox.user("Alice", stars=30, language_code="ru")
    assert await shop.pay.history(alice.id) == []
    await alice.send("/state")
    assert neonpay_sandbox.calls.send_message.last.text == "state: None"
    await alice.send("/form")
    await alice.send("/premium")
    receipt = await alice.pay()
    assert receipt.ok and receipt.transaction_id
    assert neonpay_sandbox.calls.send_invoice.last.title == "Premium"
    assert [payment.amount for payment in await shop.pay.history(alice.id)] == [25]
    await neonpay_sandbox.repeat_update(receipt)
    await neonpay_sandbox.refund(receipt)
    await neonpay_sandbox.advance(days=30)
    await neonpay_sandbox.settle()
    assert [call.text for call in neonpay_sandbox.calls.send_message][-2:] == [
        "Delivered premium, attempt 1", "Refunded premium",
    ]


async def test_one(neonpay_sandbox):
    await buys(neonpay_sandbox)


async def test_two(neonpay_sandbox):
    await buys(neonpay_sandbox)


async def test_an_asynchronous_fixture_may_act_first(alice, neonpay_sandbox):
    assert len(neonpay_sandbox.calls.send_invoice) == 1
    assert (await alice.pay()).ok


@pytest.mark.neonpay(http=True, username="served_bot")
async def test_over_http(neonpay_sandbox):
    assert neonpay_sandbox.url.startswith("http://127.0.0.1:")
    assert (await neonpay_sandbox.bot.me()).username == "served_bot"
    await buys(neonpay_sandbox)


class TestInAClass:
    async def test_one(self, neonpay_sandbox):
        await buys(neonpay_sandbox)


@pytest.mark.parametrize("stars", [25, 1])
async def test_with_parameters(neonpay_sandbox, stars):
    alice = neonpay_sandbox.user("Alice", stars)
    await alice.send("/premium")
    assert (await alice.pay()).ok is (stars == 25)
"""
BACKWARDS = """
def pytest_collection_modifyitems(items):
    items.reverse()
"""


def run(folder: Path, code: str, *options: str, conftest: str = "") -> tuple[dict[str, int], str]:
    """Run a module of tests with pytest in a process of its own, and return how they ended."""
    (folder / "test_bot.py").write_text(code, encoding="utf-8")
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider", "-rA", *options]
    if "no:asyncio" not in options:
        command += ["-o", "asyncio_default_fixture_loop_scope=function"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, cwd=ROOT, env=environment)
    lines = done.stdout.splitlines()
    outcomes = {
        word: sum(line.startswith(f"{word} ") for line in lines) for word in ("PASSED", "FAILED", "ERROR", "SKIPPED")
    }
    return {word: number for word, number in outcomes.items() if number}, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("begin", "options", "conftest"),
    [
        pytest.param(STRICT, ["--asyncio-mode=strict"], "", id="pytest-asyncio, strict"),
        pytest.param(STRICT, ["--asyncio-mode=strict"], BACKWARDS, id="the other way round"),
        pytest.param(AUTO, ["--asyncio-mode=auto"], "", id="pytest-asyncio, auto"),
        pytest.param(ANYIO, ["--asyncio-mode=strict"], "", id="anyio beside pytest-asyncio"),
        pytest.param(ANYIO, ["-p", "no:asyncio"], "", id="anyio alone"),
    ],
)
def test_tests_run_whatever_runs_them(tmp_path: Path, begin: str, options: list[str], conftest: str) -> None:
    if begin is ANYIO:
        pytest.importorskip("anyio")
    outcomes, output = run(tmp_path, BEGIN + begin + TESTS, *options, conftest=conftest)
    assert outcomes == {"PASSED": 7}, output


def test_one_loop_for_a_module_serves_its_tests(tmp_path: Path) -> None:
    begin = "import pytest_asyncio\npytestmark = pytest.mark.asyncio(loop_scope='module')\n"
    fixture = "fixture = pytest_asyncio.fixture(loop_scope='module')\n"
    outcomes, output = run(tmp_path, BEGIN + begin + fixture + TESTS)
    assert outcomes == {"PASSED": 7}, output


MISUSED = """
def test_a_synchronous_test(neonpay_sandbox): ...

@pytest.mark.asyncio
@pytest.mark.neonpay(htpp=True)
async def test_a_misspelt_option(neonpay_sandbox): ...

@pytest.mark.asyncio
@pytest.mark.neonpay(True)
async def test_an_option_without_a_name(neonpay_sandbox): ...

@pytest.mark.asyncio
async def test_another_loop(elsewhere, neonpay_sandbox):
    ...

@pytest.mark.asyncio
@pytest.mark.skip
async def test_skipped(neonpay_sandbox): ...

@pytest.mark.asyncio
async def test_a_setup_that_fails(neonpay_sandbox, broken): ...

@pytest.mark.asyncio
async def test_a_failing_test(neonpay_sandbox):
    assert False, "as it should"

@pytest.mark.asyncio
async def test_a_handler_that_raises(neonpay_sandbox):
    alice = neonpay_sandbox.user("Alice")
    await alice.send("/break")
    assert alice.messages()[-1].from_bot

@pytest.mark.asyncio
async def test_a_bot_that_is_elsewhere(neonpay_sandbox):
    from aiogram import Bot

    await Bot("123456:real").send_message(1, "Hello")

@pytest_asyncio.fixture(loop_scope="session")
async def elsewhere(neonpay_sandbox):
    await neonpay_sandbox.user("Alice").send("/menu")

@pytest_asyncio.fixture
async def broken(neonpay_sandbox):
    await neonpay_sandbox.user("Alice").send("/menu")
    raise RuntimeError("the fixture broke")
"""


def test_misuse_is_told_in_words_and_leaves_nothing_behind(tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, "import pytest_asyncio\n" + BEGIN + MISUSED, "-p", "no:logging")
    assert "neonpay_sandbox needs an asynchronous test, and test_a_synchronous_test is not" in output
    assert "@pytest.mark.neonpay has no 'htpp': there are http, username," in output
    assert "@pytest.mark.neonpay takes names only" in output
    assert "this sandbox was started in another event loop" in output
    assert re.search(r"errors of the bot's handlers, call -+\nKeyError: 'broken on purpose'\n", output)
    assert "a Bot that is not in the sandbox (id 123456) was to call sendMessage at Telegram" in output
    assert outcomes == {"ERROR": 4, "FAILED": 4, "SKIPPED": 1}, output


WITHOUT = """
import pytest

@pytest.mark.asyncio
async def test_without_a_bot(neonpay_sandbox): ...

class TestAnother:
    @pytest.fixture
    def neonpay_dispatcher(self):
        return 5

    @pytest.mark.asyncio
    async def test_with_another_thing(self, neonpay_sandbox): ...
"""


def test_a_missing_dispatcher_is_asked_for(tmp_path: Path) -> None:
    outcomes, output = run(tmp_path, WITHOUT)
    assert outcomes == {"ERROR": 2}
    assert "define a fixture neonpay_dispatcher" in output
    assert "must return an aiogram Dispatcher, not int" in output


def test_projects_without_bots_pay_nothing_for_the_plugin() -> None:
    code = f"import sys, pytest; import {PLUGIN}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert not done.returncode, done.stderr
    loaded = done.stdout.split()
    assert [name for name in loaded if name.partition(".")[0] == "aiogram_neonpay"] == ["aiogram_neonpay", PLUGIN]
    assert {"aiogram", "aiohttp", "asyncio", "pydantic"}.isdisjoint(loaded)


def test_pytest_finds_the_plugin_where_the_package_is_installed() -> None:
    try:
        points = distribution("aiogram-neonpay").entry_points
    except PackageNotFoundError:
        if ALL:
            raise
        pytest.skip("the package is not installed here")
    assert [point.value for point in points if point.group == "pytest11"] == [PLUGIN]


def test_a_sandbox_belongs_to_one_event_loop() -> None:
    sandbox = BotSandbox(Shop().dp)
    alice = sandbox.user("Alice")

    async def use() -> None:
        await alice.send("/menu")

    asyncio.run(use())
    with pytest.raises(SandboxError, match="another event loop"):
        asyncio.run(use())
    sandbox.release()
