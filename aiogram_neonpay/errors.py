"""The tree of exceptions: what went wrong, with which object, and what to do next.

::

    NeonPayError
    |-- ConfigurationError            the program is put together wrongly
    |-- ValidationError               a value is outside a limit (also a ValueError)
    |-- LedgerError                   the storage could not keep or find a record
    |-- DeliveryError                 an attempt to deliver a paid charge failed
    |-- RejectPayment                 raised by the bot: decline this checkout / refund this payment
    `-- PaymentError                  a sale or a refund did not happen
        |-- StageNotFoundError
        |-- InvoiceError
        |   |-- BuyerUnreachableError
        |   |-- InvoiceNotFoundError
        |   `-- IdempotencyError
        |-- PaymentNotFoundError
        |-- PromoError
        `-- RefundError

Messages never contain bot tokens, invoice payloads or keys.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BuyerUnreachableError",
    "ConfigurationError",
    "DeliveryError",
    "IdempotencyError",
    "InvoiceError",
    "InvoiceNotFoundError",
    "LedgerError",
    "NeonPayError",
    "NoAccessError",
    "PaymentError",
    "PaymentNotFoundError",
    "PromoError",
    "RefundError",
    "RejectPayment",
    "StageNotFoundError",
    "SubscriptionError",
    "ValidationError",
]


class NeonPayError(Exception):
    """Root of everything this package raises."""


class ConfigurationError(NeonPayError):
    """The program is put together in a way that cannot sell safely; the message names the line to change."""


class ValidationError(NeonPayError, ValueError):
    """A value is outside its limit.

    :ivar field: name of the parameter, such as ``"title"``.
    :ivar limit: the rule in words, with its unit.
    :ivar value: what was given (never a secret).
    """

    def __init__(self, field: str, limit: str, value: Any) -> None:
        self.field = field
        self.limit = limit
        self.value = value
        super().__init__(f"{field}: {limit}; got {_shown(value)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.field, self.limit, self.value)


def _shown(value: Any) -> str:
    try:
        shown = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or nested without end
        shown = f"a {type(value).__name__} too large to show"
    return shown if len(shown) <= 120 else f"{shown[:117]}..."


class LedgerError(NeonPayError):
    """The storage failed or answered nonsense. Nothing was delivered; the update may be sent again."""


class DeliveryError(NeonPayError):
    """A paid message was stopped on its way to the handlers by a filter or a middleware of the bot.

    The charge stays unsettled in the ledger, so a repeated update is delivered again.

    :ivar reference: short reference of the charge.
    """

    def __init__(self, reference: str, message: str) -> None:
        self.reference = reference
        self._message = message
        super().__init__(f"payment {reference}: {message}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reference, self._message)


class RejectPayment(NeonPayError):
    """Raise it in a validator to decline a checkout, or in a payment handler to refund the payment.

    :param reason: from a validator, the sentence the buyer sees (Bot API ``answerPreCheckoutQuery``,
        parameter ``error_message``), ours when omitted; from a handler, the reason written into the ledger.
    """

    def __init__(self, reason: str | None = "") -> None:
        # An exception passed whole is as good as its text.
        self.reason = str("" if reason is None else reason).encode("utf-8", "replace").decode()
        super().__init__(self.reason)


class PaymentError(NeonPayError):
    """A sale or a refund did not happen."""


class StageNotFoundError(PaymentError):
    """No stage with this id is in the catalog.

    :ivar stage_id: the id that was asked for.
    """

    def __init__(self, stage_id: str) -> None:
        self.stage_id = stage_id
        super().__init__(
            f"stage {stage_id!r} is not in the catalog: pass it to neonpay_router({{...}}) "
            f"or add it with create_payment_stage({stage_id!r}, PaymentStage(...))"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.stage_id,)


class InvoiceError(PaymentError):
    """An invoice could not be made, sent, found or cancelled.

    :ivar retry_after: seconds to wait before trying again when Telegram asked for it, else ``None``.
    """

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class BuyerUnreachableError(InvoiceError):
    """Telegram refuses to deliver to this chat: the user blocked the bot or never started it."""


class InvoiceNotFoundError(InvoiceError):
    """No stored invoice has this id or key, or it expired and was forgotten."""


class IdempotencyError(InvoiceError):
    """The ``key=`` was used before with other content."""


class NoAccessError(PaymentError):
    """The buyer has no such access, or not as many uses of it as were asked for.

    :ivar user_id: whose access it is.
    :ivar name: the name of the access.
    """

    def __init__(self, user_id: int, name: str) -> None:
        self.user_id = user_id
        self.name = name
        super().__init__(
            f"user {user_id} has no access {name!r}, or too few uses of it are left: offer a stage with it"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.user_id, self.name)


class SubscriptionError(PaymentError):
    """A subscription could not be found, cancelled or restored.

    :ivar retry_after: seconds to wait before trying again when Telegram asked for it, else ``None``.
    :ivar is_final: whether Telegram refused, so that asking again as it is will not help.
    """

    def __init__(self, message: str, *, retry_after: int | None = None, is_final: bool = False) -> None:
        self.retry_after = retry_after
        self.is_final = is_final
        super().__init__(message)


class PaymentNotFoundError(PaymentError):
    """The ledger holds no payment under this charge id or reference."""

    def __init__(self, payment_id: str) -> None:
        self.payment_id = payment_id
        super().__init__(
            f"no payment {payment_id[:40]!r} in the ledger of this bot: pass its transaction_id or reference, "
            "and user_id= for a charge that was made before the plugin came"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.payment_id,)


class PromoError(PaymentError):
    """A promo code cannot be used for this sale; no invoice was made.

    :ivar code: the code, in capitals.
    :ivar reason: ``"unknown"``, ``"not_started"``, ``"ended"``, ``"used_up"``, ``"not_for_stage"`` or
        ``"already_used"`` (by this buyer, as often as one may).
    :ivar text: the sentence for the buyer, in their language where the selling call knows it, else in English.
    """

    def __init__(self, code: str, reason: str, text: str) -> None:
        self.code = code
        self.reason = reason
        self.text = text
        super().__init__(
            f"promo code {code[:40]!r} cannot be used ({reason}): tell the buyer error.text, or sell without it"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.reason, self.text)


class RefundError(PaymentError):
    """Telegram did not refund.

    :ivar retry_after: seconds to wait before trying again when Telegram asked for it, else ``None``.
    :ivar is_final: whether Telegram refused, so that asking again as it is will not help.
    """

    def __init__(self, message: str, *, retry_after: int | None = None, is_final: bool = False) -> None:
        self.retry_after = retry_after
        self.is_final = is_final
        super().__init__(message)
