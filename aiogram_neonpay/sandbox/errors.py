"""Owns how the Bot API server words its refusals: prefixes, codes and letter case.

Source: `Client::fail_query_with_error` in tdlib/telegram-bot-api.
"""

from __future__ import annotations

_PREFIXES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}
#: What Telegram's own front servers say when the one behind them fails; the text is all there is.
_OUTAGES = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}
_REWRITTEN = {
    "MESSAGE_NOT_MODIFIED": (
        "message is not modified: specified new message content and reply markup are exactly the same as "
        "a current content and reply markup of the message"
    ),
    "QUERY_ID_INVALID": "query is too old and response timeout expired or query ID is invalid",
    "MESSAGE_DELETE_FORBIDDEN": "message can't be deleted",
}


class ApiError(Exception):
    """A refused Bot API call, already worded as the client will read it.

    :param code: ``error_code``, which is also the HTTP status.
    :param description: the whole text, prefix included.
    :param retry_after: seconds for ``parameters.retry_after`` of a 429, else ``None``.
    """

    def __init__(self, code: int, description: str, *, retry_after: int | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.retry_after = retry_after


class SandboxError(Exception):
    """A person in the sandbox tried what cannot be done there, such as paying an invoice that is not shown."""


class ArgumentError(SandboxError, ValueError):
    """An argument the sandbox cannot take: the message names the argument, its limits and the value."""


class LostReply(ConnectionError):
    """A call that gets no answer: over HTTP the connection is closed, without a socket this is raised."""


def refuse(text: str, code: int = 400) -> ApiError:
    """Word a refusal as the Bot API server does: prefix it, and lower the first letter unless it is a token.

    :param text: Telegram's token (``STARS_INVOICE_INVALID``) or sentence.
    :param code: 400, 401, 403, 404 or 409.
    """
    if text == "USER_IS_BLOCKED":
        code, text = 403, "bot was blocked by the user"
    text = _REWRITTEN.get(text, text)
    prefix = _PREFIXES[code]
    if text.startswith(prefix):
        return ApiError(code, text)
    keeps_case = len(text) > 1 and (text[1] == "_" or "A" <= text[1] <= "Z")
    return ApiError(code, f"{prefix}: {text if keeps_case else text[:1].lower() + text[1:]}")


def flood(seconds: int) -> ApiError:
    """Return the 429 that asks the client to come back after ``seconds``."""
    return ApiError(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)


def outage(code: int, text: str | None = None) -> ApiError:
    """Word a failure of Telegram's servers.

    :param code: 500, 502, 503 or 504.
    :param text: what follows ``Internal Server Error: `` (``restart`` is what a restarting server says), or
        the whole description of another code; the code's usual description by default.
    """
    if not text:
        return ApiError(code, _OUTAGES[code])
    return ApiError(code, f"{_OUTAGES[500]}: {text}" if code == 500 else text)
