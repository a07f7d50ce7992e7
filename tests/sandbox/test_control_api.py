"""The control API as a harness in another process uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from aiogram_neonpay.sandbox import SandboxError
from tests.sandbox.conftest import START, Stand
from tests.sandbox.raw import INVOICE, call


@dataclass
class Control:
    """The control API of a stand's server."""

    stand: Stand
    session: aiohttp.ClientSession

    async def ask(self, method: str, path: str, status: int = 200, /, **body: Any) -> Any:
        url = f"{self.stand.server.url}/sandbox/api/{path}"
        async with self.session.request(method, url, json=body if method == "POST" else None) as response:
            answer = await response.json()
            assert response.status == status, answer
            return answer

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.ask("GET", path, status)

    async def post(self, path: str, status: int = 200, /, **body: Any) -> Any:
        return await self.ask("POST", path, status, **body)

    async def paid(self, **invoice: Any) -> dict[str, Any]:
        """Let Alice pay something, with the bot's consent."""
        paying = asyncio.ensure_future(self.post(f"users/{self.stand.alice.id}/pay", **invoice))
        query = (await self.stand.update("pre_checkout_query")).pre_checkout_query
        assert query is not None
        await self.stand.bot.answer_pre_checkout_query(query.id, ok=True)
        receipt: dict[str, Any] = await paying
        assert receipt["ok"], receipt
        return receipt


@pytest_asyncio.fixture
async def control(stand: Stand) -> AsyncIterator[Control]:
    async with aiohttp.ClientSession() as session:
        yield Control(stand, session)


@pytest.mark.asyncio
async def test_faults_are_ordered_listed_counted_and_removed(control: Control) -> None:
    alice, url, token = control.stand.alice, control.stand.server.url, control.stand.token
    first = await control.post("faults", method="sendmessage", error=429, retry_after=2, times=1, user=alice.id)
    assert (first["id"], first["method"], first["left"]) == (1, "sendMessage", 1)
    second = await control.post("faults", update="successful_payment", drop=True, probability=0.5)
    assert (second["update"], second["drop"], second["probability"]) == ("successful_payment", True, 0.5)
    statuses = [(await call(url, token, "sendMessage", chat_id=alice.id, text="x"))[0] for _ in range(2)]
    assert statuses == [429, 200]
    listed = (await control.get("faults"))["faults"]
    assert [(rule["id"], rule["struck"]) for rule in listed] == [(1, 1), (2, 0)]
    assert await control.ask("DELETE", "faults/1") == {"removed": 1}
    assert await control.ask("DELETE", "faults") == {"removed": 1}
    assert (await control.get("faults"))["faults"] == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"method": "sendMessage", "eror": 502}, "there is no field 'eror'; there are bot, chat, drop, error,"),
        ({"method": "sendMessage", "error": 418}, "error must be one of"),
        ({"update": "message", "error": 502}, "there is no field 'error'; there are bot, chat, delay,"),
        ({"method": "sendMessage", "drop": 1}, "drop must be true or false, not 1"),
        ({"method": 5, "drop": True}, "method must be a Bot API method"),
    ],
)
async def test_a_wrong_fault_is_explained(control: Control, body: dict[str, Any], complaint: str) -> None:
    assert complaint in (await control.post("faults", 400, **body))["error"]
    assert "there are, not 7" in (await control.ask("DELETE", "faults/7", 400))["error"]
    assert "whole number" in (await control.ask("DELETE", "faults/x", 400))["error"]


@pytest.mark.asyncio
async def test_an_invoice_is_paid_by_payload_message_link_or_being_the_newest(control: Control) -> None:
    stand = control.stand
    sent = await stand.invoice(3, "by message")
    await stand.invoice(5, "by payload")
    await stand.invoice(7, "newest")
    _, answer = await call(stand.server.url, stand.token, "createInvoiceLink", **{**INVOICE, "payload": "by link"})
    other = {**INVOICE, "payload": "link by payload", "prices": [{"label": "x", "amount": 2}]}
    await call(stand.server.url, stand.token, "createInvoiceLink", **other)
    invoices: list[dict[str, Any]] = [
        {"message_id": sent.message_id},
        {"payload": "by payload"},
        {},
        {"link": answer["result"]},
        {"payload": "link by payload"},
    ]
    amounts = [(await control.paid(**invoice))["amount"] for invoice in invoices]
    assert amounts == [3, 5, 7, 25, 2]
    assert (await control.get("bots/neon_demo_bot"))["balance"] == 42
    pay = f"users/{stand.alice.id}/pay"
    assert "there is no field 'payloud'" in (await control.post(pay, 400, payloud="x"))["error"]


