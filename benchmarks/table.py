"""The tables of the result and how they are printed."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class Row:
    """One line: what was measured, the figure, what it should be, and what one item cost where that is known.

    A cost is CPU time unless it says otherwise.
    """

    what: str
    figure: str = ""
    bar: str = ""
    cost: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under a title."""

    title: str
    rows: list[Row]

    def __str__(self) -> str:
        cells = [astuple(row) for row in (Row(self.title, "measured", "bar", "cost"), *self.rows)]
        widths = [max(len(cell[column]) for cell in cells) for column in range(4)]
        lines = ["  ".join([cell[0].ljust(widths[0]), *map(str.rjust, cell[1:], widths[1:])]) for cell in cells]
        return "\n".join([lines[0].rstrip(), "-" * (sum(widths) + 6), *map(str.rstrip, lines[1:])])
