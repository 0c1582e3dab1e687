"""Tasks for the engine's tests: they run in worker processes."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from unmemorize import Ensemble, _arrays


def square(x: int, home: str = "") -> dict[str, Any]:
    if home:
        with (Path(home) / "runs.log").open("a") as log:
            log.write(f"{x}\n")
    return {"square": x * x}


def slow_square(x: int, home: str) -> dict[str, Any]:
    time.sleep(0.2)
    return square(x, home)


def threads() -> dict[str, Any]:
    import torch

    return {
        "torch": torch.get_num_threads(),
        "OMP": os.environ.get("OMP_NUM_THREADS"),
        "kernels": _arrays.threads(None),
    }


def fail(x: int) -> dict[str, Any]:
    raise ValueError(f"x: {x} is not to my liking")


def die_once(home: str) -> dict[str, Any]:
    mark = Path(home) / "died"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"survived": True}


def die() -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def leave() -> dict[str, Any]:
    raise SystemExit(3)


def talk() -> dict[str, Any]:
    print("a task may print")
    os.system("echo and so may its children")
    return {"read": os.read(0, 10).decode()}


def tuples() -> dict[Any, Any]:
    return {1: (0.1, float("inf"))}


def objects() -> object:
    return object()


def append(store: str, t: int) -> dict[str, Any]:
    """Add a model to a store, and take a while before saying so."""
    member, correct = np.random.default_rng(t).random((2, 50)) < 0.6
    entry = Ensemble.open(store).append(member, correct, correct[:5], key=f"model-{t}", meta={"seed": t})
    time.sleep(0.2)
    return {"entry": entry}


def identify(home: str, x: int = 0) -> dict[str, Any]:
    """Say who works and sleep."""
    (Path(home) / f"worker-{x}.pid").write_text(str(os.getpid()))
    time.sleep(60)
    return {}


def meet(x: int, home: str, count: int) -> dict[str, Any]:
    """Say on which node of Ray this runs, and wait for ``count`` such tasks at once, or to be told to go."""
    import ray

    (Path(home) / f"{x}.{ray.get_runtime_context().get_node_id()}").write_text(str(os.getpid()))
    while not (Path(home) / "go").exists() and len(list(Path(home).glob("[0-9]*.*"))) < count:
        time.sleep(0.02)
    return {"square": x * x, "kernels": _arrays.threads(None)}


def write_and_die(x: int, home: str) -> dict[str, Any]:
    """Die between writing the result and telling."""
    import threading

    def die_when_written() -> None:
        while not (Path(home) / "out" / f"last-words-{x}.json").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=die_when_written, daemon=True).start()
    return square(x, home)
