"""Telling an admin chat what needs a person: a storm is one message, told once by all workers together.

What is to be told is written into the ledger first (``ledger/bulletins.py``) and told in a task of its own. So it fails
no delivery, and outlives Telegram's failures and the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramRetryAfter

from aiogram_neonpay.bulletin import bulletin
from aiogram_neonpay.checks import check_text
from aiogram_neonpay.errors import ValidationError
from aiogram_neonpay.events import AnyEvent, PaymentStuck, PaymentUnmatched
from aiogram_neonpay.failures import name_of
from aiogram_neonpay.feed import Feed
from aiogram_neonpay.findings import ReconcileReport
from aiogram_neonpay.ledger.base import CHARGE, RecordKey, new_nonce
from aiogram_neonpay.ledger.bulletins import Bulletins, untold
from aiogram_neonpay.ledger.charges import UNMATCHED, reason_of, reference_of
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.wording import plain

__all__ = ["Alerter", "Alerts"]

logger = logging.getLogger("aiogram_neonpay")

GATHER = 1.0
"""Seconds for which a worker gathers alerts before it tells the first."""
BETWEEN = 5.0
"""Seconds between two edits of the message that tells them."""
LEASE = 60.0
"""Seconds after which another worker tells what one has begun to tell and not ended."""
PAUSES = (2.0, 10.0, 30.0, 60.0, 120.0)
"""Seconds between the tries to tell; then the next alert, or the next reading of Telegram's ledger, tries again."""
FORGOTTEN_AFTER = 60.0
"""Seconds after which a payment that waits and was not told of is told: its worker has died on the way."""
MOST_FORGOTTEN = 500
"""Waiting payments among which those are looked for, the oldest ones."""
REQUEST = 20
"""Seconds that a call of Telegram may take: less than the lease."""
LONGEST_ERROR = 100
"""Characters."""
MOST_HELD = 200
"""Alerts that a worker keeps in memory while the storage is away."""


