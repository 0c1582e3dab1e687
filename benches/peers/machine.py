"""The machine that the numbers are from, and what it can do at most."""

import json
import os
import platform
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info
from unmemorize import _arrays, _core

PACKAGES = ("unmemorize", "numpy", "torch", "scipy", "scikit-learn", "aum", "traintools")
LEVELS = ("scalar", "avx2", "avx512")
HANDICAPS = ("OPENBLAS_", "OMP_", "MKL_", "GOTO_")  # settings that would make peers slower than they are

KEPT = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
"""glibc keeps freed memory, as it does in a process that has run for a while: else each temporary of a block that plain
NumPy or torch works on is given back and taken again, a page fault at a time."""

BENCH = ("cargo", "bench", "--quiet", "--locked", "--bench", "machine")


def environment(**more: str) -> dict[str, str]:
    """The environment of a measurement: no setting of BLAS or OpenMP is inherited, and freed memory is kept."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(HANDICAPS)}
    return {**inherited, **KEPT, **more}


def narrower() -> list[str]:
    """The instruction sets below the one in use."""
    best = _core.simd()
    return list(LEVELS[: LEVELS.index(best)][::-1]) if best in LEVELS else ["scalar"]


def describe() -> dict[str, Any]:
    """Hardware, versions, and the kernels that BLAS has chosen; to be called where the peers are imported."""
    blas = {f"{lib['internal_api']} {lib['version']} ({lib['architecture']})" for lib in blas_libraries()}
    return {
        "cpu": cpu(),
        "threads": _arrays.threads(None),
        "simd": _core.simd(),
        "system": f"{platform.system()} {platform.machine()}, CPython {platform.python_version()}",
        "versions": {name: version(name) for name in PACKAGES},
        "blas": sorted(blas),
    }


def blas_libraries() -> list[dict[str, Any]]:
    return [lib for lib in threadpool_info() if lib["user_api"] == "blas"]


def cpu() -> str:
    """The model that Linux names, or what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def limits() -> dict[str, float]:
    """Bytes copied (read and written) and words counted in the first cache, a second, on all threads."""
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(BENCH, env=environment(CRITERION_HOME=home), check=True, stdout=subprocess.DEVNULL)
        found = Path(home) / "machine"
        return {"copy": rate(found / "copy"), "words": rate(found / "words counted")}


def rate(bench: Path) -> float:
    """Median throughput of a Criterion benchmark."""
    (amount,) = json.loads((bench / "new/benchmark.json").read_text())["throughput"].values()
    nanoseconds = json.loads((bench / "new/estimates.json").read_text())["median"]["point_estimate"]
    return float(amount / nanoseconds * 1e9)
