"""The package's modules and what each of them imports, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "aiogram_neonpay"


@dataclass(frozen=True)
class Module:
    """A module of the package.

    :ivar name: its dotted name.
    """

    name: str
    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def imports(self) -> set[str]:
        """Return modules imported when this one is; not those under ``TYPE_CHECKING`` or inside a function."""
        return {found for node in _running_statements(ast.parse(self.text)) for found in self._imported(node)}

    def _imported(self, node: ast.stmt) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{self.name} has a relative import: write the whole name"
            base = node.module or ""
            for alias in node.names:
                inside = f"{base}.{alias.name}"
                yield inside if inside in MODULE_NAMES else base


def _running_statements(tree: ast.AST) -> Iterator[ast.stmt]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from node.orelse
            continue
        if isinstance(node, ast.stmt):
            yield node
        yield from _running_statements(node)


def _modules() -> Iterator[Module]:
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path)


MODULES = list(_modules())
MODULE_NAMES = {module.name for module in MODULES}
