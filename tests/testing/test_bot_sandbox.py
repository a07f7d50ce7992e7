"""A bot in a sandbox of its own: what people do is over when it is said to be, in this process and over HTTP."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiogram import Bot, Dispatcher, F
from aiogram.client.default import DefaultBotProperties
from aiogram.exceptions import TelegramNetworkError, TelegramRetryAfter
from aiogram.filters import Command
from aiogram.fsm.storage.memory import SimpleEventIsolation
from aiogram.types import (
    BufferedInputFile,
    CallbackQuery,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    LabeledPrice,
    Message,
    PreCheckoutQuery,
)
from aiohttp import ClientResponseError

from aiogram_neonpay import Checkout, ConfigurationError, PaymentCompleted, RejectPayment, ValidationError
from aiogram_neonpay.sandbox import Clock, SandboxError
from aiogram_neonpay.testing import BotSandbox, BotUser, SandboxOptions
from tests.testing.shop import Shop

pytestmark = pytest.mark.asyncio


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest_asyncio.fixture(params=["in this process", "over HTTP"])
async def sandbox(shop: Shop, request: pytest.FixtureRequest) -> AsyncIterator[BotSandbox]:
    options = SandboxOptions(http=request.param == "over HTTP", patience=2.0, seed=1)
    async with BotSandbox(shop.dp, options) as sandbox:
        yield sandbox


def texts(user: BotUser) -> list[str]:
    return [message.text for message in user.messages() if message.from_bot]


# People


async def test_a_purchase_is_over_when_paying_returns(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice", stars=30)
    await alice.send("/menu")
    assert await alice.tap("sticker") == "There you go"
    receipt = await alice.pay()
    assert (receipt.ok, receipt.error, receipt.amount) == (True, None, 5)
    assert texts(alice)[-1] == "Delivered sticker, attempt 1"
    assert alice.balance == 25 and sandbox.sandbox.bot_balance() == 5


async def test_two_people_buy_at_the_same_time(sandbox: BotSandbox) -> None:
    people = [sandbox.user(name, stars=30, language_code="ru") for name in ("Alice", "Bob")]
    await asyncio.gather(*(person.send("/premium") for person in people))
    receipts = await asyncio.gather(*(person.pay() for person in people))
    assert all(receipt.ok for receipt in receipts)
    assert [texts(person)[-1] for person in people] == ["Delivered premium, attempt 1"] * 2


async def test_a_declined_payer_reads_the_bots_words(sandbox: BotSandbox, shop: Shop) -> None:
    async def refuse(checkout: Checkout) -> None:
        raise RejectPayment("Not today")

    shop.checking = refuse
    alice = sandbox.user("Alice", stars=30)
    await alice.send("/premium")
    receipt = await alice.pay()
    assert (receipt.ok, receipt.error, receipt.transaction_id) == (False, "Not today", None)
    assert alice.balance == 30


async def test_a_payer_short_of_stars_does_not_reach_the_bot(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice", stars=1)
    await alice.send("/premium")
    assert (await alice.pay()).error == "BALANCE_TOO_LOW"
    assert not sandbox.calls.answer_pre_checkout_query


async def test_what_is_not_there_is_refused_at_once(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice")
    await alice.send("/menu")
    with pytest.raises(
        SandboxError,
        match=r"Alice sees no button with 'Premium', but 'Sticker', 'Silent'; the last message is 'Choose'",
    ):
        await alice.tap("Premium")
    with pytest.raises(SandboxError, match="Alice sees no invoice"):
        await alice.pay()


async def test_a_refusal_names_what_the_bot_raised(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice")
    await alice.send("/break")
    with pytest.raises(SandboxError, match="a handler raised KeyError: 'broken on purpose'"):
        await alice.pay()
    assert [type(error) for error in sandbox.errors] == [KeyError]


async def test_a_tap_that_the_bot_does_not_answer_returns_nothing(sandbox: BotSandbox, shop: Shop) -> None:
    alice = sandbox.user("Alice")
    await alice.send("/menu")
    assert await alice.tap("silent") is None
    assert shop.seen == ["silent"]


async def test_people_may_have_the_ids_that_a_bot_expects(sandbox: BotSandbox) -> None:
    assert sandbox.user("Admin", user_id=77).id == 77
    others = [sandbox.user(name).id for name in ("Alice", "Bob")]
    assert len({77, *others}) == 3
    for taken in (77, 0, -5):
        with pytest.raises(SandboxError, match=f"cannot have the id {taken}"):
            sandbox.user("Eve", user_id=taken)


# What comes from outside


async def test_a_repeated_update_is_not_delivered_twice(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice", stars=30)
    await alice.send("/premium")
    receipt = await alice.pay()
    await sandbox.repeat_update(receipt)
    assert [text for text in texts(alice) if "Delivered" in text] == ["Delivered premium, attempt 1"]


async def test_a_refund_made_elsewhere_is_heard(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice", stars=30)
    await alice.send("/premium")
    receipt = await alice.pay()
    await sandbox.refund(receipt)
    assert (alice.balance, texts(alice)[-1]) == (30, "Refunded premium")


async def test_what_was_set_in_motion_without_waiting_is_done_before_the_next_step(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice", stars=30)
    await alice.send("/premium")
    receipt = await alice.pay()
    begin = sandbox.clock.now()
    sandbox.refund(receipt)
    sandbox.advance(days=1)
    await sandbox.settle()
    assert (texts(alice)[-1], sandbox.clock.now() - begin) == ("Refunded premium", 86400)


# Time


async def test_failed_attempts_follow_the_sandboxs_clock(sandbox: BotSandbox, shop: Shop) -> None:
    moments: list[float] = []

    async def fail_thrice(event: PaymentCompleted) -> None:
        moments.append(sandbox.clock.now())
        if len(moments) <= 3:
            raise RuntimeError("no")

    shop.delivering = fail_thrice
    alice = sandbox.user("Alice", stars=30)
    await alice.send("/premium")
    await alice.pay()
    assert len(moments) == 1
    await sandbox.advance(seconds=1)
    assert len(moments) == 1
    await sandbox.advance(days=1)
    assert texts(alice)[-1] == "Delivered premium, attempt 4"
    pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert all(low <= pause <= high for pause, (low, high) in zip(pauses, [(1.5, 2), (7.5, 10), (45, 60)], strict=True))


async def test_a_payment_whose_update_was_lost_is_found_in_telegrams_ledger(sandbox: BotSandbox) -> None:
    sandbox.faults.add_update("successful_payment", drop=True, times=1)
    alice = sandbox.user("Alice", stars=30)
    await alice.send("/premium")
    assert (await alice.pay()).ok
    assert not any("Delivered" in text for text in texts(alice))
    await sandbox.advance(minutes=20)
    assert texts(alice)[-1] == "Delivered premium, attempt 1"


async def test_the_plugin_reads_the_ledger_no_oftener_than_it_would(sandbox: BotSandbox) -> None:
    await sandbox.advance(minutes=14)
    assert not sandbox.calls.get_star_transactions
    await sandbox.advance(minutes=2)
    assert len(sandbox.calls.get_star_transactions) > 0
    sandbox.calls.clear()
    await sandbox.advance(minutes=2)
    assert not sandbox.calls.get_star_transactions


@pytest.mark.parametrize("advanced", [True, False])
async def test_a_validator_that_hangs_costs_the_payer_eight_seconds_of_the_sandbox(shop: Shop, advanced: bool) -> None:
    async def hang(checkout: Checkout) -> None:
        await asyncio.Event().wait()

    shop.checking = hang
    async with BotSandbox(shop.dp, SandboxOptions(patience=0.2)) as sandbox:
        alice = sandbox.user("Alice", stars=30)
        await alice.send("/premium")
        begin = sandbox.clock.now()
        paying = asyncio.ensure_future(alice.pay())
        if advanced:
            await sandbox.sandbox.until(lambda: len(sandbox.sandbox.calls) > 3, 0.1)
            await sandbox.advance(seconds=9)
        receipt = await paying
        assert not receipt.ok and receipt.code == "BOT_PRECHECKOUT_FAILED"
        assert sandbox.clock.now() - begin == (9 if advanced else 8)


async def test_the_clock_does_not_go_back(sandbox: BotSandbox) -> None:
    with pytest.raises(ValueError, match="asked to advance by -60"):
        sandbox.advance(minutes=-1)


async def test_a_month_passes_in_no_time(sandbox: BotSandbox) -> None:
    begin = sandbox.clock.now()
    await sandbox.advance(days=30)
    assert sandbox.clock.now() - begin == 30 * 86400


# Faults


async def test_calls_fail_alike_with_a_socket_and_without(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice")
    await alice.send("/menu")
    sandbox.faults.add("sendMessage", error=429, retry_after=3, times=1)
    with pytest.raises(TelegramRetryAfter) as flood:
        await sandbox.bot.send_message(alice.id, "one")
    assert flood.value.retry_after == 3
    sandbox.faults.add("sendMessage", drop=True, times=1)
    with pytest.raises(TelegramNetworkError, match="ServerDisconnectedError: Server disconnected"):
        await sandbox.bot.send_message(alice.id, "two")
    sandbox.faults.clear()
    sandbox.faults.add("sendMessage", hang=30, when="after", times=1)
    with pytest.raises(TelegramNetworkError, match="Request timeout error"):
        await sandbox.bot.send_message(alice.id, "three", request_timeout=1)
    assert texts(alice)[-1] == "three"


async def test_a_refund_that_fails_is_sent_again_as_time_passes(sandbox: BotSandbox, shop: Shop) -> None:
    alice = sandbox.user("Alice", stars=30)
    await alice.send("/premium")
    receipt = await alice.pay()
    sandbox.faults.add("refundStarPayment", error=502, times=1)
    await shop.pay.refund(str(receipt.transaction_id), wait=False)
    await sandbox.settle()
    assert alice.balance == 5 and not any("Refunded" in text for text in texts(alice))
    await sandbox.advance(minutes=5)
    assert (alice.balance, texts(alice)[-1]) == (30, "Refunded premium")


async def test_updates_that_cannot_be_fetched_come_later(sandbox: BotSandbox, caplog: pytest.LogCaptureFixture) -> None:
    alice = sandbox.user("Alice")
    sandbox.faults.add("getUpdates", error=502, times=2)
    await alice.send("/menu")
    await alice.send("/menu")
    assert texts(alice) == ["Choose", "Choose"]


async def test_a_bot_that_does_not_come_to_rest_is_named(shop: Shop) -> None:
    async with BotSandbox(shop.dp, SandboxOptions(patience=0.1)) as sandbox:
        sandbox.faults.add("sendMessage", hang=30)
        with pytest.raises(
            SandboxError, match=r"not come to rest within 0.1 s: a handler of update \d+ \(message '/menu'\)"
        ):
            await sandbox.user("Alice").send("/menu")


async def test_files_go_up_and_come_down_alike(sandbox: BotSandbox) -> None:
    alice = sandbox.user("Alice")
    await alice.send("/menu")
    sent = await sandbox.bot.send_document(
        alice.id, BufferedInputFile(b"a picture, say", "receipt.txt"), caption="Yours"
    )
    assert sent.document is not None and sent.document.file_name == "receipt.txt"
    file = await sandbox.bot.get_file(sent.document.file_id)
    assert file.file_path is not None
    content = await sandbox.bot.download_file(file.file_path)
    assert content is not None and content.read() == b"a picture, say"
    with pytest.raises(ClientResponseError, match="404"):
        await sandbox.bot.download_file("documents/nothing.txt")


async def test_people_wait_for_the_bot_whatever_they_do(sandbox: BotSandbox, shop: Shop) -> None:
    @shop.dp.message(F.photo)
    async def look(message: Message) -> None:
        await message.answer("A fine picture")

    alice = sandbox.user("Alice")
    await alice.send_file(caption="Look")
    assert texts(alice) == ["A fine picture"]
    await alice.open_link(f"https://t.me/{(await sandbox.bot.me()).username}?start=menu")
    assert alice.messages()[-1].text == "/start menu"
    alice.block()
    await sandbox.settle()
    assert sandbox.sandbox.pending_updates() == 0


async def test_a_month_later_a_subscription_is_renewed(sandbox: BotSandbox, shop: Shop) -> None:
    @shop.dp.pre_checkout_query()
    async def agree(query: PreCheckoutQuery) -> None:
        await query.answer(True)

    @shop.dp.message(F.successful_payment)
    async def thank(message: Message) -> None:
        await message.answer("Thanks for another month")

    prices = [LabeledPrice(label="Club", amount=10)]
    link = await sandbox.bot.create_invoice_link(
        "Club", "A month", "club", "XTR", prices, subscription_period=2_592_000
    )
    alice = sandbox.user("Alice", stars=25)
    assert (await alice.pay(link=link)).ok
    await sandbox.advance(days=30)
    assert (texts(alice), alice.balance) == (["Thanks for another month"] * 2, 5)


# Bots of all kinds


@pytest.mark.parametrize("http", [False, True])
async def test_a_bot_of_the_programs_own_is_borrowed_and_given_back(http: bool) -> None:
    dp, own = Dispatcher(), Bot("123456:of_the_program", default=DefaultBotProperties(parse_mode="HTML"))
    session = own.session

    @dp.message()
    async def by_name(message: Message) -> None:
        await own.send_message(message.chat.id, f"<b>{(await own.me()).username}</b>")

    async with BotSandbox(dp, SandboxOptions(bot=own, http=http)) as sandbox:
        assert sandbox.bot is own and own.token == "123456:of_the_program"
        alice = sandbox.user("Alice")
        await alice.send("Who is it?")
        assert alice.messages()[-1].text == "test_bot"
        assert sandbox.calls.send_message.last.text == "<b>test_bot</b>"
    assert own.session is session and own._me is None


async def test_a_bot_of_ones_own_has_its_own_defaults() -> None:
    own, defaults = Bot("123456:of_the_program"), DefaultBotProperties()
    with pytest.raises(ValidationError, match="bot_defaults: must be left out beside bot"):
        SandboxOptions(bot=own, bot_defaults=defaults)
    with pytest.raises(ValidationError, match="bot: must be an aiogram Bot; got 'str'"):
        SandboxOptions(bot="123456:of_the_program")  # type: ignore[arg-type]


async def test_time_that_nobody_waits_for_is_warned_of(shop: Shop) -> None:
    with pytest.warns(RuntimeWarning, match=r"advance\(\) was called and not awaited"):
        async with BotSandbox(shop.dp) as sandbox:
            sandbox.advance(days=1)


async def test_of_several_buttons_the_one_with_just_this_text_is_tapped() -> None:
    dp, tapped = Dispatcher(), []

    @dp.message()
    async def offer(message: Message) -> None:
        rows = [[InlineKeyboardButton(text=text, callback_data=text)] for text in ("Premium for a year", "Premium")]
        await message.answer("Which?", reply_markup=InlineKeyboardMarkup(inline_keyboard=rows))

    @dp.callback_query()
    async def hear(query: CallbackQuery) -> None:
        tapped.append(query.data)
        await query.answer()

    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice")
        await alice.send("/buy")
        await alice.tap("premium")
        await alice.tap("year")
    assert tapped == ["Premium", "Premium for a year"]


async def test_a_refund_of_what_was_not_paid_says_why(sandbox: BotSandbox) -> None:
    dana = sandbox.user("Dana", stars=1)
    await dana.send("/premium")
    receipt = await dana.pay()
    with pytest.raises(SandboxError, match=r"no such charge: the payment failed \(BALANCE_TOO_LOW\)"):
        await sandbox.refund(receipt)
    with pytest.raises(SandboxError, match="no such charge: nobody has paid with this id"):
        await sandbox.refund("stx")
    with pytest.raises(SandboxError, match="Bob cannot own '5' Stars: they are a whole number"):
        sandbox.user("Bob", stars="5")  # type: ignore[arg-type]


async def test_a_bot_without_the_plugin_is_tested_as_well() -> None:
    dp = Dispatcher()

    @dp.message(Command("echo"))
    async def echo(message: Message) -> None:
        await message.answer(message.text or "")

    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice")
        await alice.send("/echo hello")
        assert texts(alice) == ["/echo hello"]


@pytest.mark.parametrize("answered", [True, False])
async def test_time_passes_where_nobody_answers_a_checkout(answered: bool) -> None:
    dp = Dispatcher()

    @dp.message(Command("buy"))
    async def buy(message: Message) -> None:
        await message.answer_invoice("Thing", "A thing", "thing", "XTR", [{"label": "Thing", "amount": 3}])  # type: ignore[list-item]

    @dp.pre_checkout_query()
    async def decide(query: PreCheckoutQuery) -> None:
        if answered:
            await query.answer(True)

    async with BotSandbox(dp, SandboxOptions(clock=Clock(1_800_000_000, running=False))) as sandbox:
        alice = sandbox.user("Alice", stars=3)
        await alice.send("/buy")
        receipt = await alice.pay()
        assert receipt.ok is answered
        assert (receipt.code, sandbox.clock.now()) == (
            (None, 1_800_000_000) if answered else ("BOT_PRECHECKOUT_TIMEOUT", 1_800_000_010)
        )


async def test_a_bot_that_sets_a_webhook_gets_its_updates(shop: Shop) -> None:
    @shop.dp.startup()
    async def tell_telegram(bot: Bot) -> None:
        await bot.set_webhook("https://shop.example/hook")

    async with BotSandbox(shop.dp) as sandbox:
        alice = sandbox.user("Alice", stars=30)
        await alice.send("/premium")
        assert (await alice.pay()).ok
        assert texts(alice)[-1] == "Delivered premium, attempt 1"


async def test_what_a_handler_begins_beside_itself_may_take_a_moment() -> None:
    dp = Dispatcher()
    tasks = set()

    @dp.message(Command("buy"))
    async def buy(message: Message) -> None:
        async def later() -> None:
            await asyncio.sleep(0.02)
            await message.answer_invoice("Thing", "A thing", "thing", "XTR", [{"label": "Thing", "amount": 3}])  # type: ignore[list-item]

        tasks.add(asyncio.ensure_future(later()))

    @dp.pre_checkout_query()
    async def decide(query: PreCheckoutQuery) -> None:
        await query.answer(True)

    async with BotSandbox(dp) as sandbox:
        alice = sandbox.user("Alice", stars=3)
        await alice.send("/buy")
        assert (await alice.pay()).ok


async def test_a_payment_in_stars_needs_a_dispatcher() -> None:
    with pytest.raises(ConfigurationError, match="not Shop"):
        BotSandbox(Shop())  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="patience"):
        SandboxOptions(patience=0)


# The dispatcher is on loan


async def test_every_sandbox_begins_with_nothing(shop: Shop) -> None:
    for _ in range(2):
        async with BotSandbox(shop.dp) as sandbox:
            alice = sandbox.user("Alice", stars=30)
            await alice.send("/state")
            assert texts(alice) == ["state: None"]
            await alice.send("/form")
            await alice.send("/state")
            assert texts(alice)[-1] == "state: Form:name"
            assert await shop.pay.history(alice.id) == []
            await alice.send("/premium")
            await alice.pay()
            assert len(await shop.pay.history(alice.id)) == 1
            assert (await shop.pay.report()).rows[0].stars == 25


async def test_the_dispatcher_is_given_back_as_it_was(shop: Shop) -> None:
    dp, isolation = shop.dp, SimpleEventIsolation()
    dp.fsm.events_isolation = isolation
    dp["database"] = "the author's"

    @dp.startup()
    async def open_database(dispatcher: Dispatcher) -> None:
        dispatcher["database"] = "a test's"

    storage, isolation_before, data = dp.storage, dp.fsm.events_isolation, dict(dp.workflow_data)
    installed = shop.pay._installation
    before = dict(vars(installed.shop))
    async with BotSandbox(dp) as sandbox:
        assert dp.storage is not storage
        assert dp["database"] == "a test's"
        assert installed.shop.clock() == sandbox.clock.now()
        alice = sandbox.user("Alice", stars=30)
        await alice.send("/premium")
        await alice.pay()
    assert (dp.storage, dp.fsm.events_isolation, dp.workflow_data) == (storage, isolation_before, data)
    assert vars(installed.shop) == before
    assert not installed.feed.has_context
    assert not storage.storage  # type: ignore[attr-defined]


async def test_start_up_and_shutdown_run_once_each(shop: Shop) -> None:
    ran: list[str] = []
    shop.dp.startup.register(lambda: ran.append("up"))
    shop.dp.shutdown.register(lambda: ran.append("down"))
    async with BotSandbox(shop.dp) as sandbox:
        await sandbox.user("Alice").send("/menu")
        assert ran == ["up"]
    assert ran == ["up", "down"]


async def test_a_dispatcher_is_given_back_where_the_start_fails(shop: Shop) -> None:
    @shop.dp.startup()
    async def fail() -> None:
        raise RuntimeError("no database")

    storage = shop.dp.storage
    sandbox = BotSandbox(shop.dp)
    with pytest.raises(RuntimeError, match="no database"):
        await sandbox.user("Alice").send("/menu")
    await sandbox.aclose()
    assert shop.dp.storage is storage


async def test_a_sandbox_that_has_ended_says_so(shop: Shop) -> None:
    async with BotSandbox(shop.dp) as sandbox:
        alice = sandbox.user("Alice")
    with pytest.raises(SandboxError, match="has ended"):
        await alice.send("/menu")
    with pytest.raises(SandboxError, match="not served"):
        _ = sandbox.url


async def test_nothing_that_is_logged_or_shown_holds_the_token(
    sandbox: BotSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    alice = sandbox.user("Alice", stars=30)
    sandbox.faults.add("sendMessage", drop=True, times=1)
    await alice.send("/menu")
    assert not re.search(re.escape(sandbox.bot.token), caplog.text)


async def test_it_closes_while_an_update_is_on_its_way() -> None:
    for passes in range(8):  # the update meets the end at another step each time
        sandbox = BotSandbox(Shop().dp)
        alice = sandbox.user("Alice")
        await alice.send("/menu")
        await sandbox.sandbox.user(alice.id).send("/menu")  # nobody waits for the bot
        for _ in range(passes):
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(sandbox.aclose())), 20)
