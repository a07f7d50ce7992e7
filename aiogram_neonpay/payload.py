"""The invoice payload: a signed token that names what was offered, to whom, for how much and until when.

It fits Telegram's 128 bytes (Bot API ``sendInvoice``, parameter ``payload``), so a plain invoice needs no storage.

====================  =====  =========================================================================
part                  bytes  content
====================  =====  =========================================================================
prefix, text              2  ``n1``: ours, version 1
head, in base64:
flags, key id         1 + 1  which optional fields follow; which key signed
issue time, random    4 + 5  together the invoice id
amount               4 or 5  Stars
length                    1  of the stage id
buyer                     7  when bound to one
expiry                    4  when it expires, Unix seconds
tag, in base64           12  keyed BLAKE2b over the text of everything else
tail, text           1-64 +  stage id, then metadata as compact JSON
====================  =====  =========================================================================

The tag covers the token as it is written, not what it decodes to, so a token has one spelling: base64 with its spare
bits set otherwise is another text, and twelve bytes leave no spare bits in the tag itself. BLAKE2b is a keyed hash of
its own (RFC 7693) and nearly three times as fast here as HMAC-SHA256.
"""

from __future__ import annotations

import hmac
import json
import os
from base64 import urlsafe_b64encode
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, NamedTuple

from aiogram_neonpay.errors import ValidationError

__all__ = ["MAX_PAYLOAD", "PREFIX", "InvoiceToken", "Signer", "claimed", "looks_ours"]

PREFIX = "n1"
MAX_PAYLOAD = 128
"""Bytes. Bot API ``sendInvoice``, parameter ``payload``."""

_BUYER, _EXPIRY, _STORED, _WIDE, _MEDIA, _GIFT = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_KNOWN_FLAGS = _BUYER | _EXPIRY | _STORED | _WIDE | _MEDIA | _GIFT
_TAG = 12
_TAG_TEXT = 16
_FIXED = 1 + 1 + 4 + 5 + 4 + 1
_WIDE_FROM = 1 << 32


