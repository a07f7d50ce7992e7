"""Owns the server's own log: no token gets into it, and what strangers send badly is no error of the sandbox."""

from __future__ import annotations

import logging
import re

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

#: What the server writes to, in place of aiohttp's logger.
SERVER_LOG = logging.getLogger("aiogram_neonpay.sandbox.http")

#: `<bot id>:<secret>`, as it is or percent-encoded.
_TOKEN = re.compile(r"[0-9]+(?::|%3A)[A-Za-z0-9_-]{8,}", re.IGNORECASE)
_FORMATTER = logging.Formatter()


class _WithoutTokens(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (HttpProcessingError, RequestPayloadError)) and not SERVER_LOG.isEnabledFor(logging.DEBUG):
            return False
        record.msg, record.args = _redacted(record.getMessage()), ()
        if record.exc_info:
            record.exc_text, record.exc_info = _redacted(_FORMATTER.formatException(record.exc_info)), None
        return True


def _redacted(text: str) -> str:
    return _TOKEN.sub("<token>", text)


SERVER_LOG.addFilter(_WithoutTokens())
