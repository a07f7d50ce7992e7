"""What an author may choose about the sandbox of a test."""

from __future__ import annotations

from dataclasses import dataclass

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
    :ivar bot_defaults: aiogram's ``default=`` for the bot, such as its parse mode.
    :ivar storage: where states and payments are kept; a new ``MemoryStorage`` by default. It must be empty, and is
        closed when the test ends.
    :ivar patience: real seconds that the bot may take to come to rest.
    """

    http: bool = False
    username: str = "test_bot"
    seed: int | None = None
    clock: Clock | None = None
    rules: Rules | None = None
    bot_defaults: DefaultBotProperties | None = None
    storage: BaseStorage | None = None
    patience: float = 5.0

    def __post_init__(self) -> None:
        if isinstance(self.patience, bool) or not isinstance(self.patience, (int, float)) or not self.patience > 0:
            raise ValidationError("patience", "must be seconds, more than 0", self.patience)
