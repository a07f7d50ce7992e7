"""Real processes that live a payment's story, and end at a point of it without another word.

aiogram takes seconds to import, so one process imports it and every process of a story is a fork of that one. Run as a
program it reads orders, one line of JSON each, and answers each with a line.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.proof.places import InFile, InRedis, Place
from tests.proof.points import Blow, Points
from tests.proof.world import STARTED, STORIES, Journal, Process, World

__all__ = ["Mother", "Order"]

ROOT = Path(__file__).resolve().parents[2]


class Order(NamedTuple):
    """What a process is to do.

    :ivar at: the point at which it ends; ``None``: it finds what others left, goes on to the end, and looks at it.
    """

    story: str
    place: str
    where: str
    journal: str
    bot_id: int
    at: int | None
    impatient: bool = False


class Mother:
    """The process whose forks live and die."""

    def __enter__(self) -> Mother:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.proof.processes"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10.0)

    def run(self, order: Order) -> tuple[int, str]:
        """Let a process do something; return its exit status, and what went wrong."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status, text = json.loads(self._process.stdout.readline())
        return status, text


def place_of(order: Order) -> Place:
    return InFile(Path(order.where)) if order.place == "sqlite" else InRedis(order.where)


async def act(order: Order) -> None:
    """Be a process."""
    story, place = STORIES[order.story], place_of(order)
    points = Points(Blow.EXIT, order.at)
    world = World(place, Journal(Path(order.journal)), order.bot_id, STARTED, f"stx{order.bot_id}", story.is_gift)
    process = Process(world, story, points, await place.open(points))
    if order.at is not None:
        await process.live(story)
    else:
        await process.recover(story, impatient=order.impatient)
        await world.check(story)
    await place.close()


def fork(order: Order) -> tuple[int, str]:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        status = 0
        with os.fdopen(writer, "w") as report:
            try:
                asyncio.run(act(order))
            except BaseException:
                report.write(traceback.format_exc())
                status = 1
        os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as report:
        text = report.read()
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended), text


def main() -> None:
    logging.disable()
    for line in sys.stdin:
        print(json.dumps(fork(Order(*json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
