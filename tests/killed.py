"""Kill -9 `unmemorize ensemble train` at random, again and again, and hold what it ends with to an undisturbed run.

python tests/killed.py 20 --out FOLDER   (20 kills; about as many minutes of two cores as kills / 5)
"""

import argparse
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from unmemorize import Ensemble

MODELS_A_KILL = 10  # more than are trained between two of them
AT_START = 0.2  # share of the kills that come before the first model of a run is stored
STARTING, STORING = 6.0, 2.0  # seconds from the start, or from the first new model, within which one comes


def command(out: Path, models: int, seed: int) -> list[str]:
    what = ["--data", "digits", "--noise", "0.05", "--recipe", "digits", "--stack", "2"]
    how = ["--models", str(models), "--seed", str(seed), "--workers", "2", "--out", str(out)]
    return [sys.executable, "-m", "unmemorize", "ensemble", "train", *what, *how]


def entries(store: Path) -> int:
    return len(list(store.glob("entries/[!.]*")))


def kill(store: Path, arguments: list[str], draw: random.Random) -> str:
    """Start the command and kill it at a random moment; what was there then."""
    before, start = entries(store), time.monotonic()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if draw.random() < AT_START:
        wait = draw.uniform(0, STARTING)
    else:
        while entries(store) == before and process.poll() is None:
            time.sleep(0.02)
        wait = time.monotonic() - start + draw.uniform(0, STORING)
    while time.monotonic() - start < wait and process.poll() is None:
        time.sleep(0.02)
    if process.poll() is not None:
        raise SystemExit(f"{store}: the run ended by itself, status {process.returncode}: {process.communicate()[1]}")
    process.kill()
    process.wait()
    return f"after {time.monotonic() - start:.1f} s with {entries(store)} models"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int)
    parser.add_argument("--out", type=Path, required=True, help="folder of both stores; must be empty")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of the models")
    chosen = parser.parse_args()
    models, draw = MODELS_A_KILL * chosen.kills, random.Random(chosen.seed)
    killed, undisturbed = chosen.out / "killed", chosen.out / "undisturbed"
    for k in range(chosen.kills):
        print(f"kill {k + 1}", kill(killed, command(killed, models, chosen.seed), draw), flush=True)
    for store in (killed, undisturbed):
        subprocess.run(command(store, models, chosen.seed), check=True, stderr=subprocess.DEVNULL)

    ours, theirs = Ensemble.open(killed), Ensemble.open(undisturbed)
    for store in (ours, theirs):
        found = store.verify(designs=True)
        assert found.ok, found
        keys = Counter(entry.key for entry in store)
        assert keys == Counter(f"reference-{model:05d}" for model in range(models)), "a model is lost or doubled"
    for one, other in zip(ours, theirs, strict=True):
        assert one.key == other.key
        assert one.arrays.keys() == other.arrays.keys()
        for name in ("member", "correct", "test_correct", "phi", "test_phi", "probs"):
            assert one.array(name).tobytes() == other.array(name).tobytes(), f"{one.key}: {name}"
        scores = one.events.scores(), other.events.scores()
        assert all(np.array_equal(scores[0][name], scores[1][name], equal_nan=True) for name in scores[0]), one.key
    assert np.array_equal(ours.memorization().score, theirs.memorization().score, equal_nan=True)
    print(f"{chosen.kills} kills, {models} models: none lost, none doubled, every bit that of an undisturbed run")


if __name__ == "__main__":
    main()
