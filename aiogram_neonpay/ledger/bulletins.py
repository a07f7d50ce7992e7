"""What admins are told and in which message: one record for each bot, so that all workers tell a storm together.

Alerts are written down here before they are told. While a window is open they are added up and the message that tells
them is edited; one worker at a time does that, under a lease that runs out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiogram_neonpay.ledger.base import LedgerEngine, RecordKey, Row, Write, new_nonce

__all__ = ["LATEST", "Bulletins", "untold"]

ALERTS = "alerts"
LATEST = 10
"""Alerts of a window that are kept with their words; the others are counted."""
DIFFERING = 100
"""Payments whose amount differs that are remembered, because every reading for two days finds them again."""

Body = dict[str, Any]


def untold(state: Body) -> int:
    """Return how many alerts of the window no message tells yet."""
    return int(sum(state.get("counts", {}).values()) - state.get("told", 0))


class Bulletins:
    """Keeps the alerts of all bots of one storage.

    :param clock: gives the present as Unix seconds.
    :param window: seconds for which alerts go into one message.
    :param lease: seconds for which the worker that tells them keeps others from it.
    """

    def __init__(self, engine: LedgerEngine, clock: Callable[[], float], *, window: float, lease: float) -> None:
        self._engine = engine
        self._clock = clock
        self._window = window
        self._lease = lease

    async def add(self, bot_id: int, teller: str | None, alerts: list[Body], *, is_low: bool | None = None) -> Body:
        """Add alerts to the open window, or to a new one, and take the right to tell them, if nobody has it.

        :param teller: who would tell them; ``None``: they are only added.
        :param is_low: whether the balance is low, if that is known; it is told when it becomes so.
        :return: the state; ``state["teller"]`` tells who has the right.
        """

        def change(known: Body) -> Body | None:
            now = self._clock()
            fresh, fields = _news(known, alerts, is_low)
            state = known
            is_over = not 0 <= now - known.get("opened", 0.0) < self._window
            if fresh and is_over and not untold(known):
                state = {"opened": now, "counts": {}, "latest": [], "told": 0, "message": None}
            if fresh:
                counts = dict(state.get("counts", {}))
                for alert in fresh:
                    counts[alert["kind"]] = counts.get(alert["kind"], 0) + 1
                fields.update(state if state is not known else {})
                fields.update(counts=counts, latest=[*state.get("latest", ()), *fresh][-LATEST:])
            is_free = not 0 < known.get("until", 0.0) - now <= self._lease
            if teller is not None and is_free and untold({**known, **fields}):
                fields.update(teller=teller, until=now + self._lease)
                if is_over and {**known, **fields}.get("message") is not None:
                    # Nobody notices that an old message is edited: all of it is told anew.
                    fields.update(opened=now, message=None, told=0)
            return fields or None

        return await self._change(bot_id, change)

    async def told(self, bot_id: int, teller: str, message: int | None, number: int) -> Body:
        """Note which message tells how many alerts of the window, and let go, or go on if there are more by now.

        :param message: ``None`` where nothing was sent: another worker may try.
        """

        def change(known: Body) -> Body | None:
            if known.get("teller") != teller:
                return None  # it took so long that another worker tells them
            told: Body = {} if message is None else {"message": message, "told": number}
            more = message is not None and untold({**known, **told})
            return {**told, "until": self._clock() + self._lease if more else 0.0, "teller": teller if more else None}

        return await self._change(bot_id, change)

    async def _change(self, bot_id: int, change: Callable[[Body], Body | None]) -> Body:
        key = RecordKey(bot_id, ALERTS, "state")
        row = await self._engine.peek(key) or Row({})
        while True:
            known = row.body
            fields = change(known)
            if fields is None:
                return known
            body = {**known, **fields, "v": known.get("v", 0) + 1, "n": new_nonce()}
            refused = await self._engine.write(Write(key, body, known.get("v", 0)))
            if refused is None:
                return body
            row = refused


def _news(known: Body, alerts: list[Body], is_low: bool | None) -> tuple[list[Body], Body]:
    """Return what is new among alerts, and what is to be remembered of them."""
    fields: Body = {}
    fresh: list[Body] = []
    for alert in alerts:
        if alert["kind"] == "low_balance" and known.get("low"):
            continue
        if alert["kind"] == "reconciliation":
            seen = [*known.get("differing", ()), *fields.get("differing", ())]
            new = [name for name in alert["differing"] if name not in seen]
            alert = {**alert, "differing": len(new)}
            if new:
                fields["differing"] = [*seen, *new][-DIFFERING:]
            if not any(alert[name] for name in ("recovered", "refunded", "differing", "drift")):
                continue
        fresh.append(alert)
    if is_low is not None and is_low != known.get("low", False):
        fields["low"] = is_low
    return fresh, fields
