"""One run from its start to its verdict."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from aiogram_neonpay.sandbox import Rules, Sandbox, SandboxServer
from tests.chaos.balancer import Balancer
from tests.chaos.calm import come_to_rest, gather_evidence
from tests.chaos.nursery import Nursery
from tests.chaos.scene import Options, Scene
from tests.chaos.stores import FileStore, RedisStore, Store
from tests.chaos.storm import storm
from tests.chaos.verdict import Evidence, judge

__all__ = ["Result", "run"]

SHOWN = 20


@dataclass
class Result:
    """How a run ended.

    :ivar problems: every disagreement that was found; none, if all is well.
    :ivar directory: where logs and journals are; removed after a run without problems.
    :ivar counts: what was survived.
    """

    options: Options
    directory: Path
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        options = self.options
        counts = {name: count for name, count in sorted(self.counts.items()) if count}
        width = max(map(len, counts), default=0)
        lines = [f"{options.mode} on {options.storage}, {options.seconds:g} s, seed {options.seed}"]
        lines += [f"  {name:{width}} {count:>6}" for name, count in counts.items()]
        lines += [f"  DISAGREEMENT: {problem}" for problem in self.problems]
        lines.append(f"  logs are in {self.directory}" if self.problems else "  both ledgers agree, charge by charge")
        return "\n".join(lines)


async def run(options: Options, nursery: Nursery, *, keep: bool = False) -> Result:
    """Carry out one run and judge it.

    :param keep: leave logs and journals where they are, also after a run without problems.
    """
    result = Result(options, Path(tempfile.mkdtemp(prefix=f"chaos-{options.seed}-")))
    async with _playing(options, result.directory, nursery) as scene:
        await scene.open_shop()
        await storm(scene)
        unrest = await come_to_rest(scene)
        evidence = await gather_evidence(scene)
    result.problems += scene.failures
    result.problems += [f"it did not come to rest: {reason}" for reason in unrest[:SHOWN]]
    result.problems += judge(evidence)
    for source in (scene.counts, scene.crew.counts, scene.store.counts, *(buyer.counts for buyer in scene.buyers)):
        result.counts.update(source)
    result.counts.update({f"webhooks {name}": count for name, count in scene.balancer.counts.items()})
    result.counts.update(evidence.counts())
    if result.problems:
        _save(evidence)
    elif not keep:
        shutil.rmtree(result.directory)
    return result


@asynccontextmanager
async def _playing(options: Options, directory: Path, nursery: Nursery) -> AsyncIterator[Scene]:
    store: Store = RedisStore() if options.storage == "redis" else FileStore(directory)
    sandbox = Sandbox(seed=options.seed, rules=Rules(polling_brake=False, webhook_timeout=4.0))
    balancer = Balancer(options.seed)
    try:
        async with SandboxServer(sandbox) as server, aiohttp.ClientSession() as people:
            await balancer.start()
            scene = Scene(options, directory, nursery, store, sandbox, server, balancer, people)
            try:
                yield scene
            finally:
                await scene.close()
    finally:
        await balancer.stop()
        store.close()


def _save(evidence: Evidence) -> None:
    """Put both ledgers beside the logs."""
    both = {"telegram": [str(row) for row in evidence.rows], "ours": evidence.records, "invoices": evidence.invoices}
    (evidence.directory / "ledgers.json").write_text(json.dumps(both, indent=1, ensure_ascii=False))
