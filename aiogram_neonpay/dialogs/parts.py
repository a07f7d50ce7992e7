"""What the ready dialogs are put together from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from aiogram.fsm.state import StatesGroup
from aiogram_dialog import Dialog, DialogManager, Window
from aiogram_dialog.api.internal import TextWidget
from aiogram_dialog.widgets.kbd import Keyboard, SwitchTo

from aiogram_neonpay.core import NeonPay
from aiogram_neonpay.dialogs.sale import language_of, neonpay_of
from aiogram_neonpay.dialogs.texts import PhraseText, as_text
from aiogram_neonpay.errors import ConfigurationError, ValidationError
from aiogram_neonpay.wording import day_text

__all__ = ["Buttons", "Getter", "Teller", "assemble", "check_states", "date_of", "switch", "text_or"]

PREVIEW: dict[str, Any] = {name: [] for name in ("categories", "stages", "payments", "subscriptions")}
"""What windows show in a preview (``aiogram_dialog.tools``): lists of nothing, and the names of everything else."""
Buttons = Sequence[Keyboard]
Getter = Callable[["Teller"], Awaitable[dict[str, Any]]]


class Teller:
    """Who looks at a window, and what they are told in their language.

    :ivar manager: of the dialog.
    :ivar user_id: whoever looks.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.manager: DialogManager = data["dialog_manager"]
        self.neonpay: NeonPay = neonpay_of(data)
        self.bot = data["bot"]
        self.user_id: int = data["event_from_user"].id
        self.language = language_of(data)

    @classmethod
    def of(cls, manager: DialogManager) -> Teller:
        """Return whoever tapped a button."""
        return cls({**manager.middleware_data, "dialog_manager": manager})

    @property
    def data(self) -> dict[str, Any]:
        """What the dialog keeps while it is open."""
        return self.manager.current_context().dialog_data

    def say(self, key: str, /, **values: Any) -> str:
        """Return a phrase in their language."""
        return self.neonpay.texts.get(key, self.language, **values)

    def stars(self, amount: int) -> str:
        """Return a number of Stars."""
        return self.say("stars", n=amount)


def date_of(teller: Teller, moment: datetime | None) -> str:
    """Return a day (UTC) as people write it."""
    return day_text(teller.say, moment)


def assemble(
    windows: Sequence[Window],
    own: Sequence[Window],
    getters: Mapping[str, Getter],
    options: dict[str, Any],
) -> Dialog:
    """Make a dialog of the built-in windows and the author's, which take the place of those with their state.

    :param getters: by the name of a state, what gives its window's data: also to an author's window.
    :raises ConfigurationError: for something that is no window.
    """
    by_state = {window.get_state(): window for window in windows}
    for window in own:
        if not isinstance(window, Window):
            raise ConfigurationError(f"windows must be aiogram_dialog.Window, not {type(window).__name__}")
        by_state[window.get_state()] = window
    names = {getattr(state, "_state", None): state for state in by_state}

    async def data(dialog_manager: DialogManager, **kwargs: Any) -> dict[str, Any]:
        state = dialog_manager.current_context().state
        for name, getter in getters.items():
            if names.get(name) == state:
                return await getter(Teller({**kwargs, "dialog_manager": dialog_manager}))
        return {}

    getter, preview = options.pop("getter", None) or {}, options.pop("preview_data", None) or {}
    return Dialog(*by_state.values(), getter=[data, getter], preview_data=[PREVIEW, preview], **options)


def check_states(states: type[StatesGroup], wanted: type[StatesGroup]) -> None:
    """Refuse a group that lacks a state.

    :raises ConfigurationError: naming it.
    """
    for state in wanted.__states__:
        name = str(state.state).rpartition(":")[2]
        if name not in states.__dict__:
            raise ConfigurationError(f"states={states.__name__} lacks {name!r}: it needs those of {wanted.__name__}")


def check_page(per_page: int) -> int:
    """Refuse a page that a keyboard cannot show.

    :raises ValidationError: unless it is 1-50.
    """
    if isinstance(per_page, bool) or not isinstance(per_page, int) or not 1 <= per_page <= 50:
        raise ValidationError("per_page", "must be 1-50", per_page)
    return per_page


def text_or(text: str | TextWidget | None, key: str) -> TextWidget:
    """Return an author's text, or a phrase."""
    return PhraseText(key) if text is None else as_text(text)


def switch(key: str, id: str, state: Any, **options: Any) -> SwitchTo:
    """Return a button with a phrase that leads to another window."""
    return SwitchTo(PhraseText(key), id=id, state=state, **options)
