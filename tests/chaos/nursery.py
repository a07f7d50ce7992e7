"""Starts the processes of a run by forking one that has imported everything: a restart takes milliseconds.

``python -m tests.chaos.nursery <module>`` reads from its standard input what to start, one JSON object a line, and
tells on its standard output who was born and who died. When its input ends it kills whoever is left.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Nursery"]

ROOT = Path(__file__).resolve().parents[2]


Told = Callable[[dict[str, Any]], None]


class Nursery:
    """The nursery as its users see it: several runs may share it.

    :param program: the module whose ``main(spec)`` every process runs.
    """

    def __init__(self, program: str = "tests.chaos.worker") -> None:
        self._told: dict[str, Told] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, program],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            report = json.loads(line)
            self._told[report["run"]](report)

    def listen(self, run: str, told: Told) -> None:
        """Hear of the processes of one run.

        :param run: the directory that is named in what they are told.
        :param told: called, on a thread of its own, with every report: ``{"born": name, "pid": ...}`` or
            ``{"died": name, "pid": ..., "code": ...}``, both with ``at``.
        """
        self._told[run] = told

    def start(self, spec: dict[str, Any]) -> None:
        """Start a process; its birth is reported."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(spec).encode() + b"\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """Kill whoever is left."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._listener.join(10)
        self._process.stdout.close()


def main() -> None:
    program = importlib.import_module(sys.argv[1])  # nobody has to import it again
    gc.freeze()
    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    children: dict[int, dict[str, Any]] = {}
    waiting = selectors.DefaultSelector()
    waiting.register(0, selectors.EVENT_READ)
    waiting.register(bell, selectors.EVENT_READ)
    unread = b""
    while True:
        for key, _ in waiting.select():
            if key.fd == bell:
                os.read(bell, 4096)
                _tell_of_dead(children)
                continue
            chunk = os.read(0, 65536)
            if not chunk:
                for pid in children:
                    os.kill(pid, signal.SIGKILL)
                return
            *lines, unread = (unread + chunk).split(b"\n")
            for line in lines:
                spec = json.loads(line)
                pid = _fork(spec, program.main)
                children[pid] = spec
                _tell(spec, born=spec["name"], pid=pid)


def _tell(spec: dict[str, Any], **report: Any) -> None:
    os.write(1, json.dumps({"run": spec["directory"], **report, "at": time.monotonic()}).encode() + b"\n")


def _tell_of_dead(children: dict[int, dict[str, Any]]) -> None:
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            spec = children.pop(pid)
            _tell(spec, died=spec["name"], pid=pid, code=os.waitstatus_to_exitcode(status))


def _fork(spec: dict[str, Any], work: Callable[[dict[str, Any]], int]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(Path(spec["directory"]) / f"{spec['name']}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(number, target)
        code = work(spec)
        atexit._run_exitfuncs()  # what a program does when it ends by itself
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
