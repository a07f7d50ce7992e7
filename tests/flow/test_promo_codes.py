"""Promo codes: reserved with the invoice, used up by the payment, never more often than there are uses."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import pytest_asyncio
from aiogram import Dispatcher
from aiogram.exceptions import TelegramBadRequest
from aiogram.filters import Command, CommandObject
from aiogram.fsm.storage.base import BaseStorage
from aiogram.methods import AnswerPreCheckoutQuery, CreateInvoiceLink, GetMe, SendInvoice
from aiogram.types import Message, User

from aiogram_neonpay import (
    Checkout,
    CheckoutDeclined,
    ConfigurationError,
    InvoiceError,
    NeonPay,
    PaymentCompleted,
    PaymentStage,
    PromoCode,
    PromoError,
    PromoUsage,
    RejectPayment,
    ValidationError,
    neonpay_router,
)
from aiogram_neonpay.ledger.base import STOCK, RecordKey
from aiogram_neonpay.testing import BotSandbox, BotUser
from tests.flow.clock import Clock, settled
from tests.flow.test_access import shared  # noqa: F401
from tests.telegram import ALICE, BOB, RecordingBot, charge_of, paid, person, pre_checkout, private_chat, refunded

pytestmark = pytest.mark.asyncio

CAROL = 9
MINUTE, HOUR, DAY = 60, 3600, 86_400
STAGES = {
    "premium": PaymentStage("Premium", "30 days of premium", 25, payload={"days": 30}),
    "print": PaymentStage("Print", "The only one", 50, stock=1),
    "one": PaymentStage("One", "As cheap as can be", 1),
    "donate": PaymentStage("Donate", "Thank you", None),
    "club": PaymentStage("Club", "By the month", 40, subscription=True),
}
_bots = itertools.count(7_100_000)
START = datetime.fromtimestamp(Clock().now, timezone.utc)


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Till:
    """A shop with codes, and what a buyer does in it."""

    def __init__(self, bot: RecordingBot, kept_in: BaseStorage | None = None, **options: Any) -> None:
        self.bot, self.clock = bot, Clock()
        if kept_in is None:
            options["clock"] = self.clock
        self.pay = neonpay_router(STAGES, bot=bot, **options)
        self.dp = Dispatcher(storage=kept_in)
        self.dp.include_router(self.pay)
        self.delivered: list[PaymentCompleted] = []
        self.declined: list[str] = []
        self.pay.completed(self.deliver)
        self.pay.declined(self.note)

    async def deliver(self, event: PaymentCompleted) -> None:
        self.delivered.append(event)

    async def note(self, event: CheckoutDeclined) -> None:
        self.declined.append(event.reason)

    async def offer(self, promo: str | None, user_id: int = ALICE, stage_id: str = "premium", **options: Any) -> str:
        await self.pay.send_payment(user_id, stage_id, promo=promo, **options)
        return self.bot.payload()

    async def agree(self, payload: str, amount: int = 20, user_id: int = ALICE) -> str | None:
        """Ask for the approval of a payment; return why not."""
        await self.dp.feed_raw_update(self.bot, pre_checkout(payload, amount, user_id))
        answer = self.bot.sent(AnswerPreCheckoutQuery)[-1]
        return None if answer.ok else answer.error_message

    async def take(self, payload: str, amount: int = 20, user_id: int = ALICE) -> dict[str, Any]:
        bought = paid(payload, amount, user_id)
        await self.dp.feed_raw_update(self.bot, bought)
        return bought

    async def buy(self, promo: str | None, user_id: int = ALICE, amount: int = 20) -> dict[str, Any]:
        payload = await self.offer(promo, user_id)
        assert await self.agree(payload, amount, user_id) is None
        return await self.take(payload, amount, user_id)

    async def usage(self, code: str = "LAST") -> PromoUsage:
        usage = await self.pay.get_promo_usage(code)
        assert usage is not None
        return usage

    async def refusal(self, promo: str, user_id: int = ALICE, stage_id: str = "premium", **options: Any) -> str:
        with pytest.raises(PromoError) as refused:
            await self.offer(promo, user_id, stage_id, **options)
        return refused.value.reason


@pytest.fixture
def other_bot() -> RecordingBot:
    """A bot of this test's own: codes that are kept in Redis outlive a test."""
    return RecordingBot(f"{next(_bots)}:TEST-TOKEN")


