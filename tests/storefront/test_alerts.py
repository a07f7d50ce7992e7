"""What the admin chat is told by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio
from aiogram import Dispatcher
from aiogram.exceptions import TelegramBadRequest, TelegramRetryAfter
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import EditMessageText, SendMessage

from aiogram_neonpay import Alerts, NeonPay, PaymentCompleted, PaymentStage, ValidationError, neonpay_router
from aiogram_neonpay import alerts as module
from aiogram_neonpay.alerts import Alerter
from aiogram_neonpay.ledger.bulletins import untold
from aiogram_neonpay.testing import BotSandbox, BotUser
from tests.storefront.office import ADMIN, Office, sell, sell_stuck
from tests.telegram import ALICE, RecordingBot, paid

pytestmark = pytest.mark.asyncio


@pytest.fixture
def office() -> Office:
    return Office(Alerts(ADMIN, low_balance=20))


@pytest_asyncio.fixture(autouse=True)
async def started(admin: BotUser, office: Office) -> None:
    """Let the bot write to the admin."""
    await admin.send("hello")
    office.passed.clear()


def told(admin: BotUser) -> list[str]:
    return [message.text for message in admin.messages() if message.from_bot and message.text.startswith("This needs")]


async def test_a_stuck_payment_is_told(office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser) -> None:
    await sell_stuck(office, sandbox, alice)
    [message] = told(admin)
    assert "1 payment is stuck" in message
    assert f"5 Stars · user {alice.id} · sticker · every attempt to deliver it failed" in message
    assert "ZeroDivisionError: no stickers left" in message


async def test_an_unmatched_payment_is_told(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    await sell(alice, "orphan")
    [message] = told(admin)
    assert "1 payment is unmatched" in message and "no handler of the bot took it" in message


async def test_a_refund_that_fails_is_told(office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser) -> None:
    charge = await sell(alice)
    sandbox.faults.add("refundStarPayment", error=400, text="BALANCE_TOO_LOW")
    await office.pay.refund(charge, wait=False, bot=sandbox.bot)
    await sandbox.settle()
    [message] = told(admin)
    assert "1 refund did not go as it should" in message and "BALANCE_TOO_LOW" in message


async def test_what_reconciliation_finds_is_told_once(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    await sell(alice)
    await sandbox.advance(minutes=20)
    assert told(admin) == []
    sandbox.faults.add_update("successful_payment", drop=True, times=1)
    await sell(alice)
    await sandbox.advance(minutes=20)
    [message] = told(admin)
    assert "Telegram's ledger and ours disagree" in message and "payments recovered: 1;" in message
    await sandbox.advance(hours=3)
    assert told(admin) == [message]


async def test_an_amount_that_differs_is_told_once(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    charge = await sell(alice)
    payment = await office.pay.get_payment(charge, bot=sandbox.bot)
    assert payment is not None and payment.reference
    key, _ = await office.pay._shop.charges.find(sandbox.bot.id, charge) or (None, None)
    assert key is not None
    await office.pay._shop.charges.change(key, lambda known: {"amount": 24}, keep_due=True)
    await sandbox.advance(hours=2)
    [message] = told(admin)
    assert "amounts that differ: 1" in message


async def test_a_low_balance_is_told_when_it_becomes_so(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    charge = await sell(alice)
    await sandbox.advance(minutes=20)
    assert told(admin) == []
    for _ in range(2):
        await office.pay.refund(charge, bot=sandbox.bot)
        await sandbox.advance(hours=1)
        [message] = told(admin)
        assert "The balance is low" in message and "balance 0 ⭐, below 20 ⭐" in message
    charge = await sell(alice)
    await sandbox.advance(hours=1)
    await office.pay.refund(charge, bot=sandbox.bot)
    await sandbox.advance(hours=1)
    assert len(told(admin)) == 2


async def test_a_storm_is_one_message(office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser) -> None:
    office.broken = ZeroDivisionError("no stickers left")
    for _ in range(14):
        await sell(alice, "sticker")
    await sandbox.advance(minutes=2)
    [message] = told(admin)
    assert "14 payments are stuck" in message and "4 earlier, and then:" in message
    assert len(message) < 4096
    await sandbox.advance(minutes=10)
    await sell_stuck(office, sandbox, alice)  # another window
    assert len(told(admin)) == 2 and "1 payment is stuck" in told(admin)[-1]


async def test_no_failure_of_telegram_fails_a_delivery_or_loses_an_alert(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    sandbox.faults.add("sendMessage", error=429, retry_after=3)
    charge = await sell(alice, "orphan")
    payment = await office.pay.get_payment(charge, bot=sandbox.bot)
    assert payment is not None and payment.reason == "no_handler"
    assert told(admin) == [] and sandbox.errors == []
    sandbox.faults.clear()
    await sandbox.advance(minutes=20)
    [message] = told(admin)
    assert "1 payment is unmatched" in message


async def test_what_could_not_be_told_for_hours_is_told_in_a_new_message(
    sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    await sell(alice, "orphan")
    sandbox.faults.add("editMessageText", error=500)
    await sell(alice, "orphan")
    assert len(told(admin)) == 1 and "1 payment is" in told(admin)[0]
    await sandbox.advance(hours=3)
    assert len(told(admin)) == 2 and "2 payments are unmatched" in told(admin)[1]
    sandbox.faults.clear()
    await sandbox.advance(hours=2)
    assert len(told(admin)) == 2


async def test_a_message_that_is_gone_is_sent_anew(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    await sell(alice, "orphan")
    [first] = [message for message in admin.messages() if message.text.startswith("This needs")]
    await sandbox.bot.delete_message(ADMIN, first.id)
    await sell(alice, "orphan")
    [message] = told(admin)
    assert "2 payments are unmatched" in message


async def test_what_a_dead_worker_did_not_tell_is_told(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser
) -> None:
    news = office.pay._installation.cashier._news
    on_event, news.on_event = news.on_event, None  # the worker dies before it can
    await sell(alice, "orphan")
    news.on_event = on_event
    assert told(admin) == []
    await sandbox.advance(minutes=20)
    [message] = told(admin)
    assert "1 payment is unmatched" in message
    await sandbox.advance(hours=2)
    assert told(admin) == [message]


async def test_no_token_is_told(office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser) -> None:
    office.broken = RuntimeError(f"POST https://api.telegram.org/bot{'1' * 9}:{'A' * 35}/sendMessage failed")
    await sell(alice, "sticker")
    await sandbox.advance(minutes=2)
    [message] = told(admin)
    assert "AAAA" not in message and "<token>" in message


async def test_alerts_are_told_in_the_chosen_language() -> None:
    office = Office(Alerts(ADMIN, language="az"))
    async with BotSandbox(office.dp) as sandbox:
        admin, alice = sandbox.user("Ada", user_id=ADMIN), sandbox.user("Alice", stars=99, language_code="ru")
        await admin.send("hello")
        await sell(alice, "orphan")
        assert admin.messages()[-1].text.startswith("Diqqətinizə ehtiyac var")


@pytest.mark.parametrize(
    "options",
    [
        {"chat_id": 0},
        {"chat_id": None},
        {"chat_id": True},
        {"chat_id": "admins"},
        {"chat_id": 1, "low_balance": 1.5},
        {"chat_id": 1, "thread_id": "x"},
        {"chat_id": 1, "window": 1},
        {"chat_id": 1, "language": ""},
    ],
)
async def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="alerts"):
        Alerts(**options)


# Several workers, and time that passes


class Workers:
    """Two processes' worth of one bot: dispatchers of their own on one storage."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, seconds in (("GATHER", 0.01), ("BETWEEN", 0.01), ("LEASE", 0.2), ("PAUSES", (0.01, 0.02, 0.05))):
            monkeypatch.setattr(module, name, seconds)
        self.storage = MemoryStorage()
        self.bots = [RecordingBot(), RecordingBot()]
        self.shops: list[tuple[Dispatcher, NeonPay]] = []
        for bot in self.bots:
            pay = neonpay_router(
                {"orphan": PaymentStage("Orphan", "Nobody delivers this", 7)},
                bot=bot,
                alerts=ADMIN,
                reconcile_every=None,
            )
            dp = Dispatcher(storage=self.storage)
            dp.include_router(pay)
            self.shops.append((dp, pay))

    async def sell(self, worker: int, times: int = 1) -> None:
        dp, pay = self.shops[worker]
        for _ in range(times):
            await pay.send_payment(ALICE, "orphan")
            await dp.feed_raw_update(self.bots[worker], paid(self.bots[worker].payload(), 7))

    def sent(self, kind: type[Any]) -> list[Any]:
        return [call for bot in self.bots for call in bot.sent(kind) if call.chat_id == ADMIN]

    @property
    def alerters(self) -> list[Alerter]:
        return [pay._installation._alerter for _, pay in self.shops if pay._installation._alerter is not None]

    async def rest(self) -> None:
        """Wait until nobody is telling anything."""
        for _ in range(300):
            if not any(alerter._telling for alerter in self.alerters):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the alerters do not come to rest")

    async def told(self, number: int) -> None:
        """Wait until so many alerts are told."""
        for _ in range(300):
            texts = [call.text for call in (*self.sent(SendMessage), *self.sent(EditMessageText))]
            if any(f"{number} payment" in text for text in texts):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(texts)


