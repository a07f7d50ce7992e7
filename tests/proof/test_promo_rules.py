"""The uses of a promo code against their bare history: what a person would count on paper.

Buyers ask for invoices, check out, pay, are refunded and go away, in any order and with any pauses; what is paid comes
within a day of its approval, as Telegram has it. However that goes, no payment is one too many, nothing is refused that
is free, and no buyer has more than their own.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from aiogram import Bot
from aiogram.fsm.storage.memory import MemoryStorage
from hypothesis import given
from hypothesis import strategies as st

from aiogram_neonpay import PaymentStage, PromoCode, PromoError
from aiogram_neonpay.discounts import APPROVED, RESERVED, Discounts
from aiogram_neonpay.ledger.base import CHARGE, RecordKey
from aiogram_neonpay.ledger.leases import Claim
from aiogram_neonpay.payload import InvoiceToken
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.stages import Catalog
from tests.proof.profiles import effort

START = 1_800_000_000.0
STAGE = PaymentStage("Premium", "30 days of premium", 25)
BUYERS = (7, 8, 9)


class Deed(NamedTuple):
    """Something that happens.

    :ivar buyer: who does it; ``which`` of the invoices, approvals or payments so far is meant.
    """

    kind: str
    buyer: int
    which: int
    wait: float


KINDS = (
    "ask",
    "ask",
    "ask for all",
    "check out",
    "check out",
    "check out",
    "pay",
    "pay",
    "pay again",
    "fail",
    "refund",
)
DEEDS = st.lists(
    st.builds(
        Deed,
        st.sampled_from(KINDS),
        st.sampled_from(BUYERS),
        st.integers(0, 30),
        st.sampled_from([0.0, 0.0, 0.0, 60.0, RESERVED / 2, RESERVED, APPROVED / 2]),
    ),
    min_size=12,
    max_size=40,
)
LIMITS = st.tuples(st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, 1, 2]))


class Approval(NamedTuple):
    user: int
    invoice: dict[str, Any]
    at: float

    @property
    def who(self) -> str:
        return f"{self.user}.{self.invoice['invoice']}"


class OnPaper:
    """What is reserved, approved and paid, kept whole."""

    def __init__(self, total: int | None, per_user: int | None) -> None:
        self.total, self.per_user = total, per_user
        self.now = START
        self.reserved: dict[str, float] = {}
        self.approved: list[Approval] = []
        self.paid: dict[str, Approval] = {}

    def live(self) -> list[Approval]:
        return [one for one in self.approved if one.at + APPROVED > self.now]

    def reservations(self) -> int:
        return sum(end > self.now for end in self.reserved.values()) if self.total is not None else 0

    def is_free(self, holder: str | None) -> bool:
        mine = holder is not None and self.reserved.get(holder, 0.0) > self.now
        return self.total is None or len(self.paid) + len(self.live()) + self.reservations() - mine < self.total

    def may(self, user: int, *, held: bool) -> bool:
        mine = sum(one.user == user for one in self.paid.values())
        mine += sum(one.user == user for one in self.live()) if held else 0
        return self.per_user is None or mine < self.per_user


class Play:
    """One history, with the rules of the package and on paper."""

    def __init__(self, total: int | None, per_user: int | None) -> None:
        self.paper = OnPaper(total, per_user)
        self.shop = Shop(
            Catalog({"premium": STAGE}),
            storage=MemoryStorage(),
            clock=lambda: self.paper.now,
            promos={"CODE": PromoCode(stars=5, total=total, per_user=per_user)},
        )
        self.rules = Discounts(self.shop)
        self.bot = Bot("42:TEST-TOKEN")
        self.invoices: list[dict[str, Any]] = []
        self.claims: dict[str, Claim] = {}

    async def go(self, deeds: list[Deed]) -> None:
        for deed in deeds:
            self.paper.now += deed.wait
            if deed.kind in ("ask", "ask for all"):
                await self.ask(deed.buyer if deed.kind == "ask" else None)
            elif deed.kind == "check out" and self.invoices:
                await self.check_out(deed.buyer, self.invoices[deed.which % len(self.invoices)])
            elif deed.kind in ("pay", "fail") and (live := self.paper.live()):
                await self.end(live[deed.which % len(live)], is_paid=deed.kind == "pay")
            elif deed.kind in ("pay again", "refund") and self.paper.paid:
                ref = list(self.paper.paid)[deed.which % len(self.paper.paid)]
                await self.repeat(ref, is_refund=deed.kind == "refund")
            await self.compare()

    async def ask(self, buyer: int | None) -> None:
        paper = self.paper
        token = InvoiceToken(f"{len(self.invoices):018x}", int(paper.now), "premium", 25)
        holder = f"i{token.invoice_id}" if buyer is None else f"u{buyer}"
        wanted = paper.is_free(holder) and (buyer is None or paper.may(buyer, held=False))
        try:
            discount = await self.rules.offer(self.bot, "CODE", STAGE, token, buyer, None)
        except PromoError as error:
            assert not wanted, error
            return
        assert wanted
        assert discount.amount == 20
        paper.reserved[holder] = paper.now + RESERVED
        self.invoices.append({"invoice": token.invoice_id, **discount.record()})

    async def check_out(self, buyer: int, invoice: dict[str, Any]) -> None:
        paper = self.paper
        approval = Approval(buyer, invoice, paper.now)
        holder = invoice["promo_for"] if invoice["promo_for"][0] == "i" or invoice["promo_for"] == f"u{buyer}" else None
        wanted = paper.is_free(holder) and paper.may(buyer, held=True)
        reason = await self.rules.hold(self.bot, buyer, invoice, approval.who)
        assert (reason is None) == wanted, reason
        if reason is None:
            paper.reserved.pop(holder or "", None)
            paper.approved.append(approval)

    async def end(self, approval: Approval, *, is_paid: bool) -> None:
        self.paper.approved.remove(self.first_alike(approval))
        if not is_paid:
            await self.rules.let_go(self.bot, approval.user, approval.invoice, approval.who)
            return
        ref = f"{len(self.claims):017x}"
        body = {"user": approval.user, "invoice": approval.invoice["invoice"], "promo": "CODE", "attempts": 1}
        self.claims[ref] = Claim(RecordKey(self.bot.id, CHARGE, ref), "worker", body, "deliver")
        self.paper.paid[ref] = approval
        await self.rules.take(self.bot, self.claims[ref], approval.who)

    def first_alike(self, approval: Approval) -> Approval:
        """Of two approvals of one invoice to one buyer nobody can say which was paid: the rules take the older."""
        return next(one for one in self.paper.live() if one.who == approval.who)

    async def repeat(self, ref: str, *, is_refund: bool) -> None:
        claim = self.claims[ref]
        if is_refund:
            del self.paper.paid[ref]
            for _ in range(2):
                took = claim.body.get("promo_used", False)
                await self.rules.give_back(self.bot, claim.body["user"], "CODE", ref, took=took)
            return
        claim.body.pop("promo_used", None)  # a worker died before it could write that down
        await self.rules.take(self.bot, claim, self.paper.paid[ref].who)

    async def compare(self) -> None:
        paper, usage = self.paper, await self.rules.usage(self.bot, "CODE")
        assert usage is not None
        assert usage.used == len(paper.paid)
        if paper.total is not None:
            assert usage.used <= paper.total
            assert usage.reserved == len(paper.live()) + paper.reservations()
        for buyer in BUYERS:
            mine = sum(one.user == buyer for one in paper.paid.values())
            if paper.per_user is not None:
                bought = (await self.shop.buyers.read(self.bot.id, buyer)).get("bought", {})
                assert len(bought.get("promo:CODE", [])) == mine <= paper.per_user


@given(LIMITS, DEEDS)
@effort(80)
def test_no_payment_is_one_too_many_and_nothing_free_is_refused(
    limits: tuple[int | None, int | None], deeds: list[Deed]
) -> None:
    asyncio.run(Play(*limits).go(deeds))
