"""Owns `BotLedger`, with which tests give a bot a past: old sales by the thousand, late rows, lost rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from aiogram_neonpay.sandbox import arguments, ledger
from aiogram_neonpay.sandbox.arguments import HasId
from aiogram_neonpay.sandbox.errors import ArgumentError
from aiogram_neonpay.sandbox.models import Affiliate, Charge, Invoice, LedgerRow, Receipt
from aiogram_neonpay.sandbox.partners import Details, RowKind, describe
from aiogram_neonpay.sandbox.rules import LARGEST_AMOUNT, PAYLOAD_BYTES, STARS, SUBSCRIPTION_PERIOD
from aiogram_neonpay.sandbox.world import BotAccount, World

_WITHDRAWAL_STATES = ("pending", "succeeded", "failed")
_PREMIUM_MONTHS = (3, 6, 12)
_MOST = 1_000_000
#: How long a row may be hidden, in seconds.
_LONGEST = 366 * 86_400


@dataclass(frozen=True, slots=True)
class PastSale:
    """A sale that is in the ledger and nowhere else: no chat, no update, nobody's balance but the bot's.

    ``user`` is a person or an id, ``amount`` the price in Stars, ``payload`` the invoice's (at most 128
    bytes). ``date`` and ``refunded`` (when it was refunded, if it was) are Unix seconds or aware datetimes, in
    the past. ``transaction_id`` is made up by default. ``subscription`` makes it a payment for 30 days.
    ``affiliate`` (a person or an id) earns ``per_mille`` thousandths of it.
    """

    user: HasId | int
    amount: int
    payload: str
    date: float | datetime
    title: str = "Past sale"
    transaction_id: str | None = None
    refunded: float | datetime | None = None
    subscription: bool = False
    affiliate: HasId | int | None = None
    per_mille: int = 0


class BotLedger:
    """What getStarTransactions shows of one bot, and how a test changes it.

    What is added moves the bot's balance; what is dropped or hidden does not. Nobody is told: the bot hears of
    a row when it reads its transactions. Wrong arguments raise `ArgumentError` and change nothing.
    """

    def __init__(self, world: World, bot: BotAccount) -> None:
        self._world = world
        self._bot = bot

    @property
    def rows(self) -> list[LedgerRow]:
        """The rows that are shown, in the order of getStarTransactions: oldest first."""
        return list(self._bot.ledger)

    def __len__(self) -> int:
        return len(self._bot.ledger)

    def add_sales(self, sales: Iterable[PastSale], *, in_order: bool = True) -> list[str]:
        """Add sales and return their charge ids, in the order given. 100,000 take a few seconds.

        :param in_order: put each where its date belongs, which moves the offsets of everything newer (a row
            that shows up late); ``False`` puts all of them behind the newest row, whatever their dates.
        """
        checked = [(sale, self._invoice(sale), self._moments(sale), self._affiliate(sale)) for sale in sales]
        self._check_ids([sale.transaction_id for sale, *_ in checked if sale.transaction_id is not None])
        rows: list[LedgerRow] = []
        charges: list[Charge] = []
        for sale, invoice, (date, refunded), affiliate in checked:
            user_id = arguments.id_of("user", sale.user)
            charge = ledger.make_charge(self._world, invoice, user_id, date, affiliate, sale.transaction_id)
            charges.append(charge)
            rows.append(ledger.sale_row(self._world, charge))
            if refunded is not None:
                charge.refunded = True
                rows.append(ledger.refund_row(self._world, charge, refunded))
        # One by one they would be moved past each other: first all at the end, then one stable sort.
        for row in rows:
            ledger.record(self._bot, row, in_order=False)
        if in_order:
            self._bot.ledger.sort(key=lambda row: row.date)
        self._world.feed.publish("ledger")
        return [charge.id for charge in charges]

    def add_row(
        self,
        kind: RowKind,
        amount: int,
        *,
        nanostars: int = 0,
        date: float | datetime | None = None,
        user: HasId | int | None = None,
        payload: str | None = None,
        state: str | None = None,
        per_mille: int | None = None,
        requests: int | None = None,
        months: int | None = None,
        outgoing: bool | None = None,
        in_order: bool = True,
    ) -> LedgerRow:
        """Add a row that is no sale.

        ======================= ======== ============================================================
        kind                    way      details
        ======================= ======== ============================================================
        ``withdrawal``          out      ``state``: ``pending``, ``succeeded`` or ``failed``
        ``reversed_withdrawal`` in
        ``ads``                 out
        ``broadcast``           out      ``requests``: how many messages were paid for
        ``commission``          in       ``per_mille``; ``user``: the sponsor of the programme
        ``paid_media``          in       ``user``; ``payload``
        ``gift``                out      ``user``
        ``channel_gift``        out
        ``channel_proceeds``    in
        ``premium``             out      ``user``; ``months``: 3, 6 or 12
        ``business_transfer``   in       ``user``
        ``other``               either   ``outgoing``
        ======================= ======== ============================================================

        :param amount: whole Stars, 0 to 999,999,999,999.
        :param nanostars: billionths of a Star beside them, 0 to 999,999,999.
        :param date: Unix seconds or an aware datetime, in the past; now by default.
        :param in_order: as in :meth:`add_sales`.
        """
        arguments.whole("nanostars", nanostars, 0, ledger.NANO - 1)
        arguments.whole("amount", amount, 0 if nanostars else 1, LARGEST_AMOUNT)
        when = self._world.clock.date() if date is None else self._moment("date", date)
        if state is not None:
            arguments.one_of("state", state, _WITHDRAWAL_STATES)
        if per_mille is not None:
            arguments.whole("per_mille", per_mille, 1, 999)
        if requests is not None:
            arguments.whole("requests", requests, 1, _MOST)
        if months is not None:
            arguments.one_of("months", months, _PREMIUM_MONTHS)
        user_id = None if user is None else self._person("user", user)
        direction, partner = describe(
            kind,
            outgoing,
            Details(
                amount=amount,
                date=when,
                user=None if user_id is None else self._world.people[user_id].as_user(),
                payload=payload,
                state=state,
                per_mille=per_mille,
                requests=requests,
                months=months,
            ),
        )
        row = LedgerRow(
            self._world.ids.charge_id(),
            amount,
            when,
            direction,
            user_id,
            payload,
            nanostars=nanostars,
            kind=kind,
            partner=partner,
        )
        ledger.record(self._bot, row, in_order=in_order)
        self._world.feed.publish("ledger")
        return row

    def drop_oldest(self, count: int) -> int:
        """Drop the oldest rows, as Telegram may some day; return how many there were to drop.

        Their charges can still be refunded.
        """
        arguments.whole("count", count, 1, LARGEST_AMOUNT)
        dropped = len(self._bot.ledger[:count])
        del self._bot.ledger[:count]
        self._world.feed.publish("ledger")
        return dropped

    def hide(self, receipt: Receipt | str, *, seconds: float) -> None:
        """Take the rows of a charge (sale and refund) out of sight; they come back where their dates belong.

        :param seconds: after so many seconds of the sandbox's clock, up to 366 days.
        """
        charge_id = receipt if isinstance(receipt, str) else receipt.transaction_id
        pause = arguments.duration("seconds", seconds, _LONGEST)
        hidden = [row for row in self._bot.ledger if row.id == charge_id]
        if not hidden:
            raise ArgumentError("receipt must be of a charge in the ledger of this bot, and this one is not")
        self._bot.ledger = [row for row in self._bot.ledger if row.id != charge_id]
        self._world.clock.call_at(self._world.clock.now() + pause, partial(self._show, hidden))
        self._world.feed.publish("ledger")

    def set_affiliate(self, user: HasId | int | None, per_mille: int = 0) -> None:
        """Let somebody earn a share of every sale from now on; ``None`` ends it.

        :param per_mille: the share in thousandths, 1 to 999.
        """
        self._bot.affiliate = None if user is None else self._earns("user", user, per_mille)

    def _show(self, rows: list[LedgerRow]) -> None:
        for row in rows:
            ledger.enter(self._bot, row)
        self._world.feed.publish("ledger")
        self._world.changed.notify()

    def _invoice(self, sale: PastSale) -> Invoice:
        amount = arguments.whole("amount", sale.amount, 1, LARGEST_AMOUNT)
        if not isinstance(sale.payload, str) or not 1 <= len(sale.payload.encode()) <= PAYLOAD_BYTES:
            raise ArgumentError(f"payload must be a text of 1 to {PAYLOAD_BYTES} bytes, not {sale.payload!r}")
        period = SUBSCRIPTION_PERIOD if sale.subscription else None
        return Invoice(self._bot.id, sale.title, "", sale.payload, STARS, amount, subscription_period=period)

    def _moments(self, sale: PastSale) -> tuple[int, int | None]:
        date = self._moment("date", sale.date)
        if sale.refunded is None:
            return date, None
        refunded = self._moment("refunded", sale.refunded)
        if refunded < date:
            raise ArgumentError(f"refunded must not be before date, {date}, but is {refunded}")
        return date, refunded

    def _affiliate(self, sale: PastSale) -> Affiliate | None:
        self._person("user", sale.user)
        return None if sale.affiliate is None else self._earns("affiliate", sale.affiliate, sale.per_mille)

    def _earns(self, name: str, user: HasId | int, per_mille: int) -> Affiliate:
        return Affiliate(self._person(name, user), arguments.whole("per_mille", per_mille, 1, 999))

    def _person(self, name: str, user: HasId | int) -> int:
        user_id = arguments.id_of(name, user)
        if user_id not in self._world.people:
            raise ArgumentError(f"{name} must be a person of the sandbox, not {user_id}")
        return user_id

    def _moment(self, name: str, value: float | datetime) -> int:
        return arguments.moment(name, value, self._world.clock.now())

    def _check_ids(self, ids: list[str]) -> None:
        if len(set(ids)) < len(ids) or any(charge_id in self._world.charges for charge_id in ids):
            raise ArgumentError("transaction_id must be new to the sandbox, and different for each sale")
