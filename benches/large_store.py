"""Scores of 4,000 models of 1.28 million examples in 4 GB: `python benches/large_store.py FOLDER` (1.4 GB of disk).

The bits are random. The scores are computed in a process whose address space is limited, which then says what it took;
a store that is there already is read as it is.
"""

import argparse
import resource
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from unmemorize import Ensemble

N, M, LIMIT = 1_281_167, 100, 4 << 30  # examples, test examples; bytes of address space


def fill(store: Ensemble, models: int) -> None:
    """Append models until there are so many."""
    random = np.random.default_rng(len(store))

    def half(size: int) -> np.ndarray:
        return np.unpackbits(random.integers(0, 256, -(-size // 8), np.uint8), count=size).astype(bool)

    for t in range(len(store), models):
        member = half(N) | half(N)
        store.append(member, member | half(N), half(M), key=f"model-{t:05d}")


def score(folder: Path) -> None:
    """Memorization of every example, and the peak of this process."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    start = perf_counter()
    store = Ensemble.open(folder)
    found = store.memorization()
    seconds, peak = perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    print(f"{len(store):,} models x {len(found):,} examples: {seconds:.1f} s, {peak / 1e9:.2f} GB at its peak, "
          f"{np.isfinite(found.score).sum():,} scores; address space limited to {LIMIT / 2**30:.0f} GiB")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=4000)
    parser.add_argument("--score", action="store_true", help="only score what is there")
    chosen = parser.parse_args()
    if chosen.score:
        score(chosen.folder)
    else:
        fill(Ensemble.create(chosen.folder, N, M), chosen.models)
        subprocess.run([sys.executable, __file__, str(chosen.folder), "--score"], check=True)


if __name__ == "__main__":
    main()
