from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiogram.exceptions import (
    RestartingTelegram,
    TelegramBadRequest,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)

from aiogram_neonpay.sandbox import ArgumentError, LostReply, Sandbox, SandboxError
from tests.sandbox.conftest import Stand
from tests.sandbox.paying import approved
from tests.sandbox.raw import call


@pytest.mark.asyncio
async def test_flood_control_strikes_as_often_as_ordered(stand: Stand) -> None:
    rule = stand.sandbox.faults.add("sendMessage", error=429, retry_after=2, times=3)
    for _ in range(3):
        status, answer = await call(stand.server.url, stand.token, "sendMessage", chat_id=stand.alice.id, text="x")
        assert (status, answer) == (
            429,
            {
                "ok": False,
                "error_code": 429,
                "description": "Too Many Requests: retry after 2",
                "parameters": {"retry_after": 2},
            },
        )
    await stand.bot.send_message(stand.alice.id, "at last")
    assert [message.text for message in stand.alice.messages()] == ["at last"]
    assert (rule.met, rule.struck, rule.left) == (4, 3, 0)
    assert [call.fault for call in stand.sandbox.calls] == [rule.id] * 3 + [None]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("order", "kind", "description"),
    [
        ({"error": 500}, TelegramServerError, "Internal Server Error"),
        ({"error": 500, "text": "restart"}, RestartingTelegram, "Internal Server Error: restart"),
        ({"error": 502}, TelegramServerError, "Bad Gateway"),
        ({"error": 503}, TelegramServerError, "Service Unavailable"),
        ({"error": 504}, TelegramServerError, "Gateway Timeout"),
        ({"error": 429}, TelegramRetryAfter, "Too Many Requests: retry after 1"),
        ({"error": 401}, TelegramUnauthorizedError, "Unauthorized"),
        ({"error": 403, "text": "USER_IS_BLOCKED"}, TelegramForbiddenError, "Forbidden: bot was blocked by the user"),
        ({"error": 400, "text": "CHARGE_NOT_FOUND"}, TelegramBadRequest, "Bad Request: CHARGE_NOT_FOUND"),
        ({"error": 400, "text": "Chat not found"}, TelegramBadRequest, "Bad Request: chat not found"),
    ],
)
async def test_errors_have_telegrams_words(
    stand: Stand, order: dict[str, Any], kind: type[Exception], description: str
) -> None:
    stand.sandbox.faults.add("sendMessage", **order)
    with pytest.raises(kind):
        await stand.bot.send_message(stand.alice.id, "x")
    status, answer = await call(stand.server.url, stand.token, "sendMessage", chat_id=stand.alice.id, text="x")
    assert (status, answer["description"]) == (order["error"], description)
    assert stand.alice.messages() == []


@pytest.mark.asyncio
@pytest.mark.parametrize("order", [{"error": 502}, {"drop": True}, {"hang": 0.01}])
async def test_after_the_effect_only_the_answer_is_lost(stand: Stand, order: dict[str, Any]) -> None:
    await stand.invoice()
    receipt = await approved(stand, stand.alice.pay())
    rule = stand.sandbox.faults.add("refundStarPayment", when="after", times=1, **order)
    assert receipt.transaction_id
    with pytest.raises(TelegramServerError if "error" in order else TelegramNetworkError):
        await stand.bot.refund_star_payment(stand.alice.id, receipt.transaction_id)
    assert stand.alice.balance == 500
    recorded = stand.sandbox.calls[-1]
    assert (recorded.result, recorded.error, recorded.fault) == (True, None, rule.id)
    with pytest.raises(TelegramBadRequest, match="CHARGE_ALREADY_REFUNDED"):
        await stand.bot.refund_star_payment(stand.alice.id, receipt.transaction_id)


@pytest.mark.asyncio
@pytest.mark.parametrize("order", [{"drop": True}, {"hang": 0.01}])
async def test_before_the_effect_nothing_has_happened(stand: Stand, order: dict[str, Any]) -> None:
    stand.sandbox.faults.add("sendMessage", times=1, **order)
    with pytest.raises(TelegramNetworkError):
        await stand.bot.send_message(stand.alice.id, "x")
    assert stand.alice.messages() == []
    recorded = stand.sandbox.calls[-1]
    assert (recorded.result, recorded.error, recorded.error_code) == (
        None,
        "no answer: the connection was closed",
        None,
    )
    await stand.bot.send_message(stand.alice.id, "y")


@pytest.mark.asyncio
async def test_a_client_that_gives_up_on_a_slow_call_does_not_undo_it(stand: Stand) -> None:
    rule = stand.sandbox.faults.add("sendMessage", slow=30)
    with pytest.raises(TelegramNetworkError, match="timeout"):
        await stand.bot.send_message(stand.alice.id, "x", request_timeout=0.5)  # type: ignore[arg-type]
    assert stand.alice.messages() == []
    stand.sandbox.faults.remove(rule)  # and the call goes on
    assert await stand.sandbox.until(lambda: len(stand.alice.messages()) == 1)


