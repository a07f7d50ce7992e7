"""The invoice payload: a signed token that names what was offered, to whom, for how much and until when.

It fits Telegram's 128 bytes (Bot API ``sendInvoice``, parameter ``payload``), so a plain invoice needs no storage.

====================  =====  =========================================================================
part                  bytes  content
====================  =====  =========================================================================
prefix, text              2  ``n1``: ours, version 1
head, base64url:
flags, key id         1 + 1  which optional fields follow; which key signed
issue time, random    4 + 5  together the invoice id
amount               4 or 5  Stars
length                    1  of the stage id
buyer                     7  when bound to one
expiry                    4  when it expires, Unix seconds
tag                      12  HMAC-SHA256, cut, over everything else
tail, text           1-64 +  stage id, then metadata as compact JSON
====================  =====  =========================================================================
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aiogram_neonpay.errors import ValidationError

__all__ = ["MAX_PAYLOAD", "PREFIX", "InvoiceToken", "Signer", "looks_ours"]

PREFIX = "n1"
MAX_PAYLOAD = 128
"""Bytes. Bot API ``sendInvoice``, parameter ``payload``."""

_BUYER, _EXPIRY, _STORED, _WIDE = 0x01, 0x02, 0x04, 0x08
_KNOWN_FLAGS = _BUYER | _EXPIRY | _STORED | _WIDE
_TAG = 12
_FIXED = 1 + 1 + 4 + 5 + 4 + 1
_WIDE_FROM = 1 << 32


@dataclass(frozen=True)
class InvoiceToken:
    """What a payload says.

    :ivar invoice_id: 18 hexadecimal digits: issue time and a random part.
    :ivar issued_at: Unix seconds.
    :ivar amount: Stars.
    :ivar buyer: the only user who may pay, or ``None``.
    :ivar expires_at: Unix seconds, or ``None``.
    :ivar stored: whether the storage holds a record of this invoice.
    :ivar metadata_json: what the seller attached, as compact JSON, when it fitted into the payload.
    """

    invoice_id: str
    issued_at: int
    stage_id: str
    amount: int
    buyer: int | None = None
    expires_at: int | None = None
    stored: bool = False
    metadata_json: str = ""

    @property
    def metadata(self) -> dict[str, Any]:
        """What the seller attached, when it fitted into the payload: a fresh dictionary at every use."""
        parsed: dict[str, Any] = json.loads(self.metadata_json) if self.metadata_json else {}
        return parsed


def looks_ours(payload: str) -> bool:
    """Whether a payload claims to be a token of this package; only :meth:`Signer.verify` proves it."""
    return payload.startswith(PREFIX)


def new_invoice_id(now: float) -> str:
    """Return a fresh invoice id for the moment ``now`` (Unix seconds)."""
    return (int(now) & 0xFFFFFFFF).to_bytes(4, "big").hex() + os.urandom(5).hex()


def metadata_room(stage_id: str, amount: int, *, bound: bool, expires: bool) -> int:
    """Return how many bytes of JSON metadata fit beside everything else in 128 bytes."""
    head = _FIXED + (amount >= _WIDE_FROM) + 7 * bound + 4 * expires + _TAG
    return MAX_PAYLOAD - len(PREFIX) - (head * 4 + 2) // 3 - len(stage_id)


def dump_metadata(metadata: dict[str, Any] | None) -> str:
    """Return metadata as the compact JSON of a token's tail."""
    return json.dumps(metadata, ensure_ascii=False, separators=(",", ":")) if metadata else ""