@pytest_asyncio.fixture
async def workers(monkeypatch: pytest.MonkeyPatch) -> Any:
    workers = Workers(monkeypatch)
    for (dp, _), bot in zip(workers.shops, workers.bots, strict=True):
        await dp.emit_startup(bot=bot)
    await asyncio.sleep(0.01)
    await workers.rest()
    yield workers
    for (dp, _), bot in zip(workers.shops, workers.bots, strict=True):
        await dp.emit_shutdown(bot=bot)


async def test_two_workers_tell_one_storm_in_one_message(workers: Workers) -> None:
    await asyncio.gather(workers.sell(0, 10), workers.sell(1, 10))
    await workers.told(20)
    assert len(workers.sent(SendMessage)) == 1


async def test_flood_control_is_waited_out(workers: Workers) -> None:
    refusals: list[int] = []

    def refuse_twice(method: SendMessage) -> Any:
        if len(refusals) < 2:
            refusals.append(1)
            raise TelegramRetryAfter(method, "Too Many Requests", retry_after=0)
        workers.bots[0].recorded.answers.pop(SendMessage)
        return workers.bots[0](method)

    await workers.shops[0][1].send_payment(ALICE, "orphan")
    workers.bots[0].answer(SendMessage, refuse_twice)
    await workers.sell(0)
    await workers.rest()
    assert len(refusals) == 2
    assert untold(await workers.alerters[0]._bulletins.add(42, "nobody", [])) == 0


