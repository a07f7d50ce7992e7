"""``python -m tests.chaos``: long runs, one after another; see docs/reliability.md."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import sys

from tests.chaos.harness import run
from tests.chaos.nursery import Nursery
from tests.chaos.scene import MODES, STORAGES, Options


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="what the schedule follows from")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long people buy in each run")
    parser.add_argument("--storage", choices=STORAGES, help="both, one after the other, by default")
    parser.add_argument("--mode", choices=MODES, help="both, one after the other, by default")
    parser.add_argument("--times", type=int, default=1, help="repeat with the following seeds")
    parser.add_argument("--real-time", action="store_true", help="do not move the clock; a run takes minutes more")
    parser.add_argument("--keep", action="store_true", help="keep the logs of runs that went well, too")
    given = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # what this process logs is not what is judged
    bad = 0
    nursery = Nursery()
    try:
        for seed in range(given.seed, given.seed + given.times):
            for storage in [name for name in STORAGES if given.storage in (None, name)]:
                for mode in [name for name in MODES if given.mode in (None, name)]:
                    options = Options(seed, given.seconds, storage, mode, given.real_time)
                    print(f"chaos: {mode} on {storage}, seed {seed}, {given.seconds:g} s ...", flush=True)
                    result = asyncio.run(run(options, nursery, keep=given.keep))
                    print(result, flush=True)
                    if given.keep:
                        print(f"  logs are in {result.directory}", flush=True)
                    bad += bool(result.problems)
    finally:
        nursery.close()
    if bad:
        print(f"chaos: {bad} runs ended in disagreement", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
