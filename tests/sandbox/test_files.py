"""Files: uploaded, sent again by identifier, downloaded, limited, forgotten."""

from __future__ import annotations

import io
import struct
from typing import Any

import aiohttp
import pytest
from aiogram import Bot
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import TelegramBadRequest
from aiogram.types import BufferedInputFile, InputMediaDocument, InputMediaPhoto, InputMediaVideo
from yarl import URL

from aiogram_neonpay.sandbox import Sandbox, SandboxError, Upload
from aiogram_neonpay.sandbox import files as store
from aiogram_neonpay.sandbox.images import plain_png, read_picture
from tests.sandbox.conftest import QuickSession, Stand
from tests.sandbox.pictures import GIF, NOTE, PHOTO, VIDEO

PICTURE = BufferedInputFile(PHOTO.content, "photo.png")


@pytest.mark.asyncio
async def test_an_uploaded_photo_has_sizes_and_is_downloaded_as_it_was(stand: Stand) -> None:
    message = await stand.bot.send_photo(stand.alice.id, PICTURE, caption="Look: https://a.b")
    assert message.photo is not None
    assert [(size.width, size.height) for size in message.photo] == [(90, 68), (320, 240), (400, 300)]
    assert len({size.file_id for size in message.photo}) == len({size.file_unique_id for size in message.photo}) == 3
    assert message.photo[-1].file_size == len(PHOTO.content)
    assert message.caption_entities is not None and message.caption_entities[0].type == "url"
    seen = stand.alice.messages()[-1]
    assert (seen.text, seen.raw["photo"][0]["file_id"]) == ("Look: https://a.b", message.photo[0].file_id)
    for size in message.photo:
        downloaded = await stand.bot.download(size)
        assert downloaded is not None and downloaded.read() == PHOTO.content
    file = await stand.bot.get_file(message.photo[-1].file_id)
    assert file.file_path is not None and file.file_path.startswith("photos/file_")
    assert stand.sandbox.download(file.file_path) == PHOTO.content


@pytest.mark.asyncio
async def test_identifiers_look_like_telegrams(stand: Stand) -> None:
    photo = (await stand.bot.send_photo(stand.alice.id, PICTURE)).photo
    document = (await stand.bot.send_document(stand.alice.id, BufferedInputFile(b"x", "a.txt"))).document
    assert photo is not None and document is not None
    assert photo[-1].file_id.startswith("AgACAgIAAxkBAAI") and photo[-1].file_unique_id.startswith("AQAD")
    assert document.file_id.startswith("BQACAgIAAxkBAAI") and document.file_unique_id.startswith("AgAD")
    assert all(60 <= len(file_id) <= 100 for file_id in (photo[-1].file_id, document.file_id))


@pytest.mark.asyncio
async def test_a_file_is_sent_again_by_its_identifier_and_stays_what_it_is(stand: Stand) -> None:
    video = await stand.bot.send_video(
        stand.alice.id, BufferedInputFile(VIDEO.content, "film.mp4"), width=64, height=48
    )
    assert video.video is not None
    again = await stand.bot.send_document(stand.bob.id, video.video.file_id)
    assert again.document is None and again.video == video.video
    photo = await stand.bot.send_photo(stand.alice.id, PICTURE)
    assert photo.photo is not None
    assert (await stand.bot.send_photo(stand.bob.id, photo.photo[0].file_id)).photo == photo.photo
    with pytest.raises(TelegramBadRequest, match="can't use file of type Photo as Document"):
        await stand.bot.send_document(stand.bob.id, photo.photo[0].file_id)
    with pytest.raises(TelegramBadRequest, match="can't use file of type Video as Photo"):
        await stand.bot.send_photo(stand.bob.id, video.video.file_id)
    with pytest.raises(TelegramBadRequest, match="wrong file identifier/HTTP URL specified"):
        await stand.bot.send_photo(stand.bob.id, "nonsense")


@pytest.mark.asyncio
async def test_a_url_is_shown_and_not_fetched(stand: Stand) -> None:
    message = await stand.bot.send_document(stand.alice.id, "https://example.com/books/novel.pdf?x=1")
    assert message.document is not None
    assert (message.document.file_name, message.document.mime_type) == ("novel.pdf", "application/pdf")
    with pytest.raises(TelegramBadRequest, match="wrong file_id or the file is temporarily unavailable"):
        await stand.bot.get_file(message.document.file_id)
    with pytest.raises(TelegramBadRequest, match="invalid file HTTP URL specified: Unsupported URL protocol"):
        await stand.bot.send_document(stand.alice.id, "ftp://example.com/novel.pdf")


