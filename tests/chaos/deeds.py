"""Reads the journals of all processes of a run together: claims, changes of records, runs of handlers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.chaos.crew import Life
from tests.chaos.journal import read_journal

__all__ = ["Claimed", "Deeds", "Run"]

NAMES = {
    "plain": "plain",
    "listener of typed": "of_typed#0",
    "listener of flaky": "of_flaky#0",
    "second listener of flaky": "also_of_flaky#0",
    "listener of heard": "of_heard#0",
}
"""How handlers are called in the record of what has returned; all others deliver as ``typed``."""


@dataclass(eq=False)
class Claimed:
    """The right to a charge that a process got.

    :ivar v: the version of the record that gave it.
    :ivar attempts: how many attempts to deliver there were, with this one.
    :ivar at: when, by the machine's monotonic clock.
    :ivar clock: when the process had it; ``began_clock``: when it began to ask for it.
    """

    process: str
    ref: str
    id: str
    step: str
    v: int
    attempts: int
    at: float
    clock: float
    began_clock: float


@dataclass(eq=False)
class Run:
    """A handler that was called with a charge.

    :ivar until: when it ended, or its process did.
    :ivar ended: ``return``, ``raise``, or ``death``.
    :ivar line: where its beginning stands in the journal.
    """

    process: str
    ref: str
    handler: str
    attempt: int
    at: float
    until: float
    ended: str
    line: int
    claim: Claimed | None

    def __str__(self) -> str:
        version = None if self.claim is None else self.claim.v
        return f"{self.handler!r} in {self.process} (attempt {self.attempt}, claimed in version {version})"

    def goes_by(self, entry: str) -> bool:
        """Whether an entry in the record of what has returned means this handler."""
        name = NAMES.get(self.handler, "typed")
        return entry == name or entry.endswith(f".{name}")


class Deeds:
    """What all processes did.

    :ivar runs: every run of a handler.
    :ivar runs_of: the same by charge, in the order of their beginnings.
    :ivar changes: by charge, every change of its record that a process lived to write down, by version.
    """

    def __init__(self, directory: Path, lives: dict[str, Life]) -> None:
        self._lives = lives
        self._journals = {path.stem: read_journal(path) for path in sorted(directory.glob("*.journal"))}
        self.runs: list[Run] = []
        self.changes: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._claims: dict[str, list[Claimed]] = defaultdict(list)
        self._doubts: set[tuple[str, str]] = set()
        for process, journal in self._journals.items():
            self._read(process, journal)
        for changes in self.changes.values():
            changes.sort(key=lambda change: (change["v"], change["at"]))
        for claims in self._claims.values():
            claims.sort(key=lambda claim: claim.v)
        self.runs_of: dict[str, list[Run]] = defaultdict(list)
        for run in sorted(self.runs, key=lambda run: run.at):
            self.runs_of[run.ref].append(run)

    def of(self, process: str) -> list[dict[str, Any]]:
        """Return everything that one process wrote down."""
        return self._journals.get(process, [])

    def _read(self, process: str, journal: list[dict[str, Any]]) -> None:
        life = self._lives[process]
        open_runs: dict[int, Run] = {}
        held: dict[str, Claimed] = {}
        asked: dict[str, float] = {}
        for line, deed in enumerate(journal):
            what, ref = deed["what"], deed.get("ref")
            if what == "written":
                self.changes[deed["ref"]].append({**deed, "process": process, "line": line})
                asked[deed["ref"]] = deed["began_clock"]
            elif what == "doubtful":
                self._doubts.add((process, deed["ref"]))
            elif what == "claimed":
                began = asked.get(deed["ref"], deed["clock"])
                same = {name: deed[name] for name in ("ref", "id", "step", "v", "attempts", "at", "clock")}
                held[deed["ref"]] = claim = Claimed(process, began_clock=began, **same)
                self._claims[deed["ref"]].append(claim)
            elif what == "start":
                until = life.died if life.died is not None else float("inf")
                run = Run(process, str(ref), deed["handler"], deed["attempt"], deed["at"], until, "death", line, None)
                run.claim = held.get(run.ref)
                open_runs[deed["run"]] = run
                self.runs.append(run)
            elif what in ("return", "raise"):
                run = open_runs.pop(deed["run"])
                run.until, run.ended = deed["at"], what

    def holders(self, ref: str) -> dict[str, str]:
        """Return which process was behind each claim of a charge."""
        return {claim.id: claim.process for claim in self._claims[ref]}

    def release(self, claim: Claimed) -> dict[str, Any] | None:
        """Return the change with which a holder let go, if it lived to write it down."""
        mine = (change for change in self.changes[claim.ref] if change["holder"] == claim.id and change["free"])
        return next((change for change in mine if change["process"] == claim.process), None)

    def successions(self) -> Iterator[tuple[Claimed, Claimed]]:
        """Give every two claims of one charge that followed each other."""
        for claims in self._claims.values():
            for first, second in pairwise(claims):
                if first.id != second.id:
                    yield first, second

    def released(self, first: Claimed, second: Claimed) -> bool:
        """Whether the first holder let go, or lost it to somebody else, before the second took it."""
        between = {change["v"]: change for change in self.changes[first.ref] if first.v < change["v"] < second.v}
        if len(between) < second.v - first.v - 1:
            return True  # who wrote the version that nobody tells of held it then, and was killed
        return any(change["free"] for change in between.values())

    def is_unsure(self, claim: Claimed) -> bool:
        """Whether a holder may have let go without having lived, or been told, to write it down."""
        life = self._lives[claim.process]
        return life.killed is not None or (claim.process, claim.ref) in self._doubts
