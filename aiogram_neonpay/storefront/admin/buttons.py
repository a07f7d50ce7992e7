"""The buttons of administration: what they carry, and rows of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiogram.filters.callback_data import CallbackData
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup

__all__ = ["PREFIX", "AdminTap", "Keyboard"]

PREFIX = "npadmin"
_ROW = 4


class AdminTap(CallbackData, prefix=PREFIX):
    """What a button carries: at most 7 + 8 + 17 + 8 bytes and separators, of Telegram's 64.

    :ivar page: of a list, from 0.
    :ivar id: a payment's reference, a user, a number of days, or the name of a question.
    """

    do: str
    id: str = ""
    page: int = 0


class Keyboard:
    """Rows of buttons.

    :param say: returns the phrase of a key in the admin's language.
    """

    def __init__(self, say: Callable[..., str]) -> None:
        self._say = say
        self._rows: list[list[InlineKeyboardButton]] = []

    def row(self, *buttons: tuple[str, AdminTap]) -> Keyboard:
        """Add a row: keys of phrases, each with what its button carries."""
        self._rows.append([_button(self._say(key), tap) for key, tap in buttons])
        return self

    def choices(self, taps: Sequence[AdminTap], first: int) -> Keyboard:
        """Add a button for each item of a page, with its number."""
        buttons = [_button(str(first + at), tap) for at, tap in enumerate(taps)]
        self._rows += [buttons[at : at + _ROW] for at in range(0, len(buttons), _ROW)]
        return self

    def pages(self, here: AdminTap, more: bool) -> Keyboard:
        """Add buttons to the page before and the page after, where there are any."""
        row = []
        if here.page > 0:
            row.append(_button("‹", here.model_copy(update={"page": here.page - 1})))
        if more:
            row.append(_button("›", here.model_copy(update={"page": here.page + 1})))
        if row:
            self._rows.append(row)
        return self

    def markup(self) -> InlineKeyboardMarkup:
        """Return the keyboard; one without buttons takes those of an edited message away."""
        return InlineKeyboardMarkup(inline_keyboard=self._rows)


def _button(text: str, tap: AdminTap) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=tap.pack())
