"""What an author may choose about the sandbox of a test."""

from __future__ import annotations

from dataclasses import dataclass

from aiogram import Bot
from aiogram.client.default import DefaultBotProperties
from aiogram.fsm.storage.base import BaseStorage

from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.sandbox import Clock, Rules

__all__ = ["SandboxOptions"]


@dataclass(frozen=True)
class SandboxOptions:
    """How the sandbox of a test is made.

    :ivar http: whether the bot calls it over HTTP, on a free port of this machine, instead of in this process.
    :ivar username: the bot's.
    :ivar seed: makes charge ids, query ids and dice the same in every run. A bot that keeps charges in tables of its
        own takes a charge of the next test for a repeat of this one, if both have the same seed.
    :ivar clock: the time to live by; by default it begins with the present and stands still until it is moved.
    :ivar rules: switches for what is a guess or a nuisance; by default nothing brakes hasty pollers.
    :ivar bot: the program's own, for programs whose handlers call it by name. It keeps its token and its defaults, and
        calls the sandbox while the test runs; by default a bot is made.
    :ivar bot_defaults: aiogram's ``default=`` for the bot that is made, such as its parse mode.
    :ivar storage: where states and payments are kept; a new ``MemoryStorage`` by default. It must be empty, and is
        closed when the test ends.
    :ivar patience: real seconds that the bot may take to come to rest.
    """

    http: bool = False
    username: str = "test_bot"
    seed: int | None = None
    clock: Clock | None = None
    rules: Rules | None = None
    bot: Bot | None = None
    bot_defaults: DefaultBotProperties | None = None
    storage: BaseStorage | None = None
    patience: float = 5.0

    def __post_init__(self) -> None:
        if self.bot is not None and not isinstance(self.bot, Bot):
            raise ValidationError("bot", "must be an aiogram Bot", type(self.bot).__name__)
        if self.bot is not None and self.bot_defaults is not None:
            raise ValidationError("bot_defaults", "must be left out beside bot, which has its own", self.bot_defaults)
        if isinstance(self.patience, bool) or not isinstance(self.patience, (int, float)) or not self.patience > 0:
            raise ValidationError("patience", "must be seconds, more than 0", self.patience)
