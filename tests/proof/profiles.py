"""How long the proof may take: ``NEONPAY_PROOF=long`` looks at much more."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

__all__ = ["LONG", "effort"]

LONG = os.environ.get("NEONPAY_PROOF") == "long"


def effort(examples: int, *, longer: int = 30, **options: Any) -> settings:
    """Return settings for a number of examples, the same ones in every run; a long run makes up new ones.

    :param longer: how many times as many a long run tries.
    """
    return settings(
        max_examples=examples * (longer if LONG else 1),
        derandomize=not LONG,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        **options,
    )
