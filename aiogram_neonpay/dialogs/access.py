"""``when=has_access("club")``: widgets that only some people see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiogram_dialog import Dialog, DialogManager

from aiogram_neonpay.checks import check_access_name
from aiogram_neonpay.dialogs.sale import neonpay_of, whole
from aiogram_neonpay.errors import ConfigurationError

__all__ = ["has_access", "watch"]

KEY = "neonpay_access"
"""Where a window's data hold what its reader has access to."""


class has_access:
    """A condition for widgets: whether whoever looks at the dialog has an access; ``~has_access(...)``: has none.

    ::

        Button(Const("To the lounge"), id="lounge", when=has_access("club"))
        Buy(Const("Join"), "club", id="join", when=~has_access("club"))

    It is asked whenever a window is rendered, at one read of the storage for all widgets of it. It hides a button and
    protects nothing: what the button does is protected by ``HasAccess`` or ``await neonpay.access(...)``.

    :param name: as in ``PaymentStage(access=...)``.
    """

    in_use = False
    """Whether any dialog of this process may ask."""

    def __init__(self, name: str) -> None:
        self.name = check_access_name("name", name)
        self.wanted = True
        has_access.in_use = True

    def __invert__(self) -> has_access:
        turned = has_access(self.name)
        turned.wanted = not self.wanted
        return turned

    def __call__(self, data: Mapping[str, Any], widget: Any, manager: DialogManager) -> bool:
        """Tell whether the widget is to be shown (``aiogram_dialog.widgets.common.Predicate``).

        :raises ConfigurationError: when the dispatcher has no NeonPay.
        """
        if manager.is_preview():
            return True
        found = whole(data).get(KEY)
        if found is None:
            raise ConfigurationError(
                f"has_access({self.name!r}) needs the NeonPay of the dispatcher: call dp.include_router(pay) before "
                "the first update"
            )
        return (self.name in found) is self.wanted


class _AccessGetter:
    """A dialog's own getter, and then what the person has access to."""

    def __init__(self, getter: Callable[..., Awaitable[dict[str, Any]]]) -> None:
        self.getter = getter

    async def __call__(self, dialog_manager: DialogManager, **kwargs: Any) -> dict[str, Any]:
        data = dict(await self.getter(dialog_manager=dialog_manager, **kwargs))
        user = kwargs.get("event_from_user")
        if has_access.in_use and not dialog_manager.is_preview():
            known = [] if user is None else await neonpay_of(kwargs).list_access(user.id, bot=kwargs["bot"])
            data[KEY] = {access.name: access for access in known}
        return data


def watch(dialog: Dialog) -> None:
    """Have a dialog look up access before its windows are rendered: aiogram-dialog's conditions cannot wait for it."""
    if not isinstance(dialog.getter, _AccessGetter):
        dialog.getter = _AccessGetter(dialog.getter)  # type: ignore[assignment]
