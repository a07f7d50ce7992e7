"""What people share: files, contacts, places, forwards; and links they open."""

from __future__ import annotations

from typing import Any

import pytest
from aiogram.types import KeyboardButton, KeyboardButtonPollType, ReplyKeyboardMarkup

from aiogram_neonpay.sandbox import ArgumentError, SandboxError
from tests.sandbox.conftest import Stand
from tests.sandbox.pictures import NOTE, PHOTO


@pytest.mark.asyncio
async def test_a_photo_reaches_the_bot_and_is_downloaded(stand: Stand) -> None:
    sent = await stand.alice.send_file(PHOTO.content, caption=" my photo @neon ")
    message = (await stand.update("message")).message
    assert message is not None and message.photo is not None and message.from_user is not None
    assert (message.from_user.id, message.caption, sent.text) == (stand.alice.id, "my photo @neon", "my photo @neon")
    assert message.caption_entities is not None and message.caption_entities[0].type == "mention"
    downloaded = await stand.bot.download(message.photo[-1])
    assert downloaded is not None and downloaded.read() == PHOTO.content
    assert (await stand.bot.send_photo(stand.bob.id, message.photo[0].file_id)).photo == message.photo


@pytest.mark.asyncio
async def test_a_document_keeps_its_name_and_type(stand: Stand) -> None:
    await stand.alice.send_file(NOTE.content, kind="document", name="notes.txt")
    message = (await stand.update("message")).message
    assert message is not None and message.document is not None
    assert (message.document.file_name, message.document.mime_type) == ("notes.txt", "text/plain")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"kind": "thumbnail"}, "kind must be one of photo, video"),
        ({"caption": "x" * 1025}, "caption must have at most 1024 characters, not 1025"),
        ({"kind": "sticker", "caption": "x"}, "caption does not go with kind 'sticker'"),
        ({"content": b""}, "content must have 1 to 52428800 bytes, not 0"),
        ({"content": b"no picture"}, "Telegram does not take this photo: IMAGE_PROCESS_FAILED"),
    ],
)
async def test_a_wrong_file_is_explained(stand: Stand, arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SandboxError, match=complaint):
        await stand.alice.send_file(**arguments)
    assert stand.alice.messages() == []


@pytest.mark.asyncio
async def test_contacts_and_places_are_shared_by_hand_and_by_buttons(stand: Stand) -> None:
    buttons = [
        KeyboardButton(text="My number", request_contact=True),
        KeyboardButton(text="My place", request_location=True),
        KeyboardButton(text="A poll", request_poll=KeyboardButtonPollType()),
    ]
    await stand.bot.send_message(stand.alice.id, "Who?", reply_markup=ReplyKeyboardMarkup(keyboard=[buttons]))
    await stand.alice.tap("My number")
    message = (await stand.update("message")).message
    assert message is not None and message.contact is not None and message.text is None
    assert (message.contact.user_id, message.contact.phone_number) == (stand.alice.id, f"+1555{stand.alice.id:07d}")
    await stand.alice.tap("My place")
    message = (await stand.update("message")).message
    assert message is not None and message.location is not None
    with pytest.raises(SandboxError, match="asks for: request_poll"):
        await stand.alice.tap("A poll")
    await stand.alice.send_contact("+123", "Neo")
    await stand.alice.send_location(-90, 180)
    contact, place = await stand.updates()
    assert contact.message is not None and contact.message.contact is not None
    assert (contact.message.contact.phone_number, contact.message.contact.user_id) == ("+123", None)
    assert place.message is not None and place.message.location is not None
    with pytest.raises(ArgumentError, match="latitude must be a number from -90 to 90, not 91"):
        await stand.alice.send_location(91, 0)


@pytest.mark.asyncio
async def test_a_deep_link_presses_start_with_its_value(stand: Stand) -> None:
    opened = await stand.alice.open_link("https://t.me/neon_demo_bot?start=ref-7")
    assert opened.text == "/start ref-7"
    message = (await stand.update("message")).message
    assert message is not None and message.text == "/start ref-7"
    assert (await stand.alice.open_link("t.me/neon_demo_bot")).text == "/start"
    carol = stand.sandbox.create_user("Carol")
    await carol.open_link("https://t.me/neon_demo_bot?start=x")
    await stand.bot.send_message(carol.id, "welcome")
    for link in ("https://t.me/other_bot?start=x", "https://example.com", "https://t.me/$slug"):
        with pytest.raises(SandboxError, match="leads to no bot of this sandbox"):
            await stand.alice.open_link(link)


@pytest.mark.asyncio
async def test_a_person_forwards_between_chats_they_are_in(stand: Stand) -> None:
    group = stand.sandbox.create_group("Club", [stand.alice])
    written = await stand.bot.send_message(stand.alice.id, "news")
    copy = await stand.alice.forward(written, chat=group)
    assert copy.raw["forward_from"]["id"] == stand.bot.id
    message = (await stand.update("message")).message
    assert message is not None and message.forward_origin is not None and message.text == "news"
    with pytest.raises(SandboxError, match="Bob does not see the message"):
        await stand.bob.forward(written)
    with pytest.raises(SandboxError, match="Bob is in no chat"):
        await stand.bob.forward(await stand.bob.send("x"), chat=group)


@pytest.mark.asyncio
async def test_a_link_that_is_paid_like_a_message_is_told_apart(stand: Stand) -> None:
    with pytest.raises(SandboxError, match=r"an invoice link is paid by pay\(link='https://t.me/\$abc'\)"):
        await stand.alice.pay("https://t.me/$abc")
