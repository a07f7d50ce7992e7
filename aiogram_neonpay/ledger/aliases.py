"""Further charge ids under which a charge is found: Telegram tells its own id of paid media only in its ledger.

An alias is a record of its own, in the buyer's partition, that names the charge which is meant. It is in no history, is
never due and never changes.
"""

from __future__ import annotations

from typing import Any

from aiogram_neonpay.ledger.base import CHARGE, LedgerEngine, RecordKey, Write, new_nonce

__all__ = ["is_alias", "meant", "put_alias"]

ALIAS = "alias"
"""In place of the state of a charge: nothing is to be done with it."""


def is_alias(body: dict[str, Any]) -> bool:
    """Whether a record only names another one."""
    return bool(body["state"] == ALIAS)


async def put_alias(engine: LedgerEngine, alias: RecordKey, charge: str, user_id: int, name: str) -> None:
    """Let the charge with the reference ``name`` be found under ``charge`` as well; safe to repeat."""
    body = {"charge": charge, "user": user_id, "state": ALIAS, "of": name, "free": True, "v": 1, "n": new_nonce()}
    await engine.write(Write(alias, body, 0))


async def meant(engine: LedgerEngine, key: RecordKey, body: dict[str, Any]) -> tuple[RecordKey, dict[str, Any]] | None:
    """Return a record, or the one that it names; ``None`` when that does not exist."""
    if not is_alias(body):
        return key, body
    key = RecordKey(key.bot_id, CHARGE, body["of"])
    row = (await engine.read([key]))[0]
    return None if row is None else (key, row.body)
