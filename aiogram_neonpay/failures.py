"""What an error of a delivery attempt means, and how it is called in the ledger."""

from __future__ import annotations

import asyncio

from aiogram.exceptions import TelegramForbiddenError

from aiogram_neonpay.redaction import redacted

__all__ = ["is_cancelled", "is_refused_by", "name_of"]


def is_cancelled() -> bool:
    """Whether this task itself was cancelled, rather than something that a handler waited for."""
    task = asyncio.current_task()
    # Before Python 3.11 there is no telling.
    return task is None or not hasattr(task, "cancelling") or task.cancelling() > 0


def is_refused_by(user_id: int, error: BaseException) -> bool:
    """Whether a message was refused because the buyer blocked the bot."""
    return isinstance(error, TelegramForbiddenError) and getattr(error.method, "chat_id", None) == user_id


def name_of(error: BaseException) -> str:
    """Return an error as ``Type: message``, short, without tokens, as text that every storage takes."""
    try:
        text = str(error)
    except Exception:
        text = "(it cannot be shown)"
    # File names may hold what is no text; the ledger takes only text.
    return f"{type(error).__name__}: {redacted(text)}"[:200].encode("utf-8", "replace").decode()
