"""Captions, media edits, forwards, copies, places, pins, reactions, members and what a bot says of itself."""

from __future__ import annotations

from typing import Any

import pytest
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import (
    BufferedInputFile,
    ChatAdministratorRights,
    InputMediaPhoto,
    LabeledPrice,
    MenuButtonCommands,
    Message,
    MessageOriginUser,
    ReactionTypeEmoji,
)

from aiogram_neonpay.sandbox import Sandbox, SandboxError
from tests.sandbox.conftest import Stand
from tests.sandbox.paying import approved
from tests.sandbox.pictures import PHOTO

PICTURE = BufferedInputFile(PHOTO.content, "photo.png")


async def invoice(stand: Stand, start_parameter: str = "") -> Message:
    return await stand.bot.send_invoice(
        stand.alice.id,
        title="Premium",
        description="30 days",
        payload="order-1",
        currency="XTR",
        prices=[LabeledPrice(label="Premium", amount=5)],
        start_parameter=start_parameter,
    )


@pytest.mark.asyncio
async def test_captions_and_media_are_edited(stand: Stand) -> None:
    sent = await stand.bot.send_photo(stand.alice.id, PICTURE, caption="One")
    place: dict[str, Any] = {"chat_id": stand.alice.id, "message_id": sent.message_id}
    edited = await stand.bot.edit_message_caption(caption="*Two*", parse_mode="MarkdownV2", **place)
    assert isinstance(edited, Message) and (edited.caption, bool(edited.photo)) == ("Two", True)
    with pytest.raises(TelegramBadRequest, match="message is not modified"):
        await stand.bot.edit_message_caption(caption="*Two*", parse_mode="MarkdownV2", **place)
    edited = await stand.bot.edit_message_caption(**place)
    assert isinstance(edited, Message) and edited.caption is None
    media = InputMediaPhoto(media=BufferedInputFile(PHOTO.content, "b.png"), caption="Three", has_spoiler=True)
    edited = await stand.bot.edit_message_media(media, **place)
    assert isinstance(edited, Message) and (edited.caption, edited.has_media_spoiler) == ("Three", True)
    assert edited.photo is not None and sent.photo is not None
    assert edited.photo[-1].file_id != sent.photo[-1].file_id
    text = await stand.bot.send_message(stand.alice.id, "text")
    with pytest.raises(TelegramBadRequest, match="there is no caption in the message to edit"):
        await stand.bot.edit_message_caption(caption="x", chat_id=stand.alice.id, message_id=text.message_id)
    grown = await stand.bot.edit_message_media(media, chat_id=stand.alice.id, message_id=text.message_id)
    assert isinstance(grown, Message) and grown.text is None and grown.photo
    bill = await stand.invoice()
    with pytest.raises(TelegramBadRequest, match="there is no media in the message to edit"):
        await stand.bot.edit_message_media(media, chat_id=stand.alice.id, message_id=bill.message_id)


@pytest.mark.asyncio
async def test_a_forward_names_its_origin_and_a_copy_does_not(stand: Stand) -> None:
    group = stand.sandbox.create_group("Club", [stand.bob, stand.alice])
    written = await stand.alice.send("hello")
    forwarded = await stand.bot.forward_message(group.id, stand.alice.id, written.id)
    assert isinstance(forwarded.forward_origin, MessageOriginUser)
    assert forwarded.forward_origin.sender_user.id == stand.alice.id
    assert (forwarded.text, forwarded.from_user and forwarded.from_user.id) == ("hello", stand.bot.id)
    further = await stand.bot.forward_message(stand.bob.id, group.id, forwarded.message_id)
    assert further.forward_origin == forwarded.forward_origin
    photo = await stand.bot.send_photo(stand.alice.id, PICTURE, caption="One")
    copy = await stand.bot.copy_message(group.id, stand.alice.id, photo.message_id, caption="Two")
    seen = group.messages()[-1]
    assert (seen.id, seen.text, "forward_origin" in seen.raw) == (copy.message_id, "Two", False)
    with pytest.raises(TelegramBadRequest, match="message to forward not found"):
        await stand.bot.forward_message(group.id, stand.alice.id, 999)
    with pytest.raises(TelegramBadRequest, match="message to copy not found"):
        await stand.bot.copy_message(group.id, stand.alice.id, 999)


@pytest.mark.asyncio
async def test_several_are_forwarded_together_and_what_cannot_be_copied_is_passed_over(stand: Stand) -> None:
    album = await stand.bot.send_media_group(
        stand.alice.id, [InputMediaPhoto(media=PICTURE, caption="One"), InputMediaPhoto(media=PICTURE)]
    )
    bill = await stand.invoice()
    ids = [*(message.message_id for message in album), bill.message_id, 999]
    assert len(await stand.bot.forward_messages(stand.bob.id, stand.alice.id, ids)) == 3
    copies = await stand.bot.copy_messages(stand.bob.id, stand.alice.id, ids, remove_caption=True)
    seen = {message.id: message for message in stand.bob.messages()}
    assert [seen[copy.message_id].text for copy in copies] == ["", ""]
    groups = {seen[copy.message_id].raw["media_group_id"] for copy in copies}
    assert len(groups) == 1 and groups.isdisjoint({album[0].media_group_id})
    with pytest.raises(TelegramBadRequest, match="message identifiers must be in a strictly increasing order"):
        await stand.bot.forward_messages(stand.bob.id, stand.alice.id, ids[::-1])
    with pytest.raises(TelegramBadRequest, match="there are no messages to forward"):
        await stand.bot.copy_messages(stand.bob.id, stand.alice.id, [999])


