"""Administration, alerts, promo codes and gifts in several processes on one ledger, some of which are killed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aiogram_neonpay.sandbox.users import SandboxUser
from tests.chaos.nursery import Nursery
from tests.redis_server import RedisServer
from tests.storefront.branch import CONFIRMED_LEASE, TELLING_LEASE
from tests.storefront.firm import PATIENCE, Branch, Firm
from tests.storefront.office import ADMIN

pytestmark = pytest.mark.asyncio

Fields = dict[str, Any]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery("tests.storefront.branch")
    yield nursery
    nursery.close()


@pytest_asyncio.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
async def firm(request: pytest.FixtureRequest, nursery: Nursery, tmp_path: Path) -> AsyncIterator[Firm]:
    storage = str(tmp_path / "bot.db")
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        with server.client() as client:
            client.flushall()
        storage = server.url
    async with Firm(nursery, tmp_path, storage) as firm:
        yield firm


async def ask_for_refund(firm: Firm, charge: str) -> None:
    await firm.admin.send(f"/payrefund {charge} came twice")
    await firm.told("Refund this payment?")


# What an admin confirms


async def test_a_refund_confirmed_at_two_processes_at_once_is_one(firm: Firm) -> None:
    await firm.open("one", "two")
    alice = firm.buyer()
    await ask_for_refund(firm, await firm.sell(alice))
    firm.to_all = True
    await firm.admin.tap("Yes, refund")
    await firm.told("Refunded")
    await firm.until(lambda: firm.journal("taken back"), "the news of the refund")
    assert len(firm.calls("refundStarPayment")) == 1
    assert alice.balance == 1000


@pytest.mark.parametrize(
    ("point", "when", "fields"),
    [
        pytest.param("write ask", "after", {"taker": "any"}, id="before it is done"),
        pytest.param("RefundStarPayment", "after", {}, id="before it knows that it is done"),
        pytest.param("write ask", "before", {"done": True}, id="before it is noted as done"),
    ],
)
async def test_a_confirmed_refund_whose_process_dies_is_confirmed_again_and_done_once(
    firm: Firm, point: str, when: str, fields: Fields
) -> None:
    [one] = await firm.open("one")
    alice = firm.buyer()
    await ask_for_refund(firm, await firm.sell(alice))
    await one.die_at(point, when, **fields)
    await firm.admin.tap("Yes, refund", timeout=0.3)
    await one.end()
    assert "Refunded" not in firm.words() and "Yes, refund" in firm.buttons()
    await firm.open("two")
    assert "This is being done" in (await firm.admin.tap("Yes, refund") or "")
    firm.pass_time(seconds=2 * CONFIRMED_LEASE)
    await firm.admin.tap("Yes, refund")
    await firm.told("Refunded")
    assert alice.balance == 1000
    await firm.until(lambda: firm.journal("taken back"), "the news of the refund")
    await firm.admin.tap("Timeline")
    page = await firm.told("refund requested: admin")
    assert page.count("refund requested: admin 501: came twice") == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_confirmed_access_whose_process_dies_is_granted_once(firm: Firm, when: str) -> None:
    [one] = await firm.open("one")
    alice = firm.buyer()
    await firm.admin.send(f"/paygrant {alice.id} premium x20 30d sorry")
    await firm.told("20 uses")
    await one.die_at("write buy", when)
    await firm.admin.tap("Yes, grant", timeout=0.3)
    await one.end()
    await firm.open("two")
    firm.pass_time(seconds=2 * CONFIRMED_LEASE)
    await firm.admin.tap("Yes, grant")
    await firm.told(f"User {alice.id} has the access premium now.")
    await firm.admin.send(f"/payfind {alice.id}")
    await firm.told("Payments of user")
    await firm.admin.tap("Access")
    page = await firm.told("Access of user")
    assert "20 uses" in page and page.count("granted") == 2  # the access, and the line of what people did
    assert page.count("sorry") == 1


# Delivering again


async def sell_stuck(firm: Firm) -> str:
    """Let somebody buy what cannot be delivered; what hindered it is mended afterwards."""
    charge = await firm.sell(firm.buyer(), "/buy broken")
    await firm.told("1 payment is stuck")
    (firm.directory / "mended").touch()
    return charge


async def test_a_redelivery_asked_for_at_two_processes_at_once_is_one(firm: Firm) -> None:
    await firm.open("one", "two")
    await firm.admin.send(f"/payfind {await sell_stuck(firm)}")
    await firm.told("waits for you")
    firm.to_all = True
    await firm.admin.tap("Deliver again")
    await firm.until(lambda: len(firm.journal("broken")) == 3, "the delivery")
    firm.to_all = False
    await firm.until(lambda: len(firm.calls("answerCallbackQuery")) == 2, "both answers")
    await firm.admin.tap("Timeline")
    await firm.told("delivery asked for again")
    assert firm.words().count("delivery asked for again") == 1
    assert len(firm.journal("broken")) == 3


async def test_a_redelivery_whose_process_dies_is_done_by_another_and_the_timeline_tells_by_whom(firm: Firm) -> None:
    [one] = await firm.open("one")
    charge = await sell_stuck(firm)
    await one.die_at("write pay", "after", state="paid", tried="any", reason=None)
    await firm.admin.send(f"/payredeliver {charge}")
    await one.end()
    [two] = await firm.open("two")
    await firm.until(lambda: len(firm.journal("broken")) == 3, "the delivery")
    await firm.admin.send(f"/payfind {charge}")
    await firm.told("Status:")
    await firm.admin.tap("Timeline")
    page = await firm.told("delivery asked for again")
    workers = re.findall(r"delivery begun \([^:]+:(\d+)\)", page)
    assert workers == [str(one.pid), str(one.pid), str(two.pid)]


# Figures


async def test_reports_are_right_over_the_border_of_a_month_and_the_death_of_a_process(firm: Firm) -> None:
    one, two = await firm.open("one", "two")
    now = datetime.fromtimestamp(firm.sandbox.clock.now(), timezone.utc)
    border = (now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=32)).replace(day=1)
    firm.pass_time(seconds=(border - now).total_seconds() - 60)
    alice = firm.buyer()
    premium = await firm.sell(alice)
    await firm.sell(alice, "/buy sticker")
    firm.pass_time(minutes=2)
    await firm.sell(alice, "/buy sticker")
    one.kill()
    firm.to = [two]
    await ask_for_refund(firm, premium)
    await firm.admin.tap("Yes, refund")
    await firm.told("Refunded")
    await firm.admin.send("/payreport 1")
    page = await firm.told(f"Sales from {border:%Y-%m-%d} to {border:%Y-%m-%d}")
    assert page.splitlines()[1:3] == ["Paid: 5 ⭐, payments: 1", "Refunded: 25 ⭐, refunds: 1"]
    await firm.admin.tap("30 days")
    await firm.told("payments: 3")
    await firm.admin.tap("By day")
    page = await firm.told(f"{border - timedelta(days=1):%Y-%m-%d}  30")
    assert page.splitlines()[4:] == [
        f"{border:%Y-%m-%d}  5 ⭐ (1)  −25 ⭐",
        f"{border - timedelta(days=1):%Y-%m-%d}  30 ⭐ (2)",
    ]


async def test_readings_of_two_processes_at_once_deliver_once_and_tell_it_once(firm: Firm) -> None:
    one, two = await firm.open("one", "two")
    await one.ask("/reconcile")
    firm.sandbox.faults.add_update("successful_payment", drop=True, times=2)
    alice = firm.buyer()
    for stage_id in ("premium", "sticker"):
        await alice.send(f"/buy {stage_id}")
        assert (await alice.pay()).ok
    firm.pass_time(minutes=5)
    firm.to = [one]
    await firm.admin.send("/payreconcile")
    reports = await asyncio.gather(*(branch.ask("/reconcile") for branch in (one, two, two)))
    pages = await firm.until(lambda: firm.pages("Rows read"), "the admin's report")
    mine = re.search(r"delivered now: (\d)", pages[0])
    assert mine is not None
    assert sum(report["recovered"] for report in reports) + int(mine[1]) == 2
    await firm.until(lambda: len(firm.journal("delivered")) == 2, "the deliveries")
    await firm.until(lambda: firm.pages("This needs you"), "the alert")
    assert len({line[1] for line in firm.journal("delivered")}) == 2


# Promo codes


async def invoice_with_code(firm: Firm, buyer: SandboxUser) -> str | None:
    """Ask for an invoice with the code that has one use; return why there is none."""
    number = len(buyer.messages())
    await buyer.send("/buy premium LAST")
    await firm.until(lambda: len(buyer.messages()) == number + 2, "an answer")
    refusal = firm.words(buyer)
    return refusal.removeprefix("no: ") if refusal.startswith("no: ") else None


async def test_of_two_buyers_at_two_processes_one_gets_the_last_use(firm: Firm) -> None:
    await firm.open("one", "two")
    buyers = [firm.buyer("Alice"), firm.buyer("Bob")]
    refusals = await asyncio.gather(*(invoice_with_code(firm, buyer) for buyer in buyers))
    assert sorted(map(str, refusals)) == ["None", "used_up"]
    firm.pass_time(minutes=61)  # nobody has paid: both may have it
    for buyer, refusal in zip(buyers, refusals, strict=True):
        if refusal is not None:
            assert await invoice_with_code(firm, buyer) is None
    firm.pass_time(minutes=61)
    receipts = await asyncio.gather(*(buyer.pay() for buyer in buyers))
    assert sorted(receipt.ok for receipt in receipts) == [False, True]
    assert sorted(buyer.balance for buyer in buyers) == [980, 1000]


async def test_a_reserved_use_is_free_again_in_time_though_its_process_is_dead(firm: Firm) -> None:
    [one] = await firm.open("one")
    alice, bob = firm.buyer("Alice"), firm.buyer("Bob")
    assert await invoice_with_code(firm, alice) is None
    one.kill()
    await one.end()
    await firm.open("two")
    assert await invoice_with_code(firm, bob) == "used_up"
    firm.pass_time(minutes=61)
    assert await invoice_with_code(firm, bob) is None
    assert (await bob.pay()).ok and bob.balance == 980


@pytest.mark.parametrize(
    ("point", "fields"), [("write stk", {"noted": "any"}), ("write pay", {"promo_used": True})], ids=["count", "record"]
)
async def test_a_use_is_counted_once_though_its_process_dies(firm: Firm, point: str, fields: Fields) -> None:
    [one] = await firm.open("one")
    alice, bob = firm.buyer("Alice"), firm.buyer("Bob")
    assert await invoice_with_code(firm, alice) is None
    await one.die_at(point, "after", **fields)
    assert (await alice.pay()).ok
    await one.end()
    await firm.open("two")
    await firm.until(lambda: firm.journal("delivered"), "the delivery")
    firm.pass_time(days=9)
    assert await invoice_with_code(firm, bob) == "used_up"
    await ask_for_refund(firm, firm.journal("delivered")[0][1])
    await firm.admin.tap("Yes, refund")
    await firm.told("Refunded")
    await firm.until(lambda: firm.journal("taken back"), "the news of the refund")
    assert await invoice_with_code(firm, bob) is None


# Gifts


async def buy_gift(firm: Firm, buyer: SandboxUser) -> str:
    """Let somebody buy a gift; return what its link sends."""
    await buyer.send("/gift")
    assert (await buyer.pay()).ok
    found = re.search(r"start=(gift_[\w-]+)", await firm.told("start=gift_", buyer))
    assert found is not None
    await firm.until(lambda: firm.calls("sendMessage", buyer.id), "the link")
    return f"/start {found[1]}"


async def test_of_those_who_open_a_gift_at_two_processes_at_once_one_gets_it(firm: Firm) -> None:
    await firm.open("one", "two")
    link = await buy_gift(firm, firm.buyer("Alice"))
    friends = [firm.buyer(name) for name in ("Bob", "Carl", "Dora", "Ed")]
    await asyncio.gather(*(friend.send(link) for friend in friends))
    await firm.until(lambda: firm.journal("delivered"), "the delivery")
    late = [friend for friend in friends if friend.id != firm.journal("delivered")[0][2]]
    assert len(late) == 3
    await asyncio.gather(*(firm.told("Somebody else has opened this gift", friend) for friend in late))
    assert len(firm.journal("delivered")) == 1


@pytest.mark.parametrize(
    ("point", "when", "fields"),
    [
        pytest.param("write pay", "before", {"recipient": "any"}, id="before it is opened"),
        pytest.param("write pay", "after", {"recipient": "any"}, id="when it is opened"),
        pytest.param("write buy", "after", {}, id="when its access is given"),
        pytest.param("write pay", "before", {"recipient": "any", "state": "delivered"}, id="before it is settled"),
    ],
)
async def test_a_gift_whose_process_dies_is_given_once(firm: Firm, point: str, when: str, fields: Fields) -> None:
    [one] = await firm.open("one")
    bob, carl = firm.buyer("Bob"), firm.buyer("Carl")
    link = await buy_gift(firm, firm.buyer("Alice"))
    await one.die_at(point, when, **fields)
    await bob.send(link)
    await one.end()
    [two] = await firm.open("two")
    if fields == {"recipient": "any"} and when == "before":
        await bob.send(link)  # nothing is lost: the link still opens it
    settled = await firm.until(lambda: [line for line in firm.journal("delivered") if line[3] == two.pid], "a delivery")
    assert len(settled) == 1
    await carl.send(link)
    await firm.told("Somebody else has opened this gift", carl)
    await bob.send(link)
    await firm.told("You have opened this gift", bob)
    assert {line[2] for line in firm.journal("delivered")} == {bob.id}
    await firm.admin.send(f"/payfind {bob.id}")
    await firm.told("Payments of user")
    await firm.admin.tap("Access")
    page = await firm.told("Access of user")
    assert page.count("premium") == 1


# Alerts


async def storm(firm: Firm, buyers: list[SandboxUser], each: int) -> None:
    async def buy(buyer: SandboxUser) -> None:
        for _ in range(each):
            await firm.sell(buyer, "/buy orphan")

    await asyncio.gather(*(buy(buyer) for buyer in buyers))


async def find_forgotten(firm: Firm, branch: Branch, is_told: Callable[[], bool]) -> None:
    """Read Telegram's ledger, as the timer does, until what a dead process kept to itself is told as well."""
    end = time.monotonic() + PATIENCE
    while not is_told():
        assert time.monotonic() < end, firm.words()
        await branch.ask("/reconcile")
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("when", ["never", "before", "after"])
async def test_a_storm_at_two_processes_is_one_message_though_who_tells_it_dies(firm: Firm, when: str) -> None:
    branches = await firm.open("one", "two")
    firm.repeats = True
    for branch in branches if when != "never" else ():
        await branch.die_at("SendMessage", when, chat_id=ADMIN)
    tellers = firm.until(lambda: any(branch.ended.is_set() for branch in branches) or when == "never", "a death")
    buyers = [firm.buyer(f"Buyer {number}") for number in range(4)]
    storming = asyncio.ensure_future(storm(firm, buyers, 3))
    await tellers
    for branch in branches:
        if not branch.ended.is_set():
            await branch.die_at("nowhere")
    await storming
    if when != "never":
        firm.pass_time(seconds=2 * TELLING_LEASE)  # only while one is left: nobody may lose a lease that it needs
    living = next(branch for branch in branches if not branch.ended.is_set())
    await find_forgotten(firm, living, lambda: "12 payments are unmatched" in firm.words())
    assert len(firm.pages("This needs you")) <= (2 if when == "after" else 1)


@pytest.mark.redis
async def test_alerts_outlive_a_restart_of_redis_and_the_death_of_a_process(nursery: Nursery, tmp_path: Path) -> None:
    with RedisServer() as server:
        async with Firm(nursery, tmp_path, server.url) as firm:
            firm.repeats = True
            one, two = await firm.open("one", "two")
            firm.sandbox.faults.add("sendMessage", error=500, chat=ADMIN)
            alice = firm.buyer()
            await storm(firm, [alice], 4)
            await firm.until(lambda: firm.calls("sendMessage", ADMIN), "a try to tell")
            one.kill()
            server.kill()
            firm.sandbox.faults.clear()
            server.start()
            await storm(firm, [alice], 1)
            # What was told and not noted as told when the power went may be told twice.
            await find_forgotten(firm, two, lambda: len(set(re.findall(r"• ([0-9a-f]{17})", firm.words()))) == 5)
            assert len(firm.pages("This needs you")) == 1
