"""For everybody who is no admin, administration is not there: nothing is answered, and the bot's own handlers go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiogram import F
from aiogram.filters import Filter
from aiogram.methods import EditMessageText, SendMessage
from aiogram.types import CallbackQuery, Message, TelegramObject, User

from aiogram_neonpay import ConfigurationError, ValidationError, admin_router
from aiogram_neonpay.storefront.admin.commands import ACTIONS
from aiogram_neonpay.storefront.admin.desk import _COMMANDS, _TAPS
from aiogram_neonpay.testing import BotSandbox, BotUser
from tests.storefront.office import ADMIN, STRANGER, Office, sell, taps, words
from tests.telegram import GROUP, RecordingBot, person, private_chat, tap, text, update

pytestmark = pytest.mark.asyncio

GROUP_CHAT = {"id": GROUP, "type": "supergroup", "title": "Everybody"}
ANONYMOUS = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
CHANNEL = {"id": -100777, "type": "channel", "title": "News"}
FORWARD = {"type": "user", "date": 1, "sender_user": person(STRANGER)}
ORDERS = [
    "/payadmin",
    "/payfind {ref}",
    "/payrefund {ref} because",
    "/payredeliver {ref}",
    "/paystuck",
    "/paybalance",
    "/payreport 7",
    "/payreconcile",
    "/paygrant {user} premium",
    "/payrevoke {user} premium",
]


async def test_every_command_and_every_button_is_among_those_that_are_tried() -> None:
    assert [order.split()[0] for order in ORDERS] == [f"/pay{action}" for action in ACTIONS]
    assert list(_COMMANDS) == list(ACTIONS)
    assert {data.split(":")[1] for data in taps_for("r", 1, "q")} == set(_TAPS)


def taps_for(ref: str, user_id: int, question: str) -> list[str]:
    """Return what a button of every kind carries."""
    ids = {"user": user_id, "access": user_id, "stages": 7, "days": 7, "yes": question, "no": question}
    return [f"npadmin:{do}:{ids.get(do, ref)}:0" for do in _TAPS]


Send = Callable[[str], dict[str, Any]]
FROM_OUTSIDE: dict[str, Send] = {
    "a stranger": lambda words: text(words, STRANGER),
    "a stranger in a group": lambda words: text(words, STRANGER, chat=GROUP_CHAT),
    "an admin in a group": lambda words: text(words, ADMIN, chat=GROUP_CHAT),
    "an anonymous admin": lambda words: text(
        words, ADMIN, chat=GROUP_CHAT, sender_chat=GROUP_CHAT, **{"from": ANONYMOUS}
    ),
    "a channel in a group": lambda words: text(words, ADMIN, chat=GROUP_CHAT, sender_chat=CHANNEL),
    "what an admin forwards": lambda words: text(words, ADMIN, forward_origin=FORWARD, forward_date=1),
    "what an admin sends via a bot": lambda words: text(words, ADMIN, via_bot={**person(9), "is_bot": True}),
    "a bot with an admin's id": lambda words: text(words, ADMIN, **{"from": {**person(ADMIN), "is_bot": True}}),
    "a message without a sender": lambda words: text(words, ADMIN, **{"from": None}),
    "an admin in somebody else's chat": lambda words: text(words, ADMIN, chat=private_chat(STRANGER)),
    "a channel post": lambda words: update(channel_post=text(words, ADMIN, chat=CHANNEL)["message"]),
    "a business message": lambda words: update(
        business_message=text(words, ADMIN, business_connection_id="b")["message"]
    ),
}


async def payment(office: Office, sandbox: BotSandbox, alice: BotUser) -> str:
    found = await office.pay.get_payment(await sell(alice), bot=sandbox.bot)
    assert found is not None and found.reference
    return found.reference


@pytest.mark.parametrize("who", FROM_OUTSIDE)
async def test_a_command_from_outside_goes_on_to_the_bot(
    office: Office, sandbox: BotSandbox, alice: BotUser, who: str
) -> None:
    ref = await payment(office, sandbox, alice)
    await office.pay.grant_access(alice.id, "premium", bot=sandbox.bot)
    sandbox.calls.clear()
    office.passed.clear()
    orders = [order.format(ref=ref, user=alice.id) for order in ORDERS]
    for order in orders:
        await sandbox.dispatcher.feed_raw_update(sandbox.bot, FROM_OUTSIDE[who](order))
    await sandbox.settle()
    assert office.passed == orders
    assert [call.method for call in sandbox.calls if call.method != "getUpdates"] == []
    found = await office.pay.get_payment(ref, bot=sandbox.bot)
    assert found is not None and found.status == "completed"
    assert await office.pay.access(alice.id, "premium", bot=sandbox.bot) is not None


@pytest.mark.parametrize("who", ["a stranger", "a stranger in a group", "an admin in a group", "in another's chat"])
async def test_a_tap_from_outside_goes_on_to_the_bot(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser, who: str
) -> None:
    ref = await payment(office, sandbox, alice)
    await admin.send(f"/payrefund {ref}")
    question = taps(admin)["Yes, refund"].split(":")[2]
    sandbox.calls.clear()
    office.passed.clear()
    data = taps_for(ref, alice.id, question)
    chat = {"a stranger": None, "in another's chat": private_chat(STRANGER)}.get(who, GROUP_CHAT)
    user = STRANGER if "stranger" in who else ADMIN
    for each in data:
        await sandbox.dispatcher.feed_raw_update(sandbox.bot, tap(each, user, chat))
    await sandbox.settle()
    assert office.passed == data
    assert [call.method for call in sandbox.calls if call.method != "getUpdates"] == []
    await admin.tap("Yes, refund")  # the question is still open
    assert words(admin).startswith("Refunded")


async def test_a_tap_under_an_inline_message_is_nobodys_order(office: Office, sandbox: BotSandbox) -> None:
    await sandbox.start()
    forged = tap("npadmin:balance::0", ADMIN)
    del forged["callback_query"]["message"]
    await sandbox.dispatcher.feed_raw_update(sandbox.bot, {**forged})
    assert office.passed == ["npadmin:balance::0"]


@pytest.mark.parametrize(
    "data",
    [
        "npadmin",
        "npadmin:",
        "npadmin:yes",
        "npadmin:yes:zz:0:1",
        "npadmin:yes:0123456789abcdef:0",
        "npadmin:yes::0",
        "npadmin:nothing:1:0",
        "npadmin:user:abc:0",
        "npadmin:user:99999999999999999:0",
        "npadmin:user:-5:0",
        "npadmin:access::0",
        "npadmin:time::0",
        "npadmin:pay:../../x:0",
        "npadmin:pay::-9999999999999999",
        "npadmin:stuck::-1",
        "npadmin:stuck::99999999999",
        "npadmin:refund::0",
        "npadmin:again::0",
        "npadmin:dismiss:0123456789abcdef0:0",
        "npadmin:stages:abc:0",
        "npadmin:stages:0:0",
        "npadmin:days:367:0",
        "npadmin:days:7:99999",
    ],
)
async def test_what_an_admin_did_not_get_from_us_does_no_harm(
    office: Office, sandbox: BotSandbox, alice: BotUser, admin: BotUser, data: str
) -> None:
    ref = await payment(office, sandbox, alice)
    await admin.send("/payadmin")
    await sandbox.dispatcher.feed_raw_update(sandbox.bot, tap(data, admin.id))
    found = await office.pay.get_payment(ref, bot=sandbox.bot)
    assert found is not None and found.status == "completed" and sandbox.errors == []


async def test_an_edited_command_is_not_obeyed(sandbox: BotSandbox) -> None:
    await sandbox.start()
    edited = update(edited_message=text("/paybalance", ADMIN)["message"])
    await sandbox.dispatcher.feed_raw_update(sandbox.bot, edited)
    assert sandbox.calls.send_message == []


async def test_where_chats_names_a_group_its_admins_work_there_and_nobody_else() -> None:
    office, bot = Office(chats=[GROUP]), RecordingBot()
    await office.dp.feed_raw_update(bot, text("/paystuck", ADMIN, chat=GROUP_CHAT))
    assert [(call.chat_id, call.text) for call in bot.sent(SendMessage)] == [(GROUP, "Waiting for you\nNothing here.")]
    outside = [who for who in FROM_OUTSIDE if who != "an admin in a group"]
    for who in outside:
        await office.dp.feed_raw_update(bot, FROM_OUTSIDE[who]("/paystuck"))
    await office.dp.feed_raw_update(bot, tap("npadmin:stuck::0", STRANGER, GROUP_CHAT))
    assert office.passed == ["/paystuck"] * len(outside) + ["npadmin:stuck::0"]
    assert len(bot.sent(SendMessage)) == 1
    await office.dp.feed_raw_update(bot, tap("npadmin:stuck::0", ADMIN, GROUP_CHAT))
    assert len(bot.sent(EditMessageText)) == 1


# Who is an admin


async def by_id(event: TelegramObject, event_from_user: User) -> bool:
    return event_from_user.id == ADMIN


async def by_event(event: Message | CallbackQuery) -> bool:
    return event.from_user is not None and event.from_user.id == ADMIN


class OnDuty(Filter):
    async def __call__(self, event: TelegramObject, event_from_user: User) -> bool | dict[str, Any]:
        return {"on_duty": True} if event_from_user.id == ADMIN else False


class Roster:
    """Not a filter of aiogram's, which does not wait for what it returns."""

    async def __call__(self, event: Message | CallbackQuery) -> bool:
        return await by_event(event)