@pytest.mark.asyncio
async def test_protected_and_service_messages_stay_where_they_are(stand: Stand) -> None:
    secret = await stand.bot.send_message(stand.alice.id, "secret", protect_content=True)
    for method in (stand.bot.forward_message, stand.bot.copy_message):
        with pytest.raises(TelegramBadRequest, match="message has protected content and can't be forwarded"):
            await method(stand.bob.id, stand.alice.id, secret.message_id)
    with pytest.raises(SandboxError, match="does not let this message be forwarded"):
        await stand.alice.forward(secret)
    await stand.invoice(5)
    assert (await approved(stand, stand.alice.pay())).ok
    service = stand.alice.messages()[-1]
    with pytest.raises(TelegramBadRequest, match="the message can't be forwarded"):
        await stand.bot.forward_message(stand.bob.id, stand.alice.id, service.id)
    with pytest.raises(SandboxError, match="a service message cannot be forwarded"):
        await stand.alice.forward(service)


@pytest.mark.asyncio
async def test_a_forwarded_invoice_is_paid_by_anybody_and_cannot_be_copied(stand: Stand) -> None:
    bill = await invoice(stand)
    with pytest.raises(TelegramBadRequest, match="the message can't be copied"):
        await stand.bot.copy_message(stand.bob.id, stand.alice.id, bill.message_id)
    group = stand.sandbox.create_group("Club", [stand.alice, stand.bob])
    copy = await stand.alice.forward(bill, chat=group)
    assert copy.amount == 5 and copy.raw["invoice"]["total_amount"] == 5
    receipt = await approved(stand, stand.bob.pay(copy))
    assert (receipt.ok, stand.bob.balance) == (True, 0)
    payment = (await stand.update("message")).message
    assert payment is not None and payment.successful_payment is not None
    assert (payment.chat.id, payment.successful_payment.invoice_payload) == (stand.bob.id, "order-1")


@pytest.mark.asyncio
async def test_an_invoice_with_a_start_parameter_is_forwarded_with_a_link_to_the_bot(stand: Stand) -> None:
    bill = await invoice(stand, "buy-premium")
    assert (await approved(stand, stand.alice.pay(bill))).ok
    group = stand.sandbox.create_group("Club", [stand.alice, stand.bob])
    copy = await stand.alice.forward(bill, chat=group)
    assert copy.amount is None and copy.raw["invoice"]["start_parameter"] == "buy-premium"
    (button,) = copy.raw["reply_markup"]["inline_keyboard"][0]
    assert button["url"] == "https://t.me/neon_demo_bot?start=buy-premium"
    with pytest.raises(SandboxError, match="is no invoice"):
        await stand.bob.pay(copy)
    await stand.bob.tap("Pay", message=copy)
    assert stand.bob.messages()[-1].text == "/start buy-premium"


@pytest.mark.asyncio
async def test_places_contacts_and_dice_are_sent(stand: Stand) -> None:
    alice, bot = stand.alice.id, stand.bot
    location = (await bot.send_location(alice, 40.5, 49.75)).location
    assert location is not None and (location.latitude, location.longitude) == (40.5, 49.75)
    venue = (await bot.send_venue(alice, 1, 2, title="Shop", address="Street 1")).venue
    assert venue is not None and (venue.title, venue.location.longitude) == ("Shop", 2)
    contact = (await bot.send_contact(alice, "+123", "Neo")).contact
    assert contact is not None and contact.phone_number == "+123"
    values = set()
    for _ in range(100):
        dice = (await bot.send_dice(alice, emoji="🏀")).dice
        assert dice is not None
        values.add(dice.value)
    assert values == {1, 2, 3, 4, 5}
    for method, params, text in (
        ("sendLocation", {}, "latitude is empty"),
        ("sendLocation", {"latitude": 91, "longitude": 0}, "wrong location specified"),
        ("sendVenue", {"latitude": 1, "longitude": 0}, "title must be non-empty"),
        ("sendContact", {"phone_number": "+1"}, 'parameter "first_name" is required'),
        ("sendDice", {"emoji": "x"}, "EMOTICON_INVALID"),
    ):
        reply = await stand.sandbox.call(stand.token, method, {"chat_id": alice, **params})
        assert reply.body["description"] == f"Bad Request: {text}"


