"""The methods of ``NeonPay`` about what was sold: look up, refund, deliver again, reconcile, report."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiogram import Bot

from aiogram_neonpay.checks import check_stage_id
from aiogram_neonpay.errors import PaymentError, PaymentNotFoundError, StageNotFoundError, ValidationError
from aiogram_neonpay.installation import Installation
from aiogram_neonpay.invoices import check_user_id
from aiogram_neonpay.ledger.charges import ANNOUNCED, DELIVERED, PAID, REFUNDED, REJECTED, reference_of
from aiogram_neonpay.models import PaymentResult, PaymentStatus
from aiogram_neonpay.records import status_of
from aiogram_neonpay.routers import PaymentRouter
from aiogram_neonpay.shop import Shop

if TYPE_CHECKING:
    from aiogram_neonpay.diagnosis import Diagnosis
    from aiogram_neonpay.findings import ReconcileReport
    from aiogram_neonpay.reports import Report
    from aiogram_neonpay.timeline import TimelineEntry

__all__ = ["BackOffice"]

MOST_REASON = 500
"""Characters of a refund's reason that are kept."""
MOST_OFFSET = 10_000_000
PAGE = 100
"""Payments that are read at a time where only some of them are wanted."""
_PAID = (PaymentStatus.COMPLETED, PaymentStatus.FAILED, PaymentStatus.REFUNDED)
LAST_MOMENT = 253_402_300_799
"""Unix seconds of the end of the year 9999."""


