"""What should be: access, subscriptions and events as they follow from what Telegram did, not from the bot's ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

import pytest

from aiogram_neonpay.sandbox import SandboxUser
from aiogram_neonpay.sandbox.models import Charge, Subscription
from tests.proof.year.club import DAY, STAGES
from tests.proof.year.town import Said, Town

__all__ = ["Books"]

GRACE = DAY
STAGE_OF = {stage.title: stage_id for stage_id, stage in STAGES.items()}
KINDS = {
    "SubscriptionCanceled": "canceled",
    "SubscriptionRestored": "restored",
    "SubscriptionFailed": "failed",
    "SubscriptionExpired": "expired",
}


class Paid(NamedTuple):
    """What is paid of a subscription.

    :ivar is_awaited: whether a renewal may still come.
    """

    until: float
    ends: float
    state: str
    is_awaited: bool


class Books:
    """Kept beside the town."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self.months = 0

    async def close_month(self) -> None:
        """Compare everything that somebody has with what they should have."""
        self.months += 1
        town = self._town
        charges: dict[int, list[Charge]] = defaultdict(list)
        for charge in town.sandbox.world.charges.values():
            charges[charge.user_id].append(charge)
        for person in town.people:
            await self._compare_access(person, charges[person.id])
            await self._compare_subscriptions(person)

    async def _compare_access(self, person: SandboxUser, charges: list[Charge]) -> None:
        pay, where = self._town.worker.pay, f"{person.name} at the end of month {self.months}"
        club = await pay.access(person.id, "club")
        expected = self._club(person, charges)
        found = None if club is None else club.expires_at and club.expires_at.timestamp()
        assert found == (expected and pytest.approx(expected, abs=0.001)), where
        pictures = await pay.access(person.id, "pictures")
        assert (0 if pictures is None else pictures.left) == self._pictures(person.id, charges), where

    def _club(self, person: SandboxUser, charges: list[Charge]) -> float | None:
        """Return until when somebody is in the club, Unix seconds."""
        now = self._town.now
        since = max((at for user_id, at in self._town.revoked if user_id == person.id), default=0.0)
        begun = {charge: sub for sub in person.subscriptions() for charge in sub.charges}
        stays: list[tuple[float, float, Subscription | None]] = []
        for charge in charges:
            stage = STAGES[STAGE_OF[charge.invoice.title]]
            if charge.refunded or stage.access != "club" or charge.date <= since:
                continue
            if stage.subscription:
                assert charge.subscription_until is not None
                stays.append((charge.date, charge.subscription_until - charge.date, begun[charge.id]))
            else:
                stays.append((charge.date, 10.0 * DAY, None))
        given = [grant for grant in self._town.grants if grant.user_id == person.id and grant.at > since]
        stays += [(grant.at, grant.days * DAY, None) for grant in given]
        end = 0.0
        for at, seconds, _ in sorted(stays, key=lambda stay: stay[0]):
            end = max(end, at) + seconds
        if end > now:
            return end
        awaited = [sub for _, _, sub in stays if sub is not None and self.paid(sub).is_awaited]
        return end if any(self.paid(sub).until + GRACE > now for sub in awaited) else None

    def _pictures(self, user_id: int, charges: list[Charge]) -> int:
        """Return how many pictures somebody may still have drawn; the oldest pack is used first."""
        bought = sorted((c for c in charges if STAGE_OF[c.invoice.title] == "pack"), key=lambda c: c.date)
        left = {charge.id: 5 for charge in bought}
        gone = self.refunded_at()
        for who, at in self._town.uses:
            if who != user_id:
                continue
            pack = next(
                c for c in bought
                if c.date <= at < c.date + 60 * DAY and left[c.id] and gone.get(c.id, at + 1) > at
            )  # fmt: skip
            left[pack.id] -= 1
        return sum(left[c.id] for c in bought if not c.refunded and c.date + 60 * DAY > self._town.now)

    def refunded_at(self) -> dict[str, float]:
        """Return when the bot was done with each refund."""
        return {entry.key: entry.at for entry in self._town.journal.entries if entry.kind == "PaymentRefunded"}

    def paid(self, sub: Subscription) -> Paid:
        """Return how a subscription stands, as far as the bot can know."""
        now, charges = self._town.now, [self._town.sandbox.world.charges[charge] for charge in sub.charges]
        ends = [float(charge.subscription_until or 0) for charge in charges if not charge.refunded]
        until = max(ends, default=float(sub.started))
        if charges[-1].refunded:
            return Paid(until, until, "expired", False)
        heard = [said for said in self.turns(sub) if said.heard is not None and said.heard >= charges[-1].date]
        state = {"restored": "active"}.get(heard[-1].kind, heard[-1].kind) if heard else "active"
        over = until if state == "canceled" else until + GRACE
        return Paid(until, over, "expired" if over <= now else state, state != "canceled")

    def turns(self, sub: Subscription) -> list[Said]:
        return [said for said in self._town.said if said.payload == sub.payload]

    async def _compare_subscriptions(self, person: SandboxUser) -> None:
        known = {sub.transaction_id: sub for sub in await self._town.worker.pay.list_subscriptions(person.id)}
        assert set(known) == {sub.first_charge_id for sub in person.subscriptions()}, person.name
        for sub in person.subscriptions():
            paid, found = self.paid(sub), known[sub.first_charge_id]
            where = f"{person.name}, begun {sub.started}, month {self.months}"
            assert (found.state.value, found.expires_at.timestamp()) == (paid.state, paid.until), where
            if paid.state == "canceled":
                assert found.canceled_by == ("bot" if sub.canceled_by_bot else "user"), where

    # At the end of the year

    async def close_year(self) -> None:
        """Compare both ledgers charge by charge, and the handlers' journal with what happened."""
        await self._compare_ledgers()
        entries = self._town.journal.entries
        charges = Counter((entry.kind, entry.key) for entry in entries if entry.kind not in KINDS)
        again = [entry for entry in entries if entry.kind not in KINDS and charges[entry.kind, entry.key] > 1]
        assert not again, "a settled charge was handled again"
        for person in self._town.people:
            for sub in person.subscriptions():
                self._compare_events(person, sub)

    async def _compare_ledgers(self) -> None:
        pay, town = self._town.worker.pay, self._town
        heard = {entry.key for entry in town.journal.entries}
        told = self.refunded_at()
        for charge in town.sandbox.world.charges.values():
            payment = await pay.get_payment(charge.id)
            assert payment is not None, f"charge of {charge.date} is not in the ledger"
            assert (payment.amount, payment.user_id) == (charge.invoice.amount, charge.user_id)
            assert payment.stage_id == STAGE_OF[charge.invoice.title]
            assert (payment.status == "refunded") == charge.refunded == (charge.id in told)
            assert charge.refunded or (payment.delivered and charge.id in heard)
        assert not await pay.stuck_payments()

    def _compare_events(self, person: SandboxUser, sub: Subscription) -> None:
        """Compare what was told of a subscription with what happened: all of it, in order."""
        entries = [entry for entry in self._town.journal.entries if entry.subscription == sub.first_charge_id]
        where = f"{person.name}, begun {sub.started}"
        charges = [self._town.sandbox.world.charges[charge] for charge in sub.charges]
        told = [entry.key for entry in entries if entry.kind in ("SubscriptionStarted", "SubscriptionRenewed")]
        unrefunded = [charge.id for charge in charges if not charge.refunded]
        assert [charge for charge in told if charge in unrefunded] == unrefunded, where
        assert told == [charge for charge in sub.charges if charge in told], where
        if charges[0].id in told:
            assert entries[0].kind == "SubscriptionStarted", where
        news = [KINDS[entry.kind] for entry in entries if entry.kind in KINDS]
        turns = self.turns(sub)
        # A renewal shows that the subscription was resumed, though the update that said so was lost.
        heard = [said.kind for said in turns if said.heard is not None or said.kind == "restored"]
        rest = iter(heard)
        assert all(kind in rest for kind in news if kind != "expired"), where
        is_plain = all(said.heard is not None for said in turns) and not any(charge.refunded for charge in charges)
        if not is_plain or any(charge.update_id not in self._town.fed for charge in charges):
            return
        # Nothing of it was lost, and nothing given back: then it is told as it happened.
        happened = [(float(charge.date), 0, "paid") for charge in charges]
        happened += [(said.at, 1, said.kind) for said in turns]
        if self.paid(sub).state == "expired":
            happened.append((float("inf"), 2, "expired"))
        assert [KINDS.get(entry.kind, "paid") for entry in entries] == [kind for _, _, kind in sorted(happened)], where
