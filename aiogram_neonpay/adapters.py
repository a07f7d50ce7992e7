"""The pair of bot and dispatcher that NEONPAY's documents call an adapter."""

from __future__ import annotations

from dataclasses import dataclass

from aiogram import Bot, Router

__all__ = ["AiogramAdapter"]


@dataclass(frozen=True)
class AiogramAdapter:
    """Where a NeonPay made in NEONPAY's manner belongs: ``NeonPayCore(AiogramAdapter(bot, dp))``.

    :param dispatcher: the dispatcher that it is included in at once; without it, include it yourself.
    """

    bot: Bot
    dispatcher: Router | None = None