@pytest.mark.asyncio
async def test_a_payment_goes_on_when_nobody_waits_for_its_receipt(control: Control) -> None:
    stand = control.stand
    await stand.invoice()
    url = f"{stand.server.url}/sandbox/api/users/{stand.alice.id}/pay"
    with pytest.raises(asyncio.TimeoutError):
        async with control.session.post(url, json={}, timeout=aiohttp.ClientTimeout(total=0.05)):
            raise AssertionError("the bot has not answered yet")
    query = (await stand.update("pre_checkout_query")).pre_checkout_query
    assert query is not None
    await stand.bot.answer_pre_checkout_query(query.id, ok=True)
    assert await stand.sandbox.until(lambda: stand.alice.balance == 475)


@pytest.mark.asyncio
async def test_money_is_read_and_given_back_from_outside(control: Control) -> None:
    stand = control.stand
    await stand.invoice(25, "order-1")
    first, second, third = [await control.paid(payload="order-1") for _ in range(3)]
    await stand.updates()
    await control.post("refund", charge_id=first["transaction_id"])
    await control.post("refund", charge_id=second["transaction_id"], notify=False)
    await control.post("chargeback", charge_id=third["transaction_id"])
    assert stand.sandbox.pending_updates() == 1
    book = await control.get(f"bots/{stand.bot.id}/ledger")
    assert (book["balance"], book["total"]) == ({"amount": 0}, 6)
    ids = [paid["transaction_id"] for paid in (first, second, third)]
    assert [row["id"] for row in book["transactions"]] == ids * 2
    assert book["transactions"][0]["source"]["invoice_payload"] == "order-1"
    part = await control.get(f"bots/{stand.bot.id}/ledger?offset=5&limit=1")
    assert [row["id"] for row in part["transactions"]] == ids[2:]
    shown = (await control.get(f"bots/{stand.bot.id}/transactions?limit=2"))["transactions"]
    assert [(row["kind"], row["refunded"], row["refundable"]) for row in shown] == [
        ("chargeback", True, False),
        ("refund", True, False),
    ]
    assert "limit must be a whole number" in (await control.get("bots/neon_demo_bot/ledger?limit=x", 400))["error"]


@pytest.mark.asyncio
async def test_a_ledger_gets_a_past(control: Control) -> None:
    stand, book = control.stand, "bots/neon_demo_bot/ledger"
    sales = [{"user": stand.alice.id, "amount": 5, "payload": f"old-{n}", "date": START - 100 + n} for n in range(4)]
    ids = (await control.post(f"{book}/sales", sales=sales))["ids"]
    row = await control.post(f"{book}/rows", kind="withdrawal", amount=12, state="pending", date=START - 50)
    assert row["receiver"] == {"type": "fragment", "withdrawal_state": {"type": "pending"}}
    await control.post("bots/neon_demo_bot/affiliate", user=stand.bob.id, per_mille=100)
    await control.post("bots/neon_demo_bot/affiliate", user=None)
    assert await control.post(f"{book}/drop", oldest=1) == {"dropped": 1}
    await control.post(f"{book}/hide", charge_id=ids[2], seconds=1.5)
    read = await control.get(book)
    assert [item["id"] for item in read["transactions"]] == [ids[1], ids[3], row["id"]]
    assert read["balance"] == {"amount": 8}
    assert (await control.post("clock", seconds=1.5))["now"] == START + 1.5
    assert (await control.get(book))["total"] == 4
    shown = (await control.get("bots/neon_demo_bot/transactions"))["transactions"]
    assert (shown[0]["title"], shown[0]["user"], shown[-1]["title"]) == ("Withdrawal", "Telegram", "Past sale")
    for body, complaint in (
        ({"sales": [{"user": 5, "amount": 1}]}, "a sale needs the field 'payload'"),
        ({"sales": [5]}, "a sale must be a JSON object, not 5"),
        ({"sales": [{**sales[0], "usr": 5}]}, "there is no field 'usr'"),
        ({"sales": {}}, "the field 'sales' must be a list"),
    ):
        assert complaint in (await control.post(f"{book}/sales", 400, **body))["error"]
    assert "kind must be one of" in (await control.post(f"{book}/rows", 400, kind="x", amount=1))["error"]


@pytest.mark.asyncio
async def test_calls_are_read_in_pages(control: Control) -> None:
    stand = control.stand
    for number in range(3):
        await stand.bot.send_message(stand.alice.id, str(number))
    await stand.bot.get_me()
    first = await control.get("calls?limit=2")
    assert [(item["number"], item["params"]["text"]) for item in first["calls"]] == [(0, "0"), (1, "1")]
    rest = await control.get(f"calls?since={first['next']}")
    assert [item["method"] for item in rest["calls"]] == ["sendMessage", "getMe"]
    assert (rest["next"], rest["made"]) == (4, 4)
    named = await control.get("calls?method=GETME")
    assert [item["number"] for item in named["calls"]] == [3] and named["next"] == 4