@pytest.mark.asyncio
async def test_every_kind_has_its_fields(stand: Stand) -> None:
    alice, bot, file = stand.alice.id, stand.bot, BufferedInputFile(VIDEO.content, "film.mp4")
    animation = await bot.send_animation(
        alice, BufferedInputFile(GIF.content, "cat.gif"), caption="c", has_spoiler=True
    )
    assert animation.animation is not None and animation.document is not None
    assert (animation.animation.width, animation.animation.mime_type) == (64, "image/gif")
    assert animation.document.file_id == animation.animation.file_id and animation.has_media_spoiler
    audio = (await bot.send_audio(alice, file, title="T", performer="P", duration=7, thumbnail=PICTURE)).audio
    assert audio is not None and (audio.title, audio.performer, audio.duration) == ("T", "P", 7)
    assert audio.thumbnail is not None and (audio.thumbnail.width, audio.thumbnail.height) == (400, 300)
    voice = (await bot.send_voice(alice, file, duration=3)).voice
    assert voice is not None and voice.duration == 3
    note = (await bot.send_video_note(alice, file, length=200)).video_note
    assert note is not None and note.length == 200
    sticker = (await bot.send_sticker(alice, PICTURE, emoji="🔥")).sticker
    assert sticker is not None and (sticker.emoji, sticker.type, sticker.is_video) == ("🔥", "regular", False)


@pytest.mark.asyncio
async def test_an_album_is_several_messages_of_one_group(stand: Stand) -> None:
    video = BufferedInputFile(VIDEO.content, "film.mp4")
    sent = await stand.bot.send_media_group(
        stand.alice.id,
        [InputMediaPhoto(media=PICTURE, caption="<i>One</i>", parse_mode="HTML"), InputMediaVideo(media=video)],
    )
    assert [message.content_type for message in sent] == ["photo", "video"]
    assert len({message.media_group_id for message in sent}) == 1 and sent[0].media_group_id
    assert sent[0].caption == "One"
    with pytest.raises(TelegramBadRequest, match="document can't be mixed with other media types"):
        await stand.bot.send_media_group(
            stand.alice.id, [InputMediaPhoto(media=PICTURE), InputMediaDocument(media=video)]
        )
    with pytest.raises(TelegramBadRequest, match="too many messages to send as an album"):
        await stand.bot.send_media_group(stand.alice.id, [InputMediaPhoto(media="https://a.b/c.jpg")] * 11)
    assert len(stand.alice.messages()) == 2


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("sendPhoto", {}, "there is no photo in the request"),
    ("sendVideoNote", {}, "there is no video note in the request"),
    ("sendPhoto", {"photo": "attach://missing"}, "there is no photo in the request"),
    ("sendPhoto", {"photo": Upload(b"", "a.png")}, "file must be non-empty"),
    ("sendPhoto", {"photo": Upload(b"no picture", "a.png")}, "IMAGE_PROCESS_FAILED"),
    ("sendPhoto", {"photo": Upload(plain_png(210, 10, (0, 0, 0)))}, "PHOTO_INVALID_DIMENSIONS"),
    ("sendPhoto", {"photo": Upload(plain_png(5001, 5000, (0, 0, 0)))}, "PHOTO_INVALID_DIMENSIONS"),
    ("sendPhoto", {"photo": Upload(PHOTO.content + bytes(10 * 1024 * 1024))}, "PHOTO_SAVE_FILE_INVALID"),
    ("sendPhoto", {"photo": PHOTO, "caption": "x" * 1025}, "message caption is too long"),
    ("sendPhoto", {"photo": PHOTO, "chat_id": 1}, "chat not found"),
    ("sendMediaGroup", {}, 'parameter "media" is required'),
    ("sendMediaGroup", {"media": "{"}, "can't parse media JSON object"),
    ("sendMediaGroup", {"media": {}}, "expected an Array of InputMedia"),
    ("sendMediaGroup", {"media": []}, "there are no messages to send"),
    ("sendMediaGroup", {"media": [{"type": "photo"}]}, "can't parse InputMedia: media not found"),
    ("sendMediaGroup", {"media": [{"media": "x"}]}, "can't parse InputMedia: Can't find field \"type\""),
    (
        "sendMediaGroup",
        {"media": [{"type": "animation", "media": "https://a.b/c.gif"}]},
        "can't parse InputMedia: type \"animation\" can't be used in sendMediaGroup",
    ),
    ("getFile", {}, "invalid file_id"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("method", "params", "text"), REFUSED)
async def test_wrong_files_are_refused(sandbox: Sandbox, method: str, params: dict[str, Any], text: str) -> None:
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice", started=True)
    reply = await sandbox.call(token, method, {"chat_id": alice.id, **params})
    assert (reply.status, reply.body["description"]) == (400, f"Bad Request: {text}")
    assert alice.messages() == []


