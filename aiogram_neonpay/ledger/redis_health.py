"""Whether a Redis server keeps what it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiogram_neonpay.diagnosis import Symptom

if TYPE_CHECKING:
    from redis.asyncio.client import Redis

__all__ = ["redis_symptoms"]

TOLERANCE = 5.0
"""Seconds by which the server's clock may differ: leases are judged by it, and reports by ours."""


async def redis_symptoms(redis: Redis, clock: Callable[[], float]) -> list[Symptom]:
    """Look for eviction, missing persistence and a clock that is off, as far as the server tells."""
    memory, persistence = await _info(redis, "memory"), await _info(redis, "persistence")
    found: list[Symptom] = []
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        limit = int(memory.get("maxmemory", 0))
        found.append(
            Symptom(
                "redis_evicts",
                f"Redis throws keys away when memory is short (maxmemory-policy {policy}"
                + (", no limit is set yet)" if not limit else ")")
                + ": payments may vanish",
                "CONFIG SET maxmemory-policy noeviction, and in redis.conf",
                is_severe=bool(limit) or policy.startswith("allkeys"),
            )
        )
    if not int(persistence.get("aof_enabled", 1)):
        writes_nothing = await _config(redis, "save") == ""
        problem = (
            "Redis writes nothing to its disk: its restart forgets all payments"
            if writes_nothing
            else "Redis writes to its disk only now and then (no append-only file): a crash loses minutes of payments"
        )
        found.append(Symptom("redis_forgets", problem, "appendonly yes in redis.conf, and CONFIG SET appendonly yes"))
    elif await _config(redis, "appendfsync") not in (None, "always"):
        found.append(
            Symptom(
                "redis_may_lose_a_second",
                "Redis writes to its disk once a second (appendfsync everysec): a loss of power may take that second",
                "appendfsync always, if that is too much for you to lose; reconciliation finds the payments again",
                is_severe=False,
            )
        )
    if any(persistence.get(name, "ok") != "ok" for name in ("aof_last_write_status", "rdb_last_bgsave_status")):
        found.append(
            Symptom("redis_forgets", "the last write of Redis to its disk failed", "look at its log and at its disk")
        )
    off = await _clock_difference(redis, clock)
    if off is not None and abs(off) > TOLERANCE:
        found.append(
            Symptom(
                "clock_is_off",
                f"the clocks of this machine and of Redis differ by {abs(off):.0f} seconds",
                "synchronise both (timedatectl set-ntp true)",
                is_severe=False,
            )
        )
    return found


async def _info(redis: Redis, section: str) -> dict[str, Any]:
    told = await redis.info(section)
    nested = [value for value in told.values() if isinstance(value, dict)]
    # A cluster tells of each node: the worst of them counts.
    return nested[0] if nested and len(nested) == len(told) else dict(told)


async def _config(redis: Redis, name: str) -> str | None:
    """Return a setting, or ``None`` where the server does not tell: hosted ones often forbid ``CONFIG``."""
    try:
        told = await redis.config_get(name)
    except Exception:
        return None
    value = told.get(name, told.get(name.encode())) if isinstance(told, dict) else None
    return value.decode() if isinstance(value, bytes) else value


async def _clock_difference(redis: Redis, clock: Callable[[], float]) -> float | None:
    try:
        told = await redis.time()
    except Exception:
        return None
    if not isinstance(told, (tuple, list)) or len(told) != 2:
        return None
    return clock() - (float(told[0]) + float(told[1]) / 1_000_000)
