"""A bot with subscribers, without a socket and on a clock that stands still."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiogram.types import Update

from aiogram_neonpay.sandbox import Clock, Receipt, Rules, Sandbox, SandboxUser, Subscription
from tests.sandbox.conftest import START
from tests.sandbox.test_conformance import surplus

DAY = 86_400
MONTH = 30 * DAY


class Club:
    """A bot that sells subscriptions, and Alice and Bob."""

    def __init__(self, *, start: float = START, seed: int | None = 0, **rules: Any) -> None:
        self.sandbox = Sandbox(seed=seed, clock=Clock(start, running=False), rules=Rules(polling_brake=False, **rules))
        self.token = self.sandbox.create_bot("club_bot")
        self.alice = self.sandbox.create_user("Alice", stars=500, started=True)
        self.bob = self.sandbox.create_user("Bob", stars=500, started=True)
        self.offset = 0

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Make a call and return the whole answer."""
        body: dict[str, Any] = (await self.sandbox.call(self.token, method, params)).body
        return body

    async def call(self, method: str, **params: Any) -> Any:
        """Make a call that succeeds and return its result."""
        answer = await self.ask(method, **params)
        assert answer["ok"], answer
        return answer["result"]

    async def link(self, payload: str = "club", amount: int = 100, **changes: Any) -> str:
        """Make a link that sells a subscription."""
        invoice = {"title": "Club", "description": "The club, monthly", "payload": payload, "currency": "XTR"}
        prices = json.dumps([{"label": "A month", "amount": amount}])
        link: str = await self.call(
            "createInvoiceLink", **{**invoice, "prices": prices, "subscription_period": MONTH, **changes}
        )
        return link

    async def subscribe(self, user: SandboxUser | None = None, link: str | None = None, **invoice: Any) -> Subscription:
        """Have somebody, Alice by default, begin a subscription; the updates of it are taken."""
        receipt = await self.bought(user or self.alice, link or await self.link(**invoice))
        assert receipt.ok and receipt.transaction_id, receipt
        await self.updates()
        (begun,) = [item for item in self.sandbox.subscriptions() if item.first_charge_id == receipt.transaction_id]
        return begun

    async def bought(self, user: SandboxUser, link: str) -> Receipt:
        """Have somebody pay a link, with the bot's consent; the updates before it are taken."""
        paying = asyncio.ensure_future(user.pay(link=link))
        await self.consent()
        return await paying

    async def consent(self, ok: bool = True) -> dict[str, Any]:
        """Answer the next pre-checkout query, and return it."""
        while True:
            await self.sandbox.world.arrivals.until(lambda: self.sandbox.pending_updates(self.token) > 0, 5)
            for update in await self.updates():
                if "pre_checkout_query" in update:
                    query: dict[str, Any] = update["pre_checkout_query"]
                    vote = {"ok": ok} if ok else {"ok": ok, "error_message": "no"}
                    await self.call("answerPreCheckoutQuery", pre_checkout_query_id=query["id"], **vote)
                    return query

    async def updates(self) -> list[dict[str, Any]]:
        """Take every update that waits; each must fit the published schema."""
        found: list[dict[str, Any]] = []
        while batch := await self.call("getUpdates", offset=self.offset):
            self.offset = batch[-1]["update_id"] + 1
            found += batch
        for update in found:
            assert surplus(Update.model_validate(update)) == [], update
        return found

    async def payments(self) -> list[dict[str, Any]]:
        """Take every update that waits and return the payments among them."""
        messages = [update.get("message", {}) for update in await self.updates()]
        return [message["successful_payment"] for message in messages if "successful_payment" in message]

    async def news(self) -> list[tuple[int, str, str]]:
        """Take every update that waits and return what became of subscriptions: who, which, how."""
        found = [update["subscription"] for update in await self.updates() if "subscription" in update]
        return [(item["user"]["id"], item["invoice_payload"], item["state"]) for item in found]

    async def edit(self, subscription: Subscription, canceled: bool, **changes: Any) -> dict[str, Any]:
        """Cancel a subscription as the bot, or allow the person to re-enable it; return the whole answer."""
        params = {"user_id": subscription.user_id, "telegram_payment_charge_id": subscription.first_charge_id}
        return await self.ask("editUserStarSubscription", **{**params, "is_canceled": canceled, **changes})
