"""Where the time of our own code goes: a profile of sales or of ordinary messages."""

from __future__ import annotations

import cProfile
import io
import pstats

from benchmarks import sellers
from benchmarks.measure import sell_block, talk_block

SIZE = 1000
LINES = 45


async def profile(what: str) -> str:
    """Return functions of a block by their own and by their cumulative time.

    The profiler slows small functions down more than large ones: compare lines, do not add them up.
    """
    rig = sellers.ours() if what == "memory" else sellers.talker(with_plugin=True)
    run = sell_block if what == "memory" else talk_block
    await run(rig, SIZE)
    profiler = cProfile.Profile()
    profiler.enable()
    await run(rig, SIZE)
    profiler.disable()
    text = io.StringIO()
    statistics = pstats.Stats(profiler, stream=text).strip_dirs()
    for order in ("cumulative", "tottime"):
        statistics.sort_stats(order).print_stats(LINES)
    return text.getvalue()