@pytest.mark.asyncio
async def test_files_above_20_mb_are_sent_and_not_downloaded_and_above_50_mb_not_sent(sandbox: Sandbox) -> None:
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice", started=True)
    large = Upload(bytes(20 * 1024 * 1024 + 1), "large.bin")
    sent = await sandbox.call(token, "sendDocument", {"chat_id": alice.id, "document": large})
    document = sent.body["result"]["document"]
    assert document["file_size"] == len(large.content)
    reply = await sandbox.call(token, "getFile", {"file_id": document["file_id"]})
    assert (reply.status, reply.body["description"]) == (400, "Bad Request: file is too big")
    huge = Upload(bytes(50 * 1024 * 1024 + 1), "huge.bin")
    reply = await sandbox.call(token, "sendDocument", {"chat_id": alice.id, "document": huge})
    assert (reply.status, reply.body["description"]) == (413, "Request Entity Too Large")


@pytest.mark.asyncio
async def test_an_upload_above_50_mb_is_refused_over_http(stand: Stand) -> None:
    form = aiohttp.FormData({"chat_id": str(stand.alice.id)})
    form.add_field("document", io.BytesIO(bytes(50 * 1024 * 1024 + 1)), filename="huge.bin")
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{stand.server.url}/bot{stand.token}/sendDocument", data=form) as response,
    ):
        assert response.status == 413
        assert await response.json() == {"ok": False, "error_code": 413, "description": "Request Entity Too Large"}


@pytest.mark.asyncio
async def test_the_oldest_contents_are_forgotten_and_can_still_be_sent(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MEMORY_BYTES", 1000)
    token = sandbox.create_bot("neon_demo_bot")
    alice = sandbox.create_user("Alice", started=True)
    ids = []
    for _ in range(3):
        reply = await sandbox.call(
            token, "sendDocument", {"chat_id": alice.id, "document": Upload(bytes(400), "a.bin")}
        )
        ids.append(reply.body["result"]["document"]["file_id"])
    assert sandbox.world.files.bytes_kept == 800
    answers = [await sandbox.call(token, "getFile", {"file_id": file_id}) for file_id in ids]
    assert [answer.status for answer in answers] == [400, 200, 200]
    assert answers[0].body["description"].endswith("wrong file_id or the file is temporarily unavailable")
    assert (await sandbox.call(token, "sendDocument", {"chat_id": alice.id, "document": ids[0]})).status == 200


@pytest.mark.asyncio
async def test_downloads_need_the_token_and_a_path_there_is(stand: Stand) -> None:
    message = await stand.bot.send_document(stand.alice.id, BufferedInputFile(NOTE.content, "page.html"))
    assert message.document is not None
    path = (await stand.bot.get_file(message.document.file_id)).file_path
    url = stand.server.url
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/file/bot{stand.token}/{path}") as response:
            assert await response.read() == NOTE.content
            assert response.headers["Content-Type"] == "application/octet-stream"
        for address, status in (
            (f"{url}/file/bot1:wrong/{path}", 401),
            (f"{url}/file/bot{stand.token}/documents/none.txt", 404),
            (f"{url}/file/bot{stand.token}/..%2F..%2Fetc%2Fpasswd", 404),
        ):
            async with session.get(URL(address, encoded=True)) as response:
                assert (response.status, (await response.json())["ok"]) == (status, False)


@pytest.mark.asyncio
async def test_the_test_environment_has_its_own_paths(stand: Stand) -> None:
    base = stand.server.url
    api = TelegramAPIServer(base=f"{base}/bot{{token}}/test/{{method}}", file=f"{base}/file/bot{{token}}/test/{{path}}")
    async with Bot(stand.token, session=QuickSession(api=api)) as bot:
        message = await bot.send_photo(stand.alice.id, PICTURE)
        assert message.photo is not None
        downloaded = await bot.download(message.photo[-1])
        assert downloaded is not None and downloaded.read() == PHOTO.content


def test_a_download_of_nothing_says_so(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match=r"there is no file 'a\.txt' to download"):
        sandbox.download("a.txt")


JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc0\x00\x11\x08" + struct.pack(">HH", 30, 40) + bytes(10)
WEBP = b"RIFF\0\0\0\0WEBP"


@pytest.mark.parametrize(
    ("content", "mime", "size"),
    [
        (PHOTO.content, "image/png", (400, 300)),
        (GIF.content, "image/gif", (64, 48)),
        (JPEG, "image/jpeg", (40, 30)),
        (b"BM" + bytes(16) + struct.pack("<ii", 5, -6), "image/bmp", (5, 6)),
        (WEBP + b"VP8X" + bytes(8) + b"\x09\0\0\x13\0\0", "image/webp", (10, 20)),
        (WEBP + b"VP8L" + bytes(4) + b"/" + struct.pack("<I", 9 | 19 << 14), "image/webp", (10, 20)),
        (WEBP + b"VP8 " + bytes(10) + struct.pack("<HH", 10, 20), "image/webp", (10, 20)),
    ],
)
def test_the_headers_of_pictures_are_read(content: bytes, mime: str, size: tuple[int, int]) -> None:
    found = read_picture(content)
    assert found is not None and (found.mime, (found.width, found.height)) == (mime, size)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x10", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8X", NOTE.content]
)
def test_what_is_no_picture_is_none(content: bytes) -> None:
    assert read_picture(content) is None
