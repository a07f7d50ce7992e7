"""Paid media: what is seen before and after, who is told, what the ledger says, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import BufferedInputFile, InputPaidMediaPhoto, InputPaidMediaVideo, Message

from aiogram_neonpay.sandbox import Rules, Sandbox, SandboxError
from tests.sandbox.conftest import Stand
from tests.sandbox.pictures import PHOTO, VIDEO

PICTURE = BufferedInputFile(PHOTO.content, "photo.png")


async def offer(stand: Stand, payload: str | None = "novel-1", chat_id: int | None = None) -> Message:
    film = InputPaidMediaVideo(media=BufferedInputFile(VIDEO.content, "film.mp4"), width=64, height=48, duration=9)
    return await stand.bot.send_paid_media(
        chat_id or stand.alice.id, 20, [InputPaidMediaPhoto(media=PICTURE), film], payload=payload, caption="Look"
    )


@pytest.mark.asyncio
async def test_media_are_previews_until_they_are_bought_and_the_bot_sees_its_own(stand: Stand) -> None:
    sent = await offer(stand)
    assert sent.paid_media is not None and sent.paid_media.star_count == 20
    assert [item.type for item in sent.paid_media.paid_media] == ["photo", "video"]
    before = stand.alice.messages()[-1]
    assert (before.text, before.amount, before.paid) == ("Look", 20, False)
    assert before.raw["paid_media"]["paid_media"] == [
        {"type": "preview", "width": 400, "height": 300},
        {"type": "preview", "width": 64, "height": 48, "duration": 9},
    ]
    receipt = await stand.alice.unlock(sent)
    assert (receipt.ok, receipt.amount, stand.alice.balance) == (True, 20, 480)
    after = stand.alice.messages()[-1]
    assert after.paid and after.raw["paid_media"]["paid_media"][0]["photo"][-1]["width"] == 400


@pytest.mark.asyncio
async def test_the_bot_hears_of_a_sale_with_a_payload_and_is_not_asked(stand: Stand) -> None:
    await offer(stand)
    receipt = await stand.alice.unlock()
    (update,) = await stand.updates()
    assert update.purchased_paid_media is not None
    assert update.purchased_paid_media.from_user.id == stand.alice.id
    assert update.purchased_paid_media.paid_media_payload == "novel-1"
    (row,) = (await stand.bot.get_star_transactions()).transactions
    assert (row.id, row.amount, row.source and row.source.type) == (receipt.transaction_id, 20, "user")
    source: Any = row.source
    assert (source.transaction_type, source.paid_media_payload) == ("paid_media_payment", "novel-1")
    assert [item.type for item in source.paid_media] == ["photo", "video"] and source.invoice_payload is None
    assert stand.sandbox.bot_balance() == 20
    assert stand.alice.history[-1].title == "Paid media"


@pytest.mark.asyncio
async def test_a_sale_without_a_payload_shows_in_the_ledger_only(stand: Stand) -> None:
    await offer(stand, payload=None)
    receipt = await stand.alice.unlock()
    assert stand.sandbox.pending_updates() == 0
    (row,) = (await stand.bot.get_star_transactions()).transactions
    source: Any = row.source
    assert (row.id, source.transaction_type, source.paid_media_payload) == (
        receipt.transaction_id,
        "paid_media_payment",
        None,
    )
    with pytest.raises(SandboxError, match="have no payload"):
        stand.sandbox.repeat_update(receipt)


@pytest.mark.asyncio
async def test_media_are_bought_once_by_each_who_has_the_stars(stand: Stand) -> None:
    group = stand.sandbox.create_group("Club", [stand.alice, stand.bob])
    sent = await offer(stand, chat_id=group.id)
    assert (await stand.alice.unlock(chat=group)).ok
    again = await stand.alice.unlock(sent)
    assert (again.ok, again.code, stand.alice.balance) == (False, "MEDIA_ALREADY_PAID", 480)
    poor = await stand.bob.unlock(chat=group)
    assert (poor.ok, poor.code, poor.transaction_id, stand.bob.balance) == (False, "BALANCE_TOO_LOW", None, 5)
    stand.bob.top_up(20)
    assert (await stand.bob.unlock(chat=group)).ok
    assert [user.messages(group)[-1].paid for user in (stand.alice, stand.bob)] == [True, True]
    assert not group.messages()[-1].paid
    with pytest.raises(SandboxError, match="Alice sees no paid media to buy; the last message is 'Look'"):
        await stand.alice.unlock(timeout=0)
    with pytest.raises(SandboxError, match="holds no paid media"):
        await stand.alice.unlock(await stand.alice.send("hello"))


@pytest.mark.asyncio
async def test_forwarded_media_are_bought_in_either_place_and_never_copied(stand: Stand) -> None:
    sent = await offer(stand)
    stand.bob.top_up(100)
    group = stand.sandbox.create_group("Club", [stand.alice, stand.bob])
    copy = await stand.alice.forward(sent, chat=group)
    assert [item["type"] for item in copy.raw["paid_media"]["paid_media"]] == ["preview", "preview"]
    assert (await stand.bob.unlock(copy)).ok
    assert (await stand.alice.unlock(sent)).ok
    assert (await stand.alice.unlock(copy)).code == "MEDIA_ALREADY_PAID"
    with pytest.raises(TelegramBadRequest, match="the message can't be copied"):
        await stand.bot.copy_message(stand.bob.id, stand.alice.id, sent.message_id)


@pytest.mark.asyncio
async def test_a_sale_of_media_is_repeated_and_refunded_like_others(stand: Stand) -> None:
    await offer(stand)
    receipt = await stand.alice.unlock()
    first = await stand.update("purchased_paid_media")
    stand.sandbox.repeat_update(receipt)
    again = await stand.update("purchased_paid_media")
    assert (again.update_id, again.purchased_paid_media) == (first.update_id, first.purchased_paid_media)
    assert await stand.bot.refund_star_payment(stand.alice.id, receipt.transaction_id or "")
    message = (await stand.update("message")).message
    assert message is not None and message.refunded_payment is not None
    assert message.refunded_payment.telegram_payment_charge_id == receipt.transaction_id
    rows = (await stand.bot.get_star_transactions()).transactions
    receiver: Any = rows[-1].receiver
    assert (receiver.transaction_type, receiver.paid_media_payload) == ("paid_media_payment", "novel-1")
    assert (stand.alice.balance, stand.sandbox.bot_balance()) == (500, 0)


@pytest.mark.asyncio
async def test_a_refund_of_media_can_be_silent() -> None:
    sandbox = Sandbox(rules=Rules(media_refund_message=False))
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice", stars=5, started=True)
    params = {"chat_id": alice.id, "star_count": 5, "media": [{"type": "photo", "media": "https://a.b/c.jpg"}]}
    assert (await sandbox.call(token, "sendPaidMedia", params)).status == 200
    receipt = await alice.unlock()
    sandbox.refund(receipt)
    assert (alice.balance, sandbox.pending_updates(), len(alice.messages())) == (5, 0, 1)


@pytest.mark.asyncio
async def test_media_of_an_affiliates_buyer_carry_the_commission(sandbox: Sandbox) -> None:
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice", stars=100, started=True)
    sandbox.ledger().set_affiliate(sandbox.create_user("Bob"), 100)
    params = {"chat_id": alice.id, "star_count": 50, "media": [{"type": "photo", "media": "https://a.b/c.jpg"}]}
    await sandbox.call(token, "sendPaidMedia", params)
    await alice.unlock()
    (row,) = (await sandbox.call(token, "getStarTransactions")).body["result"]["transactions"]
    assert (row["amount"], row["source"]["affiliate"]["amount"]) == (45, 5)


@pytest.mark.asyncio
async def test_a_purchase_can_be_lost_on_its_way(stand: Stand) -> None:
    stand.sandbox.faults.add_update("purchased_paid_media", drop=True, user=stand.alice)
    await offer(stand)
    receipt = await stand.alice.unlock()
    assert receipt.ok and stand.sandbox.pending_updates() == 0
    assert [row.id for row in stand.sandbox.transactions()] == [receipt.transaction_id]


ONE = [{"type": "photo", "media": "https://a.b/c.jpg"}]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"star_count": 5}, 'parameter "media" is required'),
        ({"star_count": 5, "media": "["}, "can't parse paid media JSON object"),
        ({"star_count": 5, "media": {}}, "expected an Array of InputPaidMedia"),
        ({"star_count": 5, "media": [1]}, "can't parse InputPaidMedia: expected an Object"),
        ({"star_count": 5, "media": [{"type": "photo"}]}, "can't parse InputPaidMedia: media not found"),
        (
            {"star_count": 5, "media": [{"type": "document", "media": "https://a.b/c.pdf"}]},
            'can\'t parse InputPaidMedia: type "document" is unsupported',
        ),
        ({"media": ONE}, "invalid media price specified"),
        ({"star_count": 0, "media": ONE}, "invalid media price specified"),
        ({"star_count": 1_000_001, "media": ONE}, "invalid media price specified"),
        ({"star_count": 25_001, "media": ONE}, "EXTENDED_MEDIA_AMOUNT_INVALID"),
        ({"star_count": 5, "media": []}, "invalid number of paid media specified"),
        ({"star_count": 5, "media": ONE * 11}, "invalid number of paid media specified"),
        ({"star_count": 5, "media": ONE, "payload": "ы" * 65}, "INVOICE_PAYLOAD_INVALID"),
    ],
)
async def test_wrong_offers_are_refused(sandbox: Sandbox, params: dict[str, Any], text: str) -> None:
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice", started=True)
    reply = await sandbox.call(token, "sendPaidMedia", {"chat_id": alice.id, **params})
    assert (reply.status, reply.body["description"]) == (400, f"Bad Request: {text}")


@pytest.mark.asyncio
async def test_the_dearest_and_the_most_media_are_taken(sandbox: Sandbox) -> None:
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice", started=True)
    params = {"chat_id": alice.id, "star_count": 25_000, "media": ONE * 10, "payload": "ы" * 64}
    assert (await sandbox.call(token, "sendPaidMedia", params)).status == 200
