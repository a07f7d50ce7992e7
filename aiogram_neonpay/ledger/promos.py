"""The promo codes that authors make while the bot runs: their terms, and the list of them.

A code that was removed leaves its terms behind: invoices that were issued with it are still out, and what it may be
used for is judged by them. The list is spread over sixteen records, so that making a code does not rewrite all names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.ledger.base import LedgerEngine, RecordKey, Row, Write, new_nonce

__all__ = ["MOST", "PromoCodes"]

PROMO = "prm"
LISTS = 16
MOST = 1_000
"""Codes in one of the sixteen records that list them. Ours: it is rewritten for each code that is made."""

Body = dict[str, Any]
Change = Callable[[Body], Body | None]


class PromoCodes:
    """Keeps the promo codes of all bots of one storage."""

    def __init__(self, engine: LedgerEngine) -> None:
        self._engine = engine

    async def create(self, bot_id: int, code: str, terms: Body, *, replace: bool) -> bool:
        """Keep a code; ``False`` when there is one of this name and it is not to be replaced.

        It is listed first: what is listed and has no terms is passed over.
        """
        done = False

        def put(known: Body) -> Body | None:
            nonlocal done
            done = replace or not known or bool(known.get("removed"))
            return {**terms, "removed": False} if done else None

        def enlist(known: Body) -> Body | None:
            codes: list[str] = known.get("codes", [])
            if code in codes:
                return None
            if len(codes) >= MOST:
                raise ValidationError(
                    "code", f"has no place: its part of the list holds {MOST} codes, remove some", code
                )
            return {"codes": [*codes, code]}

        await self._change(_list_of(bot_id, code), enlist)
        await self._change(_terms_key(bot_id, code), put)
        return done

    async def get(self, bot_id: int, code: str) -> Body | None:
        """Return the terms of a code; ``removed`` among them when it was."""
        row = (await self._engine.read([_terms_key(bot_id, code)]))[0]
        return None if row is None else row.body

    async def all(self, bot_id: int) -> dict[str, Body]:
        """Return the terms of all codes that were not removed, by code."""
        lists = await self._engine.read([RecordKey(bot_id, PROMO, f"list.{part:x}") for part in range(LISTS)])
        codes = sorted(code for row in lists if row is not None for code in row.body["codes"])
        rows = await self._engine.read([_terms_key(bot_id, code) for code in codes]) if codes else []
        return {
            code: row.body
            for code, row in zip(codes, rows, strict=True)
            if row is not None and not row.body.get("removed")
        }

    async def remove(self, bot_id: int, code: str) -> bool:
        """Let a code be used no more; ``False`` if there was none."""
        done = False

        def remove(known: Body) -> Body | None:
            nonlocal done
            done = bool(known) and not known.get("removed")
            return {"removed": True} if done else None

        def strike(known: Body) -> Body | None:
            codes = [other for other in known.get("codes", []) if other != code]
            return {"codes": codes} if len(codes) < len(known.get("codes", [])) else None

        await self._change(_terms_key(bot_id, code), remove)
        await self._change(_list_of(bot_id, code), strike)
        return done

    async def _change(self, key: RecordKey, change: Change) -> None:
        row = (await self._engine.read([key]))[0] or Row({})
        while (fields := change(row.body)) is not None:
            version = row.body.get("v", 0)
            refused = await self._engine.write(
                Write(key, {**row.body, **fields, "v": version + 1, "n": new_nonce()}, version)
            )
            if refused is None:
                return
            row = refused


def _terms_key(bot_id: int, code: str) -> RecordKey:
    return RecordKey(bot_id, PROMO, f"code.{code}")


def _list_of(bot_id: int, code: str) -> RecordKey:
    return RecordKey(bot_id, PROMO, f"list.{hashlib.sha256(code.encode()).hexdigest()[0]}")
