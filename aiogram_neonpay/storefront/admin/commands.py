"""What admins write: the names of the commands, and the words after them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from aiogram_neonpay.errors import ConfigurationError, ValidationError

__all__ = [
    "ACTIONS",
    "LONGEST_REASON",
    "Grant",
    "Revoke",
    "first_word",
    "names_of",
    "parse_grant",
    "parse_revoke",
    "user_in",
]

ACTIONS = (
    "admin",
    "find",
    "refund",
    "redeliver",
    "stuck",
    "balance",
    "report",
    "reconcile",
    "grant",
    "revoke",
)
"""What can be done, in the order in which it is listed; a command is the prefix and one of these."""
MAX_USER_ID = (1 << 52) - 1
LONGEST_REASON = 400
"""Characters of a reason; the ledger keeps 500, with the admin's id before it."""

_NAME = re.compile(r"[a-z0-9_]{1,32}")
_WORD = re.compile(r'"([^"]*)"|“([^”]*)”|«([^»]*)»|(\S+)')  # telephones turn quotes as they like
_QUOTES = '"“”«»„'
_SPAN = re.compile(r"([0-9]{1,6})([hdw])", re.IGNORECASE)
_USES = re.compile(r"x([0-9]{1,7})", re.IGNORECASE)
_FIGURES = re.compile(r"[-+−]?\d.*|x\W*\d*", re.IGNORECASE)
"""What might be meant as a time or a number of uses."""
_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


class Grant(NamedTuple):
    """``<user id> <access> [30d] [x20] [reason]``."""

    user: int
    access: str
    seconds: int | None
    uses: int | None
    reason: str | None


class Revoke(NamedTuple):
    """``<user id> <access> [reason]``."""

    user: int
    access: str
    reason: str | None


def names_of(prefix: str, renamed: Mapping[str, str | None]) -> dict[str, str]:
    """Return the command of each action, without those that are switched off.

    :raises ConfigurationError: for an action that does not exist, and for one name twice.
    :raises ValidationError: for a name that Telegram takes for no command.
    """
    if not isinstance(prefix, str) or not isinstance(renamed, Mapping):
        raise ConfigurationError("prefix must be a string, commands a dict of names by action")
    unknown = sorted(map(str, set(renamed) - set(ACTIONS)))
    if unknown:
        raise ConfigurationError(f"commands has unknown actions {unknown}: there are {', '.join(ACTIONS)}")
    names = {action: renamed.get(action, prefix + action) for action in ACTIONS}
    found = {action: name for action, name in names.items() if name is not None}
    for name in found.values():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValidationError("commands", "must be 1-32 of a-z, 0-9 and _, without the slash", name)
    if len(set(found.values())) != len(found):
        raise ConfigurationError(f"commands has one name for two actions: {sorted(found.values())}")
    return found


def user_in(word: str) -> int | None:
    """Return the user whose id this is, or ``None``; a payment's reference may be all digits, and is longer."""
    is_id = word.isascii() and word.isdigit() and 0 < int(word[:17]) <= MAX_USER_ID and len(word) < 17
    return int(word) if is_id else None


def first_word(text: str) -> tuple[str, str]:
    """Return the first word, and what follows it."""
    words = text.split(maxsplit=1)
    return words[0] if words else "", words[1].strip() if len(words) > 1 else ""


def parse_grant(text: str) -> Grant | None:
    """Read whom to grant what; ``None`` if that cannot be read.

    What looks like a time or a number and is none that we know is no reason: it would make access one for ever.
    """
    words, rests = _split(text)
    user = _target(words)
    if user is None:
        return None
    seconds, uses, at = None, None, 2
    while at < len(words):
        if seconds is None and (span := _SPAN.fullmatch(words[at])):
            seconds = int(span[1]) * _SECONDS[span[2].lower()]
        elif uses is None and (count := _USES.fullmatch(words[at])):
            uses = int(count[1])
        elif _FIGURES.fullmatch(words[at]):
            return None
        else:
            break
        at += 1
    return Grant(user, words[1], seconds, uses, _reason(rests[at - 1]))


def parse_revoke(text: str) -> Revoke | None:
    """Read from whom to take what; ``None`` if that cannot be read."""
    words, rests = _split(text)
    user = _target(words)
    return None if user is None else Revoke(user, words[1], _reason(rests[1]))


def _target(words: list[str]) -> int | None:
    """Return the user of an order about access; ``None`` if there is none, or the name's quotes are not closed."""
    is_whole = len(words) > 1 and words[1][:1] not in _QUOTES
    return user_in(words[0]) if is_whole else None


def _split(text: str) -> tuple[list[str], list[str]]:
    """Return the words, some in quotes, and what follows each of them."""
    found = list(_WORD.finditer(text))
    words = [match[match.lastindex or 0] for match in found]
    return words, [text[match.end() :].strip() for match in found]


def _reason(text: str) -> str | None:
    return text[:LONGEST_REASON] or None
