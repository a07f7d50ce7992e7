from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Things go wrong here by the thousand, and each is logged."""
    for name in ("aiogram_neonpay", "aiogram.event"):
        caplog.set_level(logging.CRITICAL + 1, name)
