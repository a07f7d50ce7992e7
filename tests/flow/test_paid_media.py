"""Paid media: one charge for each message and buyer, delivered once, though Telegram tells its id in its ledger."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from aiogram import BaseMiddleware, Dispatcher, F, methods
from aiogram.exceptions import TelegramBadRequest, TelegramNetworkError, TelegramRetryAfter
from aiogram.fsm.context import FSMContext
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.methods import (
    AnswerPreCheckoutQuery,
    GetStarTransactions,
    GetWebhookInfo,
    RefundStarPayment,
    SendPaidMedia,
)
from aiogram.types import (
    BufferedInputFile,
    Chat,
    InputPaidMediaPhoto,
    Message,
    PaidMediaPurchased,
    StarAmount,
    StarTransaction,
    StarTransactions,
    WebhookInfo,
)

from aiogram_neonpay import (
    IdempotencyError,
    InvoiceError,
    MediaSold,
    NeonPay,
    PaymentCompleted,
    PaymentRefunded,
    PaymentResult,
    PaymentRouter,
    PaymentStage,
    PaymentStatus,
    PaymentStuck,
    PaymentUnmatched,
    RefundError,
    RejectPayment,
    StageNotFoundError,
    ValidationError,
    neonpay_router,
)
from tests.flow.clock import Clock, settled
from tests.telegram import ALICE, BOB, GROUP, RecordingBot, person, text, update

pytestmark = pytest.mark.asyncio

STAGES = {
    "photos": PaymentStage("Photos", "Ten photos of the sea", 50, payload={"album": 3}),
    "clip": PaymentStage("Clip", "A clip", None),
    "last": PaymentStage("Last", "The last one", 10, stock=1, per_user=1),
    "club": PaymentStage("Club", "The club", 100, subscription=True, access="club"),
    "dear": PaymentStage("Dear", "Too dear for media", 25_001),
}
MEDIA = [InputPaidMediaPhoto(media="file-id-of-a-photo")]
MINUTE, HOUR, DAY = 60, 3600, 86400
_numbers = itertools.count(1)


class Studio:
    """A bot that sells paid media, and Telegram on the other side."""

    def __init__(self, bot: RecordingBot, clock: Clock, storage: MemoryStorage, **options: Any) -> None:
        self.bot, self.clock = bot, clock
        self.pay = neonpay_router(options.pop("stages", STAGES), bot=bot, clock=clock, **options)
        self.dp = Dispatcher(storage=storage)
        self.dp.include_router(self.pay)
        self.heard: list[Any] = []
        self.rows: list[StarTransaction] = []
        bot.answer(SendPaidMedia, self._sent)
        bot.answer(GetStarTransactions, self._page)
        if hasattr(methods, "GetMyStarBalance"):  # aiogram 3.21
            bot.answer(methods.GetMyStarBalance, lambda _: StarAmount(amount=self.balance))
        bot.answer(GetWebhookInfo, lambda _: WebhookInfo(url="", has_custom_certificate=False, pending_update_count=0))

    def _sent(self, method: SendPaidMedia) -> Message:
        kind = "private" if isinstance(method.chat_id, int) and method.chat_id > 0 else "channel"
        chat = Chat(id=method.chat_id if isinstance(method.chat_id, int) else -1, type=kind)
        return Message(message_id=next(_numbers), date=datetime.now(timezone.utc), chat=chat).as_(self.bot)

    def _page(self, method: GetStarTransactions) -> StarTransactions:
        first = method.offset or 0
        return StarTransactions(transactions=self.rows[first : first + (method.limit or 100)])

    @property
    def balance(self) -> int:
        return sum(-row.amount if row.receiver else row.amount for row in self.rows)

    @property
    def sent(self) -> SendPaidMedia:
        return self.bot.sent(SendPaidMedia)[-1]

    async def offer(self, stage_id: str = "photos", **options: Any) -> str:
        if not self.bot.sent(SendPaidMedia):
            await self.pay.reconcile()  # from now on it is our time
        await self.pay.send_paid_media(ALICE, stage_id, MEDIA, **options)
        payload = self.sent.payload
        assert payload is not None
        return payload

    async def unlock(self, payload: str, user_id: int = ALICE) -> None:
        """The update of a sale."""
        sold = {"from": person(user_id), "paid_media_payload": payload}
        await self.dp.feed_raw_update(self.bot, update(purchased_paid_media=sold))

    def row(
        self, payload: str, charge: str = "stxMedia", *, amount: int = 50, user: int = ALICE, back: bool = False
    ) -> None:
        """Enter a sale, or its refund, into Telegram's ledger."""
        partner = {
            "type": "user",
            "transaction_type": "paid_media_payment",
            "user": {"id": user, "is_bot": False, "first_name": "Ann"},
            "paid_media": [{"type": "photo", "photo": []}],
            "paid_media_payload": payload,
        }
        side = "receiver" if back else "source"
        row = {"id": charge, "amount": amount, "date": int(self.clock.now), side: partner}
        self.rows.append(StarTransaction.model_validate(row))

    async def refunded(self, payload: str, charge: str = "stxMedia", user_id: int = ALICE) -> None:
        """The message that tells of a refund, which may come or not."""
        message = {
            "message_id": next(_numbers),
            "date": int(self.clock.now),
            "chat": {"id": user_id, "type": "private", "first_name": "Ann"},
            "from": {"id": 42, "is_bot": True, "first_name": "Bot"},
            "refunded_payment": {
                "currency": "XTR",
                "total_amount": 50,
                "invoice_payload": payload,
                "telegram_payment_charge_id": charge,
            },
        }
        await self.dp.feed_raw_update(self.bot, update(message=message))

    def listen(self, *names: str) -> Studio:
        async def hear(event: Any) -> None:
            self.heard.append(event)

        for name in names or ("media_sold", "refunded", "stuck", "unmatched"):
            getattr(self.pay, name).register(hear)
        return self

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.heard]

    async def reconcile(self, seconds: float = 10 * MINUTE) -> Any:
        self.clock.now += seconds
        report = await self.pay.reconcile()
        await self.pay.run_due()
        return report


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def studio(bot: RecordingBot, clock: Clock, storage: MemoryStorage) -> Studio:
    return Studio(bot, clock, storage)


