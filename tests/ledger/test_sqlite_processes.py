"""One file and several processes: started together, killed in the middle, forked while the file is open."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiogram_neonpay.ledger.sqlite import SQLiteEngine
from aiogram_neonpay.sqlite import SQLiteStorage
from tests.ledger.sqlite_crowd import BOT, DAY, KEY, OWNERS, name_of, settle

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 4


@contextmanager
def crowd(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.ledger.sqlite_crowd", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def run(*arguments: object) -> str:
    with crowd(*arguments) as process:
        output, errors = process.communicate(timeout=120)
    assert not process.returncode and not errors, errors
    return output


def ask(path: Path, question: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchall()


def test_of_four_processes_one_claims_each_charge_and_none_is_refused_the_file(tmp_path: Path) -> None:
    charges = 500
    path = tmp_path / "bot.db"  # not there yet: they make it all at once

    won = json.loads(run("claim", path, PROCESSES, charges))

    assert sorted(number for numbers in won for number in numbers) == list(range(charges))
    assert len(list(filter(None, won))) > 1, "it was a race"

    async def look() -> None:
        storage = SQLiteStorage(path)
        engine = SQLiteEngine(storage)
        assert await engine.tallies(BOT, [DAY]) == [{"count": charges, "stars": 25 * charges, "settled": charges}]
        lists = [await engine.history(BOT, owner, limit=charges, offset=0) for owner in range(OWNERS)]
        assert sorted(name for names in lists for name in names) == sorted(map(name_of, range(charges)))
        assert len(await engine.waiting(BOT, limit=charges)) == charges / 2
        await storage.close()

    asyncio.run(look())
    assert [file.name for file in tmp_path.iterdir()] == ["bot.db"]


def test_processes_killed_in_the_middle_leave_nothing_half_done(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    told: list[int] = []
    with crowd("pay", path, PROCESSES) as parent:
        assert parent.stdout is not None and parent.stderr is not None
        workers: list[int] = []
        for line in parent.stdout:
            what, value = line.split()
            if what == "pid":
                workers.append(int(value))
                continue
            told.append(int(value))
            # One after another, so that those who live meet what the dead have left.
            if len(workers) == PROCESSES and len(told) % 200 == 0:
                os.kill(workers[len(told) // 200 - 1], signal.SIGKILL)
                if len(told) // 200 == PROCESSES:
                    break
        told += [int(line.split()[1]) for line in parent.stdout]
        assert parent.stderr.read() == ""

    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    kept = ask(
        path,
        "SELECT name, body, version, due IS NULL, waiting IS NOT NULL, owner, recorded_at FROM neonpay_records",
    )
    settled = set()
    for name, text, version, is_free, waits, owner, recorded_at in kept:
        body = json.loads(text)
        number = int(body["charge"].removeprefix("stx"))
        assert (name, body["v"], body["state"]) == (name_of(number), version, {1: "paid", 2: "delivered"}[version])
        assert (owner, recorded_at) == (number % OWNERS, body["at"] + number)
        assert (is_free, waits) == (version == 2, version == 2 and number % 2 == 0)
        if version == 2:
            settled.add(number)
    assert settled >= set(told), "what was acknowledged is there"
    counters = dict(ask(path, "SELECT counter, count FROM neonpay_tallies"))
    assert counters == {"count": len(kept), "stars": 25 * len(kept), "settled": len(settled)}
    assert len(kept) - len(settled) <= PROCESSES * 8

    async def go_on() -> None:
        storage = SQLiteStorage(path)
        engine = SQLiteEngine(storage)
        for name, *_ in [row for row in kept if row[2] == 1]:
            await settle(engine, int(name[1:], 16))
        await storage.close()

    asyncio.run(go_on())


def test_a_process_may_fork_while_it_has_the_file_open(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    changes = 40

    assert run("fork", path, PROCESSES, changes) == "done\n"

    async def data() -> dict[str, Any]:
        storage = SQLiteStorage(path)
        try:
            return await storage.get_data(KEY)
        finally:
            await storage.close()

    names = [f"{who} {turn}" for who in ("parent", "left") for turn in range(3)]
    names += [f"child {turn} {number}" for turn in range(3) for number in range(PROCESSES)]
    assert asyncio.run(data()) == {f"{name} {number}": number for name in names for number in range(changes)}
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]


def test_a_program_that_ends_without_closing_the_file_has_written_what_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"

    assert run("leave", path, 300) == ""

    ((text,),) = ask(path, "SELECT data FROM neonpay_fsm")
    assert json.loads(text) == {f"left {number}": number for number in range(300)}
    assert [file.name for file in tmp_path.iterdir()] == ["bot.db"]
