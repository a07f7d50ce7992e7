"""A question is answered once, by whom was asked, in time; alerts of all workers are added up, and told by one."""

from __future__ import annotations

import asyncio

import pytest

from aiogram_neonpay.ledger.bulletins import LATEST, Bulletins, untold
from aiogram_neonpay.ledger.confirmations import LEASE, PATIENCE, Confirmations
from tests.ledger.engines import Ledger

pytestmark = pytest.mark.asyncio

ADMIN, OTHER = 501, 502


class Now:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


async def test_of_many_answers_one_gets_the_deed(ledger: Ledger) -> None:
    workers = [Confirmations(ledger.engine, Now()) for _ in range(3)]
    deed = {"do": "refund", "id": "r", "reason": "[] 2**60", "number": 2**60, "list": []}
    name = await workers[0].ask(ledger.bot_id, ADMIN, deed)
    assert len(name) == 16
    answers = await asyncio.gather(*(worker.answer(ledger.bot_id, name, ADMIN, True) for worker in workers * 4))
    [first] = [answer for answer in answers if answer.deed is not None]
    assert first.deed == deed
    assert {answer.refusal for answer in answers if answer is not first} == {"working"}
    await workers[1].end(ledger.bot_id, name, first.taker, done=True)
    assert await workers[2].answer(ledger.bot_id, name, ADMIN, True) == (None, "answered", "")


async def test_a_no_is_the_last_word(ledger: Ledger) -> None:
    questions = Confirmations(ledger.engine, Now())
    name = await questions.ask(ledger.bot_id, ADMIN, {"do": "refund"})
    assert (await questions.answer(ledger.bot_id, name, ADMIN, False)).deed is not None
    for yes in (True, False):
        assert await questions.answer(ledger.bot_id, name, ADMIN, yes) == (None, "answered", "")


async def test_what_a_dead_worker_was_to_do_may_be_confirmed_again(ledger: Ledger) -> None:
    now = Now()
    questions = Confirmations(ledger.engine, now)
    name = await questions.ask(ledger.bot_id, ADMIN, {"do": "refund"})
    now.time += PATIENCE - 1
    dead = await questions.answer(ledger.bot_id, name, ADMIN, True)
    now.time += LEASE - 1
    assert (await questions.answer(ledger.bot_id, name, ADMIN, True)).refusal == "working"
    now.time += 2
    assert (await questions.answer(ledger.bot_id, name, ADMIN, False)).refusal == "answered"  # it may be done, in part
    heir = await questions.answer(ledger.bot_id, name, ADMIN, True)
    assert heir.deed == {"do": "refund"}
    await questions.end(ledger.bot_id, name, dead.taker, done=False)  # it was only slow, and lets go of nothing
    assert (await questions.answer(ledger.bot_id, name, ADMIN, True)).refusal == "working"
    await questions.end(ledger.bot_id, name, heir.taker, done=False)
    assert (await questions.answer(ledger.bot_id, name, ADMIN, True)).deed == {"do": "refund"}


async def test_only_who_was_asked_may_answer_and_only_in_time(ledger: Ledger) -> None:
    now = Now()
    questions = Confirmations(ledger.engine, now)
    name = await questions.ask(ledger.bot_id, ADMIN, {"do": "refund"})
    assert (await questions.answer(ledger.bot_id, name, OTHER, True)).refusal == "other"
    assert (await questions.answer(ledger.bot_id + 1, name, ADMIN, True)).refusal == "gone"
    assert (await questions.answer(ledger.bot_id, "0" * 16, ADMIN, True)).refusal == "gone"
    now.time += PATIENCE + 1
    assert (await questions.answer(ledger.bot_id, name, ADMIN, True)).refusal == "gone"


async def test_alerts_of_several_workers_are_one_window_that_one_of_them_tells(ledger: Ledger) -> None:
    now = Now()
    workers = [Bulletins(ledger.engine, now, window=300, lease=60) for _ in range(4)]
    states = await asyncio.gather(
        *(
            worker.add(ledger.bot_id, f"w{number}", [{"kind": "stuck", "ref": f"{number}-{at}"} for at in range(5)])
            for number, worker in enumerate(workers)
        )
    )
    tellers = {state["teller"] for state in states}
    assert len(tellers) == 1
    [teller] = tellers
    state = max(states, key=lambda state: state["v"])
    assert state["counts"] == {"stuck": 20} and len(state["latest"]) == LATEST and untold(state) == 20

    state = await workers[0].told(ledger.bot_id, teller, 77, 15)  # five came meanwhile
    assert untold(state) == 5 and state["teller"] == teller
    assert (await workers[1].told(ledger.bot_id, "somebody else", 78, 20))["message"] == 77
    state = await workers[0].told(ledger.bot_id, teller, 77, 20)
    assert untold(state) == 0 and state["teller"] is None

    now.time += 301
    state = await workers[1].add(ledger.bot_id, "w1", [{"kind": "unmatched", "ref": "x"}])
    assert (state["counts"], state["message"], state["teller"]) == ({"unmatched": 1}, None, "w1")
    state = await workers[2].add(ledger.bot_id, "w2", [])
    assert state["teller"] == "w1"
    now.time += 61
    assert (await workers[2].add(ledger.bot_id, "w2", []))["teller"] == "w2"
    now.time += 1000  # what nobody told is not dropped with its window
    state = await workers[3].add(ledger.bot_id, "w3", [{"kind": "stuck", "ref": "y"}])
    assert state["counts"] == {"unmatched": 1, "stuck": 1}
