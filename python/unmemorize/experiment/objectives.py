"""What a trial of hyper-parameters is judged by: two modes, which are never mixed in one study.

Oracle-tuned, as in the papers: agreement with retrained models, which only a study has. Validation-tuned: what
whoever serves a deletion request can measure, without retraining and without looking at the test set: what is kept on
the retain and the validation set, and how the forget set looks to models of the ensemble that never saw it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from unmemorize import audit
from unmemorize.audit import Measurement
from unmemorize.data import Examples
from unmemorize.ensemble import Ensemble
from unmemorize.experiment.settings import load_settings
from unmemorize.experiment.tasks import context, data_of, forget_set_of, original_model
from unmemorize.train import Context

Oracles = list[dict[str, Any]]  # measurements


@dataclass(frozen=True)
class Objective:
    """A mode: what it maximises in words, and the value of a model (folder, index, forget set, model, oracles)."""

    words: str
    value: Callable[[str, int, str, nn.Module, Oracles], float]


def against_oracles(folder: str, index: int, forget_set: str, model: nn.Module, oracles: Oracles) -> float:
    """Mean of ToW and ToW-MIA.

    Tuned for ToW alone, a method may match the accuracies of retraining with confidences that give the forgotten
    examples away.
    """
    settings = load_settings(folder)
    measured = audit.measure(
        model, data_of(settings), forget_set_of(folder, forget_set), context(settings, "tune", index)
    )
    found = audit.compare([measured], [Measurement.from_dict(oracle) for oracle in oracles])
    return (found.tow.value + found.tow_mia.value) / 2


def on_validation(folder: str, index: int, forget_set: str, model: nn.Module, oracles: Oracles) -> float:
    """``(1 - drop on R) (1 - drop on validation) (1 - W)``.

    The drops are of accuracy, from the original's, at least 0. W is Wasserstein's distance between two distributions of
    the label's probability on the forget set: this model's, and that of the subset models which never saw the example;
    0 if what was forgotten looks like what was never seen. Validation examples in its place mislead where the forget
    set is harder than they are: to do nothing may win then (docs/results/digits-validation-tuned.md).
    """
    from scipy.stats import wasserstein_distance

    settings = load_settings(folder)
    of, forget = data_of(settings), forget_set_of(folder, forget_set)
    ctx = context(settings, "tune", index)
    parts = (of.train.without(forget.ids), of.val)
    before = original_model(folder, index).to(ctx.device)
    drops = [max(0.0, ctx.accuracy(before, part) - ctx.accuracy(model, part)) for part in parts]
    unseen, weights = _unseen(folder, forget_set)
    apart = wasserstein_distance(_confidence(model, of.train.subset(forget.ids), ctx), unseen, v_weights=weights)
    return (1 - drops[0]) * (1 - drops[1]) * (1 - float(apart))


OBJECTIVES = {
    "oracle": Objective("mean of ToW ↑ and ToW-MIA ↑ against retrained models (oracle-tuned)", against_oracles),
    "validation": Objective(
        "accuracy kept on the retain set and on validation, times how near the label's probabilities on the forget set "
        "are to those of subset models that never saw it ↑ (validation-tuned: no retrained model, no test set)",
        on_validation,
    ),
}


@cache
def _unseen(folder: str, forget_set: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The label's probabilities by the subset models that never saw the example, and weights: each example counts once.

    An example that every model saw has none.
    """
    ids = forget_set_of(folder, forget_set).ids
    models = Ensemble.open(Path(folder) / "ensemble").entries("reference")
    outside = np.stack([~model.member[ids] for model in models])
    log_odds = np.stack([model.array("phi")[ids] for model in models]).astype(np.float64)
    weights = outside / outside.sum(0).clip(min=1)
    return np.exp(-np.logaddexp(0, -log_odds[outside])), weights[outside]


def _confidence(model: nn.Module, examples: Examples, ctx: Context) -> NDArray[np.float64]:
    """Softmax probability of the true label, f64 (n,)."""
    chosen = ctx.logits(model, examples).softmax(1).gather(1, examples.labels.to(ctx.device)[:, None])
    return np.asarray(chosen.squeeze(1).double().cpu().numpy())
