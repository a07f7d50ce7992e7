"""Runs the benchmarks and prints the table: ``python -m benchmarks [--quick] [GROUP ...]``."""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import logging
import platform
import sys
import warnings

from benchmarks.groups import GROUPS
from benchmarks.measure import Effort
from benchmarks.profiling import profile

ROUNDS = 60
QUICK_ROUNDS = 12
NOTE = """\
Speeds are ratios of CPU time, one contender against another in alternating blocks: the median of {rounds} rounds.
Above 1 is faster. The last column is the median cost of one item in this run; it depends on the machine.
docs/benchmarks.md says what each group does."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"one or more of {', '.join(GROUPS)} (default: all)")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}, smaller sizes"
    )
    parser.add_argument("--profile", choices=["memory", "messages"], help="print a profile of our own path instead")
    options = parser.parse_args()
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(f"unknown group: {', '.join(sorted(unknown))}")
    return options


async def run(options: argparse.Namespace) -> None:
    if options.profile:
        print(await profile(options.profile))
        return
    effort = Effort(QUICK_ROUNDS if options.quick else ROUNDS, options.quick)
    print(f"Python {platform.python_version()}, aiogram {importlib.metadata.version('aiogram')}", end="\n\n")
    for name in options.groups or GROUPS:
        if sys.stderr.isatty():
            print(f"measuring {name} ...", file=sys.stderr)
        for table in await GROUPS[name](effort):
            print(table, end="\n\n", flush=True)
    print(NOTE.format(rounds=effort.rounds))


def main() -> None:
    # Packages that log every payment are not measured by how fast they log, and memory storage is chosen here.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    asyncio.run(run(parse()))


if __name__ == "__main__":
    main()
