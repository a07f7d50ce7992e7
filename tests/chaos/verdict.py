"""What must be true when a run is over: Telegram's ledger, ours, and what handlers wrote down agree."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiogram_neonpay import Report
from aiogram_neonpay.ledger.charges import LEASE, is_refunded
from aiogram_neonpay.sandbox import LedgerRow
from tests.chaos.crew import Life
from tests.chaos.deeds import Deeds
from tests.chaos.shop import GOODS, NOTE, REFUNDED

__all__ = ["Evidence", "judge"]

STOPPED_WITHIN = 28.0
"""Seconds in which a process must be gone that was asked to go."""
OURS_TO_BLAME = re.compile(
    r"AssertionError|AttributeError|KeyError|TypeError|UnboundLocalError|was never (retrieved|awaited)|Stars against"
)
"""Words that no log may hold, whatever goes wrong around us."""
AIOGRAMS_OWN = re.compile(r"coro=<BaseRequestHandler\._background_feed_update")
"""With ``handle_in_background=True`` aiogram leaves the exceptions of updates to whoever may look."""
HANDLERS_OWN = re.compile(r"bad luck|never works|RefundError|Telegram")
"""Errors of handlers. Others come from what stands round them, and may have undone what they did."""
HEAD = re.compile(r"\d{4}-\d\d-\d\d \S+ [A-Z]+ (?P<logger>[\w.]+): ")
"""How a record begins in a log; what follows it, such as a traceback, belongs to it."""
SLACK = 0.002
"""Seconds: Redis is told the time in whole milliseconds."""


@dataclass
class Evidence:
    """What both sides say when all is at rest.

    :ivar rows: Telegram's ledger.
    :ivar records: ours, by reference; ``None`` for a sale that is not recorded.
    :ivar invoices: stored invoices, by id.
    :ivar waiting: references in the list of those that wait for a person; ``stuck`` is what the public method says.
    :ivar histories: charge ids, by buyer.
    :ivar reports: what reconciliations found.
    """

    directory: Path
    token: str
    rows: list[LedgerRow]
    balance: int
    records: dict[str, dict[str, Any] | None]
    invoices: dict[str, dict[str, Any] | None]
    waiting: list[str]
    stuck: list[str]
    report: Report
    histories: dict[int, list[str]]
    reports: list[dict[str, object]]
    lives: dict[str, Life]
    _deeds: Deeds | None = field(default=None, init=False)

    @property
    def deeds(self) -> Deeds:
        """What the processes wrote down."""
        if self._deeds is None:
            self._deeds = Deeds(self.directory, self.lives)
        return self._deeds

    @property
    def known(self) -> dict[str, dict[str, Any]]:
        """The records that there are."""
        return {name: record for name, record in self.records.items() if record is not None}

    def counts(self) -> Counter[str]:
        """Return what was survived."""
        records, deeds = self.known, self.deeds
        counts: Counter[str] = Counter()
        counts["sales"] = len(self.records)
        counts["refunds"] = sum(row.outgoing for row in self.rows)
        for record in records.values():
            counts[f"ended {record['state']}{' and refunded' if is_refunded(record) else ''}"] += 1
            counts["payments recovered by reconciliation"] += bool(record.get("recovered"))
            counts["payments that took several attempts"] += record["attempts"] > 1
        counts["reconciliations"] = len(self.reports)
        counts["handler runs"] = len(deeds.runs)
        returned = Counter((run.ref, run.handler) for run in deeds.runs if run.ended == "return")
        counts["handlers that returned twice for a charge"] = sum(count > 1 for count in returned.values())
        counts["handler runs that raised"] = sum(run.ended == "raise" for run in deeds.runs)
        counts["handler runs cut off by a death"] = sum(run.ended == "death" for run in deeds.runs)
        counts["charges taken over from another holder"] = sum(
            not deeds.released(first, second) for first, second in deeds.successions()
        )
        return counts


def judge(evidence: Evidence) -> list[str]:
    """Return every disagreement."""
    checks = (
        _rows,
        _charges,
        _lists,
        _totals,
        _single_use,
        _heard,
        _holders,
        _fences,
        _settled,
        _progress,
        _remembered,
        _changes,
        _processes,
        _logs,
    )
    found = []
    for check in checks:
        problems = list(check(evidence))
        found += problems[:10]
        if len(problems) > 10:
            found.append(f"... and {len(problems) - 10} more of these")
    return found


def _rows(evidence: Evidence) -> Iterator[str]:
    """Telegram's ledger has one sale for each charge, and one refund at the most."""
    for outgoing, what in ((False, "sales"), (True, "refunds")):
        for charge, count in Counter(row.id for row in evidence.rows if row.outgoing is outgoing).items():
            if count > 1:
                yield f"Telegram has {count} {what} of charge {charge}"


