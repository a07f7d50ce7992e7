"""Runs a command so that Ctrl-C stops the command and not the ``make`` that started it.

Usage: python scripts/in_foreground.py COMMAND...

A terminal sends Ctrl-C to its whole foreground process group, and ``make`` always dies of it with a status of its
own. So the command gets a process group of its own, which owns the terminal while it runs, as a job in a shell does.
A command that ends when it is asked to end has done its part: that is success.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def open_terminal() -> int | None:
    """Return a descriptor of the terminal this process is in the foreground of, if there is one."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return None
    return terminal if os.tcgetpgrp(terminal) == os.getpgrp() else None


def give(terminal: int, group: int) -> None:
    """Make a process group the foreground one; allowed from the background because SIGTTOU is ignored."""
    with contextlib.suppress(OSError):
        os.tcsetpgrp(terminal, group)


def run_with_terminal(command: list[str], terminal: int) -> int:
    """Run the command as the terminal's foreground job; Ctrl-Z stops it together with its starters."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)

    def become_foreground() -> None:
        os.setpgrp()
        give(terminal, os.getpgrp())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)

    child = subprocess.Popen(command, preexec_fn=become_foreground)
    forward_signals(child)
    try:
        while True:
            _, status = os.waitpid(child.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                return os.waitstatus_to_exitcode(status)
            give(terminal, os.getpgrp())
            os.killpg(0, signal.SIGSTOP)
            give(terminal, child.pid)
            os.killpg(child.pid, signal.SIGCONT)
    finally:
        give(terminal, os.getpgrp())


def run_without_terminal(command: list[str]) -> int:
    """Run the command in this process group: whoever interrupts the group reaches it directly."""
    child = subprocess.Popen(command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forward_signals(child)
    return child.wait()


def forward_signals(child: subprocess.Popen[bytes]) -> None:
    """Pass on a wish to end that was sent to this process alone."""

    def forward(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    for number in ENDINGS[1:]:
        signal.signal(number, forward)


def main() -> int:
    command = sys.argv[1:]
    terminal = open_terminal()
    status = run_without_terminal(command) if terminal is None else run_with_terminal(command, terminal)
    if status < 0:
        status = 128 - status
    return 0 if status in {128 + number for number in ENDINGS} else status


if __name__ == "__main__":
    sys.exit(main())
