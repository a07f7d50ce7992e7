"""The rows of the result and how they are printed."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Row:
    """One line: what was measured, the figure, what it should be, and its cost in microseconds where it has one."""

    what: str
    figure: str = ""
    bar: str = ""
    cost: str = ""


def render(title: str, rows: list[Row]) -> str:
    """Return the rows as aligned text under a title."""
    cells = [astuple(row) for row in (Row(title, "measured", "bar", "CPU"), *rows)]
    widths = [max(len(cell[column]) for cell in cells) for column in range(4)]
    lines = ["  ".join([cell[0].ljust(widths[0]), *map(str.rjust, cell[1:], widths[1:])]).rstrip() for cell in cells]
    return "\n".join([lines[0], "-" * (sum(widths) + 6), *lines[1:]])
