from __future__ import annotations

import asyncio

import pytest
from aiogram.types import Update

from aiogram_neonpay.sandbox import SandboxError
from tests.sandbox.conftest import Stand
from tests.sandbox.paying import approved
from tests.sandbox.raw import call


def texts(updates: list[Update]) -> list[str | None]:
    return [update.message.text for update in updates if update.message]


@pytest.mark.asyncio
async def test_a_dropped_update_is_lost_for_ever_and_only_the_ledger_knows(stand: Stand) -> None:
    rule = stand.sandbox.faults.add_update("successful_payment", drop=True)
    await stand.invoice()
    receipt = await approved(stand, stand.alice.pay())
    assert receipt.ok
    await stand.alice.send("did it work?")
    assert texts(await stand.updates()) == ["did it work?"]
    assert [row.id for row in (await stand.bot.get_star_transactions()).transactions] == [receipt.transaction_id]
    assert rule.struck == 1
    with pytest.raises(SandboxError, match="never got an update of this charge"):
        stand.sandbox.repeat_update(receipt)


@pytest.mark.asyncio
async def test_a_dropped_pre_checkout_query_times_the_payment_out(stand: Stand) -> None:
    stand.sandbox.faults.add_update("pre_checkout_query", drop=True, times=1)
    await stand.invoice()
    paying = asyncio.ensure_future(stand.alice.pay())
    await asyncio.sleep(0)
    stand.sandbox.clock.advance(seconds=10)
    assert (await paying).error == "BOT_PRECHECKOUT_TIMEOUT"


@pytest.mark.asyncio
async def test_a_delayed_update_arrives_behind_what_came_meanwhile(stand: Stand) -> None:
    stand.sandbox.faults.add_update("successful_payment", delay=60)
    await stand.invoice()
    receipt = await approved(stand, stand.alice.pay())
    stand.sandbox.refund(receipt)
    first, *rest = await stand.updates()
    assert first.message and first.message.refunded_payment and not rest
    stand.sandbox.clock.advance(seconds=60)
    late = (await stand.updates())[0]
    assert late.message and late.message.successful_payment
    assert late.update_id == first.update_id + 1
    stand.sandbox.repeat_update(receipt)
    assert [update.update_id for update in await stand.updates()] == [late.update_id]


@pytest.mark.asyncio
async def test_a_delay_does_not_prolong_the_24_hours(stand: Stand) -> None:
    stand.sandbox.faults.add_update(delay=86_400, times=1)
    stand.sandbox.faults.add_update(delay=86_399, times=1)
    await stand.alice.send("too late")
    await stand.alice.send("just in time")
    stand.sandbox.clock.advance(seconds=86_399)
    assert stand.sandbox.pending_updates() == 1
    stand.sandbox.clock.advance(seconds=1)
    assert stand.sandbox.pending_updates() == 0


@pytest.mark.asyncio
async def test_reordered_updates_change_places_in_pairs(stand: Stand) -> None:
    rule = stand.sandbox.faults.add_update(reorder=True)
    for text in ("one", "two", "three", "four", "five"):
        await stand.alice.send(text)
    assert texts(await stand.updates()) == ["two", "one", "four", "three"]
    assert rule.struck == 3
    stand.sandbox.clock.advance(seconds=5)  # nothing overtakes the last one
    assert texts(await stand.updates()) == ["five"]


@pytest.mark.asyncio
async def test_a_repeated_update_comes_again_under_its_number_after_its_confirmation(stand: Stand) -> None:
    rule = stand.sandbox.faults.add_update("message", repeat=2, times=1)
    await stand.alice.send("one")
    (first,) = await stand.bot.get_updates()
    assert (await stand.bot.get_updates(offset=first.update_id))[0].update_id == first.update_id  # not confirmed yet
    await stand.alice.send("two")
    again = await stand.bot.get_updates(offset=first.update_id + 1)
    assert texts(again) == ["one", "one", "two"]
    assert [update.update_id for update in again] == [first.update_id] * 2 + [first.update_id + 1]
    assert texts(await stand.bot.get_updates(offset=first.update_id + 1)) == ["two"]
    assert await stand.bot.get_updates(offset=first.update_id + 2) == []
    assert (rule.struck, rule.left) == (1, 0)


@pytest.mark.asyncio
async def test_a_repeat_may_come_much_later_but_not_after_24_hours(stand: Stand) -> None:
    stand.sandbox.faults.add_update(repeat=True, delay=3600)
    await stand.alice.send("one")
    assert texts(await stand.updates()) == ["one"]
    stand.sandbox.clock.advance(hours=1)
    assert texts(await stand.updates()) == ["one"]
    await stand.alice.send("two")
    stand.sandbox.clock.advance(hours=23.5)
    assert texts(await stand.updates()) == ["two"]
    stand.sandbox.clock.advance(hours=1)
    assert stand.sandbox.pending_updates() == 0


@pytest.mark.asyncio
async def test_update_rules_may_be_for_one_person_or_chat(stand: Stand) -> None:
    group = stand.sandbox.create_group("Club", [stand.alice, stand.bob])
    of_bob = stand.sandbox.faults.add_update(drop=True, user=stand.bob)
    in_group = stand.sandbox.faults.add_update("message", drop=True, chat=group)
    await stand.bob.send("hello")
    await stand.bob.send("hello", chat=group)
    await stand.alice.send("hello all", chat=group)
    await stand.alice.send("hello")
    assert texts(await stand.updates()) == ["hello"]
    assert (of_bob.struck, in_group.struck) == (2, 1)


@pytest.mark.asyncio
async def test_a_refund_is_about_its_payer_although_the_bot_writes_it(stand: Stand) -> None:
    await stand.invoice()
    receipt = await approved(stand, stand.alice.pay())
    await stand.updates()
    rule = stand.sandbox.faults.add_update("refunded_payment", drop=True, user=stand.alice)
    stand.sandbox.refund(receipt)
    assert (rule.struck, stand.sandbox.pending_updates()) == (1, 0)


@pytest.mark.asyncio
async def test_what_a_bot_does_not_want_uses_up_no_rule(stand: Stand) -> None:
    rule = stand.sandbox.faults.add_update(drop=True, times=1)
    await call(stand.server.url, stand.token, "getUpdates", allowed_updates=["callback_query"])
    await stand.alice.send("unheard")
    assert rule.met == 0
