"""The rules of access against a buyer's bare history: what a person would add up on paper."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiogram_neonpay.ledger import access
from tests.proof.profiles import effort

DAY = 86_400.0
GRACE = DAY
START = 1_800_000_000.0
SUBSCRIPTIONS = ("first", "second")


class Deed(NamedTuple):
    """Something that happens to the access of one buyer.

    :ivar number: days of a pass, uses of a pack, which subscription, or which of the earlier grants is meant.
    """

    kind: str
    number: int
    wait: float


WAITS = st.sampled_from([0.0, 3600.0, DAY, 6 * DAY, 30 * DAY, 45 * DAY])
KINDS = (
    "pass",
    "pass",
    "renewal",
    "renewal",
    "pack",
    "short pack",
    "ever",
    "again",
    "refund",
    "refund",
    "revoke",
    "use",
)
DEEDS = st.lists(st.builds(Deed, st.sampled_from(KINDS), st.integers(1, 12), WAITS), max_size=25)
MANY = st.lists(
    st.builds(Deed, st.sampled_from(["pass", "pass", "renewal", "pack", "refund", "use"]), st.integers(1, 12), WAITS),
    min_size=12,
    max_size=40,
)


class OnPaper:
    """The same history, kept whole, and added up anew whenever somebody asks."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.paid_to: dict[str, float] = {}

    def standing(self, now: float) -> tuple[float | None, int | None] | None:
        valid = [line for line in self.lines if not line["gone"]]
        if any(line["kind"] == "ever" for line in valid):
            return None, None
        end, paid_to = self.time_of(valid)
        if end > now or any(until + GRACE > now for until in paid_to.values()):
            return end, None
        packs = [line for line in valid if "uses" in line and line["end"] > now and line["used"] < line["uses"]]
        if not packs:
            return None
        last = max(line["end"] for line in packs)
        return None if last == float("inf") else last, sum(line["uses"] - line["used"] for line in packs)

    @staticmethod
    def time_of(lines: list[dict[str, Any]]) -> tuple[float, dict[str, float]]:
        end, paid_to = 0.0, dict[str, float]()
        for line in lines:
            if line["kind"] == "pass":
                end = max(end, line["at"]) + line["days"] * DAY
            elif line["kind"] == "renewal":
                begin = max(line["at"], paid_to.get(line["sub"], 0.0))
                end = max(end, begin) + line["until"] - begin
                paid_to[line["sub"]] = line["until"]
        return end, paid_to


class Buyer:
    """One buyer, by the rules and on paper."""

    def __init__(self) -> None:
        self.now = START
        self.grants: list[dict[str, Any]] = []
        self.paper = OnPaper()

    def do(self, deed: Deed) -> None:
        self.now += deed.wait
        ref, number = f"charge{len(self.paper.lines)}", deed.number
        item: dict[str, Any] = {"ref": ref, "at": self.now, "why": "purchase"}
        line: dict[str, Any] = {"kind": deed.kind, "ref": ref, "at": self.now, "gone": False}
        if deed.kind == "pass":
            self.grant({**item, "for": number * DAY}, {**line, "days": number})
        elif deed.kind == "ever":
            self.grant({**item, "for": None}, line)
        elif deed.kind in ("pack", "short pack"):
            seconds = None if deed.kind == "pack" else 5 * DAY
            end = float("inf") if seconds is None else self.now + seconds
            self.grant(
                {**item, "for": seconds, "uses": number, "used": 0}, {**line, "uses": number, "used": 0, "end": end}
            )
        elif deed.kind == "renewal":
            sub = SUBSCRIPTIONS[number % 2]
            ends = [known["until"] for known in self.paper.lines if known.get("sub") == sub and not known["gone"]]
            until = max([self.now, *ends]) + 30 * DAY
            self.grant(
                {**item, "sub": sub, "until": until, "why": "subscription"}, {**line, "sub": sub, "until": until}
            )
        elif deed.kind == "again" and self.named:
            self.grants = access.grant(self.grants, dict(self.named[number % len(self.named)]), self.now)
        elif deed.kind == "refund" and self.named:
            refund = self.named[number % len(self.named)]["ref"]
            self.grants = access.take_back(self.grants, refund)
            for known in self.paper.lines:
                known["gone"] = known["gone"] or known["ref"] == refund
        elif deed.kind == "revoke":
            self.grants = access.revoke(self.grants)
            for known in self.paper.lines:
                known["gone"] = True
        elif deed.kind == "use":
            self.use(number)

    @property
    def named(self) -> list[dict[str, Any]]:
        """Those that were not added up yet, and can still be refunded."""
        return [item for item in self.grants if item["ref"]]

    def grant(self, item: dict[str, Any], line: dict[str, Any]) -> None:
        self.grants = access.grant(self.grants, item, self.now)
        self.paper.lines.append(line)

    def use(self, times: int) -> None:
        packs = [line for line in self.paper.lines if "uses" in line and not line["gone"] and line["end"] > self.now]
        left = sum(line["uses"] - line["used"] for line in packs)
        used = access.use(self.grants, self.now, times)
        assert (used is not None) == (left >= times)
        if used is None:
            return
        before, (self.grants, taken) = self.grants, used
        assert sum(share for _, share in taken) == times
        assert access.use_back(self.grants, taken) == before
        for line in packs:
            line["used"] += (share := min(times, line["uses"] - line["used"]))
            times -= share

    def agrees(self) -> None:
        for later in (0.0, 1.0, DAY, 31 * DAY):
            now = self.now + later
            found = access.standing(self.grants, now, GRACE, SUBSCRIPTIONS)
            assert (None if found is None else (found.expires_at, found.left)) == self.paper.standing(now), later


@effort(150)
@given(DEEDS)
def test_grants_add_up_to_what_their_history_does(deeds: list[Deed]) -> None:
    buyer = Buyer()
    for deed in deeds:
        buyer.do(deed)
        buyer.agrees()


@effort(100)
@given(MANY)
def test_adding_up_old_grants_changes_nothing_that_matters(deeds: list[Deed]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access, "LONG", 6)
        buyer = Buyer()
        for deed in deeds:
            buyer.do(deed)
            buyer.agrees()


@effort(100)
@given(DEEDS, DEEDS, st.integers(1, 40), WAITS)
def test_a_refund_makes_the_sum_what_it_would_be_without_the_charge(
    before: list[Deed], after: list[Deed], days: int, wait: float
) -> None:
    with_it, without_it = Buyer(), Buyer()
    for buyer in (with_it, without_it):
        for deed in before:
            buyer.do(deed._replace(kind="pass") if deed.kind in ("again", "refund", "revoke") else deed)
    with_it.grants = access.grant(
        with_it.grants, {"ref": "mistake", "at": with_it.now, "for": days * DAY, "why": "purchase"}, with_it.now
    )
    for buyer in (with_it, without_it):
        for deed in after:
            buyer.do(deed._replace(kind="pass") if deed.kind in ("again", "refund", "revoke") else deed)
    with_it.grants = access.take_back(with_it.grants, "mistake")
    for now in (with_it.now, with_it.now + wait):
        assert access.standing(with_it.grants, now) == access.standing(without_it.grants, now)
