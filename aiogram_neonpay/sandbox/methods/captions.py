"""Owns reading captions and the other fields that messages with media share."""

from __future__ import annotations

from aiogram_neonpay.sandbox.entities import parse_text
from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.parameters import Parameters
from aiogram_neonpay.sandbox.rules import CAPTION_CHARACTERS

_SPOILED = ("photo", "video", "animation")
#: The fields of a message that belong to its caption.
CAPTION_FIELDS = ("caption", "caption_entities", "show_caption_above_media")


def caption_fields(parameters: Parameters) -> Json:
    """Return the caption, its entities and its place, of a call or of one `InputMedia`.

    :raises ApiError: 400 for an over-long or wrongly formatted caption.
    """
    written = parameters.text("caption")
    entities = parameters.json("caption_entities", "can't parse caption entities JSON object")
    text, marked = parse_text(written, parameters.text("parse_mode"), entities)
    if len(text) > CAPTION_CHARACTERS:
        raise refuse("Message caption is too long")
    fields: Json = {"caption": text} if text else {}
    if text and marked:
        fields["caption_entities"] = marked
    if text and parameters.boolean("show_caption_above_media"):
        fields["show_caption_above_media"] = True
    return fields


def spoiler_fields(parameters: Parameters, kind: str) -> Json:
    """Return the mark of media hidden behind a spoiler."""
    return {"has_media_spoiler": True} if kind in _SPOILED and parameters.boolean("has_spoiler") else {}
