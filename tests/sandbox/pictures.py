"""Small files of the kinds that bots send."""

from __future__ import annotations

import struct

from aiogram_neonpay.sandbox import Upload
from aiogram_neonpay.sandbox.images import plain_png

PHOTO = Upload(plain_png(400, 300, (10, 20, 30)), "photo.png")
GIF = Upload(b"GIF89a" + struct.pack("<HH", 64, 48) + b"\x80\0\0" + bytes(6) + b";", "cat.gif")
VIDEO = Upload(b"\0\0\0\x18ftypmp42", "film.mp4")
SOUND = Upload(b"ID3sound", "song.mp3")
NOTE = Upload(b"hello", "notes.txt")
