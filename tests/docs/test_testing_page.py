"""The tests that the documents show are run by pytest, as a reader would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks

PLUGIN = "aiogram_neonpay.pytest_plugin"


def module_of(page: Path) -> str:
    """Return a page's bot and tests as one module; blocks that await at their top level are none."""
    return "\n\n".join(block.code for block in blocks(page) if not re.search(r"^(async with|await) ", block.code, re.M))


@pytest.mark.parametrize("page", ["docs/testing.md", "README.md"])
def test_the_tests_on_a_page_pass(page: str, tmp_path: Path) -> None:
    if page == "README.md":
        # The page's bot is made of parts; its `/buy` and its premium are what the test buys.
        parts = [block for block in blocks(ROOT / page) if "SQLiteStorage" not in block.code]
        code = "\n\n".join(block.code for block in parts if "setup_dialogs" not in block.code)
    else:
        code = module_of(ROOT / page)
    module = tmp_path / "test_page.py"
    module.write_text(code, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    options = ["-p", PLUGIN, "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(re.findall('^async def test_', code, re.M))} passed" in done.stdout