@pytest.mark.asyncio
async def test_slow_rules_add_up_and_leave_the_answer_alone(stand: Stand) -> None:
    stand.sandbox.faults.add("getMe", slow=0.05)
    stand.sandbox.faults.add("*", slow=0.05, when="after")
    started = time.monotonic()
    assert (await stand.bot.get_me()).username == "neon_demo_bot"
    assert time.monotonic() - started >= 0.1


@pytest.mark.asyncio
async def test_calls_that_hang_are_let_go_when_the_rules_are_cleared_or_the_server_stops(stand: Stand) -> None:
    for end in (stand.sandbox.faults.clear, lambda: asyncio.ensure_future(stand.server.stop())):
        stand.sandbox.faults.add("getMe", hang=3600)
        made = len(stand.sandbox.calls)
        hanging = asyncio.ensure_future(stand.bot.get_me())
        assert await stand.sandbox.until(lambda made=made: len(stand.sandbox.calls) > made)  # type: ignore[misc]
        assert not hanging.done()
        ended: Any = end()
        with pytest.raises(TelegramNetworkError):
            await asyncio.wait_for(hanging, 20)
        if ended is not None:
            await ended


@pytest.mark.asyncio
async def test_a_rule_may_be_for_one_chat_or_one_person(stand: Stand) -> None:
    group = stand.sandbox.create_group("Club", [stand.alice, stand.bob])
    faults = stand.sandbox.faults
    for_group = faults.add("sendMessage", error=502, chat=group)
    for_bob = faults.add("*", error=500, user=stand.bob)
    await stand.bot.send_message(stand.alice.id, "x")
    with pytest.raises(TelegramServerError, match="Bad Gateway"):
        await stand.bot.send_message(group.id, "x")
    with pytest.raises(TelegramServerError, match="Internal"):
        await stand.bot.send_message(stand.bob.id, "x")
    with pytest.raises(TelegramServerError, match="Internal"):
        await stand.bot.refund_star_payment(stand.bob.id, "whatever")
    with pytest.raises(TelegramBadRequest, match="CHARGE_NOT_FOUND"):
        await stand.bot.refund_star_payment(stand.alice.id, "whatever")
    assert (for_group.struck, for_bob.struck) == (1, 2)


@pytest.mark.asyncio
async def test_an_answer_to_a_query_is_about_the_person_who_asked(stand: Stand) -> None:
    rule = stand.sandbox.faults.add("answerPreCheckoutQuery", drop=True, user=stand.alice, when="after")
    await stand.invoice()
    paying = asyncio.ensure_future(stand.alice.pay())
    query = (await stand.update("pre_checkout_query")).pre_checkout_query
    assert query is not None
    with pytest.raises(TelegramNetworkError):
        await query.answer(ok=True).as_(stand.bot)
    assert (await paying).ok
    assert rule.struck == 1


@pytest.mark.asyncio
async def test_a_rule_may_be_for_one_bot() -> None:
    sandbox = Sandbox()
    first, second = sandbox.create_bot("a_bot"), sandbox.create_bot("b_bot")
    rule = sandbox.faults.add("getMe", error=502, bot="@b_bot")
    assert rule.bot_id == sandbox.faults.add("getMe", error=500, bot=second).bot_id
    assert [(await sandbox.call(token, "getMe")).status for token in (first, second)] == [200, 502]


@pytest.mark.asyncio
async def test_any_method_means_any_but_polling(stand: Stand) -> None:
    any_method = stand.sandbox.faults.add(error=502, times=1)
    await stand.bot.get_updates()
    with pytest.raises(TelegramServerError):
        await stand.bot.get_me()
    polling = stand.sandbox.faults.add("getupdates", error=502, times=1)
    with pytest.raises(TelegramServerError):
        await stand.bot.get_updates()
    assert (any_method.struck, polling.struck, polling.method) == (1, 1, "getUpdates")


@pytest.mark.asyncio
async def test_a_batch_of_updates_that_got_lost_comes_again(stand: Stand) -> None:
    stand.sandbox.faults.add("getUpdates", drop=True, when="after", times=1)
    await stand.alice.send("hello")
    with pytest.raises(TelegramNetworkError):
        await stand.bot.get_updates()
    assert [update.message.text for update in await stand.bot.get_updates() if update.message] == ["hello"]


@pytest.mark.asyncio
async def test_the_first_rule_that_strikes_decides_and_some_calls_pass_first(stand: Stand) -> None:
    late = stand.sandbox.faults.add("getMe", error=500, skip=2, times=1)
    early = stand.sandbox.faults.add("getMe", error=502, times=1)
    statuses = [(await call(stand.server.url, stand.token, "getMe"))[0] for _ in range(5)]
    assert statuses == [502, 200, 500, 200, 200]
    assert (late.met, early.met) == (5, 4)


