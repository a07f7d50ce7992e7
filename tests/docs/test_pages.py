"""Links lead somewhere, and pages that list things list all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import aiogram_neonpay
from aiogram_neonpay import errors
from tests.docs.pages import PAGES, ROOT, anchors, links

WRITTEN = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_files_resolve(page: Path) -> None:
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(file), target


def test_the_readme_leads_to_every_page() -> None:
    readme = {target.partition("#")[0] for target in links(ROOT / "README.md")}
    missing = [page.name for page in PAGES[1:] if f"docs/{page.name}" not in readme]
    assert missing == []


def test_every_error_has_its_heading() -> None:
    headings = anchors(ROOT / "docs" / "errors.md")
    assert {name.lower() for name in errors.__all__} <= headings


def test_the_map_of_the_code_names_every_module() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = Path(aiogram_neonpay.__file__).parent
    modules = [*package.glob("*.py"), *(package / "ledger").glob("*.py")]
    missing = [path.name for path in modules if path.name != "__init__.py" and f"`{path.name}`" not in page]
    assert missing == []