def _charges(evidence: Evidence) -> Iterator[str]:
    """Our ledger agrees with Telegram's, charge by charge."""
    refunded = {row.id for row in evidence.rows if row.outgoing}
    sales = {row.id: row for row in evidence.rows if not row.outgoing}
    for name, record in evidence.records.items():
        if record is None:
            yield f"charge {name} is in Telegram's ledger only"
            continue
        row = sales[record["charge"]]
        if (record["amount"], record["user"]) != (row.amount, row.user_id):
            yield f"charge {name}: {record['amount']} Stars of {record['user']} in ours, {row} in Telegram's"
        state, refund = record["state"], record.get("refund")
        if (record["charge"] in refunded) != is_refunded(record):
            theirs = "a refund" if record["charge"] in refunded else "no refund"
            yield f"charge {name} has refund={refund!r} in ours and {theirs} in Telegram's"
        if is_refunded(record):
            if refund != "announced":
                yield f"charge {name}: the news of its refund never ended ({refund})"
        elif refund is not None or state not in ("delivered", "stuck", "unmatched"):
            yield f"charge {name} is neither delivered nor refunded nor set aside: {state}, refund={refund!r}"
        if record.get("stage") == "stored" and state == "delivered" and record["metadata"].get("note") != NOTE:
            yield f"charge {name} lost the metadata of its stored invoice"
    for charge in refunded - set(sales):
        yield f"Telegram refunded {charge}, which it never sold"


def _lists(evidence: Evidence) -> Iterator[str]:
    """What waits for a person is listed, nothing else is; histories are whole."""
    expected = {
        name
        for name, record in evidence.known.items()
        if record.get("trouble") or (not is_refunded(record) and record["state"] in ("stuck", "unmatched"))
    }
    if lost := expected - set(evidence.waiting):
        yield f"these wait for a person and are not listed: {sorted(lost)}"
    if extra := set(evidence.waiting) - expected:
        yield f"these are listed and wait for nobody: {sorted(extra)}"
    if evidence.stuck != evidence.waiting[:100]:
        yield "stuck_payments() is not what the ledger lists"
    sold: dict[int, list[str]] = defaultdict(list)
    for row in evidence.rows:
        if not row.outgoing and row.user_id is not None:
            sold[row.user_id].append(row.id)
    for user, charges in evidence.histories.items():
        if sorted(charges) != sorted(sold[user]):
            missing, repeats = set(sold[user]) - set(charges), len(charges) - len(set(charges))
            yield f"the history of user {user} lacks {sorted(missing)}, and repeats {repeats}"


def _totals(evidence: Evidence) -> Iterator[str]:
    """The report, the balance and the rows say the same."""
    sales = [row.amount for row in evidence.rows if not row.outgoing]
    refunds = [row.amount for row in evidence.rows if row.outgoing]
    report = evidence.report
    ours = (report.payments, report.stars, report.refunds, report.returned)
    theirs = (len(sales), sum(sales), len(refunds), sum(refunds))
    if ours != theirs:
        yield f"report() counts {ours} payments, Stars, refunds, Stars back, and Telegram {theirs}"
    if evidence.balance != sum(sales) - sum(refunds):
        yield f"the balance is {evidence.balance}, and the rows say {sum(sales) - sum(refunds)}"
    counted: Counter[str | None] = Counter()
    for item in report.rows:
        counted[item.stage_id] += item.payments
    if counted != Counter(record.get("stage") for record in evidence.known.values()):
        yield f"report() counts other stages than the ledger: {dict(counted)}"
    for number, found in enumerate(evidence.reports):
        if found["drift"] or found["differing"]:
            yield f"reconciliation {number} found a balance or amounts that differ: {found}"
    if evidence.reports and evidence.reports[-1]["balance"] != evidence.balance:
        yield f"the last reconciliation saw a balance of {evidence.reports[-1]['balance']}, not {evidence.balance}"


