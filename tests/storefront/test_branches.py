"""Administration, alerts, promo codes and gifts in several processes on one ledger, some of which are killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.chaos.nursery import Nursery
from tests.redis_server import RedisServer
from tests.storefront.branch import LEASE
from tests.storefront.firm import Firm

pytestmark = pytest.mark.asyncio


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    nursery = Nursery("tests.storefront.branch")
    yield nursery
    nursery.close()


@pytest_asyncio.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
async def firm(request: pytest.FixtureRequest, nursery: Nursery, tmp_path: Path) -> AsyncIterator[Firm]:
    storage = str(tmp_path / "bot.db")
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        with server.client() as client:
            client.flushall()
        storage = server.url
    async with Firm(nursery, tmp_path, storage) as firm:
        yield firm
        Path("/tmp/lastlog.txt").write_text(firm.logs())


# What an admin confirms


async def test_a_refund_confirmed_at_two_processes_at_once_is_one(firm: Firm) -> None:
    await firm.open("one", "two")
    alice = firm.buyer()
    charge = await firm.sell(alice)
    await firm.admin.send(f"/payrefund {charge}")
    await firm.told("Refund this payment?")
    firm.to_all = True
    await firm.admin.tap("Yes, refund")
    await firm.told("Refunded")
    assert len(firm.calls("refundStarPayment")) == 1
    assert alice.balance == 1000
    await firm.until(lambda: firm.journal("taken back"), "the news of the refund")


@pytest.mark.parametrize(
    ("point", "when", "fields"),
    [
        ("EditMessageText", "after", {}),
        ("write ask", "after", {"taker": "any"}),
        ("RefundStarPayment", "before", {}),
        ("RefundStarPayment", "after", {}),
        ("write ask", "before", {"done": True}),
        ("write ask", "after", {"done": True}),
    ],
)
async def test_a_refund_whose_process_dies_is_done_once(firm: Firm, point: str, when: str, fields: dict[str, object]) -> None:
    [one] = await firm.open("one")
    alice = firm.buyer()
    charge = await firm.sell(alice)
    await firm.admin.send(f"/payrefund {charge} came twice")
    await firm.told("Refund this payment?")
    await one.die_at(point, when, **fields)
    tapping = asyncio.ensure_future(firm.admin.tap("Yes, refund", timeout=1))
    await asyncio.wait_for(one.ended.wait(), 5)
    await tapping
    await firm.open("two")
    print(point, when, fields, repr(firm.words()), alice.balance)
    assert "Refunded" not in firm.words()
    await asyncio.sleep(LEASE)
    answer = await firm.admin.tap("Yes, refund")
    print(answer, repr(firm.words()))
    if fields.get("done") and when == "after":
        assert answer == "This was answered already."
        await firm.admin.send(f"/payfind {charge}")
        await firm.told("Status: refunded")
    else:
        await firm.told("Refunded")
    assert alice.balance == 1000
    await firm.until(lambda: firm.journal("taken back"), "the news of the refund")
    await firm.admin.tap("Timeline")
    await firm.told("refund requested: admin")
    print(firm.words())


# Delivering again


async def test_redelivery_asked_for_at_two_processes_at_once_is_one(firm: Firm) -> None:
    one, two = await firm.open("one", "two")
    charge = await firm.sell(firm.buyer(), "/buy broken")
    await firm.until(lambda: len(firm.journal("failed")) == 2, "the last attempt")
    (firm.directory / "mended").touch()
    await firm.told("1 payment")  # the alert
    await firm.admin.send(f"/payfind {charge}")
    await firm.told("waits for you")
    firm.to_all = True
    await firm.admin.tap("Deliver again")
    await firm.until(lambda: len(firm.journal("failed")) == 3, "the delivery")
    await asyncio.sleep(0.3)
    assert len(firm.journal("failed")) == 3
    firm.to_all = False
    print(firm.words())
    one.kill()
    await asyncio.wait_for(one.ended.wait(), 5)
    firm.to = [two]
    await firm.admin.send(f"/payfind {charge}")
    await firm.told("Status: delivered")
    await firm.admin.tap("Timeline")
    await firm.told("delivery asked for again")
    print(firm.words())


async def test_a_redelivery_whose_process_dies_is_done_by_another(firm: Firm) -> None:
    [one] = await firm.open("one")
    charge = await firm.sell(firm.buyer(), "/buy broken")
    await firm.until(lambda: len(firm.journal("failed")) == 2, "the last attempt")
    await firm.told("1 payment")
    (firm.directory / "mended").touch()
    await one.die_at("write pay", "after", state="paid", tried="any", reason=None)
    await firm.admin.send(f"/payredeliver {charge}")
    await asyncio.wait_for(one.ended.wait(), 5)
    [two] = await firm.open("two")
    await firm.until(lambda: len(firm.journal("failed")) == 3, "the delivery")
    await firm.admin.send(f"/payfind {charge}")
    await firm.told("Status: delivered")
    await firm.admin.tap("Timeline")
    page = await firm.told("delivery asked for again")
    print(page)
    assert str(one.pid) in page and str(two.pid) in page


# Promo codes


async def test_of_two_buyers_at_two_processes_one_gets_the_last_use(firm: Firm) -> None:
    await firm.open("one", "two")
    buyers = [firm.buyer(name) for name in ("Alice", "Bob")]
    await asyncio.gather(*(buyer.send("/buy premium LAST") for buyer in buyers))
    await firm.until(lambda: all(firm.last(buyer) for buyer in buyers), "answers")
    won = [buyer for buyer in buyers if "used_up" not in firm.words(buyer)]
    assert len(won) == 1
    assert (await won[0].pay()).ok


async def test_of_two_checkouts_at_two_processes_one_gets_the_last_use(firm: Firm) -> None:
    await firm.open("one", "two")
    buyers = [firm.buyer(name) for name in ("Alice", "Bob")]
    for buyer in buyers:
        await buyer.send("/buy premium LAST")
        await firm.until(lambda: firm.last(buyer), "the invoice")
        assert "used_up" not in firm.words(buyer)
        firm.pass_time(hours=2)
    receipts = await asyncio.gather(*(buyer.pay() for buyer in buyers))
    print(receipts)
    assert sorted(receipt.ok for receipt in receipts) == [False, True]
    assert sorted(buyer.balance for buyer in buyers) == [980, 1000]


async def test_a_reserved_use_is_free_again_though_its_process_is_dead(firm: Firm) -> None:
    [one] = await firm.open("one")
    alice, bob = firm.buyer("Alice"), firm.buyer("Bob")
    await alice.send("/buy premium LAST")
    await firm.until(lambda: firm.last(alice), "the invoice")
    one.kill()
    await asyncio.wait_for(one.ended.wait(), 5)
    await firm.open("two")
    await bob.send("/buy premium LAST")
    await firm.told("used_up", bob)
    firm.pass_time(minutes=61)
    await firm.sell(bob, "/buy premium LAST")
    assert bob.balance == 980


@pytest.mark.parametrize(
    ("point", "when", "fields"),
    [
        ("write stk", "before", {"noted": "any"}),
        ("write stk", "after", {"noted": "any"}),
        ("write pay", "before", {"promo_used": True}),
        ("write pay", "after", {"promo_used": True}),
    ],
)
async def test_a_use_is_counted_once_though_its_process_dies(firm: Firm, point: str, when: str, fields: dict[str, object]) -> None:
    [one] = await firm.open("one")
    alice, bob = firm.buyer("Alice"), firm.buyer("Bob")
    await alice.send("/buy premium LAST")
    await firm.until(lambda: firm.last(alice), "the invoice")
    await one.die_at(point, when, **fields)
    assert (await alice.pay()).ok
    await asyncio.wait_for(one.ended.wait(), 5)
    await firm.open("two")
    await firm.until(lambda: firm.journal("delivered"), "the delivery")
    await firm.until(lambda: firm.journal("delivered")[-1][3] != one.pid or when == "after", "the delivery")
    await bob.send("/buy premium LAST")
    await firm.told("used_up", bob)
    firm.pass_time(days=9)
    await bob.send("/buy premium LAST")
    await firm.told("used_up", bob)
    await firm.admin.send(f"/payfind {firm.journal('delivered')[0][1]}")
    await firm.told("Status: delivered")
    await firm.admin.tap("Refund")
    await firm.admin.tap("Yes, refund")
    await firm.told("Refunded")
    await firm.until(lambda: firm.journal("taken back"), "news")
    await firm.sell(bob, "/buy premium LAST")


# Gifts


async def gift_of(firm: Firm, buyer) -> str:
    await buyer.send("/gift")
    assert (await buyer.pay()).ok
    text = await firm.told("start=gift_", buyer)
    import re
    return "/start " + re.search(r"start=(gift_[\w-]+)", text)[1]


async def test_of_two_openers_at_two_processes_one_gets_the_gift(firm: Firm) -> None:
    await firm.open("one", "two")
    link = await gift_of(firm, firm.buyer("Alice"))
    friends = [firm.buyer(name) for name in ("Bob", "Carl", "Dora", "Ed")]
    await asyncio.gather(*(friend.send(link) for friend in friends))
    await firm.until(lambda: firm.journal("delivered"), "the delivery")
    await firm.until(lambda: sum("somebody else" in firm.words(f).lower() for f in friends) == 3, "others told")
    [[_, _, recipient, _]] = firm.journal("delivered")
    print(recipient, [firm.words(f) for f in friends])


@pytest.mark.parametrize(
    ("point", "when", "fields"),
    [
        ("write pay", "before", {"recipient": "any"}),
        ("write pay", "after", {"recipient": "any"}),
        ("write pay", "after", {"recipient": "any", "attempts": 1}),
        ("write buy", "before", {}),
        ("write buy", "after", {}),
        ("write pay", "before", {"recipient": "any", "state": "delivered"}),
        ("write pay", "after", {"recipient": "any", "state": "delivered"}),
    ],
)
async def test_a_gift_whose_process_dies_while_it_is_opened_is_given_once(firm: Firm, point: str, when: str, fields: dict[str, object]) -> None:
    [one] = await firm.open("one")
    alice, bob, carl = firm.buyer("Alice"), firm.buyer("Bob"), firm.buyer("Carl")
    link = await gift_of(firm, alice)
    await firm.until(lambda: True, "")
    await asyncio.sleep(0.2)
    await one.die_at(point, when, **fields)
    await bob.send(link)
    await asyncio.wait_for(one.ended.wait(), 10)
    await firm.open("two")
    if when == "before" and fields == {"recipient": "any"}:
        await asyncio.sleep(0.3)
        assert not firm.journal("delivered")
        await bob.send(link)
    await firm.until(lambda: firm.journal("delivered"), "the delivery")
    await carl.send(link)
    await firm.told("omebody else", carl)
    await asyncio.sleep(LEASE + 0.5)
    await bob.send(link)
    await firm.told("You have opened", bob)
    print(point, when, fields, firm.journal(), firm.words(bob))
    assert {line[2] for line in firm.journal("delivered")} == {bob.id}
    assert len(firm.journal("delivered")) == (2 if fields.get("state") and when == "before" else 1)
    await firm.admin.send(f"/payfind {bob.id}")
    await firm.admin.tap("Access")
    page = await firm.told("Access of")
    print(page)
    assert page.count("premium") == 1


# Alerts


@pytest.mark.parametrize(("point", "when"), [(None, ""), ("SendMessage", "before"), ("SendMessage", "after"), ("EditMessageText", "before"), ("EditMessageText", "after"), ("write alerts", "after")])
async def test_a_storm_at_two_processes_is_one_message(firm: Firm, point: str | None, when: str) -> None:
    branches = await firm.open("one", "two")
    firm.repeats = True
    if point:
        await branches[0].die_at(point, when, **({} if point.startswith("write") else {"chat_id": 501}))
    buyers = [firm.buyer(f"B{at}") for at in range(4)]

    async def storm(buyer) -> None:
        for _ in range(3):
            await firm.sell(buyer, "/buy orphan")

    await asyncio.gather(*(storm(buyer) for buyer in buyers), return_exceptions=True)
    if point and branches[0].ended.is_set():
        firm.to = [branches[1]]
        print("killed")
    if point == "SendMessage" and when == "before":
        await asyncio.sleep(0.6)
        print(await branches[1].ask("/reconcile"))
    try:
        await firm.told("12 payments")
    finally:
        print(point, when, [m.text for m in firm.admin.messages()], len(firm.calls("sendMessage", 501)), len(firm.calls("editMessageText", 501)), branches[0].ended.is_set())


# Figures


async def test_reports_of_two_processes_over_a_border_of_months(firm: Firm) -> None:
    one, two = await firm.open("one", "two")
    from datetime import datetime, timezone
    now = datetime.fromtimestamp(firm.sandbox.clock.now(), timezone.utc)
    month = datetime(now.year + (now.month == 12), now.month % 12 + 1, 1, tzinfo=timezone.utc).timestamp()
    firm.pass_time(seconds=month - firm.sandbox.clock.now() - 5)
    alice = firm.buyer()
    first = await firm.sell(alice)
    second = await firm.sell(alice, "/buy sticker")
    firm.pass_time(seconds=10)
    await firm.sell(alice, "/buy sticker")
    one.kill()
    firm.to = [two]
    await firm.admin.send(f"/payrefund {first}")
    await firm.told("Refund this payment?")
    await firm.admin.tap("Yes, refund")
    await firm.told("Refunded")
    await firm.admin.send("/payreport 1")
    await firm.told("Sales from")
    print(firm.words())
    await firm.admin.send("/payreport 2")
    await firm.until(lambda: len(firm.calls("sendMessage", 501)) == 3, "a")
    print(firm.words())
    await firm.admin.tap("By day")
    await asyncio.sleep(0.3)
    print(firm.words())


async def test_reconciling_at_two_processes_at_once_delivers_once(firm: Firm) -> None:
    branches = await firm.open("one", "two")
    await branches[0].ask("/reconcile")
    firm.sandbox.faults.add_update("successful_payment", drop=True, times=2)
    alice = firm.buyer()
    for what in ("premium", "sticker"):
        await alice.send(f"/buy {what}")
        assert (await alice.pay()).ok
    firm.pass_time(minutes=5)
    firm.to = branches[:1]
    await firm.admin.send("/payreconcile")
    background = asyncio.gather(*(branches[1].ask("/reconcile") for _ in range(3)))
    print(await background)
    await firm.told("Telegram's ledger")
    await firm.until(lambda: len(firm.journal("delivered")) == 2, "deliveries")
    await asyncio.sleep(0.5)
    print(firm.words(), firm.journal(), [m.text for m in firm.admin.messages()])
    assert len(firm.journal("delivered")) == 2


@pytest.mark.redis
async def test_alerts_outlive_a_restart_of_redis(nursery: Nursery, tmp_path: Path) -> None:
    with RedisServer() as server:
        async with Firm(nursery, tmp_path, server.url) as firm:
            firm.repeats = True
            one, two = await firm.open("one", "two")
            firm.sandbox.faults.add("sendMessage", error=500, chat=501)
            alice = firm.buyer()
            for _ in range(4):
                await firm.sell(alice, "/buy orphan")
            await firm.until(lambda: firm.calls("sendMessage", 501), "a try to tell")
            one.kill()
            server.kill()
            await asyncio.sleep(0.3)
            firm.sandbox.faults.clear()
            server.start()
            await firm.sell(alice, "/buy orphan")
            try:
                await firm.told("5 payments")
            except AssertionError:
                await two.ask("/reconcile")
                print("after reconcile")
                await firm.told("5 payments")
            print([m.text for m in firm.admin.messages()])
