"""The last item in stock, and the last use of a promo code, wanted by many at once in several processes.

One of them dies with the item in its hands.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.proof.processes import ROOT
from tests.redis_server import RedisServer

pytestmark = [pytest.mark.redis, pytest.mark.slow]

WORKERS = 3
_bots = itertools.count(9_001)


class Process:
    """A worker of the stall."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.proof.stall", url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, do: str, **order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, do: str, **order: Any) -> Any:
        self.tell(do, **order)
        return self.hear()

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def crew(redis_server: RedisServer) -> Iterator[list[Process]]:
    """Processes that serve one test after the other: most of a start is importing."""
    made = [Process(redis_server.url) for _ in range(WORKERS)]
    yield made
    for worker in made:
        worker.end()


@pytest.fixture
def workers(crew: list[Process], redis_server: RedisServer) -> list[Process]:
    for place, worker in enumerate(crew):
        if worker.process.poll() is not None:
            worker.end()
            crew[place] = Process(redis_server.url)
    bot = next(_bots)
    for worker in crew:
        worker.ask("open", bot=bot)
    return crew


def at_once(workers: list[Process], stage: str, tries: list[list[tuple[int, str]]]) -> list[int]:
    """Let everybody try to pay at the same time; return who may."""
    for worker, share in zip(workers, tries, strict=True):
        worker.tell("check out", stage=stage, tries=share)
    return [user for worker in workers for user in worker.hear()]


def test_no_more_checkouts_are_approved_than_there_is_and_each_approved_one_gets_its_item(
    workers: list[Process],
) -> None:
    users = list(range(1001, 1061))
    payloads = dict(zip(users, workers[0].ask("invoices", stage="print", users=users), strict=True))
    tries = [[(user, payloads[user]) for user in users[place::WORKERS]] for place in range(WORKERS)]

    lucky = at_once(workers, "print", tries)

    assert len(lucky) == len(set(lucky)) == 7
    assert workers[1].ask("left", stage="print") == 0
    for place, user in enumerate(lucky):  # paid through other workers than those that agreed
        workers[place % WORKERS].ask("pay", stage="print", user=user, payload=payloads[user], charge=f"stx{user}")
    found = [workers[0].ask("payment", charge=f"stx{user}") for user in lucky]
    assert found == [[True, "completed", 1]] * 7
    assert at_once(workers, "print", tries) == []


def test_one_buyer_gets_no_more_than_their_own_whichever_worker_is_asked(workers: list[Process]) -> None:
    payloads = workers[0].ask("invoices", stage="ticket", users=[2001] * 12)
    tries = [[(2001, payload) for payload in payloads[place::WORKERS]] for place in range(WORKERS)]

    assert len(at_once(workers, "ticket", tries)) == 2
    assert at_once(workers, "ticket", [[(2002, payload)] for payload in payloads[:WORKERS]])


def test_a_promo_code_is_used_by_no_more_than_it_is_for(workers: list[Process]) -> None:
    users = list(range(4001, 4031))
    payloads = dict(zip(users, workers[0].ask("invoices", stage="poster", users=users), strict=True))
    tries = [[(user, payloads[user]) for user in users[place::WORKERS]] for place in range(WORKERS)]

    lucky = at_once(workers, "poster", tries)

    assert len(lucky) == len(set(lucky)) == 7
    assert at_once(workers, "poster", tries) == []
    for place, user in enumerate(lucky):  # paid through other workers than those that agreed
        workers[place % WORKERS].ask("pay", stage="poster", user=user, payload=payloads[user], charge=f"stx{user}")
    assert [worker.ask("uses") for worker in workers] == [[7, 0, 0]] * WORKERS


def test_a_worker_that_dies_with_the_item_in_its_hands_takes_it_once(
    workers: list[Process], redis_server: RedisServer
) -> None:
    users = list(range(3001, 3009))
    payloads = dict(zip(users, workers[0].ask("invoices", stage="print", users=users), strict=True))
    tries = [[(user, payloads[user]) for user in users[place::WORKERS]] for place in range(WORKERS)]
    lucky = at_once(workers, "print", tries)
    first, *others = lucky
    doomed, heir = workers[0], workers[1]
    doomed.ask("die")
    doomed.tell("pay", stage="print", user=first, payload=payloads[first], charge=f"stx{first}")
    assert doomed.process.wait(10) == 7

    assert heir.ask("left", stage="print") == 0
    _let_leases_run_out(redis_server)
    assert heir.ask("go on") == 1
    assert heir.ask("payment", charge=f"stx{first}") == [True, "completed", 2]
    assert heir.ask("left", stage="print") == 0
    for user in others:
        heir.ask("pay", stage="print", user=user, payload=payloads[user], charge=f"stx{user}")
    assert all(heir.ask("payment", charge=f"stx{user}")[0] for user in others)
    late = next(user for user in users if user not in lucky)
    heir.ask("pay", stage="print", user=late, payload=payloads[late], charge=f"stx{late}")
    heir.ask("go on")
    assert heir.ask("payment", charge=f"stx{late}") == [False, "refunded", 1]


def _let_leases_run_out(server: RedisServer) -> None:
    """Put everything that is due later to now, as a minute would."""
    with server.client() as client:
        for key in client.scan_iter(match="np:*:due"):
            for name in client.zrange(key, 0, -1):
                client.zadd(key, {name: 0})
