"""No altered token is taken for a genuine one, and no update, however odd, brings a worker down or loses a payment."""

from __future__ import annotations

import asyncio
import itertools
import time
import unicodedata
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from aiogram import Dispatcher, F
from aiogram.types import Message, Update
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import ValidationError as MalformedUpdate

from aiogram_neonpay import (
    NeonPayError,
    PaymentCompleted,
    PaymentRefunded,
    PaymentResult,
    PaymentStage,
    neonpay_router,
)
from aiogram_neonpay.ledger.charges import Charges
from aiogram_neonpay.payload import InvoiceToken, Signer
from tests.proof.places import InFile, InMemory, InRedis, Place
from tests.proof.points import Points
from tests.proof.profiles import effort
from tests.telegram import ALICE, RecordingBot

BOT = 123456789
SECRET = "a secret of the shop"
NOW = 1_800_000_000
PRICE = 25
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
HALF = "\ud83d"
"""Half of a surrogate pair: JSON can say it, UTF-8 cannot."""
_bots = itertools.count(8_800_000)


def token(stage_id: str = "premium", amount: int = PRICE, **fields: Any) -> InvoiceToken:
    return InvoiceToken(f"{NOW:08x}" + "0f" * 5, NOW, stage_id, amount, **fields)


GENUINE = {
    "plain": token(),
    "bound, expiring, stored": token(buyer=ALICE, expires_at=NOW + 60, stored=True),
    "with metadata": token(metadata_json='{"ref":"⭐","n":[1,2]}'),
    "of another amount": token(amount=2**32 + 5),
    "of another stage": token("sticker", 5),
}


# Tokens


def _flipped(payload: str, at: int, bits: int, tail: int) -> str:
    """Flip bits of a byte of the head and write it in base64 once more."""
    try:
        raw = bytearray(a2b_base64(payload[2 : tail - 16] + "==="))
        raw[at % len(raw)] ^= bits
    except (ValueError, ZeroDivisionError):
        return payload
    return payload[:2] + b2a_base64(bytes(raw), newline=False).rstrip(b"=").decode() + payload[tail - 16 :]


def _wide(character: str) -> str:
    """Return the full-width form of a character, which some comparisons take for the same."""
    return chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character


class Alteration(NamedTuple):
    """What is done to a token.

    :ivar how: the number of the way it is done.
    """

    how: int
    at: int
    end: int
    new: str
    bits: int

    def of(self, payload: str, minted: InvoiceToken) -> str:
        """Return the token altered."""
        at, end, new = self.at % (len(payload) + 1), self.end % (len(payload) + 1), self.new
        tail = len(payload) - len(minted.stage_id) - len(minted.metadata_json)
        other = Signer(BOT, SECRET).mint(GENUINE["of another stage"])
        ways = (
            lambda: payload[:at] + new + payload[at + 1 :],
            lambda: payload[:at] + new + payload[at:],
            lambda: payload[:at],
            lambda: payload[at:],
            lambda: payload[:at] + payload[end:],
            lambda: payload[:at] + other[end:],
            lambda: other[:at] + payload[at:],
            lambda: payload[:at] + payload[at : at + 1].swapcase() + payload[at + 1 :],
            lambda: payload[:at] + _wide(payload[at : at + 1]) + payload[at + 1 :],
            lambda: payload[:at] + payload[at : at + 2][::-1] + payload[at + 2 :],
            lambda: _flipped(payload, self.at, self.bits, tail),
            lambda: _flipped(payload, self.at, 1 << self.bits % 8, tail),
            lambda: payload[: tail - 16] + new + payload[tail - 16 :],
            lambda: payload + new,
            lambda: payload[:-1] + new,
            lambda: payload.replace("+", "-").replace("/", "_"),
            lambda: payload[: tail - 16] + "==" + payload[tail - 16 :],
            lambda: payload[:2] + "\n" + payload[2:],
            lambda: unicodedata.normalize("NFD", payload),
            lambda: unicodedata.normalize("NFKC", payload),
            lambda: "n2" + payload[2:],
            lambda: payload + payload,
            lambda: payload[::-1],
            lambda: payload.upper(),
            lambda: payload.lower(),
        )
        return ways[self.how % len(ways)]()


characters = st.sampled_from(BASE64 + '-_=. \n\t\x00{}"' + HALF) | st.characters()
alterations = st.builds(
    Alteration, st.integers(0, 99), st.integers(0, 127), st.integers(0, 127), characters, st.integers(1, 255)
)


@given(st.sampled_from(sorted(GENUINE)), st.lists(alterations, min_size=1, max_size=2))
@effort(2000)
def test_no_altered_token_is_accepted(which: str, done: list[Alteration]) -> None:
    signer = Signer(BOT, SECRET)
    payload = signer.mint(GENUINE[which])
    for alteration in done:
        payload = alteration.of(payload, GENUINE[which])

    genuine = {signer.mint(minted): minted for minted in GENUINE.values()}
    assert signer.verify(payload) == genuine.get(payload)


