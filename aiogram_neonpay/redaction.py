"""Keeps bot tokens out of logs and of the ledger.

Errors of HTTP clients name an address, and the Bot API's holds a token.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress

__all__ = ["TokenFilter", "redacted"]

TOKEN = re.compile(r"(?<![0-9])[0-9]{3,20}:[A-Za-z0-9_-]{30,}")
SHOWN = "<token>"


def redacted(text: str) -> str:
    """Return a text without the tokens in it."""
    return TOKEN.sub(SHOWN, text)


class TokenFilter(logging.Filter):
    """Takes tokens out of what is logged, tracebacks included."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        # An error that cannot be shown is for handlers to complain of: here it would stop what logs it.
        with suppress(Exception):
            message = record.getMessage()
            if TOKEN.search(message):
                record.msg, record.args = redacted(message), None
        with suppress(Exception):
            if record.exc_info and not record.exc_text:
                trace = logging.Formatter().formatException(record.exc_info)
                if TOKEN.search(trace):
                    record.exc_text = redacted(trace)  # a formatter takes it as it is
        return True


# Of the logger itself, not of a handler: those are the bot's.
logging.getLogger("aiogram_neonpay").addFilter(TokenFilter())
