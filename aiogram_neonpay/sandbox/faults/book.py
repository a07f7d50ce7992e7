"""Owns the list of fault rules of one world, and the decision which of them strikes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from aiogram_neonpay.sandbox.faults.rules import CallFault, Fault, Subject, UpdateFault
from aiogram_neonpay.sandbox.signals import Signal

Rule = TypeVar("Rule", bound=Fault)


@dataclass(frozen=True, slots=True)
class Strike:
    """What befalls one call: waits before and after its effect, and at most one fault that takes its answer."""

    before: tuple[CallFault, ...] = ()
    after: tuple[CallFault, ...] = ()
    fault: CallFault | None = None


_NOTHING = Strike()


class FaultBook:
    """The rules, in the order in which they were given.

    :param seed: the sandbox's. Each rule throws dice of its own, so that one more rule changes no other.
    """

    def __init__(self, seed: int | None) -> None:
        self._seed = seed
        self._ids = itertools.count(1)
        self._rules: dict[int, Fault] = {}
        self._released = Signal()
        self._epoch = 0
        #: Called after each strike.
        self.on_strike: Callable[[], None] = lambda: None

    @property
    def rules(self) -> list[Fault]:
        """Every rule, also those that have struck for the last time."""
        return list(self._rules.values())

    def add(self, make: Callable[[int, random.Random], Rule]) -> Rule:
        """Add the rule that ``make`` returns for a number and dice."""
        number = next(self._ids)
        dice = random.Random() if self._seed is None else random.Random(f"{self._seed} fault {number}")
        rule = make(number, dice)
        self._rules[number] = rule
        return rule

    def remove(self, number: int) -> bool:
        """Forget a rule and let go of the calls it holds; tell whether it was there."""
        found = self._rules.pop(number, None) is not None
        self._released.notify()
        return found

    def clear(self) -> None:
        """Forget every rule and let go of every call."""
        self._rules.clear()
        self._released.notify()

    def let_go(self) -> None:
        """Let go of every call that is held now: the server is about to stop."""
        self._epoch += 1
        self._released.notify()

    def for_call(self, subject: Subject) -> Strike:
        """Decide what befalls a call.

        Slow rules add up; of the others the first that strikes decides, and those behind it do not look.
        """
        if not self._rules:
            return _NOTHING
        waits: dict[str, list[CallFault]] = {"before": [], "after": []}
        fault: CallFault | None = None
        for rule in self._rules.values():
            if not isinstance(rule, CallFault) or not rule.fits(subject):
                continue
            if rule.slow is not None:
                if self._strikes(rule):
                    waits[rule.when].append(rule)
            elif fault is None and self._strikes(rule):
                fault = rule
        return Strike(tuple(waits["before"]), tuple(waits["after"]), fault)

    def for_update(self, subject: Subject, *, reorder: bool) -> UpdateFault | None:
        """Decide what befalls an update on its way to the queue: the first rule that strikes.

        :param reorder: whether rules that reorder are asked.
        """
        rules = (rule for rule in self._updates(subject) if not rule.repeat and (reorder or not rule.reorder))
        return next((rule for rule in rules if self._strikes(rule)), None)

    def for_delivered(self, subject: Subject) -> list[UpdateFault]:
        """Decide by which rules a confirmed update comes again."""
        return [rule for rule in self._updates(subject) if rule.repeat and self._strikes(rule)]

    async def hold(self, rules: Iterable[CallFault]) -> None:
        """Wait as long as slow and hanging rules say, one after another, in real seconds.

        A wait ends early when its rule is removed, or when the server is about to stop.
        """
        epoch = self._epoch
        for rule in rules:
            seconds = rule.slow or rule.hang or 0.0
            await self._released.until(partial(self._lets_go, rule, epoch), seconds)

    def _strikes(self, rule: Fault) -> bool:
        struck = rule.strike()
        if struck:
            self.on_strike()
        return struck

    def _lets_go(self, rule: CallFault, epoch: int) -> bool:
        return rule.id not in self._rules or self._epoch != epoch

    def _updates(self, subject: Subject) -> list[UpdateFault]:
        return [rule for rule in self._rules.values() if isinstance(rule, UpdateFault) and rule.fits(subject)]