@pytest.mark.asyncio
async def test_dice_fall_the_same_way_for_one_seed_whatever_other_rules_there_are() -> None:
    async def statuses(seed: int | None, *, more: bool = False) -> list[int]:
        sandbox = Sandbox(seed)
        token = sandbox.create_bot("a_bot")
        rule = sandbox.faults.add("getMe", error=502, probability=0.3)
        if more:
            sandbox.faults.add("getMe", slow=0.001, probability=0.01, times=1)
        found = [(await sandbox.call(token, "getMe")).status for _ in range(200)]
        assert rule.struck == found.count(502)
        return found

    first = await statuses(7)
    assert first == await statuses(7, more=True)
    assert first != await statuses(8)
    assert 30 <= first.count(502) <= 90


@pytest.mark.asyncio
async def test_rules_are_listed_removed_and_cleared(stand: Stand) -> None:
    faults = stand.sandbox.faults
    first = faults.add("sendMessage", error=429, retry_after=2, times=3)
    second = faults.add_update("successful_payment", repeat=2, probability=0.5)
    assert list(faults) == [first, second]
    assert first.as_json() == {
        "id": 1,
        "method": "sendMessage",
        "when": "before",
        "error": 429,
        "retry_after": 2,
        "probability": 1.0,
        "times": 3,
        "met": 0,
        "struck": 0,
        "left": 3,
    }
    faults.remove(first)
    with pytest.raises(ArgumentError, match="rule must be one of the 1 there are, not 1"):
        faults.remove(first.id)
    faults.clear()
    assert len(faults) == 0
    await stand.bot.send_message(stand.alice.id, "x")


Order = Callable[[Any], object]
WRONG: list[tuple[Order, str]] = [
    (lambda f: f.add("sendMessage"), "exactly one of error, hang, drop, slow says what happens, not none"),
    (lambda f: f.add("sendMessage", error=502, drop=True), "exactly one of .* not error, drop"),
    (lambda f: f.add("sendMesage", drop=True), r"method must be a Bot API method or '\*', not 'sendMesage'"),
    (lambda f: f.add(error=418), "error must be one of 400, 401, .*, 504, not 418"),
    (lambda f: f.add(error=400), "text must be given with error 400"),
    (lambda f: f.add(error=429, text="x"), "text goes with an error other than 429"),
    (lambda f: f.add(drop=True, text="x"), "text goes with an error"),
    (lambda f: f.add(error=502, retry_after=2), "retry_after goes with error 429, not with 502"),
    (lambda f: f.add(error=429, retry_after=0), "retry_after must be a whole number from 1 to 86400, not 0"),
    (lambda f: f.add(error=429, when="after"), "when must be 'before' for error 429"),
    (lambda f: f.add(drop=True, when="during"), "when must be one of before, after, not 'during'"),
    (lambda f: f.add(hang=0), "hang must be a number of seconds above 0 and up to 86400, not 0"),
    (lambda f: f.add(slow=1e9), "slow must be a number of seconds above 0 and up to 86400, not 1000000000.0"),
    (lambda f: f.add(slow=float("nan")), "slow must be a number"),
    (lambda f: f.add(drop="yes"), "drop must be true or false, not 'yes'"),
    (lambda f: f.add(drop=True, times=0), "times must be a whole number from 1 to 1000000, not 0"),
    (lambda f: f.add(drop=True, times=True), "times must be a whole number"),
    (lambda f: f.add(drop=True, skip=-1), "skip must be a whole number from 0 to 1000000, not -1"),
    (lambda f: f.add(drop=True, probability=1.5), "probability must be a number from 0 to 1, not 1.5"),
    (lambda f: f.add(drop=True, user=5), "user must be a person of the sandbox, not 5"),
    (lambda f: f.add(drop=True, chat="club"), "chat must be an id or what has one, not 'club'"),
    (lambda f: f.add(drop=True, chat=-5), "chat must be a group or a person of the sandbox, not -5"),
    (lambda f: f.add(drop=True, bot="nobody_bot"), "no such bot"),
    (lambda f: f.add_update("mesage", drop=True), "update must be one of .*message.*, not 'mesage'"),
    (lambda f: f.add_update("message"), "exactly one of drop, delay, reorder, repeat says what happens, not none"),
    (lambda f: f.add_update(delay=5, reorder=True), "not delay, reorder"),
    (lambda f: f.add_update(repeat=101), "repeat must be a whole number from 1 to 100, not 101"),
    (lambda f: f.add_update(delay=-1), "delay must be a number of seconds"),
]


@pytest.mark.parametrize(("order", "complaint"), WRONG)
def test_a_wrong_order_names_the_argument_the_limit_and_the_value(
    sandbox: Sandbox, order: Order, complaint: str
) -> None:
    sandbox.create_bot("a_bot")
    with pytest.raises(SandboxError, match=complaint):
        order(sandbox.faults)
    assert len(sandbox.faults) == 0


@pytest.mark.asyncio
async def test_without_a_socket_a_lost_answer_is_a_connection_error(sandbox: Sandbox) -> None:
    token = sandbox.create_bot("a_bot")
    sandbox.faults.add("getMe", drop=True)
    with pytest.raises(LostReply):
        await sandbox.call(token, "getMe")
    assert issubclass(LostReply, ConnectionError) and issubclass(ArgumentError, ValueError)
