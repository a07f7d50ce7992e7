"""Several processes on one ledger file, as programs of a test.

``python -m tests.ledger.sqlite_crowd claim FILE PROCESSES CHARGES``
    every process claims every charge and settles what it won; prints a JSON list of what each of them won
``python -m tests.ledger.sqlite_crowd pay FILE PROCESSES``
    every process pays for ever; prints its id at first, and each payment once it is settled
``python -m tests.ledger.sqlite_crowd fork FILE PROCESSES CHANGES``
    a process that has the file open forks; all of them change one record
``python -m tests.ledger.sqlite_crowd leave FILE CHANGES``
    ends without waiting for its changes and without closing the file
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import warnings
from collections.abc import Callable, Coroutine

from aiogram.fsm.storage.base import StorageKey

from aiogram_neonpay.ledger.base import CHARGE, RecordKey, Tally, Write, partition_of
from aiogram_neonpay.ledger.sqlite import SQLiteEngine
from aiogram_neonpay.sqlite import SQLiteStorage
from tests.ledger.engines import PAID_AT, paid, version

BOT = 42
KEY = StorageKey(bot_id=BOT, chat_id=7, user_id=7)
DAY = "2026-01-01"
OWNERS = 20
TOGETHER = 8
"""How many tasks of a process pay at once."""


def name_of(number: int) -> str:
    return f"{partition_of(number % OWNERS):x}{number:016x}"


async def claim(engine: SQLiteEngine, number: int) -> bool:
    """Record a charge if nobody has, with all that belongs to it."""
    body = version(1, state="paid", **paid(f"stx{number}", number % OWNERS))
    key = RecordKey(BOT, CHARGE, name_of(number))
    tally = Tally(DAY, {"count": 1, "stars": 25})
    write = Write(key, body, 0, due_in=60.0, owner=number % OWNERS, recorded_at=float(PAID_AT + number), tally=tally)
    return await engine.write(write) is None


async def settle(engine: SQLiteEngine, number: int) -> None:
    body = version(2, state="delivered", **paid(f"stx{number}", number % OWNERS))
    key = RecordKey(BOT, CHARGE, name_of(number))
    row = await engine.write(Write(key, body, 1, waiting=number % 2 == 0, tally=Tally(DAY, {"settled": 1})))
    assert row is None


def spread(count: int, work: Callable[[int], Coroutine[object, object, object]]) -> list[object]:
    """Do something in several processes at once; return what each of them gave, in order."""
    pipes = []
    for number in range(count):
        reader, writer = os.pipe()
        if not os.fork():
            try:
                answer = json.dumps(asyncio.run(work(number)))
                with os.fdopen(writer, "w") as pipe:
                    pipe.write(answer)
            finally:
                os._exit(0)
        os.close(writer)
        pipes.append(reader)
    answers = []
    for reader in pipes:
        with os.fdopen(reader) as pipe:
            answers.append(json.loads(pipe.read() or '"died"'))
    return answers


async def claim_all(path: str, count: int, seed: int) -> list[int]:
    storage = SQLiteStorage(path)
    engine = SQLiteEngine(storage)
    won: list[int] = []
    numbers = list(range(count))
    random.Random(seed).shuffle(numbers)

    async def work() -> None:
        while numbers:
            number = numbers.pop()
            if await claim(engine, number):
                won.append(number)
                await settle(engine, number)

    await asyncio.gather(*(work() for _ in range(TOGETHER)))
    await storage.close()
    return won


def tell(what: str, number: int) -> None:
    os.write(1, f"{what} {number}\n".encode())  # in one piece, whoever else writes there


async def pay_for_ever(path: str, worker: int) -> None:
    engine = SQLiteEngine(SQLiteStorage(path))
    tell("pid", os.getpid())

    async def work(number: int) -> None:
        while True:
            assert await claim(engine, number)
            await settle(engine, number)
            tell("paid", number)
            number += TOGETHER

    await asyncio.gather(*(work(worker * 1_000_000 + number) for number in range(TOGETHER)))


async def count_up(storage: SQLiteStorage, name: str, changes: int) -> str:
    for number in range(changes):
        await storage.update_data(KEY, {f"{name} {number}": number})
    return name


def fork(path: str, processes: int, changes: int) -> None:
    storage = SQLiteStorage(path)
    for turn in range(3):
        # Opened here, by a loop that is gone when the children are born; a change is still on its way then.
        asyncio.run(count_up(storage, f"parent {turn}", changes))
        asyncio.run(leave(storage, f"left {turn}", changes))
        spread(processes, lambda number: count_up(storage, f"child {turn} {number}", changes))  # noqa: B023
    print("done")


async def leave(storage: SQLiteStorage, name: str, changes: int) -> None:
    tasks = [asyncio.ensure_future(storage.update_data(KEY, {f"{name} {n}": n})) for n in range(changes)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()


def main(act: str, path: str, *numbers: str) -> None:
    warnings.simplefilter("error")
    count, *rest = map(int, numbers)
    if act == "claim":
        print(json.dumps(spread(count, lambda seed: claim_all(path, rest[0], seed))))
    elif act == "pay":
        spread(count, lambda worker: pay_for_ever(path, worker))
    elif act == "fork":
        fork(path, count, rest[0])
    else:
        asyncio.run(leave(SQLiteStorage(path), "left", count))


if __name__ == "__main__":
    main(*sys.argv[1:])
