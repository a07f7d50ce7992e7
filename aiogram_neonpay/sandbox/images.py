"""Owns what the sandbox knows of pictures: reading their type and size, and drawing a plain one."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

_PNG = b"\x89PNG\r\n\x1a\n"
#: JPEG markers of a frame, which holds the size: all from C0 to CF but DHT, JPG and DAC.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture's header says: type, extension, and size in pixels."""

    mime: str
    extension: str
    width: int
    height: int


def read_picture(content: bytes) -> Picture | None:
    """Read the header of a PNG, JPEG, GIF, WebP or BMP; ``None`` for anything else, or without a size."""
    for read in (_png, _jpeg, _gif, _webp, _bmp):
        try:
            found = read(content)
        except (struct.error, IndexError):
            continue
        if found is not None and found.width > 0 and found.height > 0:
            return found
    return None


def plain_png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """Draw a picture of one colour."""
    row = b"\0" + bytes(colour) * width
    parts = (
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(row * height, 9)),
        _chunk(b"IEND", b""),
    )
    return _PNG + b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(content: bytes) -> Picture | None:
    if not content.startswith(_PNG):
        return None
    width, height = struct.unpack_from(">II", content, 16)
    return Picture("image/png", ".png", width, height)


def _gif(content: bytes) -> Picture | None:
    if content[:6] not in (b"GIF87a", b"GIF89a"):
        return None
    width, height = struct.unpack_from("<HH", content, 6)
    return Picture("image/gif", ".gif", width, height)


def _bmp(content: bytes) -> Picture | None:
    if not content.startswith(b"BM"):
        return None
    width, height = struct.unpack_from("<ii", content, 18)
    return Picture("image/bmp", ".bmp", width, abs(height))


def _jpeg(content: bytes) -> Picture | None:
    if not content.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at < len(content):
        while content[at] == 0xFF and content[at + 1] == 0xFF:  # padding
            at += 1
        marker = content[at + 1]
        if content[at] != 0xFF:
            return None
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return Picture("image/jpeg", ".jpg", width, height)
        at += 2 + int(struct.unpack_from(">H", content, at + 2)[0])
    return None


def _webp(content: bytes) -> Picture | None:
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        return None
    kind = content[12:16]
    if kind == b"VP8X" and len(content) >= 30:
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = struct.unpack_from("<I", content, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", content, 26))
    else:
        return None
    return Picture("image/webp", ".webp", width, height)
