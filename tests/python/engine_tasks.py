"""Tasks for the engine's tests: they run in worker processes."""

import os
import signal
import time
from pathlib import Path
from typing import Any


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

    return {"torch": torch.get_num_threads(), "OMP": os.environ.get("OMP_NUM_THREADS")}


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


def identify(home: str) -> dict[str, Any]:
    (Path(home) / "worker.pid").write_text(str(os.getpid()))
    time.sleep(60)
    return {}
