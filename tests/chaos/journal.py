"""What a process writes down of its own deeds, so that it can be read after the process was killed.

One file for each process, one line for each deed, one write for each line: what a process did not live to write is
missing, and nothing else. ``at`` is the machine's monotonic clock, the same in all processes; ``clock`` is the time of
the run, which the harness moves.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiogram_neonpay import NeonPay, PaymentResult
from aiogram_neonpay.ledger.base import CHARGE, RecordKey, Row, Write
from aiogram_neonpay.ledger.leases import Claim

__all__ = ["Journal", "read_journal"]

NOTED = ("state", "refund", "free", "holder", "attempts", "done", "told", "reason", "error", "trouble")
"""Fields of a record that are written down with every change of it."""


class Journal:
    """The deeds of one process."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._clock = clock
        self._runs = itertools.count(1)

    def note(self, what: str, **fields: Any) -> None:
        """Write down a deed."""
        line = json.dumps({"what": what, "at": time.monotonic(), "clock": self._clock(), **fields}, default=str)
        os.write(self._file, line.encode() + b"\n")

    @contextmanager
    def running(self, handler: str, payment: PaymentResult) -> Iterator[None]:
        """Write down that a handler begins with a payment, and how it ends."""
        run = next(self._runs)
        about = {"run": run, "ref": payment.reference, "handler": handler}
        self.note("start", **about, charge=payment.transaction_id, attempt=payment.attempt, metadata=payment.metadata)
        try:
            yield
        except BaseException as error:
            self.note("raise", **about, error=type(error).__name__)
            raise
        self.note("return", **about)

    def watch(self, pay: NeonPay) -> None:
        """Write down every change of a charge that this process makes, and every claim it gets."""
        engine, charges = pay._shop.engine, pay._shop.charges
        write, claimed = engine.write, charges._claimed

        async def watched_write(change: Write) -> Row | None:
            began, clock = time.monotonic(), self._clock()
            about = {"ref": change.key.name, "v": change.body["v"], "n": change.body["n"]}
            try:
                row = await write(change)
            except BaseException as error:
                if change.key.kind == CHARGE:
                    # Done or not: nobody knows.
                    self.note("doubtful", **about, holder=change.body.get("holder"), error=type(error).__name__)
                raise
            if row is None and change.key.kind == CHARGE:
                noted = {name: change.body.get(name) for name in NOTED}
                self.note("written", **about, began=began, began_clock=clock, **noted)
            return row

        def watched_claim(key: RecordKey, nonce: str, body: dict[str, Any], step: Any) -> Claim:
            self.note("claimed", ref=key.name, id=nonce, step=step, v=body["v"], attempts=body["attempts"])
            return claimed(key, nonce, body, step)

        vars(engine)["write"] = watched_write
        vars(charges)["_claimed"] = watched_claim


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return what a process wrote down, in order."""
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # the process died in the middle of it, or it is the end
    return found
