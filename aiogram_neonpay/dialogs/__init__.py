"""The storefront for aiogram-dialog: widgets that sell, and ready dialogs; needs the extra ``dialog``."""

from aiogram_neonpay.installation import companions

try:
    from aiogram_neonpay.dialogs.access import has_access
    from aiogram_neonpay.dialogs.donate import donate_dialog
    from aiogram_neonpay.dialogs.purchases import purchases_dialog
    from aiogram_neonpay.dialogs.returning import join
    from aiogram_neonpay.dialogs.shop import shop_dialog
    from aiogram_neonpay.dialogs.states import DonateStates, PurchasesStates, ShopStates
    from aiogram_neonpay.dialogs.texts import PhraseText, PriceText
    from aiogram_neonpay.dialogs.widgets import Buy, DonateCounter, OnPaid, ShownStage, StageSelect
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "aiogram_dialog":
        raise
    raise ImportError(
        "aiogram_neonpay.dialogs needs aiogram-dialog, version 2: pip install 'aiogram-neonpay[dialog]'",
        name="aiogram_dialog",
    ) from error

__all__ = [
    "Buy",
    "DonateCounter",
    "DonateStates",
    "OnPaid",
    "PhraseText",
    "PriceText",
    "PurchasesStates",
    "ShopStates",
    "ShownStage",
    "StageSelect",
    "donate_dialog",
    "has_access",
    "purchases_dialog",
    "shop_dialog",
]

companions.append(join)
