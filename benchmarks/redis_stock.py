"""Fills Redis with payments: a script makes them from one that was sold through the plugin."""

from __future__ import annotations

import asyncio
import json

from redis.asyncio import Redis

from benchmarks.measure import Rig, sell_block
from benchmarks.stock import FIRST_BUYER, Stock, batches, varied

BATCH = 2000
# Where a record differs from a genuine one; numbers lose the quotes round their mark.
MARKS = {name: f"@{name}@" for name in ("charge", "user", "chat", "at", "invoice", "holder", "n")}
NUMBERS = ("user", "chat", "at")
# What one sale writes with its two scripts, once it is settled. Redis has no SHA-256: digests come from outside.
FILL = """
local bot, template, first_buyer, buyers = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local number = tonumber(ARGV[5])
for i = 6, #ARGV, 3 do
  local digest, at, day = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local buyer = string.format('%.0f', first_buyer + number % buyers)
  local partition = tonumber(buyer) % 16
  local slot = string.format('np:{%s:%d}:', bot, partition)
  local reference = string.format('%x', partition) .. digest
  local record = string.gsub(template, '@(%l+)@', {
    charge = 'stf' .. string.rep('0', 108) .. string.format('%012d', number),
    user = buyer, chat = buyer, at = at, n = digest, holder = string.reverse(digest),
    invoice = string.format('%08x', tonumber(at)) .. string.sub(digest, 1, 10),
  })
  redis.call('SET', slot .. 'pay:' .. reference, record)
  redis.call('ZADD', slot .. 'hist:' .. buyer, at, reference)
  redis.call('HINCRBY', slot .. 'tot:' .. day, 'premium:count', 1)
  redis.call('HINCRBY', slot .. 'tot:' .. day, 'premium:stars', @PRICE@)
  number = number + 1
end
"""


async def fill(redis: Redis, rig: Rig, stock: Stock) -> None:
    """Sell once through the plugin, and put the stock beside that."""
    await sell_block(rig, 1)
    (key,) = [key async for key in redis.scan_iter("np:{*}:pay:*")]
    genuine = (await redis.get(key)).decode()
    record = json.loads(genuine)
    template = varied(record, MARKS)
    for name in NUMBERS:
        template = template.replace(f'"{MARKS[name]}"', MARKS[name])
    script = redis.register_script(FILL.replace("@PRICE@", str(record["amount"])))
    await redis.config_set("appendonly", "no")
    for batch in batches(range(stock.count), BATCH):
        facts = [
            word for number in batch for word in (stock.reference(number)[1:], stock.at(number), stock.day(number))
        ]
        await script(keys=[], args=[rig.bot.id, template, FIRST_BUYER, stock.buyers, batch[0], *facts])
    middle = stock.count // 2
    slot = f"np:{{{rig.bot.id}:{stock.buyer(middle) % 16}}}"
    made = await redis.get(f"{slot}:pay:{stock.reference(middle)}")
    assert made.decode() == stock.varied(genuine, middle), "the script and Python differ"
    await _persist(redis)


async def _persist(redis: Redis) -> None:
    """Go on with an append-only file, as a shop would, and wait until all of the stock is in it."""
    await redis.config_set("auto-aof-rewrite-percentage", 0)
    await redis.config_set("appendonly", "yes")
    while True:
        state = await redis.info("persistence")
        if not (state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"]):
            assert state["aof_last_bgrewrite_status"] == "ok"
            return
        await asyncio.sleep(0.1)
