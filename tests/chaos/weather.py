"""What goes wrong in a run, and when: faults of Telegram, and accidents of processes, storage and time."""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

from aiogram_neonpay.sandbox import CallFault, Sandbox, UpdateFault

__all__ = ["Accident", "accidents", "describe_faults", "order_faults"]


def order_faults(sandbox: Sandbox, mode: str) -> None:
    """Let Telegram fail at random, before and after the effect, and lose, delay, reorder and repeat updates."""
    add, update = sandbox.faults.add, sandbox.faults.add_update
    add("refundStarPayment", error=429, retry_after=1, probability=0.08)
    add("refundStarPayment", error=502, probability=0.08)
    add("refundStarPayment", error=502, when="after", probability=0.1)
    add("refundStarPayment", drop=True, when="after", probability=0.1)
    add("refundStarPayment", hang=5, when="after", probability=0.04)
    add("answerPreCheckoutQuery", drop=True, when="after", probability=0.05)
    add("getStarTransactions", error=502, probability=0.05)
    if mode == "polling":
        add("getUpdates", error=502, probability=0.02)
        add("getUpdates", drop=True, probability=0.02)
        add("getUpdates", drop=True, when="after", probability=0.02)
    add("*", error=429, retry_after=1, probability=0.02)
    add("*", error=500, probability=0.015)
    add("*", error=502, when="after", probability=0.015)
    add("*", drop=True, probability=0.015)
    add("*", drop=True, when="after", probability=0.015)
    add("*", hang=5, probability=0.004)
    add("*", hang=5, when="after", probability=0.004)
    add("*", slow=0.3, probability=0.05)
    update("successful_payment", drop=True, probability=0.06)
    update("successful_payment", delay=3, probability=0.05)
    update("successful_payment", reorder=True, probability=0.05)
    update("successful_payment", repeat=1, probability=0.1)
    update("successful_payment", repeat=1, delay=2, probability=0.05)
    update("refunded_payment", drop=True, probability=0.2)
    update("refunded_payment", delay=2, probability=0.1)
    update("refunded_payment", repeat=1, probability=0.1)
    update("pre_checkout_query", drop=True, probability=0.02)
    update("*", repeat=1, probability=0.02)


def describe_faults(sandbox: Sandbox) -> Counter[str]:
    """Return how often each kind of fault has struck."""
    struck: Counter[str] = Counter()
    for fault in sandbox.faults:
        if isinstance(fault, CallFault):
            kind = "slow" if fault.slow else "hanging" if fault.hang else "dropped" if fault.drop else str(fault.error)
            side = "" if fault.slow else f" {fault.when}"
            struck[f"calls {kind}{side}"] += fault.struck
        elif isinstance(fault, UpdateFault):
            kind = "lost" if fault.drop else "repeated" if fault.repeat else "reordered" if fault.reorder else "delayed"
            struck[f"updates {kind}"] += fault.struck
    return struck


class Accident(NamedTuple):
    """Something that happens once.

    :ivar at: seconds from the beginning of the run.
    :ivar luck: a number from 0 to 1 that decides the rest: whom it hits, and for how long.
    """

    at: float
    kind: str
    luck: float


OFTEN = {
    "kill a process": 6,
    "kill all processes": 1,
    "stop a process gracefully": 3,
    "replace a process": 2,
    "stall a process past its leases": 3,
    "stall the storage": 1,
    "kill the storage": 2,
    "an outage of Telegram": 1,
    "a minute passes": 3,
    "two minutes pass": 3,
    "an hour passes": 1,
    "a day passes": 1,
    "reconcile": 4,
    "reconcile twice at once": 1,
    "run what is due": 2,
    "a second poller": 3,
}
NEVER_MISSED = ("kill a process", "stall a process past its leases", "kill the storage", "stop a process gracefully")
"""What happens even in the shortest run."""
PAUSE = 0.8
"""Seconds between two accidents, in the mean."""
DAYS = 10
"""As many days pass at most: stored invoices are forgotten after sixty."""


def accidents(seed: int, seconds: float, *, mode: str, real_time: bool, storage: str) -> list[Accident]:
    """Return the accidents of a run, in order."""
    dice = random.Random(f"{seed} accidents")
    often = dict(OFTEN)
    if mode != "polling":
        del often["a second poller"]
    if storage == "sqlite":
        del often["kill the storage"]  # there is nothing to kill: processes die while they write
    if real_time:
        often = {kind: weight for kind, weight in often.items() if "pass" not in kind}
    found = [Accident(dice.uniform(0.5, seconds), kind, dice.random()) for kind in NEVER_MISSED if kind in often]
    at, days = 0.4, 0
    while (at := at + dice.expovariate(1 / PAUSE)) < seconds:
        [kind] = dice.choices(list(often), list(often.values()))
        days += kind == "a day passes"
        if days == DAYS:
            often.pop("a day passes", None)
        found.append(Accident(at, kind, dice.random()))
    return sorted(found)