@pytest.mark.asyncio
async def test_messages_are_pinned_and_reacted_to(stand: Stand) -> None:
    one = await stand.bot.send_message(stand.alice.id, "one")
    two = await stand.bot.send_message(stand.alice.id, "two")
    for message in (one, two, two):
        assert await stand.bot.pin_chat_message(stand.alice.id, message.message_id)
    pinned = (await stand.bot.get_chat(stand.alice.id)).pinned_message
    assert isinstance(pinned, Message) and pinned.text == "two"
    assert [bool(item.raw.get("pinned_message")) for item in stand.alice.messages()] == [False, False, True, True]
    await stand.bot.unpin_chat_message(stand.alice.id)
    pinned = (await stand.bot.get_chat(stand.alice.id)).pinned_message
    assert isinstance(pinned, Message) and pinned.text == "one"
    await stand.bot.delete_message(stand.alice.id, one.message_id)
    with pytest.raises(TelegramBadRequest, match="message to unpin not found"):
        await stand.bot.unpin_chat_message(stand.alice.id)
    assert await stand.bot.set_message_reaction(stand.alice.id, two.message_id, [ReactionTypeEmoji(emoji="❤️")])
    reacted = stand.sandbox.world.private_chat(stand.bot.id, stand.alice.id).messages[two.message_id]
    assert reacted.reactions == {stand.bot.id: [{"type": "emoji", "emoji": "❤"}]}
    with pytest.raises(TelegramBadRequest, match="REACTION_INVALID"):
        await stand.bot.set_message_reaction(stand.alice.id, two.message_id, [ReactionTypeEmoji(emoji="🥚")])


@pytest.mark.asyncio
async def test_the_first_person_of_a_group_owns_it(stand: Stand) -> None:
    group = stand.sandbox.create_group("Club", [stand.alice, stand.bob])
    (owner,) = await stand.bot.get_chat_administrators(group.id)
    assert (owner.status, owner.user.id) == ("creator", stand.alice.id)
    stranger = stand.sandbox.create_user("Carol")
    members = [await stand.bot.get_chat_member(group.id, who) for who in (stand.bob.id, stand.bot.id, stranger.id)]
    assert [member.status for member in members] == ["member", "member", "left"]
    assert await stand.bot.get_chat_member_count(group.id) == 3
    assert (await stand.bot.get_user_profile_photos(stand.bob.id)).total_count == 0
    with pytest.raises(TelegramBadRequest, match="there are no administrators in the private chat"):
        await stand.bot.get_chat_administrators(stand.alice.id)


@pytest.mark.asyncio
async def test_a_bot_presents_itself_by_language(stand: Stand) -> None:
    bot = stand.bot
    assert (await bot.get_my_name()).name == "Neon Demo"
    await bot.set_my_name("Shop")
    await bot.set_my_name("Лавка", language_code="ru")
    assert [(await bot.get_my_name(language_code=code)).name for code in ("", "ru", "az")] == ["Shop", "Лавка", "Shop"]
    assert (await bot.get_me()).first_name == "Shop"
    await bot.set_my_name("", language_code="ru")
    assert (await bot.get_my_name(language_code="ru")).name == "Shop"
    await bot.set_my_description("Sells")
    await bot.set_my_short_description("Short")
    assert (await bot.get_my_description()).description == "Sells"
    assert (await bot.get_my_short_description(language_code="ru")).short_description == "Short"
    with pytest.raises(TelegramBadRequest, match="TEXT_TOO_LONG"):
        await bot.set_my_short_description("x" * 121)
    await bot.set_chat_menu_button(stand.alice.id, MenuButtonCommands())
    buttons = [await bot.get_chat_menu_button(who) for who in (stand.alice.id, stand.bob.id)]
    assert [button.type for button in buttons] == ["commands", "default"]
    rights = ChatAdministratorRights.model_construct(can_delete_messages=True)
    await bot.set_my_default_administrator_rights(rights)
    assert (await bot.get_my_default_administrator_rights()).can_delete_messages
    assert not (await bot.get_my_default_administrator_rights(for_channels=True)).can_delete_messages


@pytest.mark.asyncio
async def test_gifts_are_refused_and_premium_is_paid_by_the_bot(sandbox: Sandbox) -> None:
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice")
    premium = {"user_id": alice.id, "month_count": 6, "star_count": 1500}

    async def refusal(method: str, **params: Any) -> str:
        return str((await sandbox.call(token, method, params)).body["description"]).removeprefix("Bad Request: ")

    assert await refusal("sendGift", gift_id="1", user_id=alice.id) == "STARGIFT_INVALID"
    assert await refusal("sendGift", gift_id="1") == "invalid user_id specified"
    assert await refusal("giftPremiumSubscription", **{**premium, "month_count": 5}) == "GIFT_MONTHS_INVALID"
    assert await refusal("giftPremiumSubscription", **{**premium, "star_count": 1000}) == "GIFT_STARS_INVALID"
    assert await refusal("giftPremiumSubscription", **premium) == "BALANCE_TOO_LOW"
    sandbox.ledger().add_row("channel_proceeds", 2000)
    assert (await sandbox.call(token, "giftPremiumSubscription", premium)).body["result"] is True
    assert sandbox.bot_balance() == 500
    rows = (await sandbox.call(token, "getStarTransactions")).body["result"]["transactions"]
    partner = rows[-1]["receiver"]
    assert (partner["transaction_type"], partner["premium_subscription_duration"]) == ("premium_purchase", 6)
