"""What aiogram-dialog keeps and does beside the dispatcher, for bots that use it; nothing of it is imported."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiogram import Dispatcher

__all__ = ["dialogs_at_work", "forgetting_dialogs"]

BACKGROUND = "Updater._process_update"
"""The coroutine in which a background manager moves a dialog (``aiogram_dialog.manager.updater``)."""


@contextmanager
def forgetting_dialogs(dispatcher: Dispatcher) -> Iterator[None]:
    """Let a dispatcher with dialogs start once more.

    At a second start-up aiogram-dialog's registry takes each dialog for another one with the same states, and has no
    way to forget them (``aiogram_dialog.setup.DialogRegistry``, 2.6).
    """
    middlewares = [item for router in dispatcher.chain_tail for item in router.message.middleware[:]]
    found: list[Any] = [getattr(item, "registry", None) for item in middlewares]
    registries: list[dict[str, Any]] = [item.__dict__ for item in found if hasattr(item, "_dialogs")]
    before = [dict(known) for known in registries]
    for known in registries:
        known.update(_dialogs={}, _states_groups={}, _loaded=False)
    try:
        yield
    finally:
        for known, kept in zip(registries, before, strict=True):
            known.update(kept)


def dialogs_at_work() -> list[asyncio.Task[Any]]:
    """Return what background managers of aiogram-dialog are doing: it is in no update's task."""
    return [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") == BACKGROUND]
