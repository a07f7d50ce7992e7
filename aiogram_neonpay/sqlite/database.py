"""The thread that works on a file: neither a slow disk nor another process ever holds up the event loop."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from aiogram_neonpay.sqlite.opening import explained, open_file

if TYPE_CHECKING:  # imported where it is used: a bot with another storage must not pay for it
    from sqlite3 import Connection

__all__ = ["Database"]

logger = logging.getLogger("aiogram_neonpay")

T = TypeVar("T")

BATCH = 128
"""Operations at most in one transaction: waiting for the disk costs more than the rest of an operation."""

_starting = threading.Lock()
"""Guards the start and the end of every thread here, and keeps both from happening during a fork."""
_running: set[Database] = set()
"""Those whose thread runs, and whose file may be open."""


class _Job(NamedTuple):
    """What the thread is asked to do.

    :ivar work: the operation; ``None`` asks to close the file.
    :ivar future: who waits for it; nobody when ``None``.
    """

    work: Callable[[Connection], Any] | None
    changes: bool
    future: asyncio.Future[Any] | None


_Outcome = tuple[_Job, Any, BaseException | None]


class Database:
    """One connection to one file, on one thread of its own, both made when they are first needed.

    An operation is a function of the connection. One whose caller is cancelled is carried out all the same, once.
    Concurrent changes share a transaction: they all come true together, and a caller hears of its own only then.

    A ``fork`` waits until the file is closed; parent and child each open it again when they need it.

    :param timeout: seconds to wait for other processes that change the file.
    """

    def __init__(self, path: str, timeout: float) -> None:
        self.path = path
        self.timeout = timeout
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._identity: tuple[int, int] | None = None

    # On the event loop

    def read(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Carry out an operation that changes nothing.

        :raises ConfigurationError: when the file cannot be used as it is.
        :raises LedgerError: when the disk or the file fails.
        """
        return self._submit(work, changes=False)

    def change(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Carry out an operation in a transaction; it is on the disk when the result is here.

        :param work: may be called again when the transaction had to be given up.
        :raises ConfigurationError: when the file cannot be used as it is.
        :raises LedgerError: when the disk or the file fails, or other processes held it for too long.
        """
        return self._submit(work, changes=True)

    def close(self) -> asyncio.Future[None]:
        """Finish what was asked before and close the file, which the next operation opens again."""
        return self._submit(None, changes=False)

    def abandon(self) -> None:
        """Finish what was asked before and close the file, some time after this returned."""
        # Takes no lock: this is called by the garbage collector, whoever holds whatever at that moment.
        self._jobs.put(_Job(None, False, None))

    def _submit(self, work: Callable[[Connection], Any] | None, *, changes: bool) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        with _starting:
            if self in _running:
                self._jobs.put(_Job(work, changes, future))
            elif work is None:
                future.set_result(None)
            else:
                self._thread = threading.Thread(target=self._serve, name=f"sqlite {self.path}", daemon=True)
                self._thread.start()
                _running.add(self)
                self._jobs.put(_Job(work, changes, future))
        return future

    # On the thread

    def _serve(self) -> None:
        connection: Connection | None = None
        goes_on = True
        while goes_on:
            connection, goes_on = self._serve_batch(connection)

    def _serve_batch(self, connection: Connection | None) -> tuple[Connection | None, bool]:
        """Do what is asked by now; return the connection, if it stays open, and whether there may be more to do."""
        jobs = [self._jobs.get()]
        with suppress(Empty):
            while len(jobs) < BATCH:
                jobs.append(self._jobs.get_nowait())
        outcomes: list[_Outcome] = []
        if work := [job for job in jobs if job.work is not None]:
            try:
                connection = self._opened(connection)
                # Changes first: then a reader sees even those whose caller has not waited for them.
                if changes := [job for job in work if job.changes]:
                    outcomes += self._change(connection, changes)
                outcomes += [self._read(connection, job) for job in work if not job.changes]
            except BaseException as error:
                outcomes = [(job, None, error) for job in work]
        closing = [job for job in jobs if job.work is None]
        # After an error it is opened anew: it may have been the file's or the disk's.
        if connection is not None and (closing or any(error is not None for _, _, error in outcomes)):
            with suppress(Exception):
                connection.close()
            connection = None
        self._tell([*outcomes, *((job, None, None) for job in closing)])
        if closing:
            with _starting:
                if self._jobs.empty():
                    _running.discard(self)
                    return connection, False
        return connection, True

    def _change(self, connection: Connection, jobs: list[_Job]) -> list[_Outcome]:
        try:
            connection.execute("BEGIN IMMEDIATE")  # one that begins by reading may find that it can never write
        except Exception as error:
            return [(job, None, error) for job in jobs]
        try:
            results = [job.work(connection) for job in jobs if job.work is not None]
            connection.execute("COMMIT")
            return [(job, result, None) for job, result in zip(jobs, results, strict=True)]
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if len(jobs) == 1:
                return [(jobs[0], None, error)]
        # Nothing of all that has happened: let each fail or succeed alone.
        return [outcome for job in jobs for outcome in self._change(connection, [job])]

    def _read(self, connection: Connection, job: _Job) -> _Outcome:
        assert job.work is not None
        try:
            return job, job.work(connection), None
        except BaseException as error:
            return job, None, error

    def _tell(self, outcomes: list[_Outcome]) -> None:
        of_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
        for job, result, error in outcomes:
            if job.future is not None:
                told = (job, result, error if error is None else explained(self.path, self.timeout, error))
                of_loop.setdefault(job.future.get_loop(), []).append(told)
        for loop, told_there in of_loop.items():
            with suppress(RuntimeError):  # the loop was closed, and nobody waits any more
                loop.call_soon_threadsafe(_deliver, told_there)

    def _opened(self, connection: Connection | None) -> Connection:
        """Return a connection to the file that is under the path now."""
        if connection is not None:
            if self._identity == _identity(self.path):
                return connection
            logger.error("%s was deleted or replaced while it was in use: going on with what is there now", self.path)
            connection.close()
        connection = open_file(self.path, self.timeout)
        self._identity = _identity(self.path)
        return connection

    def end(self) -> None:
        """Wait until nothing is left to do and the file is closed; for a caller that holds the lock of starts."""
        while self in _running:
            assert self._thread is not None
            self.abandon()
            _starting.release()
            try:
                self._thread.join()
            finally:
                _starting.acquire()


def _deliver(outcomes: list[_Outcome]) -> None:
    """Tell those who wait; runs on their event loop."""
    for job, result, error in outcomes:
        assert job.future is not None
        if job.future.done():  # cancelled
            if error is not None:
                logger.error("an operation on the storage failed after its caller had gone", exc_info=error)
        elif error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _end_all() -> None:
    """Finish all work of all databases."""
    with _starting:
        while _running:
            next(iter(_running)).end()


def _before_fork() -> None:
    # SQLite's locks belong to a process, and what it knows of them would be wrong in the child.
    _starting.acquire()
    while _running:
        next(iter(_running)).end()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_starting.release, after_in_child=_starting.release)
