"""The rules of subscriptions: charges of Telegram's, as they are heard, find the subscriptions that they belong to."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import assume, given
from hypothesis import strategies as st

from aiogram_neonpay.ledger.subscriptions import PERIOD, Subscriptions, applied, ended, refunded, turned
from tests.proof.profiles import effort

DAY = 86_400.0
START = 1_800_000_000.0
LATE = st.sampled_from([0.0, 0.0, 0.0, 3600.0, 1.5 * DAY])
"""How long after the end Telegram comes to charge: at once, or once a person has Stars again."""


class Charge(NamedTuple):
    """One that Telegram made."""

    sub: int
    ref: str
    at: float
    until: float
    is_first: bool

    def facts(self, recurring: str) -> dict[str, Any]:
        """What the ledger knows of it; ``row``: from Telegram's ledger, where neither end nor order is told."""
        is_row = recurring == "row"
        return {
            "charge": f"stx{self.ref}",
            "at": self.at,
            "amount": 100,
            "payload": "one payload",
            "recurring": "row" if is_row else "first" if self.is_first else "again",
            "until": None if is_row else self.until,
            "period": PERIOD if is_row else None,
            "stage": "club",
            "invoice": None,
            "metadata": {},
            "title": "Club",
            "access": "club",
        }


@st.composite
def lives(draw: st.DrawFn, most: int = 3) -> list[list[Charge]]:
    """Return the charges of subscriptions to one link, whose periods end days apart."""
    subs, begin = [], START
    for sub in range(draw(st.integers(1, most))):
        begin += draw(st.sampled_from([8, 9, 40])) * DAY if sub else 0.0
        at, charges = begin, []
        for month in range(draw(st.integers(1, 6))):
            charges.append(Charge(sub, f"{sub}.{month}", at, at + PERIOD, month == 0))
            at += PERIOD + draw(LATE)
        subs.append(charges)
    return subs


def told(charges: list[Charge], recurring: str = "update") -> tuple[Subscriptions, dict[str, str]]:
    """Apply charges; return the subscriptions, and which of them each charge belongs to."""
    subs: Subscriptions = {}
    places = {}
    for charge in charges:
        joined = applied(subs, charge.ref, charge.facts(recurring))
        again = applied(joined.subscriptions, charge.ref, charge.facts(recurring))
        assert (again.subscriptions, again.id, again.until) == (joined.subscriptions, joined.id, joined.until)
        subs, places[charge.ref] = joined.subscriptions, joined.id
    return subs, places


@effort(150)
@given(lives())
def test_renewals_of_several_subscriptions_with_one_payload_find_their_own(subs: list[list[Charge]]) -> None:
    charges = sorted((charge for sub in subs for charge in sub), key=lambda charge: charge.at)
    for recurring in ("update", "row"):
        if recurring == "row":
            # Where neither order nor end is told, what was charged while a renewal was due is taken for one.
            assume(len(subs) == 1)
        known, places = told(charges, recurring)
        assert len(known) == len(subs)
        for sub in subs:
            found = known[places[sub[0].ref]]
            assert {places[charge.ref] for charge in sub} == {sub[0].ref}
            assert (found["first"], found["since"]) == (f"stx{sub[0].ref}", sub[0].at)
            assert found["until"] == sub[-1].until and found["state"] == "active"


@effort(150)
@given(lives(1), st.randoms(use_true_random=False), st.sampled_from(["update", "row"]))
def test_renewals_may_be_heard_of_in_any_order(subs: list[list[Charge]], dice: Any, recurring: str) -> None:
    [[first, *renewals]] = subs
    in_order, _ = told([first, *renewals], recurring)
    dice.shuffle(renewals)
    mixed, places = told([first, *renewals], recurring)

    assert set(places.values()) == {first.ref}
    assert mixed[first.ref]["until"] == in_order[first.ref]["until"]
    assert mixed[first.ref]["paid"] == in_order[first.ref]["paid"]


@effort(150)
@given(lives(), st.integers(0, 30), st.floats(0, 40 * DAY))
def test_a_refund_ends_what_it_paid_for_and_the_next_renewal_goes_on(
    subs: list[list[Charge]], which: int, later: float
) -> None:
    sub = subs[0]
    known, _ = told(sub)
    charge = sub[which % len(sub)]
    now = charge.at + later
    after = refunded(known, charge.ref, now)

    assert refunded(after, charge.ref, now + DAY) == after
    rest = [other.until for other in sub if other is not charge]
    assert after[sub[0].ref]["until"] == max(rest, default=sub[0].at)
    if charge is sub[-1]:
        moment = max(now, *rest) if rest else now
        assert ended(after, moment, grace=DAY) == [sub[0].ref]
        following = Charge(0, "next", charge.until, charge.until + PERIOD, False)
        goes_on = applied(after, "next", following.facts("update"))
        assert goes_on.id == sub[0].ref
        assert ended(goes_on.subscriptions, following.at + 1, grace=DAY) == []


@effort(150)
@given(lives(), st.lists(st.sampled_from(["canceled", "active", "failed"]), max_size=8))
def test_a_turn_is_news_once(subs: list[list[Charge]], states: list[str]) -> None:
    known, _ = told(subs[0])
    becomes = {"canceled": "canceled", "restored": "active", "failed": "failed"}
    now = known[subs[0][0].ref]["until"]
    for state in states:
        found = turned(known, "one payload", state, now)
        if found is None:
            assert known[subs[0][0].ref]["state"] == state or (known[subs[0][0].ref]["state"], state) in [
                ("canceled", "failed")
            ]
            continue
        name, kind = found
        assert becomes[kind] == state
        known = {**known, name: {**known[name], "state": state}}
        assert turned(known, "one payload", state, now) is None
        assert turned(known, "another payload", state, now) is None
