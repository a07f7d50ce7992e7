"""The groups: each runs its contenders and says in tables how they compare."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.groups.access import access_tables
from benchmarks.groups.basic import import_tables, memory_tables, message_tables, redis_tables
from benchmarks.groups.latency import latency_tables
from benchmarks.groups.reconcile import reconcile_tables
from benchmarks.groups.sizes import size_tables
from benchmarks.groups.sqlite import sqlite_tables
from benchmarks.measure import Effort
from benchmarks.table import Table

Group = Callable[[Effort], Coroutine[Any, Any, list[Table]]]

GROUPS: dict[str, Group] = {
    "memory": memory_tables,
    "redis": redis_tables,
    "sqlite": sqlite_tables,
    "messages": message_tables,
    "access": access_tables,
    "sizes": size_tables,
    "latency": latency_tables,
    "reconcile": reconcile_tables,
    "import": import_tables,
}
