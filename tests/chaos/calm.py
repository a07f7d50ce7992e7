"""The end of a run: nothing goes wrong any more, and everything must come to rest."""

from __future__ import annotations

import asyncio
from typing import Any

from aiogram_neonpay.ledger.charges import next_step, reference_of
from tests.chaos.scene import Scene
from tests.chaos.verdict import Evidence

__all__ = ["come_to_rest", "gather_evidence"]

REST_WITHIN = 60.0
"""Seconds that the system has to come to rest; with the real time, leases and rows need minutes."""
REST_IN_REAL_TIME = 420.0
JUMPS = (130.0, 130.0, 130.0, 700.0, 4000.0)
"""Seconds by which time moves between two looks: rows become old enough, leases and pauses end."""
REPEATED = 20
"""Payments that Telegram sends once more when all is at rest."""
TAKEN_WITHIN = 15.0


async def come_to_rest(scene: Scene) -> list[str]:
    """Wait until nothing is left to do; return what is still open when patience ends."""
    for buyer in scene.buyers:
        buyer.user.unblock()
    for life in scene.crew.living():
        scene.crew.resume(life)
    await scene.crew.ready(2)
    loop, real_time = asyncio.get_running_loop(), scene.options.real_time
    begin, looks, unrest = loop.time(), 0, ["nobody has looked"]
    while loop.time() < begin + (REST_IN_REAL_TIME if real_time else REST_WITHIN):
        clean = await scene.reconcile() and is_clean(scene.reports[-1])
        unrest = await look(scene)
        if not unrest and clean:
            scene.counts["seconds until all was at rest"] = round(loop.time() - begin)
            return await _repeat_payments(scene)
        unrest = unrest or [f"the last reconciliation found {scene.reports[-1] if scene.reports else 'nobody'}"]
        if not real_time and await scene.crew.held() == 0:
            await scene.jump(JUMPS[min(looks, len(JUMPS) - 1)], calm=True)
            looks += 1
        await asyncio.sleep(2.0 if real_time else 0.1)
    return unrest


def is_clean(report: dict[str, object]) -> bool:
    """Whether a reconciliation found that both ledgers agree."""
    return not any(report[name] for name in ("waiting", "drift", "recovered", "refunded", "differing"))


async def look(scene: Scene) -> list[str]:
    """Return what is left to do."""
    found = []
    if pending := scene.sandbox.pending_updates():
        found.append(f"{pending} updates wait at Telegram")
    if held := await scene.crew.held():
        found.append(f"{held} charges are held")
    names = scene.names()
    for name, record in zip(names, await scene.records(names), strict=True):
        if record is None:
            found.append(f"charge {name} is not recorded")
        elif not record["free"] or next_step(record) is not None:
            shown = {key: record.get(key) for key in ("state", "refund", "free", "attempts", "sends", "error")}
            found.append(f"charge {name} is on its way: {shown}")
    return found


async def _repeat_payments(scene: Scene) -> list[str]:
    """Let Telegram send payments again that were settled long ago; return what that has stirred up."""
    charges = [charge for charge in scene.sandbox.world.charges.values() if charge.update_id is not None]
    for charge in scene.dice.sample(charges, min(REPEATED, len(charges))):
        scene.sandbox.repeat_update(charge.id)
    # A poller is handed repeats together with the next update.
    await scene.buyers[0].user.send("hello")
    loop = asyncio.get_running_loop()
    end, unrest = loop.time() + TAKEN_WITHIN, ["nobody has looked"]
    while unrest and loop.time() < end:
        await asyncio.sleep(0.2)
        unrest = await look(scene)
    return unrest


async def gather_evidence(scene: Scene) -> Evidence:
    """Collect what both sides say, while everybody still lives."""
    names = scene.names()
    records = dict(zip(names, await scene.records(names), strict=True))
    shop = scene.office._shop
    invoices: dict[str, dict[str, Any] | None] = {}
    for record in records.values():
        if record is not None and record.get("stored"):
            invoices[record["invoice"]] = await shop.invoices.get(scene.bot.id, record["invoice"])
    waiting = await shop.charges.waiting(scene.bot.id, limit=100_000)
    return Evidence(
        directory=scene.directory,
        token=scene.token,
        rows=scene.sandbox.transactions(),
        balance=scene.sandbox.bot_balance(),
        records=records,
        invoices=invoices,
        waiting=[reference_of(body["charge"], body["user"]) for body in waiting],
        stuck=[str(payment.reference) for payment in await scene.office.stuck_payments()],
        report=await scene.office.report(366),
        histories={buyer.user.id: await _history(scene, buyer.user.id) for buyer in scene.buyers},
        reports=scene.reports,
        lives=scene.crew.lives,
    )


async def _history(scene: Scene, user: int) -> list[str]:
    found: list[str] = []
    while True:
        page = await scene.office.history(user, limit=100, offset=len(found))
        found += [str(payment.transaction_id) for payment in page]
        if len(page) < 100:
            return found