@pytest.fixture
def till(bot: RecordingBot) -> Till:
    return Till(
        bot,
        promos={
            "off20": PromoCode(percent=20),
            "LAST": PromoCode(stars=5, total=1),
            "ONCE": PromoCode(percent=20, per_user=1),
            "JUNE": PromoCode(percent=20, starts_at=moment(HOUR), ends_at=moment(DAY)),
            "CLUB": PromoCode(percent=50, stages=["club"]),
        },
    )


# The price


async def test_a_code_lowers_the_price_and_the_payment_tells_of_it(till: Till) -> None:
    bought = await till.buy("Off20")

    assert [price.amount for price in till.bot.sent(SendInvoice)[-1].prices] == [20]
    (event,) = till.delivered
    assert (event.amount, event.promo, event.full_price, event.metadata) == (20, "OFF20", 25, {"days": 30})
    payment = await till.pay.get_payment(charge_of(bought))
    assert payment is not None and (payment.promo, payment.full_price) == ("OFF20", 25)
    assert await till.usage("off20") == PromoUsage(used=1, reserved=0, left=None)


async def test_a_sale_without_a_code_is_as_before_and_costs_no_storage(till: Till) -> None:
    reads = 0
    engine = till.pay._shop.engine
    read = engine.read

    async def counting(keys: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(keys)

    engine.read = counting  # type: ignore[method-assign]
    payload = await till.offer(None)
    assert await till.agree(payload, 25) is None
    assert reads == 0

    await till.take(payload, 25)
    (event,) = till.delivered
    assert (event.amount, event.promo, event.full_price, event.is_gift) == (25, None, 25, False)
    assert reads == 0


async def test_every_selling_call_takes_a_code(till: Till) -> None:
    message = Message.model_validate(
        {"message_id": 1, "date": 1, "chat": private_chat(ALICE), "from": person(ALICE), "text": "/buy"}
    ).as_(till.bot)
    await till.pay.answer_payment(message, "premium", promo="off20")
    assert till.bot.sent(SendInvoice)[-1].prices[0].amount == 20
    await till.pay.create_link("premium", promo="off20")
    assert till.bot.sent(CreateInvoiceLink)[-1].prices[0].amount == 20
    result = await till.pay.create_inline_result("premium", promo="off20")
    assert result.input_message_content.prices[0].amount == 20  # type: ignore[union-attr]
    await till.offer("off20", stage_id="donate", amount=100)
    assert till.bot.sent(SendInvoice)[-1].prices[0].amount == 80


async def test_a_subscription_is_cheaper_only_with_a_code_that_names_it(till: Till) -> None:
    assert await till.refusal("off20", stage_id="club") == "not_for_stage"
    assert await till.refusal("CLUB") == "not_for_stage"
    await till.pay.create_link("club", promo="CLUB")

    assert till.bot.sent(CreateInvoiceLink)[-1].prices[0].amount == 20


# Refusals


async def test_a_code_that_cannot_be_used_is_refused_with_the_reason(till: Till) -> None:
    assert await till.refusal("NONE") == "unknown"
    assert await till.refusal("JUNE") == "not_started"
    till.clock.now += DAY
    assert await till.refusal("JUNE") == "ended"
    assert await till.refusal("off20", stage_id="one") == "not_for_stage"  # it would take nothing off
    await till.buy("ONCE")
    assert await till.refusal("once") == "already_used"
    await till.buy("LAST", BOB)
    assert await till.refusal("LAST") == "used_up"
    for typed in ("", "ЛЕТО 2027", "x" * 5000):
        assert await till.refusal(typed) == "unknown"
    with pytest.raises(ValidationError, match="promo: must be a string"):
        await till.offer(20)  # type: ignore[arg-type]
    assert len(till.bot.sent(SendInvoice)) == 2


async def test_the_buyers_sentence_is_in_their_language(till: Till) -> None:
    message = Message.model_validate(
        {
            "message_id": 1,
            "date": 1,
            "chat": private_chat(ALICE),
            "from": person(ALICE, language_code="ru"),
            "text": "x",
        }
    ).as_(till.bot)
    with pytest.raises(PromoError) as refused:
        await till.pay.answer_payment(message, "premium", promo="none")

    assert refused.value.text == "Такого промокода нет."
    assert refused.value.code == "NONE"


# Reserved, used up, released


async def test_a_use_is_reserved_with_the_invoice_and_released_when_nobody_pays(till: Till) -> None:
    await till.offer("LAST")
    assert await till.usage() == PromoUsage(used=0, reserved=1, left=0)
    assert await till.refusal("LAST", BOB) == "used_up"
    till.clock.now += HOUR

    assert await till.usage() == PromoUsage(used=0, reserved=0, left=1)
    await till.buy("LAST", BOB)
    assert await till.usage() == PromoUsage(used=1, reserved=0, left=0)


async def test_one_buyer_who_taps_often_reserves_one_use(till: Till) -> None:
    await till.pay.create_promo("TWO", PromoCode(stars=5, total=2))
    for _ in range(5):
        await till.offer("TWO")
    assert await till.usage("TWO") == PromoUsage(used=0, reserved=1, left=1)
    await till.buy("TWO", BOB)

    payload = till.bot.sent(SendInvoice)[0].payload
    assert await till.agree(payload) is None
    await till.take(payload)
    assert await till.usage("TWO") == PromoUsage(used=2, reserved=0, left=0)


async def test_an_expiry_or_a_cancellation_of_the_invoice_releases_its_use(till: Till) -> None:
    await till.offer("LAST", expires_in=60)
    till.clock.now += 60
    await till.offer("LAST", BOB, key="bob")
    await till.pay.cancel_invoice(key="bob")

    assert await till.usage() == PromoUsage(used=0, reserved=0, left=1)


async def test_an_invoice_whose_reservation_ended_takes_a_free_use_or_is_declined(till: Till) -> None:
    first, second = await till.offer("LAST"), None
    till.clock.now += HOUR
    second = await till.offer("LAST", BOB)
    assert await till.agree(first) == "This promo code has been used up."
    till.clock.now += HOUR

    assert await till.agree(first) is None
    assert await till.agree(second, user_id=BOB) == "This promo code has been used up."
    await till.take(first)
    assert await till.usage() == PromoUsage(used=1, reserved=0, left=0)
    await settled(lambda: till.declined == ["promo_used_up"] * 2)


async def test_an_approved_checkout_keeps_its_use_until_the_news_of_the_payment_must_be_there(till: Till) -> None:
    payload = await till.offer("LAST")
    assert await till.agree(payload) is None
    till.clock.now += DAY - 1
    assert await till.refusal("LAST", BOB) == "used_up"
    await till.take(payload)

    assert await till.usage() == PromoUsage(used=1, reserved=0, left=0)
    assert await till.refusal("LAST", BOB) == "used_up"


async def test_a_payment_is_honoured_whatever_became_of_its_reservation(till: Till) -> None:
    payload = await till.offer("LAST")
    till.clock.now += HOUR
    await till.buy("LAST", BOB)
    await till.take(payload)  # as if approved by a version that knew no codes

    assert [event.amount for event in till.delivered] == [20, 20]
    assert await till.usage() == PromoUsage(used=2, reserved=0, left=0)


async def test_what_is_reserved_is_honoured_after_the_end_and_the_rest_is_not(till: Till) -> None:
    till.clock.now += DAY - HOUR / 2
    kept, late = await till.offer("JUNE"), await till.offer("JUNE", BOB)
    till.clock.now += HOUR / 2

    assert await till.agree(kept) is None
    till.clock.now += HOUR / 2
    assert await till.agree(late, user_id=BOB) == "This promo code cannot be used any more."


async def test_a_removed_code_is_honoured_while_it_is_reserved(till: Till) -> None:
    await till.pay.create_promo("SHORT", PromoCode(stars=5, total=9))
    first, second = await till.offer("SHORT"), await till.offer("SHORT", BOB)
    assert await till.pay.remove_promo("short")
    assert await till.refusal("SHORT") == "unknown"

    assert await till.agree(first) is None
    await till.take(first)
    till.clock.now += HOUR
    assert await till.agree(second, user_id=BOB) == "This promo code cannot be used any more."
    assert (await till.usage("SHORT")).used == 1


async def test_a_second_invoice_with_a_code_for_one_use_is_declined_once_the_first_is_paid(till: Till) -> None:
    payloads = [await till.offer("ONCE") for _ in range(2)]
    assert await till.agree(payloads[0]) is None
    assert await till.agree(payloads[1]) == "You have used this promo code already."
    await till.take(payloads[0])

    assert await till.agree(payloads[1]) == "You have used this promo code already."
    assert await till.agree(payloads[1], user_id=BOB) is None  # an invoice in a private chat may be forwarded


async def test_one_invoice_for_everybody_counts_each_who_pays_it(till: Till) -> None:
    await till.pay.create_promo("TWO", PromoCode(stars=5, total=2))
    await till.pay.create_link("premium", promo="TWO")
    payload = till.bot.payload()
    assert [await till.agree(payload, user_id=user) for user in (1, 2)] == [None, None]
    assert await till.agree(payload, user_id=3) == "This promo code has been used up."
    for user in (1, 2):
        await till.take(payload, user_id=user)

    assert await till.usage("TWO") == PromoUsage(used=2, reserved=0, left=0)


async def test_what_a_refused_answer_had_kept_is_free_at_once(till: Till) -> None:
    def refuse(method: AnswerPreCheckoutQuery) -> Any:
        raise TelegramBadRequest(method=method, message="Bad Request: query is too old")

    payload = await till.offer("LAST")
    till.bot.answer(AnswerPreCheckoutQuery, refuse)
    with pytest.raises(TelegramBadRequest):
        await till.agree(payload)
    till.bot.recorded.answers.clear()

    assert await till.usage() == PromoUsage(used=0, reserved=0, left=1)
    assert await till.agree(payload) is None


async def test_what_is_sold_out_uses_no_code(till: Till) -> None:
    await till.pay.create_promo("TEN", PromoCode(stars=10, total=10, per_user=1))
    first = await till.offer("TEN", stage_id="print")
    second = await till.offer("TEN", BOB, "print")
    assert await till.agree(first, 40) is None
    assert await till.agree(second, 40, BOB) == "This is sold out. No Stars were charged."
    await till.take(first, 40)
    await till.take(second, 40, BOB)
    await till.pay.run_due()

    assert await till.usage("TEN") == PromoUsage(used=1, reserved=1, left=8)
    till.clock.now += HOUR
    assert await till.usage("TEN") == PromoUsage(used=1, reserved=0, left=9)


async def test_a_refund_gives_the_use_back_once(till: Till) -> None:
    await till.pay.create_promo("MINE", PromoCode(stars=5, total=1, per_user=1))
    bought = await till.buy("MINE")
    for _ in range(2):
        await till.dp.feed_raw_update(till.bot, refunded(bought))

    assert await till.usage("MINE") == PromoUsage(used=0, reserved=0, left=1)
    await till.buy("MINE")
    assert await till.usage("MINE") == PromoUsage(used=1, reserved=0, left=0)


async def test_a_rejected_payment_gives_the_use_back(till: Till) -> None:
    @till.pay.completed.outer_middleware
    async def reject(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        raise RejectPayment("no")

    await till.buy("LAST")
    await till.pay.run_due()

    assert await till.usage() == PromoUsage(used=0, reserved=0, left=1)


async def test_attempts_that_fail_and_updates_that_come_again_count_once(till: Till) -> None:
    fails = 2

    @till.pay.completed.outer_middleware
    async def unlucky(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        nonlocal fails
        if fails:
            fails -= 1
            raise RuntimeError
        return await handler(event, data)

    payload = await till.offer("LAST")
    assert await till.agree(payload) is None
    bought = paid(payload, 20)
    with pytest.raises(RuntimeError):
        await till.dp.feed_raw_update(till.bot, bought)
    for _ in range(3):
        till.clock.now += DAY
        await till.pay.run_due()
        await till.dp.feed_raw_update(till.bot, bought)

    assert len(till.delivered) == 1
    assert await till.usage() == PromoUsage(used=1, reserved=0, left=0)


async def test_the_count_does_not_grow_with_what_is_sold(till: Till) -> None:
    for user in range(1, 71):
        await till.buy("off20", user)
    till.clock.now += 600
    await till.buy("off20", 71)

    (row,) = await till.pay._shop.engine.read([RecordKey(till.bot.id, STOCK, "promo:OFF20")])
    assert row is not None and len(row.body["noted"]) == 1
    assert (await till.usage("off20")).used == 71


async def test_a_refund_that_is_known_before_its_payment_uses_nothing(till: Till) -> None:
    payload = await till.offer("LAST")
    bought = paid(payload, 20)
    await till.dp.feed_raw_update(till.bot, refunded(bought))
    await till.dp.feed_raw_update(till.bot, bought)

    assert till.delivered == []
    assert (await till.usage()).used == 0


async def test_a_key_gives_the_same_invoice_at_the_same_price_when_the_code_is_over(till: Till) -> None:
    till.clock.now += HOUR
    first = await till.offer("JUNE", key="order 1")
    till.clock.now += DAY
    assert await till.offer("JUNE", key="order 1") == first
    assert await till.refusal("JUNE", key="order 2") == "ended"
    with pytest.raises(InvoiceError, match="another invoice"):
        await till.offer("off20", key="order 1")
    with pytest.raises(InvoiceError, match="another invoice"):
        await till.offer(None, key="order 1")


async def test_a_validator_sees_the_code(till: Till) -> None:
    seen: list[tuple[str | None, bool]] = []

    @till.pay.check
    async def look(checkout: Checkout) -> None:
        seen.append((checkout.promo, checkout.is_gift))

    await till.buy("off20")
    await till.buy(None, amount=25)

    assert seen == [("OFF20", False), (None, False)]


# Making codes


async def test_a_code_that_was_made_is_known_to_every_worker_and_to_later_processes(
    other_bot: RecordingBot,
    shared: Any,  # noqa: F811
) -> None:
    one, other = (Till(other_bot, kept_in=shared) for _ in range(2))
    promo = PromoCode(percent=20, stages=["premium"], total=3, per_user=2, ends_at=moment(400 * DAY))
    assert await one.pay.create_promo("summer", promo) == promo

    assert await other.pay.get_promo("Summer") == promo
    assert await other.pay.list_promos() == {"SUMMER": promo}
    with pytest.raises(ValidationError, match="in use"):
        await other.pay.create_promo("SUMMER", PromoCode(percent=5))
    await other.pay.create_promo("SUMMER", PromoCode(percent=5), replace=True)
    assert await one.pay.get_promo("SUMMER") == PromoCode(percent=5)
    assert await one.pay.remove_promo("SUMMER") is True
    assert await other.pay.remove_promo("SUMMER") is False
    assert await other.pay.get_promo("SUMMER") is None
    assert await other.pay.list_promos() == {}


async def test_many_codes_made_at_once_are_all_listed(
    other_bot: RecordingBot,
    shared: Any,  # noqa: F811
) -> None:
    workers = [Till(other_bot, kept_in=shared) for _ in range(2)]
    codes = [f"CODE-{number}" for number in range(30)]
    await asyncio.gather(
        *(workers[at % 2].pay.create_promo(code, PromoCode(percent=5)) for at, code in enumerate(codes))
    )

    assert sorted(await workers[0].pay.list_promos()) == sorted(codes)


async def test_a_code_of_the_program_for_a_stage_that_is_not_sold_is_a_mistake(bot: RecordingBot) -> None:
    till = Till(bot, promos={"TYPO": PromoCode(percent=5, stages=["premuim"])})
    with pytest.raises(ConfigurationError, match="premuim"):
        await till.pay.setup()


async def test_codes_of_the_program_stand_before_those_that_were_made(till: Till) -> None:
    await till.pay.create_promo("NEW", PromoCode(percent=5))
    assert list(await till.pay.list_promos()) == ["NEW", "OFF20", "LAST", "ONCE", "JUNE", "CLUB"]
    for change in (till.pay.create_promo("last", PromoCode(percent=5), replace=True), till.pay.remove_promo("Last")):
        with pytest.raises(ValidationError, match="neonpay_router"):
            await change
    with pytest.raises(ValidationError, match="PromoCode"):
        await till.pay.create_promo("BAD", {"percent": 5})  # type: ignore[arg-type]
    assert await till.pay.get_promo_usage("NEVER") is None


# At once


async def test_of_many_who_want_the_last_use_at_once_one_gets_it(
    other_bot: RecordingBot,
    shared: Any,  # noqa: F811
) -> None:
    workers = [Till(other_bot, kept_in=shared) for _ in range(2)]
    await workers[0].pay.create_promo("LAST", PromoCode(stars=5, total=1))
    tries = await asyncio.gather(
        *(workers[user % 2].offer("LAST", user) for user in range(100, 112)), return_exceptions=True
    )

    refused = [one for one in tries if isinstance(one, PromoError)]
    assert len(refused) == 11 and {one.reason for one in refused} == {"used_up"}
    assert len(other_bot.sent(SendInvoice)) == 1


@pytest.mark.parametrize("who", ["one buyer on two devices", "many buyers"])
async def test_of_many_checkouts_at_once_as_many_are_approved_as_there_are_uses(
    other_bot: RecordingBot,
    shared: Any,  # noqa: F811
    who: str,
) -> None:
    workers = [Till(other_bot, kept_in=shared) for _ in range(2)]
    single = who.startswith("one")
    limits: dict[str, Any] = {"per_user": 1, "total": 50} if single else {"total": 3}
    await workers[0].pay.create_promo("LAST", PromoCode(stars=5, **limits))
    await workers[0].pay.create_link("premium", promo="LAST")
    payload = other_bot.payload()
    users = [ALICE] * 8 if single else range(100, 112)
    queries = [pre_checkout(payload, 20, user) for user in users]
    await asyncio.gather(*(workers[at % 2].dp.feed_raw_update(other_bot, query) for at, query in enumerate(queries)))
    agreed = {answer.pre_checkout_query_id for answer in other_bot.sent(AnswerPreCheckoutQuery) if answer.ok}
    assert len(agreed) == (1 if single else 3)

    payments = [
        paid(payload, 20, query["pre_checkout_query"]["from"]["id"])
        for query in queries
        if query["pre_checkout_query"]["id"] in agreed
    ]
    # Each through both workers, as a webhook that was sent again.
    await asyncio.gather(*(worker.dp.feed_raw_update(other_bot, payment) for payment in payments for worker in workers))
    used = 1 if single else 3
    assert len(workers[0].delivered) + len(workers[1].delivered) == used
    assert (await workers[1].usage()).used == used


async def test_a_worker_that_dies_between_count_and_record_counts_once(bot: RecordingBot) -> None:
    """The count is written first; the charge's own record, which says so, is lost with the worker."""
    till = Till(bot, promos={"LAST": PromoCode(stars=5, total=2, per_user=2)})
    payload = await till.offer("LAST")
    assert await till.agree(payload) is None
    charges = till.pay._shop.charges

    class Death(SystemExit):
        pass

    async def die(*_: Any, **__: Any) -> None:
        raise Death

    give_back, charges.give_back = charges.give_back, die  # type: ignore[assignment, method-assign]
    bought = paid(payload, 20)
    with pytest.raises(Death):
        await till.dp.feed_raw_update(bot, bought)
    charges.give_back = give_back  # type: ignore[method-assign]
    assert (await till.usage()).used == 1
    till.clock.now += DAY
    await till.pay.run_due()

    assert len(till.delivered) == 2  # at least once: the handler had run
    assert await till.usage() == PromoUsage(used=1, reserved=0, left=1)
    assert await till.agree(await till.offer("LAST")) is None


async def test_a_code_and_a_gift_go_together(bot: RecordingBot) -> None:
    bot.answer(GetMe, lambda _: User(id=42, is_bot=True, first_name="Shop", username="gift_bot"))
    till = Till(bot, promos={"LAST": PromoCode(stars=5, total=1)})
    payload = await till.offer("LAST", gift=True)
    assert await till.agree(payload) is None
    await till.take(payload)

    (gift,) = await till.pay.list_gifts(ALICE)
    assert (gift.payment.promo, gift.payment.full_price, gift.payment.amount) == ("LAST", 25, 20)
    assert (await till.usage()).used == 1
    await till.pay.refund(str(gift.payment.reference))
    await asyncio.wait(till.pay._installation.feed.tasks)
    assert (await till.usage()).used == 0


# With a Telegram that keeps its own ledger


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[BotSandbox]:
    pay = neonpay_router(
        STAGES,
        promos={"CLUB": PromoCode(percent=50, stages=["club"], per_user=1), "LAST": PromoCode(stars=5, total=1)},
    )
    dp = Dispatcher()
    dp.include_router(pay)

    @dp.message(Command("buy"))
    async def sell(message: Message, command: CommandObject, neonpay: NeonPay) -> None:
        stage_id, promo = str(command.args).split()
        try:
            await neonpay.answer_payment(message, stage_id, promo=promo)
        except PromoError as error:
            await message.answer(error.text)

    @pay.completed
    async def deliver(event: PaymentCompleted) -> None:
        await event.answer(f"{event.amount} of {event.full_price} with {event.promo}")

    async with BotSandbox(dp) as sandbox:
        yield sandbox


def said(user: BotUser) -> str:
    return [message.text for message in user.messages() if message.from_bot][-1]


async def test_a_subscription_stays_cheaper_and_uses_its_code_once(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice", stars=100)
    await alice.send("/buy club club")
    assert (await alice.pay()).ok
    assert said(alice) == "20 of 40 with CLUB"
    await sandbox.advance(days=30, hours=1)

    assert said(alice) == "20 of 20 with None"
    assert alice.balance == 60
    pay: NeonPay = sandbox.dispatcher["neonpay"]
    assert await pay.get_promo_usage("club") == PromoUsage(used=1, reserved=0, left=None)
    await alice.send("/buy club club")
    assert said(alice) == "You have used this promo code already."


async def test_a_payment_with_a_code_that_is_found_in_telegrams_ledger_counts(sandbox: BotSandbox) -> None:
    alice, bob = sandbox.user("Alice", stars=100), sandbox.user("Bob", stars=100, language_code="ru")
    await alice.send("/buy premium last")
    sandbox.faults.add_update("successful_payment", drop=True, times=1)
    assert (await alice.pay()).ok
    await bob.send("/buy premium last")
    assert said(bob) == "Лимит использований этого промокода исчерпан."
    await sandbox.advance(hours=2)

    assert said(alice) == "20 of 25 with LAST"
    pay: NeonPay = sandbox.dispatcher["neonpay"]
    assert await pay.get_promo_usage("LAST") == PromoUsage(used=1, reserved=0, left=0)
