"""Whatever people, the bot and the clock do, balances, rows, states and updates are those of a simple model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from aiogram_neonpay.sandbox import SandboxError, SandboxUser, Subscription
from tests.proof.profiles import effort
from tests.sandbox.conftest import START
from tests.sandbox.subscribing import DAY, MONTH, Club

T = TypeVar("T")
Update = tuple[int, str, int, str]  # when (0 on the wire for news of a state), what, who, which payload

STEPS = (1, 3600, DAY - 1, DAY, MONTH, 45 * DAY, 400 * DAY)
RETRIES = ((), (3600.0, DAY, 3 * DAY))
STARS = 120
PRICES = (60, 100)


@dataclass
class Plan:
    """A subscription as the model sees it; ``due`` is when something happens to it, ``turn`` who comes first then."""

    person: int
    price: int
    payload: str
    until: int
    due: int
    turn: int
    paid: list[int]  # numbers of its charges
    canceled: bool = False
    barred: bool = False
    failed: bool = False
    over: bool = False

    @property
    def state(self) -> str:
        if self.over:
            return "failed" if self.failed else "expired"
        return "canceled" if self.canceled else "failed" if self.failed else "active"


@dataclass
class Model:
    """What should be, in the plainest way: lists, and a loop over time."""

    retries: tuple[float, ...]
    refund_ends: bool
    now: int = START
    stars: list[int] = field(default_factory=lambda: [STARS, STARS])
    earned: int = 0
    plans: list[Plan] = field(default_factory=list)
    rows: list[tuple[int, int, bool, int, str]] = field(default_factory=list)  # date, amount, outgoing, who, payload
    charges: list[tuple[int, Plan]] = field(default_factory=list)
    refunded: set[int] = field(default_factory=set)
    updates: list[Update] = field(default_factory=list)
    turns: int = 0

    def subscribe(self, person: int, price: int, payload: str) -> None:
        plan = Plan(person, price, payload, self.now, self.now, 0, [])
        self.plans.append(plan)
        self.charge(plan)

    def charge(self, plan: Plan) -> None:
        self.stars[plan.person] -= plan.price
        self.earned += plan.price
        plan.paid.append(len(self.charges))
        self.charges.append((plan.price, plan))
        self.rows.append((self.now, plan.price, False, plan.person, plan.payload))
        self.updates.append((self.now, "first" if len(plan.paid) == 1 else "renewal", plan.person, plan.payload))
        plan.until = (self.now if plan.failed else plan.until) + MONTH
        plan.failed = False
        self.wait(plan, plan.until)

    def wait(self, plan: Plan, due: int) -> None:
        self.turns += 1
        plan.due, plan.turn = due, self.turns

    def advance(self, seconds: int) -> None:
        end = self.now + seconds
        while due := [plan for plan in self.plans if not plan.over and plan.due <= end]:
            plan = min(due, key=lambda item: (item.due, item.turn))
            self.now = plan.due
            self.come_due(plan)
        self.now = end

    def come_due(self, plan: Plan) -> None:
        if plan.canceled:
            plan.over = True
        elif self.stars[plan.person] >= plan.price:
            self.charge(plan)
        else:
            if not plan.failed:
                self.tell(plan, "failed")
            plan.failed = True
            later = [plan.until + int(wait) for wait in self.retries if plan.until + wait > self.now]
            if later:
                self.wait(plan, later[0])
            else:
                plan.over = True

    def tell(self, plan: Plan, state: str) -> None:
        self.updates.append((self.now, state, plan.person, plan.payload))

    def stop(self, plan: Plan) -> None:
        plan.canceled = True
        if self.now >= plan.until:
            plan.over, plan.failed = True, False

    def cancel(self, plan: Plan) -> bool:
        if plan.over or plan.canceled:
            return False
        self.stop(plan)
        self.tell(plan, "canceled")
        return True

    def restore(self, plan: Plan) -> bool:
        if plan.over or not plan.canceled or plan.barred:
            return False
        plan.canceled = False
        self.tell(plan, "active")
        return True

    def edit(self, plan: Plan, canceled: bool) -> bool:
        if plan.over:
            return False
        plan.barred = canceled
        if canceled:
            self.stop(plan)
        return True

    def refund(self, number: int) -> bool:
        if number in self.refunded:
            return False
        amount, plan = self.charges[number]
        self.refunded.add(number)
        self.stars[plan.person] += amount
        self.earned -= amount
        self.rows.append((self.now, amount, True, plan.person, plan.payload))
        self.updates.append((self.now, "refund", plan.person, plan.payload))
        if self.refund_ends:
            plan.over = True
        return True

    def take_updates(self) -> list[Update]:
        kept = [update for update in self.updates if update[0] > self.now - DAY]
        self.updates = []
        # On the wire, news of a state has no date.
        states = ("active", "canceled", "failed")
        return [(0 if what in states else when, what, who, payload) for when, what, who, payload in kept]


people = st.integers(0, 1)
which = st.integers(0, 11)


class Comparison(RuleBasedStateMachine):
    """The sandbox and the model, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.loop.close()

    @initialize(retries=st.sampled_from(RETRIES), refund_ends=st.booleans())
    def begin(self, retries: tuple[float, ...], refund_ends: bool) -> None:
        self.club = Club(renewal_retries=retries, refund_ends_subscription=refund_ends)
        self.model = Model(retries, refund_ends)
        self.people = (self.club.alice, self.club.bob)
        for person in self.people:
            self.club.sandbox.world.people[person.id].stars = STARS

    def pair(self, number: int) -> tuple[Plan, Subscription, SandboxUser]:
        """Return one of the subscriptions, the newest most often, in the model and in the sandbox."""
        at = max(-1 - number // 3, -len(self.model.plans))
        plan = self.model.plans[at]
        return plan, self.club.sandbox.subscriptions()[at], self.people[plan.person]

    def has_subscriptions(self) -> bool:
        return bool(self.model.plans)

    @rule(person=people, price=st.sampled_from(PRICES), payload=st.sampled_from(("gold", "silver")))
    def subscribe(self, person: int, price: int, payload: str) -> None:
        self.take_updates()
        link = self.run(self.club.link(payload, price))
        if self.model.stars[person] < price:
            assert self.run(self.people[person].pay(link=link)).error == "BALANCE_TOO_LOW"
        else:
            assert self.run(self.club.bought(self.people[person], link)).ok
            self.model.subscribe(person, price, payload)

    @rule(person=people, stars=st.sampled_from((20, 60, 300)))
    def top_up(self, person: int, stars: int) -> None:
        self.people[person].top_up(stars)
        self.model.stars[person] += stars

    @precondition(has_subscriptions)
    @rule(number=which, verb=st.sampled_from(("cancel", "restore")))
    def person_decides(self, number: int, verb: str) -> None:
        plan, subscription, person = self.pair(number)
        act: Callable[[Subscription], Any] = getattr(person, f"{verb}_subscription")
        try:
            act(subscription)
        except SandboxError:
            done = False
        else:
            done = True
        assert done is getattr(self.model, verb)(plan)

    @precondition(has_subscriptions)
    @rule(number=which, canceled=st.booleans())
    def bot_decides(self, number: int, canceled: bool) -> None:
        plan, subscription, _ = self.pair(number)
        answer = self.run(self.club.edit(subscription, canceled))
        assert answer["ok"] is self.model.edit(plan, canceled), answer

    @precondition(has_subscriptions)
    @rule(number=which)
    def refund(self, number: int) -> None:
        number %= len(self.model.charges)
        row = [row for row in self.club.sandbox.transactions() if not row.outgoing][number]
        params = {"user_id": row.user_id, "telegram_payment_charge_id": row.id}
        answer = self.run(self.club.ask("refundStarPayment", **params))
        assert answer["ok"] is self.model.refund(number), answer

    @precondition(lambda self: any(not plan.over for plan in self.model.plans))
    @rule(beside=st.sampled_from((-1, 0, 0, 0, 1)))
    def advance_to_what_is_next(self, beside: int) -> None:
        due = min(plan.due for plan in self.model.plans if not plan.over)
        self.advance(max(0, due + beside - self.model.now))

    @rule(seconds=st.sampled_from(STEPS))
    def advance(self, seconds: int) -> None:
        self.club.sandbox.clock.advance(seconds=seconds)
        self.model.advance(seconds)

    @rule()
    def take_updates(self) -> None:
        assert [self.told(update) for update in self.run(self.club.updates())] == self.model.take_updates()

    def told(self, update: dict[str, Any]) -> Update:
        if "subscription" in update:
            news = update["subscription"]
            return 0, news["state"], self.number(news["user"]["id"]), news["invoice_payload"]
        message = update["message"]
        paid = message.get("successful_payment") or message["refunded_payment"]
        kind = "first" if "is_first_recurring" in paid else "renewal" if "is_recurring" in paid else "refund"
        return message["date"], kind, self.number(message["chat"]["id"]), paid["invoice_payload"]

    def number(self, user_id: int) -> int:
        return [person.id for person in self.people].index(user_id)

    @invariant()
    def agree(self) -> None:
        sandbox, model = self.club.sandbox, self.model
        assert [person.balance for person in self.people] == model.stars
        assert sandbox.bot_balance() == model.earned
        rows = [
            (row.date, row.amount, row.outgoing, self.number(row.user_id or 0), row.payload)
            for row in sandbox.transactions()
        ]
        assert rows == model.rows
        assert [(item.state, item.expiration_date, len(item.charges)) for item in sandbox.subscriptions()] == [
            (plan.state, plan.until, len(plan.paid)) for plan in model.plans
        ]
        assert [sum(row.amount for row in person.history) for person in self.people] == [
            stars - STARS for stars in model.stars
        ]


def test_the_sandbox_and_a_simple_model_agree() -> None:
    run_state_machine_as_test(Comparison, settings=effort(80, stateful_step_count=40))