@pytest.mark.asyncio
async def test_bots_and_people_are_made_and_looked_at(control: Control) -> None:
    made = await control.post("bots", username="@second_bot", name="Second")
    status, me = await call(control.stand.server.url, made["token"], "getMe")
    assert (status, me["result"]["username"]) == (200, "second_bot")
    carol = await control.post("users", name="Carol", stars=30, started=True)
    status, _ = await call(control.stand.server.url, made["token"], "sendMessage", chat_id=carol["id"], text="hi")
    assert status == 200
    await control.post(f"users/{carol['id']}/send", text="/start", bot_id=made["id"])
    seen = await control.get(f"bots/{made['id']}")
    assert "token" not in seen
    assert (seen["pending_updates"], seen["polling"], seen["webhook"], seen["name"]) == (1, False, None, "Second")
    assert "already" in (await control.post("bots", 400, username="second_bot"))["error"]
    assert "cannot go back" in (await control.post("clock", 400, seconds=-0.5))["error"]


@pytest.mark.asyncio
async def test_the_clock_is_stopped_set_to_a_moment_and_let_run(control: Control) -> None:
    assert await control.post("clock", moment=START + 90) == {"now": START + 90, "running": False}
    assert (await control.get("state"))["running"] is False
    for body, complaint in (
        ({"moment": START}, "cannot go back"),
        ({"running": 1}, "the field 'running' must be true or false"),
        ({"seconds": 1, "running": True}, "not 2 of them"),
        ({}, "not 0 of them"),
        ({"minutes": 1}, "there is no field 'minutes'"),
    ):
        assert complaint in (await control.post("clock", 400, **body))["error"]
    running = await control.post("clock", running=True)
    assert running["running"] is True and START + 90 <= running["now"] < START + 150
    stopped = await control.post("clock", running=False)
    assert control.stand.sandbox.clock.now() == stopped["now"] >= running["now"]


@pytest.mark.asyncio
async def test_the_newest_messages_of_a_chat_are_read_and_answered(control: Control) -> None:
    alice = control.stand.alice
    for number in range(3):
        await control.stand.bot.send_message(alice.id, f"number {number}")
    whole = await control.get(f"users/{alice.id}/messages")
    assert (len(whole["messages"]), whole["earlier"]) == (3, 0)
    newest = await control.get(f"users/{alice.id}/messages?limit=2")
    assert ([item["text"] for item in newest["messages"]], newest["earlier"]) == (["number 1", "number 2"], 1)
    replied = whole["messages"][0]["id"]
    sent = await control.post(f"users/{alice.id}/send", text="Which?", reply_to=replied)
    assert sent["reply_to"] == {"id": replied, "name": "Neon Demo", "text": "number 0"}
    update = await control.stand.update("message")
    assert update.message and update.message.reply_to_message
    assert update.message.reply_to_message.message_id == replied
    assert "no longer there" in (await control.post(f"users/{alice.id}/send", 400, text="x", reply_to=999))["error"]


@pytest.mark.asyncio
async def test_a_person_replies_only_to_what_is_in_the_chat(control: Control) -> None:
    alice, bob = control.stand.alice, control.stand.bob
    await control.stand.bot.send_message(alice.id, "A question")
    answer = await alice.send("An answer", reply_to=alice.messages()[-1])
    assert answer.raw["reply_to_message"]["text"] == "A question"
    again = await alice.send("Another", reply_to=answer)
    assert "reply_to_message" not in again.raw["reply_to_message"]
    with pytest.raises(SandboxError, match="there is no message"):
        await bob.send("Not mine", reply_to=again)


@pytest.mark.asyncio
async def test_with_several_bots_one_is_meant(control: Control) -> None:
    stand, alice = control.stand, control.stand.alice
    other = await control.post("bots", username="other_bot", token="42:of_another_program")
    assert (other["id"], other["token"]) == (42, "42:of_another_program")
    await control.post(f"users/{alice.id}/send", text="/start", bot_id=42)
    url, mine = stand.server.url, {"chat_id": alice.id, **INVOICE}
    keyboard = {"inline_keyboard": [[{"text": "Go", "url": "https://t.me/other_bot?start=go"}]]}
    for token, payload in ((stand.token, "mine"), ("42:of_another_program", "others")):
        assert (await call(url, token, "sendInvoice", **{**mine, "payload": payload}))[0] == 200
        assert (await call(url, token, "sendMessage", chat_id=alice.id, text="x", reply_markup=keyboard))[0] == 200
    receipt = await control.paid(bot_id=stand.bot.id)  # the other bot's invoice is newer
    assert stand.sandbox.transactions(stand.token)[-1].id == receipt["transaction_id"]
    await control.post(f"users/{alice.id}/tap", button="Go", bot_id=stand.bot.id)
    assert alice.messages(bot=42)[-1].text == "/start go"
    refused = await control.post(f"users/{alice.id}/tap", 400, button="Go", bot_id=9)
    assert refused == {"error": "no such bot in the sandbox"}
