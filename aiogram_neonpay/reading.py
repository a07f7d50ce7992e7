"""One reading of one bot's rows in Telegram's own ledger: each is judged against ours, in constant memory."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from typing import Any

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError
from aiogram.types import StarTransaction, TransactionPartnerUser

from aiogram_neonpay.findings import SHOWN, Finding, Kind, ReconcileReport
from aiogram_neonpay.ledger.aliases import is_alias
from aiogram_neonpay.ledger.charges import is_refunded, reference_of
from aiogram_neonpay.mediasales import MediaSales, as_media, charge_of_media, media_payload_of
from aiogram_neonpay.payload import InvoiceToken, looks_ours
from aiogram_neonpay.records import facts_of_row, in_log
from aiogram_neonpay.shop import Shop
from aiogram_neonpay.transactions import Pages, key_of, moment_of

__all__ = ["Reading"]

logger = logging.getLogger("aiogram_neonpay")

OVERLAP = 48 * 3600.0
"""Seconds before the watermark at which reading begins: a row may appear late."""
SOON = 120.0
"""Seconds after which the update of a row would have come, if none is waiting at Telegram."""
KEPT = 24 * 3600.0
"""Seconds for which Telegram keeps an update (Bot API, Getting updates)."""
BUFFERED = 5000
"""Charges to recover that are kept back until the reading ends: a refund of one may follow."""
SETTLED = 3600.0
"""Seconds by which a payment must be older than the last row of a reading cut off: most refunds follow soon."""
BALANCE_TRIES = 5
NANO = 1_000_000_000
"""Nanostars of a Star. Bot API ``StarAmount``."""


class Reading:
    """One reading of one bot's rows.

    :ivar cut_at: the date up to which everything is recorded, when it was cut off.
    :ivar due: charges to go on with, the first ones.
    """

    def __init__(self, shop: Shop, bot: Bot, state: dict[str, Any], since: float | None, dry_run: bool) -> None:
        self._shop = shop
        self._bot = bot
        self._media = MediaSales(shop)
        self._state = state
        self._dry_run = dry_run
        self._now = shop.clock()
        self._is_regular = since is None
        self._scope = state["baseline"] if since is None else since
        self._adopts_since = state.get("adopts_since", self._scope) if since is None else since
        self._start = max(state["baseline"], state["watermark"] - OVERLAP) if since is None else since
        if since is None and (resume_at := state.get("resume_at")) is not None:
            self._start = max(state["baseline"], resume_at)
        else:
            # The row at which the balance was last asked for is looked for as well.
            self._start = min(self._start, state.get("anchor_at", self._start))
        self._pages = Pages(bot, self._start, state.get("hint", 0), patient=shop.timing.passes)
        self._judged_until = 0.0
        self._rows = self._foreign = self._waiting = self._affiliates = 0
        self._recovered, self._refunded, self._differing = Kind(), Kind(), Kind()
        self._buffer: dict[str, dict[str, Any]] = {}
        self.cut_at: float | None = None
        self._last: StarTransaction | None = None
        self._first_waiting: float | None = None
        self._balance: int | None = None
        self._since_anchor: int | None = None
        self.due: list[str] = []

    async def run(self) -> ReconcileReport:
        """Read to the end.

        :raises Exception: what cut it off; what was found until then is recorded all the same.
        """
        waiting_updates = (await self._bot.get_webhook_info()).pending_update_count
        self._judged_until = self._now - (KEPT if waiting_updates else SOON)
        try:
            while not self._pages.is_over:
                await self._judge(await self._pages.next())
            await self._weigh()
        except Exception:
            await self._cut_off()
            raise
        while self._buffer:
            await self._recover(next(iter(self._buffer)))
        return self._report()

    async def _weigh(self) -> None:
        """Ask for the balance, until no row came between the last one read and the answer."""
        for _ in range(BALANCE_TRIES):
            self._balance = await self._ask_balance()
            rows = [] if self._balance is None else await self._pages.next()
            if not rows:
                return
            await self._judge(rows)
        self._balance = None  # the bot sells faster than it can be weighed

    async def _cut_off(self) -> None:
        """Record what can be, so that the next reading goes on from here; a refund of a young payment may follow."""
        if self._dry_run or self._last is None:
            return
        last = moment_of(self._last)
        waiting = last if self._first_waiting is None else self._first_waiting
        cut_at = min(last - SETTLED, waiting)
        if cut_at <= self._start:  # no step forward: so many rows in so short a time
            cut_at = min(last, waiting)
        for name in [name for name, facts in self._buffer.items() if facts["at"] < cut_at]:
            await self._recover(name)
        self.cut_at = cut_at

    async def _judge(self, rows: list[StarTransaction]) -> None:
        ours: list[tuple[StarTransaction, TransactionPartnerUser, InvoiceToken | None, str]] = []
        for row in rows:
            self._rows += 1
            self._last = row
            self._count(row)
            partner = row.receiver if row.receiver is not None else row.source
            read = self._read(row, partner) if isinstance(partner, TransactionPartnerUser) else None
            if read is None or not isinstance(partner, TransactionPartnerUser):
                self._foreign += 1
            else:
                ours.append((row, partner, read[0], _name_of(row, partner)))
        names = [name for *_, name in ours]
        names += [_own_name(row, partner) for row, partner, *_ in ours if media_payload_of(partner)]
        known = dict(zip(names, await self._shop.charges.read(self._bot.id, names), strict=True))
        for row, partner, token, name in ours:
            record = known[name]
            if media_payload_of(partner):
                name, record = await self._find_media(row, partner.user.id, name, record, known)
            await self._judge_one(row, partner, token, name, record)

    async def _find_media(
        self,
        row: StarTransaction,
        user_id: int,
        name: str,
        record: dict[str, Any] | None,
        known: dict[str, dict[str, Any] | None],
    ) -> tuple[str, dict[str, Any] | None]:
        """Return the record of the sale of media that a row is about, after noting there what Telegram calls it."""
        own = reference_of(row.id, user_id)
        pointer = known[own]
        if pointer is not None and not is_alias(pointer):
            return own, pointer  # these media were sold to this buyer before
        held = self._buffer.get(name) if record is None else record
        real = None if held is None else held.get("real")
        if record is not None and not self._dry_run and (real is None or (real == row.id and pointer is None)):
            record = await self._media.attach(self._bot, name, row.id, user_id)
            real = None if record is None else record["real"]
        return (name, record) if real in (None, row.id) else (own, None)

    def _read(self, row: StarTransaction, partner: TransactionPartnerUser) -> tuple[InvoiceToken | None] | None:
        """Return what the invoice of a row says, or ``None`` for what is none of ours or was before our time."""
        if payload := media_payload_of(partner):
            token = self._shop.signer(self._bot).verify(payload) if looks_ours(payload) else None
            issued = 0 if token is None else token.issued_at
            return (token,) if looks_ours(payload) and max(moment_of(row), issued) >= self._scope else None
        if getattr(partner, "transaction_type", "invoice_payment") != "invoice_payment" or not partner.invoice_payload:
            return None
        is_ours, token = self._shop.read_payload(self._bot, partner.invoice_payload, row.amount)
        issued = 0 if token is None else token.issued_at
        scope = self._scope if looks_ours(partner.invoice_payload) else max(self._scope, self._adopts_since)
        return (token,) if is_ours and max(moment_of(row), issued) >= scope else None

    async def _judge_one(
        self,
        row: StarTransaction,
        partner: TransactionPartnerUser,
        token: InvoiceToken | None,
        name: str,
        record: dict[str, Any] | None,
    ) -> None:
        is_refund = row.receiver is not None
        recorded = None if record is None else record["amount"]
        stage = token.stage_id if token is not None else None
        date = datetime.fromtimestamp(moment_of(row), timezone.utc)
        finding = Finding(name, partner.user.id, row.amount, date, stage)
        if recorded is not None and recorded != row.amount:
            self._differing.add(Finding(name, partner.user.id, row.amount, date, stage, recorded))
        if record is not None and (is_refunded(record) or not is_refund):
            return
        if moment_of(row) > self._judged_until:
            self._wait_for(moment_of(row))
            if is_refund and (held := self._buffer.pop(name, None)) is not None:
                # The payment was given back: it is not to be delivered before that can be told.
                self._recovered.drop(name, row.amount)
                self._wait_for(float(held["at"]))
            return
        facts = facts_of_row(row, partner, token)
        if media_payload_of(partner):
            facts = as_media(facts, again=name == _own_name(row, partner))
        if not is_refund and name in self._buffer:
            return
        if not is_refund:
            self._recovered.add(finding)
            self._buffer[name] = facts
            if len(self._buffer) > BUFFERED:
                await self._recover(next(iter(self._buffer)))
            return
        self._refunded.add(finding)
        if (held := self._buffer.pop(name, None)) is not None:
            self._recovered.drop(name, row.amount)
            facts = held
        if not self._dry_run:
            if await self._shop.charges.note_refund(self._bot.id, facts):
                self._make_due(name)
            else:
                self._refunded.drop(name, row.amount)
        await self._attach(name, facts)

    def _wait_for(self, moment: float) -> None:
        """Leave a row to a later reading."""
        self._waiting += 1
        self._first_waiting = min(self._first_waiting or moment, moment)

    async def _recover(self, name: str) -> None:
        """Record a charge that was found; a worker delivers it."""
        facts = self._buffer.pop(name)
        if not self._dry_run:
            if await self._shop.charges.note(self._bot.id, {**facts, "recovered": True}):
                logger.warning("%s was in Telegram's ledger only: it is recovered", in_log(self._bot, name, facts))
                self._make_due(name)
            else:
                self._recovered.drop(name, facts["amount"])  # another reading was a step ahead, and tells of it
        await self._attach(name, facts)

    async def _attach(self, name: str, facts: dict[str, Any]) -> None:
        """Let media that were recorded from a row be found by what Telegram calls their sale."""
        if facts.get("media") and not self._dry_run:
            await self._media.attach(self._bot, name, facts["real"], facts["user"])

    def _make_due(self, name: str) -> None:
        if len(self.due) < SHOWN:  # the others are found by the worker's next looks
            self.due.append(name)

    def _count(self, row: StarTransaction) -> None:
        """Add up what the rows since the last reading made of the balance."""
        partner = row.receiver if row.receiver is not None else row.source
        if self._since_anchor is not None:
            nano = getattr(row, "nanostar_amount", None) or 0
            worth = row.amount * NANO + nano
            self._since_anchor += -worth if row.receiver is not None else worth
            self._affiliates += getattr(partner, "affiliate", None) is not None
        if [*key_of(row)] == self._state.get("anchor"):
            self._since_anchor = 0
            self._affiliates = 0

    async def _ask_balance(self) -> int | None:
        ask = getattr(self._bot, "get_my_star_balance", None)  # aiogram 3.21
        if ask is None:
            return None
        try:
            owned = await ask()
        except TelegramAPIError as error:
            logger.warning("the balance of bot %s cannot be read (%s)", self._bot.id, error)
            return None
        return int(owned.amount) * NANO + (owned.nanostar_amount or 0)

    def progress(self, known: dict[str, Any]) -> dict[str, Any]:
        """Return what to remember of this reading; one from another date on leaves gaps before or after it."""
        if not self._is_regular:
            return {"reading_until": 0.0}
        if self.cut_at is not None:
            watermark = max(known["watermark"], self.cut_at)
            return {"watermark": watermark, "resume_at": self.cut_at, "hint": self._pages.offset, "reading_until": 0.0}
        last = known["watermark"] if self._last is None else max(known["watermark"], moment_of(self._last))
        watermark = last if self._first_waiting is None else min(last, self._first_waiting)
        changes: dict[str, Any] = {"watermark": watermark, "read_at": self._now, "reading_until": 0.0}
        changes["judged"] = self._judged_until
        changes.update(hint=self._pages.first or 0, resume_at=None)
        if self._balance is not None and self._last is not None:
            changes["anchor"], changes["balance"] = [*key_of(self._last)], self._balance
            changes["anchor_at"] = moment_of(self._last)
        return changes

    def _report(self) -> ReconcileReport:
        drift: int | None = None
        if self._balance is not None and self._since_anchor is not None and "balance" in self._state:
            drift = _whole_stars(self._balance - self._state["balance"] - self._since_anchor)
        return ReconcileReport(
            bot_id=self._bot.id,
            at=datetime.fromtimestamp(self._now, timezone.utc),
            since=datetime.fromtimestamp(self._start, timezone.utc),
            dry_run=self._dry_run,
            rows=self._rows,
            foreign=self._foreign,
            recovered=tuple(self._recovered.shown),
            recovered_count=self._recovered.count,
            recovered_stars=self._recovered.stars,
            refunded=tuple(self._refunded.shown),
            refunded_count=self._refunded.count,
            refunded_stars=self._refunded.stars,
            differing=tuple(self._differing.shown),
            differing_count=self._differing.count,
            waiting=self._waiting,
            balance=None if self._balance is None else _whole_stars(self._balance),
            drift=drift,
            with_affiliates=self._affiliates,
        )


def _own_name(row: StarTransaction, partner: TransactionPartnerUser) -> str:
    return reference_of(row.id, partner.user.id)


def _name_of(row: StarTransaction, partner: TransactionPartnerUser) -> str:
    """Return the reference under which the charge of a row is recorded."""
    payload = media_payload_of(partner)
    charge = charge_of_media(payload, partner.user.id) if payload else row.id
    return reference_of(charge, partner.user.id)


def _whole_stars(nanostars: int) -> int:
    """Return Stars, rounded towards zero: a part of one is no drift."""
    return nanostars // NANO if nanostars >= 0 else -(-nanostars // NANO)
