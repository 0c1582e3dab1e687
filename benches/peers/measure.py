"""Times one work: every side's result is checked first, then the sides take turns in one process.

    python -m benches.peers.measure PLAN

The plan, in JSON, names works, seed and size; one JSON record of each work goes to standard output.
"""

import ctypes
import gc
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import audit, ensemble, events, order
from .work import Work, check

WORKS = {work.name: work for module in (events, ensemble, audit, order) for work in module.WORKS}

SECONDS = 5.0  # of turns for a work, all sides together; at least LEAST_TURNS, at most MOST_TURNS
LEAST_TURNS, MOST_TURNS = 5, 50
SHORTEST = 0.01  # seconds that are timed at once: shorter calls are repeated within a turn
PAUSE = 0.02  # seconds before each turn: OpenMP's threads go on spinning for a while after a peer's call


def measure(work: Work, seed: int, *, quick: bool = False, alone: bool = False) -> dict[str, Any]:
    """The record of one work.

    Args:
        work: what is done.
        seed: of the inputs.
        quick: the small size, one turn, no memory.
        alone: ours only, times only.
    """
    size = work.quick if quick else work.size
    inputs = work.inputs(np.random.default_rng(seed), **size)
    peers = {} if alone else work.peers
    sides = {"ours": work.ours} | {name: peer.side for name, peer in peers.items()}
    mine = read(work.ours(inputs)())
    for peer in peers.values():
        check(mine, read(peer.side(inputs)()), work.tolerance)
    del mine
    starts = {} if alone or quick else sides
    memory = {name: peak_above(lambda side=side: side(inputs)()) for name, side in starts.items()}
    calls = {name: side(inputs) for name, side in sides.items()}
    turns = take_turns(calls, work.per_call(**size), 0 if quick else SECONDS / (4 if alone else 1))
    for name, peer in peers.items():
        turns[name] = [seconds / peer.share for seconds in turns[name]]
    return {
        "work": work.name,
        "seed": seed,
        "seconds": turns,
        "memory": memory,
        "bytes": work.moved(**size),
        "words": work.words(**size),
    }


def read(result: Any) -> Any:
    return result() if callable(result) else result


def take_turns(calls: dict[str, Callable[[], Any]], per_call: int, budget: float) -> dict[str, list[float]]:
    """Seconds of each side in each turn; in a turn every side works once, or as often as fills SHORTEST.

    Turns go on for `budget` seconds; 0: one turn, one call.
    """
    if not budget:
        return {side: [timed(call, 1) / per_call] for side, call in calls.items()}
    repeats = {side: max(1, round(SHORTEST / timed(call, 1))) for side, call in calls.items()}
    turns: dict[str, list[float]] = {side: [] for side in calls}
    started = time.perf_counter()
    gc.disable()
    for turn in range(MOST_TURNS):
        if turn >= LEAST_TURNS and time.perf_counter() - started > budget:
            break
        for side, call in calls.items():
            time.sleep(PAUSE)
            turns[side].append(timed(call, repeats[side]) / per_call)
    gc.enable()
    return turns


def timed(call: Callable[[], Any], repeats: int) -> float:
    """Seconds of one of `repeats` calls; results are dropped as they come."""
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - started) / repeats


def peak_above(call: Callable[[], Any]) -> int | None:
    """Bytes by which the resident memory rises at most during a call that was made before; None where Linux is not.

    Freed memory goes back to the system first, and the peak is reset through /proc/self/clear_refs.
    """
    try:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    before = resident("VmRSS")
    call()
    return max(0, resident("VmHWM") - before)


def resident(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) * 1024


if __name__ == "__main__":
    plan = json.loads(sys.argv[1])
    for wanted in plan.pop("works"):
        print(json.dumps(measure(WORKS[wanted], **plan)), flush=True)
