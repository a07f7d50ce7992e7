"""The control API for what people share and buy, and what the page is shown of it."""

from __future__ import annotations

import base64
from typing import Any

import aiohttp
import pytest
from aiogram.types import (
    BufferedInputFile,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputPaidMediaPhoto,
    KeyboardButton,
    ReactionTypeEmoji,
    ReplyKeyboardMarkup,
)

from tests.sandbox.conftest import Stand
from tests.sandbox.pictures import GIF, NOTE, PHOTO

PICTURE = BufferedInputFile(PHOTO.content, "photo.png")


async def ask(stand: Stand, method: str, path: str, status: int = 200, /, **body: Any) -> Any:
    url = f"{stand.server.url}/sandbox/api/{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, json=body if method == "POST" else None) as response,
    ):
        answer = await response.json()
        assert response.status == status, answer
        return answer


async def shown(stand: Stand) -> list[Any]:
    """Return Alice's chat as the page gets it."""
    messages: list[Any] = (await ask(stand, "GET", f"users/{stand.alice.id}/messages"))["messages"]
    return messages


@pytest.mark.asyncio
async def test_files_contacts_and_places_are_sent(stand: Stand) -> None:
    user = f"users/{stand.alice.id}"
    content = base64.b64encode(NOTE.content).decode()
    await ask(stand, "POST", f"{user}/file", content=content, kind="document", name="notes.txt", caption="My notes")
    await ask(stand, "POST", f"{user}/file")
    await ask(stand, "POST", f"{user}/contact")
    await ask(stand, "POST", f"{user}/contact", phone_number="+1", first_name="Neo")
    await ask(stand, "POST", f"{user}/location", latitude=1.5, longitude=2)
    document, photo, own, other, place = [update.message for update in await stand.updates()]
    assert (
        document and document.document and (document.caption, document.document.file_name) == ("My notes", "notes.txt")
    )
    assert photo and photo.photo and own and own.contact and other and other.contact and place and place.location
    assert (own.contact.user_id, other.contact.first_name, place.location.latitude) == (stand.alice.id, "Neo", 1.5)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("file", {"content": "!"}, "the field 'content' must be base64"),
        ("file", {"kind": "film"}, "kind must be one of"),
        ("file", {"type": "photo"}, "there is no field 'type'"),
        ("location", {"latitude": 91}, "latitude must be a number from -90 to 90"),
        ("forward", {"message_id": 9}, "this message is no longer there"),
        ("open", {"link": "https://example.com"}, "leads to no bot of this sandbox"),
        ("unlock", {"message_id": 9}, "this message is no longer there"),
    ],
)
async def test_wrong_requests_are_explained(stand: Stand, path: str, body: Any, complaint: str) -> None:
    answer = await ask(stand, "POST", f"users/{stand.alice.id}/{path}", 400, **body)
    assert complaint in answer["error"]


@pytest.mark.asyncio
async def test_buttons_are_tapped_by_their_text_and_links_opened(stand: Stand) -> None:
    user = f"users/{stand.alice.id}"
    keyboard = ReplyKeyboardMarkup(keyboard=[[KeyboardButton(text="My number", request_contact=True)]])
    await stand.bot.send_message(stand.alice.id, "Who?", reply_markup=keyboard)
    assert await ask(stand, "POST", f"{user}/tap", button="my number") == {"text": None}
    link = InlineKeyboardButton(text="Open", url="https://t.me/neon_demo_bot?start=x")
    await stand.bot.send_message(stand.alice.id, "Go", reply_markup=InlineKeyboardMarkup(inline_keyboard=[[link]]))
    await ask(stand, "POST", f"{user}/tap", button="Open")
    await ask(stand, "POST", f"{user}/open", link="https://t.me/neon_demo_bot?start=y")
    contact, one, two = [update.message for update in await stand.updates()]
    assert contact and contact.contact and one and two
    assert (one.text, two.text) == ("/start x", "/start y")


