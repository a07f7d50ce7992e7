"""Files that cannot keep payments are refused with the reason, and those that fail later say what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from aiogram import Bot, Dispatcher
from aiogram.fsm.storage.base import StorageKey

from aiogram_neonpay import PaymentStage, neonpay_router
from aiogram_neonpay.errors import ConfigurationError, LedgerError
from aiogram_neonpay.ledger import open_engine
from aiogram_neonpay.ledger.sqlite import SQLiteEngine
from aiogram_neonpay.sqlite import SQLiteStorage

pytestmark = pytest.mark.asyncio

ROOT = Path(__file__).resolve().parents[2]
KEY = StorageKey(bot_id=42, chat_id=7, user_id=7)


async def probe(path: Path | str) -> None:
    """Do what start-up does."""
    storage = SQLiteStorage(path)
    engine = open_engine(storage)
    assert isinstance(engine, SQLiteEngine)
    try:
        await engine.probe()
    finally:
        await storage.close()


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def exists(path: Path) -> bool:
    return path.exists()


async def test_an_engine_for_it_is_durable(tmp_path: Path) -> None:
    engine = open_engine(SQLiteStorage(tmp_path / "bot.db"))

    assert type(engine) is SQLiteEngine and engine.durable


async def test_the_probe_makes_the_file_and_may_be_repeated(tmp_path: Path) -> None:
    for _ in range(3):
        await probe(tmp_path / "bot.db")

    assert exists(tmp_path / "bot.db")


@pytest.mark.parametrize("path", ["", ":memory:", "file:bot.db?mode=ro", "sqlite:///bot.db", b"bot.db", None, 7])
async def test_what_is_not_a_file_name_is_refused_at_once(path: Any) -> None:
    with pytest.raises(ConfigurationError, match=r'name a file, such as SQLiteStorage\("bot\.db"\)'):
        SQLiteStorage(path)


@pytest.mark.parametrize("timeout", [-1, 3601, float("nan"), "30", True, None])
async def test_a_timeout_that_cannot_be_waited_for_is_refused_at_once(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="number of seconds from 0 to 3600"):
        SQLiteStorage("bot.db", timeout=timeout)


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"the directory {tmp_path / 'data'} does not exist: create it"):
        await probe(tmp_path / "data" / "bot.db")


async def test_a_bot_whose_file_cannot_be_used_does_not_start(tmp_path: Path) -> None:
    dispatcher = Dispatcher(storage=SQLiteStorage(tmp_path / "data" / "bot.db"))
    dispatcher.include_router(neonpay_router({"tea": PaymentStage("Tea", "A cup of tea", 1)}))
    bot = Bot("42:TOKEN")

    with pytest.raises(ConfigurationError, match="does not exist: create it"):
        await dispatcher.emit_startup(bot=bot)
    await dispatcher.emit_shutdown(bot=bot)


async def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"is a directory: name a file, such as .*bot\.db"):
        await probe(tmp_path)


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    write(notes, b"This is not a database. " * 100)

    with pytest.raises(ConfigurationError, match=rf"{notes} is not an SQLite database .*: give another path"):
        await probe(notes)
    assert size(notes) == 2400


def size(path: Path) -> int:
    return path.stat().st_size


async def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "bot.db")

    def settings(connection: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "fullfsync")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await storage.database.read(settings) == ["wal", 2, 1]
    await storage.close()


async def test_an_empty_file_is_used(tmp_path: Path) -> None:
    write(tmp_path / "bot.db", b"")

    await probe(tmp_path / "bot.db")


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE orders (id)", "PRAGMA user_version = 1"], ids=["tables", "a version"]
)
async def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "shop.db"
    execute(path, statement)

    with pytest.raises(ConfigurationError, match=rf"{path} is a database of another program: give .* a file of its"):
        await probe(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


async def test_tables_beside_ours_do_not_disturb(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    await probe(path)
    execute(path, "CREATE TABLE orders (id)")

    await probe(path)


async def test_tables_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    await probe(path)
    execute(path, "PRAGMA user_version = 2")

    with pytest.raises(ConfigurationError, match=rf"{path} was made by a newer version .*version 2, known is 1"):
        await probe(path)


READ_ONLY = """
import asyncio, os, sqlite3, sys
from aiogram_neonpay import ConfigurationError, SQLiteStorage
from aiogram_neonpay.ledger import open_engine
if not os.geteuid():
    os.setuid(65534)  # permissions do not bind root
for path in sys.argv[1:]:
    try:
        asyncio.run(open_engine(SQLiteStorage(path)).probe())
    except ConfigurationError as error:
        print(error)
