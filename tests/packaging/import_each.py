"""Imports each named module alone, with warnings as errors, and prints a JSON object: name -> what went wrong.

Run as a program. aiogram takes seconds to import and this package has many modules, so aiogram is imported once and
every module gets a fork of that interpreter, in which nothing of this package has been imported.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
import warnings


def problem_of(name: str) -> str:
    """Import a module in a fork and return the traceback, or nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        with os.fdopen(writer, "w") as report:
            try:
                importlib.import_module(name)
            except BaseException:
                report.write(traceback.format_exc())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as report:
        text = report.read()
    _, status = os.waitpid(child, 0)
    return text or (f"the interpreter died with status {status}" if status else "")


def main() -> None:
    importlib.import_module("aiogram")
    warnings.simplefilter("error")
    print(json.dumps({name: problem_of(name) for name in sys.argv[1:]}))


if __name__ == "__main__":
    main()
