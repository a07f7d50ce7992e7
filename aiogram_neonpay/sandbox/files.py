"""Owns the files of a sandbox: what was uploaded, under which identifiers, and how much of it is kept in memory.

Identifiers have the shape of Telegram's: opaque, with the beginning that its kinds of file have. One file has
the same `file_id` for every bot of the sandbox, which Telegram does not promise.
"""

from __future__ import annotations

import mimetypes
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

from aiogram_neonpay.sandbox.ids import IdSource
from aiogram_neonpay.sandbox.images import read_picture
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.rules import DOWNLOAD_BYTES, PHOTO_SIDES_RATIO, PHOTO_SIDES_SUM

FileKind = Literal["photo", "video", "animation", "audio", "document", "voice", "video_note", "sticker", "thumbnail"]
#: How much content is kept; the oldest is forgotten first, and its identifiers stay good for sending.
MEMORY_BYTES: Final = 256 * 1024 * 1024
#: The sizes Telegram makes of a photo: their letter and the longest side, in pixels.
_PHOTO_SIZES = (("s", 90), ("m", 320), ("x", 800), ("y", 1280))
#: A photo given as a URL is not looked at, so its size is made up.
_UNSEEN = (800, 600)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How files of one kind are named: the beginning of their identifiers, their folder, their extension."""

    file_id: str
    unique_id: str
    folder: str
    extension: str
    mime: str | None


_SHAPES: dict[FileKind, _Shape] = {
    "thumbnail": _Shape("AAMCAgADGQEAA", "AQAD", "thumbnails", ".jpg", None),
    "photo": _Shape("AgACAgIAAxkBAAI", "AQAD", "photos", ".jpg", None),
    "voice": _Shape("AwACAgIAAxkBAAI", "AgAD", "voice", ".oga", "audio/ogg"),
    "video": _Shape("BAACAgIAAxkBAAI", "AgAD", "videos", ".mp4", "video/mp4"),
    "document": _Shape("BQACAgIAAxkBAAI", "AgAD", "documents", "", "application/octet-stream"),
    "sticker": _Shape("CAACAgIAAxkBAAI", "AgAD", "stickers", ".webp", None),
    "audio": _Shape("CQACAgIAAxkBAAI", "AgAD", "music", ".mp3", "audio/mpeg"),
    "animation": _Shape("CgACAgIAAxkBAAI", "AgAD", "animations", ".mp4", "video/mp4"),
    "video_note": _Shape("DQACAgIAAxkBAAI", "AgAD", "video_notes", ".mp4", None),
}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in the body of a call: its content and its name, which also tells its type."""

    content: bytes
    name: str = ""


class UnusableFile(Exception):
    """A file Telegram's servers would refuse; the message is their token."""


@dataclass(slots=True, eq=False)
class StoredFile:
    """A file as Telegram keeps it.

    ``content`` is ``None`` for a URL, which the sandbox does not fetch, and for what it had to forget.
    ``sizes`` are all sizes of a photo, smallest first, itself among them; of other kinds it is empty.
    """

    kind: FileKind
    file_id: str
    unique_id: str
    path: str
    content: bytes | None
    size: int | None
    mime: str | None = None
    name: str | None = None
    url: str | None = None
    width: int = 0
    height: int = 0
    duration: int = 0
    details: Json = field(default_factory=dict)
    thumbnail: StoredFile | None = None
    sizes: list[StoredFile] = field(default_factory=list)

    @property
    def downloadable(self) -> bool:
        """Whether bots may download it: it is there, and not above 20 MB."""
        return self.content is not None and len(self.content) <= DOWNLOAD_BYTES


