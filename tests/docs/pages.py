"""The pages of the documentation, taken apart: code blocks, headings, links.

A comment on the line before a ```python fence says how it is run:

``<!-- prelude -->``        it runs before every later block of its page, which may use its names
``<!-- no-run: reason -->`` it cannot run here
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^(?:<!-- (?P<mark>.*?) -->\n)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_IMAGE = re.compile(r'<img src="([^"]+)"')
_HEADING = re.compile(r"^#+ +(?P<text>.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One Python block.

    :ivar line: where its code begins.
    :ivar before: the preludes of its page, up to it.
    """

    page: Path
    line: int
    code: str
    mark: str
    before: tuple[Block, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def runs(self) -> bool:
        return not self.mark.startswith("no-run: ")


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    preludes: list[Block] = []
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start("code")) + 1
        block = Block(page, line, fence["code"], fence["mark"] or "", tuple(preludes))
        found.append(block)
        if block.mark == "prelude":
            preludes.append(block)
    return found


def links(page: Path) -> list[str]:
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    return [*_LINK.findall(text), *_IMAGE.findall(text)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")
        for heading in _HEADING.findall(text)
    }


BLOCKS = [block for page in PAGES for block in blocks(page)]