def _single_use(evidence: Evidence) -> Iterator[str]:
    """A single-use invoice is delivered for one of its charges; every other one is refunded."""
    handled = {run.ref for run in evidence.deeds.runs if run.handler == "single"}
    for name, record in evidence.known.items():
        invoice = evidence.invoices.get(record.get("invoice") or "")
        if record.get("stage") != "single" or invoice is None or invoice.get("paid") == name:
            continue
        if not is_refunded(record):
            yield f"charge {name} paid a single-use invoice that {invoice.get('paid')} had paid, and was not refunded"
        if name in handled:
            yield f"charge {name} paid a single-use invoice that {invoice.get('paid')} had paid, and was delivered"


def _heard(evidence: Evidence) -> Iterator[str]:
    """Whatever is settled was heard by all that were meant to hear it."""
    heard: dict[str, set[str]] = defaultdict(set)
    for run in evidence.deeds.runs:
        if run.ended == "return":
            heard[run.ref].add(run.handler)
    for name, record in evidence.known.items():
        if record["state"] == "delivered":
            missing = GOODS[record["stage"]].heard_by - heard[name]
            if missing:
                yield f"charge {name} is delivered, and these have not returned: {sorted(missing)}"
            if not GOODS[record["stage"]].heard_by:
                yield f"charge {name} is delivered, and nobody could hear it"
        if record.get("refund") == "announced" and not record.get("trouble") and REFUNDED not in heard[name]:
            yield f"charge {name}: its refund is announced, and no handler heard of it"


def _holders(evidence: Evidence) -> Iterator[str]:
    """A charge has one holder at a time, and its handlers run for one at a time."""
    deeds = evidence.deeds
    for first, second in deeds.successions():
        too_early = second.clock < first.began_clock + LEASE - SLACK
        if too_early and not deeds.released(first, second) and not deeds.is_unsure(first):
            yield (
                f"charge {first.ref} was taken by {second.process} (version {second.v}) while {first.process} "
                f"(version {first.v}) held it"
            )
    for runs in deeds.runs_of.values():
        for place, run in enumerate(runs):
            for other in runs[place + 1 :]:
                if other.at >= run.until or other.claim is run.claim or run.claim is None or other.claim is None:
                    continue
                # Who lost it may begin late: no lease can keep a process from that which does not know.
                first, second = sorted((run.claim, other.claim), key=lambda claim: claim.v)
                if second.clock < first.began_clock + LEASE - SLACK:
                    yield f"charge {run.ref}: {other} began while {run} ran, and its lease had not run out"


def _fences(evidence: Evidence) -> Iterator[str]:
    """Who has lost a charge to another holder changes nothing of what that one does."""
    for name, changes in evidence.deeds.changes.items():
        holders = evidence.deeds.holders(name)
        for before, after in pairwise(changes):
            holder = holders.get(before["holder"])
            held = after["v"] == before["v"] + 1 and not before["free"] and after["holder"] == before["holder"]
            if holder is None or not held or holder == after["process"]:
                continue
            moved = [field for field in ("state", "free", "attempts", "done", "told") if before[field] != after[field]]
            if moved:
                yield f"charge {name}: {after['process']} changed {moved} in version {after['v']}, and {holder} held it"


def _settled(evidence: Evidence) -> Iterator[str]:
    """Nothing is handled again after it was settled, nor by somebody who has let go of it."""
    deeds = evidence.deeds
    for run in deeds.runs:
        if run.claim is None:
            yield f"charge {run.ref}: {run} without a claim"
            continue
        for change in deeds.changes[run.ref]:
            settled = change["state"] in ("delivered", "rejected") or change["refund"] in ("refunded", "announced")
            # News that nobody took are told again when somebody asks for it.
            told = change["refund"] == "announced" and not change["trouble"]
            over = told if run.handler == REFUNDED else settled
            if over and change["v"] < run.claim.v:
                yield f"charge {run.ref}: {run} was begun after it was settled in version {change['v']}"
                break
            let_go = change["free"] and change["holder"] == run.claim.id and change["process"] == run.process
            if let_go and change["line"] < run.line:
                yield f"charge {run.ref}: {run} began after its holder had let go in version {change['v']}"
                break


def _progress(evidence: Evidence) -> Iterator[str]:
    """What has returned, and is recorded so, is not called again."""
    deeds = evidence.deeds
    for run in deeds.runs:
        if run.claim is None:
            continue
        for change in deeds.changes[run.ref]:
            done = change["told"] if run.handler == REFUNDED else change["done"]
            if change["v"] < run.claim.v and any(run.goes_by(entry) for entry in done or ()):
                yield f"charge {run.ref}: {run} ran again, and version {change['v']} says it has returned"
                break


