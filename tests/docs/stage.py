"""Where the documentation's code is acted out: a bot whose Telegram is a sandbox in this process, without sockets."""

from __future__ import annotations

import ast
import asyncio
import inspect
import itertools
from collections.abc import Iterator
from typing import Any

from aiogram import Bot, Dispatcher, Router
from aiogram.filters import Command
from aiogram.types import Message

from aiogram_neonpay import NeonPay
from aiogram_neonpay.sandbox import Receipt, Rules, Sandbox, SandboxSession, SandboxUser

AMOUNT = 10
"""Stars for stages whose price the buyer chooses."""


class Theatre:
    """One bot and one buyer, with the names that the documentation's blocks may use."""

    def __init__(self) -> None:
        self.sandbox = Sandbox(rules=Rules(polling_brake=False))
        self.bot = Bot(self.sandbox.create_bot("neon_bot"), session=SandboxSession(self.sandbox))
        self.buyer = self.sandbox.create_user("Alice", stars=100_000, started=True)
        self._offset = 0

    async def names(self) -> dict[str, Any]:
        written = (await self.buyer.send("hello")).raw
        (update,) = await self._updates()
        assert update["message"]["message_id"] == written["message_id"]
        message = Message.model_validate(written, context={"bot": self.bot})
        return {"__name__": "snippet", "bot": self.bot, "user_id": self.buyer.id, "message": message}

    async def run(self, code: str, name: str, names: dict[str, Any]) -> None:
        """Execute a block; it may await at its top level."""
        compiled = compile(code, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        result = eval(compiled, names)
        if inspect.isawaitable(result):
            await result

    async def act(self, names: dict[str, Any]) -> list[Receipt]:
        """Start the bot of a block, send every command it knows, buy everything it sells, and return it."""
        receipts: list[Receipt] = []
        for dispatcher in {id(item): item for item in names.values() if isinstance(item, Dispatcher)}.values():
            pay = dispatcher.get("neonpay")
            if not isinstance(pay, NeonPay):
                continue
            await dispatcher.emit_startup(bot=self.bot, dispatcher=dispatcher, **dispatcher.workflow_data)
            for command in _commands(dispatcher):
                await self.buyer.send(f"/{command}")
                await self._feed(dispatcher)
            for stage_id, stage in pay.list_payment_stages().items():
                if not stage.on_sale:
                    continue
                amount = AMOUNT if stage.price is None else None
                receipt = await self._buy(dispatcher, await pay.create_link(stage_id, amount=amount, bot=self.bot))
                receipts.append(receipt)
                record = await pay.get_payment(str(receipt.transaction_id), bot=self.bot)
                if receipt.ok and record is not None and record.status != "refunded":
                    await pay.refund(str(receipt.transaction_id), bot=self.bot)
                await self._feed(dispatcher)
            await dispatcher.emit_shutdown(bot=self.bot, dispatcher=dispatcher, **dispatcher.workflow_data)
        return receipts

    async def _buy(self, dispatcher: Dispatcher, link: str) -> Receipt:
        buyer: SandboxUser = self.buyer
        paying = asyncio.ensure_future(buyer.pay(link=link))
        while not paying.done():
            await self._feed(dispatcher)
            await asyncio.sleep(0)  # everything happens in this loop: letting go of it is all the waiting there is
        await self._feed(dispatcher)
        return paying.result()

    async def _feed(self, dispatcher: Dispatcher) -> None:
        while updates := await self._updates():
            for update in updates:
                await dispatcher.feed_raw_update(self.bot, update)

    async def _updates(self) -> list[dict[str, Any]]:
        reply = await self.sandbox.call(self.bot.token, "getUpdates", {"offset": str(self._offset), "timeout": "0"})
        updates: list[dict[str, Any]] = reply.body["result"]
        if updates:
            self._offset = updates[-1]["update_id"] + 1
        return updates


def _commands(root: Router) -> Iterator[str]:
    handlers = itertools.chain.from_iterable(router.message.handlers for router in root.chain_tail)
    for handler in handlers:
        for item in handler.filters or ():
            if isinstance(item.callback, Command):
                yield from (str(command) for command in item.callback.commands)
