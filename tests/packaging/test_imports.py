"""Every module can be imported first, quietly, and brings nothing heavy along."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest

from tests.packaging.source import MODULE_NAMES, ROOT

# Optional packages, and what only tests need.
HEAVY = ["aiogram_dialog", "babel", "hypothesis", "playwright", "pytest", "redis"]
IMPORTABLE = sorted(name for name in MODULE_NAMES if not name.endswith(".__main__"))


@cache
def problems() -> dict[str, str]:
    """Import every module, each without the others having been imported, and return what went wrong with it."""
    command = [sys.executable, "-m", "tests.packaging.import_each", *IMPORTABLE]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert not done.returncode, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter in which warnings are errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("name", IMPORTABLE)
def test_a_module_can_be_imported_alone_without_a_warning(name: str) -> None:
    assert not problems()[name], problems()[name]


@cache
def loaded_beyond_aiogram() -> set[str]:
    """Return the modules that importing the package brings along; what aiogram itself loads is not ours to judge."""
    done = run(
        "import sys, aiogram; before = set(sys.modules)\n"
        "from aiogram_neonpay import NeonPay; print(*sorted(set(sys.modules) - before))"
    )
    assert not done.returncode, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_optional() -> None:
    loaded = {name.partition(".")[0] for name in loaded_beyond_aiogram()}

    assert "aiogram_neonpay" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_dialogs_without_aiogram_dialog_name_the_extra() -> None:
    absent = "import sys; sys.modules['aiogram_dialog'] = None\n"
    done = run(f"{absent}import aiogram_neonpay.public, aiogram_neonpay.dialogs")

    assert done.stderr.rstrip().splitlines()[-1] == (
        "ImportError: aiogram_neonpay.dialogs needs aiogram-dialog, version 2: pip install 'aiogram-neonpay[dialog]'"
    )


def test_the_sandbox_and_the_command_line_load_nothing_of_the_engine() -> None:
    done = run("import sys, aiogram_neonpay.sandbox, aiogram_neonpay.cli; print(*sys.modules)")
    assert not done.returncode, done.stderr
    ours = {name for name in done.stdout.split() if name.startswith("aiogram_neonpay.")}

    assert {name.split(".")[1] for name in ours} == {"cli", "sandbox"}


def test_importing_the_package_loads_no_web_server_and_no_sandbox() -> None:
    loaded = loaded_beyond_aiogram()

    assert "aiohttp.web" not in loaded
    assert not [name for name in loaded if name.startswith("aiogram_neonpay.sandbox")]
