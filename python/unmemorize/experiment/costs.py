"""What a method takes: the seconds of each request, and of what is made once and serves every request."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unmemorize import unlearn
from unmemorize.experiment.methods import FORGET_SET, Cell
from unmemorize.experiment.pipeline import Found

MODELS, EVENTS = "subset models", "learning events"


def request(runs: Sequence[Sequence[dict[str, Any]]]) -> dict[str, NDArray[np.float64]]:
    """Seconds by what they went to, f64 (training seeds, unlearning seeds, 1); of an oracle, "training" alone."""
    costs = [[unlearn.spent(done.get("history", ())) or {"training": done["seconds"]} for done in run] for run in runs]
    return {what: np.array([[[one[what]] for one in run] for run in costs]) for what in costs[0][0]}


def once(cell: Cell, found: Found) -> dict[str, float]:
    """Seconds, by name, of the scores that cut a method's strata and of the models that its targets come from.

    The subset models give both, and count once. Learning events count the overhead of recording them: the training that
    they watch is the original's.
    """
    score = cell.scores if cell.by_score else cell.rules.get("by")
    made = {}
    if score == FORGET_SET or any(map(_takes_ensemble, _algorithms(cell, found))):
        made[MODELS] = sum(float(model["seconds"]) for model in found.references)
    if score in found.scores.seconds:
        made[score] = found.scores.seconds[score]
    elif score in found.scores.proxies:
        made[EVENTS] = float(np.mean([original["events_seconds"] for original in found.originals]))
    return made


def _algorithms(cell: Cell, found: Found) -> list[str]:
    return [table.get("algorithm", cell.algorithm) for table in found.steps[cell]]


def _takes_ensemble(algorithm: str) -> bool:
    return any(field.name == "ensemble" for field in fields(unlearn.find(algorithm)))