class InvoiceToken(NamedTuple):
    """What a payload says.

    :ivar invoice_id: 18 hexadecimal digits: issue time and a random part.
    :ivar issued_at: Unix seconds.
    :ivar amount: Stars.
    :ivar buyer: the only user who may pay, or ``None``.
    :ivar expires_at: Unix seconds, or ``None``.
    :ivar stored: whether the storage holds a record of this invoice.
    :ivar media: whether it is the payload of paid media instead of an invoice.
    :ivar gift: whether it is bought for somebody else, who opens it by a link.
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
    media: bool = False
    gift: bool = False

    @property
    def metadata(self) -> dict[str, Any]:
        """What the seller attached, when it fitted into the payload: a fresh dictionary at every use."""
        parsed: dict[str, Any] = json.loads(self.metadata_json) if self.metadata_json else {}
        return parsed


def looks_ours(payload: str) -> bool:
    """Whether a payload claims to be a token of this package; only :meth:`Signer.verify` proves it."""
    return payload.startswith(PREFIX)


def claimed(payload: str) -> InvoiceToken | None:
    """Return what a payload says of itself, genuine or not; ``None`` for what cannot be a token of this package.

    Only to recognise one payload again: whether to believe it is for :meth:`Signer.verify` to say.
    """
    if not looks_ours(payload):
        return None
    try:
        flags = a2b_base64(payload[2:6])[0]
        end = len(PREFIX) + _text_size(_size_of(flags))
        return _parse(flags, a2b_base64(payload[2:end] + "==="), payload[end + _TAG_TEXT :])
    except (ValueError, IndexError):
        return None


def new_invoice_id(now: float) -> str:
    """Return a fresh invoice id for the moment ``now`` (Unix seconds)."""
    return (int(now) & 0xFFFFFFFF).to_bytes(4, "big").hex() + os.urandom(5).hex()


def metadata_room(stage_id: str, amount: int, *, bound: bool, expires: bool) -> int:
    """Return how many bytes of JSON metadata fit beside everything else in 128 bytes."""
    head = _FIXED + (amount >= _WIDE_FROM) + 7 * bound + 4 * expires
    return MAX_PAYLOAD - len(PREFIX) - _text_size(head) - _TAG_TEXT - len(stage_id)


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
        #: What each key is remembered by; no key can be told from it.
        self.fingerprints = [hmac.digest(item, b"neonpay/fingerprint", "sha256").hex()[:12] for item in derived]
        self._current = derived[0]
        self._current_id = derived[0][0] ^ derived[0][-1]
        self._verified = lru_cache(maxsize=1024)(self._verify)
        self._keys: dict[int, list[bytes]] = {}
        for item in derived:
            same_id = self._keys.setdefault(item[0] ^ item[-1], [])
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
            | (_MEDIA if token.media else 0)
            | (_GIFT if token.gift else 0)
        )
        head = bytes((flags, self._current_id)) + bytes.fromhex(token.invoice_id)
        head += token.amount.to_bytes(5 if wide else 4, "big") + bytes((len(token.stage_id),))
        if token.buyer is not None:
            head += token.buyer.to_bytes(7, "big")
        if token.expires_at is not None:
            head += token.expires_at.to_bytes(4, "big")
        text = PREFIX + b2a_base64(head, newline=False).rstrip(b"=").decode()
        tail = token.stage_id + token.metadata_json
        payload = text + _tag(self._current, text + tail) + tail
        size = len(payload.encode())
        if size > MAX_PAYLOAD:
            limit = f"must leave the payload within {MAX_PAYLOAD} bytes, it has {size}"
            raise ValidationError("metadata", limit, "...")
        return payload

    def verify(self, payload: str) -> InvoiceToken | None:
        """Return what a payload says if it is a genuine token of this bot in its one spelling, else ``None``.

        The last ones are remembered: a payment follows its pre-checkout with the same payload.
        """
        return self._verified(payload)

    def seal(self, text: str, size: int) -> str:
        """Return what proves that this bot has written a text: so many bytes in unpadded base64url."""
        return _seal(self._current, text, size)

    def is_sealed(self, text: str, seal: str, size: int) -> bool:
        """Whether this bot has sealed a text, with the key in use or an earlier one."""
        given = seal.encode()
        keys = [key for same_id in self._keys.values() for key in same_id]
        return any(compare_digest(_seal(key, text, size).encode(), given) for key in keys)

    def _verify(self, payload: str) -> InvoiceToken | None:
        try:
            flags, key_id = a2b_base64(payload[2:6])[:2]
            if flags & ~_KNOWN_FLAGS:
                # Made by a later version: what the flag means is not known here, so the token must not be believed.
                return None
            size = _size_of(flags)
            end = len(PREFIX) + _text_size(size)
            tag = payload[end : end + _TAG_TEXT].encode()
            signed = payload[:end] + payload[end + _TAG_TEXT :]
            for key in self._keys.get(key_id, ()):
                if compare_digest(_tag(key, signed).encode(), tag):
                    return _parse(flags, a2b_base64(payload[2:end] + "==="), payload[end + _TAG_TEXT :])
        except ValueError:
            # Nothing a token of ours can cause: short text, or characters that are no base64 or no UTF-8.
            return None
        return None


def _text_size(size: int) -> int:
    """Return how many characters of unpadded base64 carry so many bytes."""
    return (size * 4 + 2) // 3


def _size_of(flags: int) -> int:
    """Return the size of a head in bytes."""
    return _FIXED + (flags & _WIDE > 0) + 7 * (flags & _BUYER > 0) + 4 * (flags & _EXPIRY > 0)


def _tag(key: bytes, text: str) -> str:
    return b2a_base64(blake2b(text.encode(), digest_size=_TAG, key=key).digest(), newline=False).decode()


def _seal(key: bytes, text: str, size: int) -> str:
    # A hash of its own kind: a seal is never the tag of an invoice.
    digest = blake2b(text.encode(), digest_size=size, key=key, person=b"seal").digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")


def _parse(flags: int, head: bytes, tail: str) -> InvoiceToken:
    wide = 1 if flags & _WIDE else 0
    at = 15 + wide
    length = head[at]
    at += 1
    buyer = expires_at = None
    if flags & _BUYER:
        buyer = int.from_bytes(head[at : at + 7], "big")
        at += 7
    if flags & _EXPIRY:
        expires_at = int.from_bytes(head[at : at + 4], "big")
    return InvoiceToken(
        invoice_id=head[2:11].hex(),
        issued_at=int.from_bytes(head[2:6], "big"),
        stage_id=tail[:length],
        amount=int.from_bytes(head[11 : 15 + wide], "big"),
        buyer=buyer,
        expires_at=expires_at,
        stored=bool(flags & _STORED),
        metadata_json=tail[length:],
        media=bool(flags & _MEDIA),
        gift=bool(flags & _GIFT),
    )
