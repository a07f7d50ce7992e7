"""Telegram's own ledger is the last word: what ours lacks is repaired, once, and nothing from before our time."""

from __future__ import annotations

import asyncio
import bisect
import itertools
import tracemalloc
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pytest
from aiogram import Dispatcher, methods
from aiogram.exceptions import TelegramNetworkError, TelegramRetryAfter, TelegramServerError
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import AnswerPreCheckoutQuery, GetStarTransactions, GetWebhookInfo
from aiogram.types import StarAmount, StarTransaction, StarTransactions, WebhookInfo

from aiogram_neonpay import (
    ConfigurationError,
    LegacyInvoice,
    NeonPay,
    PaymentCompleted,
    PaymentRefunded,
    PaymentStage,
    PaymentStatus,
    PaymentUnmatched,
    ValidationError,
    neonpay_router,
)
from aiogram_neonpay.findings import ReconcileReport
from tests.flow.clock import Clock
from tests.telegram import ALICE, BOB, RecordingBot, charge_of, paid, pre_checkout

pytestmark = pytest.mark.asyncio
GetMyStarBalance = getattr(methods, "GetMyStarBalance", None)  # aiogram 3.21
needs_balance = pytest.mark.skipif(GetMyStarBalance is None, reason="this aiogram cannot ask for the balance")

STAGES = {"premium": PaymentStage("Premium", "30 days of premium", 25, payload={"days": 30})}
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass
class Telegram:
    """Telegram's side: rows in the order of their dates, a balance, and updates that wait."""

    bot: RecordingBot
    clock: Clock
    rows: list[StarTransaction] = field(default_factory=list)
    extra: int = 0
    pending: int = 0
    asked: int = 0
    at_page: Any = None

    def __post_init__(self) -> None:
        self.bot.answer(GetStarTransactions, self._page)
        if GetMyStarBalance is not None:
            self.bot.answer(GetMyStarBalance, lambda method: StarAmount(amount=self.balance))
        self.bot.answer(GetWebhookInfo, self._webhook)

    @property
    def balance(self) -> int:
        return self.extra + sum(-row.amount if row.receiver else row.amount for row in self.rows)

    def _webhook(self, method: GetWebhookInfo) -> WebhookInfo:
        return WebhookInfo(url="", has_custom_certificate=False, pending_update_count=self.pending)

    def _page(self, method: GetStarTransactions) -> StarTransactions:
        self.asked += 1
        if self.at_page is not None:
            self.at_page(method)
        first = method.offset or 0
        return StarTransactions(transactions=self.rows[first : first + min(method.limit or 100, 100)])

    def put(
        self, charge: str, payload: str, *, amount: int = 25, user: int = ALICE, ago: float = 0, back: bool = False
    ) -> StarTransaction:
        """Enter a row that is so many seconds old: a payment, or one that went back."""
        partner = {
            "type": "user",
            "transaction_type": "invoice_payment",
            "user": {"id": user, "is_bot": False, "first_name": "Ann", "language_code": "ru"},
            "invoice_payload": payload,
        }
        row = StarTransaction.model_validate(
            {
                "id": charge,
                "amount": amount,
                "date": int(self.clock.now - ago),
                "receiver" if back else "source": partner,
            }
        )
        bisect.insort(self.rows, row, key=lambda item: item.date)
        return row


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def telegram(bot: RecordingBot, clock: Clock) -> Telegram:
    return Telegram(bot, clock)


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def pay(bot: RecordingBot, clock: Clock) -> NeonPay:
    return neonpay_router(STAGES, bot=bot, clock=clock)


@pytest.fixture
def dp(pay: NeonPay, storage: MemoryStorage) -> Dispatcher:
    dispatcher = Dispatcher(storage=storage)
    dispatcher.include_router(pay)
    return dispatcher


@pytest.fixture
def delivered(pay: NeonPay, dp: Dispatcher) -> list[PaymentCompleted]:
    heard: list[PaymentCompleted] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append(event)

    return heard


async def invoice(bot: RecordingBot, pay: NeonPay, **options: Any) -> str:
    await pay.send_payment(ALICE, "premium", bot=bot, **options)
    return bot.payload()


