"""Search for hyper-parameters, with the same budget for each method: what the presets are made by.

Oracle-tuned, as in the papers: the objective is the mean ToW against retrained models, on label flips, splits of the
ensemble and training seeds that are not those of the reported runs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from unmemorize import audit
from unmemorize.audit import Measurement
from unmemorize.experiment.methods import Steps
from unmemorize.experiment.settings import Cell
from unmemorize.experiment.tasks import unlearned
from unmemorize.train import DivergedError

Space = dict[str, tuple[str, float, float]]  # name -> (kind, low, high); kinds: log, linear, int

SPACES: dict[str, Space] = {  # the published ranges (METHODS section 5), widened at both ends for a smaller network
    "fine_tune": {"lr": ("log", 1e-3, 0.5), "epochs": ("int", 1, 10)},
    "neg_grad_plus": {"lr": ("log", 1e-3, 0.1), "epochs": ("int", 1, 10), "alpha": ("linear", 0.7, 0.999)},
    "salun": {"lr": ("log", 1e-3, 0.2), "epochs": ("int", 1, 10), "threshold": ("linear", 0.1, 0.9)},
    "out_of_sample": {"lr": ("log", 1e-3, 0.5), "epochs": ("int", 1, 10)},
}


def search(folder: str, cell: dict[str, str], trials: int, runs: int, oracles: list[dict[str, Any]]) -> dict[str, Any]:
    """Tune one method on an experiment whose originals, ensemble, forget sets and oracles are there.

    Returns:
        steps: the best hyper-parameters, one table for each step; tow: their mean ToW over `runs` originals.
    """
    which = Cell(**cell)
    count = 1 if which.plan == "vanilla" else 3
    truth = [Measurement.from_dict(result["measurement"]) for result in oracles]

    def objective(trial: optuna.Trial) -> float:
        steps = [dict(_suggest(trial, SPACES[which.algorithm], f"{k}.")) for k in range(count)]
        trial.set_user_attr("steps", steps)
        scores = []
        for index in range(runs):
            try:
                result = unlearned(folder, index, cell, steps)
            except DivergedError as error:
                raise optuna.TrialPruned from error
            tow = audit.compare([Measurement.from_dict(result["measurement"])], truth).whole.tow.value
            scores.append(tow)
            trial.report(float(np.mean(scores)), index)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(scores))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0, multivariate=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=10),
    )
    study.optimize(objective, n_trials=trials)
    steps: Steps = study.best_trial.user_attrs["steps"]
    return {"steps": steps, "tow": study.best_value}


def _suggest(trial: optuna.Trial, space: Space, prefix: str) -> Iterator[tuple[str, float]]:
    for name, (kind, low, high) in space.items():
        if kind == "int":
            yield name, trial.suggest_int(prefix + name, int(low), int(high))
        else:
            value = trial.suggest_float(prefix + name, low, high, log=kind == "log")
            yield name, float(f"{value:.3g}")


def write_preset(path: Path, study: dict[str, Any], cells: dict[str, dict[str, Any]]) -> None:
    """A preset as TOML: how it was tuned, then each method's steps and the mean ToW they reached."""
    lines = ["[study]", *(f"{key} = {_toml(value)}" for key, value in study.items()), "", "[cells]"]
    for key, found in cells.items():
        tables = ",\n    ".join(
            "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in step.items()) + " }" for step in found["steps"]
        )
        lines.append(f"{key} = [  # ToW {found['tow']:.4f}\n    {tables},\n]")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