@given(st.text(st.characters(), max_size=130), st.sampled_from(["", "n1", "n1AA", "n1AExr"]))
@effort(500)
def test_no_made_up_text_is_accepted(text: str, prefix: str) -> None:
    assert Signer(BOT, SECRET).verify(prefix + text) is None


keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@given(st.integers(1, 2**52), keys, st.sampled_from(sorted(GENUINE)))
@example(BOT, SECRET[:-1], "plain")
@example(BOT, SECRET + "x", "plain")
@example(BOT * 10, SECRET, "plain")
@effort(300)
def test_no_token_of_another_bot_or_key_is_accepted(bot: int, key: str, which: str) -> None:
    # HMAC fills a key up with zeros, so those at its end make no other key.
    assume((bot, key.rstrip("\x00")) != (BOT, SECRET))
    signer = Signer(BOT, SECRET, ["a secret before that"])

    assert signer.verify(Signer(bot, key).mint(GENUINE[which])) is None
    assert signer.verify(Signer(BOT, "a secret before that").mint(GENUINE[which])) == GENUINE[which]
    assert signer.verify(Signer(bot, "a secret before that").mint(GENUINE[which])) == (
        GENUINE[which] if bot == BOT else None
    )


# Updates


class Shop:
    """A bot of its own on a storage, and what it heard."""

    def __init__(self, place: Place, storage: Any) -> None:
        self.bot = RecordingBot(f"{next(_bots)}:TEST")
        self.pay = neonpay_router(
            {"premium": PaymentStage("Premium", "d", PRICE), "sticker": PaymentStage("Sticker", "d", 5)},
            bot=self.bot,
            reconcile_every=None,
        )
        self.dp = Dispatcher(storage=storage)
        self.dp.include_router(self.pay)
        self.reader = Charges(place.engine(time.time))
        self.granted: list[str | None] = []
        self.foreign: list[str | None] = []

        @self.pay.completed
        async def grant(event: PaymentCompleted) -> None:
            self.granted.append(event.transaction_id)

        @self.pay.refunded
        async def take_back(event: PaymentRefunded) -> None: ...

        @self.dp.message(F.successful_payment | F.refunded_payment)
        @self.dp.business_message(F.successful_payment | F.refunded_payment)
        async def plain(message: Message, payment: PaymentResult) -> None:
            self.foreign.append(payment.transaction_id)

    def payload(self, minted: InvoiceToken) -> str:
        return Signer(self.bot.id, self.bot.token).mint(minted)

    async def feed(self, update: dict[str, Any]) -> Exception | None:
        """Feed an update, and return what it raised."""
        try:
            await self.dp.feed_raw_update(self.bot, update)
        except Exception as error:
            return error
        return None

    async def close(self) -> None:
        await asyncio.sleep(0)
        for task in self.pay._installation.feed._tasks:
            task.cancel()
        self.pay._shop.charges.leases.close()
        await asyncio.sleep(0)


numbers = st.sampled_from([0, -1, 1, 5, PRICE, 10_000, 2**31, 2**32, 2**53, -(2**31)]) | st.integers(-100, 100)
huge = st.sampled_from([2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30])
amounts = st.just(PRICE) | st.just(5) | numbers | huge
texts = st.one_of(
    st.just(""),
    st.just("x" * 4096),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.sampled_from(["\x00", "\u202e⭐", HALF, "a:b{c}", "None", "0123456789abcdef0", "\N{MONEY BAG}" * 200]),
)
ids = st.sampled_from([ALICE, 1, 2**31, 2**52, 0, -1, -100500, -1001234567890]) | huge
dates = st.sampled_from([NOW, 0, 1, -1, 2**31, 2**33, 253_402_300_799, 10**14])
payloads = st.one_of(
    st.sampled_from(sorted(GENUINE)).map(lambda name: ("genuine", name)),
    st.builds(
        lambda name, more: ("altered", (name, more)), st.sampled_from(sorted(GENUINE)), st.text(min_size=1, max_size=3)
    ),
    texts.map(lambda text: ("foreign", text)),
    texts.map(lambda text: ("foreign", "n1" + text)),
)
names = st.one_of(texts, st.none())
people = st.fixed_dictionaries(
    {"id": ids, "is_bot": st.booleans(), "first_name": texts},
    optional={"last_name": texts, "username": texts, "language_code": texts, "is_premium": st.booleans()},
)
chats = st.fixed_dictionaries(
    {"id": ids, "type": st.sampled_from(["private", "private", "group", "supergroup", "channel"])},
    optional={"first_name": texts, "title": texts, "username": texts, "is_forum": st.booleans()},
)
payments = st.fixed_dictionaries(
    {
        "currency": st.sampled_from(["XTR", "XTR", "USD", "", "xtr", "XTRX"]),
        "total_amount": amounts,
        "invoice_payload": payloads,
        "telegram_payment_charge_id": texts,
    },
    optional={
        "provider_payment_charge_id": texts,
        "is_recurring": st.booleans(),
        "is_first_recurring": st.booleans(),
        "subscription_expiration_date": dates,
        "shipping_option_id": texts,
        "something_new": st.recursive(st.none() | texts, st.lists, max_leaves=3),
    },
)
messages = st.fixed_dictionaries(
    {"message_id": numbers | huge, "date": dates, "chat": chats, "payment": payments},
    optional={"from": people, "message_thread_id": numbers, "business_connection_id": texts},
)
updates = st.fixed_dictionaries(
    {
        "update_id": numbers | huge,
        "where": st.sampled_from(
            ["message", "message", "message", "business_message", "edited_message", "channel_post"]
        ),
        "what": st.sampled_from(["successful_payment", "successful_payment", "refunded_payment"]),
        "content": messages,
    }
)


