"""The public names of the package, all in one place.

What not every bot needs is loaded when it is first asked for: one that only sells does not pay for it.
"""

import importlib
import typing

from aiogram_neonpay.access import Access, AccessChange
from aiogram_neonpay.adapters import AiogramAdapter
from aiogram_neonpay.core import NeonPay, NeonPayCore
from aiogram_neonpay.errors import (
    BuyerUnreachableError,
    ConfigurationError,
    DeliveryError,
    IdempotencyError,
    InvoiceError,
    InvoiceNotFoundError,
    LedgerError,
    NeonPayError,
    NoAccessError,
    PaymentError,
    PaymentNotFoundError,
    PromoError,
    RefundError,
    RejectPayment,
    StageNotFoundError,
    SubscriptionError,
    ValidationError,
)
from aiogram_neonpay.events import (
    CheckoutDeclined,
    MediaSold,
    PaymentCompleted,
    PaymentEvent,
    PaymentRefunded,
    PaymentStuck,
    PaymentUnmatched,
    SubscriptionCanceled,
    SubscriptionEvent,
    SubscriptionExpired,
    SubscriptionFailed,
    SubscriptionRenewed,
    SubscriptionRestored,
    SubscriptionStarted,
)
from aiogram_neonpay.factory import create_neonpay, neonpay_router
from aiogram_neonpay.filters import HasAccess, PaidStage
from aiogram_neonpay.links import StartLink
from aiogram_neonpay.models import (
    Checkout,
    Gift,
    InvoiceLink,
    InvoiceStatus,
    LegacyInvoice,
    PaymentResult,
    PaymentStatus,
    Subscription,
    SubscriptionState,
)
from aiogram_neonpay.promo import PromoCode, PromoUsage
from aiogram_neonpay.routers import PaymentRouter
from aiogram_neonpay.stages import PaymentStage

if typing.TYPE_CHECKING:
    from aiogram_neonpay.alerts import Alerts
    from aiogram_neonpay.diagnosis import Diagnosis, Symptom
    from aiogram_neonpay.findings import Finding, ReconcileReport
    from aiogram_neonpay.keyboards import buy_keyboard, catalog_keyboard, donate_keyboard, subscription_keyboard
    from aiogram_neonpay.prices import PriceBook
    from aiogram_neonpay.reports import Report, ReportRow
    from aiogram_neonpay.sqlite import SQLiteStorage
    from aiogram_neonpay.storefront.admin import admin_router
    from aiogram_neonpay.storefront.inline import inline_router
    from aiogram_neonpay.storefront.support.router import support_router
    from aiogram_neonpay.timeline import TimelineEntry

__all__ = [
    "Access",
    "AccessChange",
    "AiogramAdapter",
    "Alerts",
    "BuyerUnreachableError",
    "Checkout",
    "CheckoutDeclined",
    "ConfigurationError",
    "DeliveryError",
    "Diagnosis",
    "Finding",
    "Gift",
    "HasAccess",
    "IdempotencyError",
    "InvoiceError",
    "InvoiceLink",
    "InvoiceNotFoundError",
    "InvoiceStatus",
    "LedgerError",
    "LegacyInvoice",
    "MediaSold",
    "NeonPay",
    "NeonPayCore",
    "NeonPayError",
    "NoAccessError",
    "PaidStage",
    "PaymentCompleted",
    "PaymentError",
    "PaymentEvent",
    "PaymentNotFoundError",
    "PaymentRefunded",
    "PaymentResult",
    "PaymentRouter",
    "PaymentStage",
    "PaymentStatus",
    "PaymentStuck",
    "PaymentUnmatched",
    "PriceBook",
    "PromoCode",
    "PromoError",
    "PromoUsage",
    "ReconcileReport",
    "RefundError",
    "RejectPayment",
    "Report",
    "ReportRow",
    "SQLiteStorage",
    "StageNotFoundError",
    "StartLink",
    "Subscription",
    "SubscriptionCanceled",
    "SubscriptionError",
    "SubscriptionEvent",
    "SubscriptionExpired",
    "SubscriptionFailed",
    "SubscriptionRenewed",
    "SubscriptionRestored",
    "SubscriptionStarted",
    "SubscriptionState",
    "Symptom",
    "TimelineEntry",
    "ValidationError",
    "admin_router",
    "buy_keyboard",
    "catalog_keyboard",
    "create_neonpay",
    "donate_keyboard",
    "inline_router",
    "neonpay_router",
    "subscription_keyboard",
    "support_router",
]

_LATER = {
    "Alerts": "aiogram_neonpay.alerts",
    "Diagnosis": "aiogram_neonpay.diagnosis",
    "Finding": "aiogram_neonpay.findings",
    "PriceBook": "aiogram_neonpay.prices",
    "ReconcileReport": "aiogram_neonpay.findings",
    "Report": "aiogram_neonpay.reports",
    "ReportRow": "aiogram_neonpay.reports",
    "SQLiteStorage": "aiogram_neonpay.sqlite",
    "Symptom": "aiogram_neonpay.diagnosis",
    "TimelineEntry": "aiogram_neonpay.timeline",
    "admin_router": "aiogram_neonpay.storefront.admin",
    "buy_keyboard": "aiogram_neonpay.keyboards",
    "catalog_keyboard": "aiogram_neonpay.keyboards",
    "donate_keyboard": "aiogram_neonpay.keyboards",
    "inline_router": "aiogram_neonpay.storefront.inline",
    "subscription_keyboard": "aiogram_neonpay.keyboards",
    "support_router": "aiogram_neonpay.storefront.support.router",
}
"""The module of each name that is loaded later."""


def __getattr__(name: str) -> typing.Any:
    """Load a name at its first use."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
    return value
