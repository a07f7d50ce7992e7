"""What the doctor found: one line each, with its fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

__all__ = ["Diagnosis", "Symptom"]


@dataclass(frozen=True)
class Symptom:
    """One thing that silently loses sales or payments.

    :ivar code: a stable name: ``updates_not_asked_for``, ``webhook_elsewhere``, ``no_webhook``, ``webhook_fails``,
        ``updates_pile_up``, ``storage_forgets``, ``storage_fails``, ``redis_evicts``, ``redis_forgets``,
        ``redis_may_lose_a_second``, ``isolation_of_one_process``, ``clock_is_off``, ``secret_changed``,
        ``telegram_fails``, ``balance_negative``.
    :ivar problem: what is wrong, and what comes of it.
    :ivar fix: the line to change.
    :ivar is_severe: whether payments may be lost or refused because of it; else it is worth knowing.
    """

    code: str
    problem: str
    fix: str
    is_severe: bool = True

    def __str__(self) -> str:
        return f"{self.code}: {self.problem}. Fix: {self.fix}"


@dataclass(frozen=True)
class Diagnosis:
    """What was found wrong with one bot; ``str()`` of it has a line for each finding.

    :ivar at: when it was looked for, UTC.
    """

    bot_id: int
    at: datetime
    symptoms: tuple[Symptom, ...] = ()

    @property
    def is_healthy(self) -> bool:
        """Whether nothing severe was found."""
        return not any(symptom.is_severe for symptom in self.symptoms)

    def __iter__(self) -> Iterator[Symptom]:
        return iter(self.symptoms)

    def __len__(self) -> int:
        return len(self.symptoms)

    def __bool__(self) -> bool:
        """A diagnosis is one, also when it is good."""
        return True

    def __str__(self) -> str:
        if not self.symptoms:
            return f"bot {self.bot_id}: nothing was found that would cost sales or payments"
        return "\n".join(f"bot {self.bot_id}: {symptom}" for symptom in self.symptoms)
