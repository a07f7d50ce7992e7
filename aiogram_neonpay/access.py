"""Access: what a buyer may do, for how long, and how often."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from aiogram import Bot

from aiogram_neonpay.checks import check_access_name, check_count, check_seconds
from aiogram_neonpay.errors import NoAccessError, ValidationError
from aiogram_neonpay.ledger import access as grants
from aiogram_neonpay.ledger.base import new_nonce
from aiogram_neonpay.ledger.subscriptions import is_awaited
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import MAX_USES

__all__ = ["Access", "AccessChange", "AccessDesk"]

MAX_REASON = 500
"""Characters of a reason that are kept."""
KEPT_BY_HAND = 50
"""Lines of what people granted and revoked that are kept for each buyer."""


@dataclass(frozen=True)
class Access:
    """What somebody may do, at the moment it was asked for.

    :ivar name: what it is called in the stages that give it.
    :ivar expires_at: its end, UTC; ``None``: never. During the time of grace of a subscription it is in the past.
    :ivar left: how often it may still be used; ``None``: as often as they like.
    :ivar source: ``"purchase"``, ``"subscription"`` or ``"granted"`` (by a person): what gave the last of it.
    """

    name: str
    expires_at: datetime | None
    left: int | None
    source: str
    user_id: int
    _desk: AccessDesk = field(repr=False, compare=False)
    _bot: Bot = field(repr=False, compare=False)

    @contextlib.asynccontextmanager
    async def use(self, times: int = 1) -> AsyncIterator[Access]:
        """Use counted access up, and give that back if the body raises.

        ::

            async with access.use():
                await draw_a_picture()

        It is written down before the body runs: what a process uses that dies in the body stays used. Access that is
        not counted is only checked.

        :param times: 1 or more.
        :raises NoAccessError: when fewer are left, or the access has ended meanwhile.
        """
        check_count("times", times, MAX_USES)
        taken = await self._desk.take(self._bot, self.user_id, self.name, times)
        try:
            yield self
        except BaseException:
            # Shielded: a handler that is cancelled once more while it gives back must not keep it.
            await asyncio.shield(self._desk.put_back(self._bot, self.user_id, self.name, taken))
            raise


@dataclass(frozen=True)
class AccessChange:
    """What a person granted or revoked.

    :ivar at: when, UTC.
    :ivar did: ``"grant"`` or ``"revoke"``.
    :ivar name: of the access.
    :ivar reason: as it was given.
    """

    at: datetime
    did: str
    name: str
    reason: str | None


class AccessDesk:
    """Tells, uses, grants and revokes access in one shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def find(self, bot: Bot, user_id: int, name: str) -> Access | None:
        """Return what somebody has of one access, at one read of the storage; ``None``: nothing."""
        check_access_name("name", name)
        buyer = await self._shop.buyers.read(bot.id, user_id)
        return self._of(bot, user_id, name, buyer)

    async def all(self, bot: Bot, user_id: int) -> list[Access]:
        """Return everything that somebody has, by name."""
        buyer = await self._shop.buyers.read(bot.id, user_id)
        found = (self._of(bot, user_id, name, buyer) for name in sorted(buyer.get("access", {})))
        return [access for access in found if access is not None]

    async def changes(self, bot: Bot, user_id: int) -> list[AccessChange]:
        """Return what people granted and revoked, the newest first."""
        buyer = await self._shop.buyers.read(bot.id, user_id)
        return [
            AccessChange(datetime.fromtimestamp(line["at"], timezone.utc), line["did"], line["name"], line["reason"])
            for line in reversed(buyer.get("by_hand", []))
        ]

    def _of(self, bot: Bot, user_id: int, name: str, buyer: dict[str, Any]) -> Access | None:
        found = self._standing(buyer, name)
        if found is None:
            return None
        end = None if found.expires_at is None else datetime.fromtimestamp(found.expires_at, timezone.utc)
        return Access(name, end, found.left, found.source, user_id, self, bot)

    def _standing(self, buyer: dict[str, Any], name: str) -> grants.Standing | None:
        items = buyer.get("access", {}).get(name)
        if not items:
            return None
        awaited = [sub_id for sub_id, sub in buyer.get("subs", {}).items() if is_awaited(sub)]
        return grants.standing(items, self._shop.clock(), self._shop.buyers.grace, awaited)

    async def take(self, bot: Bot, user_id: int, name: str, times: int) -> list[tuple[str, int]]:
        """Use access up; return what was taken of which grant.

        :raises NoAccessError: when too little is there.
        """
        taken: list[tuple[str, int]] = []

        def take(known: dict[str, Any]) -> dict[str, Any] | None:
            found = self._standing(known, name)
            taken.clear()
            if found is None:
                raise NoAccessError(user_id, name)
            if found.left is None:
                return None
            used = grants.use(known["access"][name], self._shop.clock(), times)
            if used is None:
                raise NoAccessError(user_id, name)
            taken.extend(used[1])
            return {"access": {**known["access"], name: used[0]}}

        await self._shop.buyers.change(bot.id, user_id, take)
        return taken

    async def put_back(self, bot: Bot, user_id: int, name: str, taken: list[tuple[str, int]]) -> None:
        """Give back what was taken and not used."""
        if not taken:
            return

        def put_back(known: dict[str, Any]) -> dict[str, Any]:
            held = known.get("access", {})
            return {"access": {**held, name: grants.use_back(held.get(name, []), taken)}}

        await self._shop.buyers.change(bot.id, user_id, put_back)

    async def grant(
        self,
        bot: Bot,
        user_id: int,
        name: str,
        access_for: timedelta | float | None,
        uses: int | None,
        reason: str | None,
        key: str | None,
    ) -> Access:
        """Give access by hand."""
        check_access_name("name", name)
        seconds = check_seconds("access_for", access_for)
        check_count("uses", uses, MAX_USES)
        if key is not None and (not isinstance(key, str) or not 1 <= len(key) <= 256):
            raise ValidationError("key", "must be a string of 1-256 characters", key)
        now = self._shop.clock()
        item: dict[str, Any] = {"ref": f"hand:{key or new_nonce()}", "at": now, "for": seconds, "why": "granted"}
        if uses is not None:
            item.update(uses=uses, used=0)
        line = {"at": now, "did": "grant", "name": name, "reason": _checked(reason)}

        def give(known: dict[str, Any]) -> dict[str, Any] | None:
            held = known.get("access", {})
            items = grants.grant(held.get(name, []), item, now)
            if items is held.get(name):
                return None
            return {"access": {**held, name: items}, "by_hand": [*known.get("by_hand", []), line][-KEPT_BY_HAND:]}

        buyer = await self._shop.buyers.change(bot.id, user_id, give)
        access = self._of(bot, user_id, name, buyer)
        if access is None:  # a key that was used before, for what has ended or was revoked since
            raise NoAccessError(user_id, name)
        return access

    async def revoke(self, bot: Bot, user_id: int, name: str, reason: str | None) -> bool:
        """Take all of one access back by hand; ``False`` when there was none."""
        check_access_name("name", name)
        line = {"at": self._shop.clock(), "did": "revoke", "name": name, "reason": _checked(reason)}
        had = False

        def take(known: dict[str, Any]) -> dict[str, Any] | None:
            nonlocal had
            held = known.get("access", {})
            had = self._standing(known, name) is not None
            if not had:
                return None
            by_hand = [*known.get("by_hand", []), line][-KEPT_BY_HAND:]
            return {"access": {**held, name: grants.revoke(held[name])}, "by_hand": by_hand}

        await self._shop.buyers.change(bot.id, user_id, take)
        return had


def _checked(reason: str | None) -> str | None:
    if reason is not None and not isinstance(reason, str):
        raise ValidationError("reason", "must be a string or None", reason)
    return reason and reason[:MAX_REASON].encode("utf-8", "replace").decode()