def odd(person: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return an update that is sound but for what is given."""
    payment = {
        "currency": "XTR",
        "total_amount": PRICE,
        "invoice_payload": ("genuine", "plain"),
        "telegram_payment_charge_id": "stxOdd",
    }
    content = {
        "message_id": 1,
        "date": NOW,
        "chat": {"id": ALICE, "type": "private"},
        "from": {"id": ALICE, "is_bot": False, "first_name": "A", **(person or {})},
        "payment": {**payment, **fields},
    }
    return {"update_id": 1, "where": "message", "what": "successful_payment", "content": content}


def made(shop: Shop, drawn: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return an update and the payload in it."""
    content = dict(drawn["content"])
    payment = dict(content.pop("payment"))
    kind, value = payment["invoice_payload"]
    if kind == "foreign":
        payload = value
    elif kind == "genuine":
        payload = shop.payload(GENUINE[value])
    else:
        payload = shop.payload(GENUINE[value[0]]) + value[1]
    payment["invoice_payload"] = payload
    payment.setdefault("provider_payment_charge_id", "")
    return {"update_id": drawn["update_id"], drawn["where"]: {**content, drawn["what"]: payment}}, payload


async def check_update(place: Place, storage: Any, drawn: dict[str, Any]) -> None:
    """Feed an odd payment; whatever it is, it is refused by name, left to the bot, or in the ledger."""
    shop = Shop(place, storage)
    try:
        update, payload = made(shop, drawn)
        error = await shop.feed(update)
        try:
            Update.model_validate(update, context={"bot": shop.bot})
        except MalformedUpdate:
            assert isinstance(error, MalformedUpdate)
            return
        assert error is None or isinstance(error, NeonPayError), repr(error)
        payment = drawn["content"]["payment"]
        charge = payment["telegram_payment_charge_id"]
        heard = drawn["where"] in ("message", "business_message")
        found = await shop.reader.find(shop.bot.id, charge)
        if heard and payload.startswith("n1"):
            assert found is not None or error is not None, "it is lost without a word"
            if found is not None:
                body = found[1]
                kind, name = payment["invoice_payload"]
                as_offered = kind == "genuine" and (GENUINE[name].amount, "XTR") == (
                    payment["total_amount"],
                    payment["currency"],
                )
                assert body["amount"] == payment["total_amount"]
                if drawn["what"] == "refunded_payment":
                    assert body["refund"] == "announced" and shop.granted == []
                else:
                    assert body["state"] == ("delivered" if as_offered else "unmatched")
                    assert shop.granted == [charge] * as_offered
                    listed = await shop.reader.waiting(shop.bot.id, limit=10)
                    assert [one["charge"] for one in listed] == [charge] * (not as_offered)
        else:
            assert found is None and shop.granted == []
            assert shop.foreign == [charge] * heard
        sound = {
            "update_id": 1,
            "message": {
                "message_id": 1,
                "date": NOW,
                "chat": {"id": 77, "type": "private"},
                "from": {"id": 77, "is_bot": False, "first_name": "B"},
                "successful_payment": {
                    "currency": "XTR",
                    "total_amount": PRICE,
                    "invoice_payload": shop.payload(token()),
                    "telegram_payment_charge_id": "stxSound",
                    "provider_payment_charge_id": "",
                },
            },
        }
        assert await shop.feed(sound) is None
        assert shop.granted[-1] == "stxSound", "the worker goes on"
    finally:
        await shop.close()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def test_no_odd_payment_brings_a_worker_down_or_is_lost(
    kind: str, tmp_path: Any, request: pytest.FixtureRequest, loop: asyncio.AbstractEventLoop
) -> None:
    if kind == "redis":
        place: Place = InRedis(request.getfixturevalue("redis_url"))
    else:
        place = InMemory() if kind == "memory" else InFile(tmp_path / "bot.db")
    storage = loop.run_until_complete(place.open(Points()))

    @given(updates)
    @example(odd(person={"first_name": HALF}))
    @example(odd(telegram_payment_charge_id=HALF))
    @example(odd(invoice_payload=("altered", ("plain", HALF))))
    @example(odd(total_amount=2**63))
    @example(odd(total_amount=-(10**30)))
    @example(odd(person={"id": 2**63}))
    @effort(100)
    def check(drawn: dict[str, Any]) -> None:
        loop.run_until_complete(asyncio.wait_for(check_update(place, storage, drawn), 20.0))

    try:
        check()
    finally:
        loop.run_until_complete(place.close())
