"""``SQLiteStorage`` as an FSM storage: what aiogram's own promises, and what a thread and a file add to it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import pytest_asyncio
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.base import BaseStorage, StorageKey
from aiogram.fsm.storage.memory import MemoryStorage
from hypothesis import given, settings
from hypothesis import strategies as st

from aiogram_neonpay import SQLiteStorage
from aiogram_neonpay.sqlite.storage import NOT_A_DICT
from tests.ledger.engines import eventually

KEY = StorageKey(bot_id=42, chat_id=7, user_id=7)


class Form(StatesGroup):
    name = State()


@pytest_asyncio.fixture
async def storage(tmp_path: Path) -> AsyncIterator[SQLiteStorage]:
    storage = SQLiteStorage(tmp_path / "bot.db")
    yield storage
    await storage.close()


def rows(storage: SQLiteStorage) -> list[tuple[Any, ...]]:
    """Return what the file holds of states and data, as another program sees it."""
    connection = sqlite3.connect(storage.database.path)
    try:
        return connection.execute("SELECT key, state, data FROM neonpay_fsm ORDER BY key").fetchall()
    finally:
        connection.close()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def size_of(path: str) -> int:
    return Path(path).stat().st_size


def threads(path: Path | str) -> int:
    """Return how many threads work on a file."""
    return len([thread for thread in threading.enumerate() if thread.name == f"sqlite {path}"])


async def ends(path: Path | str) -> None:
    async def has_none() -> bool:
        return not threads(path)

    await eventually(has_none)


# As any storage

KEYS = [
    KEY,
    StorageKey(bot_id=43, chat_id=7, user_id=7),
    StorageKey(bot_id=42, chat_id=-1002223334445, user_id=7),
    StorageKey(bot_id=42, chat_id=7, user_id=8),
    StorageKey(bot_id=42, chat_id=7, user_id=7, thread_id=5),
    StorageKey(bot_id=42, chat_id=7, user_id=7, thread_id=0),
    StorageKey(bot_id=42, chat_id=7, user_id=7, business_connection_id="5"),
    StorageKey(bot_id=42, chat_id=7, user_id=7, business_connection_id=""),
    StorageKey(bot_id=42, chat_id=7, user_id=7, destiny="aiogd:stack:<default>"),
    StorageKey(bot_id=42, chat_id=7, user_id=7, destiny='5","default'),
    StorageKey(bot_id=42, chat_id=7, user_id=2**63 + 1, destiny="\udcff ⭐ \x00"),
]
NAMES = st.sampled_from(["a", "b", "", "ключ \x00"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
DATA = st.dictionaries(NAMES, VALUES, max_size=3)
OPERATIONS = st.one_of(
    st.tuples(st.just("set_state"), st.sampled_from([None, "", "Form:name", Form.name, "*", "⭐\x00"])),
    st.tuples(st.just("get_state")),
    st.tuples(st.just("set_data"), DATA),
    st.tuples(st.just("get_data")),
    st.tuples(st.just("update_data"), DATA),
    st.tuples(st.just("get_value"), NAMES),
    st.tuples(st.just("get_value"), NAMES, st.just("default")),
    st.tuples(st.just("close")),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(KEYS), OPERATIONS), max_size=40))
def test_it_answers_as_a_memory_storage_does(operations: list[tuple[StorageKey, tuple[Any, ...]]]) -> None:
    async def act(storage: BaseStorage) -> list[Any]:
        answers = []
        for key, (name, *arguments) in operations:
            await_me = storage.close() if name == "close" else getattr(storage, name)(key, *arguments)
            answers.append(await await_me)
        answers += [(await storage.get_state(key), await storage.get_data(key)) for key in KEYS]
        await storage.close()
        return answers

    with TemporaryDirectory() as folder:
        assert asyncio.run(act(SQLiteStorage(Path(folder) / "bot.db"))) == asyncio.run(act(MemoryStorage()))


@pytest.mark.asyncio
async def test_another_storage_on_the_file_sees_what_was_written(storage: SQLiteStorage) -> None:
    await storage.set_state(KEY, Form.name)
    await storage.set_data(KEY, {"name": "Alice", "big": 2**70, "none": [], "fraction": 0.1})
    other = SQLiteStorage(storage.database.path)

    assert await other.get_state(KEY) == "Form:name"
    assert await other.get_data(KEY) == {"name": "Alice", "big": 2**70, "none": [], "fraction": 0.1}
    await other.close()


@pytest.mark.asyncio
async def test_what_is_cleared_or_only_asked_for_leaves_nothing_behind(storage: SQLiteStorage) -> None:
    await storage.set_state(KEY, "one")
    await storage.set_data(KEY, {"a": 1})
    await storage.get_data(KEYS[1])
    await storage.set_state(KEYS[2], None)
    await storage.set_data(KEYS[3], {})
    assert [row[1:] for row in rows(storage)] == [("one", '{"a": 1}')]

    await storage.set_state(KEY, None)
    assert [row[1:] for row in rows(storage)] == [(None, '{"a": 1}')]
    await storage.set_data(KEY, {})
    assert rows(storage) == []
    await storage.update_data(KEY, {})
    assert rows(storage) == []


@pytest.mark.asyncio
async def test_concurrent_updates_are_all_kept_whoever_makes_them(storage: SQLiteStorage) -> None:
    other = SQLiteStorage(storage.database.path)

    answers = await asyncio.gather(*((storage, other)[i % 2].update_data(KEY, {str(i): i}) for i in range(60)))

    assert await storage.get_data(KEY) == {str(i): i for i in range(60)}
    assert sorted(len(answer) for answer in answers) == list(range(1, 61))
    await other.close()


@pytest.mark.asyncio
async def test_data_is_kept_as_it_was_when_it_was_given(storage: SQLiteStorage) -> None:
    data: dict[str, Any] = {"list": [1]}
    setting = asyncio.ensure_future(storage.set_data(KEY, data))
    await asyncio.sleep(0)
    data["list"].append(2)
    await setting

    assert await storage.get_data(KEY) == {"list": [1]}


@pytest.mark.asyncio
async def test_data_that_is_not_json_is_refused_with_the_way_out(storage: SQLiteStorage) -> None:
    await storage.set_data(KEY, {"kept": 1})
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)

    for refused in (storage.set_data(KEY, {"at": moment}), storage.update_data(KEY, {"at": moment})):
        with pytest.raises(TypeError, match=r"datetime is not JSON serializable.*json_dumps"):
            await refused
    with pytest.raises(NOT_A_DICT):
        await storage.set_data(KEY, [("a", 1)])  # type: ignore[arg-type]

    assert await storage.get_data(KEY) == {"kept": 1}


@pytest.mark.asyncio
async def test_json_of_ones_own_is_used_for_data(tmp_path: Path) -> None:
    def loads(text: str) -> Any:
        return {key: datetime.fromisoformat(value) for key, value in json.loads(text).items()}

    storage = SQLiteStorage(
        tmp_path / "bot.db", json_loads=loads, json_dumps=lambda data: json.dumps(data, default=datetime.isoformat)
    )
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)

    await storage.set_data(KEY, {"at": moment})
    assert await storage.update_data(KEY, {"then": moment}) == {"at": moment, "then": moment}
    assert await storage.get_data(KEY) == {"at": moment, "then": moment}
    await storage.close()


@pytest.mark.asyncio
async def test_what_changes_nothing_writes_nothing(storage: SQLiteStorage) -> None:
    await storage.set_state(KEY, "one")
    await storage.set_data(KEY, {"a": 1})
    log = f"{storage.database.path}-wal"
    size = size_of(log)

    for _ in range(5):
        await storage.set_state(KEY, "one")
        await storage.set_data(KEY, {"a": 1})
        await storage.set_state(KEYS[1], None)
        await storage.set_data(KEYS[1], {})

    assert size_of(log) == size


# The thread


@pytest.mark.asyncio
async def test_the_file_is_made_when_it_is_first_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    storage = SQLiteStorage("bot.db")
    monkeypatch.chdir("/")

    assert files(tmp_path) == [] and not threads(tmp_path / "bot.db")
    await storage.get_state(KEY)
    assert files(tmp_path) == ["bot.db", "bot.db-shm", "bot.db-wal"] and threads(tmp_path / "bot.db") == 1
    await storage.close()


@pytest.mark.asyncio
async def test_closing_finishes_what_was_asked_and_leaves_one_file(storage: SQLiteStorage) -> None:
    tasks = [asyncio.ensure_future(storage.update_data(KEY, {str(number): number})) for number in range(300)]
    await asyncio.sleep(0)
    await storage.close()

    assert all(task.done() for task in tasks)
    file = Path(storage.database.path)
    assert files(file.parent) == [file.name]
    assert len(json.loads(rows(storage)[0][2])) == 300
    await ends(storage.database.path)


@pytest.mark.asyncio
async def test_it_can_be_closed_again_and_used_again(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "bot.db")
    await storage.close()
    for number in range(5):
        await storage.set_state(KEY, str(number))
        await asyncio.gather(storage.close(), storage.close())
        await storage.close()
        assert await storage.get_state(KEY) == str(number)
    await storage.close()
    await ends(tmp_path / "bot.db")


@pytest.mark.asyncio
async def test_closing_while_it_is_used_loses_nothing(storage: SQLiteStorage) -> None:
    async def use(name: str) -> None:
        for number in range(20):
            await storage.update_data(KEY, {f"{name}{number}": number})

    async def close() -> None:
        for _ in range(20):
            await storage.close()

    await asyncio.gather(use("a"), use("b"), close())

    assert len(await storage.get_data(KEY)) == 40


@pytest.mark.asyncio
async def test_a_cancelled_operation_is_carried_out_once_and_holds_nothing_up(storage: SQLiteStorage) -> None:
    counts: list[int] = []

    def count(connection: sqlite3.Connection) -> None:
        counts.append(1)

    tasks: list[asyncio.Future[Any]] = []
    for number in range(50):
        tasks.append(asyncio.ensure_future(storage.update_data(KEY, {str(number): number})))
        tasks.append(asyncio.ensure_future(_await(storage.database.change(count))))
    for ticks, task in enumerate(tasks):
        if not ticks % 10:
            await asyncio.sleep(0)  # some have been asked for by now, some are done, some never began
        task.cancel()
    cancelled = await asyncio.gather(*tasks, return_exceptions=True)

    data = await storage.get_data(KEY)
    begun = [n for n, task in enumerate(cancelled) if not isinstance(task, asyncio.CancelledError)]
    assert set(data) >= {str(n // 2) for n in begun if not n % 2}
    await storage.set_data(KEY, {})
    assert await storage.get_data(KEY) == {}, "what was cancelled does not come true later"
    assert len(counts) == 50


async def _await(future: asyncio.Future[None]) -> None:
    await future


@pytest.mark.asyncio
async def test_a_change_whose_caller_is_cancelled_is_seen_by_the_next_question(storage: SQLiteStorage) -> None:
    for number in range(20):
        task = asyncio.ensure_future(storage.set_state(KEY, str(number)))
        await asyncio.sleep(0)
        task.cancel()
        assert await storage.get_state(KEY) == str(number)


@pytest.mark.asyncio
async def test_the_failure_of_a_cancelled_operation_is_logged(
    storage: SQLiteStorage, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        raise ArithmeticError("on purpose")

    with caplog.at_level(logging.ERROR, "aiogram_neonpay"):
        storage.database.change(fail).cancel()
        assert await storage.get_state(KEY) is None
    assert "after its caller had gone" in caplog.text and "on purpose" in caplog.text


@pytest.mark.asyncio
async def test_of_operations_that_share_a_transaction_only_the_failing_one_fails(storage: SQLiteStorage) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO neonpay_fsm (key, state) VALUES ('half', 'done')")
        raise SystemExit("on purpose")

    held = await hold(storage)
    before = [asyncio.ensure_future(storage.set_state(key, "before")) for key in KEYS]
    await asyncio.sleep(0)
    failing = storage.database.change(fail)
    after = [asyncio.ensure_future(storage.set_data(key, {"a": 1})) for key in KEYS]
    await asyncio.sleep(0)
    held.set()

    await asyncio.gather(*before, *after)
    with pytest.raises(SystemExit):
        await failing
    assert [row[1:] for row in rows(storage)] == [("before", '{"a": 1}')] * len(KEYS)


async def hold(storage: SQLiteStorage) -> threading.Event:
    """Keep the thread busy until the event is set, and return when it is."""
    loop, go, began = asyncio.get_running_loop(), threading.Event(), asyncio.Event()

    def wait(connection: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(began.set)
        go.wait(10)

    storage.database.read(wait)
    await began.wait()
    return go


@pytest.mark.asyncio
async def test_many_changes_at_once_share_few_transactions(storage: SQLiteStorage) -> None:
    commits: list[str] = []
    await storage.database.read(lambda connection: connection.set_trace_callback(commits.append))
    held = await hold(storage)
    tasks = [asyncio.ensure_future(storage.update_data(KEY, {str(number): number})) for number in range(500)]
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(*tasks)

    assert commits.count("COMMIT") <= 5
    assert len(await storage.get_data(KEY)) == 500


@pytest.mark.asyncio
async def test_a_busy_thread_does_not_hold_up_the_event_loop(storage: SQLiteStorage) -> None:
    held = await hold(storage)
    asking = asyncio.ensure_future(storage.get_state(KEY))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not asking.done()
    held.set()
    assert await asking is None


def test_one_storage_serves_event_loops_one_after_another(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "bot.db")

    async def abandon() -> None:
        # Left behind in a loop that is closed before the answer comes.
        held = await hold(storage)
        storage.database.change(lambda connection: None)
        held.set()

    for number in range(5):
        asyncio.run(storage.set_state(KEY, str(number)))
        assert asyncio.run(storage.get_state(KEY)) == str(number)
        asyncio.run(abandon())
    asyncio.run(storage.close())


@pytest.mark.asyncio
async def test_a_storage_that_nobody_holds_ends_its_thread_and_closes_its_file(tmp_path: Path) -> None:
    storage = SQLiteStorage(tmp_path / "bot.db")
    await storage.set_state(KEY, "one")
    assert threads(tmp_path / "bot.db") == 1
    del storage
    gc.collect()

    await ends(tmp_path / "bot.db")
    assert files(tmp_path) == ["bot.db"]
