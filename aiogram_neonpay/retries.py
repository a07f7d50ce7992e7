"""When a failed step is tried again."""

from __future__ import annotations

import random
from collections.abc import Sequence

from aiogram_neonpay.errors import ValidationError

__all__ = ["RETRIES", "Retries", "endless_pause"]

RETRIES = (2.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 21600.0, 43200.0)
"""Seconds: the longest pause after each failed attempt. Nine attempts, over a day at the most."""
LONGEST = 366 * 86400
"""Seconds of the longest pause."""
MOST = 50
"""Pauses that may be given."""


class Retries:
    """A schedule of pauses.

    :param pauses: seconds, one for each failed attempt; after the last attempt there is none, so ``()`` means a single
        attempt.
    :raises ValidationError: for pauses that are no numbers of 0 or more, up to a year.
    """

    def __init__(self, pauses: Sequence[float] = RETRIES) -> None:
        if isinstance(pauses, (str, bytes)) or not isinstance(pauses, Sequence) or len(pauses) > MOST:
            raise ValidationError("retries", f"must be a sequence of at most {MOST} pauses in seconds", pauses)
        for pause in pauses:
            if isinstance(pause, bool) or not isinstance(pause, (int, float)) or not 0 <= pause <= LONGEST:
                raise ValidationError("retries", f"pauses must be seconds, 0-{LONGEST}", pause)
        self._pauses = tuple(float(pause) for pause in pauses)

    def pause(self, tries: int) -> float | None:
        """Return the seconds until the next try after so many, or ``None`` when that was the last.

        Up to a quarter is taken off at random: what failed together is not to come back together.
        """
        if tries > len(self._pauses):
            return None
        return self._pauses[tries - 1] * random.uniform(0.75, 1.0) if tries > 0 else 0.0


def endless_pause(tries: int) -> float:
    """Return the seconds until the next try of something that is never given up: from 2 seconds to an hour."""
    pause = RETRIES[min(max(tries, 1), len(RETRIES)) - 1]
    return min(pause, 3600.0) * random.uniform(0.75, 1.0)
