from __future__ import annotations

import logging

import pytest

from aiogram_neonpay.sqlite import opening


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Things go wrong here by the thousand, and each is logged."""
    for name in ("aiogram_neonpay", "aiogram.event"):
        caplog.set_level(logging.CRITICAL + 1, name)


@pytest.fixture(autouse=True)
def unhurried_by_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes die here, never the power: what the system has taken is as good as on the disk, and much faster."""
    monkeypatch.setattr(opening, "SYNCHRONOUS", "OFF")