"""


async def test_what_may_only_be_read_is_refused_with_what_it_takes() -> None:
    with TemporaryDirectory() as folder:
        names = ("file", "directory", "new")
        paths = [Path(folder) / name / "bot.db" for name in names]
        for path in paths:
            make(path.parent)
            if path != paths[-1]:
                await probe(path)
        for place, mode in (
            (Path(folder), 0o755),
            (paths[0].parent, 0o777),
            (paths[0], 0o444),
            (paths[1].parent, 0o555),
            (paths[1], 0o666),
            (paths[2].parent, 0o555),
        ):
            change_mode(place, mode)
        told = run(READ_ONLY, *map(str, paths)).splitlines()

    assert len(told) == 3
    for path, line in zip(paths, told, strict=True):
        assert line.startswith(f"{path} cannot be used (")
        assert "must be allowed to write this file and to make others beside it" in line


def change_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert not done.returncode, done.stderr
    return done.stdout


async def test_a_file_system_without_shared_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoWal(sqlite3.Connection):
        def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:
            return super().execute(sql.replace("journal_mode = WAL", "journal_mode"), *arguments)  # type: ignore[arg-type]

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=NoWal, **options))

    with pytest.raises(ConfigurationError, match="put it on a local disk"):
        await probe(tmp_path / "bot.db")


async def test_a_sqlite_that_is_too_old_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 22, 0))

    with pytest.raises(ConfigurationError, match=r"SQLiteStorage needs 3\.24"):
        await probe(tmp_path / "bot.db")


# Failures in use


async def test_a_refused_file_works_once_it_is_repaired(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "data" / "bot.db")
    with pytest.raises(ConfigurationError, match="does not exist"):
        await storage.get_state(KEY)
    make(tmp_path / "data")

    await storage.set_state(KEY, "one")
    assert await storage.get_state(KEY) == "one"
    await storage.close()


def make(folder: Path) -> None:
    folder.mkdir()


async def test_a_file_that_another_program_holds_is_waited_for_and_then_told(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    await probe(path)
    impatient, patient = SQLiteStorage(path, timeout=0.05), SQLiteStorage(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match=rf"{path}: other processes held it for 0\.05 seconds"):
            await impatient.set_state(KEY, "one")
        assert await patient.get_state(KEY) is None, "readers are not held up, even to open the file"
        waiting = patient.database.change(lambda connection: None)
        other.execute("COMMIT")
        await waiting

    await impatient.set_state(KEY, "one")
    assert await patient.get_state(KEY) == "one"
    for storage in (impatient, patient):
        await storage.close()


async def test_a_full_disk_is_told_and_what_was_kept_stays(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "bot.db")
    await storage.set_data(KEY, {"a": 1})

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")

    await storage.database.read(fill)
    with pytest.raises(LedgerError, match="database or disk is full: look at the disk"):
        await storage.set_data(KEY, {"a": "x" * 100_000})

    assert await storage.get_data(KEY) == {"a": 1}
    await storage.set_data(KEY, {"a": 2})
    assert await storage.get_data(KEY) == {"a": 2}
    await storage.close()


async def test_a_damaged_file_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    storage = SQLiteStorage(path)
    for number in range(200):
        storage.database.change(filling(number))
    await storage.close()
    damage(path)

    with pytest.raises(ConfigurationError, match=rf"{path} is damaged"):
        for number in range(200):
            await storage.get_data(StorageKey(bot_id=number, chat_id=0, user_id=0))
    await storage.close()


def filling(number: int) -> Callable[[sqlite3.Connection], object]:
    key = f'[{number},0,0,null,null,"default"]'
    return lambda connection: connection.execute("INSERT INTO neonpay_fsm VALUES (?, NULL, ?)", (key, "{}" * 500))


def damage(path: Path) -> None:
    """Overwrite all pages but the one that lists the tables."""
    content = path.read_bytes()
    assert len(content) > 100_000
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


async def test_a_file_that_is_deleted_in_use_is_made_anew_and_the_loss_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "bot.db"
    storage = SQLiteStorage(path)
    await storage.set_state(KEY, "one")
    remove(tmp_path)

    await storage.set_state(KEY, "two")

    assert f"{path} was deleted or replaced while it was in use" in caplog.text
    other = SQLiteStorage(path)
    assert await other.get_state(KEY) == "two"
    for item in (storage, other):
        await item.close()


def remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


async def test_the_package_is_imported_without_sqlite() -> None:
    loaded = run("import sys; from aiogram_neonpay import NeonPay; print(*sys.modules)").split()

    ours = ("aiogram_neonpay.sqlite", "aiogram_neonpay.ledger.sqlite")
    assert "aiogram_neonpay.ledger.base" in loaded
    assert not [name for name in loaded if name.startswith(("sqlite3", "_sqlite3", *ours))]
