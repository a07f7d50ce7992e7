"""Owns how stored files are shown: the Bot API's `PhotoSize`, `Video`, `Document` and their kin."""

from __future__ import annotations

from aiogram_neonpay.sandbox.files import FileKind, StoredFile
from aiogram_neonpay.sandbox.models import Json

#: Which messages may have a caption, by the field of their file; paid media may too.
CAPTIONED = ("photo", "video", "animation", "audio", "document", "voice", "paid_media")
#: The fields of a message that hold files.
FILE_FIELDS: tuple[FileKind, ...] = (
    "photo",
    "video",
    "animation",
    "audio",
    "document",
    "voice",
    "video_note",
    "sticker",
)
_SIZED = frozenset({"photo", "thumbnail", "video", "animation"})
_LASTING = frozenset({"video", "animation", "audio", "voice", "video_note"})
_NAMED = frozenset({"video", "animation", "audio", "document"})
_TYPED = frozenset({"video", "animation", "audio", "document", "voice"})
_STICKER_SIDE = 512
_NOTE_SIDE = 240


def message_fields(file: StoredFile) -> Json:
    """Return the fields of a message that holds this file."""
    if file.kind == "photo":
        return {"photo": photo_json(file)}
    fields: Json = {file.kind: file_json(file)}
    if file.kind == "animation":  # as before there were animations (Bot API, Message)
        fields["document"] = _document_of(file)
    return fields


def photo_json(photo: StoredFile) -> list[Json]:
    """Return the sizes of a photo, smallest first."""
    return [file_json(size) for size in photo.sizes]


def file_json(file: StoredFile) -> Json:
    """Return the Bot API object of a file; of a photo, that of this size."""
    shown: Json = identity_json(file)
    if file.kind in _SIZED:
        shown |= {"width": file.width, "height": file.height}
    if file.kind in _LASTING:
        shown["duration"] = file.duration
    if file.kind in _NAMED and file.name:
        shown["file_name"] = file.name
    if file.kind in _TYPED and file.mime:
        shown["mime_type"] = file.mime
    if file.kind == "video_note":
        shown["length"] = file.width or _NOTE_SIDE
    if file.kind == "sticker":
        shown |= {"type": "regular", "width": file.width or _STICKER_SIDE, "height": file.height or _STICKER_SIDE}
        shown |= {"is_animated": file.path.endswith(".tgs"), "is_video": file.path.endswith(".webm")}
    if file.thumbnail is not None and file.kind != "voice":
        shown["thumbnail"] = file_json(file.thumbnail)
    return shown | file.details


def identity_json(file: StoredFile) -> Json:
    """Return what identifies a file, and its size in bytes where it is known."""
    shown: Json = {"file_id": file.file_id, "file_unique_id": file.unique_id}
    if file.size:
        shown["file_size"] = file.size
    return shown


def _document_of(file: StoredFile) -> Json:
    shown = file_json(file)
    return {name: value for name, value in shown.items() if name not in ("width", "height", "duration")}
