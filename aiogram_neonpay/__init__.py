"""aiogram_neonpay: sell for Telegram Stars from an aiogram bot.

Include the router that :func:`neonpay_router` returns, and the dispatcher sends invoices, decides pre-checkouts and
delivers payments.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from aiogram_neonpay.public import *  # noqa: F403
    from aiogram_neonpay.testing import make_event as make_event


def __getattr__(name: str) -> typing.Any:
    """Load the public names when one of them is first asked for.

    pytest loads the plugin of this package in every project of an environment, and the command line and the sandbox
    need nothing of the engine: none of them is to pay for its import.
    """
    if name == "make_event":  # brings the sandbox along, so no program gets it unasked
        return importlib.import_module("aiogram_neonpay.testing").make_event
    if name == "__all__" or not name.startswith("_"):
        public = importlib.import_module("aiogram_neonpay.public")
        globals().update({each: value for each, value in vars(public).items() if each in (*public.__all__, "__all__")})
        if name not in globals() and name in public.__all__:
            globals()[name] = getattr(public, name)  # of what is loaded later still
        if name in globals():
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
