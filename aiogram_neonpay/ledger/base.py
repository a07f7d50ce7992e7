"""The contract between the ledger's rules and the storage that keeps its records.

An engine knows nothing of payments. It keeps versioned JSON records, changes one of them atomically with the indexes
that belong to it, and tells when a record wants attention. Everything else (who may claim a charge, when it is
settled) is decided once, in :mod:`aiogram_neonpay.ledger.charges` and :mod:`aiogram_neonpay.ledger.invoices`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from aiogram.fsm.storage.base import StorageKey

__all__ = [
    "BUYER",
    "CHARGE",
    "INVOICE",
    "PARTITIONS",
    "PATIENCE",
    "STOCK",
    "TAP",
    "LedgerEngine",
    "RecordKey",
    "Row",
    "Tally",
    "Write",
    "buyer_name",
    "change_record",
    "new_nonce",
    "partition_of",
    "storage_key",
]

PARTITIONS = 16
"""Buyers are spread over this many groups of keys. Fixed for ever: changing it would lose sight of old records."""
CHARGE = "pay"
INVOICE = "inv"
BUYER = "buy"
STOCK = "stk"
TAP = "tap"

PATIENCE = 10.0
"""Seconds to wait for an answer of a storage behind a network."""


class RecordKey(NamedTuple):
    """Where one record lives.

    :ivar kind: :data:`CHARGE`, :data:`BUYER`, :data:`INVOICE`, :data:`STOCK`, :data:`TAP`, ...
    :ivar name: the reference of a charge (its first digit is the buyer's partition), ``u`` and the id of a buyer, or
        the name of another record.
    """

    bot_id: int
    kind: str
    name: str

    @property
    def partition(self) -> int:
        """The buyer's partition, for what belongs to one; 0 for other records."""
        if self.kind == CHARGE:
            return int(self.name[0], 16)
        return partition_of(int(self.name[1:])) if self.kind == BUYER else 0

    @property
    def is_buyers(self) -> bool:
        """Whether the record belongs to one buyer: it lives in their partition, and may want attention."""
        return self.kind in (CHARGE, BUYER)


@lru_cache(maxsize=256)
def storage_key(key: RecordKey) -> StorageKey:
    """Return the FSM key of a record: aiogram's own addressing, with a destiny of ours.

    The bot's id is in the destiny as well, because aiogram's default key builder leaves it out and two bots would
    share a record (``aiogram.fsm.storage.base.DefaultKeyBuilder``).
    """
    return StorageKey(
        bot_id=key.bot_id,
        chat_id=key.partition,
        user_id=key.partition,
        destiny=f"neonpay-{key.bot_id}-{key.kind}-{key.name}",
    )


class Row(NamedTuple):
    """A record as the storage holds it.

    :ivar body: the record; ``body["v"]`` is its version, ``body["n"]`` the nonce of its last writer.
    :ivar due_in: seconds until it wants attention by the storage's clock (zero or less: now), or ``None``.
    """

    body: dict[str, Any]
    due_in: float | None = None


class Tally(NamedTuple):
    """Counters to add to in the same step.

    :ivar bucket: what they are kept under, such as a day.
    :ivar counts: what is added to which counter.
    """

    bucket: str
    counts: dict[str, int]


class Write(NamedTuple):
    """One atomic change of one record.

    :ivar expected: the version it replaces; 0 creates the record.
    :ivar due_in: seconds after which the record wants attention (the end of a lease); ``None``: it does not.
    :ivar keep_due: leave the time of its next attention as it is.
    :ivar waiting: whether it waits for a person (listed until a later write says otherwise).
    :ivar owner: the buyer in whose history a new charge is listed, under ``recorded_at`` (Unix seconds).
    :ivar ttl: seconds after which the record may be forgotten; ``None`` keeps it for ever.
    :ivar keep_ttl: leave that moment as it is.
    :ivar tally: counters to add to, kept with the charge's partition.
    """

    key: RecordKey
    body: dict[str, Any]
    expected: int
    due_in: float | None = None
    keep_due: bool = False
    waiting: bool = False
    owner: int | None = None
    recorded_at: float = 0.0
    ttl: float | None = None
    keep_ttl: bool = False
    tally: Tally | None = None


class LedgerEngine(Protocol):
    """What a storage must do for the ledger. Every method may raise; nothing half done may remain."""

    durable: bool
    """Whether records outlive the process."""
    patience: float | None
    """Seconds after which a call that has not answered is given up; ``None``: it answers without waiting."""

    async def probe(self) -> None:
        """Find out at start-up whether the storage can keep payments.

        :raises ConfigurationError: when it cannot, naming the line to change.
        """
        ...

    async def write(self, change: Write) -> Row | None:
        """Apply a change atomically and return ``None``, or return the row that stands in its way.

        Safe to repeat: when the stored record carries the change's own nonce, the change was applied before and
        ``None`` is returned again (clients resend commands whose reply was lost). A missing record that was expected
        to exist stands in the way as a row with an empty body.
        """
        ...

    async def read(self, keys: Sequence[RecordKey]) -> list[Row | None]:
        """Return the rows under the keys, in order, in one round trip where the storage can.

        Their time of attention need not be told; :meth:`peek` tells it.
        """
        ...

    async def peek(self, key: RecordKey) -> Row | None:
        """Return the row under a key with the time of its next attention."""
        ...

    async def due(self, bot_id: int, *, limit: int) -> list[str]:
        """Return names of charges and buyers whose time of attention has come, the longest overdue first."""
        ...

    async def tallies(self, bot_id: int, buckets: Sequence[str]) -> list[dict[str, int]]:
        """Return the counters under each bucket, in order, added up over all partitions."""
        ...

    async def history(self, bot_id: int, owner: int, *, limit: int, offset: int) -> list[str]:
        """Return names of the owner's charges, newest first."""
        ...

    async def waiting(self, bot_id: int, *, limit: int) -> list[str]:
        """Return names of charges that wait for a person, oldest first."""
        ...


async def change_record(
    engine: LedgerEngine,
    key: RecordKey,
    change: Callable[[dict[str, Any]], dict[str, Any] | None],
    written: Callable[[Write, Row], Write],
) -> dict[str, Any] | None:
    """Change a record atomically, on top of whatever others make of it meanwhile.

    :param change: gives the fields to change, or ``None`` to leave the record alone.
    :param written: completes the write, given what it replaces.
    :return: the record after the change, or ``None`` if there is none.
    """
    row = await engine.peek(key)
    while row is not None and row.body:
        known = row.body
        fields = change(known)
        if fields is None:
            return known
        body = {**known, **fields, "v": known["v"] + 1, "n": new_nonce()}
        row = await engine.write(written(Write(key, body, known["v"]), row))
        if row is None:
            return body
    return None


def buyer_name(user_id: int) -> str:
    """Return the name of a buyer's record; no reference of a charge looks like it."""
    return f"u{user_id}"


def partition_of(owner: int) -> int:
    """Return the partition of a buyer."""
    return owner % PARTITIONS


def new_nonce() -> str:
    """Return a value no other write carries: 16 hexadecimal digits."""
    return os.urandom(8).hex()
