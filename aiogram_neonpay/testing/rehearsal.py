"""A dispatcher on loan: another storage, another clock and no traces, while its author's objects stay as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from aiogram import Dispatcher
from aiogram.fsm.storage.base import BaseEventIsolation, BaseStorage
from aiogram.fsm.storage.memory import DisabledEventIsolation, SimpleEventIsolation

from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.hooks import PassingIsolation
from aiogram_neonpay.installation import Installation
from aiogram_neonpay.routers import payment_routers
from aiogram_neonpay.sandbox import Clock
from aiogram_neonpay.testing.dialogs import forgetting_dialogs

__all__ = ["ClockTiming", "installations", "rehearsing"]


class ClockTiming:
    """Time as a sandbox's clock shows it: see :class:`~aiogram_neonpay.timing.Timing`."""

    passes = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def time(self) -> float:
        """Return the clock's seconds."""
        return self._clock.now()

    def call_later(self, seconds: float, callback: Callable[..., object], *args: Any) -> Any:
        """Call back when the clock has moved on by that much."""

        def call() -> None:
            callback(*args)

        return self._clock.call_at(self._clock.now() + seconds, call)

    async def wait(self, task: asyncio.Task[Any], seconds: float) -> None:
        """Wait until a task has ended, or the clock has moved on by that much."""
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({task, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()


def installations(dispatcher: Dispatcher) -> list[Installation]:
    """Return the plugin's installations on a dispatcher: one, or none if its bot does without the plugin."""
    return [pay._installation for pay in payment_routers(dispatcher) if isinstance(pay, NeonPay)]


@contextmanager
def rehearsing(dispatcher: Dispatcher, clock: Clock, storage: BaseStorage) -> Iterator[None]:
    """Let a dispatcher and its plugin live by a clock and begin with nothing; afterwards all is as it was.

    States, payments and locks of this time are kept apart from the author's, whatever storage those are in.
    """
    fsm = dispatcher.fsm
    before = fsm.storage, fsm.events_isolation
    data = dict(dispatcher.workflow_data)
    with ExitStack() as stack:
        stack.enter_context(forgetting_dialogs(dispatcher))
        for installation in installations(dispatcher):
            stack.enter_context(installation.rehearsing(clock.now, ClockTiming(clock), storage))
        fsm.storage, fsm.events_isolation = storage, _fresh(fsm.events_isolation)
        try:
            yield
        finally:
            fsm.storage, fsm.events_isolation = before
            dispatcher.workflow_data.clear()
            dispatcher.workflow_data.update(data)


def _fresh(isolation: BaseEventIsolation) -> BaseEventIsolation:
    """Return locks that isolate as the author's do, without their server and their event loop."""
    if isinstance(isolation, PassingIsolation):
        return PassingIsolation(_fresh(isolation.isolation))
    return DisabledEventIsolation() if isinstance(isolation, DisabledEventIsolation) else SimpleEventIsolation()
