"""What a trial of hyper-parameters is judged by: two modes, which are never mixed in one study.

Oracle-tuned, as in the papers: agreement with retrained models, which only a study has. Validation-tuned: what
whoever serves a deletion request can measure, without retraining and without looking at the test set.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from unmemorize import audit
from unmemorize.audit import Measurement
from unmemorize.data import Examples
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
    """``(1 - drop on R) (1 - drop on validation) (1 - |2 AUC - 1|)``.

    The drops are of accuracy, from the original's, at least 0. AUC is that of telling the forget set from validation
    examples by the probability of the true label: 1/2 if what was forgotten looks like what was never seen. Its weak
    spot: where the forget set is harder than the validation set, a retrained model does not look so either, and doing
    nothing may win (docs/results/digits-validation-tuned.md).
    """
    settings = load_settings(folder)
    of, forget = data_of(settings), forget_set_of(folder, forget_set)
    ctx = context(settings, "tune", index)
    parts = (of.train.without(forget.ids), of.val)
    before = original_model(folder, index).to(ctx.device)
    drops = [max(0.0, ctx.accuracy(before, part) - ctx.accuracy(model, part)) for part in parts]
    asked, unseen = (_confidence(model, part, ctx) for part in (of.train.subset(forget.ids), of.val))
    members = np.repeat([True, False], [len(asked), len(unseen)])
    auc = audit.roc(np.concatenate([asked, unseen]), members).auc
    return (1 - drops[0]) * (1 - drops[1]) * (1 - abs(2 * auc - 1))


OBJECTIVES = {
    "oracle": Objective("mean of ToW ↑ and ToW-MIA ↑ against retrained models (oracle-tuned)", against_oracles),
    "validation": Objective(
        "accuracy kept on the retain set and on validation, times how little the forget set is told from validation ↑ "
        "(validation-tuned: no retrained model, no test set)",
        on_validation,
    ),
}


def _confidence(model: nn.Module, examples: Examples, ctx: Context) -> np.ndarray:
    """Softmax probability of the true label, f64 (n,)."""
    chosen = ctx.logits(model, examples).softmax(1).gather(1, examples.labels.to(ctx.device)[:, None])
    return np.asarray(chosen.squeeze(1).double().cpu().numpy())