async def lost_sale(telegram: Telegram, pay: NeonPay, charge: str = "stxLost", **options: Any) -> str:
    """Sell something whose update never comes, an hour ago by now."""
    payload = await invoice(telegram.bot, pay, **options)
    telegram.put(charge, payload)
    telegram.clock.now += HOUR
    return payload


async def test_a_payment_whose_update_was_lost_is_delivered_as_recovered(
    bot: RecordingBot, pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    await lost_sale(telegram, pay, metadata={"order": 7})
    report = await pay.reconcile()
    assert delivered == [], "a worker delivers, never the caller"
    await pay.run_due()

    [event] = delivered
    assert (event.transaction_id, event.recovered, event.attempt) == ("stxLost", True, 1)
    assert (event.stage_id, event.amount, event.user_id) == ("premium", 25, ALICE)
    assert event.metadata == {"days": 30, "order": 7}
    assert event.message is not None and event.message.from_user is not None
    assert event.message.from_user.language_code == "ru"
    assert report.recovered_count == 1 and report.recovered[0].reference == event.reference
    assert not report.is_clean
    assert (await pay.reconcile()).is_clean
    assert await pay.run_due() == 0


async def test_a_payment_in_the_second_of_the_first_start_is_ours(
    pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    telegram.clock.now += 0.1
    payload = await invoice(telegram.bot, pay)
    telegram.clock.now += 0.6
    await pay.reconcile()
    telegram.put("stxFirst", payload)
    telegram.clock.now += HOUR
    await pay.reconcile()
    await pay.run_due()

    assert [event.transaction_id for event in delivered] == ["stxFirst"]


async def test_metadata_kept_in_the_storage_comes_back_with_a_recovered_payment(
    pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    await lost_sale(telegram, pay, metadata={"long": "x" * 500})
    await pay.reconcile()
    await pay.run_due()

    assert delivered[0].metadata == {"days": 30, "long": "x" * 500}


async def test_the_update_of_a_recovered_payment_delivers_nothing_again(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    payload = await lost_sale(telegram, pay)
    await pay.reconcile()
    await pay.run_due()
    await dp.feed_raw_update(bot, paid(payload, charge="stxLost"))

    assert len(delivered) == 1


@pytest.mark.parametrize(
    ("ago", "pending", "recovered"),
    [
        (MINUTE, 0, False),
        (3 * MINUTE, 0, True),
        (3 * MINUTE, 5, False),
        (23 * HOUR, 5, False),
        (25 * HOUR, 5, True),
    ],
)
async def test_nothing_is_recovered_while_its_own_update_may_still_come(
    pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted], ago: float, pending: int, recovered: bool
) -> None:
    await pay.reconcile()
    telegram.put("stxYoung", await invoice(telegram.bot, pay))
    telegram.clock.now += ago
    telegram.pending = pending
    report = await pay.reconcile()
    await pay.run_due()
    assert (report.recovered_count, report.waiting, len(delivered)) == ((1, 0, 1) if recovered else (0, 1, 0))

    telegram.clock.now += 3 * DAY  # and it is not forgotten: the watermark did not pass it
    await pay.reconcile()
    await pay.run_due()
    assert len(delivered) == 1


async def test_the_first_run_on_an_old_bot_delivers_nothing_of_the_past_unless_asked_to(
    pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    payload = await invoice(telegram.bot, pay)
    for number in range(3):
        telegram.put(f"stx{number}", payload)
    long_ago = telegram.clock.now
    telegram.clock.now += 10 * DAY
    assert (await pay.reconcile()).is_clean
    assert (await pay.reconcile()).is_clean
    assert await pay.run_due() == 0

    report = await pay.reconcile(since=datetime.fromtimestamp(long_ago, timezone.utc), dry_run=True)
    assert (report.recovered_count, report.dry_run) == (3, True)
    assert await pay.run_due() == 0
    assert (await pay.reconcile(since=long_ago)).recovered_count == 3
    await pay.run_due()
    assert len(delivered) == 3


async def test_a_wiped_ledger_redelivers_nothing(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, storage: MemoryStorage, telegram: Telegram,
    delivered: list[PaymentCompleted],
) -> None:  # fmt: skip
    await pay.reconcile()
    payload = await invoice(bot, pay)
    for number in range(3):
        await dp.feed_raw_update(bot, paid(payload, charge=f"stx{number}"))
        telegram.put(f"stx{number}", payload)
    telegram.clock.now += DAY
    again = neonpay_router(STAGES, bot=bot, clock=telegram.clock)
    other = Dispatcher()
    other.include_router(again)

    @again.completed
    async def grant(event: PaymentCompleted) -> None:
        delivered.append(event)

    report = await again.reconcile()
    await again.run_due()
    assert report.is_clean
    assert len(delivered) == 3


async def test_a_refund_made_elsewhere_becomes_one_event(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    gone: list[PaymentRefunded] = []

    @pay.refunded
    async def take_back(event: PaymentRefunded) -> None:
        gone.append(event)

    await pay.reconcile()
    payload = await invoice(bot, pay)
    update = paid(payload)
    await dp.feed_raw_update(bot, update)
    telegram.put(charge_of(update), payload)
    telegram.clock.now += HOUR
    telegram.put(charge_of(update), payload, back=True)
    telegram.clock.now += HOUR
    report = await pay.reconcile()
    await pay.run_due()
    assert (report.refunded_count, report.recovered_count) == (1, 0)
    assert [event.transaction_id for event in gone] == [charge_of(update)]

    assert (await pay.reconcile()).is_clean
    payment = await pay.get_payment(charge_of(update))
    assert payment is not None and payment.status is PaymentStatus.REFUNDED


async def test_a_lost_payment_that_was_refunded_is_never_delivered(
    pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    payload = await lost_sale(telegram, pay)
    for number in range(150):  # on another page
        telegram.put(f"stxOther{number}", "somebody else's")
    telegram.put("stxLost", payload, back=True)
    telegram.clock.now += HOUR
    report = await pay.reconcile()
    await pay.run_due()

    assert delivered == []
    assert report.refunded_count == 1
    [payment] = await pay.history(ALICE)
    assert payment.status is PaymentStatus.REFUNDED


@pytest.mark.parametrize(("paid_ago", "refunded_ago", "pending"), [(HOUR, MINUTE, 0), (25 * HOUR, 5 * HOUR, 1)])
async def test_a_lost_payment_is_not_delivered_while_its_refund_waits_to_be_told(
    pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted], paid_ago: int, refunded_ago: int, pending: int
) -> None:
    await pay.reconcile()
    payload = await invoice(telegram.bot, pay)
    telegram.put("stxLost", payload)
    telegram.clock.now += paid_ago
    telegram.put("stxLost", payload, ago=refunded_ago, back=True)
    telegram.pending = pending
    report = await pay.reconcile()
    await pay.run_due()
    assert (report.recovered_count, report.recovered, report.waiting, delivered) == (0, (), 2, [])

    telegram.clock.now += 2 * DAY
    await pay.reconcile()
    await pay.run_due()
    assert delivered == []
    assert [payment.status for payment in await pay.history(ALICE)] == [PaymentStatus.REFUNDED]


async def test_a_reading_from_another_date_hides_nothing_from_the_next(
    pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    payload = await invoice(telegram.bot, pay)
    telegram.clock.now += DAY
    telegram.put("stxFirst", payload)
    telegram.clock.now += 10 * DAY
    telegram.put("stxSecond", payload, ago=HOUR)
    assert (await pay.reconcile(since=telegram.clock.now - DAY)).recovered_count == 1
    assert (await pay.reconcile()).recovered_count == 1


async def test_a_clock_that_was_wrong_for_a_while_stops_no_timer(
    pay: NeonPay, dp: Dispatcher, telegram: Telegram
) -> None:
    reconciler = pay._installation.reconciler
    telegram.clock.now += 30 * DAY
    await pay.reconcile()
    telegram.clock.now -= 30 * DAY
    assert await reconciler._is_first(telegram.bot, 900.0)
    assert not await reconciler._is_first(telegram.bot, 900.0), "another worker has just begun"


async def test_a_dry_run_writes_nothing(pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]) -> None:
    payload = await invoice(telegram.bot, pay)
    await pay.reconcile(dry_run=True)
    telegram.clock.now += HOUR
    telegram.put("stxOld", payload)
    telegram.clock.now += HOUR
    assert (await pay.reconcile()).is_clean, "the baseline is set by this one"


async def test_legacy_is_asked_for_stars_alone(bot: RecordingBot, telegram: Telegram) -> None:
    pay = neonpay_router(STAGES, bot=bot, legacy=lambda payload, amount: LegacyInvoice("premium"))
    dp = Dispatcher()
    dp.include_router(pay)
    left: list[str] = []

    @dp.pre_checkout_query()
    async def own(query: Any) -> None:
        left.append(query.currency)

    await dp.feed_raw_update(bot, pre_checkout("order", amount=999, currency="USD"))
    assert left == ["USD"]

    async def slowly(payload: str, amount: int) -> LegacyInvoice | None:
        return None

    with pytest.raises(ConfigurationError, match="plain function"):
        neonpay_router(STAGES, legacy=slowly)  # type: ignore[arg-type]


async def test_amounts_that_differ_are_reported_and_left_alone(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    payload = await invoice(bot, pay)
    update = paid(payload)
    await dp.feed_raw_update(bot, update)
    telegram.put(charge_of(update), payload, amount=24)
    report = await pay.reconcile()

    assert report.differing_count == 1
    assert (report.differing[0].amount, report.differing[0].recorded) == (24, 25)
    assert "recorded as 25" in str(report)


async def test_a_payment_that_nobody_can_read_is_raised_as_unmatched(pay: NeonPay, telegram: Telegram) -> None:
    told: list[str] = []

    @pay.unmatched
    async def alert(event: PaymentUnmatched) -> None:
        told.append(event.reason)

    dispatcher = Dispatcher()
    dispatcher.include_router(pay)
    await pay.reconcile()
    telegram.put("stxForged", "n1" + "A" * 60)
    telegram.put("stxForeign", "order-17")
    telegram.clock.now += HOUR
    report = await pay.reconcile()
    await pay.run_due()

    assert told == ["bad_token"]
    assert report.foreign == 1


async def test_rows_that_telegram_dropped_do_not_hide_new_ones(
    pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    payload = await invoice(telegram.bot, pay)
    for number in range(1000):
        telegram.put(f"stxOld{number}", payload, ago=400 * DAY - number * HOUR)
    telegram.clock.now += HOUR
    await pay.reconcile()
    await lost_sale(telegram, pay, "stxFirst")
    await pay.reconcile()
    telegram.clock.now += 3 * DAY
    del telegram.rows[:700]
    for number in range(150):
        telegram.put(f"stxNew{number}", payload)
        telegram.clock.now += MINUTE
    telegram.clock.now += HOUR
    report = await pay.reconcile()
    await run_all(pay)

    assert report.recovered_count == 150
    assert len(delivered) == 151


async def test_rows_dropped_while_they_are_read_hide_none(
    pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    telegram.clock.now += 30 * DAY
    payload = await invoice(telegram.bot, pay)
    for number in range(500):
        telegram.put(f"stx{number}", payload)
        telegram.clock.now += MINUTE
    telegram.clock.now += HOUR
    drops = iter([130, 40])

    def drop(method: GetStarTransactions) -> None:
        if method.limit == 100 and (method.offset or 0) > 150 and (count := next(drops, 0)):
            del telegram.rows[:count]

    telegram.at_page = drop
    await pay.reconcile()
    await run_all(pay)

    assert {event.transaction_id for event in delivered} == {f"stx{number}" for number in range(500)}
    assert len(delivered) == 500


@needs_balance
@pytest.mark.parametrize("page", [1, 2, 5], ids=["between pages", "later", "while the balance is asked for"])
async def test_rows_that_move_while_they_are_read_are_counted_once(
    pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted], page: int
) -> None:
    payload = await invoice(telegram.bot, pay)
    await pay.reconcile()
    telegram.put("stxBefore", payload)
    telegram.clock.now += HOUR
    await pay.reconcile()
    for number in range(480):
        telegram.put(f"stx{number}", payload)
        telegram.clock.now += MINUTE if number % 7 else 0
    telegram.clock.now += HOUR
    pages = itertools.count()

    def move(method: GetStarTransactions) -> None:
        if method.limit == 100 and next(pages) == page:
            telegram.put("stxLate", "somebody else's", amount=1000, ago=DAY)
            telegram.extra = -1000

    telegram.at_page = move
    report = await pay.reconcile()
    await run_all(pay)

    assert (report.recovered_count, report.recovered_stars) == (480, 480 * 25)
    assert report.drift == 0
    assert len(delivered) == 481


async def test_a_row_that_appears_late_is_found(
    pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    payload = await invoice(telegram.bot, pay)
    for number in range(300):
        telegram.put(f"stxForeign{number}", "somebody else's")
        telegram.clock.now += 2 * MINUTE
    telegram.clock.now += HOUR
    await pay.reconcile()
    telegram.put("stxLate", payload, ago=10 * HOUR)
    await pay.reconcile()
    await pay.run_due()

    assert [event.transaction_id for event in delivered] == ["stxLate"]


@needs_balance
async def test_the_balance_is_compared_with_what_the_rows_make_of_it(
    bot: RecordingBot, pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    payload = await invoice(bot, pay)
    telegram.put("stx0", payload)
    first = await pay.reconcile()
    assert (first.balance, first.drift) == (25, None)
    assert "nothing to compare with" in str(first)
    telegram.put("stx1", payload, ago=-1)
    telegram.put("stxForeign", "order", amount=100, ago=-2)
    telegram.put("stx0", payload, back=True, ago=-3)
    telegram.clock.now += 5 * DAY
    second = await pay.reconcile()
    assert (second.balance, second.drift) == (125, 0)
    assert "as the rows say" in str(second)
    telegram.extra = -40
    third = await pay.reconcile()
    assert (third.balance, third.drift) == (85, -40)
    assert "-40 Stars" in str(third)


@needs_balance
async def test_a_sale_between_the_last_page_and_the_balance_is_no_drift(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, telegram: Telegram
) -> None:
    payload = await invoice(bot, pay)
    telegram.put("stx0", payload)
    await pay.reconcile()
    numbers = itertools.count(1)

    def sell(method: Any) -> StarAmount:
        if (number := next(numbers)) <= 2:
            telegram.put(f"stx{number}", payload, ago=-number)
        return StarAmount(amount=telegram.balance)

    assert GetMyStarBalance is not None
    bot.answer(GetMyStarBalance, sell)
    telegram.clock.now += HOUR
    report = await pay.reconcile()

    assert (report.balance, report.drift) == (75, 0)


async def test_several_workers_reconcile_at_once_and_deliver_once(
    bot: RecordingBot, storage: MemoryStorage, telegram: Telegram
) -> None:
    delivered: list[str] = []
    workers = []
    for _ in range(4):
        pay = neonpay_router(STAGES, bot=bot, clock=telegram.clock)
        dp = Dispatcher(storage=storage)
        dp.include_router(pay)

        @pay.completed
        async def grant(event: PaymentCompleted) -> None:
            await asyncio.sleep(0)
            delivered.append(str(event.transaction_id))

        workers.append(pay)
    await workers[0].reconcile()
    payload = await invoice(bot, workers[0])
    for number in range(50):
        telegram.put(f"stx{number}", payload, user=ALICE + number)
    telegram.clock.now += HOUR
    await asyncio.gather(*(worker.reconcile() for worker in workers))
    await asyncio.gather(*(worker.run_due() for worker in workers))

    assert sorted(delivered) == sorted(f"stx{number}" for number in range(50))


async def test_what_another_worker_repaired_meanwhile_is_reported_by_that_one_alone(
    bot: RecordingBot, storage: MemoryStorage, telegram: Telegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = [neonpay_router(STAGES, bot=bot, clock=telegram.clock) for _ in range(2)]
    for worker in workers:
        dp = Dispatcher(storage=storage)
        dp.include_router(worker)
    slow, fast = workers
    await slow.reconcile()
    payload = await invoice(bot, slow)
    sold = paid(payload)
    await dp.feed_raw_update(bot, sold)
    telegram.put(charge_of(sold), payload)
    telegram.put("stxLost", payload)
    telegram.put(charge_of(sold), payload, back=True)
    telegram.clock.now += HOUR
    charges = slow._shop.charges
    read, reports = charges.read, list[ReconcileReport]()

    async def read_and_wait(*args: Any) -> Any:
        rows = await read(*args)
        if not reports:
            reports.append(await fast.reconcile())
        return rows

    monkeypatch.setattr(charges, "read", read_and_wait)
    reports.append(await slow.reconcile())
    assert [report.recovered_count for report in reports] == [1, 0]
    assert [report.refunded_count for report in reports] == [1, 0]
    assert reports[1].is_clean


@pytest.mark.parametrize("failure", ["flood control", "5xx", "a lost connection"])
async def test_a_failed_request_of_a_reading_is_made_again(
    bot: RecordingBot,
    pay: NeonPay,
    telegram: Telegram,
    delivered: list[PaymentCompleted],
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("aiogram_neonpay.transactions.asyncio.sleep", sleep)
    await pay.reconcile()
    payload = await invoice(bot, pay)
    for number in range(250):
        telegram.put(f"stx{number}", payload)
    telegram.clock.now += HOUR
    pages = itertools.count()

    def fail(method: GetStarTransactions) -> None:
        if method.limit == 100 and next(pages) == 1:
            if failure == "flood control":
                raise TelegramRetryAfter(method, "Too Many Requests", 30)
            raise {"5xx": TelegramServerError, "a lost connection": TelegramNetworkError}[failure](method, "away")

    telegram.at_page = fail

    assert (await pay.reconcile()).recovered_count == 250
    assert slept == [30 if failure == "flood control" else 1]


async def cut_off(telegram: Telegram, pay: NeonPay, after: int) -> None:
    """Have a reading fail for good after so many pages."""
    pages = itertools.count()

    def fail(method: GetStarTransactions) -> None:
        if method.limit == 100 and next(pages) >= after:
            raise TelegramRetryAfter(method, "Too Many Requests", 3600)

    telegram.at_page = fail
    with pytest.raises(TelegramRetryAfter):
        await pay.reconcile()
    telegram.at_page = None


async def test_a_reading_that_telegram_cuts_off_keeps_what_it_found_and_the_next_goes_on_from_there(
    bot: RecordingBot, pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    payload = await invoice(bot, pay)
    for number in range(1000):
        telegram.put(f"stx{number}", payload)
        telegram.clock.now += MINUTE
    telegram.clock.now += HOUR
    counts = []
    for _ in range(2):
        await cut_off(telegram, pay, after=4)
        await run_all(pay)
        counts.append(len(delivered))

    assert counts == sorted(set(counts)), "every reading goes further"
    assert 335 < counts[0] <= 340, "the refund of what was paid in the last hour may follow"
    assert 500 < counts[-1] < 700
    report = await pay.reconcile()
    await run_all(pay)
    assert len(delivered) == 1000
    assert {event.transaction_id for event in delivered} == {f"stx{number}" for number in range(1000)}
    assert report.drift is None
    telegram.put("stxNext", payload)
    telegram.clock.now += HOUR
    assert (await pay.reconcile()).recovered_count == 1


async def test_a_payment_whose_refund_lies_behind_the_cut_is_not_delivered(
    bot: RecordingBot, pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    payload = await invoice(bot, pay)
    for number in range(200):
        telegram.put(f"stx{number}", payload)
        telegram.clock.now += MINUTE
        if number == 150:
            telegram.put("stx99", payload, back=True)
    telegram.clock.now += HOUR

    await cut_off(telegram, pay, after=1)
    await run_all(pay)
    assert "stx0" in {event.transaction_id for event in delivered}
    await pay.reconcile()
    await run_all(pay)

    assert len(delivered) == 199
    assert "stx99" not in {event.transaction_id for event in delivered}


async def test_more_sales_in_an_hour_than_a_reading_can_see_are_recovered_all_the_same(
    bot: RecordingBot, pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    payload = await invoice(bot, pay)
    for number in range(300):
        telegram.put(f"stx{number}", payload)
        telegram.clock.now += 1
    telegram.clock.now += HOUR
    counts = []
    for _ in range(3):
        await cut_off(telegram, pay, after=1)
        await run_all(pay)
        counts.append(len(delivered))

    assert 0 < counts[0] < counts[1] < counts[2] < 300
    await pay.reconcile()
    await run_all(pay)
    assert len(delivered) == 300


async def test_a_dry_run_that_is_cut_off_changes_nothing(
    bot: RecordingBot, pay: NeonPay, telegram: Telegram, delivered: list[PaymentCompleted]
) -> None:
    await pay.reconcile()
    payload = await invoice(bot, pay)
    for number in range(300):
        telegram.put(f"stx{number}", payload)
        telegram.clock.now += HOUR

    def fail(method: GetStarTransactions) -> None:
        if method.limit == 100 and (method.offset or 0) > 100:
            raise TelegramRetryAfter(method, "Too Many Requests", 3600)

    telegram.at_page = fail
    with pytest.raises(TelegramRetryAfter):
        await pay.reconcile(dry_run=True)
    await run_all(pay)

    assert delivered == []


async def test_a_hundred_thousand_rows_cost_pages_and_no_memory(
    bot: RecordingBot, pay: NeonPay, dp: Dispatcher, telegram: Telegram
) -> None:
    template = telegram.put("stx", "somebody else's")
    telegram.rows = [
        template.model_copy(
            update={
                "id": f"stx{number}",
                "date": datetime.fromtimestamp(telegram.clock.now - 100_000 + number, timezone.utc),
            }
        )
        for number in range(100_000)
    ]
    await pay.reconcile()
    assert telegram.asked < 60, "the place is found by bisection"
    telegram.asked = 0
    await pay.reconcile()
    assert telegram.asked < 12, "and remembered"

    telegram.asked = 0
    bot.calls.clear()
    tracemalloc.start()
    report = await pay.reconcile(since=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.rows == 100_000
    assert telegram.asked < 1050
    assert peak < 5_000_000


async def test_invoices_of_before_are_adopted_by_legacy(bot: RecordingBot, telegram: Telegram) -> None:
    def adopt(payload: str, amount: int) -> LegacyInvoice | None:
        kind, _, order = payload.partition(":")
        return LegacyInvoice("premium", {"order": int(order)}) if kind == "old" else None

    pay = neonpay_router(STAGES, bot=bot, clock=telegram.clock, legacy=adopt)
    dp = Dispatcher()
    dp.include_router(pay)
    heard: list[Any] = []

    @pay.completed("premium")
    async def grant(event: PaymentCompleted) -> None:
        heard.append((event.user_id, event.amount, event.metadata, event.recovered))

    await pay.reconcile()
    await dp.feed_raw_update(bot, pre_checkout("old:6", amount=20))
    await dp.feed_raw_update(bot, paid("old:6", amount=20))
    await dp.feed_raw_update(bot, paid("other:6", amount=20))
    telegram.put("stxOld", "old:7", amount=15, user=BOB)
    telegram.clock.now += HOUR
    await pay.reconcile()
    await pay.run_due()

    assert heard == [(ALICE, 20, {"days": 30, "order": 6}, False), (BOB, 15, {"days": 30, "order": 7}, True)]
    assert [call.ok for call in bot.sent(AnswerPreCheckoutQuery)] == [True]


def adopt(payload: str, amount: int) -> LegacyInvoice | None:
    return LegacyInvoice("premium") if payload.startswith("old:") else None


async def test_adopting_begins_with_the_first_start_that_adopts(bot: RecordingBot, telegram: Telegram) -> None:
    storage, clock = MemoryStorage(), telegram.clock
    heard: list[Any] = []

    async def start(**options: Any) -> NeonPay:
        pay = neonpay_router(STAGES, bot=bot, clock=clock, reconcile_every=None, **options)
        dp = Dispatcher(storage=storage)
        dp.include_router(pay)

        @pay.completed
        async def grant(event: PaymentCompleted) -> None:
            heard.append(event.transaction_id)

        await dp.emit_startup(bot=bot, dispatcher=dp)
        await dp.emit_shutdown(bot=bot, dispatcher=dp)
        return pay

    before = await start()
    telegram.put("stxByTheBot", "old:1")
    clock.now += HOUR
    assert (await before.reconcile()).foreign == 1

    after = await start(legacy=adopt)
    telegram.put("stxLost", "old:2")
    clock.now += HOUR
    assert (await after.reconcile()).recovered_count == 1
    again = await start(legacy=adopt)
    telegram.put("stxLostLater", "old:3")
    clock.now += HOUR
    assert (await again.reconcile()).recovered_count == 1
    await run_all(again)
    assert heard == ["stxLost", "stxLostLater"]

    await again.reconcile(since=0)
    await run_all(again)
    assert heard[2:] == ["stxByTheBot"], "when asked for, the past is delivered"


async def test_a_dry_run_does_not_begin_to_adopt(bot: RecordingBot, telegram: Telegram) -> None:
    storage, clock = MemoryStorage(), telegram.clock
    for legacy in (None, adopt):
        pay = neonpay_router(STAGES, bot=bot, clock=clock, reconcile_every=None, legacy=legacy)
        Dispatcher(storage=storage).include_router(pay)
        await pay.reconcile(dry_run=legacy is not None)
        clock.now += HOUR

    state = await pay._shop.readings.open(bot.id, clock.now)
    assert "adopts_since" not in state
    assert (await pay.reconcile()).recovered_count == 0
    assert "adopts_since" in await pay._shop.readings.open(bot.id, clock.now)


async def test_two_bots_have_ledgers_of_their_own(bot: RecordingBot, clock: Clock) -> None:
    other = RecordingBot("43:OTHER-TOKEN")
    first, second = Telegram(bot, clock), Telegram(other, clock)
    pay = neonpay_router(STAGES, bot=bot, clock=clock)
    dp = Dispatcher()
    dp.include_router(pay)
    heard: list[Any] = []

    @pay.completed
    async def grant(event: PaymentCompleted) -> None:
        heard.append((event.bot.id, event.transaction_id))

    for one in (bot, other):
        await pay.reconcile(bot=one)
    payload = await invoice(other, pay.as_(other))
    second.put("stxSecond", payload)
    clock.now += HOUR
    assert (await pay.reconcile(bot=bot)).is_clean
    assert (await pay.reconcile(bot=other)).recovered_count == 1
    await pay.run_due()

    assert heard == [(43, "stxSecond")]
    assert first.rows == []


@pytest.mark.parametrize("since", ["yesterday", -1, True])
async def test_a_moment_that_is_none_is_refused(pay: NeonPay, dp: Dispatcher, since: Any) -> None:
    with pytest.raises(ValidationError, match="since"):
        await pay.reconcile(since=since)


@pytest.mark.parametrize("every", [0, 59, True, "900", float("-inf")])
async def test_a_timer_that_is_too_fast_is_refused(every: Any) -> None:
    with pytest.raises(ValidationError, match="reconcile_every"):
        neonpay_router(STAGES, reconcile_every=every)


async def test_the_timer_reads_soon_after_the_start(
    bot: RecordingBot, telegram: Telegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiogram_neonpay.reconcile.random.uniform", lambda low, high: low / 50)
    pay = neonpay_router(STAGES, bot=bot, clock=telegram.clock)
    dp = Dispatcher()
    dp.include_router(pay)
    await dp.emit_startup(bot=bot, dispatcher=dp)
    for _ in range(100):
        if telegram.asked:
            break
        await asyncio.sleep(0.01)
    await dp.emit_shutdown(bot=bot, dispatcher=dp)

    assert telegram.asked


async def run_all(pay: NeonPay) -> None:
    while await pay.run_due():
        pass