@pytest.mark.asyncio
async def test_paid_media_are_seen_on_the_page_once_they_are_bought(stand: Stand) -> None:
    user = f"users/{stand.alice.id}"
    sent = await stand.bot.send_paid_media(stand.alice.id, 20, [InputPaidMediaPhoto(media=PICTURE)], payload="p")
    before = (await shown(stand))[-1]["paid_media"]
    veiled = [{"kind": "preview", "width": 400, "height": 300}]
    assert before == {"stars": 20, "bot_name": "Neon Demo", "bought": False, "media": veiled}
    receipt = await ask(stand, "POST", f"{user}/unlock", message_id=sent.message_id)
    assert (receipt["ok"], receipt["amount"]) == (True, 20)
    again = await ask(stand, "POST", f"{user}/unlock", message_id=sent.message_id)
    assert again["code"] == "MEDIA_ALREADY_PAID"
    after = (await shown(stand))[-1]["paid_media"]
    assert after["bought"] and after["media"][0]["picture"]
    async with aiohttp.ClientSession() as session:
        async with session.get(stand.server.url + after["media"][0]["url"]) as response:
            assert (response.content_type, await response.read()) == ("image/png", PHOTO.content)
        async with session.get(f"{stand.server.url}/sandbox/api/files/none") as response:
            assert response.status == 404
    await stand.bot.send_paid_media(stand.alice.id, 5, [InputPaidMediaPhoto(media=PICTURE)])
    assert (await ask(stand, "POST", f"{user}/unlock"))["amount"] == 5


@pytest.mark.asyncio
async def test_the_page_is_shown_every_kind_of_content(stand: Stand) -> None:
    alice, bot = stand.alice.id, stand.bot
    photo = await bot.send_photo(alice, PICTURE, caption="Look")
    await bot.send_photo(alice, "https://example.com/cat.jpg")
    await bot.send_animation(alice, BufferedInputFile(GIF.content, "cat.gif"))
    await bot.send_document(alice, BufferedInputFile(b"<script>", "page.html"))
    await bot.send_contact(alice, "+1", "Neo")
    await bot.send_venue(alice, 1, 2, title="Shop", address="Street 1")
    await bot.send_location(alice, 1, 2)
    await bot.forward_message(alice, alice, photo.message_id)
    await bot.set_message_reaction(alice, photo.message_id, [ReactionTypeEmoji(emoji="🔥")])
    await bot.pin_chat_message(alice, photo.message_id)
    views = await shown(stand)
    assert (views[0]["text"], views[0]["files"][0]["picture"], views[0]["reactions"]) == ("Look", True, ["🔥"])
    assert views[1]["files"][0]["url"] == "https://example.com/cat.jpg"
    assert [len(view["files"]) for view in views[:4]] == [1, 1, 1, 1]
    page = views[3]["files"][0]
    assert (page["kind"], page["name"], page["picture"]) == ("document", "page.html", False)
    assert [view["note"] for view in views[4:7]] == ["Contact: Neo, +1", "Place: Shop, Street 1", "Location: 1.0, 2.0"]
    assert (views[7]["forwarded_from"], views[8]["note"]) == ("Neon Demo", "A message was pinned")
    chats = (await ask(stand, "GET", f"users/{alice}/chats"))["chats"]
    assert chats[0]["last"]["text"] == "A message was pinned"
    async with aiohttp.ClientSession() as session, session.get(stand.server.url + page["url"]) as response:
        assert response.content_type == "application/octet-stream"
        assert response.headers["Content-Disposition"] == "attachment"


@pytest.mark.asyncio
async def test_messages_are_forwarded_between_chats(stand: Stand) -> None:
    group = stand.sandbox.create_group("Club", [stand.alice])
    sent = await stand.bot.send_message(stand.alice.id, "news")
    answer = await ask(
        stand, "POST", f"users/{stand.alice.id}/forward", message_id=sent.message_id, to_chat_id=group.id
    )
    assert answer["message"]["text"] == "news" and group.messages()[-1].id == answer["message_id"]


@pytest.mark.asyncio
async def test_recorded_calls_name_unknown_parameters(stand: Stand) -> None:
    await stand.sandbox.call(stand.token, "sendMessage", {"chat_id": stand.alice.id, "txt": "x", "text": "y"})
    assert (await ask(stand, "GET", "calls"))["calls"][0]["unknown"] == ["txt"]
