"""Times one work: every side's result is checked first, then the sides take turns.

    python -m benches.peers.measure PLAN

The plan, in JSON, names works, seed and size; one JSON record of each work goes to standard output. All sides are in
one process, but for ours with narrower vectors: an instruction set is chosen once, so each has a process of its own,
which takes its turn when it is told to.
"""

import ctypes
import gc
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import audit, ensemble, events, machine, order
from .work import Work, check

WORKS = {work.name: work for module in (events, ensemble, audit, order) for work in module.WORKS}

SECONDS = 5.0  # of turns for a work, all sides together; at least LEAST_TURNS, at most MOST_TURNS
LEAST_TURNS, MOST_TURNS = 5, 50
SHORTEST = 0.01  # seconds that are timed at once: shorter calls are repeated within a turn
PAUSE = 0.02  # seconds before each turn: OpenMP's threads go on spinning for a while after a peer's call


def measure(work: Work, seed: int, *, quick: bool = False) -> dict[str, Any]:
    """The record of one work.

    Args:
        work: what is done.
        seed: of the inputs.
        quick: the small size, one turn, no memory, no narrower vectors.
    """
    size = work.quick if quick else work.size
    inputs = work.inputs(np.random.default_rng(seed), **size)
    sides = {"ours": work.ours} | {name: peer.side for name, peer in work.peers.items()}
    mine = read(work.ours(inputs)())
    for peer in work.peers.values():
        check(mine, read(peer.side(inputs)()), work.tolerance)
    del mine
    memory = {name: peak_above(lambda side=side: side(inputs)()) for name, side in ({} if quick else sides).items()}
    per_call = work.per_call(**size)
    clocks = {name: clock(side(inputs), per_call, SHORTEST * (not quick)) for name, side in sides.items()}
    narrower = {} if quick else {level: elsewhere(work, seed, level) for level in machine.narrower()}
    turns = take_turns(clocks | narrower, 0 if quick else SECONDS)
    for name, peer in work.peers.items():
        turns[name] = [seconds / peer.share for seconds in turns[name]]
    return {
        "work": work.name,
        "seed": seed,
        "narrower": {level: turns.pop(level) for level in narrower},
        "seconds": turns,
        "memory": memory,
        "bytes": work.moved(**size),
        "words": work.words(**size),
    }


def elsewhere(work: Work, seed: int, level: str) -> Callable[[], float]:
    """The clock of ours in a process that uses the instruction set `level`."""
    plan = json.dumps({"works": [work.name], "seed": seed, "on_demand": True})
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, plan],
        env=machine.environment(UNMEMORIZE_SIMD=level),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def turn() -> float:
        print(file=process.stdin, flush=True)
        return float(process.stdout.readline())

    turn()  # when its inputs are made
    return turn


def serve(work: Work, seed: int) -> None:
    """A turn of ours, whose seconds are printed, for each line that comes in."""
    seconds = clock(
        work.ours(work.inputs(np.random.default_rng(seed), **work.size)), work.per_call(**work.size), SHORTEST
    )
    for _ in sys.stdin:
        print(seconds(), flush=True)


def read(result: Any) -> Any:
    return result() if callable(result) else result


def clock(call: Callable[[], Any], per_call: int, shortest: float) -> Callable[[], float]:
    """Times the call: seconds of one work, on average over as many calls as take `shortest` seconds."""
    call()  # the first one fills new memory
    repeats = max(1, round(shortest / timed(call, 1))) if shortest else 1
    return lambda: timed(call, repeats) / per_call


def take_turns(clocks: dict[str, Callable[[], float]], budget: float) -> dict[str, list[float]]:
    """Seconds of each side in each turn. Turns go on for `budget` seconds; 0: one turn."""
    turns: dict[str, list[float]] = {side: [] for side in clocks}
    started = time.perf_counter()
    gc.disable()
    for turn in range(MOST_TURNS if budget else 1):
        if turn >= LEAST_TURNS and time.perf_counter() - started > budget:
            break
        for side, seconds in clocks.items():
            time.sleep(PAUSE)
            turns[side].append(seconds())
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
    works = [WORKS[name] for name in plan.pop("works")]
    if plan.pop("on_demand", False):
        serve(works[0], **plan)
    else:
        for wanted in works:
            print(json.dumps(measure(wanted, **plan)), flush=True)