class BackOffice(PaymentRouter):
    """Reads and moves on the records of one shop."""

    _shop: Shop
    _installation: Installation

    def _acting(self, bot: Bot | None) -> Bot:
        raise NotImplementedError

    async def get_payment(
        self, payment_id: str, *, user_id: int | None = None, bot: Bot | None = None
    ) -> PaymentResult | None:
        """Return a payment by its ``transaction_id`` or its ``reference``, or ``None``.

        :param user_id: the buyer, if known; a charge id is found faster with it.
        """
        _check_payment_id(payment_id)
        check_user_id("user_id", user_id)
        found = await self._shop.charges.find(self._acting(bot).id, payment_id, user_id)
        return None if found is None else await self._shop.payment(found[1], found[0].name)

    async def get_timeline(
        self, payment_id: str, *, user_id: int | None = None, bot: Bot | None = None
    ) -> tuple[TimelineEntry, ...]:
        """Return what happened to a payment, oldest first: issued, paid, each attempt with its worker, delivered, ...

        :param payment_id: its ``transaction_id`` or ``reference``.
        :raises PaymentNotFoundError: when the ledger does not know it.
        """
        from aiogram_neonpay.timeline import timeline_of  # for who asks: most bots start without

        _check_payment_id(payment_id)
        check_user_id("user_id", user_id)
        acting = self._acting(bot)
        found = await self._shop.charges.find(acting.id, payment_id, user_id)
        if found is None:
            raise PaymentNotFoundError(payment_id)
        return await timeline_of(self._shop, acting, found[1])

    async def history(
        self,
        user_id: int,
        *,
        limit: int = 20,
        offset: int = 0,
        stage_id: str | None = None,
        status: PaymentStatus | None = None,
        bot: Bot | None = None,
    ) -> list[PaymentResult]:
        """Return a buyer's payments, newest first.

        A page costs two reads of the storage. With a filter, payments are read 100 at a time, the newest first, until
        the page is full: its cost grows with how many of this buyer's payments stand before its end, fitting or not.

        :param limit: 1-100 payments of the page.
        :param offset: how many newer ones to skip; with a filter, of those that fit it.
        :param stage_id: only payments of this stage, also one that was removed.
        :param status: only payments that stand so: COMPLETED, FAILED or REFUNDED.
        :raises ValidationError: naming the parameter, its limit and the value.
        """
        check_user_id("user_id", user_id, required=True)
        _check_page(limit, offset)
        if stage_id is not None:
            check_stage_id(stage_id)
        if status is not None and status not in _PAID:
            raise ValidationError("status", "must be PaymentStatus.COMPLETED, FAILED or REFUNDED, or None", status)
        status = None if status is None else PaymentStatus(status)
        acting = self._acting(bot)
        if stage_id is None and status is None:
            records = await self._shop.charges.history(acting.id, user_id, limit=limit, offset=offset)
        else:
            records = await self._matching(acting, user_id, stage_id, status, offset + limit)
            records = records[offset:]
        return [await self._shop.payment(record, _reference(record)) for record in records]

    async def _matching(
        self, bot: Bot, user_id: int, stage_id: str | None, status: PaymentStatus | None, most: int
    ) -> list[dict[str, Any]]:
        """Return a buyer's newest payments that fit, as many as are wanted."""
        found: list[dict[str, Any]] = []
        read = 0
        while len(found) < most:
            page = await self._shop.charges.history(bot.id, user_id, limit=PAGE, offset=read)
            read += PAGE
            found += [
                record
                for record in page
                if (stage_id is None or record.get("stage") == stage_id)
                and (status is None or status_of(record) is status)
            ]
            if len(page) < PAGE:
                break
        return found[:most]

    async def stuck_payments(self, *, limit: int = 100, offset: int = 0, bot: Bot | None = None) -> list[PaymentResult]:
        """Return payments that wait for a person, oldest first: unmatched ones, and deliveries that cannot go on.

        Why each waits is its ``reason``, what went wrong last its ``error``.

        :param limit: 1-100 payments of the page.
        :param offset: how many older ones to skip.
        """
        _check_page(limit, offset)
        records = await self._shop.charges.waiting(self._acting(bot).id, limit=limit, offset=offset)
        return [await self._shop.payment(record, _reference(record)) for record in records]

    async def refund(
        self,
        payment_id: str,
        reason: str | None = None,
        *,
        user_id: int | None = None,
        wait: bool = True,
        bot: Bot | None = None,
    ) -> PaymentResult:
        """Give all Stars of a payment back; asking twice gives one refund.

        The request is recorded before it is sent, and sent until Telegram confirms or refuses, by whichever worker
        runs then. A delivery that is running is waited for.

        :param payment_id: its ``transaction_id`` or ``reference``.
        :param reason: kept in the ledger.
        :param user_id: the buyer, for a charge that the ledger does not know; the result's amount is then 0.
        :param wait: for Telegram's word, and up to 10 seconds for a running delivery; ``False`` returns once the
            request is recorded.
        :return: the payment: REFUNDED when waited for.
        :raises PaymentNotFoundError: when the ledger does not know it and no ``user_id`` is given.
        :raises RefundError: when Telegram refuses (``is_final``), or has not confirmed yet.
        """
        _check_payment_id(payment_id)
        check_user_id("user_id", user_id)
        if reason is not None and not isinstance(reason, str):
            raise ValidationError("reason", "must be a string or None", reason)
        reason = reason and reason[:MOST_REASON].encode("utf-8", "replace").decode()
        return await self._installation.refunds.refund(self._acting(bot), payment_id, reason, user_id, wait)

    async def redeliver(self, payment_id: str, *, user_id: int | None = None, bot: Bot | None = None) -> PaymentResult:
        """Have a payment that waits for a person, or for its next attempt, delivered now.

        It is made due and returns at once: a worker delivers, never the calling handler. The schedule of retries
        begins anew; handlers that have returned before are not called again. For a payment whose refund no handler
        took (``refund_unheard``) it is the news of the refund that is told again.

        :param payment_id: its ``transaction_id`` or ``reference``.
        :raises PaymentNotFoundError: when the ledger does not know it.
        :raises PaymentError: when it was delivered, refunded or rejected, or is being delivered.
        """
        _check_payment_id(payment_id)
        check_user_id("user_id", user_id)
        acting = self._acting(bot)
        found = await self._shop.charges.find(acting.id, payment_id, user_id)
        if found is None:
            raise PaymentNotFoundError(payment_id)
        key, _ = found

        def again(known: dict[str, Any]) -> dict[str, Any] | None:
            if known.get("refund") == ANNOUNCED and known.get("trouble"):
                return {"refund": REFUNDED, "trouble": None, "tells": 0}
            if known.get("refund"):
                raise PaymentError(f"payment {key.name} is refunded, or being refunded: there is nothing to deliver")
            if known["state"] in (DELIVERED, REJECTED):
                raise PaymentError(f"payment {key.name} was {known['state']} already: it is not delivered twice")
            if known["state"] == PAID and not known["free"]:
                raise PaymentError(f"payment {key.name} is being delivered: ask again when that has ended")
            return {"state": PAID, "tried": known["attempts"], "reason": None, "alerted": None}

        record = await self._shop.charges.change(key, again)
        if record is None:
            raise PaymentNotFoundError(payment_id)
        if self._installation.worker.is_running:
            self._installation.worker.wake(acting, key.name)
        return await self._shop.payment(record, key.name)

    async def dismiss(self, payment_id: str, *, user_id: int | None = None, bot: Bot | None = None) -> PaymentResult:
        """Take a payment off the list of those that wait for a person, when nothing of it is open any more.

        That is one that was delivered and whose refund Telegram refuses (``refund_refused``), and one that is refunded
        but whose refund no handler took (``refund_unheard``).

        :param payment_id: its ``transaction_id`` or ``reference``.
        :raises PaymentNotFoundError: when the ledger does not know it.
        :raises PaymentError: when it does not wait, or is still to be delivered or refunded.
        """
        _check_payment_id(payment_id)
        check_user_id("user_id", user_id)
        found = await self._shop.charges.find(self._acting(bot).id, payment_id, user_id)
        if found is None:
            raise PaymentNotFoundError(payment_id)
        key, _ = found

        def dismiss(known: dict[str, Any]) -> dict[str, Any] | None:
            if known.get("trouble") not in ("refund_refused", "refund_unheard"):
                raise PaymentError(
                    f"payment {key.name} has nothing to dismiss: redeliver() or refund() ends what waits"
                )
            return {"trouble": None}

        record = await self._shop.charges.change(key, dismiss)
        if record is None:
            raise PaymentNotFoundError(payment_id)
        return await self._shop.payment(record, key.name)

    async def stock_left(self, stage_id: str, *, bot: Bot | None = None) -> int | None:
        """Return how many of a stage may be sold yet, those kept for open checkouts not among them.

        :return: ``None`` for a stage without ``stock=``.
        :raises StageNotFoundError: when there is no such stage.
        """
        check_stage_id(stage_id)
        acting, stage = self._acting(bot), await self._shop.catalog.get(stage_id)
        if stage is None:
            raise StageNotFoundError(stage_id)
        return None if stage.stock is None else await self._shop.stocks.left(acting.id, stage_id, stage.stock)

    async def run_due(self) -> int:
        """Do what is due now and wait for it: retries, refunds, charges of workers that died; for tests and cron.

        Not for handlers: it waits for deliveries, which may wait for the isolation lock of the handler that calls it.

        :return: how many charges were gone on with.
        """
        return await self._installation.worker.run_due()

    async def reconcile(
        self, since: datetime | float | None = None, dry_run: bool = False, *, bot: Bot | None = None
    ) -> ReconcileReport:
        """Compare the ledger with Telegram's own (Bot API ``getStarTransactions``) and repair it.

        Charges that were never recorded become due and are delivered by a worker as ``recovered`` payments; refunds
        made elsewhere become ``refunded`` events. Safe at any time, by several workers at once.

        :param since: how far back to look, as a datetime or Unix seconds; from where the last reading ended when
            omitted, at the first run: from now on. With it, sales from before the plugin's first start are in scope.
        :param dry_run: change nothing, only report what would be done.
        :raises TelegramAPIError: when Telegram does not answer; nothing is lost, run it again.
        """
        moment = since
        if isinstance(moment, datetime):
            try:
                moment = moment.timestamp()
            except (OverflowError, OSError, ValueError):
                moment = -1.0
        if moment is not None and (
            isinstance(moment, bool) or not isinstance(moment, (int, float)) or not 0 <= moment <= LAST_MOMENT
        ):
            raise ValidationError("since", "must be a datetime or Unix seconds, from 1970 to 9999", since)
        if not isinstance(dry_run, bool):
            raise ValidationError("dry_run", "must be True or False", dry_run)
        return await self._installation.reconciler.run(self._acting(bot), moment, dry_run=dry_run)

    async def report(self, days: int = 30, *, bot: Bot | None = None) -> Report:
        """Return what was sold and refunded, by day (UTC) and stage; ``str()`` of it is a table.

        :param days: 1-366, counted back from today.
        """
        from aiogram_neonpay.reports import make_report

        return await make_report(self._shop, self._acting(bot), days)

    async def doctor(self, bot: Bot | None = None) -> Diagnosis:
        """Look for what silently kills sales; ``str()`` of the result has a line with its fix for each finding.

        Update types that are not asked for, a webhook elsewhere or none, a storage that forgets or fails, a Redis that
        evicts or has no persistence, isolation that locks one process only, a clock that is off, a secret that
        changed, a negative balance. It runs by itself a few seconds after start-up, into the log.
        """
        return await self._installation.doctor.examine(self._acting(bot))


def _reference(record: dict[str, Any]) -> str:
    return reference_of(record["charge"], record["user"])


def _check_payment_id(value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValidationError("payment_id", "must be a transaction_id or a reference", value)


def _check_page(limit: int, offset: int) -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 100:
        raise ValidationError("limit", "must be 1-100", limit)
    if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset <= MOST_OFFSET:
        raise ValidationError("offset", f"must be 0-{MOST_OFFSET}", offset)