def _remembered(evidence: Evidence) -> Iterator[str]:
    """What has returned in an attempt that failed elsewhere is recorded, so that it is not called again."""
    deeds = evidence.deeds
    for run in deeds.runs:
        claim = run.claim
        if run.ended != "return" or claim is None or run.handler == REFUNDED:
            continue
        change = deeds.release(claim)
        if change is None or change["state"] not in ("paid", "stuck") or change["attempts"] != claim.attempts:
            continue  # it succeeded, or was cancelled and does not count
        if HANDLERS_OWN.search(change["error"] or "") and not any(map(run.goes_by, change["done"] or ())):
            yield f"charge {run.ref}: {run} has returned, and version {change['v']} does not say so"


def _changes(evidence: Evidence) -> Iterator[str]:
    """Every version of a record was written once, and none takes back what is final."""
    for name, changes in evidence.deeds.changes.items():
        for before, after in pairwise(changes):
            where = f"charge {name}, versions {before['v']} and {after['v']}"
            if before["v"] == after["v"] and before["n"] != after["n"]:
                who = [f"{change['process']} at {change['began']:.3f}-{change['at']:.3f}" for change in (before, after)]
                yield f"{where}: two changes were made of one version, by {who}, and one is lost"
            if before["state"] in ("delivered", "rejected") and after["state"] != before["state"]:
                yield f"{where}: {before['state']} became {after['state']} ({after['process']})"
            order = (None, "requested", "refunded", "announced")
            fallen = order.index(after["refund"]) < order.index(before["refund"])
            refused = before["refund"] == "requested" and after["refund"] is None
            again = before["trouble"] and after["refund"] == "refunded"
            if fallen and not refused and not again:
                yield f"{where}: refund {before['refund']} became {after['refund']}"
            if after["attempts"] < before["attempts"] - 1:
                yield f"{where}: attempts fell from {before['attempts']} to {after['attempts']}"
        final = evidence.records.get(name)
        if final is not None and changes[-1]["v"] > final["v"]:
            yield f"charge {name}: version {changes[-1]['v']} was written, and the ledger has version {final['v']}"
        if name not in evidence.records:
            yield f"charge {name} is in our ledger only"


def _processes(evidence: Evidence) -> Iterator[str]:
    """Who is asked to go goes in time, without an error, and leaves nothing in their hands."""
    for life in evidence.lives.values():
        if life.died is None:
            yield f"process {life.name} never ended"
        elif life.asked is not None and (life.killed is None or life.killed > life.asked + STOPPED_WITHIN):
            ready = any(deed["what"] == "ready" for deed in evidence.deeds.of(life.name))
            if life.died - life.asked > STOPPED_WITHIN:
                yield f"process {life.name} took {life.died - life.asked:.0f} s to stop"
            elif life.code != 0 and ready:
                yield f"process {life.name} ended with {life.code} when it was asked to stop"
    for first, second in evidence.deeds.successions():
        life = evidence.lives[first.process]
        left = life.code == 0 and life.died is not None and second.at > life.died
        if left and not evidence.deeds.released(first, second) and not evidence.deeds.is_unsure(first):
            yield f"process {first.process} stopped gracefully and left charge {first.ref} in its hands"


def _logs(evidence: Evidence) -> Iterator[str]:
    """Nothing that is written, in logs or in the ledger, holds a token; no log tells of an error that is ours."""
    secret = evidence.token.partition(":")[2]
    for path in sorted(evidence.directory.glob("*.log")):
        lines = path.read_text(errors="replace").splitlines()
        ours = False
        for number, line in enumerate(lines, 1):
            if head := HEAD.match(line):
                # Errors of aiogram's HTTP client name the address; what others make of them is not for us to say.
                ours = head["logger"] == "aiogram_neonpay"
            if secret in line and ours:
                yield f"{path.name}:{number} holds the bot's token"
            elif OURS_TO_BLAME.search(line) and not AIOGRAMS_OWN.search("".join(lines[number : number + 1])):
                yield f"{path.name}:{number}: {line.strip()[:200]}"
    for name, record in {**evidence.records, **evidence.invoices}.items():
        if secret in str(record):
            yield f"the record {name} holds the bot's token"
