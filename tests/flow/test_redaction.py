"""Tokens stay out of what is logged and kept, though errors of HTTP clients name an address that holds one."""

from __future__ import annotations

import logging

import pytest
from aiogram import Dispatcher

from aiogram_neonpay import PaymentCompleted, PaymentStage, neonpay_router
from aiogram_neonpay.redaction import redacted
from tests.telegram import ALICE, RecordingBot, charge_of, paid

TOKEN = "7000000001:AA6pfL28kymgjunbQSz0hrAPXvb4y5RrK84"
ADDRESS = f"https://api.telegram.org/bot{TOKEN}/getStarTransactions"

logger = logging.getLogger("aiogram_neonpay")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("it has no words")


def test_a_token_is_taken_out_of_a_text_and_nothing_else_is() -> None:
    assert redacted(f"Can not write request body for {ADDRESS}") == (
        "Can not write request body for https://api.telegram.org/bot<token>/getStarTransactions"
    )
    for text in ("payment 79b1e28f0c2d4a6e1: attempt 12:30 failed", "redis://:secret@127.0.0.1:6379/0", "12345:short"):
        assert redacted(text) == text


def test_a_token_in_an_error_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    logger.warning("bot %s was not reconciled (%s); again in %.0f s", 7, ConnectionError(f"no way to {ADDRESS}"), 2.0)
    [message] = caplog.messages
    assert message.endswith("(no way to https://api.telegram.org/bot<token>/getStarTransactions); again in 2 s")


def test_a_token_in_a_traceback_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    try:
        try:
            raise ConnectionError(f"no way to {ADDRESS}")
        except ConnectionError as error:
            raise RuntimeError("the handler failed") from error
    except RuntimeError:
        logger.exception("payment %s: attempt %s raised", "79b1e28f0c2d4a6e1", 1)
    assert TOKEN not in caplog.text
    assert "ConnectionError: no way to https://api.telegram.org/bot<token>/" in caplog.text
    assert "RuntimeError: the handler failed" in caplog.text


def test_an_error_that_cannot_be_shown_does_not_stop_what_logs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(logger, "propagate", False)
    logger.warning("payment %s: %s", "79b1e28f0c2d4a6e1", Unspeakable(), exc_info=Unspeakable())


@pytest.mark.asyncio
async def test_a_token_in_a_handlers_error_reaches_neither_the_ledger_nor_the_log(
    bot: RecordingBot, caplog: pytest.LogCaptureFixture
) -> None:
    pay = neonpay_router({"premium": PaymentStage("Premium", "30 days", 25)}, bot=bot, retries=())
    dispatcher = Dispatcher()
    dispatcher.include_router(pay)

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        raise ConnectionError(f"Can not write request body for {ADDRESS}")

    await pay.send_payment(ALICE, "premium")
    update = paid(bot.payload())
    with pytest.raises(ConnectionError):
        await dispatcher.feed_raw_update(bot, update)

    found = await pay._shop.charges.find(bot.id, charge_of(update))
    assert found is not None
    assert found[1]["error"].startswith("ConnectionError: Can not write request body for https://")
    assert TOKEN not in str(found[1])
    ours = [record.getMessage() for record in caplog.records if record.name == "aiogram_neonpay"]
    assert ours
    assert all(TOKEN not in message for message in ours)
