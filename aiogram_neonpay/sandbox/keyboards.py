"""Owns reading `reply_markup`: which keyboards Telegram takes, and how it words its refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiogram_neonpay.sandbox.errors import refuse
from aiogram_neonpay.sandbox.models import Json
from aiogram_neonpay.sandbox.parameters import Parameters
from aiogram_neonpay.sandbox.rules import CALLBACK_DATA_BYTES, GUESS_PAY_BUTTON_WITHOUT_INVOICE

_INLINE_KINDS = (
    "url",
    "callback_data",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "copy_text",
    "callback_game",
    "pay",
)


@dataclass(frozen=True, slots=True)
class Markup:
    """A keyboard: ``inline`` belongs to the message, ``reply`` replaces the person's own keyboard.

    ``reply`` is a reply keyboard, a removal or a forced reply, as the bot wrote it.
    """

    inline: Json | None = None
    reply: Json | None = None


def read_markup(parameters: Parameters) -> Markup:
    """Read the ``reply_markup`` of a call.

    :raises ApiError: 400 with the server's text for markup that it cannot parse.
    """
    value = parameters.json("reply_markup", "Can't parse reply keyboard markup JSON object")
    return parse_markup(value)


def parse_markup(value: Any) -> Markup:
    """Read a decoded ``reply_markup``; ``None`` gives an empty one."""
    if value is None:
        return Markup()
    if not isinstance(value, dict):
        raise refuse("Object expected as reply markup")
    if value.get("keyboard"):
        return Markup(reply={**value, "keyboard": _rows(value["keyboard"], "keyboard", _reply_button)})
    if value.get("inline_keyboard"):
        rows = _rows(value["inline_keyboard"], "inline_keyboard", _inline_button)
        rows = [row for row in rows if row]
        return Markup(inline={"inline_keyboard": rows} if rows else None)
    if value.get("remove_keyboard") or value.get("force_reply"):
        return Markup(reply=value)
    return Markup()


def check_pay_buttons(markup: Markup, *, for_invoice: bool) -> None:
    """Check where Pay buttons stand: only on invoices, and there as the first button of the first row.

    :raises ApiError: BUTTON_POS_INVALID when an invoice's first button does not pay.
    """
    if markup.inline is None:
        return
    buttons = [button for row in markup.inline["inline_keyboard"] for button in row]
    if not for_invoice:
        if any(button.get("pay") for button in buttons):
            raise refuse(GUESS_PAY_BUTTON_WITHOUT_INVOICE)
    elif not buttons[0].get("pay") or any(button.get("pay") for button in buttons[1:]):
        raise refuse("BUTTON_POS_INVALID")


def _rows(value: Any, field: str, read: Any) -> list[list[Json]]:
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise refuse(f'Field "{field}" must be an Array of Arrays')
    return [[read(button) for button in row] for row in value]


def _reply_button(button: Any) -> Json:
    if isinstance(button, str):
        return {"text": button}
    if not isinstance(button, dict):
        raise refuse("Can't parse keyboard button: KeyboardButton must be a String or an Object")
    if not isinstance(button.get("text"), str):
        raise refuse("Can't parse keyboard button: Can't find field \"text\"")
    return {name: value for name, value in button.items() if value is not None}


def _inline_button(button: Any) -> Json:
    if not isinstance(button, dict):
        raise refuse("Can't parse inline keyboard button: InlineKeyboardButton must be an Object")
    if not isinstance(button.get("text"), str):
        raise refuse("Can't parse inline keyboard button: Can't find field \"text\"")
    if not any(_is_given(button, kind) for kind in _INLINE_KINDS):
        raise refuse("Can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
    data = button.get("callback_data")
    if isinstance(data, str) and len(data.encode()) > CALLBACK_DATA_BYTES:
        raise refuse("BUTTON_DATA_INVALID")
    url = button.get("url")
    if isinstance(url, str) and url and not _is_link(url):
        raise refuse(f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")
    return {name: value for name, value in button.items() if value is not None}


def _is_given(button: Json, kind: str) -> bool:
    value = button.get(kind)
    if kind.startswith("switch_inline_query"):  # an empty query is a query
        return value is not None
    return value not in (None, "", False)


def _is_link(url: str) -> bool:
    return url.startswith(("http://", "https://", "tg://", "ton://")) or (":" not in url and "." in url)
