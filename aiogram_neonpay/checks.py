"""Checks of what authors pass: each refusal names the field, the limit and the value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from aiogram.fsm.state import State
from aiogram.types import InaccessibleMessage, Message

from aiogram_neonpay.errors import ValidationError

__all__ = [
    "check_access_name",
    "check_amount",
    "check_count",
    "check_metadata",
    "check_prompts",
    "check_seconds",
    "check_stage_id",
    "check_state",
    "check_text",
    "check_thank_you",
    "check_tidy",
    "is_text",
]

MAX_AMOUNT = 999_999_999_999
"""The generic cap of Telegram's own server code on one labeled price; what Stars really allow, Telegram says."""
MAX_STAGE_ID = 64
"""Bytes. Ours: the id travels in the 128-byte invoice payload."""
MAX_ACCESS = 64
"""Characters of the name of an access. Ours."""
LONGEST_ACCESS = 100 * 365 * 86400
"""Seconds: a hundred years. Ours; for ever is ``access_for=None``."""
MAX_MESSAGE = 4096
"""Characters. Bot API ``sendMessage``, parameter ``text``."""
MAX_PROMPTS = 20
"""Messages that are tidied away with one invoice. Ours."""
MAX_STATE = 256
"""Characters of the name of an FSM state. Ours."""
MAX_DEPTH = 32
"""Levels of dictionaries and lists in metadata. Ours."""
MAX_METADATA = 8192
"""Bytes of compact JSON. Ours: metadata lives in one record of the storage."""

_STAGE_ID = re.compile(r"[A-Za-z0-9_.\-]{1,64}")


def check_text(name: str, value: object, limit: int) -> str:
    """Return ``value`` if it is text of 1 to ``limit`` characters that Telegram will show.

    :raises ValidationError: for other types, blanks, control characters and overlong text.
    """
    if not isinstance(value, str):
        raise ValidationError(name, "must be a string", value)
    if not value.strip():
        raise ValidationError(name, "must not be blank", value)
    if len(value) > limit:
        raise ValidationError(name, f"must be 1-{limit} characters, has {len(value)}", value)
    for character in value:
        code = ord(character)
        if (code < 32 and character != "\n") or 0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF:
            raise ValidationError(name, f"must not contain the control character U+{code:04X}", value)
    return value


def is_text(value: object) -> bool:
    """Whether a value is a string that can be written as UTF-8."""
    return isinstance(value, str) and not any(0xD800 <= ord(character) <= 0xDFFF for character in value)


def check_amount(name: str, value: object, *, at_least: int = 1, at_most: int | None = None) -> int:
    """Return ``value`` if it is a whole number of Stars within the limits.

    :raises ValidationError: for other types (``True`` is no price) and numbers out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError(name, "must be a whole number of Stars (int)", value)
    if value < at_least:
        raise ValidationError(name, f"must be at least {at_least} Star{'s' * (at_least != 1)}", value)
    top = MAX_AMOUNT if at_most is None else min(at_most, MAX_AMOUNT)
    if value > top:
        raise ValidationError(name, f"must be at most {top} Star{'s' * (top != 1)}", value)
    return value


def check_access_name(name: str, value: object) -> str:
    """Return ``value`` if it can name an access: 1-64 characters of text.

    :raises ValidationError: otherwise.
    """
    return check_text(name, value, MAX_ACCESS)


def check_seconds(name: str, value: object) -> int | None:
    """Return a span as whole seconds, from a ``timedelta`` or a number of seconds; ``None`` for ``None``.

    :raises ValidationError: unless it is 1 second to 100 years.
    """
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 1 <= seconds <= LONGEST_ACCESS:
        raise ValidationError(name, "must be a timedelta or seconds, from 1 second to 100 years", value)
    return int(seconds)


def check_count(name: str, value: object, at_most: int) -> None:
    """Refuse what is no whole number from 1 to ``at_most``; ``None`` passes.

    :raises ValidationError: otherwise.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= at_most:
        raise ValidationError(name, f"must be a whole number from 1 to {at_most}", value)