class Signer:
    """Mints and verifies the tokens of one bot.

    :param bot_id: the bot; another bot's token does not verify.
    :param key: key material for new tokens: the author's secret, or the bot's token.
    :param accepted: further key material that still verifies (previous secrets, old bot tokens).
    """

    def __init__(self, bot_id: int, key: str, accepted: Sequence[str] = ()) -> None:
        info = f"neonpay/1/{bot_id}".encode()
        derived = [hmac.digest(item.encode(), info, "sha256") for item in (key, *accepted)]
        self._current = derived[0]
        self._current_id = hashlib.sha256(derived[0]).digest()[0]
        self._verified = lru_cache(maxsize=1024)(self._verify)
        self._keys: dict[int, list[bytes]] = {}
        for item in derived:
            same_id = self._keys.setdefault(hashlib.sha256(item).digest()[0], [])
            if item not in same_id:
                same_id.append(item)

    def mint(self, token: InvoiceToken) -> str:
        """Return the payload for a token.

        :raises ValidationError: when metadata does not fit; see :func:`metadata_room`.
        """
        wide = token.amount >= _WIDE_FROM
        flags = (
            (_BUYER if token.buyer is not None else 0)
            | (_EXPIRY if token.expires_at is not None else 0)
            | (_STORED if token.stored else 0)
            | (_WIDE if wide else 0)
        )
        head = bytes((flags, self._current_id)) + bytes.fromhex(token.invoice_id)
        head += token.amount.to_bytes(5 if wide else 4, "big") + bytes((len(token.stage_id),))
        if token.buyer is not None:
            head += token.buyer.to_bytes(7, "big")
        if token.expires_at is not None:
            head += token.expires_at.to_bytes(4, "big")
        tail = token.stage_id + token.metadata_json
        tag = hmac.digest(self._current, PREFIX.encode() + head + tail.encode(), "sha256")[:_TAG]
        payload = PREFIX + urlsafe_b64encode(head + tag).rstrip(b"=").decode() + tail
        size = len(payload.encode())
        if size > MAX_PAYLOAD:
            raise ValidationError(
                "metadata", f"must leave the payload within {MAX_PAYLOAD} bytes, it has {size}", "..."
            )
        return payload

    def verify(self, payload: str) -> InvoiceToken | None:
        """Return what a payload says if it is a genuine token of this bot in its one spelling, else ``None``.

        The last ones are remembered: a payment follows its pre-checkout with the same payload.
        """
        return self._verified(payload)

    def _verify(self, payload: str) -> InvoiceToken | None:
        if not payload.startswith(PREFIX):
            return None
        try:
            flags = urlsafe_b64decode(payload[2:6])[0]
        except (binascii.Error, ValueError, IndexError):
            return None
        if flags & ~_KNOWN_FLAGS:
            return None
        wide = 1 if flags & _WIDE else 0
        size = _FIXED + wide + _TAG + (7 if flags & _BUYER else 0) + (4 if flags & _EXPIRY else 0)
        end = 2 + (size * 4 + 2) // 3
        text = payload[2:end]
        try:
            head = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            tail = payload[end:].encode()
        except (binascii.Error, ValueError):
            return None
        # Unpadded base64 has spare bits and a lenient decoder: only the canonical spelling is a token.
        if len(head) != size or urlsafe_b64encode(head).rstrip(b"=").decode() != text:
            return None
        signed, tag = head[:-_TAG], head[-_TAG:]
        message = PREFIX.encode() + signed + tail
        for key in self._keys.get(head[1], ()):
            if hmac.compare_digest(hmac.digest(key, message, "sha256")[:_TAG], tag):
                return _parse(flags, signed, tail.decode(), wide)
        return None


def _parse(flags: int, signed: bytes, tail: str, wide: int) -> InvoiceToken | None:
    at = 15 + wide
    length = signed[at]
    at += 1
    buyer = expires_at = None
    if flags & _BUYER:
        buyer = int.from_bytes(signed[at : at + 7], "big")
        at += 7
    if flags & _EXPIRY:
        expires_at = int.from_bytes(signed[at : at + 4], "big")
    return InvoiceToken(
        invoice_id=signed[2:11].hex(),
        issued_at=int.from_bytes(signed[2:6], "big"),
        stage_id=tail[:length],
        amount=int.from_bytes(signed[11 : 15 + wide], "big"),
        buyer=buyer,
        expires_at=expires_at,
        stored=bool(flags & _STORED),
        metadata_json=tail[length:],
    )
