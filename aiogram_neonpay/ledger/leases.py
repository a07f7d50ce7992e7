"""Which charges this worker holds: keeps their leases alive, and waits for the holders at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiogram_neonpay.ledger.base import RecordKey

__all__ = ["Claim", "Leases", "in_log"]

logger = logging.getLogger("aiogram_neonpay")


SLOW = 15
"""Renewals after which, and every so many, a slow handler is worth a line in the log: five minutes."""


@dataclass(eq=False, slots=True)
class Claim:
    """The right to act on one charge until it is settled or given back.

    :ivar id: this worker's value in the record's field ``holder``; it is the fence. ``free`` says that it let go.
    :ivar body: the record as this worker last saw it.
    :ivar step: what is to be done: deliver it, send its refund, or announce that refund.
    :ivar notes: fields to write with whatever is written next.
    :ivar lost: whether another worker took the charge over; then nothing can be settled with this claim.
    :ivar renewing: keeps a renewal and the end apart, for a claim held so long that there was one.
    :ivar renewals: how often its lease was renewed.
    :ivar task: who acts on it, to be stopped when the process ends.
    """

    key: RecordKey
    id: str
    body: dict[str, Any]
    step: str
    notes: dict[str, Any] = field(default_factory=dict)
    lost: bool = False
    renewing: asyncio.Lock | None = None
    renewals: int = 0
    task: asyncio.Task[Any] | None = None

    @property
    def in_log(self) -> str:
        """What it is called for the person who reads the log."""
        return in_log(self.key, self.body)


def in_log(key: RecordKey, body: dict[str, Any]) -> str:
    """Name a charge, or a buyer, for the person who reads the log."""
    if "amount" not in body:
        return f"bot {key.bot_id}: user {body.get('user')}"
    return f"bot {key.bot_id}: payment {key.name} of {body['amount']} Stars by user {body['user']}"


class Leases:
    """The claims of one worker.

    :param seconds: for how long a claim holds unless it is renewed; a third of that is the pause between renewals.
    :param renew: writes a further lease; ``False`` when the charge is in other hands by now.
    """

    def __init__(self, seconds: float, renew: Callable[[Claim], Awaitable[bool]]) -> None:
        self.seconds = seconds
        self._renew = renew
        self._held: set[Claim] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._round: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def holds(self, key: RecordKey) -> bool:
        """Whether this worker holds a charge, whatever the storage's clock says of its lease."""
        return any(claim.key == key for claim in self._held)

    def is_held(self, claim: Claim) -> bool:
        """Whether a claim has not come to its end."""
        return claim in self._held

    def hold(self, claim: Claim) -> None:
        """Keep a claim alive from now on."""
        self._held.add(claim)
        loop = asyncio.get_running_loop()
        claim.task = asyncio.current_task()
        if self._timer is None or self._loop is not loop:
            # One timer for the worker, armed only while it holds charges. A dispatcher may outlive an event loop.
            self._loop = loop
            self._timer = loop.call_later(self.seconds / 3, self._start_round)

    def let_go(self, claim: Claim) -> None:
        """Leave a claim to its end."""
        self._held.discard(claim)

    def _start_round(self) -> None:
        self._timer = None
        if self._held:
            self._round = asyncio.get_running_loop().create_task(self._renew_all())

    async def _renew_all(self) -> None:
        """Renew every lease; none waits for another, whose part of the storage may be away."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(self._renew_in_time(claim) for claim in self._held))
        if self._held and self._timer is None:
            self._timer = loop.call_at(max(loop.time(), began + self.seconds / 3), self._start_round)

    async def _renew_in_time(self, claim: Claim) -> None:
        try:
            await asyncio.wait_for(self._renew_one(claim), self.seconds / 3)
        except Exception as error:
            logger.warning(
                "%s: its lease could not be renewed (%s: %s); when it ends, another worker takes over",
                *(claim.in_log, type(error).__name__, str(error) or "no answer in time"),
            )

    async def _renew_one(self, claim: Claim) -> None:
        claim.renewing = claim.renewing or asyncio.Lock()
        async with claim.renewing:
            if claim not in self._held:
                return
            claim.renewals += 1
            if claim.renewals % SLOW == 0:
                logger.warning(
                    "%s: its handlers have been running for %.0f minutes; nobody else takes it meanwhile",
                    *(claim.in_log, claim.renewals * self.seconds / 180),
                )
            if not await self._renew(claim):
                self._held.discard(claim)

    async def drain(self, seconds: float) -> None:
        """Wait until nothing is held; after that long, cancel who still holds something, so that they give it back."""
        loop, mine = asyncio.get_running_loop(), asyncio.current_task()
        until = loop.time() + seconds
        while True:
            tasks = {claim.task for claim in self._held}
            running = {task for task in tasks if task is not None and task is not mine and not task.done()}
            if not running:
                return
            if loop.time() >= until:
                for task in running:
                    task.cancel()
                await asyncio.wait(running, timeout=1.0)
                return
            await asyncio.wait(running, timeout=max(0.0, until - loop.time()))

    def close(self) -> None:
        """Stop renewing; what is still held is free when its lease ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._round is not None:
            self._round.cancel()
            self._round = None