def check_state(name: str, value: object) -> None:
    """Refuse what is no FSM state that somebody can be in; ``None`` passes.

    :raises ValidationError: unless it is a ``State`` with a name, a state's string of 1-256 characters, or a ``Scene``
        class with a state.
    """
    if value is None:
        return
    state: object = value
    if isinstance(value, State):
        state = value.state
    elif isinstance(value, type) and hasattr(value, "__scene_config__"):
        state = value.__scene_config__.state
    elif not isinstance(value, str):
        raise ValidationError(name, "must be a State, a state's string or a Scene class", value)
    if state is None:
        raise ValidationError(name, "must have a name: put State() into a StatesGroup, give a Scene state=", value)
    if state == "*":
        raise ValidationError(name, "must be one state, not any", value)
    check_text(name, state, MAX_STATE)


def check_tidy(value: object) -> None:
    """Refuse what is no way to tidy up.

    :raises ValidationError: unless it is ``"keep"``, ``"delete"`` or ``"receipt"``.
    """
    if value not in ("keep", "delete", "receipt"):
        raise ValidationError("tidy", 'must be "keep", "delete" or "receipt"', value)


def check_prompts(value: object) -> list[int]:
    """Return the ids of messages that are given as ids or as aiogram's objects.

    :raises ValidationError: for anything else, and for more than 20 of them.
    """
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence) or len(value) > MAX_PROMPTS:
        raise ValidationError("prompts", f"must be a list of at most {MAX_PROMPTS} messages or their ids", value)
    ids = [item.message_id if isinstance(item, (Message, InaccessibleMessage)) else item for item in value]
    for item in ids:
        if isinstance(item, bool) or not isinstance(item, int) or item < 1:
            raise ValidationError("prompts", "must be messages or their ids (int)", item)
    return ids


def check_thank_you(value: object) -> None:
    """Refuse what cannot thank a buyer; ``True``, ``False`` and ``None`` pass.

    :raises ValidationError: unless it is a text of 1-4096 characters.
    """
    if value is not None and not isinstance(value, bool):
        check_text("thank_you", value, MAX_MESSAGE)


def check_stage_id(value: object) -> str:
    """Return ``value`` if it can name a stage: 1-64 bytes of ASCII letters, digits, ``_ - .``.

    :raises ValidationError: otherwise.
    """
    if not isinstance(value, str):
        raise ValidationError("stage_id", "must be a string", value)
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > MAX_STAGE_ID:
        raise ValidationError("stage_id", f"must be 1-{MAX_STAGE_ID} bytes, has {size}", value)
    if not _STAGE_ID.fullmatch(value):
        raise ValidationError("stage_id", f"must be 1-{MAX_STAGE_ID} ASCII letters, digits, '_', '-' or '.'", value)
    return value


def check_metadata(name: str, value: object) -> dict[str, Any] | None:
    """Return a JSON-clean copy of a metadata dictionary, or ``None`` for ``None``.

    :raises ValidationError: when it is no ``dict`` with string keys, holds what JSON cannot carry, or is larger than
        8192 bytes of JSON.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValidationError(name, "must be a dict", value)
    _check_nesting(name, value, MAX_DEPTH)
    try:
        text = json.dumps(dict(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(name, f"must hold only what JSON can carry ({error})", value) from error
    if size > MAX_METADATA:
        raise ValidationError(name, f"must be at most {MAX_METADATA} bytes of JSON, has {size}", value)
    copy: dict[str, Any] = json.loads(text)
    return copy


def _check_nesting(name: str, value: object, levels: int) -> None:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValidationError(name, "must have string keys", key)
    if not isinstance(value, (Mapping, list, tuple)):
        return
    if not levels:
        raise ValidationError(name, f"must not be nested deeper than {MAX_DEPTH} levels", "...")
    for item in value.values() if isinstance(value, Mapping) else value:
        _check_nesting(name, item, levels - 1)
