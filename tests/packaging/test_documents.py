"""Python in the documents is Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.packaging.source import ROOT

FENCE = re.compile(r"^(?P<indent>[ ]*)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def snippets(document: Path) -> list[tuple[int, str]]:
    """Return (first line, code) of every Python block."""
    text = document.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start("code")) + 1, re.sub(f"(?m)^{found['indent']}", "", found["code"]))
        for found in FENCE.finditer(text)
    ]


CASES = [
    pytest.param(code, id=f"{document.relative_to(ROOT)}:{line}")
    for document in DOCUMENTS
    for line, code in snippets(document)
]


def test_there_are_documents_with_snippets() -> None:
    assert CASES


@pytest.mark.parametrize("code", CASES)
def test_a_snippet_parses(code: str) -> None:
    # Top-level await is allowed: short snippets leave out the coroutine round them.
    compile(code, "<snippet>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
