"""Owns every identifier the sandbox invents: tokens, charge ids, query ids, link slugs."""

from __future__ import annotations

import base64
import hashlib
import random

#: Random bytes in a charge id. Telegram documents no bound; live ids begin with "stx" and at least one
#: did not fit 128 characters, so programs must not assume a length.
CHARGE_ID_BYTES = 105


class IdSource:
    """Opaque identifiers, repeatable when a seed is given and fresh in every run when it is not."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def charge_id(self) -> str:
        """Return a new charge id: opaque, beginning with ``stx``, longer than 128 characters."""
        return "stx" + self._text(CHARGE_ID_BYTES)

    def query_id(self) -> str:
        """Return a new query id: a positive 64-bit integer written as a string."""
        return str(self._random.randrange(1 << 58, 1 << 63))

    def first_update_id(self) -> int:
        """Return the number a bot's updates start from."""
        return self._random.randrange(100_000_000, 900_000_000)

    def slug(self) -> str:
        """Return the unguessable part of an invoice link."""
        return self._text(24)

    def form_id(self) -> str:
        """Return a new payment form id, as the payer's client would see it."""
        return self.query_id()

    def inline_message_id(self) -> str:
        """Return an identifier of a message sent through inline mode."""
        return self._text(20)

    def file_id(self, beginning: str, letter: str = "") -> str:
        """Return a new file id; ``letter`` is that of a photo's size, which its end tells."""
        end = base64.b64encode(b"\0\x03" + letter.encode()).decode() + "AAM2BA" if letter else "Ae2BA"
        return beginning + self._text(39) + end

    def file_unique_id(self, beginning: str) -> str:
        """Return a new identifier of a file that cannot be used to send or download it."""
        return beginning + self._text(9)

    def uniform(self, low: float, high: float) -> float:
        """Return a random pause between two bounds."""
        return self._random.uniform(low, high)

    def _text(self, size: int) -> str:
        return base64.urlsafe_b64encode(self._random.randbytes(size)).decode().rstrip("=")


def bot_token(bot_id: int, username: str) -> str:
    """Return the token of a sandbox bot: the same for the same name in every run.

    It opens nothing but the sandbox, and staying the same lets a bot keep its stored data between runs.
    """
    digest = hashlib.sha256(f"sandbox:{bot_id}:{username}".encode()).digest()
    return f"{bot_id}:AA{base64.urlsafe_b64encode(digest).decode().rstrip('=')[:33]}"
