"""Bots whose states, and records, are in Redis; and a connection that counts its round trips."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiogram import Dispatcher
from aiogram.fsm.storage.redis import RedisStorage
from aiogram.types import Message
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import UnixDomainSocketConnection

from benchmarks import sellers
from benchmarks.measure import Rig
from benchmarks.stub import make_bot

# What a careful author would write by hand: take the charge once, with an index to find it by; then settle it.
CLAIM = """
if redis.call('SET', KEYS[1], ARGV[2], 'NX') == false then return 0 end
redis.call('ZADD', KEYS[2], ARGV[3] + 60, ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
redis.call('HINCRBY', KEYS[4], 'premium', ARGV[4])
return 1
"""
SETTLE = """
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1
"""


class CountingConnection(UnixDomainSocketConnection):
    """Notes the first command of everything that is sent and then waited for."""

    sent: list[str]

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        whole = command if isinstance(command, bytes) else b"".join(command)
        # RESP: *<words> $<length> <word> ...
        self.sent.append(whole.split(b"\r\n", 3)[2].decode())
        await super().send_packed_command(command, check_health)


def counting_client(path: str, sent: list[str]) -> Redis:
    """Return a client that appends every round trip to a list."""
    connection = type("Counting", (CountingConnection,), {"sent": sent})
    return Redis(connection_pool=ConnectionPool(connection_class=connection, path=path))


def storage_at(path: str, db: int = 0) -> RedisStorage:
    return RedisStorage(Redis(unix_socket_path=path, db=db))


def floor(path: str, db: int = 0) -> Rig:
    """The floor's router on RedisStorage, with the two script calls that make it safe to repeat."""
    storage = storage_at(path, db)
    bot, dispatcher, heard = make_bot(), Dispatcher(storage=storage), list[str]()
    claim, settle = storage.redis.register_script(CLAIM), storage.redis.register_script(SETTLE)
    dispatcher.pre_checkout_query.register(sellers.approve)

    @dispatcher.message(sellers.Paid())
    async def paid(message: Message) -> None:
        receipt, buyer = message.successful_payment, message.from_user
        assert receipt is not None and buyer is not None
        charge, now = receipt.telegram_payment_charge_id, int(time.time())
        record = {
            "charge": charge,
            "user": buyer.id,
            "chat": message.chat.id,
            "amount": receipt.total_amount,
            "payload": receipt.invoice_payload,
            "at": now,
            "state": "claimed",
        }
        keys = [f"hand:{{{buyer.id % 16}}}:{name}" for name in (f"pay:{charge}", "due", f"hist:{buyer.id}", "tot")]
        if not await claim(keys=keys, args=[charge, json.dumps(record), now, receipt.total_amount]):
            return
        heard.append(charge)
        record["state"] = "settled"
        await settle(keys=keys[:2], args=[charge, json.dumps(record)])

    return closing(Rig(bot, dispatcher, heard, sellers.order_payload), storage)


def ours(path: str) -> Rig:
    """This package on the dispatcher's RedisStorage."""
    storage = storage_at(path)
    return closing(sellers.ours(storage), storage)


def counted(path: str, make: Callable[[RedisStorage], Rig]) -> tuple[Rig, list[str]]:
    """Return a rig on a counting client, and the list of what it sends."""
    sent: list[str] = []
    storage = RedisStorage(counting_client(path, sent))
    return closing(make(storage), storage), sent


def closing(rig: Rig, storage: RedisStorage) -> Rig:
    """Let a rig close its storage, and tell what its server used."""

    async def server_cpu() -> float:
        used = await storage.redis.info("cpu")
        return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])

    rig.close = cast("Callable[[], Awaitable[None]]", storage.close)
    rig.server_cpu = server_cpu
    return rig
