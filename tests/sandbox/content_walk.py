"""The part of the conformance walk that is about content: files, copies, paid media, chats, the bot's profile."""

from __future__ import annotations

from typing import Any, Protocol

from aiogram_neonpay.sandbox import Sandbox, SandboxGroup, SandboxUser
from tests.sandbox.pictures import GIF, NOTE, PHOTO, SOUND, VIDEO


class Walk(Protocol):
    """What the conformance test walks with."""

    sandbox: Sandbox
    alice: SandboxUser
    group: SandboxGroup

    async def call(self, method: str, **params: Any) -> Any: ...

    async def update(self, kind: str) -> Any: ...


async def walk_content(world: Walk) -> None:
    """Call every method about content, and see every update it brings."""
    chat = world.alice.id
    photo = await _send_files(world, chat)
    await _edit_and_copy(world, chat, photo)
    await _look_at_chats(world, chat, photo["message_id"])
    await _present_the_bot(world, chat)
    await _sell_media(world, chat)
    await _hear_people(world)


async def _send_files(world: Walk, chat: int) -> Any:
    caption = {"caption": "<b>Look</b>", "parse_mode": "HTML", "show_caption_above_media": True}
    photo = await world.call("sendPhoto", chat_id=chat, photo=PHOTO, has_spoiler=True, **caption)
    await world.call("sendVideo", chat_id=chat, video=VIDEO, thumbnail=PHOTO, width=64, height=48, duration=3)
    await world.call("sendAnimation", chat_id=chat, animation=GIF)
    await world.call("sendAudio", chat_id=chat, audio=SOUND, title="Song", performer="Somebody")
    document = await world.call("sendDocument", chat_id=chat, document=NOTE, **caption)
    await world.call("sendVoice", chat_id=chat, voice=SOUND, duration=2)
    await world.call("sendVideoNote", chat_id=chat, video_note=VIDEO, length=200)
    await world.call("sendSticker", chat_id=chat, sticker=PHOTO, emoji="🔥")
    await world.call("sendPhoto", chat_id=chat, photo="https://example.com/cat.jpg")
    album = [{"type": "photo", "media": "attach://one"}, {"type": "video", "media": "attach://two", "caption": "2"}]
    await world.call("sendMediaGroup", chat_id=chat, media=album, one=PHOTO, two=VIDEO)
    await world.call("getFile", file_id=document["document"]["file_id"])
    await world.call("getFile", file_id=photo["photo"][0]["file_id"])
    await world.call("sendLocation", chat_id=chat, latitude=40.4, longitude=49.8, live_period=60)
    place = {"latitude": 1, "longitude": 2, "title": "Shop", "address": "Main street", "foursquare_id": "x"}
    await world.call("sendVenue", chat_id=chat, **place)
    await world.call("sendContact", chat_id=chat, phone_number="+15550000000", first_name="Shop", last_name="Ltd")
    await world.call("sendDice", chat_id=chat, emoji="🎰")
    return photo


async def _edit_and_copy(world: Walk, chat: int, photo: Any) -> None:
    place = {"chat_id": chat, "message_id": photo["message_id"]}
    await world.call("editMessageCaption", caption="New", **place)
    await world.call("editMessageMedia", media={"type": "document", "media": "attach://file"}, file=NOTE, **place)
    source = {"from_chat_id": chat, "message_id": photo["message_id"]}
    await world.call("forwardMessage", chat_id=world.group.id, **source)
    await world.call("copyMessage", chat_id=world.group.id, caption="Copied", **source)
    several = {"from_chat_id": chat, "message_ids": [photo["message_id"]]}
    await world.call("forwardMessages", chat_id=world.group.id, **several)
    await world.call("copyMessages", chat_id=world.group.id, **several)


async def _look_at_chats(world: Walk, chat: int, message_id: int) -> None:
    place = {"chat_id": chat, "message_id": message_id}
    await world.call("setMessageReaction", reaction=[{"type": "emoji", "emoji": "👍"}], **place)
    await world.call("pinChatMessage", **place)
    await world.call("getChat", chat_id=chat)
    await world.call("unpinChatMessage", **place)
    await world.call("unpinAllChatMessages", chat_id=chat)
    await world.call("getChatMember", chat_id=world.group.id, user_id=chat)
    await world.call("getChatMemberCount", chat_id=world.group.id)
    await world.call("getChatAdministrators", chat_id=world.group.id)
    await world.call("getUserProfilePhotos", user_id=chat)


async def _present_the_bot(world: Walk, chat: int) -> None:
    for name, field in (("Name", "name"), ("Description", "description"), ("ShortDescription", "short_description")):
        await world.call(f"setMy{name}", **{field: "Neon"})
        await world.call(f"getMy{name}")
    button = {"type": "web_app", "text": "Shop", "web_app": {"url": "https://example.com"}}
    await world.call("setChatMenuButton", menu_button=button)
    await world.call("getChatMenuButton", chat_id=chat)
    await world.call("setMyDefaultAdministratorRights", rights={"can_delete_messages": True})
    await world.call("getMyDefaultAdministratorRights")
    await world.call("getMyDefaultAdministratorRights", for_channels=True)


async def _sell_media(world: Walk, chat: int) -> None:
    media = [{"type": "photo", "media": "attach://one"}, {"type": "video", "media": "attach://two", "duration": 9}]
    await world.call("sendPaidMedia", chat_id=chat, star_count=7, media=media, payload="secret", one=PHOTO, two=VIDEO)
    receipt = await world.alice.unlock()
    await world.update("purchased_paid_media")
    await world.call("getStarTransactions")
    await world.call("refundStarPayment", user_id=chat, telegram_payment_charge_id=receipt.transaction_id)
    assert "refunded_payment" in await world.update("message")
    await world.call("getAvailableGifts")
    world.sandbox.ledger().add_row("channel_proceeds", 1000)
    premium = {"user_id": chat, "month_count": 3, "star_count": 1000}
    await world.call("giftPremiumSubscription", **premium)


async def _hear_people(world: Walk) -> None:
    alice = world.alice
    for kind in ("photo", "document", "video", "animation", "audio", "voice", "video_note", "sticker"):
        await alice.send_file(kind=kind)
        assert kind in await world.update("message")
    await alice.send_contact()
    await alice.send_location(1, 2)
    await alice.forward(alice.messages()[-1], chat=world.group)
    assert "contact" in await world.update("message")
    assert "location" in await world.update("message")
    assert "forward_origin" in await world.update("message")