@dataclass(frozen=True)
class Alerts:
    """Where admins are told what needs them, and when; what ``neonpay_router(alerts=...)`` takes.

    :ivar chat_id: the chat, as an id or a ``@username``; the bot must be able to write there.
    :ivar thread_id: the topic of a forum.
    :ivar language: an IETF language tag: what the chat is told in.
    :ivar low_balance: Stars below which the balance is told of, once until it has risen again; ``None``: never. By
        default a negative balance is told.
    :ivar window: seconds, 10-86400: alerts that come so soon after the first are added to its message.
    """

    chat_id: int | str
    thread_id: int | None = None
    language: str = "en"
    low_balance: int | None = 0
    window: float = 300.0

    def __post_init__(self) -> None:
        chat = self.chat_id
        if isinstance(chat, bool) or not isinstance(chat, (int, str)) or not chat:
            raise ValidationError("alerts", "must be a chat id (int), a @username (str) or Alerts(...)", chat)
        if isinstance(chat, str) and not chat.startswith("@"):
            raise ValidationError("alerts", "must begin with @ if it is a name and no chat id (int)", chat)
        check_text("alerts.language", self.language, 35)
        for name in ("thread_id", "low_balance"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise ValidationError(f"alerts.{name}", "must be a whole number or None", value)
        window = self.window
        if isinstance(window, bool) or not isinstance(window, (int, float)) or not 10 <= window <= 86400:
            raise ValidationError("alerts.window", "must be seconds, 10-86400", window)


class Alerter:
    """Tells the admin chat of one shop."""

    def __init__(self, shop: Shop, feed: Feed, alerts: Alerts) -> None:
        self._shop = shop
        self._feed = feed
        self._alerts = alerts
        self._held: dict[int, list[dict[str, Any]]] = {}
        self._is_low: dict[int, bool] = {}
        self._telling: set[int] = set()
        self._stopping: asyncio.Event | None = None

    def start(self) -> None:
        """Begin; what an earlier process has left untold is told."""
        self._stopping = asyncio.Event()
        self._telling.clear()  # of an event loop that has gone
        for bot in self._shop.bots:
            self._feed.spawn(self._resume(bot), "the search for what admins were not told")

    def stop(self) -> None:
        """Wait no more: what is held is told at once or left to others."""
        if self._stopping is not None:
            self._stopping.set()

    def on_event(self, bot: Bot, event: AnyEvent) -> None:
        """Tell of a payment that waits for a person."""
        if isinstance(event, (PaymentStuck, PaymentUnmatched)):
            self._tell(bot, [_alert_of_event(event)])

    def on_report(self, bot: Bot, report: ReconcileReport) -> None:
        """Tell what a reading of Telegram's ledger found, and what was not told before."""
        found = {
            "kind": "reconciliation",
            "recovered": report.recovered_count,
            "refunded": report.refunded_count,
            "differing": [finding.reference for finding in report.differing],
            "drift": report.drift or 0,
        }
        alerts = [] if report.is_clean else [found]
        limit = self._alerts.low_balance
        if limit is not None and report.balance is not None:
            self._is_low[bot.id] = report.balance < limit
            if self._is_low[bot.id]:
                alerts.append({"kind": "low_balance", "balance": report.balance, "limit": limit})
        self._tell(bot, alerts)
        self._feed.spawn(self._resume(bot), "the search for what admins were not told")

    def _tell(self, bot: Bot, alerts: list[dict[str, Any]], at: float | None = None) -> None:
        held = self._held.setdefault(bot.id, [])
        held += [{**alert, "at": self._shop.clock() if at is None else at} for alert in alerts]
        del held[:-MOST_HELD]
        if bot.id not in self._telling:
            self._telling.add(bot.id)
            self._feed.spawn(self._tell_all(bot), "telling admins")

    async def _resume(self, bot: Bot) -> None:
        """Tell of payments that wait although nobody was told: their worker died before it could."""
        now, alerts = self._shop.clock(), []
        for body in await self._shop.charges.waiting(bot.id, limit=MOST_FORGOTTEN):
            since = body["trail"][-1][0] if body.get("trail") else body["at"]
            if body.get("alerted") != reason_of(body) and since <= now - FORGOTTEN_AFTER:
                alerts.append(_alert_of_record(body))
        self._tell(bot, alerts, now)  # who is a step ahead may have told of them since

    async def _tell_all(self, bot: Bot) -> None:
        """Tell what is held, and what others have left, until nothing is untold or it cannot be told now."""
        me, failures, pause = new_nonce(), 0, GATHER
        try:
            while True:
                is_patient = await self._wait(bot, pause)
                is_told, pause = await self._tell_once(bot, me)
                if is_told:
                    if not pause and not self._held.get(bot.id):
                        return
                    failures, pause = 0, BETWEEN
                elif not is_patient or failures == len(PAUSES):
                    return  # the next alert, or the next reading, tries again
                else:
                    pause = max(pause, PAUSES[failures])
                    failures += 1
        finally:
            self._telling.discard(bot.id)

    async def _tell_once(self, bot: Bot, me: str) -> tuple[bool, float]:
        """Tell what is untold, once; return whether that worked, and after how many seconds to go on, if at all."""
        state = await self._put_down(bot, me)
        if state is None:
            return False, 0.0
        if not untold(state):
            return True, 0.0
        if state.get("teller") != me:
            return False, LEASE  # another worker is at it; should it die, this one goes on
        number, message, pause = sum(state["counts"].values()), None, 0.0
        try:
            message = await self._send(bot, state)
        except TelegramRetryAfter as error:
            pause = float(error.retry_after)
        except Exception as error:
            logger.error("bot %s: the chat %s was not told (%s)", bot.id, self._alerts.chat_id, name_of(error))
        try:
            state = await self._bulletins.told(bot.id, me, message, number)
        except Exception as error:
            logger.warning("bot %s: that admins were told is not written down (%s)", bot.id, name_of(error))
            return False, LEASE
        if message is None:
            return False, pause
        return True, BETWEEN if untold(state) else 0.0

    async def _put_down(self, bot: Bot, teller: str | None) -> dict[str, Any] | None:
        """Write down what is held, so that it outlives this process; ``None`` where the storage does not take it."""
        held = self._held.pop(bot.id, [])
        try:
            fresh = await self._untold(bot, held)
            state = await self._bulletins.add(bot.id, teller, fresh, is_low=self._is_low.get(bot.id))
        except Exception as error:
            self._held[bot.id] = [*held, *self._held.get(bot.id, [])][-MOST_HELD:]
            logger.warning("bot %s: alerts wait for the storage (%s)", bot.id, name_of(error))
            return None
        await self._mark(bot, fresh)
        return state

    async def _untold(self, bot: Bot, held: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the alerts that no worker has written down since they came up here, each once."""
        refs = list({alert["ref"] for alert in held if "ref" in alert})
        known = dict(zip(refs, await self._shop.charges.read(bot.id, refs), strict=True)) if refs else {}
        fresh: dict[Any, dict[str, Any]] = {}
        for number, alert in enumerate(held):
            body = known.get(alert.get("ref")) or {}
            if body.get("alerted") != alert.get("reason", "") or body.get("alerted_at", 0.0) < alert["at"]:
                what = (alert["ref"], alert["reason"]) if "ref" in alert else number
                fresh.setdefault(what, {name: value for name, value in alert.items() if name != "at"})
        return list(fresh.values())

    async def _send(self, bot: Bot, state: dict[str, Any]) -> int:
        """Send the message of a window, or edit it; return its id."""
        alerts = self._alerts
        content = bulletin(self._shop.texts, alerts.language, state)
        if (message_id := state.get("message")) is not None:
            try:
                await bot.edit_message_text(
                    chat_id=alerts.chat_id, message_id=message_id, request_timeout=REQUEST, **content
                )
                return int(message_id)
            except TelegramBadRequest as error:
                if "message is not modified" in error.message:
                    return int(message_id)
                # It was deleted, most likely: what it told is told anew.
        sent = await bot.send_message(
            alerts.chat_id, message_thread_id=alerts.thread_id, request_timeout=REQUEST, **content
        )
        return sent.message_id

    async def _mark(self, bot: Bot, alerts: list[dict[str, Any]]) -> None:
        """Note at payments that admins are told of them; from here on the bulletin outlives this process."""

        def mark(known: dict[str, Any]) -> dict[str, Any] | None:
            reason = reason_of(known)
            is_known = reason is None and not known.get("alerted")  # it was delivered or dismissed meanwhile
            return None if is_known else {"alerted": reason, "alerted_at": self._shop.clock()}

        for alert in alerts:
            if "ref" in alert:
                try:
                    await self._shop.charges.change(RecordKey(bot.id, CHARGE, alert["ref"]), mark, keep_due=True)
                except Exception as error:
                    logger.warning("bot %s: payment %s may be told twice (%s)", bot.id, alert["ref"], name_of(error))

    async def _wait(self, bot: Bot, seconds: float) -> bool:
        """Wait to tell more, and write down what comes up meanwhile; see :meth:`_nap`."""
        is_patient = await self._nap(min(seconds, GATHER))
        while is_patient and (seconds := seconds - GATHER) > 0:
            if self._held.get(bot.id):
                await self._put_down(bot, None)
            is_patient = await self._nap(min(seconds, GATHER))
        return is_patient

    async def _nap(self, seconds: float) -> bool:
        """Wait; ``False`` at once where time does not pass, and when this worker is to stop."""
        if not self._shop.timing.passes or self._stopping is None or self._stopping.is_set():
            return False
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return not self._stopping.is_set()

    @property
    def _bulletins(self) -> Bulletins:
        return Bulletins(self._shop.engine, self._shop.clock, window=self._alerts.window, lease=LEASE)


def _alert_of_event(event: PaymentStuck | PaymentUnmatched) -> dict[str, Any]:
    return _alert(
        event.reference, event.user_id, event.amount, event.stage_id, event.reason, event.error,
        is_unmatched=isinstance(event, PaymentUnmatched),
    )  # fmt: skip


def _alert_of_record(body: dict[str, Any]) -> dict[str, Any]:
    reference = reference_of(body["charge"], body["user"])
    reason, error, is_unmatched = reason_of(body), body.get("error"), body["state"] == UNMATCHED
    return _alert(reference, body["user"], body["amount"], body.get("stage"), reason, error, is_unmatched=is_unmatched)


def _alert(
    reference: str | None,
    user_id: int,
    amount: int,
    stage_id: str | None,
    reason: str | None,
    error: str | None,
    *,
    is_unmatched: bool,
) -> dict[str, Any]:
    """Return what is told of a payment that waits."""
    kind = "unmatched" if is_unmatched else "refund" if (reason or "").startswith("refund_") else "stuck"
    alert: dict[str, Any] = {"kind": kind, "ref": reference, "user": user_id, "amount": amount, "reason": reason}
    if stage_id:
        alert["stage"] = stage_id
    if error and not is_unmatched:
        alert["error"] = plain(error, LONGEST_ERROR)
    return alert