class FileStore:
    """Every file of one world, in memory."""

    def __init__(self, ids: IdSource) -> None:
        self._ids = ids
        self._by_id: dict[str, StoredFile] = {}
        self._by_path: dict[str, StoredFile] = {}
        self._by_unique_id: dict[str, StoredFile] = {}
        self._kept: deque[StoredFile] = deque()
        self.bytes_kept = 0

    def add(
        self,
        kind: FileKind,
        source: Upload | str,
        *,
        width: int = 0,
        height: int = 0,
        duration: int = 0,
        details: Json | None = None,
        thumbnail: StoredFile | None = None,
    ) -> StoredFile:
        """Keep a file.

        :param source: what was uploaded, or a URL.
        :raises UnusableFile: for a photo that is no picture, or of a shape Telegram does not take.
        """
        if kind == "photo":
            return self._add_photo(source)
        upload = source if isinstance(source, Upload) else None
        picture = read_picture(upload.content) if upload else None
        if picture is not None:
            width, height = width or picture.width, height or picture.height
        name = (upload.name if upload else str(source).rsplit("/", 1)[-1].split("?")[0]) or None
        shape = _SHAPES[kind]
        mime = picture.mime if picture else mimetypes.guess_type(name or "")[0] or shape.mime
        file = self._enter(kind, source, _extension(name) or shape.extension, mime=mime)
        file.name = name
        file.width, file.height, file.duration = width, height, duration
        file.details = details or {}
        file.thumbnail = thumbnail
        if upload is not None:
            self._keep(file, upload.content)
        return file

    def find(self, file_id: str) -> StoredFile | None:
        """Find a file by its identifier."""
        return self._by_id.get(file_id)

    def shown_as(self, unique_id: str) -> StoredFile | None:
        """Find a file by its `file_unique_id`, as the page does."""
        return self._by_unique_id.get(unique_id)

    def at(self, path: str) -> StoredFile | None:
        """Find a file by its `file_path`."""
        return self._by_path.get(path)

    def _add_photo(self, source: Upload | str) -> StoredFile:
        width, height = _UNSEEN
        extension, mime = _SHAPES["photo"].extension, "image/jpeg"
        if isinstance(source, Upload):
            picture = read_picture(source.content)
            if picture is None:
                raise UnusableFile("IMAGE_PROCESS_FAILED")
            width, height, extension, mime = picture.width, picture.height, picture.extension, picture.mime
        if width + height > PHOTO_SIDES_SUM or max(width, height) > PHOTO_SIDES_RATIO * min(width, height):
            raise UnusableFile("PHOTO_INVALID_DIMENSIONS")
        sizes: list[StoredFile] = []
        longest = max(width, height)
        for letter, side in _PHOTO_SIZES:
            file = self._enter("photo", source, extension, mime=mime, letter=letter)
            scale = min(1.0, side / longest)
            file.width, file.height = max(1, round(width * scale)), max(1, round(height * scale))
            sizes.append(file)
            if side >= longest:
                break
        for file in sizes:
            file.sizes = sizes
        if isinstance(source, Upload):
            self._keep(sizes[-1], source.content)
        return sizes[-1]

    def _enter(
        self, kind: FileKind, source: Upload | str, extension: str, *, mime: str | None, letter: str = ""
    ) -> StoredFile:
        shape = _SHAPES[kind]
        upload = source if isinstance(source, Upload) else None
        file = StoredFile(
            kind,
            self._ids.file_id(shape.file_id, letter),
            self._ids.file_unique_id(shape.unique_id),
            f"{shape.folder}/file_{len(self._by_path)}{extension}",
            upload.content if upload else None,
            len(upload.content) if upload else None,
            mime,
            url=None if upload else str(source),
        )
        self._by_id[file.file_id] = file
        self._by_path[file.path] = file
        self._by_unique_id[file.unique_id] = file
        return file

    def _keep(self, file: StoredFile, content: bytes) -> None:
        self._kept.append(file)
        self.bytes_kept += len(content)
        while self.bytes_kept > MEMORY_BYTES:
            oldest = self._kept.popleft()
            self.bytes_kept -= len(oldest.content or b"")
            for size in oldest.sizes or [oldest]:
                size.content = None


def _extension(name: str | None) -> str:
    if name is None or "." not in name:
        return ""
    ending = name.rsplit(".", 1)[1].lower()
    return f".{ending}" if ending.isalnum() and ending.isascii() and len(ending) <= 8 else ""
