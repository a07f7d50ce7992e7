"""The message that tells admins what needs a person: how much of what, and the latest of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiogram_neonpay.texts import Texts
from aiogram_neonpay.wording import Code, Lines, plain, reason_text

__all__ = ["bulletin"]

KINDS = ("stuck", "unmatched", "refund", "reconciliation", "low_balance")


def bulletin(texts: Texts, language: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a message that tells a window of alerts (``ledger/bulletins.py``)."""

    def say(key: str, /, **values: Any) -> str:
        return texts.get_for(key, language, **values)

    counts, latest = state["counts"], state["latest"]
    lines = Lines().add(say("alert_title"), bold=True)
    for kind in KINDS:
        if kind in counts:
            lines.add(say(f"alert_{kind}", n=counts[kind]))
    lines.add("")
    if (earlier := sum(counts.values()) - len(latest)) > 0:
        lines.add(say("alert_earlier", n=earlier))
    for alert in latest:
        lines.add("• ", *_TELL.get(alert["kind"], _payment)(say, alert))
    return lines.content()


def _payment(say: Callable[..., str], alert: dict[str, Any]) -> list[str]:
    about = [say("stars", n=alert["amount"]), say("admin_user", user=alert["user"]), alert.get("stage")]
    reason = reason_text(say, alert["reason"] or "")
    words = [*filter(None, about), reason, *filter(None, [alert.get("error")])]
    return [Code(alert["ref"]), " · ", " · ".join(plain(word, 120) for word in words)]


def _found(say: Callable[..., str], alert: dict[str, Any]) -> list[str]:
    figures = {name: alert[name] for name in ("recovered", "refunded", "differing", "drift")}
    return [say("alert_found", **figures)]


def _balance(say: Callable[..., str], alert: dict[str, Any]) -> list[str]:
    return [say("alert_balance", balance=alert["balance"], limit=alert["limit"])]


_TELL = {"reconciliation": _found, "low_balance": _balance}