ASKED: dict[str, Any] = {
    "an object that is called": Roster(),
    "a lambda around a function": lambda event: by_event(event),
    "one id": ADMIN,
    "a set": {ADMIN},
    "a function of the user": by_id,
    "a function of the event": by_event,
    "a filter": OnDuty(),
    "F": F.from_user.id == ADMIN,
}


@pytest.mark.parametrize("admins", ASKED.values(), ids=ASKED)
async def test_admins_are_ids_or_whom_a_filter_lets_pass(admins: Any) -> None:
    office = Office(admins=admins)
    async with BotSandbox(office.dp) as sandbox:
        admin, stranger = sandbox.user("Ada", user_id=ADMIN), sandbox.user("Sam", user_id=STRANGER)
        await admin.send("/paybalance")
        await stranger.send("/paybalance")
        assert words(admin) == "Balance: 0 Stars"
        assert office.passed == ["/paybalance"]
        assert len(stranger.messages()) == 1


async def test_a_filter_that_fails_lets_nobody_pass(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(event: TelegramObject) -> bool:
        raise ConnectionError("the database is away")

    office = Office(admins=broken)
    async with BotSandbox(office.dp) as sandbox:
        await sandbox.user("Ada", user_id=ADMIN).send("/paybalance")
    assert office.passed == ["/paybalance"]
    assert "is refused" in caplog.text


@pytest.mark.parametrize("admins", [None, "501", ["501"], [0], [-5], [True], 1.5])
async def test_what_cannot_be_admins_is_refused(admins: Any) -> None:
    with pytest.raises((ConfigurationError, ValidationError), match="admins"):
        admin_router(admins)


@pytest.mark.parametrize("chats", ["x", [0], ["@group"]])
async def test_what_cannot_be_chats_is_refused(chats: Any) -> None:
    with pytest.raises((ConfigurationError, ValidationError), match="chats"):
        admin_router([ADMIN], chats=chats)


# Names of commands


async def test_commands_have_the_names_that_the_author_gives() -> None:
    office = Office(prefix="shop_", commands={"report": "sales", "grant": None})
    async with BotSandbox(office.dp) as sandbox:
        admin = sandbox.user("Ada", user_id=ADMIN)
        await admin.send("/sales 1")
        assert words(admin).startswith("Sales from")
        await admin.send("/shop_balance")
        assert words(admin) == "Balance: 0 Stars"
        await admin.send("/shop_admin")
        assert "/sales" in words(admin) and "grant" not in words(admin) and "/shop_revoke" in words(admin)
        for gone in ("/paybalance", "/shop_grant 1 club", "/shop_report"):
            await admin.send(gone)
        assert office.passed == ["/paybalance", "/shop_grant 1 club", "/shop_report"]


@pytest.mark.parametrize(
    "options",
    [
        {"commands": {"sell": "sell"}},
        {"commands": {"find": "Find"}},
        {"commands": {"find": "payrefund"}},
        {"commands": {"find": "/find"}},
        {"prefix": "Pay-"},
        {"prefix": None},
        {"commands": "find"},
    ],
)
async def test_what_cannot_be_a_command_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises((ConfigurationError, ValidationError), match="commands"):
        admin_router([ADMIN], **options)


async def test_a_command_for_another_bot_is_left_alone(office: Office, sandbox: BotSandbox, admin: BotUser) -> None:
    await admin.send("/paybalance@another_bot")
    await admin.send("/paybalance@test_bot")
    assert office.passed == ["/paybalance@another_bot"]
    assert words(admin) == "Balance: 0 Stars"
