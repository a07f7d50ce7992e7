"""``PaymentStage(next_state=...)``: the FSM state, or the scene, that a buyer enters when they have paid.

It is entered while the buyer's isolation lock is held, in the context that aiogram itself made for the update (so by
the dispatcher's own strategy), before any handler runs and once for each charge.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

from aiogram import Dispatcher
from aiogram.exceptions import SceneException
from aiogram.fsm.context import FSMContext
from aiogram.types import TelegramObject

from aiogram_neonpay.attempts import Attempt
from aiogram_neonpay.events import PaymentCompleted, SubscriptionRenewed
from aiogram_neonpay.ledger.leases import Claim
from aiogram_neonpay.models import PaymentResult

__all__ = ["KEY", "prepare"]

logger = logging.getLogger("aiogram_neonpay")

KEY = "payment"
"""Where the payment stands in the state's data."""
SCENES = "scenes"
"""Where aiogram's ``SceneRegistry`` puts its manager into the data of handlers."""


def prepare(attempt: Attempt, claim: Claim) -> None:
    """Have an attempt enter the state that its stage names, unless an earlier one has."""
    event = attempt.event
    if not isinstance(event, PaymentCompleted) or isinstance(event, SubscriptionRenewed):
        return
    if event.stage is None or event.stage.next_state is None or claim.body.get("entered"):
        return
    target: Any = event.stage.next_state
    payment = in_state(event)

    async def enter(carrier: TelegramObject, data: dict[str, Any]) -> None:
        state = _context(attempt, data)
        if state is None:
            return
        if isinstance(target, type):
            await _enter_scene(attempt, target, payment, carrier, state, data)
        elif not _is_there(await state.get_data(), payment):
            await state.update_data({KEY: payment})
            await state.set_state(target)
        if "raw_state" in data:
            data["raw_state"] = await state.get_state()
        claim.notes["entered"] = claim.body["entered"] = True

    attempt.entering = enter


def in_state(payment: PaymentResult) -> dict[str, Any]:
    """Return what the state's data hold of a payment: nothing that JSON cannot carry."""
    return {
        "transaction_id": payment.transaction_id,
        "reference": payment.reference,
        "stage_id": payment.stage_id,
        "amount": payment.amount,
        "metadata": payment.metadata,
    }


def _context(attempt: Attempt, data: dict[str, Any]) -> FSMContext | None:
    """Return the buyer's FSM context: aiogram's own, or where it makes none (``disable_fsm=True``) what it would be."""
    state: FSMContext | None = data.get("state")
    if state is None:
        assert isinstance(attempt.root, Dispatcher)
        state = attempt.root.fsm.resolve_event_context(data["bot"], data)
    return state


def _is_there(known: dict[str, Any], payment: dict[str, Any]) -> bool:
    """Whether the state was entered for this charge before, by an attempt that did not live to write that down."""
    held = known.get(KEY)
    return isinstance(held, dict) and held.get("transaction_id") == payment["transaction_id"]


async def _enter_scene(
    attempt: Attempt,
    scene: type[Any],
    payment: dict[str, Any],
    carrier: TelegramObject,
    state: FSMContext,
    data: dict[str, Any],
) -> None:
    """Enter a scene as aiogram does: leave the one that is active, enter this one, call what it does on entering."""
    scenes = _scenes(attempt, scene, carrier, state, data)
    config = scene.__scene_config__
    if scenes is not None:
        await scenes.close()  # first: what a scene does when it is left may be to clear the data
    await state.update_data({KEY: payment})
    if scenes is None:
        logger.warning("the scene %s is in no SceneRegistry: its state is set, its on.enter not called", scene.__name__)
        await state.set_state(config.state)
    else:
        await scenes.enter(scene, _check_active=False)
    if config.reset_data_on_enter and await state.get_state() == config.state:
        await state.update_data({KEY: payment})


def _scenes(
    attempt: Attempt, scene: type[Any], carrier: TelegramObject, state: FSMContext, data: dict[str, Any]
) -> Any | None:
    """Return aiogram's manager of scenes that knows a scene: the dispatcher's, or one of a router's registry."""
    from aiogram.fsm.scene import SceneRegistry, ScenesManager  # only bots with scenes load it

    found = [data[SCENES].registry] if SCENES in data else []
    for router in attempt.root.chain_tail:
        owners = (getattr(item, "__self__", None) for item in router.message.outer_middleware[:])
        found += [owner for owner in owners if isinstance(owner, SceneRegistry)]
    for registry in found:
        with suppress(SceneException):
            registry.get(scene)
            if SCENES in data and data[SCENES].registry is registry:
                return data[SCENES]
            update = data["event_update"]
            return ScenesManager(
                registry=registry, update_type=update.event_type, event=carrier, state=state, data=data
            )
    return None
