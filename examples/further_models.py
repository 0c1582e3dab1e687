"""Ten models, then more: for all examples alike, or only for those that still need them?

python examples/few_models.py     --data digits --out runs/few-models      (first: truth and balanced models)
python examples/further_models.py --data digits --out runs/few-models

From each of five balanced designs the first ten models are taken. Then the ensemble grows: by further models of that
design, or by targeted ones, which leave out only the likely memorized fifth of the examples (by the hybrid score of the
ten) and are trained here; the scores are those of all models together.
"""

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import unmemorize as um
from few_models import RATIO, TRUTH, Chosen, draws, fit, interval, load, mean
from unmemorize.engine import Task, run
from unmemorize.ensemble import Entry, targeted, undecided

FIRST, FURTHER, GROUP, DRAWS = 10, (10, 20, 30), 10, 5
CANDIDATES = 0.2  # share of the examples that targeted models leave out
RATIOS = {"targeted, half in": 0.5, "targeted, a fifth in": 0.2}
CUTS = (0.25, 0.75)  # between the strata
MEMORIZED = CUTS[0]  # true score from which on an example counts as memorized


def train(data: str, folder: str, ratio: float, draw: int, first: int, ids: list[int]) -> float:
    """Train a group of targeted models and append them to a store of their own; accuracy on the test set."""
    images, labels, test, test_labels = load(data)
    members = targeted(len(images), max(FURTHER), ratio, draw, ids=ids)[first : first + GROUP]
    networks, events = fit(images, labels, members, 10**10 + (draw * 1000 + first) * 10 + int(10 * ratio))
    with torch.no_grad():
        z = networks(images.expand(len(members), -1, -1)).double()
        test_correct = networks(test.expand(len(members), -1, -1)).argmax(2) == test_labels
    at = labels.expand(len(members), -1)[..., None]
    phi = z.gather(2, at).squeeze(2) - z.scatter(2, at, -torch.inf).logsumexp(2)
    store = um.Ensemble.open(folder)
    for t, record in enumerate(events):
        correct = (z[t].argmax(1) == labels).numpy()
        key = f"{ratio}-{draw}-{first + t:03d}"
        store.append(members[t], correct, test_correct[t].numpy(), phi=phi[t].numpy(), events=record, key=key)
    return float(test_correct.double().mean())


def measures(found: um.Memorization, truth: um.Memorization) -> dict[str, float]:
    """How near scores are to the truth, and which strata they settle."""
    off, memorized, tenth = found.score - truth.score, truth.score >= MEMORIZED, len(truth) // 10
    ours, theirs = (np.argsort(-score, kind="stable")[:tenth] for score in (found.score, truth.score))
    right = np.digitize(found.score, CUTS) == np.digitize(truth.score, CUTS)
    open_ = np.isin(np.arange(len(right)), undecided(found, CUTS))
    return {
        "RMSE": float(np.sqrt((off**2).mean())), "RMSE memorized": float(np.sqrt((off[memorized] ** 2).mean())),
        "bias memorized": float(off[memorized].mean()), "top tenth": len(np.intersect1d(ours, theirs)) / tenth,
        "true stratum": float(right.mean()), "undecided": float(open_.mean()),
        "true if decided": mean(right[~open_]), "true if undecided": mean(right[open_]),
    }  # fmt: skip


def main() -> None:
    """Train what is not trained yet, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="as for few_models.py")
    parser.add_argument("--out", type=Path, required=True, help="folder that few_models.py wrote")
    parser.add_argument("--workers", type=int, help="processes")
    chosen = parser.parse_args()
    store = um.Ensemble.open(chosen.out / "phi")
    entries = {str(entry.key): entry for entry in store.entries()}
    name, models, seed = TRUTH
    truth = Chosen(store, [entries[f"{name}-{models}-{seed}-{t:03d}"] for t in range(models)]).memorization()
    designs = draws(entries, "balanced", FIRST + max(FURTHER))[:DRAWS]
    hybrid = cache(lambda *models: um.hybrid_memorization(Chosen(store, list(models))))
    size = int(CANDIDATES * len(truth)) // 10 * 10
    likely = [np.argsort(-hybrid(*design[:FIRST]).score, kind="stable")[:size] for design in designs]

    own = um.Ensemble.create(chosen.out / "targeted", store.header.n_train, store.header.n_test)
    tasks = [
        Task(f"targeted-{ratio}-{draw}-{first:03d}", "further_models:train",
             {"data": chosen.data, "ratio": ratio, "draw": draw, "first": first, "ids": sorted(map(int, ids))})
        for ratio in RATIOS.values() for draw, ids in enumerate(likely) for first in range(0, max(FURTHER), GROUP)
    ]  # fmt: skip
    run(tasks, chosen.out / "tasks", shared={"folder": str(own.path)}, workers=chosen.workers)
    further = {str(entry.key): entry for entry in own.entries()}

    cells: dict[tuple[int, str, str], list[dict[str, float]]] = {}
    for draw, design in enumerate(designs):
        grown: dict[str, list[Entry]] = {f"balanced, {RATIO:g} in": design}
        for label, ratio in RATIOS.items():
            grown[label] = design[:FIRST] + [further[f"{ratio}-{draw}-{t:03d}"] for t in range(max(FURTHER))]
        for label, all_models in grown.items():
            for count in (0, *FURTHER) if label.startswith("balanced") else FURTHER:
                some = all_models[: FIRST + count]
                for estimator, found in (("hard", Chosen(store, some).memorization()), ("hybrid", hybrid(*some))):
                    cells.setdefault((FIRST + count, label, estimator), []).append(measures(found, truth))
    columns = list(next(iter(cells.values()))[0])
    print(f"| T | further models | estimator | {' | '.join(columns)} |\n" + "|---" * (len(columns) + 3) + "|")
    for cell, values in sorted(cells.items()):
        found_: dict[str, Any] = {column: interval([value[column] for value in values]) for column in columns}
        shown = [
            "–" if np.isnan(each.value) else f"{each.value:.3f} ± {each.high - each.value:.3f}"
            for each in found_.values()
        ]
        print(f"| {' | '.join(map(str, cell))} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
