"""Owns reading multipart bodies: text parameters, and files with the limits Telegram has for them."""

from __future__ import annotations

from aiohttp import StreamReader
from aiohttp.multipart import BodyPartReader, MultipartReader

from aiogram_neonpay.sandbox.files import Upload
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.rules import UPLOAD_BYTES

#: All files of one call together, in bytes; Telegram limits each of them.
_BODY_BYTES = 2 * UPLOAD_BYTES
#: More than a stream has taken in without its being read.
_AHEAD_BYTES = 1024 * 1024


class TooLarge(Exception):
    """A body, or a file in it, is larger than may be sent."""


async def read_parts(reader: MultipartReader, stream: StreamReader, text_bytes: int) -> Json:
    """Return the parameters of a body; parts with a file name are files.

    :param stream: what the reader reads from.
    :param text_bytes: how much all parts that are no files may hold together.
    :raises TooLarge: for more than that, a file above 50 MB, or files above 100 MB together.
    :raises ValueError: for a body that is no such form; so does an `AssertionError` of aiohttp.
    """
    values: Json = {}
    texts = files = 0
    while (part := await reader.next()) is not None:
        # Boundaries, headers and names of parts cost memory and time too.
        if stream.total_bytes - files > text_bytes + _AHEAD_BYTES:
            raise TooLarge
        if not isinstance(part, BodyPartReader) or part.name is None:
            continue
        is_file = part.filename is not None
        content = bytearray()
        while chunk := await part.read_chunk(64 * 1024):
            content += chunk
            if is_file and (len(content) > UPLOAD_BYTES or files + len(content) > _BODY_BYTES):
                raise TooLarge
            if not is_file and texts + len(content) > text_bytes:
                raise TooLarge
        if part.filename is not None:
            files += len(content)
            values[part.name] = Upload(bytes(content), part.filename)
        else:
            texts += len(content)
            values[part.name] = content.decode("utf-8", "replace")
    return values
