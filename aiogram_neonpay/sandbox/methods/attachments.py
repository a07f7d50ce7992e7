"""Owns reading the files of a call: uploads, ``attach://`` names, URLs and file ids, and the kinds of `InputMedia`.

Source: `Client::get_input_file`, `get_input_media` and `get_input_paid_media` in tdlib/telegram-bot-api, and
`FileManager` in tdlib/td.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiogram_neonpay.sandbox.errors import ApiError, refuse
from aiogram_neonpay.sandbox.files import FileKind, StoredFile, UnusableFile, Upload
from aiogram_neonpay.sandbox.images import read_picture
from aiogram_neonpay.sandbox.methods.captions import caption_fields, spoiler_fields
from aiogram_neonpay.sandbox.methods.context import Context
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.parameters import Parameters
from aiogram_neonpay.sandbox.rules import GUESS_PHOTO_TOO_BIG, PHOTO_BYTES, UPLOAD_BYTES

_ATTACHED = "attach://"
_LONGEST_SIDE = 10_000
_LONGEST_SECONDS = 86_400
_NO_FILE = "Wrong file identifier/HTTP URL specified"
_MEDIA: dict[str, FileKind] = {
    "photo": "photo",
    "video": "video",
    "animation": "animation",
    "audio": "audio",
    "document": "document",
}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that a call refers to, read and not yet looked at: an upload, or a URL or file id."""

    kind: FileKind
    source: Upload | str
    options: Parameters

    def keep(self, context: Context) -> StoredFile:
        """Keep the file, or find the one that is meant.

        :raises ApiError: 400 or 413 for a file Telegram's servers would refuse.
        """
        return _stored(context, self)


def read_attachment(context: Context, kind: FileKind) -> Attachment:
    """Read the file of a call such as sendPhoto, from the parameter named after its kind.

    :raises ApiError: 400 ``there is no photo in the request``.
    """
    source = _source(context, context.parameters.text(kind), kind)
    if source is None:
        raise refuse(f"There is no {kind.replace('_', ' ')} in the request")
    return Attachment(kind, source, context.parameters)


def read_media(context: Context, item: Any, *, album: bool) -> tuple[Attachment, Json]:
    """Read one `InputMedia`: its file, and the caption and other fields of its message.

    :param album: whether it is one of sendMediaGroup.
    :raises ApiError: 400 ``can't parse InputMedia: ...``.
    """
    options = _options(item, "InputMedia")
    kind = options.text("type")
    fields = caption_fields(options) | spoiler_fields(options, kind)
    if not kind:
        raise refuse("Can't parse InputMedia: Can't find field \"type\"")
    source = _source(context, options.text("media"), "")
    if source is None:
        raise refuse("Can't parse InputMedia: media not found")
    if kind == "animation" and album:
        raise refuse("Can't parse InputMedia: type \"animation\" can't be used in sendMediaGroup")
    if kind not in _MEDIA:
        raise refuse(f"Can't parse InputMedia: {_unsupported(kind)}")
    return Attachment(_MEDIA[kind], source, options), fields


def read_paid_media(context: Context, item: Any) -> Attachment:
    """Read one `InputPaidMedia`, a photo or a video.

    :raises ApiError: 400 ``can't parse InputPaidMedia: ...``.
    """
    options = _options(item, "InputPaidMedia")
    source = _source(context, options.text("media"), "")
    if source is None:
        raise refuse("Can't parse InputPaidMedia: media not found")
    kind = options.text("type")
    if kind not in ("photo", "video"):
        raise refuse(f"Can't parse InputPaidMedia: {_unsupported(kind)}")
    return Attachment(_MEDIA[kind], source, options)


def _unsupported(kind: str) -> str:
    return "the sandbox does not support live photos" if kind == "live_photo" else f'type "{kind}" is unsupported'


def _options(item: Any, name: str) -> Parameters:
    if not isinstance(item, dict):
        raise refuse(f"Can't parse {name}: expected an Object")
    return Parameters(item)


def _source(context: Context, written: str, field: str) -> Upload | str | None:
    """Return what a parameter refers to: a part of the body, or a URL or file id."""
    if written.startswith(_ATTACHED):
        field = written[len(_ATTACHED) :]
    elif written:
        return written
    return context.parameters.files.get(field)


def _stored(context: Context, attachment: Attachment) -> StoredFile:
    kind, source, options = attachment.kind, attachment.source, attachment.options
    if isinstance(source, str) and "." not in source:
        return _known(context, kind, source)
    if isinstance(source, Upload):
        _check_size(kind, source)
    elif urlsplit(source if "//" in source else f"http://{source}").scheme not in ("http", "https"):
        raise refuse("Invalid file HTTP URL specified: Unsupported URL protocol")
    try:
        return context.world.files.add(
            kind,
            source,
            width=options.integer("length" if kind == "video_note" else "width", 0, 0, _LONGEST_SIDE),
            height=options.integer("height", 0, 0, _LONGEST_SIDE),
            duration=options.integer("duration", 0, 0, _LONGEST_SECONDS),
            details=_details(kind, options),
            thumbnail=_thumbnail(context, kind, options),
        )
    except UnusableFile as error:
        raise refuse(str(error)) from None


def _known(context: Context, kind: FileKind, file_id: str) -> StoredFile:
    """Find a file that was sent before; it stays what it is, whatever method sends it again."""
    file = context.world.files.find(file_id)
    if file is None:
        raise refuse(_NO_FILE)
    if (file.kind == "photo") != (kind == "photo") or file.kind == "thumbnail":
        names = (file.kind.title().replace("_", ""), kind.title().replace("_", ""))
        raise refuse("Can't use file of type {} as {}".format(*names))
    return file.sizes[-1] if file.sizes else file


def _check_size(kind: FileKind, upload: Upload) -> None:
    if not upload.content:
        raise refuse("File must be non-empty")
    if len(upload.content) > UPLOAD_BYTES:
        raise ApiError(413, "Request Entity Too Large")
    if kind == "photo" and len(upload.content) > PHOTO_BYTES:
        raise refuse(GUESS_PHOTO_TOO_BIG)


def _details(kind: FileKind, options: Parameters) -> Json:
    names = {"audio": ("performer", "title"), "sticker": ("emoji",)}.get(kind, ())
    return {name: options.text(name) for name in names if options.text(name)}


def _thumbnail(context: Context, kind: FileKind, options: Parameters) -> StoredFile | None:
    """Keep the thumbnail of a file; one that is no picture, or no upload, is passed over as at Telegram."""
    if kind in ("photo", "voice", "sticker"):
        return None
    source = _source(context, options.text("thumbnail"), "thumbnail")
    if not isinstance(source, Upload) or read_picture(source.content) is None:
        return None
    return context.world.files.add("thumbnail", source)
