"""Every answer and every update fits the published schema: no nulls, no unknown fields, right types."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiogram import methods as published
from aiogram.client.default import Default
from aiogram.types import TelegramObject, Update
from pydantic import BaseModel, TypeAdapter

from aiogram_neonpay.sandbox import Sandbox
from aiogram_neonpay.sandbox.methods import SUPPORTED
from tests.sandbox.content_walk import walk_content
from tests.sandbox.raw import INVOICE

#: There are no gifts in the sandbox, so sendGift has no answer but a refusal.
NEVER_GRANTED = {"sendGift"}
KEYS = {"inline_keyboard": [[{"text": "Go", "callback_data": "go"}, {"text": "Site", "url": "https://a.b"}]]}


def surplus(value: Any, path: str = "") -> list[str]:
    """List the fields a model took that the schema does not know, and those that are null on the wire."""
    if isinstance(value, (list, tuple)):
        return [found for index, item in enumerate(value) for found in surplus(item, f"{path}[{index}]")]
    if not isinstance(value, BaseModel):
        return []
    unknown = [f"{path}.{name}" for name in (value.model_extra or {})]
    nulls = [f"{path}.{name} is null" for name in value.model_fields_set if getattr(value, name, 0) is None]
    inner = [
        found
        for name in type(value).model_fields
        if not isinstance(getattr(value, name), Default)
        for found in surplus(getattr(value, name), f"{path}.{name}")
    ]
    return unknown + nulls + inner


def returned(method: str) -> Any:
    """Return what a method answers with, by aiogram's schema."""
    kinds = [item for item in vars(published).values() if getattr(item, "__api_method__", None) == method]
    return kinds[0].__returning__


class World:
    """One bot and one user in a socketless sandbox; each call's answer is checked against the schema."""

    def __init__(self) -> None:
        self.sandbox = Sandbox(seed=1)
        self.token = self.sandbox.create_bot("neon_demo_bot")
        self.alice = self.sandbox.create_user("Alice Liddell", stars=100, started=True)
        self.group = self.sandbox.create_group("Club", [self.alice])
        self.walked: set[str] = set()

    async def call(self, method: str, **params: Any) -> Any:
        reply = await self.sandbox.call(self.token, method, params)
        assert reply.body["ok"], reply.body
        result = reply.body["result"]
        model: Any = TypeAdapter(returned(method)).validate_python(result)
        assert surplus(model, method) == []
        assert isinstance(model, TelegramObject | list | bool | str | int)
        self.walked.add(method)
        return result

    async def update(self, kind: str) -> Any:
        while True:
            for raw in await self.call("getUpdates", timeout=5, offset=0, limit=1):
                model = Update.model_validate(raw)
                assert surplus(model, kind) == []
                await self.call("getUpdates", offset=raw["update_id"] + 1)
                if kind in raw:
                    return raw[kind]


@pytest.mark.asyncio
async def test_every_method_and_update_of_the_sandbox_fits_the_schema() -> None:
    world = World()
    alice, chat = world.alice, world.alice.id
    await world.call("getMe")
    await world.call("setMyCommands", commands=[{"command": "buy", "description": "Buy"}])
    await world.call("getMyCommands")
    await world.call("deleteMyCommands")
    await world.call("getChat", chat_id=chat)
    await world.call("getChat", chat_id=world.group.id)
    await world.call("getChatMember", chat_id=world.group.id, user_id=chat)
    await world.call("sendChatAction", chat_id=chat, action="typing")
    await alice.send("/buy https://a.b @alice")
    written = await world.update("message")
    reply = {"message_id": written["message_id"]}
    sent = await world.call(
        "sendMessage", chat_id=chat, text="<b>hi</b>", parse_mode="HTML", reply_markup=KEYS, reply_parameters=reply
    )
    place = {"chat_id": chat, "message_id": sent["message_id"]}
    await world.call("editMessageText", text="two", reply_markup=KEYS, **place)
    tapping = asyncio.ensure_future(alice.tap("Go"))
    query = await world.update("callback_query")
    await world.call("answerCallbackQuery", callback_query_id=query["id"], text="ok")
    assert await tapping == "ok"
    await world.call("editMessageReplyMarkup", **place)
    await world.call("deleteMessages", chat_id=chat, message_ids=[sent["message_id"]])
    await world.call("deleteMessage", chat_id=chat, message_id=written["message_id"])
    asking = asyncio.ensure_future(alice.inline("x"))
    inline = await world.update("inline_query")
    content = {**INVOICE, "prices": [{"label": "x", "amount": 1}]}
    article = {"type": "article", "id": "1", "title": "T", "input_message_content": content}
    await world.call("answerInlineQuery", inline_query_id=inline["id"], results=[article])
    await asking
    await alice.send_inline("1", chat=world.group)
    await world.update("message")
    await world.update("chosen_inline_result")
    await world.call("sendInvoice", **INVOICE, chat_id=chat)
    link = await world.call("createInvoiceLink", **INVOICE, subscription_period=2592000)
    paying = asyncio.ensure_future(alice.pay(link=link))
    checkout = await world.update("pre_checkout_query")
    await world.call("answerPreCheckoutQuery", pre_checkout_query_id=checkout["id"], ok=True)
    receipt = await paying
    assert "successful_payment" in await world.update("message")
    alice.cancel_subscription()
    assert (await world.update("subscription"))["state"] == "canceled"
    params = {"user_id": chat, "telegram_payment_charge_id": receipt.transaction_id}
    await world.call("editUserStarSubscription", **params, is_canceled=False)
    alice.restore_subscription()
    assert (await world.update("subscription"))["state"] == "active"
    world.sandbox.clock.advance(days=30)
    assert "is_first_recurring" not in (await world.update("message"))["successful_payment"]
    await world.call("refundStarPayment", user_id=chat, telegram_payment_charge_id=receipt.transaction_id)
    assert "refunded_payment" in await world.update("message")
    await world.call("getStarTransactions")
    await world.call("getMyStarBalance")
    await walk_content(world)
    alice.block()
    await world.update("my_chat_member")
    await world.call("setWebhook", url="https://example.com/hook", allowed_updates=["message"])
    await world.call("getWebhookInfo")
    await world.call("deleteWebhook")
    await world.call("logOut")
    await world.call("close")
    assert world.walked == set(SUPPORTED) - NEVER_GRANTED
