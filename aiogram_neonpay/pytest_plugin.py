"""The pytest plugin: the fixtures ``neonpay_sandbox`` and ``neonpay_dispatcher``.

pytest loads this module in every project of an environment, so it imports nothing but pytest until a fixture is used.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aiogram import Dispatcher

    from aiogram_neonpay.testing import BotSandbox, SandboxOptions

MARKER = "neonpay"
_KEY = "neonpay_sandbox"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(http=False, seed=None, patience=5.0, ...): how the sandbox of this test is made; the names are the "
        "fields of aiogram_neonpay.testing.SandboxOptions",
    )


@pytest.fixture
def neonpay_dispatcher() -> Dispatcher:
    """The dispatcher of the bot under test. Override it: return the ``Dispatcher`` that your program runs."""
    pytest.fail(
        "neonpay_sandbox does not know your bot yet: define a fixture neonpay_dispatcher, in this file or in "
        "conftest.py, that returns its Dispatcher",
        pytrace=False,
    )


@pytest.fixture
def neonpay_options() -> SandboxOptions:
    """How sandboxes are made, as ``aiogram_neonpay.testing.SandboxOptions``. Override it to choose."""
    from aiogram_neonpay.testing import SandboxOptions

    return SandboxOptions()


@pytest.fixture
def neonpay_sandbox(
    request: pytest.FixtureRequest, neonpay_dispatcher: Dispatcher, neonpay_options: SandboxOptions
) -> Iterator[BotSandbox]:
    """A sandbox with the bot in it, new for each test: ``aiogram_neonpay.testing.BotSandbox``."""
    from aiogram import Dispatcher

    from aiogram_neonpay.testing import BotSandbox
    from aiogram_neonpay.testing.strays import kept_home

    if not inspect.iscoroutinefunction(request.function):
        pytest.fail(
            f"neonpay_sandbox needs an asynchronous test, and {request.function.__name__} is not: write "
            "`async def`, and let pytest-asyncio (@pytest.mark.asyncio, or asyncio_mode = auto) or anyio "
            "(@pytest.mark.anyio) run it",
            pytrace=False,
        )
    if not isinstance(neonpay_dispatcher, Dispatcher):
        kind = type(neonpay_dispatcher).__name__
        pytest.fail(
            f"the fixture neonpay_dispatcher must return an aiogram Dispatcher, not {kind}",
            pytrace=False,
        )
    sandbox = BotSandbox(neonpay_dispatcher, _chosen(request, neonpay_options))
    with kept_home():
        yield sandbox
    sandbox.release()


def _chosen(request: pytest.FixtureRequest, options: SandboxOptions) -> SandboxOptions:
    """Return the options with what markers say, the nearest one last."""
    for marker in reversed(list(request.node.iter_markers(MARKER))):
        if marker.args:
            pytest.fail(f"@pytest.mark.{MARKER} takes names only, such as http=True", pytrace=False)
        known = [field.name for field in dataclasses.fields(options)]
        for name in marker.kwargs:
            if name not in known:
                pytest.fail(f"@pytest.mark.{MARKER} has no {name!r}: there are {', '.join(known)}", pytrace=False)
        options = dataclasses.replace(options, **marker.kwargs)
    return options


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Start the sandbox of a test before its body, and close it after, in the event loop that runs the body.

    Whatever plugin runs it: a fixture of ours would have to be made for one of them, and run in its loop.
    """
    sandbox: BotSandbox | None = getattr(item, "funcargs", {}).get(_KEY)
    if sandbox is None or not isinstance(item, pytest.Function):
        return (yield)
    body = item.obj
    item.obj = _within(sandbox, body)
    try:
        return (yield)
    finally:
        item.obj = body
        if sandbox.errors:  # shown where the test fails, behind what was logged
            raised = "\n".join(f"{type(error).__name__}: {error}" for error in sandbox.errors)
            item.add_report_section("call", "errors of the bot's handlers,", raised)


def _within(sandbox: BotSandbox, body: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(body)
    async def test(*args: Any, **kwargs: Any) -> Any:
        async with sandbox:
            return await body(*args, **kwargs)

    return test
