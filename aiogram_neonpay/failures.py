"""What an error of a delivery attempt means, and how it is called in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from aiogram.exceptions import TelegramForbiddenError

from aiogram_neonpay.errors import RejectPayment
from aiogram_neonpay.redaction import redacted

__all__ = ["is_cancelled", "is_refused_by", "name_of", "rejection_of"]


def is_cancelled() -> bool:
    """Whether this task itself was cancelled, rather than something that a handler waited for."""
    task = asyncio.current_task()
    # Before Python 3.11 there is no telling.
    return task is None or not hasattr(task, "cancelling") or task.cancelling() > 0


def is_refused_by(user_id: int, error: BaseException) -> bool:
    """Whether a message was refused because the buyer blocked the bot, whatever a handler made of that error."""
    return any(
        isinstance(known, TelegramForbiddenError) and str(getattr(known.method, "chat_id", None)) == str(user_id)
        for known in _within(error, causes=True)
    )


def rejection_of(error: BaseException) -> RejectPayment | None:
    """Return what a handler rejected a payment with, also from a task group."""
    return next((known for known in _within(error, causes=False) if isinstance(known, RejectPayment)), None)


def _within(error: BaseException, *, causes: bool) -> Iterator[BaseException]:
    """Yield an error, the members of a group, and what they were raised from."""
    waiting, seen = [error], set()
    while waiting:
        known = waiting.pop()
        if id(known) in seen:
            continue
        seen.add(id(known))
        yield known
        waiting += getattr(known, "exceptions", ())  # ExceptionGroup, Python 3.11
        if causes and known.__cause__ is not None:
            waiting.append(known.__cause__)


def name_of(error: BaseException) -> str:
    """Return an error as ``Type: message``, short, without tokens, as text that every storage takes."""
    try:
        text = str(error)
    except Exception:
        text = "(it cannot be shown)"
    # File names may hold what is no text; the ledger takes only text.
    return f"{type(error).__name__}: {redacted(text)}"[:200].encode("utf-8", "replace").decode()
