"""Python in the documentation runs: each block is executed, its bot started, and everything it sells is bought."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.docs.pages import BLOCKS, PAGES, ROOT, Block, blocks
from tests.docs.stage import Theatre

RUNNING = [block for block in BLOCKS if block.runs]
NAMES = """\
from aiogram import Bot
from aiogram.types import Message


async def snippet(bot: Bot, user_id: int, message: Message) -> None:
"""


def test_there_are_blocks_on_the_pages() -> None:
    assert len(PAGES) > 10
    assert len(RUNNING) > 30


def test_hardly_a_block_is_exempt() -> None:
    exempt = [block.name for block in BLOCKS if not block.runs]
    assert len(exempt) <= 3, exempt


@pytest.mark.asyncio
@pytest.mark.parametrize("block", RUNNING, ids=lambda block: block.name)
async def test_a_block_runs(block: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    theatre = Theatre()
    names = await theatre.names()
    for part in (*block.before, block):
        # On the line where it stands, so that a traceback points into the page.
        await theatre.run("\n" * (part.line - 1) + part.code, str(part.page), names)
    await theatre.act(names)


def test_the_readme_begins_with_the_minimal_example() -> None:
    example = (ROOT / "examples" / "minimal.py").read_text(encoding="utf-8")
    assert blocks(ROOT / "README.md")[0].code == example


@pytest.mark.asyncio
async def test_the_readmes_first_bot_sells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    theatre = Theatre()
    names = await theatre.names()
    await theatre.run(blocks(ROOT / "README.md")[0].code, "README.md", names)
    (receipt,) = await theatre.act(names)
    assert (receipt.ok, receipt.amount) == (True, 5)
    assert any("Here is your sticker" in message.text for message in theatre.buyer.messages())


@pytest.mark.slow
def test_blocks_are_typed(tmp_path: Path) -> None:
    for number, block in enumerate(BLOCKS):
        code = "".join(part.code for part in (*block.before, block))
        title = f"# {block.name}\n"
        (tmp_path / f"snippet_{number}.py").write_text(title + NAMES + textwrap.indent(code, "    "), encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