# Sending


async def test_media_are_sent_at_the_price_of_the_stage_with_a_payload_of_their_own(studio: Studio) -> None:
    first = await studio.offer(caption="The sea")
    second = await studio.offer()

    assert (studio.bot.sent(SendPaidMedia)[0].caption, studio.sent.star_count) == ("The sea", 50)
    assert studio.sent.media == MEDIA
    assert first != second
    assert max(len(first.encode()), len(second.encode())) <= 128


async def test_the_buyer_chooses_the_amount_of_a_stage_without_a_price(studio: Studio) -> None:
    await studio.offer("clip", amount=25_000)

    assert studio.sent.star_count == 25_000


@pytest.mark.parametrize(
    ("stage_id", "media", "options", "error", "words"),
    [
        ("nothing", MEDIA, {}, StageNotFoundError, "nothing"),
        ("club", MEDIA, {}, InvoiceError, "links alone"),
        ("dear", MEDIA, {}, ValidationError, "at most 25000 Stars"),
        ("clip", MEDIA, {"amount": 25_001}, ValidationError, "at most 25000 Stars"),
        ("clip", MEDIA, {}, ValidationError, "amount"),
        ("photos", [], {}, ValidationError, "1-10"),
        ("photos", MEDIA * 11, {}, ValidationError, "has 11"),
        ("photos", "file-id", {}, ValidationError, "must be a list"),
        ("photos", MEDIA[0], {}, ValidationError, "must be a list"),
        ("photos", ["file-id"], {}, ValidationError, "InputPaidMediaPhoto"),
        ("photos", MEDIA, {"payload": "mine"}, ValidationError, "set by send_paid_media"),
        ("photos", MEDIA, {"star_count": 1}, ValidationError, "set by send_paid_media"),
        ("photos", MEDIA, {"title": "?"}, ValidationError, "no option"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_telegram_is_asked(
    studio: Studio, stage_id: str, media: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await studio.pay.send_paid_media(ALICE, stage_id, media, **options)

    assert not studio.bot.sent(SendPaidMedia)


async def test_a_chat_that_is_none_is_refused(studio: Studio) -> None:
    with pytest.raises(ValidationError, match="chat_id"):
        await studio.pay.send_paid_media(None, "photos", MEDIA)  # type: ignore[arg-type]


async def test_a_refusal_of_telegram_says_what_to_do(studio: Studio) -> None:
    def refuse(method: SendPaidMedia) -> None:
        raise TelegramBadRequest(method, "Bad Request: EXTENDED_MEDIA_AMOUNT_INVALID")

    studio.bot.answer(SendPaidMedia, refuse)
    with pytest.raises(InvoiceError, match="1-25000 Stars"):
        await studio.offer()


async def test_one_key_sends_one_message(studio: Studio) -> None:
    def photos(content: bytes) -> list[InputPaidMediaPhoto]:
        return [InputPaidMediaPhoto(media=BufferedInputFile(content, "sea.png"))]

    first = await studio.pay.send_paid_media(ALICE, "photos", photos(b"sea"), key="post-1")
    second = await studio.pay.send_paid_media(ALICE, "photos", photos(b"sea"), key="post-1")

    assert first.message_id == second.message_id
    assert len(studio.bot.sent(SendPaidMedia)) == 1
    with pytest.raises(IdempotencyError):
        await studio.pay.send_paid_media(ALICE, "photos", photos(b"lake"), key="post-1")


async def test_media_answer_the_message_in_hand_in_its_topic(studio: Studio) -> None:
    message = Message(
        message_id=5,
        date=datetime.now(timezone.utc),
        chat=Chat(id=GROUP, type="supergroup"),
        message_thread_id=77,
        is_topic_message=True,
        from_user=person(ALICE),  # type: ignore[arg-type]
    ).as_(studio.bot)
    await studio.pay.answer_paid_media(message, "photos", MEDIA)

    assert (studio.sent.chat_id, studio.sent.message_thread_id) == (GROUP, 77)


async def test_a_channel_is_warned_of_because_the_bot_does_not_hear_of_its_sales(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    await studio.pay.send_paid_media("@channel", "photos", MEDIA)

    assert "does not tell the bot" in caplog.text


async def test_the_update_is_asked_for_only_where_media_may_be_sold(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    assert "purchased_paid_media" not in studio.dp.resolve_used_update_types()
    elsewhere = PaymentRouter()

    @elsewhere.media_sold("photos")
    async def grant(event: MediaSold) -> None: ...

    studio.dp.include_router(elsewhere)
    assert "purchased_paid_media" in studio.dp.resolve_used_update_types()
    assert "media_sold" not in studio.dp.resolve_used_update_types()
    await studio.offer()
    assert "no handler of media_sold" not in caplog.text


async def test_media_sent_with_no_handler_of_their_sales_are_warned_of(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    await studio.offer()
    await studio.offer()

    assert caplog.text.count("no handler of media_sold") == 1
    assert "purchased_paid_media" in studio.dp.resolve_used_update_types()


# A sale


async def test_a_sale_is_heard_with_all_of_its_fields(studio: Studio) -> None:
    studio.listen()
    payload = await studio.offer(metadata={"post": 9})
    await studio.unlock(payload)

    (event,) = studio.heard
    assert isinstance(event, MediaSold)
    assert (event.user_id, event.amount, event.currency, event.stage_id) == (ALICE, 50, "XTR", "photos")
    assert event.metadata == {"album": 3, "post": 9}
    assert (event.is_media, event.recovered, event.attempt, event.message) == (True, False, 1, None)
    assert event.timestamp == datetime.fromtimestamp(studio.clock.now, timezone.utc)
    assert event.transaction_id == f"media:{event.invoice_id}:{ALICE}"
    assert event.telegram_payment_charge_id is None
    assert event.chat_id == ALICE
    (payment,) = await studio.pay.history(ALICE)
    assert (payment.status, payment.delivered, payment.is_media) == (PaymentStatus.COMPLETED, True, True)
    assert await studio.pay.get_payment(event.transaction_id) == payment
    assert await studio.pay.get_payment(payment.reference or "") == payment
    assert not studio.bot.sent(AnswerPreCheckoutQuery)


async def test_a_repeated_update_is_dropped_and_another_buyer_is_another_charge(studio: Studio) -> None:
    studio.listen()
    payload = await studio.offer()
    await studio.unlock(payload)
    await studio.unlock(payload)
    await studio.unlock(payload, BOB)

    assert [event.user_id for event in studio.heard] == [ALICE, BOB]
    assert studio.heard[0].transaction_id != studio.heard[1].transaction_id
    report = await studio.pay.report(1)
    assert [(row.stage_id, row.payments, row.stars) for row in report.rows] == [("photos", 2, 100)]


async def test_two_messages_of_one_stage_are_two_charges(studio: Studio) -> None:
    studio.listen()
    for payload in [await studio.offer(), await studio.offer()]:
        await studio.unlock(payload)

    assert len({event.transaction_id for event in studio.heard}) == 2


async def test_long_metadata_and_keys_come_back_long_after(studio: Studio) -> None:
    studio.listen()
    payload = await studio.offer(metadata={"story": "s" * 500}, key="post-1")
    studio.clock.now += 400 * DAY
    await studio.unlock(payload)

    assert studio.heard[0].metadata["story"] == "s" * 500
    status = await studio.pay.invoice_status(key="post-1", user_id=ALICE)
    assert status.status is PaymentStatus.COMPLETED and status.delivered
    with pytest.raises(InvoiceError, match="delete the message"):
        await studio.pay.cancel_invoice(key="post-1")


async def test_completed_delivers_what_media_sold_did_not_take(studio: Studio) -> None:
    @studio.pay.media_sold("clip")
    async def clip(event: MediaSold) -> None:
        raise AssertionError("not its stage")

    studio.listen("completed")
    await studio.unlock(await studio.offer())

    assert studio.kinds == ["MediaSold"]


async def test_media_sold_goes_before_completed(studio: Studio) -> None:
    @studio.pay.completed
    async def never(event: PaymentCompleted) -> None:
        raise AssertionError("it was taken")

    studio.listen("media_sold")
    await studio.unlock(await studio.offer())

    assert studio.kinds == ["MediaSold"]


async def test_listeners_alone_are_the_delivery(studio: Studio) -> None:
    heard: list[PaymentResult] = []

    @studio.pay.on_payment
    async def listen(payment: PaymentResult) -> None:
        heard.append(payment)

    await studio.unlock(await studio.offer())

    assert [(payment.is_media, payment.amount) for payment in heard] == [(True, 50)]
    assert (await studio.pay.history(ALICE))[0].delivered


async def test_a_sale_that_nothing_hears_is_unmatched(studio: Studio) -> None:
    studio.listen("unmatched")
    await studio.unlock(await studio.offer())
    await settled(lambda: bool(studio.heard))

    assert isinstance(studio.heard[0], PaymentUnmatched)
    assert studio.heard[0].reason == "no_handler"
    assert [payment.stage_id for payment in await studio.pay.stuck_payments()] == ["photos"]


async def test_a_payload_of_ours_that_no_key_signed_is_unmatched_until_the_key_is_known(
    bot: RecordingBot, clock: Clock, storage: MemoryStorage
) -> None:
    old = Studio(bot, clock, storage, secret="the first secret of the shop")
    payload = await old.offer()
    forgetful = Studio(bot, clock, storage, secret="another secret of the shop").listen("unmatched", "media_sold")
    await forgetful.unlock(payload)
    await settled(lambda: bool(forgetful.heard))
    assert (forgetful.kinds, forgetful.heard[0].reason) == (["PaymentUnmatched"], "bad_token")

    again = Studio(
        *(bot, clock, storage), secret="another secret of the shop", previous_secrets=["the first secret of the shop"]
    ).listen()
    again.row(payload)
    report = await again.reconcile()
    assert report.recovered_count == 0
    await again.pay.redeliver("stxMedia")
    await again.pay.run_due()
    assert [(event.stage_id, event.amount) for event in again.heard] == [("photos", 50)]


async def test_media_of_others_are_left_to_the_bot(studio: Studio) -> None:
    seen: list[tuple[str, PaymentResult]] = []

    @studio.dp.purchased_paid_media()
    async def plain(sold: PaidMediaPurchased, payment: PaymentResult) -> None:
        seen.append((sold.paid_media_payload, payment))

    studio.listen()
    await studio.unlock("their-payload")

    ((payload, payment),) = seen
    assert (payload, payment.is_ours, payment.is_media, payment.stage_id) == ("their-payload", False, True, None)
    assert not studio.heard and not await studio.pay.history(ALICE)


async def test_limits_and_removed_stages_stop_no_sale_of_media(
    studio: Studio, caplog: pytest.LogCaptureFixture
) -> None:
    studio.listen()
    payload = await studio.offer("last")
    assert "its limits do not apply" in caplog.text
    await studio.unlock(payload)
    studio.pay.remove_payment_stage("last")
    await studio.unlock(payload, BOB)

    assert [(event.user_id, event.stage is None) for event in studio.heard] == [(ALICE, False), (BOB, True)]
    assert not studio.bot.sent(RefundStarPayment)


async def test_a_media_sale_gives_the_access_of_its_stage_and_its_refund_takes_it_back(
    bot: RecordingBot, clock: Clock, storage: MemoryStorage
) -> None:
    stage = PaymentStage("Album", "An album", 50, access="album", access_for=DAY)
    studio = Studio(bot, clock, storage, stages={"album": stage})
    payload = await studio.offer("album")
    await studio.unlock(payload)
    assert await studio.pay.access(ALICE, "album") is not None

    studio.row(payload)
    studio.listen("refunded")
    await studio.pay.refund((await studio.pay.history(ALICE))[0].reference or "")
    await settled(lambda: bool(studio.heard))
    assert await studio.pay.access(ALICE, "album") is None


# The way through the bot


async def test_handlers_run_inside_the_middlewares_of_messages_with_the_buyers_state(studio: Studio) -> None:
    class Session(BaseMiddleware):
        async def __call__(self, handler: Any, event: Any, data: dict[str, Any]) -> Any:
            return await handler(event, {**data, "session": "open"})

    studio.dp.message.middleware(Session())
    seen: list[Any] = []

    @studio.pay.media_sold
    async def grant(event: MediaSold, session: str, state: FSMContext, event_from_user: Any, event_chat: Any) -> None:
        await state.set_state("seen")
        seen.append((session, event_from_user.id, event_chat.id))

    await studio.unlock(await studio.offer())
    state = studio.dp.fsm.get_context(studio.bot, ALICE, ALICE)

    assert seen == [("open", ALICE, ALICE)]
    assert await state.get_state() == "seen"


async def test_plain_handlers_of_the_update_deliver_what_no_typed_one_took(studio: Studio) -> None:
    seen: list[tuple[str, Any, Any]] = []

    @studio.dp.purchased_paid_media(F.from_user.id == ALICE)
    async def plain(sold: PaidMediaPurchased, payment: PaymentResult, stage: PaymentStage | None) -> None:
        seen.append((sold.paid_media_payload, payment.stage_id, stage))

    payload = await studio.offer()
    await studio.unlock(payload)
    await studio.unlock(payload)

    assert seen == [(payload, "photos", STAGES["photos"])]
    assert (await studio.pay.history(ALICE))[0].delivered


async def test_plain_handlers_hear_nothing_of_what_a_typed_one_took(studio: Studio) -> None:
    @studio.dp.purchased_paid_media()
    async def plain(sold: PaidMediaPurchased) -> None:
        raise AssertionError("it was taken")

    studio.listen()
    await studio.unlock(await studio.offer())

    assert studio.kinds == ["MediaSold"]


async def test_with_propagate_always_plain_handlers_hear_it_too(
    bot: RecordingBot, clock: Clock, storage: MemoryStorage
) -> None:
    studio = Studio(bot, clock, storage, propagate="always").listen()
    seen: list[str] = []

    @studio.dp.purchased_paid_media()
    async def plain(sold: PaidMediaPurchased) -> None:
        seen.append(sold.paid_media_payload)

    payload = await studio.offer()
    await studio.unlock(payload)

    assert (studio.kinds, seen) == (["MediaSold"], [payload])


async def test_a_plain_handler_that_fails_is_called_again_and_listeners_are_not(studio: Studio) -> None:
    seen: list[str] = []

    @studio.pay.on_payment
    async def listen(payment: PaymentResult) -> None:
        seen.append("listener")

    @studio.dp.purchased_paid_media()
    async def plain(sold: PaidMediaPurchased, payment: PaymentResult) -> None:
        seen.append(f"plain {sold.paid_media_payload == payload} {sold.from_user.id} {payment.attempt}")
        if payment.attempt == 1:
            raise RuntimeError("the database is down")

    payload = await studio.offer()
    with pytest.raises(RuntimeError):
        await studio.unlock(payload)
    studio.clock.now += HOUR
    await studio.pay.run_due()

    assert seen == ["listener", f"plain True {ALICE} 1", f"plain True {ALICE} 2"]
    assert (await studio.pay.history(ALICE))[0].delivered


async def test_catch_alls_for_messages_do_not_see_the_carrier(studio: Studio) -> None:
    @studio.dp.message()
    async def unknown(message: Message) -> None:
        raise AssertionError("there is no message")

    studio.listen("unmatched")
    await studio.unlock(await studio.offer())
    await settled(lambda: bool(studio.heard))

    assert studio.kinds == ["PaymentUnmatched"]


async def test_a_throttle_on_messages_is_a_failed_attempt_and_no_delivery(studio: Studio) -> None:
    blocked = True

    class Throttle(BaseMiddleware):
        async def __call__(self, handler: Any, event: Any, data: dict[str, Any]) -> Any:
            return None if blocked else await handler(event, data)

    studio.dp.message.outer_middleware(Throttle())
    studio.listen()
    payload = await studio.offer()
    with pytest.raises(Exception, match="stopped it"):
        await studio.unlock(payload)
    assert not studio.heard
    blocked = False
    studio.clock.now += HOUR
    await studio.pay.run_due()

    assert [(event.user_id, event.attempt) for event in studio.heard] == [(ALICE, 2)]


async def test_a_failed_sale_is_retried_under_the_same_id_and_stuck_at_the_end(
    bot: RecordingBot, clock: Clock, storage: MemoryStorage
) -> None:
    studio = Studio(bot, clock, storage, retries=[60, 60]).listen("stuck")
    tried: list[str | None] = []

    @studio.pay.media_sold
    async def fail(event: MediaSold) -> None:
        tried.append(event.transaction_id)
        raise RuntimeError("the database is down")

    payload = await studio.offer()
    with pytest.raises(RuntimeError):
        await studio.unlock(payload)
    studio.row(payload)
    await studio.pay.reconcile()  # Telegram's id becomes known between two attempts
    assert len(tried) == 1
    for _ in range(4):
        studio.clock.now += HOUR
        await studio.pay.run_due()
    await settled(lambda: bool(studio.heard))

    assert tried == [tried[0]] * 3
    assert isinstance(studio.heard[0], PaymentStuck)
    assert studio.heard[0].transaction_id == tried[0]


async def test_an_unrecorded_sale_reaches_no_handler_and_is_recorded_later(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.listen()
    payload = await studio.offer()
    engine = studio.pay._shop.engine
    write = engine.write

    async def down(change: Any) -> Any:
        raise ConnectionError("the storage is down")

    monkeypatch.setattr(engine, "write", down)
    with pytest.raises(ConnectionError):
        await studio.unlock(payload)
    assert not studio.heard
    monkeypatch.setattr(engine, "write", write)
    await settled(lambda: bool(studio.heard))

    assert studio.kinds == ["MediaSold"]


@pytest.mark.parametrize("payload", ["n1", "n1\ud800", "n1" + "A" * 126, "n1" + "\x00" * 40])
async def test_a_payload_that_only_looks_ours_is_unmatched_and_crashes_nothing(studio: Studio, payload: str) -> None:
    studio.listen("unmatched")
    await studio.unlock(payload)
    await studio.unlock(payload)
    await settled(lambda: bool(studio.heard))

    assert [event.reason for event in studio.heard] == ["bad_token"]


# Telegram's ledger


async def test_reconciliation_attaches_the_charge_id_and_delivers_nothing_again(studio: Studio) -> None:
    studio.listen()
    payload = await studio.offer()
    await studio.unlock(payload)
    studio.row(payload, "stxReal")
    dry = await studio.pay.reconcile(dry_run=True)
    assert dry.is_clean and await studio.pay.get_payment("stxReal") is None
    report = await studio.reconcile()
    again = await studio.reconcile()

    assert report.is_clean and again.is_clean and report.foreign == 0
    (event,) = studio.heard
    for user_id in (None, ALICE):
        found = await studio.pay.get_payment("stxReal", user_id=user_id)
        assert found is not None and found.transaction_id == event.transaction_id
        assert found.telegram_payment_charge_id == "stxReal"
    assert len(await studio.pay.history(ALICE)) == 1
    assert not await studio.pay.stuck_payments()


async def test_a_young_row_of_a_known_sale_is_attached_at_once(studio: Studio) -> None:
    studio.listen()
    payload = await studio.offer()
    await studio.unlock(payload)
    studio.row(payload, "stxReal")
    report = await studio.pay.reconcile()

    assert report.waiting == 0
    assert await studio.pay.get_payment("stxReal") is not None


async def test_a_sale_whose_update_was_lost_is_recovered_and_a_late_update_dropped(studio: Studio) -> None:
    studio.listen()
    payload = await studio.offer(metadata={"post": 9})
    await studio.pay.reconcile()
    studio.row(payload, "stxLost")
    young = await studio.pay.reconcile()
    assert (young.waiting, young.recovered_count) == (1, 0)
    report = await studio.reconcile()
    await studio.unlock(payload)
    await studio.reconcile()

    assert (report.recovered_count, report.recovered_stars) == (1, 50)
    (event,) = studio.heard
    assert isinstance(event, MediaSold)
    assert (event.recovered, event.metadata, event.amount) == (True, {"album": 3, "post": 9}, 50)
    assert event.transaction_id == f"media:{event.invoice_id}:{ALICE}"
    assert event.telegram_payment_charge_id == "stxLost"
    assert await studio.pay.get_payment("stxLost") is not None


async def test_a_second_sale_of_the_same_media_to_the_same_buyer_is_a_charge_of_its_own(studio: Studio) -> None:
    """Telegram sells a message once to each; should it not, no Star may get lost."""
    studio.listen()
    payload = await studio.offer()
    await studio.unlock(payload)
    studio.row(payload, "stxOne")
    studio.row(payload, "stxTwo")
    report = await studio.reconcile()
    await studio.reconcile()

    assert report.recovered_count == 1
    assert [event.recovered for event in studio.heard] == [False, True]
    assert studio.heard[1].transaction_id == studio.heard[1].telegram_payment_charge_id == "stxTwo"
    first = await studio.pay.get_payment("stxOne")
    assert first is not None and first.transaction_id == studio.heard[0].transaction_id


async def test_two_lost_sales_of_the_same_media_are_both_recovered(studio: Studio) -> None:
    studio.listen()
    payload = await studio.offer()
    await studio.pay.reconcile()
    studio.row(payload, "stxOne")
    studio.row(payload, "stxTwo")
    studio.row(payload, "stxOne", back=True)
    await studio.reconcile()

    assert sorted(studio.kinds) == ["MediaSold", "PaymentRefunded"]
    sold = {type(event).__name__: event.telegram_payment_charge_id for event in studio.heard}
    assert sold == {"MediaSold": "stxTwo", "PaymentRefunded": "stxOne"}


async def test_media_from_before_our_time_and_of_others_are_foreign(studio: Studio) -> None:
    studio.listen()
    payload = await studio.offer()
    studio.clock.now += DAY
    other = Studio(studio.bot, studio.clock, MemoryStorage()).listen()
    await other.pay.reconcile()
    other.clock.now -= HOUR
    other.row(payload, "stxOld")
    other.row("their-payload", "stxTheirs")
    other.clock.now += HOUR
    report = await other.reconcile()

    assert (report.rows, report.foreign, report.recovered_count) == (2, 2, 0)


# Refunds


@pytest.mark.parametrize("known_as", ["reference", "transaction_id"])
async def test_a_refund_reads_telegrams_rows_first_where_the_charge_id_is_unknown(
    studio: Studio, known_as: str
) -> None:
    studio.listen()
    payload = await studio.offer()
    await studio.unlock(payload)
    studio.row("their-payload", "stxTheirs")
    studio.row(payload, "stxBob", user=BOB)
    studio.row(payload, "stxReal")
    refunded = await studio.pay.refund(getattr(studio.heard[0], known_as), "not sharp")
    await settled(lambda: len(studio.heard) == 2)

    (call,) = studio.bot.sent(RefundStarPayment)
    assert (call.user_id, call.telegram_payment_charge_id) == (ALICE, "stxReal")
    assert refunded.status is PaymentStatus.REFUNDED
    assert isinstance(studio.heard[1], PaymentRefunded) and studio.heard[1].is_media
    found = await studio.pay.get_payment("stxReal")
    assert found is not None and found.status is PaymentStatus.REFUNDED


async def test_a_refund_by_telegrams_charge_id_finds_the_sale(studio: Studio) -> None:
    studio.listen()
    payload = await studio.offer()
    await studio.unlock(payload)
    studio.row(payload, "stxReal")
    await studio.reconcile()
    refunded = await studio.pay.refund("stxReal")

    assert refunded.transaction_id == studio.heard[0].transaction_id
    assert [call.telegram_payment_charge_id for call in studio.bot.sent(RefundStarPayment)] == ["stxReal"]


def _slow_down(method: GetStarTransactions) -> None:
    raise TelegramRetryAfter(method, "Too Many Requests", 7)


def _cut_off(method: GetStarTransactions) -> None:
    raise TelegramNetworkError(method, "the line is cut")


@pytest.mark.parametrize(
    ("trouble", "words"), [(None, "not show"), (_slow_down, "in 7 s"), (_cut_off, "cannot be read")]
)
async def test_a_refund_waits_until_telegrams_ledger_shows_the_sale(
    studio: Studio, trouble: Callable[[Any], None] | None, words: str
) -> None:
    studio.listen()
    payload = await studio.offer()
    await studio.unlock(payload)
    if trouble is not None:
        studio.bot.answer(GetStarTransactions, trouble)
    with pytest.raises(RefundError, match=words) as raised:
        await studio.pay.refund(studio.heard[0].reference)
    assert not raised.value.is_final and not studio.bot.sent(RefundStarPayment)

    studio.bot.answer(GetStarTransactions, studio._page)
    studio.row(payload, "stxReal")
    studio.clock.now += HOUR
    await studio.pay.run_due()
    assert len(studio.bot.sent(RefundStarPayment)) == 1
    assert studio.kinds == ["MediaSold", "PaymentRefunded"]


async def test_a_handler_that_rejects_a_sale_has_it_refunded(studio: Studio) -> None:
    studio.listen("refunded")

    @studio.pay.media_sold
    async def reject(event: MediaSold) -> None:
        raise RejectPayment("not for you")

    payload = await studio.offer()
    studio.row(payload, "stxReal")
    await studio.unlock(payload)
    await settled(lambda: bool(studio.heard))

    assert [call.telegram_payment_charge_id for call in studio.bot.sent(RefundStarPayment)] == ["stxReal"]
    assert studio.kinds == ["PaymentRefunded"]


@pytest.mark.parametrize("tells", ["a message", "a row", "both"])
async def test_a_refund_made_elsewhere_is_announced_once_however_it_is_told(studio: Studio, tells: str) -> None:
    studio.listen()
    payload = await studio.offer()
    await studio.unlock(payload)
    studio.row(payload, "stxReal")
    studio.row(payload, "stxReal", back=True)
    if tells != "a row":
        await studio.refunded(payload, "stxReal")
    if tells != "a message":
        await studio.reconcile()

    assert studio.kinds == ["MediaSold", "PaymentRefunded"]
    assert studio.heard[1].transaction_id == studio.heard[0].transaction_id
    assert studio.heard[1].telegram_payment_charge_id == "stxReal"
    found = await studio.pay.get_payment("stxReal")
    assert found is not None and found.status is PaymentStatus.REFUNDED


async def test_a_refund_known_before_its_sale_settles_it_unheard(studio: Studio) -> None:
    studio.listen()
    payload = await studio.offer()
    await studio.refunded(payload, "stxReal")
    await studio.unlock(payload)

    assert studio.kinds == ["PaymentRefunded"]
    assert len(await studio.pay.history(ALICE)) == 1
    assert await studio.pay.get_payment("stxReal") is not None


async def test_an_ordinary_message_passes_as_ever(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    said: list[str | None] = []

    @studio.dp.message()
    async def talk(message: Message) -> None:
        said.append(message.text)

    studio.listen()
    await studio.unlock(await studio.offer())
    await studio.dp.feed_raw_update(studio.bot, text("hello"))

    assert said == ["hello"] and studio.kinds == ["MediaSold"]


async def test_a_view_of_one_bot_sells_for_it(studio: Studio) -> None:
    other = RecordingBot("43:OTHER")
    other.answer(SendPaidMedia, studio._sent)
    view: NeonPay = studio.pay.as_(other)
    await view.send_paid_media(ALICE, "photos", MEDIA)

    assert len(other.sent(SendPaidMedia)) == 1 and not studio.bot.sent(SendPaidMedia)