async def test_what_a_worker_began_to_tell_and_did_not_end_another_tells(workers: Workers) -> None:
    begun = asyncio.Event()

    async def hang(method: SendMessage) -> Any:
        begun.set()
        await asyncio.Event().wait()

    workers.bots[0].answer(SendMessage, hang)
    await workers.sell(0)
    await begun.wait()
    await workers.sell(1)
    await workers.told(2)
    assert [call.text.splitlines()[1] for call in workers.bots[1].sent(SendMessage)] == ["2 payments are unmatched"]
    for task in workers.shops[0][1]._installation.feed.tasks:
        task.cancel()


async def test_a_chat_that_cannot_be_told_is_logged_and_not_forgotten(
    workers: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(method: SendMessage) -> Any:
        raise TelegramBadRequest(method, "Bad Request: chat not found")

    for bot in workers.bots:
        bot.answer(SendMessage, refuse)
    await workers.sell(0)
    await workers.rest()
    assert f"the chat {ADMIN} was not told" in caplog.text
    state = await workers.alerters[0]._bulletins.add(42, "look", [])
    await workers.alerters[0]._bulletins.told(42, "look", None, 0)
    assert untold(state) == 1
    for bot in workers.bots:
        bot.recorded.answers.clear()
    await workers.sell(1)
    await workers.told(2)


async def test_what_comes_up_while_telling_waits_is_written_down_at_once(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(method: SendMessage) -> Any:
        raise TelegramRetryAfter(method, "Too Many Requests", retry_after=3600)

    workers.bots[0].answer(SendMessage, refuse)
    alerter = workers.alerters[0]
    for number in (1, 2):
        await workers.sell(0)
        for _ in range(300):
            state = await alerter._bulletins.add(42, None, [])
            if untold(state) == number and not alerter._held.get(42):
                break
            await asyncio.sleep(0.01)
        assert untold(state) == number
    monkeypatch.setattr(module, "FORGOTTEN_AFTER", 0.0)
    await workers.alerters[1]._resume(workers.bots[1])
    await workers.told(2)  # the other one tells it, and finds nothing that was forgotten


async def test_what_another_worker_told_meanwhile_is_not_counted_again(workers: Workers) -> None:
    await workers.sell(0)
    await workers.told(1)
    await workers.rest()
    pay, alerter = workers.shops[0][1], workers.alerters[1]
    [body] = await pay._shop.charges.waiting(42, limit=10)
    alert = module._alert_of_record(body)
    for later, number in ((-60, 1), (60, 2)):  # what is told of another time comes up after the first was told
        alerter._held[42] = [{**alert, "at": body["alerted_at"] + later}] * 2
        state = await alerter._put_down(workers.bots[1], None)
        assert state is not None and state["counts"] == {"unmatched": number}


async def test_deliveries_do_not_wait_for_alerts(workers: Workers) -> None:
    async def hang(method: SendMessage) -> Any:
        await asyncio.Event().wait()

    workers.bots[0].answer(SendMessage, hang)
    await asyncio.wait_for(workers.sell(0, 3), 20)
    for task in workers.shops[0][1]._installation.feed.tasks:
        task.cancel()


async def test_without_alerts_nothing_is_told_or_written() -> None:
    bot = RecordingBot()
    pay = neonpay_router({"premium": PaymentStage("Premium", "30 days", 25)}, bot=bot)

    @pay.completed("premium")
    async def deliver(event: PaymentCompleted) -> None: ...

    assert pay._installation._alerter is None
